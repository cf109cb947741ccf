import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from edge.msk.spline import Spline

KNOTS = np.array([-1.2, -0.7, -0.1, 0.4, 0.5, 1.1])
VALUES = np.random.default_rng(1).normal(size=(6, 2))


def test_is_the_natural_cubic_spline_with_its_derivatives() -> None:
    reference = CubicSpline(KNOTS, VALUES, bc_type="natural")
    x = np.linspace(KNOTS[0], KNOTS[-1], 501)
    for order, got in enumerate(Spline(KNOTS, VALUES).evaluate(x)):
        np.testing.assert_allclose(got, reference(x, order), atol=1e-11)


def test_continues_as_a_straight_line() -> None:
    spline = Spline(KNOTS, VALUES)
    for end, sign in ((KNOTS[0], -1.0), (KNOTS[-1], 1.0)):
        value, slope, _ = spline.evaluate(np.array([end]))
        far, far_slope, far_curvature = spline.evaluate(np.array([end + sign * 5.0]))
        np.testing.assert_allclose(far, value + sign * 5.0 * slope, atol=1e-12)
        np.testing.assert_allclose(far_slope, slope, atol=1e-12)
        np.testing.assert_array_equal(far_curvature, 0.0)


def test_one_knot_is_a_constant_and_two_are_a_line() -> None:
    value, slope, curvature = Spline(np.zeros(1), np.array([[3.0, 4.0]])).evaluate(np.array([-9.0, 0.0, 9.0]))
    np.testing.assert_array_equal(value, [[3.0, 4.0]] * 3)
    assert not slope.any()
    assert not curvature.any()
    value, slope, _ = Spline(np.array([0.0, 2.0]), np.array([[0.0], [6.0]])).evaluate(np.array([-1.0, 1.0, 3.0]))
    np.testing.assert_allclose(value[:, 0], [-3.0, 3.0, 9.0])
    np.testing.assert_allclose(slope, 3.0)


def test_keeps_the_shape_of_its_argument() -> None:
    for shape in ((), (3,), (2, 5), (0,)):
        assert Spline(KNOTS, VALUES).evaluate(np.zeros(shape))[0].shape == (*shape, 2)


def test_equal_when_knots_and_values_are() -> None:
    assert Spline(KNOTS, VALUES) == Spline(KNOTS.copy(), VALUES.copy())
    assert hash(Spline(KNOTS, VALUES)) == hash(Spline(KNOTS.copy(), VALUES.copy()))
    assert Spline(KNOTS, VALUES) != Spline(KNOTS, VALUES + 1e-9)
    assert Spline(KNOTS, VALUES) != 1


@pytest.mark.parametrize(
    ("knots", "values"),
    [
        (np.array([0.0, 0.0]), np.zeros((2, 2))),
        (np.array([1.0, 0.0]), np.zeros((2, 2))),
        (np.array([0.0, np.nan]), np.zeros((2, 2))),
        (np.array([0.0, 1.0]), np.full((2, 2), np.inf)),
        (np.array([0.0, 1.0]), np.zeros((3, 2))),
        (np.array([0.0, 1.0]), np.zeros(2)),
        (np.zeros(0), np.zeros((0, 2))),
        (np.zeros((2, 2)), np.zeros((2, 2))),
    ],
)
def test_refuses_what_is_no_spline(knots: np.ndarray, values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="knots"):
        Spline(knots, values)
