import numpy as np
import pytest

from edge.msk.geometry import Geometry
from edge.msk.length_functions import LengthPolynomial, LengthSpline, monomial_exponents
from tools.length_fit import choose_length, fit_errors, fit_length, halton, jumps, sample_states

LOW, HIGH = np.array([-1.0, -1.5]), np.array([1.0, 0.5])
NAMES = ("a", "b")


def smooth(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    length = 0.3 + 0.05 * q[:, 0] - 0.02 * q[:, 0] * q[:, 1] + 0.01 * q[:, 1] ** 2
    return length, -np.stack([0.05 - 0.02 * q[:, 1], -0.02 * q[:, 0] + 0.02 * q[:, 1]], axis=1)


def kinked(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A via point that comes into touch at a = 0.2."""
    touching = q[:, 0] > 0.2
    length, arms = smooth(q)
    length = length + np.where(touching, 0.02 * (q[:, 0] - 0.2), 0.0)
    return length, arms - np.stack([np.where(touching, 0.02, 0.0), np.zeros(len(q))], axis=1)


def test_fit_finds_a_polynomial_exactly() -> None:
    q, _ = sample_states(LOW, HIGH)
    length, arms = smooth(q)
    poly = fit_length(q, length, arms, LengthPolynomial(NAMES, 3, ()), LOW, HIGH)
    found = dict(zip(monomial_exponents(2, 3), poly.coefficients_m, strict=True))
    assert found[0, 0] == pytest.approx(0.3, abs=1e-12)
    assert found[1, 1] == pytest.approx(-0.02, abs=1e-12)
    assert found[2, 1] == pytest.approx(0.0, abs=1e-12)


def test_fit_finds_a_spline_exactly() -> None:
    """Cubic splines hold every polynomial of degree three."""
    q, _ = sample_states(LOW, HIGH)
    length, arms = smooth(q)
    spline = fit_length(q, length, arms, LengthSpline(NAMES, (4, 3), ()), LOW, HIGH)
    got, got_arms = Geometry.build(NAMES, [spline], LOW, HIGH).evaluate(q)
    np.testing.assert_allclose(got[:, 0], length, atol=1e-9)
    np.testing.assert_allclose(got_arms[:, 0], arms, atol=1e-8)


def test_the_lowest_degree_that_does_is_chosen() -> None:
    q, held_out = sample_states(LOW, HIGH)
    function, fit = choose_length(NAMES, q, *smooth(q), LOW, HIGH, held_out)
    assert isinstance(function, LengthPolynomial)
    assert function.degree == 2
    assert fit["held_out_moment_arm_rms_mm"] < 1e-6


def test_a_kink_is_given_to_a_spline() -> None:
    q, held_out = sample_states(LOW, HIGH)
    length, arms = kinked(q)
    function, fit = choose_length(NAMES, q, length, arms, LOW, HIGH, held_out)
    assert isinstance(function, LengthSpline)
    assert function.intervals[0] > function.intervals[1]  # fine in the angle of the via point
    best = min(
        fit_errors(
            fit_length(q, length, arms, LengthPolynomial(NAMES, degree, ()), LOW, HIGH), q, length, arms, LOW, HIGH
        )["moment_arm_rms_mm"]
        for degree in range(2, 11)
    )
    assert fit["moment_arm_rms_mm"] < 0.85 * best


def test_jumps_are_told_from_kinks() -> None:
    q, _ = sample_states(LOW, HIGH)
    length, arms = kinked(q)
    assert not jumps(q, length, arms, LOW, HIGH).any()
    wrong = np.zeros(len(q), dtype=bool)
    wrong[[7, 400, 1200]] = True
    length = length + np.where(wrong, 0.05, 0.0)
    np.testing.assert_array_equal(jumps(q, length, arms, LOW, HIGH), wrong)
    # Where a tenth of the states lie elsewhere it is the muscle that is so.
    many = np.arange(len(q)) % 10 == 0
    assert not jumps(q, length + np.where(many, 0.05, 0.0), arms, LOW, HIGH).any()


def test_states_fill_the_range_and_its_corners() -> None:
    q, held_out = sample_states(LOW, HIGH)
    np.testing.assert_array_equal(q.min(axis=0), LOW)
    np.testing.assert_array_equal(q.max(axis=0), HIGH)
    assert 0.08 < held_out.mean() < 0.1
    assert (q[held_out] > LOW).all()
    points = halton(1000, 6)
    assert points.shape == (1000, 6)
    np.testing.assert_allclose(points.mean(axis=0), 0.5, atol=0.01)
    np.testing.assert_allclose(np.corrcoef(points.T), np.eye(6), atol=0.06)


def test_too_few_states() -> None:
    q = np.zeros((2, 2))
    with pytest.raises(ValueError, match="too few for a polynomial of degree 8"):
        fit_length(q, np.zeros(2), q, LengthPolynomial(NAMES, 8, ()), LOW, HIGH)
