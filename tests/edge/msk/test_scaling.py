import numpy as np
import pytest

from edge.msk.dynamics import Kinematics, inverse_dynamics, joint_centers
from edge.msk.hill import HillMuscles
from edge.msk.model import load_model, model_from_dict
from edge.msk.scaling import LEG_LENGTH_PER_HEIGHT, scale_uniformly

LEG = load_model("leg9")
RNG = np.random.default_rng(0)
Q = LEG.lower_rad + RNG.random((30, 3)) * (LEG.upper_rad - LEG.lower_rad)
ZERO = np.zeros(30)
STILL = Kinematics(Q, 0 * Q, 0 * Q, ZERO, ZERO, ZERO, np.zeros((30, 2)))


def test_nothing_given_changes_nothing() -> None:
    assert scale_uniformly(LEG) is LEG
    assert scale_uniformly(LEG, mass_kg=LEG.mass_kg, leg_length_m=LEG.leg_length_m) is LEG


def test_lengths_and_moment_arms_grow_with_the_leg() -> None:
    big = scale_uniformly(LEG, leg_length_m=1.1 * LEG.leg_length_m)
    for ours, theirs in zip(big.geometry.evaluate(Q), LEG.geometry.evaluate(Q), strict=True):
        np.testing.assert_allclose(ours, 1.1 * theirs, atol=1e-11)
    np.testing.assert_allclose(joint_centers(big, Q, ZERO), 1.1 * joint_centers(LEG, Q, ZERO), atol=1e-12)
    assert big.leg_length_m == pytest.approx(1.1 * LEG.leg_length_m)
    assert big.base.joint_offset_m == pytest.approx([1.1 * v for v in LEG.base.joint_offset_m])


def test_fibres_keep_their_place_on_the_force_curves() -> None:
    big = scale_uniformly(LEG, mass_kg=100.0, leg_length_m=1.0)
    rate = RNG.normal(size=(30, 3))
    ours, theirs = HillMuscles.of(big).evaluate(Q, rate), HillMuscles.of(LEG).evaluate(Q, rate)
    np.testing.assert_allclose(ours.fiber_length, theirs.fiber_length, atol=1e-12)
    np.testing.assert_allclose(ours.optimal_force_n, theirs.optimal_force_n, rtol=1e-9)


def test_torques_scale_with_mass_gravity_and_leg_length() -> None:
    person = scale_uniformly(LEG, mass_kg=95.0, leg_length_m=1.0)
    np.testing.assert_allclose(
        inverse_dynamics(person, STILL) / person.torque_scale_nm,
        inverse_dynamics(LEG, STILL) / LEG.torque_scale_nm,
        atol=1e-12,
    )


def test_inertia_scales_with_mass_and_length_squared() -> None:
    person = scale_uniformly(LEG, mass_kg=2 * LEG.mass_kg, leg_length_m=3 * LEG.leg_length_m)
    for ours, theirs in zip(person.segments, LEG.segments, strict=True):
        assert ours.mass_kg == pytest.approx(2 * theirs.mass_kg)
        assert ours.inertia_kg_m2 == pytest.approx(18 * theirs.inertia_kg_m2)


def test_height_gives_the_leg_length_unless_that_is_given() -> None:
    assert scale_uniformly(LEG, height_m=1.75).leg_length_m == pytest.approx(LEG_LENGTH_PER_HEIGHT * 1.75)
    assert scale_uniformly(LEG, height_m=1.75, leg_length_m=0.9).leg_length_m == pytest.approx(0.9)


def test_a_scaled_model_is_a_model_file() -> None:
    person = scale_uniformly(LEG, mass_kg=50.0, height_m=1.6)
    assert model_from_dict(person.to_dict(), "here") == person


@pytest.mark.parametrize(
    "arguments", [{"mass_kg": 0.0}, {"leg_length_m": -1.0}, {"height_m": float("nan")}, {"mass_kg": float("inf")}]
)
def test_impossible_people(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        scale_uniformly(LEG, **arguments)
