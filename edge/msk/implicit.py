"""Integration of many scalar differential equations given in implicit form: residual(y, dy/dt) = 0 at each time.

Muscles are stiff (a tendon and a fibre settle within a millisecond) and their force balance gives the velocity only
implicitly. So each step is one of an L-stable, singly diagonally implicit Runge-Kutta method of order 4 (Hairer & Wanner 1996,
Solving Ordinary Differential Equations II, table IV.6.5): its stages are scalar equations, whose roots can be bracketed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge.msk.roots import follow_root
from edge.msk.spline import FloatArray

Residual = Callable[[FloatArray, FloatArray], FloatArray]

_GAMMA = 0.25
_STAGES = (  # the earlier stages' weights in each stage
    (),
    (1 / 2,),
    (17 / 50, -1 / 25),
    (371 / 1360, -137 / 2720, 15 / 544),
    (25 / 24, -49 / 48, 125 / 16, -85 / 12),
)
_TIMES = (1 / 4, 3 / 4, 11 / 20, 1 / 2, 1.0)
_ERROR = (-3 / 16, -27 / 32, 25 / 32, 0.0, 1 / 4)  # against the embedded method of order 3
_SAFETY, _SMALLEST_FACTOR, _LARGEST_FACTOR = 0.9, 0.2, 4.0
_SMALLEST_STEP = 2.0**-12  # of the interval between two samples; it is taken whatever its error: y may jump
_ROOT = 1e-4  # of the tolerance of a step: to what a stage is solved
_NUDGE = 1e-6  # of the range of y: for a difference quotient
_FLATTEST = 1e-15  # slope, so that a guess has one


def integrate(
    equation: Callable[[float], Residual],
    time_s: FloatArray,
    start: FloatArray,
    start_rate: FloatArray,
    *,
    low: float,
    high: float,
    tolerance: float,
) -> tuple[FloatArray, FloatArray]:
    """y and dy/dt, both (times, n), at `time_s` from y = `start` and dy/dt = `start_rate` (n,) at the first of them.

    equation(t) gives the residual(y, rate) -> (n,) at that time: its element i depends on y_i and rate_i alone and increases
    with both. y stays within low and high: where the equation would drive it out, it rests at the bound. `tolerance`: of y
    in a step, for the largest error of all elements. Steps end at every time of `time_s`, where what drives the equation
    may have a kink.
    """
    y = np.clip(start, low, high)
    stepper = _Stepper(equation, np.full(y.shape, low), np.full(y.shape, high), _ROOT * tolerance)
    rate = start_rate
    values, rates = [y], [rate]
    step = np.inf
    for begin, end in zip(time_s[:-1].tolist(), time_s[1:].tolist(), strict=True):
        t = begin
        smallest = _SMALLEST_STEP * (end - begin)
        while t < end:
            left = end - t
            h = left if step >= left or left <= smallest else max(min(step, 0.5 * left), smallest)
            y_next, rate_next, error = stepper.step(t, h, y, rate)
            ratio = float(np.max(np.abs(error), initial=0.0)) / tolerance
            factor = _SAFETY * ratio**-0.25 if ratio > 0.0 else _LARGEST_FACTOR
            step = h * min(max(factor, _SMALLEST_FACTOR), _LARGEST_FACTOR)
            if not ratio > 1.0 or h <= smallest:
                y, rate = y_next, rate_next
                t = end if h == left else t + h
        values.append(y)
        rates.append(rate)
    return np.stack(values), np.stack(rates)


class _Stepper:
    def __init__(
        self, equation: Callable[[float], Residual], low: FloatArray, high: FloatArray, root_tolerance: float
    ) -> None:
        self._equation = equation
        self._low = low
        self._high = high
        self._root_tolerance = root_tolerance

    def step(self, t: float, h: float, y: FloatArray, rate: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """y and its rate a step h later, and the estimated error of y."""
        reach = h * _GAMMA
        rates: list[FloatArray] = []
        value = y
        slope: FloatArray | None = None
        for weights, share in zip(_STAGES, _TIMES, strict=True):
            base = y + h * sum((w * k for w, k in zip(weights, rates, strict=True)), np.zeros_like(y))
            residual = self._equation(t + share * h)

            def of_value(x: FloatArray, base: FloatArray = base, residual: Residual = residual) -> FloatArray:
                return residual(x, (x - base) / reach)

            near = np.clip(base + reach * rate, self._low, self._high)
            if slope is None:
                slope = self._slope(of_value, near)
            value, slope = follow_root(of_value, near, slope, self._low, self._high, tolerance=self._root_tolerance)
            rate = (value - base) / reach
            rates.append(rate)
        error = h * sum((e * k for e, k in zip(_ERROR, rates, strict=True)), np.zeros_like(y))
        return value, rate, error

    def _slope(self, function: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
        nudge = _NUDGE * (self._high - self._low)
        return np.maximum((function(x + nudge) - function(x - nudge)) / (2.0 * nudge), _FLATTEST)
