"""Which losses a head can be trained with, their weights, and what they need to know of a material."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge.bundle import Head
from edge.errors import ConfigError
from edge.msk.hill import HillMuscles, MuscleMode, MuscleState
from edge.msk.staticopt import Optimum, optimise
from train.answers import wanted_answer
from train.losses import (
    ActivationTarget,
    ContactTarget,
    DualGapTarget,
    DualTarget,
    ForceOutputs,
    PapersTarget,
    SharedTorqueTarget,
    SupervisedTarget,
    Target,
    TorqueTarget,
    dual_cost,
)
from train.material import Material
from train.recipe import Recipe

FloatArray = npt.NDArray[np.float64]
Weights = Mapping[str, float]

_OF_TORQUE: Mapping[str, Weights] = {"normalised": {"motion": 1.0}, "muscles": {"motion": 1.0, "muscles": 1.0}}
LOSSES: Mapping[Head, Mapping[str, Weights]] = {
    "residual": _OF_TORQUE,
    "contact": {"normalised": {"motion": 1.0, "contact": 3.0}},
    "torque": _OF_TORQUE,
    "dual": {"normalised": {"motion": 1.0}, "fenchel-young": {"gap": 1.0}},
    "activation": {
        "normalised": {"motion": 1.0, "effort": 1.0, "bounds": 1.0},
        "ma2025-knee": {"motion": 1.0, "force": 1.0, "effort": 100.0, "bounds": 100.0},
        "ma2025-gait": {"motion": 3.0, "effort": 1000.0, "bounds": 500.0},
        "supervised": {"activation": 1.0, "force": 1.0},
    },
}
"""Losses by head, each with its terms' weights. `ma2025-knee`: Ma et al., Knowledge-based deep learning for time-efficient
inverse dynamics (IEEE TNSRE 2025, arXiv 2412.05403), L_m + L_f + w (L_p + L_b) with w = 100. `ma2025-gait`: Ma et al.,
Multi-joint physics-informed deep learning framework for time-efficient inverse dynamics (2025, arXiv 2511.10878)."""

EFFORT_EXPONENT = 2.0
"""beta of the papers' effort, here that of the static optimisation they are compared with."""

_LEAST_DEVIATION = 1e-3  # of the largest row's: a row that hardly changes does not drown the others


def target_of(material: Material, recipe: Recipe, *, exponent: float = EFFORT_EXPONENT) -> tuple[Target, Tensor | None]:
    """What the recipe's head is asked for at every window of a material, in single precision on the CPU.

    And answers (windows, outputs) to take mean and deviation from; None for activations. Static optimisation is solved once
    for every window where its solutions are needed. exponent: beta of the papers' effort sum a^beta. Raises ConfigError for
    a loss that the head does not have, and for weights that are none of its terms'.
    """
    weights = loss_weights(recipe)
    if recipe.head == "activation":
        return _activation_target(material, recipe, weights, exponent), None
    if recipe.head == "dual":
        return _dual_target(material, recipe.loss, weights)
    wanted = wanted_answer(recipe.head, material.stretches, material.windows)
    answers = _tensor(_filled(wanted))
    if recipe.head == "contact":
        missing = wanted_answer("residual", material.stretches, material.windows)
        return ContactTarget(
            map=_tensor(material.gather("contact_map")),
            motion=TorqueTarget(_tensor(missing), _tensor(_deviation(missing)), weights),
            measured=TorqueTarget(_tensor(wanted), _tensor(_deviation(wanted)), weights),
        ), answers
    torque = TorqueTarget(_tensor(wanted), _tensor(_deviation(wanted)), weights)
    if recipe.loss == "normalised":
        return torque, answers
    optimum, strength = _optimum(material)
    to_active = -material.gather("passive_torque")
    if recipe.head == "residual":
        to_active = to_active + material.gather("contact_free")
    target = SharedTorqueTarget(
        torque=torque,
        scale_nm=_tensor(material.scale_nm),
        known_nm=_tensor(to_active),
        strength_nm=_tensor(strength),
        multiplier=_tensor(optimum.multiplier),
        activation=_tensor(optimum.activation),
        deviation=_pooled_deviation(optimum),
    )
    return target, answers


def loss_weights(recipe: Recipe) -> dict[str, float]:
    """The weight of every term of a recipe's loss. Raises ConfigError."""
    losses = LOSSES[recipe.head]
    if recipe.loss not in losses:
        raise ConfigError(f"the head '{recipe.head}' has no loss '{recipe.loss}': choose one of {', '.join(losses)}")
    weights = dict(losses[recipe.loss])
    if recipe.loss == "normalised" and "effort" in weights:
        weights["effort"] = recipe.effort_weight
    for term, weight in recipe.weights.items():
        if term not in weights:
            raise ConfigError(f"the loss '{recipe.loss}' has no term '{term}' to weigh: it has {', '.join(weights)}")
        weights[term] = weight
    wrong = [term for term, weight in weights.items() if not (math.isfinite(weight) and weight >= 0.0)]
    if wrong:
        raise ConfigError(f"the weight {weights[wrong[0]]} of the term '{wrong[0]}' must be zero or a positive number")
    if not any(weights.values()):
        raise ConfigError(f"every term of the loss '{recipe.loss}' has the weight zero: leave one in")
    return weights


