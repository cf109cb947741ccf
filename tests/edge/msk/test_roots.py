import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.msk.roots import Function, find_root, follow_root


def counted(function: Function) -> tuple[Function, list[np.ndarray]]:
    calls: list[np.ndarray] = []

    def wrapper(x: np.ndarray) -> np.ndarray:
        calls.append(x)
        return function(x)

    return wrapper, calls


@given(root=st.floats(-0.999, 0.999), power=st.sampled_from([1, 3, 5]), steepness=st.floats(0.01, 100.0))
def test_root_of_a_monotone_function(root: float, power: int, steepness: float) -> None:
    function = lambda x: np.sinh(steepness * (x - root)) + (x - root) ** power  # noqa: E731
    with np.errstate(over="ignore"):
        found = find_root(function, np.array([-1.0]), np.array([1.0]))
    assert found[0] == pytest.approx(root, abs=2e-14)


def test_many_equations_at_once() -> None:
    roots = np.random.default_rng(0).uniform(-1, 1, (50, 40))
    function, calls = counted(lambda x: np.exp(3.0 * x) - np.exp(3.0 * roots))
    found = find_root(function, np.full(roots.shape, -2.0), np.full(roots.shape, 2.0))
    np.testing.assert_allclose(found, roots, rtol=0, atol=1e-14)
    assert len(calls) < 20


def test_bounds_hold_where_the_function_does_not_cross_zero() -> None:
    low, high = np.array([0.0, 0.0, 0.0, 0.5]), np.array([1.0, 1.0, 1.0, 0.5])
    found = find_root(lambda x: x - np.array([-3.0, 3.0, 0.25, 0.7]), low, high)
    np.testing.assert_allclose(found, [0.0, 1.0, 0.25, 0.5], atol=1e-14)


def test_roots_at_the_bounds_and_flat_functions() -> None:
    low, high = np.zeros(3), np.ones(3)
    assert find_root(lambda x: x, low, high).tolist() == [0.0, 0.0, 0.0]
    assert find_root(lambda x: x - 1.0, low, high).tolist() == [1.0, 1.0, 1.0]
    assert np.isfinite(find_root(np.zeros_like, low, high)).all()


def test_step_function_is_bisected() -> None:
    function, calls = counted(lambda x: np.where(x < 0.3, -1.0, 1e9))
    assert find_root(function, np.zeros(1), np.ones(1))[0] == pytest.approx(0.3, abs=1e-13)
    assert len(calls) < 100


def test_following_needs_few_evaluations() -> None:
    roots = np.linspace(0.2, 0.8, 7)
    function, calls = counted(lambda x: np.exp(2.0 * (x - roots)) - 1.0)
    found, slope = follow_root(function, roots + 1e-3, np.full(7, 2.1), np.zeros(7), np.ones(7), tolerance=1e-10)
    np.testing.assert_allclose(found, roots, atol=1e-10)
    np.testing.assert_allclose(slope, 2.0, atol=1e-2)
    assert len(calls) <= 4


def test_following_from_a_bad_guess_finds_the_same_root() -> None:
    roots = np.array([0.25, 0.5, -1.0, 2.0])
    function = lambda x: np.arctan(50.0 * (x - roots))  # noqa: E731
    found, _ = follow_root(
        function, np.array([0.9, 0.1, 0.5, 0.5]), np.full(4, 1e-3), np.zeros(4), np.ones(4), tolerance=1e-12
    )
    np.testing.assert_allclose(found, [0.25, 0.5, 0.0, 1.0], atol=1e-11)
