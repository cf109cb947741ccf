from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_chains import LEG, curvature, place_of, planar_chain, random_motion

from edge.errors import ModelError
from edge.msk.dynamics import ExternalForce, Kinematics, external_torque, inverse_dynamics
from edge.msk.equation_of_motion import mechanical_energy
from edge.msk.loads import Exoskeleton, Load, with_load
from edge.msk.model import load_model

ARM = load_model("elbow5")
HAND = (0.02, -0.31)
SEEDS = st.integers(0, 10**6)
CHAINS = settings(deadline=None, max_examples=30)


# --- A load in the hand


def test_a_dumbbell_at_a_right_angle_takes_its_weight_times_its_lever() -> None:
    held = Kinematics.on_fixed_base(np.array([[np.pi / 2]]))
    extra = inverse_dynamics(with_load(ARM, "forearm", 5.0, HAND), held) - inverse_dynamics(ARM, held)
    assert extra[0, 0] == pytest.approx(5.0 * ARM.gravity_mps2 * 0.31, rel=1e-12)


def test_an_arm_hanging_down_takes_only_the_offset_of_the_hand() -> None:
    held = Kinematics.on_fixed_base(np.zeros((1, 1)))
    extra = inverse_dynamics(with_load(ARM, "forearm", 5.0, HAND), held) - inverse_dynamics(ARM, held)
    assert extra[0, 0] == pytest.approx(5.0 * ARM.gravity_mps2 * 0.02, rel=1e-9)


@CHAINS
@given(n=st.integers(1, 4), seed=SEEDS)
def test_a_load_held_still_is_its_weight_as_an_external_force(n: int, seed: int) -> None:
    model, motion, rng = planar_chain(n, seed), random_motion(n, 1, seed), np.random.default_rng(seed)
    mass, at = rng.uniform(0.1, 20.0), tuple(rng.normal(scale=0.3, size=2))
    still = Kinematics.on_fixed_base(motion.q, tilt=motion.tilt)
    point = place_of(model, motion.q[0], motion.tilt[0], n - 1, at)
    weight = ExternalForce(np.array([[0.0, -mass * model.gravity_mps2]]), point[None], np.zeros(1))
    loaded = inverse_dynamics(with_load(model, f"segment{n - 1}", mass, at), still)
    np.testing.assert_allclose(loaded, inverse_dynamics(model, still, weight), atol=1e-10)


@pytest.mark.parametrize("seed", range(8))
def test_a_moving_load_is_its_inertial_force_and_moment(seed: int) -> None:
    """On the last segment of a chain on a moving base; the load's acceleration by finite differences."""
    n = 1 + seed % 4
    model, motion, rng = planar_chain(n, seed), random_motion(n, 1, seed), np.random.default_rng(seed)
    mass, inertia, at = rng.uniform(0.1, 20.0), rng.uniform(0.0, 0.2), tuple(rng.normal(scale=0.3, size=2))

    def path(t: float) -> np.ndarray:
        half = 0.5 * t**2
        tilt = motion.tilt[0] + t * motion.tilt_rate[0] + half * motion.tilt_acceleration[0]
        place = place_of(model, motion.q[0] + t * motion.qd[0] + half * motion.qdd[0], tilt, n - 1, at)
        return place + half * motion.base_acceleration[0]

    acceleration = curvature(path) + np.array([0.0, model.gravity_mps2])
    spin = motion.tilt_acceleration + motion.qdd.sum(axis=1)
    carried = ExternalForce(-mass * acceleration[None], path(0.0)[None], -inertia * spin)
    loaded = inverse_dynamics(with_load(model, f"segment{n - 1}", mass, at, inertia), motion)
    wanted = inverse_dynamics(model, motion, carried)
    np.testing.assert_allclose(loaded, wanted, atol=1e-5 * np.abs(wanted).max())


def test_joining_loads_is_a_matter_of_neither_order_nor_pieces() -> None:
    motion = random_motion(3, 20, 1)
    shoe, ankle = ("foot", 0.9, (0.08, -0.06), 0.004), ("foot", 2.0, (0.0, 0.05), 0.0)
    there = inverse_dynamics(with_load(with_load(LEG, *shoe), *ankle), motion)
    np.testing.assert_allclose(inverse_dynamics(with_load(with_load(LEG, *ankle), *shoe), motion), there, atol=1e-10)
    half = ("foot", 1.0, (0.0, 0.05))
    pieces = with_load(with_load(with_load(LEG, *shoe), *half), *half)
    np.testing.assert_allclose(inverse_dynamics(pieces, motion), there, atol=1e-10)


def test_a_load_on_an_inner_segment_moves_with_it() -> None:
    """Potential energy: the load's height, wherever the segments after it are."""
    motion = random_motion(3, 5, 2)
    at, rest = (0.05, -0.2), np.zeros((5, 3))
    loaded = with_load(LEG, "thigh", 3.0, at)
    gained = mechanical_energy(loaded, motion.q, rest, motion.tilt) - mechanical_energy(
        LEG, motion.q, rest, motion.tilt
    )
    height = [place_of(LEG, q, t, 0, at)[1] for q, t in zip(motion.q, motion.tilt, strict=True)]
    np.testing.assert_allclose(gained, 3.0 * LEG.gravity_mps2 * np.array(height), atol=1e-10)


