"""How sensors sit on segments, found from a pose and a movement: exact for ideal sensors, refused where it cannot be known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from edge.signals.alignment import Alignment, ImuRecording, KnownPose, align
from edge.signals.hinges import AlignmentError, Refusal
from tests.edge.signals.imu_chains import LEG_RANGE, SEGMENTS, ideal_imus, standing, walk

POSE, TILT = np.radians([3.0, -5.0, 3.0]), np.radians(5.0)


def mounted(seed: int) -> tuple[Rotation, np.ndarray]:
    rng = np.random.default_rng(seed)
    return Rotation.random(4, random_state=seed), rng.uniform(-np.pi, np.pi, 4)


def aligned(seed: int, *, q: np.ndarray = POSE, pose: ImuRecording | None = None, **change: object) -> Alignment:
    mounting, heading = mounted(seed)
    arguments = {
        "segment_names": SEGMENTS,
        "range_rad": LEG_RANGE,
        "right": {"pelvis": mounting[0].inv().apply([0.0, 0.0, 1.0])},
    } | change
    pose = pose or ideal_imus(standing(q, TILT), mounting, heading)
    return align(pose, KnownPose(q, TILT), ideal_imus(walk(), mounting, heading), **arguments)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), degrees=st.tuples(st.floats(-5, 3), st.floats(-6, 4), st.floats(-5, 5)))
def test_any_mounting_any_heading_any_pose(seed: int, degrees: tuple[float, ...]) -> None:
    found = aligned(seed, q=np.radians(degrees))
    np.testing.assert_allclose(found.rotation, mounted(seed)[0].as_matrix(), atol=1e-6)
    assert found.sign_margin_rad > 0.05
    assert all(q.pose_spread_rad < 1e-6 for q in found.quality)
    assert all(q.dominance > 100.0 and q.repeatability_rad < 1e-3 for q in found.quality[1:])


def test_a_bias_of_the_gyroscope_is_taken_from_the_pose() -> None:
    mounting, heading = mounted(3)
    bias = np.radians([[2.0, -3.0, 1.0]])
    pose, movement = (
        replace(r, angular_rate=r.angular_rate + bias)
        for r in (ideal_imus(standing(POSE, TILT), mounting, heading), ideal_imus(walk(), mounting, heading))
    )
    right = {"pelvis": mounting[0].inv().apply([0.0, 0.0, 1.0])}
    found = align(pose, KnownPose(POSE, TILT), movement, segment_names=SEGMENTS, range_rad=LEG_RANGE, right=right)
    np.testing.assert_allclose(found.rotation, mounting.as_matrix(), atol=1e-6)


def test_noise_of_a_cheap_sensor_costs_less_than_a_degree() -> None:
    rng = np.random.default_rng(0)
    mounting, heading = mounted(4)

    def noisy(r: ImuRecording) -> ImuRecording:
        tremble = Rotation.from_rotvec(rng.normal(0, np.radians(1.0), (r.quaternion.size // 4, 3)))
        q = (Rotation.from_quat(r.quaternion.reshape(-1, 4)[:, [1, 2, 3, 0]]) * tremble).as_quat()[:, [3, 0, 1, 2]]
        return ImuRecording(
            q.reshape(r.quaternion.shape),
            r.specific_force + rng.normal(0, 0.1, r.specific_force.shape),
            r.angular_rate + rng.normal(0, np.radians(1.0), r.angular_rate.shape),
        )

    found = align(
        noisy(ideal_imus(standing(POSE, TILT), mounting, heading)),
        KnownPose(POSE, TILT),
        noisy(ideal_imus(walk(), mounting, heading)),
        segment_names=SEGMENTS,
        range_rad=LEG_RANGE,
        right={"pelvis": mounting[0].inv().apply([0.0, 0.0, 1.0])},
    )
    off = (Rotation.from_matrix(found.rotation) * mounting.inv()).magnitude()
    assert np.degrees(off).max() < 1.0


def test_a_pose_known_while_it_moves() -> None:
    mounting, heading = mounted(5)
    motion = walk(2.0)
    readings = ideal_imus(motion, mounting, heading)
    found = align(
        readings,
        KnownPose(motion.q, motion.tilt),
        readings,
        segment_names=SEGMENTS,
        range_rad=LEG_RANGE,
        right={"pelvis": mounting[0].inv().apply([0.0, 0.0, 1.0])},
    )
    np.testing.assert_allclose(found.rotation, mounting.as_matrix(), atol=1e-6)


def test_a_rough_direction_to_the_right_settles_the_signs() -> None:
    mounting, _ = mounted(6)
    rough = Rotation.from_rotvec(np.radians([25.0, 10.0, 20.0])).apply([0.0, 0.0, 1.0])
    right = {name: mounting[i].inv().apply(rough if i else [0.0, 0.0, 1.0]) for i, name in enumerate(SEGMENTS)}
    found = aligned(6, right=right)
    np.testing.assert_allclose(found.rotation, mounting.as_matrix(), atol=1e-6)
    assert np.isnan(found.sign_margin_rad)


def test_a_knee_alone_needs_no_heading_at_all() -> None:
    mounting, heading = mounted(7)
    both = [ideal_imus(m, mounting, heading) for m in (standing(POSE, TILT), walk())]
    part = [ImuRecording(r.quaternion[:, 1:3], r.specific_force[:, 1:3], r.angular_rate[:, 1:3]) for r in both]
    found = align(
        part[0], KnownPose(POSE[1:2], TILT + POSE[0]), part[1], segment_names=SEGMENTS[1:3], range_rad=LEG_RANGE[1:2]
    )
    np.testing.assert_allclose(found.rotation, mounting.as_matrix()[1:3], atol=1e-6)


def refusal(**change: object) -> AlignmentError:
    with pytest.raises(AlignmentError) as caught:
        aligned(8, **change)
    return caught.value


def test_who_moves_in_the_pose_is_asked_to_stand_still() -> None:
    mounting, heading = mounted(8)
    error = refusal(pose=ideal_imus(walk(2.0), mounting, heading))
    assert error.reason is Refusal.NOT_STILL
    assert "pelvis" in str(error)
    assert "without moving" in str(error)


def test_an_accelerometer_in_g_is_no_gravity() -> None:
    pose = ideal_imus(standing(POSE, TILT), *mounted(8))
    assert refusal(pose=replace(pose, specific_force=pose.specific_force / 9.81)).reason is Refusal.NOT_GRAVITY


def test_standing_is_no_movement() -> None:
    mounting, heading = mounted(8)
    pose = ideal_imus(standing(POSE, TILT), mounting, heading)
    right = {"pelvis": mounting[0].inv().apply([0.0, 0.0, 1.0])}
    with pytest.raises(AlignmentError, match="moved too little") as caught:
        align(pose, KnownPose(POSE, TILT), pose, segment_names=SEGMENTS, range_rad=LEG_RANGE, right=right)
    assert (caught.value.reason, caught.value.segment) == (Refusal.MOVED_TOO_LITTLE, "thigh")


def test_a_pelvis_without_its_heading_is_refused() -> None:
    assert refusal(right={}).reason is Refusal.MOVED_TOO_LITTLE


def test_a_leg_that_circles_has_no_hinge() -> None:
    mounting, heading = mounted(8)
    t = np.arange(600) / 100.0
    pose = ideal_imus(standing(POSE, TILT), mounting, heading)
    level = 1.5 * np.stack([np.sin(5 * t), np.zeros(600), np.cos(5 * t)], axis=1)
    rate = np.stack([m.inv().apply(level) for m in mounting], axis=1)
    still = ideal_imus(standing(np.zeros(3), 0.0, 6.0), mounting, heading)
    right = {"pelvis": mounting[0].inv().apply([0.0, 0.0, 1.0])}
    with pytest.raises(AlignmentError) as caught:
        align(
            pose,
            KnownPose(POSE, TILT),
            replace(still, angular_rate=rate),
            segment_names=SEGMENTS,
            range_rad=LEG_RANGE,
            right=right,
        )
    assert caught.value.reason is Refusal.HINGE_AMBIGUOUS


def test_a_pose_bent_as_much_as_the_movement_does_not_tell_the_signs() -> None:
    """Mirrored about the middle of its swing, a thigh swings as before."""
    with pytest.raises(AlignmentError) as caught:
        aligned(8, q=np.radians([12.0, -15.0, 3.0]))
    assert caught.value.reason is Refusal.SIGN_AMBIGUOUS


def test_signs_that_the_joints_ranges_do_not_tell_are_refused() -> None:
    error = refusal(range_rad=np.tile([-np.pi, np.pi], (3, 1)))
    assert error.reason is Refusal.SIGN_AMBIGUOUS
    assert "right" in str(error)


def test_a_right_that_points_up_or_across_the_hinge_is_refused() -> None:
    mounting, _ = mounted(8)
    right = {"pelvis": mounting[0].inv().apply([0.0, 1.0, 0.0])}
    assert refusal(right=right).reason is Refusal.HINGE_UPRIGHT
    across = {"pelvis": mounting[0].inv().apply([0, 0, 1]), "shank": mounting[2].inv().apply([1, 0, 0])}
    error = refusal(right=across)
    assert (error.reason, error.segment) == (Refusal.SIGN_AMBIGUOUS, "shank")


@pytest.mark.parametrize(
    "change",
    [
        {"segment_names": SEGMENTS[:3]},
        {"range_rad": LEG_RANGE[:2]},
        {"right": {"arm": (1.0, 0.0, 0.0)}},
        {"right": {"pelvis": (0.0, 0.0, 0.0)}},
    ],
)
def test_what_does_not_fit_is_a_value_error(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"segments|no segment|sensors|length"):
        aligned(9, **change)


def test_through_a_file_and_back() -> None:
    found = aligned(10)
    back = Alignment.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(back.rotation, found.rotation)
    assert back.segment_names == found.segment_names
    np.testing.assert_array_equal(
        [list(vars(q).values()) for q in back.quality], [list(vars(q).values()) for q in found.quality]
    )


def test_a_file_that_is_no_alignment_is_refused() -> None:
    good = aligned(10).to_dict()
    with pytest.raises(ValueError, match="not an alignment"):
        Alignment.from_dict({"segments": good["segments"]})
    good["segments"][1]["rotation"][0][0] += 0.1
    with pytest.raises(ValueError, match="not a rotation"):
        Alignment.from_dict(good)
