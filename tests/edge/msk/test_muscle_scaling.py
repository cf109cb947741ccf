import numpy as np
import pytest

from edge.msk.geometry import Geometry
from edge.msk.length_functions import Length, LengthPolynomial, LengthSpline, monomial_exponents, spline_shape
from edge.msk.muscle_scaling import add_polynomial

LOW, HIGH = np.array([-1.0, -1.5, 0.2]), np.array([1.0, 0.5, 0.9])
NAMES = ("a", "b", "c")
RANGES = {n: (float(lo), float(hi)) for n, lo, hi in zip(NAMES, LOW, HIGH, strict=True)}
RNG = np.random.default_rng(3)


def some_length(kind: str, n: int) -> Length:
    if kind == "spline":
        intervals = (5, 2, 1)[:n]
        return LengthSpline(
            NAMES[:n], intervals, tuple(RNG.normal(size=int(np.prod(spline_shape(intervals)))).tolist())
        )
    degree = int(kind)
    return LengthPolynomial(NAMES[:n], degree, tuple(RNG.normal(size=len(monomial_exponents(n, degree))).tolist()))


@pytest.mark.parametrize("kind", ["spline", "1", "3", "6"])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_polynomial_is_added_exactly(kind: str, n: int, degree: int) -> None:
    """To a polynomial of lower and of higher degree, and to a spline: at every angle and in every derivative."""
    length = some_length(kind, n)
    coefficients = RNG.normal(size=len(monomial_exponents(n, degree)))
    total = add_polynomial(length, degree, coefficients, RANGES)
    added = LengthPolynomial(NAMES[:n], degree, tuple(coefficients.tolist()))
    assert type(total) is type(length)
    q = LOW[:n] + RNG.random((60, n)) * (HIGH - LOW)[:n]
    q = np.concatenate([q, LOW[None, :n], HIGH[None, :n]])
    lengths, arms = Geometry.build(NAMES[:n], [length, added, total], LOW[:n], HIGH[:n]).evaluate(q)
    np.testing.assert_allclose(lengths[:, 2], lengths[:, 0] + lengths[:, 1], atol=1e-12)
    np.testing.assert_allclose(arms[:, 2], arms[:, 0] + arms[:, 1], atol=1e-11)


def test_the_angles_of_a_muscle_may_stand_in_any_order() -> None:
    length = LengthSpline(("b", "a"), (2, 3), tuple(RNG.normal(size=30).tolist()))
    coefficients = np.array([0.0, 0.0, 1.0])  # constant, a, b: the first of the muscle's own angles
    total = add_polynomial(length, 1, coefficients, RANGES)
    q = np.array([[0.3, -0.2], [-0.4, 0.1]])
    lengths, _ = Geometry.build(NAMES[:2], [length, total], LOW[:2], HIGH[:2]).evaluate(q)
    np.testing.assert_allclose(lengths[:, 1] - lengths[:, 0], q[:, 1], atol=1e-12)
