from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_chains import LEG, frames_of, place_of, planar_chain, random_motion

from edge.errors import ModelError
from edge.msk.dynamics import Kinematics, inverse_dynamics
from edge.msk.model import Model
from edge.msk.segment_angles import angles_from_centers
from edge.msk.spline import Spline

TOES = (0.17, -0.05)
ROUND_TRIP = settings(deadline=None, max_examples=40)
SEEDS = st.integers(0, 10**6)


def seen(model: Model, q: np.ndarray, tilt: np.ndarray, end: tuple[float, float] = TOES) -> np.ndarray:
    """Joint centres and the last segment's point (frames, n_joints + 1, 2), from an origin that moves about."""
    n, rng = len(model.joints), np.random.default_rng(99)
    points = [
        np.vstack([frames_of(model, angles, t)[0], place_of(model, angles, t, n - 1, end)])
        for angles, t in zip(q, tilt, strict=True)
    ]
    return np.array(points) + rng.normal(size=(len(q), 1, 2))


@ROUND_TRIP
@given(seed=SEEDS)
def test_the_leg_is_found_again_all_over_its_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, tilt = rng.uniform(LEG.lower_rad, LEG.upper_rad, (10, 3)), rng.uniform(-0.7, 0.7, 10)
    got = angles_from_centers(LEG, seen(LEG, q, tilt), TOES, tilt)
    np.testing.assert_allclose(got.q, q, atol=1e-11)
    np.testing.assert_allclose(got.angle, tilt[:, None] + np.cumsum(q, axis=1), atol=1e-11)
    np.testing.assert_allclose(got.misfit_m, 0.0, atol=1e-11)


@ROUND_TRIP
@given(n=st.integers(1, 4), seed=SEEDS)
def test_chains_of_any_length_with_gliding_centres(n: int, seed: int) -> None:
    model, motion = planar_chain(n, seed, glide_m=0.03), random_motion(n, 5, seed)
    got = angles_from_centers(model, seen(model, motion.q, motion.tilt), TOES, motion.tilt)
    np.testing.assert_allclose(got.q, motion.q, atol=1e-10)


@ROUND_TRIP
@given(seed=SEEDS)
def test_links_seen_too_short_do_not_matter(seed: int) -> None:
    """A link that leaves the plane is seen shorter, in the same direction. The misfit says by how much."""
    rng = np.random.default_rng(seed)
    q, tilt = rng.uniform(LEG.lower_rad, LEG.upper_rad, (10, 3)), rng.uniform(-0.7, 0.7, 10)
    points = seen(LEG, q, tilt)
    links = np.diff(points, axis=1)
    shortening = rng.uniform(0.8, 1.0, (10, 3, 1))
    short = np.concatenate([points[:, :1], points[:, :1] + np.cumsum(shortening * links, axis=1)], axis=1)
    got = angles_from_centers(LEG, short, TOES, tilt)
    np.testing.assert_allclose(got.q, q, atol=1e-11)
    lost = np.linalg.norm(np.cumsum((1.0 - shortening) * links, axis=1), axis=2)
    np.testing.assert_allclose(got.misfit_m, lost, atol=1e-11)


def test_the_glide_of_the_knee_is_taken_into_account() -> None:
    """A straight line from hip to knee would do for a hinge; the knee's centre is up to 1.5 deg beside it."""
    q = np.array([[0.5, -1.2, 0.1]])
    got = angles_from_centers(LEG, seen(LEG, q, np.zeros(1)), TOES)
    frozen = replace(
        LEG.joints[1], center=Spline(np.zeros(1), LEG.joints[1].center.evaluate(np.zeros(1))[0])
    )  # the knee's place at zero, as if it never moved
    hinge = replace(LEG, joints=(LEG.joints[0], frozen, LEG.joints[2]))
    wrong = angles_from_centers(hinge, seen(LEG, q, np.zeros(1)), TOES)
    np.testing.assert_allclose(got.q, q, atol=1e-11)
    assert np.abs(wrong.q - q).max() > np.radians(0.3)


