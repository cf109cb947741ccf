"""The quadratic programs of static optimisation, many at once: at most six torque rows, any number of muscles.

Per frame, over the efforts u of the muscles and one multiplier y per torque row:

    min  sum_m (u_m + o_m)^2 + sum_j (r_j / rho)^2    subject to   B u + r = tau,   low <= u <= high

The dual has one unknown per row: u = clip(B^T y - o, low, high), r = rho^2 y, and y solves the piecewise linear, strictly
monotone system g(y) = B clip(B^T y - o) + rho^2 y - tau = 0. It is the gradient of a strictly convex, piecewise quadratic
function, whose minimum Newton's method with an exact line search reaches in a finite number of steps (Li & Swetits 1997,
SIAM J. Optim. 7:595).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.msk.spline import FloatArray

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

_MAX_ITERATIONS = 100
_TOLERANCE = 1e-11  # error of an effort
_TINY = 1e-200  # a change of drive below this is none
_SHORT = 0.5  # a full step that leaves more than this of the slope is lengthened


@dataclass(frozen=True)
class QuadraticProblem:
    """Problems of the form above, one per frame."""

    b: FloatArray  # (frames, rows, muscles)
    tau: FloatArray  # (frames, rows)
    low: FloatArray  # (frames, muscles)
    high: FloatArray  # (frames, muscles)
    rho2: FloatArray  # (frames, 1)
    offset: FloatArray | None = None  # (frames, muscles); None means zero

    def of(self, frames: IntArray) -> QuadraticProblem:
        offset = None if self.offset is None else self.offset[frames]
        return QuadraticProblem(
            self.b[frames], self.tau[frames], self.low[frames], self.high[frames], self.rho2[frames], offset
        )

    def drive(self, y: FloatArray) -> FloatArray:
        """B^T y - o, which the bounds clip to the efforts; (frames, muscles)."""
        drive: FloatArray = np.matmul(y[:, None, :], self.b)[:, 0]
        return drive if self.offset is None else drive - self.offset

    def start(self) -> FloatArray:
        """The multipliers if no muscle were at a bound: the answer for most states of a leg."""
        right = self.tau if self.offset is None else self.tau + torque_of(self.b, self.offset)
        return _solved(_hessian(self.b, self.b, self.rho2), right)


def torque_of(b: FloatArray, effort: FloatArray) -> FloatArray:
    """B u, (frames, rows)."""
    torque: FloatArray = np.matmul(b, effort[..., None])[..., 0]
    return torque


def dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """a . b of every frame, (frames,)."""
    product: FloatArray = np.matmul(a[:, None, :], b[..., None])[:, 0, 0]
    return product


def _side(drive: FloatArray, problem: QuadraticProblem) -> npt.NDArray[np.int8]:
    """Where every muscle is: 0 at its lower bound, 1 free, 2 at its upper bound."""
    return (drive > problem.low).view(np.int8) + (drive >= problem.high).view(np.int8)


def _hessian(free: FloatArray, b: FloatArray, rho2: FloatArray) -> FloatArray:
    hessian: FloatArray = np.matmul(free, np.swapaxes(b, 1, 2))
    diagonal = np.einsum("frr->fr", hessian)  # a view
    # The floor keeps the matrix regular when the reserves are tiny beside the muscles; the line search makes up for it.
    diagonal += rho2 + np.finfo(np.float64).eps * diagonal.sum(axis=1, keepdims=True)
    return hessian


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0], dtype=np.float64)


def solve_dual(problem: QuadraticProblem, start: FloatArray, refinements: int = 3) -> tuple[FloatArray, IntArray]:
    """The multipliers y (frames, rows) at which every frame's g(y) is zero, and the Newton steps taken (frames,).

    Ends for a frame when no effort is wrong by more than 1e-11, or after `refinements` steps that left every muscle on its
    side of the bounds: the first of them was exact but for rounding.
    """
    y = start.copy()
    iterations = np.zeros(len(y), dtype=np.intp)
    # An error of y is at most the residual over rho^2, an error of an effort at most this times the residual; where the
    # muscles are weak, the multipliers are held to the same digits.
    gain = np.abs(problem.b).sum(axis=1).max(axis=1, initial=1.0) / problem.rho2[:, 0]
    pending = np.arange(len(y))
    part = problem
    side = np.full(problem.low.shape, -1, dtype=np.int8)
    unchanged = np.zeros(len(y), dtype=np.intp)
    for _ in range(_MAX_ITERATIONS):
        y_p = y[pending]
        drive = part.drive(y_p)
        gradient = torque_of(part.b, np.clip(drive, part.low, part.high)) + part.rho2 * y_p - part.tau
        side_before, side = side, _side(drive, part)
        unchanged = np.where((side == side_before).all(axis=1), unchanged + 1, 0)
        open_ = (np.abs(gradient).max(axis=1) * gain[pending] > _TOLERANCE) & (unchanged < refinements)
        if not open_.any():
            break
        if not open_.all():
            kept = np.flatnonzero(open_)
            pending, part, side, unchanged = pending[kept], part.of(kept), side[kept], unchanged[kept]
            y_p, drive, gradient = y_p[kept], drive[kept], gradient[kept]
        step = -_solved(_hessian(part.b * (side == 1)[:, None, :], part.b, part.rho2), gradient)
        y[pending] = y_p + _step_length(part, y_p, drive, side, gradient, step)[:, None] * step
        iterations[pending] += 1
    return y, iterations


def _step_length(
    problem: QuadraticProblem,
    y: FloatArray,
    drive: FloatArray,
    side: npt.NDArray[np.int8],
    gradient: FloatArray,
    step: FloatArray,
) -> FloatArray:
    """How far to go along `step`, per frame: the full step where it is exact or undershoots, else to the minimum."""
    turn: FloatArray = np.matmul(step[:, None, :], problem.b)[:, 0]  # change of the drive
    length = np.ones(len(y))
    leaves = ~(_side(drive + turn, problem) == side).all(axis=1)
    if not leaves.any():  # one Newton step is exact within a piece
        return length
    rest = dot(problem.rho2 * y - problem.tau, step)
    growth = problem.rho2[:, 0] * dot(step, step)
    slope = dot(np.clip(drive + turn, problem.low, problem.high), turn) + rest + growth
    search = np.flatnonzero(leaves & ((slope > 0.0) | (slope < _SHORT * dot(gradient, step))))
    if len(search):
        length[search] = _minimum_along(
            drive[search], turn[search], problem.low[search], problem.high[search], rest[search], growth[search]
        )
    return length


def _minimum_along(
    drive: FloatArray, turn: FloatArray, low: FloatArray, high: FloatArray, rest: FloatArray, growth: FloatArray
) -> FloatArray:
    """The step length at which the objective is least, per frame.

    Its slope clip(drive + t turn) . turn + rest + t growth is continuous, piecewise linear and increasing, with a kink
    wherever a muscle reaches or leaves a bound. The slopes at all kinks follow from one sum over the sorted kinks.
    """
    frames = np.arange(len(turn))
    moving = np.abs(turn) > _TINY
    divisor = np.where(moving, turn, 1.0)
    to_low, to_high = (low - drive) / divisor, (high - drive) / divisor
    # A muscle is free from the first of its two kinks to the second.
    kinks = np.concatenate([np.minimum(to_low, to_high), np.maximum(to_low, to_high)], axis=1)
    square = np.where(moving, turn * turn, 0.0)
    change = np.concatenate([square, -square], axis=1)  # of the steepness
    behind = kinks <= 0.0
    steepness = growth + np.where(behind, change, 0.0).sum(axis=1)
    kinks[behind | ~np.concatenate([moving, moving], axis=1)] = np.inf
    order = np.argsort(kinks, axis=1, kind="stable")
    kinks = kinks[frames[:, None], order]
    ahead = np.isfinite(kinks)
    change = np.where(ahead, change[frames[:, None], order], 0.0)
    place = np.where(ahead, kinks, 0.0)

    def slope(length: FloatArray) -> FloatArray:
        return dot(np.clip(drive + length[:, None] * turn, low, high), turn) + rest + growth * length

    before = np.concatenate([np.zeros((len(turn), 1)), place[:, :-1]], axis=1)
    steepnesses = steepness[:, None] + np.cumsum(change, axis=1) - change  # from `before` to `place`
    slopes = slope(np.zeros(len(turn)))[:, None] + np.cumsum(
        np.where(ahead, steepnesses * (place - before), 0.0), axis=1
    )
    rises = ~ahead | (slopes >= 0.0)
    none = ~rises.any(axis=1)
    last = kinks.shape[1] - 1
    first = np.where(none, last, rises.argmax(axis=1))  # the first kink at which the objective rises
    begin = np.where(none, place[:, last], before[frames, first])
    end = np.where(none, np.inf, kinks[frames, first])
    # The steepness of the piece from the muscles that are free in its middle: the sum above has rounding errors.
    middle = drive + np.where(np.isinf(end), 2.0 * begin + 1.0, 0.5 * (begin + end))[:, None] * turn
    steepness = growth + np.where((middle > low) & (middle < high), square, 0.0).sum(axis=1)
    return np.clip(begin - slope(begin) / np.where(steepness > 0.0, steepness, 1.0), begin, end)
