from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.msk.implicit import integrate

WIDE = {"low": -100.0, "high": 100.0}
Residual = Callable[[np.ndarray, np.ndarray], np.ndarray]


def towards_cosine(speed: np.ndarray) -> tuple[Callable[[float], Residual], Callable[[np.ndarray], np.ndarray]]:
    """dy/dt = -speed (y - cos t): stiff for a large speed; and its solution from y = 0."""

    def equation(t: float) -> Residual:
        return lambda y, rate: rate + speed * (y - np.cos(t))

    def solution(t: np.ndarray) -> np.ndarray:
        steady = lambda t: speed * (speed * np.cos(t) + np.sin(t)) / (speed**2 + 1.0)  # noqa: E731
        return steady(t) - steady(np.zeros(1)) * np.exp(-speed * t)

    return equation, solution


def test_stiff_and_slow_equations_together() -> None:
    speed = np.array([0.5, 10.0, 1e3, 1e6])
    equation, solution = towards_cosine(speed)
    time = np.linspace(0.0, 2.0, 21)
    y, rate = integrate(equation, time, np.zeros(4), speed, tolerance=1e-7, **WIDE)
    np.testing.assert_allclose(y, solution(time[:, None]), rtol=0, atol=1e-7)
    np.testing.assert_allclose(rate, -speed * (y - np.cos(time[:, None])), rtol=0, atol=1e-8)


def test_tolerance_is_what_it_costs() -> None:
    equation, solution = towards_cosine(np.array([3.0]))
    time = np.linspace(0.0, 5.0, 3)
    error = {}
    for tolerance in (1e-4, 1e-6, 1e-8):
        y, _ = integrate(equation, time, np.zeros(1), np.array([3.0]), tolerance=tolerance, **WIDE)
        error[tolerance] = np.abs(y - solution(time[:, None])).max()
        assert error[tolerance] < 3.0 * tolerance
    assert error[1e-8] < 1e-2 * error[1e-4]


def test_implicit_nonlinear_equation() -> None:
    """rate^3 + rate = -y: no formula for the rate; checked by its own residual and against fine Euler steps."""
    time = np.linspace(0.0, 2.0, 21)
    y, rate = integrate(
        lambda t: lambda y, rate: rate**3 + rate + y, time, np.array([2.0]), np.array([-1.0]), tolerance=1e-8, **WIDE
    )
    np.testing.assert_allclose(rate**3 + rate, -y, rtol=0, atol=1e-6)
    slope = np.gradient(y[:, 0], time, edge_order=2)
    np.testing.assert_allclose(slope, rate[:, 0], atol=2e-3)


def test_equation_without_a_rate_is_followed() -> None:
    """As a fibre's without activation and damping: y = cos t, and the rate is its derivative."""
    time = np.linspace(0.0, 2.0, 21)
    y, rate = integrate(lambda t: lambda y, rate: y - np.cos(t), time, np.ones(1), np.zeros(1), tolerance=1e-7, **WIDE)
    np.testing.assert_allclose(y[:, 0], np.cos(time), rtol=0, atol=1e-10)
    np.testing.assert_allclose(rate[:, 0], -np.sin(time), rtol=0, atol=1e-3)


def test_rests_at_a_bound_and_leaves_it() -> None:
    """dy/dt = cos t held within 0.2 and 0.8."""

    def equation(t: float) -> Residual:
        return lambda y, rate: rate - np.cos(t)

    time = np.linspace(0.0, 6.0, 601)
    y, rate = integrate(equation, time, np.array([0.5]), np.array([1.0]), low=0.2, high=0.8, tolerance=1e-6)
    expected = np.empty_like(time)
    expected[0] = 0.5
    for i in range(1, len(time)):
        expected[i] = np.clip(expected[i - 1] + np.sin(time[i]) - np.sin(time[i - 1]), 0.2, 0.8)
    np.testing.assert_allclose(y[:, 0], expected, atol=1e-2)
    assert y.min() == 0.2
    assert y.max() == 0.8
    assert np.all(np.abs(rate[(time > 1.0) & (time < 1.5)]) < 1e-6)


@settings(max_examples=20, deadline=None)
@given(start=st.floats(-1.0, 1.0), speed=st.floats(0.0, 1e5), frames=st.integers(2, 5))
def test_decay_never_overshoots(start: float, speed: float, frames: int) -> None:
    time = np.linspace(0.0, 1.0, frames)
    first = np.array([start])
    y, _ = integrate(lambda t: lambda y, rate: rate + speed * y, time, first, -speed * first, tolerance=1e-6, **WIDE)
    assert np.abs(y).max() <= abs(start) + 1e-6
    assert y[-1, 0] == pytest.approx(start * np.exp(-speed), abs=1e-5)
