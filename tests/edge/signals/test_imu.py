"""Joint angles from IMUs: exact for ideal sensors whatever their heading and mounting; what cannot be seen is flagged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from edge.signals.alignment import Alignment, ImuRecording, SegmentQuality
from edge.signals.imu import ImuFlag, LegFromImus, LegMotion
from tests.edge.signals.imu_chains import GRAVITY, SEGMENTS, Walk, ideal_imus, standing, walk

JOINTS = ("hip", "knee", "ankle")


def sitting(mounting: Rotation) -> Alignment:
    """The true alignment."""
    quality = SegmentQuality(np.nan, np.nan, np.nan, np.nan)
    return Alignment(SEGMENTS[: len(mounting)], mounting.as_matrix(), (quality,) * len(mounting), np.nan)


def mounted(seed: int) -> tuple[Rotation, np.ndarray]:
    return Rotation.random(4, random_state=seed), np.random.default_rng(seed).uniform(-np.pi, np.pi, 4)


def evaluated(readings: ImuRecording, chain: LegFromImus) -> list[LegMotion]:
    rows = zip(readings.quaternion, readings.specific_force, readings.angular_rate, strict=True)
    return [chain.evaluate(*row) for row in rows]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_angles_rates_tilt_and_acceleration_are_exact(seed: int) -> None:
    mounting, heading = mounted(seed)
    motion = walk(2.0)
    out = evaluated(ideal_imus(motion, mounting, heading), LegFromImus(JOINTS, sitting(mounting), GRAVITY))
    np.testing.assert_allclose([m.q for m in out], motion.q, atol=1e-9)
    np.testing.assert_allclose([m.qd_gyro for m in out], motion.qd, atol=1e-9)
    np.testing.assert_allclose([m.tilt for m in out], motion.tilt, atol=1e-9)
    np.testing.assert_allclose([m.tilt_rate for m in out], motion.tilt_rate, atol=1e-9)
    # Forward is where the base looks: heading is a turn about y, which takes x towards -z.
    forward = np.cos(motion.heading) * motion.acceleration[:, 0] - np.sin(motion.heading) * motion.acceleration[:, 2]
    np.testing.assert_allclose(
        [m.base_acceleration for m in out], np.stack([forward, motion.acceleration[:, 1]], axis=1), atol=1e-9
    )
    assert not any(any(m.flags) for m in out)


@settings(max_examples=40, deadline=None)
@given(
    quaternions=st.lists(st.tuples(*[st.floats(-1, 1)] * 4), min_size=4, max_size=4),
    headings=st.tuples(*[st.floats(-3.0, 3.0)] * 4),
    rates=st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=4, max_size=4),
)
def test_no_heading_enters_whatever_the_attitude(
    quaternions: list[tuple[float, ...]], headings: tuple[float, ...], rates: list[tuple[float, ...]]
) -> None:
    lengths = np.linalg.norm(quaternions, axis=1, keepdims=True)
    q = np.where(lengths > 0.1, np.array(quaternions) / np.maximum(lengths, 0.1), [1.0, 0.0, 0.0, 0.0])
    turned = Rotation.from_rotvec(np.outer(headings, [0.0, 1.0, 0.0])) * Rotation.from_quat(q[:, [1, 2, 3, 0]])
    chain = LegFromImus(JOINTS, sitting(mounted(1)[0]), GRAVITY)
    force, rate = np.ones((4, 3)), np.array(rates)
    a, b = chain.evaluate(q, force, rate), chain.evaluate(turned.as_quat()[:, [3, 0, 1, 2]], force, rate)
    if a.flags != b.flags:
        return  # exactly at the limit
    np.testing.assert_allclose(np.exp(1j * b.q), np.exp(1j * a.q), atol=1e-7)
    np.testing.assert_allclose(b.qd_gyro, a.qd_gyro, atol=1e-6)
    np.testing.assert_allclose(b.base_acceleration, a.base_acceleration, atol=1e-6)


def test_the_gyro_rate_is_the_angles_derivative_out_of_the_plane_too() -> None:
    """A body that tumbles in space: its hinge is not level."""
    rng = np.random.default_rng(2)
    chain = LegFromImus(("knee",), sitting(Rotation.random(2, random_state=2)), GRAVITY)
    start = Rotation.from_rotvec(rng.normal(0, 0.4, (2, 3))) * Rotation.from_matrix(chain._rotation)
    rate, step = rng.normal(0, 2.0, (2, 3)), 1e-5

    def at(s: float) -> LegMotion:
        now = start * Rotation.from_rotvec(rate * s)
        return chain.evaluate(now.as_quat()[:, [3, 0, 1, 2]], np.zeros((2, 3)), rate)

    np.testing.assert_allclose(at(0.0).qd_gyro, (at(step).q - at(-step).q) / (2 * step), rtol=1e-6)


@pytest.mark.parametrize(
    ("q_deg", "thigh_down", "foot_forward"),
    [
        ((30.0, 0.0, 0.0), (0.5, -0.866), None),  # hip flexion: the knee goes forward
        ((0.0, -90.0, 0.0), (0.0, -1.0), (0.0, -1.0)),  # the knee bent: toes point down
        ((0.0, 0.0, 20.0), (0.0, -1.0), (0.94, 0.342)),  # dorsiflexion: toes go up
    ],
)
def test_signs(
    q_deg: tuple[float, ...], thigh_down: tuple[float, float], foot_forward: tuple[float, float] | None
) -> None:
    readings = ideal_imus(standing(np.radians(q_deg), 0.0, 0.1), Rotation.identity(4), np.zeros(4))
    world = Rotation.from_quat(readings.quaternion[0][:, [1, 2, 3, 0]])
    np.testing.assert_allclose(world[1].apply([0, -1, 0])[:2], thigh_down, atol=1e-3)
    if foot_forward is not None:
        np.testing.assert_allclose(world[3].apply([1, 0, 0])[:2], foot_forward, atol=1e-3)
    chain = LegFromImus(JOINTS, sitting(Rotation.identity(4)), GRAVITY)
    np.testing.assert_allclose(np.degrees(evaluated(readings, chain)[0].q), q_deg, atol=1e-9)


def test_with_a_lever_the_acceleration_is_that_of_the_joint() -> None:
    """A base that swings about a joint at rest: its sensor accelerates, the joint does not."""
    lever = np.array([0.1, -0.15, 0.05])
    motion = walk(3.0, 1000.0, turning=False)
    acceleration = np.gradient(motion.tilt_rate, motion.t_s)
    turn = Rotation.from_rotvec(np.outer(motion.tilt, [0.0, 0.0, 1.0]))
    spin, change = (np.outer(v, [0.0, 0.0, 1.0]) for v in (motion.tilt_rate, acceleration))
    felt = turn.apply(np.cross(spin, np.cross(spin, -lever)) + np.cross(change, -lever))
    moved = Walk(**{**vars(motion), "acceleration": felt})
    mounting, heading = mounted(5)
    readings = ideal_imus(moved, mounting, heading)
    chain = LegFromImus(JOINTS, sitting(mounting), GRAVITY, lever_m=lever.tolist())
    rows = list(zip(readings.quaternion, readings.specific_force, readings.angular_rate, strict=True))
    exact = [
        chain.evaluate(*row, base_angular_acceleration=mounting[0].inv().apply(a)).base_acceleration
        for row, a in zip(rows, change, strict=True)
    ]
    np.testing.assert_allclose(exact, 0.0, atol=1e-9)
    rough = [chain.evaluate(*row).base_acceleration for row in rows]
    assert 0.01 < np.abs(rough).max() < np.abs(felt).max() * 1.5


def test_a_sensor_without_orientation_gives_no_angle() -> None:
    readings = ideal_imus(standing(np.zeros(3), 0.0, 0.1), Rotation.identity(4), np.zeros(4))
    chain = LegFromImus(JOINTS, sitting(Rotation.identity(4)), GRAVITY)
    q = readings.quaternion[0].copy()
    q[2] = 0.0
    out = chain.evaluate(q, readings.specific_force[0], readings.angular_rate[0])
    assert np.isnan(out.q).tolist() == np.isnan(out.qd_gyro).tolist() == [False, True, True]
    assert out.flags == (0, 0, ImuFlag.NO_ORIENTATION, 0)
    assert np.isfinite([out.tilt, out.tilt_rate, *out.base_acceleration]).all()


def test_lying_on_the_side_is_flagged() -> None:
    readings = ideal_imus(standing(np.zeros(3), 0.0, 0.1), Rotation.identity(4), np.zeros(4))
    lying = Rotation.from_rotvec([np.pi / 2, 0, 0]) * Rotation.from_quat(readings.quaternion[0][:, [1, 2, 3, 0]])
    chain = LegFromImus(JOINTS, sitting(Rotation.identity(4)), GRAVITY)
    out = chain.evaluate(lying.as_quat()[:, [3, 0, 1, 2]], readings.specific_force[0], readings.angular_rate[0])
    assert out.flags == (ImuFlag.HINGE_UPRIGHT,) * 4
    assert np.isnan(out.q).all()
    assert np.isnan([out.tilt, out.tilt_rate, *out.base_acceleration]).all()


def test_what_does_not_fit_is_refused() -> None:
    alignment = sitting(Rotation.identity(4))
    with pytest.raises(ValueError, match="need 3 sensors"):
        LegFromImus(("hip", "knee"), alignment, GRAVITY)
    with pytest.raises(ValueError, match="gravity"):
        LegFromImus(JOINTS, alignment, 0.0)
    with pytest.raises(ValueError, match="three lengths"):
        LegFromImus(JOINTS, alignment, GRAVITY, lever_m=(0.1, 0.2))