def _activation_target(material: Material, recipe: Recipe, weights: Weights, exponent: float) -> Target:
    if recipe.loss == "supervised":
        return _supervised_target(material, recipe.mode, weights)
    strength = _tensor(material.gather("torque_per_activation"))
    passive = material.gather("passive_torque")
    torque = material.gather("torque")
    wanted = _tensor(torque - passive)
    if recipe.loss == "normalised":
        return ActivationTarget(strength, wanted, _tensor(_deviation(torque)), weights)
    if not 1.0 <= exponent < math.inf:
        raise ConfigError(f"the exponent {exponent:g} of the effort must be at least 1")
    forces = _force_outputs(material, recipe.mode) if recipe.loss == "ma2025-knee" else None
    return PapersTarget(strength, wanted, _tensor(passive), exponent, weights, forces)


def _dual_target(material: Material, loss: str, weights: Weights) -> tuple[Target, Tensor]:
    optimum, strength = _optimum(material)
    torque = material.gather("torque")
    active = torque - material.gather("passive_torque")
    answers = _tensor(_filled(np.where(np.isnan(torque), np.nan, optimum.multiplier * material.scale_nm)))
    scale = _tensor(material.scale_nm)
    if loss == "normalised":
        whole = _tensor(material.gather("torque_per_activation"))
        return DualTarget(whole, _tensor(active), _tensor(_deviation(torque)), scale, weights), answers
    known = np.where(np.isnan(active), 0.0, active)
    exact = (torch.from_numpy(values) for values in (strength, known, optimum.multiplier))
    target = DualGapTarget(
        strength_nm=_tensor(strength),
        torque_nm=_tensor(known),
        scale_nm=scale,
        least=dual_cost(*exact).float(),
        deviation=_pooled_deviation(optimum),
        weights=weights,
    )
    return target, answers


def _optimum(material: Material) -> tuple[Optimum, FloatArray]:
    """Static optimisation of the true torques at the state the device knows, and B (windows, rows, muscles) in it."""
    return _solve(
        material.gather("torque_per_activation"), material.gather("torque") - material.gather("passive_torque")
    )


def _solve(strength_nm: FloatArray, torque_nm: FloatArray) -> tuple[Optimum, FloatArray]:
    """Static optimisation without the rows whose torque (frames, rows) is not known; B is zero in them."""
    known = np.isfinite(torque_nm)
    strength = np.where(known[:, :, None], strength_nm, 0.0)
    arms = np.swapaxes(strength, 1, 2)
    return optimise(arms, np.ones(arms.shape[:2]), np.where(known, torque_nm, 0.0)), strength


@dataclass(frozen=True)
class _Muscles:
    """The muscles of some windows' person at those windows' moments."""

    own: npt.NDArray[np.bool_]  # (windows,)
    muscles: HillMuscles
    state: MuscleState


def _supervised_target(material: Material, mode: MuscleMode, weights: Weights) -> Target:
    """Labels as in `train.answers.truth`: static optimisation at the zero-phase state."""
    activation = np.empty((len(material), len(material.model.muscles)))
    force = np.empty_like(activation)
    torque = material.gather("torque")
    for part in _by_stretch(material, mode, zero_phase=True):
        own, state = part.own, part.state
        strength = np.swapaxes(state.moment_arm_m * state.optimal_force_n[..., None], 1, 2)
        passive = np.einsum("fm,fmr->fr", state.passive_force_n, state.moment_arm_m)
        activation[own] = _solve(strength, torque[own] - passive)[0].activation
        force[own] = (activation[own] * state.optimal_force_n + state.passive_force_n) / part.muscles.max_force_n
    return SupervisedTarget(_tensor(activation), _tensor(force), weights)


def _force_outputs(material: Material, mode: MuscleMode) -> ForceOutputs:
    """At the state the device knows."""
    count, rows, muscles = len(material), len(material.model.row_names), len(material.model.muscles)
    arms = np.empty((count, rows, muscles))
    isometric, active, passive = np.empty((3, count, muscles))
    for part in _by_stretch(material, mode, zero_phase=False):
        arms[part.own] = np.swapaxes(part.state.moment_arm_m, 1, 2)
        isometric[part.own] = part.muscles.max_force_n
        active[part.own] = part.state.optimal_force_n
        passive[part.own] = part.state.passive_force_n
    return ForceOutputs(_tensor(arms), _tensor(isometric), _tensor(active), _tensor(passive))


def _by_stretch(material: Material, mode: MuscleMode, *, zero_phase: bool) -> Iterator[_Muscles]:
    """Each stretch's muscles at its windows' moments: at the state the device knows, or at the zero-phase one."""
    windows, motion = material.windows, material.motion
    for s, stretch in enumerate(material.stretches):
        own = windows.stretch == s
        if not own.any():
            continue
        muscles = HillMuscles.of(stretch.trial.model, mode)
        angles = stretch.trial.muscle_angles(windows.time_s[own]) if zero_phase else (motion.q[own], motion.qd[own])
        yield _Muscles(own, muscles, muscles.evaluate(*angles))


def _pooled_deviation(optimum: Optimum) -> float:
    """Root mean square of all activations' deviations from their muscles' means."""
    return math.sqrt(max(float(optimum.activation.var(axis=0).mean()), 1e-12))


def _deviation(values: FloatArray) -> FloatArray:
    """Standard deviation of each row (rows,) over what is known of (windows, rows)."""
    known = np.isfinite(values)
    mean, count = _known_mean(values), np.maximum(known.sum(axis=0), 1)
    deviation = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count)
    largest = float(deviation.max())
    return np.maximum(deviation, _LEAST_DEVIATION * largest) if largest > 0.0 else np.ones_like(deviation)


def _filled(values: FloatArray) -> FloatArray:
    """Each row's mean where it is not known, zero in a row that never is."""
    return np.where(np.isfinite(values), values, _known_mean(values))


def _known_mean(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    mean: FloatArray = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return mean


def _tensor(values: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
