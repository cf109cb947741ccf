"""Kernel ridge regression as a network: exact, fitted in seconds, and a good companion of networks that are trained step by step.

Its hidden features are how near a window is to each of the windows that it remembers; its answer is linear in them (Saunders,
Gammerman & Vovk 1998). It is the baseline of the same name (`train.baselines.KernelRidge`), exported like any other network.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch

from edge.errors import ConfigError
from train.answers import wanted_answer
from train.baselines import KernelRidge
from train.estimates import OF_TORQUE, tuning
from train.material import Material
from train.nearness import Nearness
from train.networks import Network
from train.recipe import Recipe
from train.trainer import History

FloatArray = npt.NDArray[np.float64]

LEAST_RIDGE = 1e-2
"""With less, large weights of either sign cancel, which single precision does not carry."""


def fit_kernel(network: Network, material: Material, recipe: Recipe) -> History:
    """Fit in place on all windows of a material. Raises ConfigError for a head that does not answer with torques, and for
    torques that are not known.
    """
    begun = time.monotonic()
    if recipe.head not in OF_TORQUE or recipe.loss != "normalised":
        raise ConfigError(
            f"kernel ridge regression has one loss, 'normalised', and answers with torques: not '{recipe.loss}' of the head "
            f"'{recipe.head}'"
        )
    wanted = wanted_answer(recipe.head, material.stretches, material.windows)
    if not np.isfinite(wanted).all():
        raise ConfigError(
            f"kernel ridge regression with the head '{recipe.head}' needs every torque or force to be known"
        )
    nearness = network.backbone
    assert isinstance(nearness, Nearness)
    fitted = KernelRidge(
        material.windows.feature, wanted, tune=tuning(material), most=nearness.width, least_ridge=LEAST_RIDGE
    )
    known = len(fitted.known)
    with torch.no_grad():
        network.mean.copy_(torch.from_numpy(fitted.scaler.mean))
        network.deviation.copy_(torch.from_numpy(fitted.scaler.deviation))
        network.answer_mean.copy_(torch.from_numpy(fitted.mean))
        network.answer_deviation.copy_(torch.from_numpy(fitted.deviation))
        nearness.points.zero_()
        nearness.points[:known] = torch.from_numpy(fitted.known)
        nearness.squares.copy_((nearness.points**2).sum(dim=1))
        nearness.per_scale.fill_(1.0 / fitted.scale)
        network.last.weight.zero_()
        network.last.weight[:, :known] = torch.from_numpy(fitted.weights.T)
        network.last.bias.zero_()
    network.eval()
    return History(seconds=round(time.monotonic() - begun, 1))
