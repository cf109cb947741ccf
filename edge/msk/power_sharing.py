"""Static optimisation with any exponent p >= 1: Newton's method whose every step is an exact quadratic program.

Per frame, over the efforts u = w^(1/p) a of the muscles:

    min  F(u) = sum_m u_m^p + sum_j (r_j / rho)^2    subject to   B u + r = tau,   low <= u <= high

A step minimises the second-order model of sum u^p, with the reserves and the bounds as they are (`quadratic_sharing`), and
goes along it to where F is least. To the curvature p (p - 1) u^(p - 2) a proximal term kappa is added (Rockafellar 1976, SIAM
J. Control Optim. 14:877): with p = 1 there is no curvature at all, and with a large p none in a muscle at rest. It shrinks
where it slows the steps down. F is convex and every step descends, so that the method converges from any start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edge.msk.quadratic_sharing import BoolArray, IntArray, QuadraticProblem, dot, solve_dual, torque_of
from edge.msk.roots import find_root
from edge.msk.spline import FloatArray

_MAX_ITERATIONS = 50
_DECREMENT = 1e-20  # of the cost that a step may still win, relative to the cost
_NEGLIGIBLE = 1e-28  # the same, relative to all muscles at their upper bounds: beyond what the torque's digits tell
_ROUNDING = 1e-13  # below this a decrement that no longer falls is rounding
_STALLED = 4  # steps without a fall
_KAPPA, _LEAST_KAPPA = 1e-3, 1e-9
_SLOW = 0.3  # a full step that leaves this share of the slope was held back by kappa
_FLAT = 1e-3  # a full step whose slope is below this share is taken
_LENGTH = 1e-6  # digits of the step length
_TINY = 1e-200
_REFINEMENTS = 1
_SMOOTHED = 1e-12  # an effort below which u^p, p < 2, is continued as a parabola: its curvature is infinite at zero
_LEAST_RISE = 1e-9
_LEAST_EFFORT, _LEAST_COST = 1e-6, 1e-60  # of those at the upper bounds: the smallest that have a scale of their own


@dataclass(frozen=True)
class _Cost:
    """Half of u^p: slope and curvature, and where its slope equals a drive."""

    p: float

    @property
    def kappa(self) -> float:
        """The proximal term to begin with: enough for a tenth of curvature where the effort is one."""
        return max(_KAPPA, 0.1 - 0.5 * self.p * (self.p - 1.0))

    def slopes(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        p = self.p
        if p == 1.0:
            return np.full_like(u, 0.5), np.zeros_like(u)
        if p > 2.0:
            power = u ** (p - 2.0)
            return 0.5 * p * power * u, 0.5 * p * (p - 1.0) * power
        above = np.maximum(u, _SMOOTHED)
        slope = 0.5 * p * above ** (p - 1.0)
        small = u < _SMOOTHED
        return np.where(small, slope * u / _SMOOTHED, slope), np.where(small, slope, (p - 1.0) * slope) / above

    def softened(
        self, curvature: FloatArray, slope: FloatArray, u: FloatArray, drive: FloatArray, problem: QuadraticProblem
    ) -> FloatArray:
        """The curvature, or less in a muscle that its drive calls up from near rest: the secant to where it calls it.

        With p < 2 the curvature at rest is infinite, and steps that believed in it would be short.
        """
        wanted = self.response(drive, problem.low, problem.high)
        rise = wanted - u
        secant = np.divide(self.slopes(wanted)[0] - slope, rise, out=np.full_like(u, np.inf), where=rise > _LEAST_RISE)
        return np.minimum(curvature, secant)

    def response(self, drive: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
        """The efforts that the drive B^T y makes best."""
        if self.p == 1.0:
            return np.where(drive > 0.5, high, low)
        largest = 0.5 * self.p * high ** (self.p - 1.0)
        effort: FloatArray = (np.clip(drive, 0.0, largest) * (2.0 / self.p)) ** (1.0 / (self.p - 1.0))
        return np.clip(effort, low, high)


def solve_power(
    problem: QuadraticProblem, p: float, start: FloatArray | None
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Efforts (frames, muscles), multipliers r / rho^2 (frames, rows) and Newton steps (frames,); low >= 0, p >= 1.

    start: multipliers (frames, rows) near the answer; it is taken where it is better than the answer of p = 2.
    """
    cost = _Cost(p)
    y, _ = solve_dual(problem, problem.start(), refinements=1)
    u = np.clip(problem.drive(y), problem.low, problem.high)
    scale = _scale(problem, u, p)
    scaled = _scaled(problem, scale, p)
    u, y = u / scale, y / scale
    if start is not None:
        given, y_given = _after_one_step(scaled, cost, start / scale ** (p - 1.0))
        better = (_value(scaled, given, p) < _value(scaled, u, p))[:, None]
        u, y = np.where(better, given, u), np.where(better, y_given, y)
    u, y, iterations = _newton(scaled, cost, u, y)
    return np.clip(u * scale, problem.low, problem.high), y * scale ** (p - 1.0), iterations


