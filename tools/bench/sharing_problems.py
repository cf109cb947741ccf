"""Random problems of static optimisation, and how far an answer is from optimal: for the tests and the benchmark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Problem = tuple[FloatArray, FloatArray, FloatArray]  # moment arms, optimal forces, torques


def random_problems(frames: int, muscles: int, rows: int, seed: int, largest_nm: float = 300.0) -> Problem:
    """Sparse moment arms of a leg's size, some muscles without strength, torques from nothing to far beyond the muscles."""
    rng = np.random.default_rng(seed)
    arm = rng.normal(scale=0.05, size=(frames, muscles, rows)) * (rng.random((frames, muscles, rows)) < 0.6)
    force = rng.random((frames, muscles)) * 5000 * (rng.random((frames, muscles)) < 0.9)
    size = 10 ** rng.uniform(-2, np.log10(largest_nm), (frames, 1))
    return arm, force, rng.normal(size=(frames, rows)) * size


def kkt_residual(
    problem: Problem,
    activation: FloatArray,
    reserve: FloatArray,
    *,
    lower: float = 0.01,
    upper: float = 1.0,
    reserve_nm: float = 1.0,
    weight: FloatArray | float = 1.0,
    exponent: float = 2.0,
) -> FloatArray:
    """How far a step along the negative gradient, of the length that its steepness allows, moves the activations; per frame.

    With exponents between 1 and 2 the steepness is infinite at rest, and that at full activation is taken; a muscle may then
    instead be as close to the activation that its drive calls for.
    Raises ValueError where the torques are not balanced to rounding or a bound is not kept.
    """
    arm, force, torque = problem
    strength = arm * force[..., None]
    balance = np.matmul(activation[:, None, :], strength)[:, 0] + reserve - torque
    scale = 1.0 + np.abs(torque).max(axis=1) + np.abs(strength).sum(axis=(1, 2))
    if (np.abs(balance).max(axis=1) > 1e-12 * scale).any():
        raise ValueError("the muscles and the reserves do not add up to the torque")
    if activation.min(initial=upper) < lower or activation.max(initial=lower) > upper:
        raise ValueError("an activation is out of its bounds")
    drive = np.matmul(strength, reserve[..., None])[..., 0] / reserve_nm**2
    slope = 0.5 * exponent * activation if exponent == 2.0 else 0.5 * exponent * activation ** (exponent - 1.0)
    curvature = 0.5 * exponent * max(exponent - 1.0, 1.0) * max(upper, 1.0) ** max(exponent - 2.0, 0.0)
    steepness = (
        curvature * np.max(np.broadcast_to(weight, force.shape), axis=1, initial=0.0)
        + (strength**2).sum(axis=(1, 2)) / reserve_nm**2
    )
    moved = np.abs(np.clip(activation - (weight * slope - drive) / steepness[:, None], lower, upper) - activation)
    if 1.0 < exponent < 2.0:
        moved = np.minimum(moved, np.abs(_called_for(drive, lower, upper, weight, exponent) - activation))
    return np.asarray(moved.max(axis=1, initial=0.0))


def _called_for(
    drive: FloatArray, lower: float, upper: float, weight: FloatArray | float, exponent: float
) -> FloatArray:
    """The activations that the drive of the multipliers makes best, one muscle at a time."""
    if exponent == 1.0:
        return np.where(drive > 0.5 * weight, upper, lower)
    if exponent == 2.0:
        return np.clip(drive / weight, lower, upper)
    power = np.clip(drive * 2.0 / (exponent * weight), 0.0, upper ** (exponent - 1.0))
    return np.clip(power ** (1.0 / (exponent - 1.0)), lower, upper)


def duality_gap(
    problem: Problem,
    activation: FloatArray,
    reserve: FloatArray,
    multiplier: FloatArray,
    *,
    lower: float = 0.01,
    upper: float = 1.0,
    reserve_nm: float = 1.0,
    weight: FloatArray | float = 1.0,
    exponent: float = 2.0,
) -> FloatArray:
    """What the cost lies above a bound that the multipliers prove, relative to the cost; per frame.

    Summed over muscles and rows, each of whose parts is positive: no digits are lost to the difference of two large costs.
    """
    arm, force, _ = problem
    drive = np.matmul(arm * force[..., None], multiplier[..., None])[..., 0]
    best = _called_for(drive, lower, upper, weight, exponent)
    muscles = weight * activation**exponent - weight * best**exponent - 2.0 * drive * (activation - best)
    rows = (reserve - reserve_nm**2 * multiplier) ** 2 / reserve_nm**2
    cost = (weight * activation**exponent).sum(axis=1) + (reserve**2).sum(axis=1) / reserve_nm**2
    return np.asarray((muscles.sum(axis=1) + rows.sum(axis=1)) / np.maximum(cost, np.finfo(np.float64).tiny))
