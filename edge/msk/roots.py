"""Roots of many scalar equations at once: force balances and steps of an implicit integration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge.msk.spline import FloatArray

Function = Callable[[FloatArray], FloatArray]

_MAX_ITERATIONS = 100  # bisection alone needs 60 for a double; Chandrupatla's mixture never needs many more
_FEW = 8  # steps of a secant that starts close
_EPSILON = float(np.finfo(np.float64).eps)


def find_root(function: Function, low: FloatArray, high: FloatArray, *, tolerance: float = 1e-14) -> FloatArray:
    """Where each element of `function` crosses zero from below between `low` and `high`, arrays of one shape.

    An element that is not negative at `low` gives `low`, one that is not positive at `high` gives `high`: the answer of
    an equation under bounds. The roots are found to `tolerance` or a few units in the last place, whichever is larger, by
    inverse quadratic interpolation and bisection in Chandrupatla's mixture (1997, Advances in Engineering Software 28:145).
    """
    a, b = low, high
    f_a, f_b = function(a), function(b)
    answer = np.where(f_a >= 0.0, a, b)
    pending = (f_a < 0.0) & (f_b > 0.0)
    share = np.full(answer.shape, 0.5)
    for _ in range(_MAX_ITERATIONS):
        a_is_best = np.abs(f_a) < np.abs(f_b)
        best, f_best = np.where(a_is_best, a, b), np.where(a_is_best, f_a, f_b)
        width = np.where(pending, np.abs(b - a), 1.0)
        limit = (2.0 * _EPSILON * np.abs(best) + 0.5 * tolerance) / width
        answer = np.where(pending, best, answer)
        pending &= (limit < 0.5) & (f_best != 0.0)
        if not pending.any():
            break
        x = np.where(pending, a + np.clip(share, limit, np.maximum(1.0 - limit, limit)) * (b - a), answer)
        f_x = function(x)
        same = (f_x > 0.0) == (f_a > 0.0)
        c, f_c = np.where(same, a, b), np.where(same, f_a, f_b)
        b, f_b = np.where(same, b, a), np.where(same, f_b, f_a)
        a, f_a = x, f_x
        share = _interpolated(a, f_a, b, f_b, c, f_c)
    return answer


def _interpolated(
    a: FloatArray, f_a: FloatArray, b: FloatArray, f_b: FloatArray, c: FloatArray, f_c: FloatArray
) -> FloatArray:
    """Where between a (0) and b (1) to look next: the inverse parabola where it is monotone between them, else the middle."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        xi = (a - b) / (c - b)
        phi = (f_a - f_b) / (f_c - f_b)
        parabola = f_a / (f_b - f_a) * f_c / (f_b - f_c) + (c - a) / (b - a) * f_a / (f_c - f_a) * f_b / (f_c - f_b)
        good = (phi**2 < xi) & ((1.0 - phi) ** 2 < 1.0 - xi)
    return np.where(good & np.isfinite(parabola), parabola, 0.5)


def follow_root(
    function: Function,
    near: FloatArray,
    slope: FloatArray,
    low: FloatArray,
    high: FloatArray,
    *,
    tolerance: float,
) -> tuple[FloatArray, FloatArray]:
    """The root of `find_root` from a guess of it and of the function's slope (positive) there: both, as found.

    A secant within the bounds: three evaluations where the guess is good. Where it does not settle `find_root` decides.
    """
    x = np.clip(near, low, high)
    f_x = function(x)
    for _ in range(_FEW):
        # Next to the root a difference of the function is rounding error: the slope stays.
        following = np.clip(x - f_x / slope, low, high)
        moved = following - x
        f_following = function(following)
        far = np.abs(moved) > tolerance
        secant = (f_following - f_x) / np.where(far, moved, 1.0)
        slope = np.where(far & (secant > 0.0), secant, slope)
        x, f_x = following, f_following
        following = np.clip(x - f_x / slope, low, high)
        if np.all(np.abs(following - x) <= tolerance):
            return following, slope
    return find_root(function, low, high, tolerance=tolerance), slope