def _after_one_step(problem: QuadraticProblem, cost: _Cost, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The efforts of given multipliers after a Newton step, which makes them carry the torque; and its multipliers."""
    return _plain_step(problem, cost, cost.response(problem.drive(y), problem.low, problem.high), y)


def _plain_step(problem: QuadraticProblem, cost: _Cost, u: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A full Newton step."""
    slope, curvature = cost.slopes(u)
    _, step, y = _step(problem, u, slope, curvature + cost.kappa, problem.tau - torque_of(problem.b, u), y)
    return np.clip(u + step, problem.low, problem.high), y


def _scale(problem: QuadraticProblem, u: FloatArray, p: float) -> FloatArray:
    """The size of the efforts (frames, 1), so that the method's thresholds mean the same for a rest and for a jump."""
    scale = u.max(axis=1, initial=0.0, keepdims=True)
    if p > 2.0:  # no smaller than leaves the reserves' cost of the order of one
        reserve = problem.tau - torque_of(problem.b, u)
        scale = np.maximum(scale, (dot(reserve, reserve)[:, None] / problem.rho2) ** (1.0 / p))
    least = max(_LEAST_EFFORT, _LEAST_COST ** (1.0 / p)) * problem.high.max(axis=1, initial=0.0, keepdims=True)
    return np.where(least > 0.0, np.maximum(scale, least), 1.0)


def _scaled(problem: QuadraticProblem, scale: FloatArray, p: float) -> QuadraticProblem:
    """The problem over u / scale, its cost divided by scale^p."""
    return QuadraticProblem(
        b=problem.b,
        tau=problem.tau / scale,
        low=problem.low / scale,
        high=problem.high / scale,
        rho2=problem.rho2 * scale ** (p - 2.0),
    )


def _value(problem: QuadraticProblem, u: FloatArray, p: float) -> FloatArray:
    reserve = problem.tau - torque_of(problem.b, u)
    return np.asarray((u**p).sum(axis=1) + dot(reserve, reserve) / problem.rho2[:, 0])


def _newton(
    problem: QuadraticProblem, cost: _Cost, u: FloatArray, y: FloatArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    u, y = u.copy(), y.copy()
    iterations = np.zeros(len(u), dtype=np.intp)
    pending = np.arange(len(u))
    part = problem
    kappa = np.full((len(u), 1), cost.kappa)
    least = np.full(len(u), np.inf)
    stalled = np.zeros(len(u), dtype=np.intp)
    negligible = _NEGLIGIBLE * (problem.high**cost.p).max(axis=1, initial=0.0)
    lowered = np.zeros(len(u), dtype=np.bool_)
    for _ in range(_MAX_ITERATIONS):
        before = u[pending]
        slope, curvature = cost.slopes(before)
        reserve = part.tau - torque_of(part.b, before)
        value = dot(before, slope) * (2.0 / cost.p) + dot(reserve, reserve) / part.rho2[:, 0]
        if cost.p < 2.0:
            curvature = cost.softened(curvature, slope, before, part.drive(y[pending]), part)
        drive, step, y[pending] = _step(part, before, slope, curvature + kappa, reserve, y[pending])
        length, decrement, slow = _step_length(part, cost, before, step, slope - drive, drive)
        u[pending] = np.clip(before + length * step, part.low, part.high)
        iterations[pending] += 1

        eased = slow & (kappa[:, 0] > _LEAST_KAPPA)
        stalled = np.where((decrement < 0.5 * least) | eased, 0, stalled + 1)
        least = np.minimum(least, decrement)
        open_ = (decrement > _DECREMENT * value + negligible[pending]) & (
            (stalled < _STALLED) | (decrement > _ROUNDING * value)
        )
        if not open_.any():
            break
        kappa = np.where(eased[:, None], 0.1 * kappa, kappa)
        lowered[pending[eased & open_]] = True
        if not open_.all():
            kept = np.flatnonzero(open_)
            pending, part = pending[kept], part.of(kept)
            kappa, least, stalled = kappa[kept], least[kept], stalled[kept]
    # Without kappa the steps are long where little is to be won, and rounding leaves the torques a little out of balance.
    last = np.flatnonzero(lowered)
    if len(last):
        u[last], y[last] = _plain_step(problem.of(last), cost, u[last], y[last])
        iterations[last] += 1
    return u, y, iterations


def _step(
    problem: QuadraticProblem,
    u: FloatArray,
    slope: FloatArray,
    curvature: FloatArray,
    reserve: FloatArray,
    y: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The drive B^T y, the step of u and the multipliers y that minimise the second-order model."""
    root = np.sqrt(curvature)
    model = replace(
        problem,
        b=problem.b / root[:, None, :],
        tau=reserve,
        low=(problem.low - u) * root,
        high=(problem.high - u) * root,
        offset=slope / root,
    )
    y, _ = solve_dual(model, y, _REFINEMENTS)
    drive = problem.drive(y)
    return drive, np.clip((drive - slope) / curvature, problem.low - u, problem.high - u), y


def _step_length(
    problem: QuadraticProblem, cost: _Cost, u: FloatArray, step: FloatArray, gradient: FloatArray, drive: FloatArray
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """How far to go along the step (frames, 1), half the cost that a small step would win, and whether kappa held it back.

    Half the slope of F along the step is sum step (c(u + t step) - drive) - (1 - t) |B step|^2 / rho^2, c the slope of the
    cost: the drive at the end of the step stands for the reserves, which would drown in the rounding of the torques.
    """
    torque = torque_of(problem.b, step)
    carried = dot(torque, torque) / problem.rho2[:, 0]

    def slope(length: FloatArray, of: IntArray | slice) -> FloatArray:
        at = np.clip(u[of] + length[:, None] * step[of], problem.low[of], problem.high[of])
        return dot(cost.slopes(at)[0] - drive[of], step[of]) - (1.0 - length) * carried[of]

    length = np.ones(len(u))
    decrement = np.abs(dot(gradient, step) - carried)
    full = slope(length, slice(None))
    slow = full < -_SLOW * decrement
    search = np.flatnonzero(slow | (full > _FLAT * decrement))
    if len(search):
        on = slow[search]
        moved = np.abs(step[search])
        room = np.where(step > 0.0, problem.high - u, u - problem.low)[search]
        reach = np.divide(room, moved, out=np.full_like(room, np.inf), where=moved > _TINY).min(axis=1)
        furthest = np.where(np.isfinite(reach), np.maximum(reach, 1.0), 1.0)  # to the first bound that is met
        length[search] = find_root(
            lambda at: slope(at, search), np.where(on, 1.0, 0.0), np.where(on, furthest, 1.0), tolerance=_LENGTH
        )
    return length[:, None], decrement, slow
