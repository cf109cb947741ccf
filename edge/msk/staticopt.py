"""Static optimisation: which muscle activations carry given joint torques with the least effort.

Per frame, with B = R^T diag(optimal force) and reserves r that keep every problem solvable:

    min  sum_m w_m a_m^2 + sum_j (r_j / rho)^2    subject to   B a + r = tau,   lower <= a <= upper

(Crowninshield & Brand 1981 with exponent 2). The dual has one unknown per torque row, whatever the number of muscles:
a = clip(B^T y / w, lower, upper), r = rho^2 y, and y solves the piecewise linear, strictly monotone system
g(y) = B clip(B^T y / w) + rho^2 y - tau = 0. It is the gradient of a strictly convex, piecewise quadratic function, whose
minimum Newton's method with an exact line search reaches in a finite number of steps (Li & Swetits 1997, SIAM J. Optim. 7:595;
here 1 or 2 for most states of a leg).
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
LEAST_RESERVE_NM = 1e-3

_MAX_ITERATIONS = 100
_TOLERANCE = 1e-11  # error of an activation
_REFINEMENTS = 3  # steps within one piece, after which only rounding is left


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
    one full activation, at least 0.001. Returns activation (frames, muscles) and reserve (frames, rows) in Nm. Never fails on
    finite input: a torque beyond the muscles' strength shows as a large reserve. There the activations of muscles between
    their bounds lose digits with the square of a small reserve_nm: they are within 1e-9 at 1 Nm and 1e-5 at 0.01 Nm.
    Raises ValueError for wrong shapes, bounds or non-finite input.
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
    if arms.shape[2] == 0:
        raise ValueError("static optimisation needs at least one torque row")
    if not (np.isfinite([lower, upper, reserve_nm]).all() and lower < upper and reserve_nm >= LEAST_RESERVE_NM):
        raise ValueError(
            f"static optimisation needs finite lower < upper and reserve_nm of at least {LEAST_RESERVE_NM:g}: "
            f"{lower}, {upper}, {reserve_nm}"
        )
    if not np.all(w > 0):
        raise ValueError("static optimisation needs positive weights")
    if not (np.isfinite(arms).all() and np.isfinite(force).all() and np.isfinite(tau).all() and np.isfinite(w).all()):
        raise ValueError("static optimisation needs finite moment arms, forces, torques and weights")

    # Symmetric scaling of the muscles by sqrt(w) turns every problem into one with unit weights and own bounds.
    root = np.sqrt(w)
    strength = arms * force[..., None]  # (frames, muscles, rows), Nm of full activation
    problem = _Problem(
        b=np.ascontiguousarray(np.swapaxes(strength / root[..., None], 1, 2)),
        tau=tau,
        low=lower * root,
        high=upper * root,
        rho2=reserve_nm**2,
    )
    drive = np.matmul(_dual(problem)[:, None, :], problem.b)[:, 0]
    # Clipped again after the division, whose rounding may leave the bounds by one unit in the last place.
    activation = np.clip(np.clip(drive, problem.low, problem.high) / root, lower, upper)
    # What the clipped activations leave over is the reserve: the torque balance holds to rounding error.
    reserve = tau - np.matmul(activation[:, None, :], strength)[:, 0]
    return activation, reserve


@dataclass(frozen=True)
class _Problem:
    """Problems with unit weights, one per frame."""

    b: FloatArray  # (frames, rows, muscles)
    tau: FloatArray  # (frames, rows)
    low: FloatArray  # (frames, muscles)
    high: FloatArray  # (frames, muscles)
    rho2: float

    def of(self, frames: npt.NDArray[np.intp]) -> _Problem:
        return _Problem(self.b[frames], self.tau[frames], self.low[frames], self.high[frames], self.rho2)


def _side(drive: FloatArray, problem: _Problem) -> npt.NDArray[np.int8]:
    """Where every muscle is: 0 at its lower bound, 1 free, 2 at its upper bound."""
    return np.asarray((drive > problem.low).astype(np.int8) + (drive >= problem.high))


def _hessian(free: FloatArray, b: FloatArray, rho2: float) -> FloatArray:
    hessian: FloatArray = np.matmul(free, np.swapaxes(b, 1, 2))
    rows = np.arange(hessian.shape[1])
    # The floor keeps the matrix regular when the reserves are tiny beside the muscles; the line search makes up for it.
    floor = np.finfo(np.float64).eps * hessian[:, rows, rows].sum(axis=1, keepdims=True)
    hessian[:, rows, rows] += rho2 + floor
    return hessian


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0], dtype=np.float64)


def _dual(problem: _Problem) -> FloatArray:
    """The multipliers y (frames, rows) at which every frame's g(y) is zero."""
    # Most muscles of most frames are between their bounds: the start is the answer if all were.
    y = _solved(_hessian(problem.b, problem.b, problem.rho2), problem.tau)
    # An error of y is at most the residual over rho^2, an error of an activation at most this times the residual.
    gain = np.abs(problem.b).sum(axis=1).max(axis=1, initial=0.0) / problem.rho2
    pending = np.arange(len(y))
    part = problem
    side = np.full(problem.low.shape, -1, dtype=np.int8)
    unchanged = np.zeros(len(y), dtype=np.intp)
    for _ in range(_MAX_ITERATIONS):
        y_p = y[pending]
        drive = np.matmul(y_p[:, None, :], part.b)[:, 0]  # B^T y
        clipped = np.clip(drive, part.low, part.high)
        gradient = np.matmul(part.b, clipped[..., None])[..., 0] + part.rho2 * y_p - part.tau
        side_before, side = side, _side(drive, part)
        # In a piece in which the pattern of free muscles did not change the last step was exact but for rounding.
        unchanged = np.where((side == side_before).all(axis=1), unchanged + 1, 0)
        error = np.abs(gradient).max(axis=1) * gain[pending]
        open_ = (error > _TOLERANCE) & (unchanged < _REFINEMENTS)
        if not open_.any():
            break
        if not open_.all():
            kept = np.flatnonzero(open_)
            pending, part, side, unchanged = pending[kept], part.of(kept), side[kept], unchanged[kept]
            y_p, drive, gradient = y_p[kept], drive[kept], gradient[kept]
        hessian = _hessian(part.b * (side == 1)[:, None, :], part.b, part.rho2)
        step = -_solved(hessian, gradient)
        y[pending] = y_p + _step_length(part, y_p, drive, step)[:, None] * step
    return y