def test_a_load_makes_no_other_person_and_the_muscles_stay() -> None:
    loaded = with_load(LEG, "shank", 1.5, (0.0, -0.2), 0.01)
    assert (loaded.mass_kg, loaded.torque_scale_nm) == (LEG.mass_kg, LEG.torque_scale_nm)
    assert [s.mass_kg for s in loaded.segments] == [s.mass_kg + 1.5 * (s.name == "shank") for s in LEG.segments]
    assert (loaded.muscles, loaded.joints, loaded.base) == (LEG.muscles, LEG.joints, LEG.base)
    assert with_load(LEG, "shank", 0.0, (0.0, 0.0)) is LEG


@pytest.mark.parametrize(
    ("segment", "mass", "at", "inertia", "text"),
    [
        ("hand", 1.0, (0.0, 0.0), 0.0, "no segment 'hand': give one of thigh, shank, foot"),
        ("foot", -1.0, (0.0, 0.0), 0.0, "-1 kg.*zero or more"),
        ("foot", np.nan, (0.0, 0.0), 0.0, "nan kg.*zero or more"),
        ("foot", 1.0, (0.0, np.inf), 0.0, "finite place"),
        ("foot", 1.0, (0.0, 0.0), -0.1, "-0.1 kg m2.*zero or more"),
    ],
)
def test_loads_that_cannot_be(segment: str, mass: float, at: tuple[float, float], inertia: float, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        with_load(LEG, segment, mass, at, inertia)


# --- An exoskeleton


LINKS = (
    Load("thigh", 1.2, (0.05, -0.2), 0.02),
    Load("shank", 0.8, (0.04, -0.15), 0.01),
    Load("foot", 0.5, (0.0, -0.05)),
)


def test_the_person_gives_what_the_exoskeleton_does_not() -> None:
    motion, rng = random_motion(3, 10, 3), np.random.default_rng(4)
    external = ExternalForce(rng.normal(size=(10, 2)) * 300, rng.normal(size=(10, 2)), rng.normal(size=10))
    worn, assist = Exoskeleton(LEG, LINKS), rng.normal(size=(10, 3)) * 20
    passive = worn.biological_torque(motion, np.zeros((10, 3)), external)
    np.testing.assert_allclose(worn.biological_torque(motion, assist, external), passive - assist, atol=1e-10)
    np.testing.assert_allclose(passive, inverse_dynamics(worn.model, motion, external), atol=1e-12)


def test_an_exoskeleton_that_carries_itself_leaves_the_limb_alone() -> None:
    """Its torque is what its links take, as forces on the limb: then the person's torque is that without it."""
    motion = random_motion(3, 10, 5)
    worn = Exoskeleton(LEG, LINKS)
    own = inverse_dynamics(worn.model, motion) - inverse_dynamics(LEG, motion)
    assert np.abs(own).max() > 5.0
    np.testing.assert_allclose(worn.biological_torque(motion, own), inverse_dynamics(LEG, motion), atol=1e-10)


def test_links_weigh_on_the_joints_above_them() -> None:
    """At rest, leg lifted: the weight of each link times its lever, added up by hand."""
    q = np.array([[0.6, -0.4, 0.1]])
    still = Kinematics.on_fixed_base(q)
    added = Exoskeleton(LEG, LINKS).biological_torque(still, np.zeros((1, 3))) - inverse_dynamics(LEG, still)
    wanted = np.zeros(3)
    for i, link in enumerate(LINKS):
        weight = ExternalForce(
            np.array([[0.0, -link.mass_kg * LEG.gravity_mps2]]),
            place_of(LEG, q[0], 0.0, i, link.at_m)[None],
            np.zeros(1),
        )
        # A force on segment i, on the chain that ends there.
        part = replace(LEG, joints=LEG.joints[: i + 1], segments=LEG.segments[: i + 1], muscles=())
        wanted[: i + 1] -= external_torque(part, q[:, : i + 1], np.zeros(1), weight)[0]
    np.testing.assert_allclose(added[0], wanted, atol=1e-10)


def test_the_drive_s_inertia_turns_with_its_joint() -> None:
    motion, nothing = random_motion(3, 10, 6), np.zeros((10, 3))
    geared = Exoskeleton(LEG, LINKS, {"knee": 0.08}).biological_torque(motion, nothing)
    plain = Exoskeleton(LEG, LINKS).biological_torque(motion, nothing)
    np.testing.assert_allclose(geared - plain, motion.qdd * [0.0, 0.08, 0.0], atol=1e-12)


def test_drives_that_cannot_be() -> None:
    with pytest.raises(ModelError, match="at 'elbow': give zero or more, at one of hip, knee, ankle"):
        Exoskeleton(LEG, drive_inertia_kg_m2={"elbow": 0.1})
    with pytest.raises(ModelError, match=r"drive inertia of -0\.1 kg m2 at 'knee'"):
        Exoskeleton(LEG, drive_inertia_kg_m2={"knee": -0.1})
    with pytest.raises(ModelError, match="no segment 'pelvis'"):
        Exoskeleton(LEG, [Load("pelvis", 3.0, (0.0, 0.0))])
