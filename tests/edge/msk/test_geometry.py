import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.msk.geometry import Geometry, LengthPolynomial, monomial_exponents
from edge.msk.model import load_model

LEG = load_model("leg9")


def states(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return LEG.lower_rad + rng.random((count, 3)) * (LEG.upper_rad - LEG.lower_rad)


def test_moment_arm_is_minus_the_derivative_of_the_length() -> None:
    """By complex step, which has no cancellation: exact to rounding."""
    q = states(500)
    _, arms = LEG.geometry.evaluate(q)
    for j in range(3):
        for m, muscle in enumerate(LEG.muscles):
            stepped = q.astype(complex)
            stepped[:, j] += 1e-30j
            columns = [LEG.joint_names.index(name) for name in muscle.length.joints]
            length = sum(
                c * np.prod(stepped[:, columns] ** np.array(e), axis=1)
                for c, e in zip(muscle.length.coefficients_m, muscle.length.exponents, strict=True)
            )
            np.testing.assert_allclose(arms[:, m, j], -length.imag / 1e-30, atol=1e-12)


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


def test_a_state_has_the_same_bits_alone_and_among_others() -> None:
    """A replay, one state at a time, and an evaluation, all at once, must agree exactly."""
    q = states(300, seed=3)
    lengths, arms = LEG.geometry.evaluate(q)
    for i in range(len(q)):
        length, arm = LEG.geometry.evaluate(q[i])
        np.testing.assert_array_equal(length, lengths[i])
        np.testing.assert_array_equal(arm, arms[i])
        np.testing.assert_array_equal(LEG.geometry.evaluate(q[i : i + 1])[1][0], arms[i])


def test_shapes() -> None:
    for shape in ((3,), (1, 3), (4, 3), (2, 5, 3), (0, 3)):
        length, arms = LEG.geometry.evaluate(np.zeros(shape))
        assert length.shape == (*shape[:-1], 9)
        assert arms.shape == (*shape[:-1], 9, 3)


def test_muscles_of_different_joints_share_one_table() -> None:
    geometry = Geometry.build(
        ("a", "b"),
        [
            LengthPolynomial(("b",), ((0,), (1,), (2,)), (1.0, 2.0, 3.0)),
            LengthPolynomial(("b", "a"), ((0, 0), (1, 2)), (5.0, 7.0)),
        ],
    )
    length, arms = geometry.evaluate(np.array([0.5, -2.0]))
    np.testing.assert_allclose(length, [1.0 - 4.0 + 12.0, 5.0 + 7.0 * -2.0 * 0.25])
    np.testing.assert_allclose(arms, [[0.0, -(2.0 + 6.0 * -2.0)], [-7.0 * -2.0 * 2 * 0.5, -7.0 * 0.25]])


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


def test_stored_fit_errors_hold_on_new_states(data: Path, opensim: object) -> None:
    """The errors that the model file states, against OpenSim at states that the fit never saw."""
    from tools.import_opensim import LEG_PLAN, OpenSimLeg

    leg = OpenSimLeg(data / "gait10_walk" / "model.osim", "r", LEG_PLAN, ("pelvis_tilt", ("pelvis_tx", "pelvis_ty")))
    q = states(400, seed=99)
    length, arms = LEG.geometry.evaluate(q)
    for m, muscle in enumerate(LEG.muscles):
        true_length, true_arms = leg.path_samples(leg.model.getMuscles().get(f"{muscle.name}_r"), q)
        crossed = [LEG.joint_names.index(j) for j in muscle.length.joints]
        arm_error = (arms[:, m] - true_arms)[:, crossed] * 1e3
        assert np.sqrt(((length[:, m] - true_length) ** 2).mean()) * 1e3 <= 1.2 * muscle.fit["length_rms_mm"] + 1e-4
        assert np.sqrt((arm_error**2).mean()) <= 1.25 * muscle.fit["moment_arm_rms_mm"] + 1e-3, muscle.name
        assert np.abs(arm_error).max() <= 1.3 * muscle.fit["moment_arm_max_mm"] + 0.02, muscle.name
        others = [j for j in range(3) if j not in crossed]
        assert np.abs(true_arms[:, others]).max(initial=0.0) < 5e-5, "a joint that the model says is not crossed"