def _step_length(problem: _Problem, y: FloatArray, drive: FloatArray, step: FloatArray) -> FloatArray:
    """The step length at which the objective is least along `step`, per frame.

    Its derivative along the step is continuous, piecewise linear and increasing, with a kink wherever a muscle reaches or
    leaves a bound: the piece with the root is found by bisection over the sorted kinks.
    """
    turn = np.matmul(step[:, None, :], problem.b)[:, 0]  # change of the drive
    constant = ((problem.rho2 * y - problem.tau) * step).sum(axis=1)
    growth = problem.rho2 * (step * step).sum(axis=1)

    stays = (_side(drive + turn, problem) == _side(drive, problem)).all(axis=1)
    if stays.all():  # one Newton step is exact within a piece
        return np.ones(len(y))

    def slope(length: FloatArray) -> FloatArray:
        clipped = np.clip(drive + length[:, None] * turn, problem.low, problem.high)
        total: FloatArray = (clipped * turn).sum(axis=1) + constant + growth * length
        return total

    moving = turn != 0.0
    divisor = np.where(moving, turn, 1.0)
    kinks = np.concatenate([(problem.low - drive) / divisor, (problem.high - drive) / divisor], axis=1)
    kinks = np.where(np.concatenate([moving, moving], axis=1) & (kinks > 0.0), kinks, np.inf)
    kinks.sort(axis=1)
    frames = np.arange(len(y))
    first = np.zeros(len(y), dtype=np.intp)  # the first kink at which the objective rises lies in first..last
    last = np.full(len(y), kinks.shape[1], dtype=np.intp)
    for _ in range(int(kinks.shape[1]).bit_length()):
        middle = np.minimum((first + last) // 2, kinks.shape[1] - 1)
        at = kinks[frames, middle]
        rises = np.isinf(at) | (slope(np.where(np.isinf(at), 0.0, at)) >= 0.0)
        looking = first < last
        last = np.where(looking & rises, middle, last)
        first = np.where(looking & ~rises, middle + 1, first)
    begin = np.where(first > 0, kinks[frames, np.maximum(first - 1, 0)], 0.0)
    end = kinks[frames, np.minimum(first, kinks.shape[1] - 1)]
    end = np.where((first < kinks.shape[1]) & np.isfinite(end), end, np.inf)
    # Within the piece the muscles that are free in its middle make the slope.
    inside = np.where(np.isinf(end), 2.0 * begin + 1.0, 0.5 * (begin + end))
    middle_drive = drive + inside[:, None] * turn
    free = (middle_drive > problem.low) & (middle_drive < problem.high)
    steepness = growth + (np.where(free, turn, 0.0) ** 2).sum(axis=1)
    length: FloatArray = begin - slope(begin) / np.where(steepness > 0.0, steepness, 1.0)
    return np.where(stays, 1.0, np.clip(length, begin, end))


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
