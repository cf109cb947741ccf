"""Learning one network from a material."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from train.estimates import BASELINES, Answers, average, baseline, figures, resolve, truth
from train.kernel import fit_kernel
from train.material import Material
from train.networks import KERNEL, Network, create
from train.recipe import Recipe
from train.splits import evenly
from train.targets import target_of
from train.trainer import History, fit

__all__ = [
    "BASELINES",
    "Answers",
    "Learned",
    "average",
    "baseline",
    "estimate",
    "figures",
    "learn",
    "network_answer",
    "resolve",
    "truth",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Progress = Callable[[int, dict[str, float]], None]

_AT_ONCE = 4096  # windows answered in one go, to bound the memory


@dataclass(frozen=True)
class Learned:
    """A trained network, with how it was made and how that went."""

    network: Network
    recipe: Recipe
    history: History

    def answer(self, material: Material) -> FloatArray:
        """(windows, outputs) of the device's outputs; the windows must be the recipe's."""
        return network_answer(self.network, material)


def learn(
    material: Material,
    recipe: Recipe,
    *,
    train: BoolArray | None = None,
    judge: BoolArray | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    log_dir: Path | None = None,
) -> Learned:
    """Train a network on the windows `train` (default all); with `judge` the best on those is kept.

    progress is told the step and the loss's terms. Raises ConfigError for a recipe that makes no sense, EngineError when the
    training diverges.
    """
    torch.manual_seed(recipe.trainer.seed)
    target, answers = target_of(material, recipe)
    network = create(
        recipe.architecture,
        features=material.windows.feature.shape[2],
        outputs=target.outputs,
        window=recipe.window,
        look_ahead=recipe.look_ahead,
        joints=len(material.model.joints),
        bounded=recipe.head == "activation",
        sizes=recipe.sizes,
    )
    chosen = np.flatnonzero(train) if train is not None else np.arange(len(material)) if recipe.even_people else None
    if chosen is not None and recipe.even_people:
        chosen = evenly(material.people, chosen, recipe.trainer.seed)
    if recipe.architecture == KERNEL:
        return Learned(
            network, recipe, fit_kernel(network, material if chosen is None else material.take(chosen), recipe)
        )
    inputs = _tensor(material.windows.feature)
    which = None if chosen is None else torch.from_numpy(chosen)
    network.normalise(inputs if which is None else inputs[which], _of(answers, which))
    history = fit(
        network,
        inputs,
        target,
        recipe.trainer,
        train=which,
        judge=None if judge is None else torch.from_numpy(np.flatnonzero(judge)),
        balance=recipe.balance,
        progress=progress,
        checkpoint=checkpoint,
        log_dir=log_dir,
    )
    return Learned(network, recipe, history)


def network_answer(network: Network, material: Material) -> FloatArray:
    """(windows, outputs) of a network."""
    network.eval()
    feature = material.windows.feature
    with torch.inference_mode():
        parts = [network(_tensor(feature[i : i + _AT_ONCE])).cpu().numpy() for i in range(0, len(feature), _AT_ONCE)]
    return np.asarray(np.concatenate(parts), dtype=np.float64)


def estimate(learned: Learned, material: Material) -> Answers:
    """What a network says of a material."""
    return resolve(learned.recipe.head, learned.answer(material), material, learned.recipe.mode)


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _of(values: torch.Tensor | None, which: torch.Tensor | None) -> torch.Tensor | None:
    return values if values is None or which is None else values[which]
