"""Static optimisation: which muscle activations carry given joint torques with the least effort.

Per frame, with B = R^T diag(optimal force) and reserves r that keep every problem solvable:

    min  sum_m w_m a_m^2 + sum_j (r_j / rho)^2    subject to   B a + r = tau,   lower <= a <= upper

(Crowninshield & Brand 1981 with exponent 2). The dual has one unknown per torque row, whatever the number of muscles:
a = clip(B^T y / w, lower, upper), r = rho^2 y, and y solves the piecewise linear, strictly monotone system
g(y) = B clip(B^T y / w) + rho^2 y - tau = 0. It is the gradient of a strictly convex, piecewise quadratic function, whose
minimum a semismooth Newton method with line search reaches in a few steps (Qi & Sun 1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.msk.hill import HillMuscles, MuscleState
from edge.msk.spline import FloatArray

LOWER_ACTIVATION = 0.01
UPPER_ACTIVATION = 1.0
RESERVE_NM = 1.0

_MAX_ITERATIONS = 100
_TOLERANCE = 1e-12  # of the residual, relative to the size of the frame's problem
_ARMIJO = 1e-4


def solve(
    moment_arm: npt.ArrayLike,
    optimal_force: npt.ArrayLike,
    torque: npt.ArrayLike,
    *,
    lower: float = LOWER_ACTIVATION,
    upper: float = UPPER_ACTIVATION,
    reserve_nm: float = RESERVE_NM,
    weight: npt.ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Activations and reserves of many frames.

    moment_arm: (frames, muscles, rows) in m; optimal_force: (frames, muscles) in N, the force of full activation;
    torque: (frames, rows) in Nm, what the active muscle forces must add up to (passive torques already taken off);
    weight: (muscles,) or (frames, muscles), positive, default 1; reserve_nm: the reserve torque that costs as much as
    one full activation. Returns activation (frames, muscles) and reserve (frames, rows) in Nm. Never fails on finite input: a
    torque beyond the muscles' strength shows as a large reserve. Raises ValueError for wrong shapes, bounds or
    non-finite input.
    """
    arms = np.asarray(moment_arm, dtype=np.float64)
    force = np.asarray(optimal_force, dtype=np.float64)
    tau = np.asarray(torque, dtype=np.float64)
    if arms.ndim != 3 or force.shape != arms.shape[:2] or tau.shape != (arms.shape[0], arms.shape[2]):
        raise ValueError(
            "moment_arm (frames, muscles, rows), optimal_force (frames, muscles) and torque (frames, rows) do not fit: "
            f"{arms.shape}, {force.shape}, {tau.shape}"
        )
    w = np.ones_like(force) if weight is None else np.broadcast_to(np.asarray(weight, dtype=np.float64), force.shape)
    if not (lower < upper and reserve_nm > 0 and np.all(w > 0)):
        raise ValueError("static optimisation needs lower < upper, reserve_nm > 0 and positive weights")
    if not (np.isfinite(arms).all() and np.isfinite(force).all() and np.isfinite(tau).all() and np.isfinite(w).all()):
        raise ValueError("static optimisation needs finite moment arms, forces, torques and weights")

    # Symmetric scaling of the muscles by sqrt(w) turns every problem into one with unit weights and own bounds.
    root = np.sqrt(w)
    b = np.swapaxes(arms * (force / root)[..., None], 1, 2)  # (frames, rows, muscles)
    low, high = lower * root, upper * root
    rho2 = reserve_nm**2
    y = np.zeros_like(tau)
    size = 1.0 + np.abs(tau).max(axis=1) + np.abs(b).sum(axis=2).max(axis=1) * max(abs(lower), abs(upper))
    pending = np.arange(len(tau))
    for _ in range(_MAX_ITERATIONS):
        y_p, b_p, tau_p, low_p, high_p = y[pending], b[pending], tau[pending], low[pending], high[pending]
        drive = np.matmul(y_p[:, None, :], b_p)[:, 0]  # B^T y
        clipped = np.clip(drive, low_p, high_p)
        gradient = np.matmul(b_p, clipped[..., None])[..., 0] + rho2 * y_p - tau_p
        open_ = np.abs(gradient).max(axis=1) > _TOLERANCE * size[pending]
        if not open_.any():
            break
        if not open_.all():
            pending = pending[open_]
            y_p, b_p, tau_p, low_p, high_p = y_p[open_], b_p[open_], tau_p[open_], low_p[open_], high_p[open_]
            drive, clipped, gradient = drive[open_], clipped[open_], gradient[open_]
        free = (drive > low_p) & (drive < high_p)
        hessian = np.matmul(b_p * free[:, None, :], np.swapaxes(b_p, 1, 2))
        hessian[:, range(tau.shape[1]), range(tau.shape[1])] += rho2
        step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        y[pending] = y_p + _line_search(b_p, tau_p, low_p, high_p, rho2, y_p, step, gradient)[:, None] * step
    drive = np.matmul(y[:, None, :], b)[:, 0]
    activation = np.clip(drive, low, high) / root
    # What the clipped activations leave over is the reserve: the torque balance holds to rounding error.
    reserve = tau - np.matmul(activation[:, None, :], arms * force[..., None])[:, 0]
    return activation, reserve


def _objective(
    b: FloatArray, tau: FloatArray, low: FloatArray, high: FloatArray, rho2: float, y: FloatArray
) -> FloatArray:
    """The convex function whose gradient is g(y), per frame."""
    drive = np.matmul(y[:, None, :], b)[:, 0]
    clipped = np.clip(drive, low, high)
    value: FloatArray = (clipped * (drive - 0.5 * clipped)).sum(axis=1) + ((0.5 * rho2 * y - tau) * y).sum(axis=1)
    return value


def _line_search(
    b: FloatArray,
    tau: FloatArray,
    low: FloatArray,
    high: FloatArray,
    rho2: float,
    y: FloatArray,
    step: FloatArray,
    gradient: FloatArray,
) -> FloatArray:
    """Step length per frame in (0, 1]: halved until the objective falls enough (Armijo)."""
    length = np.ones(len(y))
    before = _objective(b, tau, low, high, rho2, y)
    slope = (gradient * step).sum(axis=1)
    slack = 1e-13 * (
        1.0 + np.abs(before)
    )  # close to the minimum the objective's own rounding must not stop a full step
    for _ in range(40):
        after = _objective(b, tau, low, high, rho2, y + length[:, None] * step)
        short = after > before + _ARMIJO * length * slope + slack
        if not short.any():
            break
        length[short] *= 0.5
    return length


@dataclass(frozen=True)
class MuscleSolution:
    """Muscle activations, forces and reserves that carry given joint torques."""

    activation: FloatArray  # (frames, n_muscles)
    force_n: FloatArray  # (frames, n_muscles), along the tendon, active and passive
    reserve_nm: FloatArray  # (frames, n_rows)
    state: MuscleState


def share_torque(muscles: HillMuscles, q: FloatArray, qd: FloatArray, torque_nm: FloatArray) -> MuscleSolution:
    """Share joint torques (frames, n_rows) among the muscles at the state q, qd (frames, n_joints)."""
    state = muscles.evaluate(q, qd)
    passive_torque = np.matmul(state.passive_force_n[:, None, :], state.moment_arm_m)[:, 0]
    activation, reserve = solve(state.moment_arm_m, state.optimal_force_n, torque_nm - passive_torque)
    return MuscleSolution(activation, activation * state.optimal_force_n + state.passive_force_n, reserve, state)