def test_torques_do_not_depend_on_how_the_first_angle_is_shared_with_the_tilt() -> None:
    motion = random_motion(3, 10, 1)
    points = seen(LEG, motion.q, motion.tilt)
    shared, alone = angles_from_centers(LEG, points, TOES, motion.tilt), angles_from_centers(LEG, points, TOES)
    np.testing.assert_allclose(shared.angle, alone.angle, atol=1e-10)
    np.testing.assert_allclose(
        inverse_dynamics(LEG, Kinematics.on_fixed_base(shared.q, tilt=motion.tilt)),
        inverse_dynamics(LEG, Kinematics.on_fixed_base(alone.q)),
        atol=1e-9,
    )


def test_a_foot_may_be_given_by_its_direction() -> None:
    """From heel to toe, put at the ankle."""
    motion = random_motion(3, 10, 2)
    heel, toe = np.array([-0.05, -0.04]), np.array([0.17, -0.05])
    points = seen(LEG, motion.q, motion.tilt, tuple(toe))
    heels = seen(LEG, motion.q, motion.tilt, tuple(heel))[:, -1]
    points[:, -1] = points[:, -2] + points[:, -1] - heels
    along = tuple((toe - heel).tolist())
    wanted = (motion.q + np.pi) % (2 * np.pi) - np.pi
    got = angles_from_centers(LEG, points, along, motion.tilt).q
    np.testing.assert_allclose(np.angle(np.exp(1j * (got - wanted))), 0.0, atol=1e-10)


def test_angles_lie_around_the_middle_of_the_joint_s_range() -> None:
    """A link that points to where arctangent jumps does not make the angles jump."""
    model = planar_chain(2, 4, glide_m=0.02)
    joints = tuple(replace(j, range_rad=(1.0, 4.0)) for j in model.joints)
    model = replace(model, joints=joints)
    q = np.stack([np.linspace(0.0, 5.0, 60), np.linspace(5.0, 0.0, 60)], axis=1)
    got = angles_from_centers(model, seen(model, q, np.zeros(60)), TOES)
    np.testing.assert_allclose(got.q, q, atol=1e-10)


def test_a_frame_has_the_same_bits_alone_and_among_others() -> None:
    motion = random_motion(3, 30, 3)
    points = seen(LEG, motion.q, motion.tilt)
    together = angles_from_centers(LEG, points, TOES, motion.tilt)
    for i in range(30):
        alone = angles_from_centers(LEG, points[i : i + 1], TOES, motion.tilt[i : i + 1])
        np.testing.assert_array_equal(alone.q[0], together.q[i])


def test_a_gap_stays_in_its_frame() -> None:
    q = np.random.default_rng(5).uniform(LEG.lower_rad, LEG.upper_rad, (4, 3))
    points = seen(LEG, q, np.zeros(4))
    points[2, 1] = np.nan
    got = angles_from_centers(LEG, points, TOES)
    np.testing.assert_allclose(got.q[[0, 1, 3]], q[[0, 1, 3]], atol=1e-11)
    assert np.isnan(got.q[2, 0])


def test_no_frames() -> None:
    assert angles_from_centers(LEG, np.zeros((0, 4, 2)), TOES).q.shape == (0, 3)


def test_what_has_no_direction_is_refused() -> None:
    points = seen(LEG, np.zeros((3, 3)), np.zeros(3))
    with pytest.raises(
        ModelError, match=r"shape \(3, 3, 2\): give \(frames, 4, 2\), the centres of hip, knee, ankle and one"
    ):
        angles_from_centers(LEG, points[:, :3], TOES)
    with pytest.raises(ModelError, match="the last segment's point is at its joint"):
        angles_from_centers(LEG, points, (0.0, 0.0))
    points[1, 2] = points[1, 1]
    with pytest.raises(ModelError, match="joint centres 1 and 2 coincide in frame 1"):
        angles_from_centers(LEG, points, TOES)


@pytest.mark.parametrize(
    "center",
    [
        Spline(np.zeros(1), np.zeros((1, 2))),
        Spline(np.array([-0.1, 0.0, 0.1]), np.array([[1, 0], [0, 0.05], [-1, 0.0]])),
    ],
    ids=["no link", "wild"],
)
def test_a_centre_that_leaves_its_angle_undetermined_is_refused(center: Spline) -> None:
    model = planar_chain(2, 6)
    joints = (model.joints[0], replace(model.joints[1], center=center))
    points = np.array([[[0.0, 0.0], [0.3, 0.4], [0.5, 0.4]]])
    with pytest.raises(ModelError, match="joint 'joint1': its centre glides so fast, or lies so near"):
        angles_from_centers(replace(model, joints=joints), points, TOES)
