from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from edge.errors import EngineError, SensorError
from edge.sensors.frame import Frame, FrameDecoder, Kind, encode
from edge.signals import differentiate
from edge.signals.alignment import Alignment, SegmentQuality
from edge.signals.base_imu import BaseImu
from edge.signals.hookup import Hookup, Source
from edge.signals.intake import (
    BASE_CHANNELS,
    Intake,
    KinematicState,
    pelvis_channels,
    single,
    stack,
    unstack,
)
from edge.signals.layout import Layout
from tests.edge.signals.imu_chains import GRAVITY, SEGMENTS, ideal_imus, walk

G = 9.81
NAMES = ("hip", "knee", "ankle")
STILL = pelvis_channels(0.1, 0.0, np.zeros(2), G)
ANGLES = (0.2, -0.4, 0.1)


def intake(method: str = "savgol", age_s: float = 0.03) -> Intake:
    return Intake(NAMES, gravity_mps2=G, rate_hz=100.0, method=method, age_s=age_s)


def angles(time_us: int, channels: tuple[float, ...] = ANGLES, *, flags: int = 0) -> Frame:
    return Frame(Kind.ANGLES, flags, time_us // 10_000, time_us, channels)


def imu(time_us: int, channels: tuple[float, ...] = STILL, *, flags: int = 0) -> Frame:
    return Frame(Kind.IMU, flags, time_us // 10_000, time_us, channels)


def both(first: int, end: int) -> Iterator[Frame]:
    for k in range(first, end):
        yield angles(k * 10_000)
        yield imu(k * 10_000)


def feed(target: Intake, frames: Iterator[Frame] | list[Frame]) -> list[KinematicState]:
    return [state for frame in frames for state in target.push(frame)]


def tilt_and_acceleration(channels: tuple[float, ...]) -> np.ndarray:
    values = BaseImu("pelvis", G).read(0, channels)
    assert values is not None
    return values[:3]


@given(
    st.floats(-3.1, 3.1),
    st.floats(-10, 10),
    st.lists(st.floats(-30, 30), min_size=2, max_size=2),
    st.sampled_from([1, -1]),
)
@settings(max_examples=200, deadline=None)
def test_an_ideal_pelvis_imu_is_read_back(tilt: float, rate: float, acceleration: list[float], sign: int) -> None:
    channels = pelvis_channels(tilt, rate, np.array(acceleration), G)
    assert channels[9] == rate
    turned = tuple(sign * c for c in channels[:4]) + channels[4:]  # q and -q are the same orientation
    np.testing.assert_allclose(tilt_and_acceleration(turned), [tilt, *acceleration], atol=1e-9)


@given(
    st.floats(-3.1, 3.1),
    st.floats(-0.4, 0.4),
    st.floats(-3.1, 3.1),
    st.lists(st.floats(-20, 20), min_size=3, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_any_orientation_is_read_as_its_own_plane_sees_it(
    tilt: float, list_: float, heading: float, world: list[float]
) -> None:
    """Against SciPy, for a sensor that is also listed, and headed anywhere: forward is level and across its z axis."""
    rotation = Rotation.from_euler("YXZ", [heading, list_, tilt])
    x, y, z, w = rotation.as_quat()
    force = rotation.inv().apply(np.array(world) + np.array([0.0, G, 0.0]))
    forward = np.cross([0.0, 1.0, 0.0], rotation.apply([0.0, 0.0, 1.0]))
    forward /= np.linalg.norm(forward)
    np.testing.assert_allclose(forward, [math.cos(heading), 0.0, -math.sin(heading)], atol=1e-9)
    got = tilt_and_acceleration((w, x, y, z, *force, 0.0, 0.0, 0.0))
    np.testing.assert_allclose(got, [tilt, forward @ world, world[1]], atol=1e-9)


def test_heading_of_the_pelvis_imu_changes_no_state() -> None:
    """The same walk with a sensor whose world looks elsewhere; in the plane the formulas are those of the plane."""
    rng = np.random.default_rng(0)
    motions = [(0.1 * math.sin(k / 15), 0.6 * math.cos(k / 15), rng.normal(0, 2.0, 2)) for k in range(80)]
    seen = []
    for heading in (0.0, 2.0, -3.0):
        target, states = intake(), []
        for k, (tilt, rate, acceleration) in enumerate(motions):
            channels = pelvis_channels(tilt, rate, acceleration, G)
            turn = Rotation.from_rotvec([0.0, heading, 0.0]) * Rotation.from_quat([*channels[1:4], channels[0]])
            x, y, z, w = turn.as_quat()
            states += target.push(angles(k * 10_000))
            states += target.push(imu(k * 10_000, (w, x, y, z, *channels[4:])))
        seen.append(stack(states))
    for other in seen[1:]:
        np.testing.assert_allclose(other.tilt, seen[0].tilt, atol=1e-12)
        np.testing.assert_allclose(other.base_acceleration, seen[0].base_acceleration, atol=1e-11)


def test_the_round_trip_over_the_wire_keeps_what_a_float32_holds() -> None:
    frame = imu(0, pelvis_channels(0.3, 1.2, np.array([2.0, -1.0]), G))
    (received,) = FrameDecoder().push(encode(frame))
    np.testing.assert_allclose(tilt_and_acceleration(received.channels), [0.3, 2.0, -1.0], atol=2e-6)


def test_states_are_those_of_the_motion() -> None:
    """A leg in smooth motion on a moving pelvis: every number of every state, of the moment it says."""
    w = 2 * math.pi * 0.5

    def motion(t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float, float, np.ndarray]:
        phase = np.array([0.0, 1.0, 2.0])
        return (
            0.3 * np.sin(w * t + phase),
            0.3 * w * np.cos(w * t + phase),
            -0.3 * w**2 * np.sin(w * t + phase),
            0.1 * math.sin(w * t),
            0.1 * w * math.cos(w * t),
            -0.1 * w**2 * math.sin(w * t),
            np.array([0.5 * math.sin(w * t), 0.8 * math.cos(w * t)]),
        )

    target, states = intake(age_s=0.05), []
    for k in range(300):
        q, _, _, tilt, rate, _, base = motion(k / 100)
        states += target.push(angles(k * 10_000, tuple(q)))
        states += target.push(imu(k * 10_000, pelvis_channels(tilt, rate, base, G)))
    assert len(states) == 300 - 19
    assert states[-1].t_s == pytest.approx(2.99 - 0.05)
    for state in states:
        q, qd, qdd, tilt, rate, acceleration, base = motion(state.t_s)
        np.testing.assert_allclose(state.q, q, atol=1e-4)
        np.testing.assert_allclose(state.qd, qd, atol=2e-3)
        np.testing.assert_allclose(state.qdd, qdd, atol=0.05)
        assert (state.tilt, state.tilt_rate) == pytest.approx((tilt, rate), abs=2e-3)
        assert state.tilt_acceleration == pytest.approx(acceleration, abs=0.05)
        np.testing.assert_allclose(state.base_acceleration, base, atol=1e-3)
    assert [s.restarted for s in states] == [True] + [False] * (len(states) - 1)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (angles(0, (0.1, 0.2)), ["2 joint angles", "needs 3", "hip, knee, ankle"]),
        (angles(0, (0.1,) * 7), ["7 joint angles"]),
        (angles(0, (0.1, -35.0, 0.2)), ["'knee'", "-35", "degrees", "radians"]),
        (angles(0, (0.1, 0.2, 6.3)), ["'ankle'", "6.3"]),
        (imu(0, STILL[:9]), ["9 IMU channels", "10"]),
        (imu(0, (1.0,) * 10), ["quaternion of length 2"]),
        (imu(0, (0.0, 9.81, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)), ["quaternion", "order"]),
        (imu(0, (1.0, 0.0, 0.0, 0.0, 0.0, 3e38, 0.0, 0.0, 0.0, 0.0)), ["pelvis IMU", "acceleration", "3e+38"]),
    ],
)
def test_frames_that_cannot_be_this_legs_are_named(frame: Frame, words: list[str]) -> None:
    with pytest.raises(SensorError) as caught:
        intake().push(frame)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def shuffled(order: str, channels: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(channels["wxyz".index(letter)] for letter in order) + channels[4:]


WRONG = {
    "quaternion x y z w": shuffled("xyzw", STILL),
    "quaternion z y x w": shuffled("zyxw", STILL),
    "acceleration without gravity": (*STILL[:4], 0.1, -0.2, 0.05, 0.0, 0.0, 0.0),
    "acceleration in g": (*STILL[:4], *(a / G for a in STILL[4:7]), 0.0, 0.0, 0.0),
    "acceleration with its sign turned": (*STILL[:4], *(-a for a in STILL[4:7]), 0.0, 0.0, 0.0),
    "z axis up": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, G, 0.0, 0.0, 0.0),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_pelvis_imu_in_other_conventions_is_refused_before_the_first_estimate(what: str) -> None:
    target = intake()
    frames = [frame for k in range(40) for frame in (angles(k * 10_000), imu(k * 10_000, WRONG[what]))]
    message = r"pelvis IMU: its first .* upwards on average.*w x y z.*m/s2 with gravity"
    with pytest.raises(SensorError, match=message):
        feed(target, frames)
    assert target.newest_us[1] <= 300_000


@pytest.mark.parametrize("posture", [0.0, 1.5, -1.5, 3.0])
def test_any_posture_is_trusted(posture: float) -> None:
    target = intake()
    for k in range(100):
        target.push(imu(k * 10_000, pelvis_channels(posture, 0.0, np.array([3.0, -4.0]), G)))
    assert target.counts == [0, 100]


def test_frames_with_the_fault_flag_are_counted_and_not_looked_at() -> None:
    target = intake()
    feed(target, both(0, 50))
    assert target.push(angles(500_000, (float("nan"), 1e9), flags=1)) == []
    assert target.push(imu(500_000, (0.0,) * 10, flags=1)) == []
    assert (target.samples, target.counts, target.sensor_faults) == (50, [50, 50], 2)
    states = feed(target, both(51, 60))
    assert len(states) == 10  # the grid goes on: the missing sample is interpolated
    assert not any(s.restarted for s in states)


def test_other_kinds_pass_by() -> None:
    target = intake()
    assert target.push(Frame(Kind.EMG, 1, 0, 0, (0.5,) * 8)) == []
    assert target.push(Frame(0x77, 0, 0, 0, (0.5,))) == []
    assert (target.samples, target.counts, target.sensor_faults, target.first_us) == (0, [0, 0], 0, None)


def test_without_the_pelvis_imu_nothing_comes_out() -> None:
    target = intake()
    assert feed(target, [angles(k * 10_000) for k in range(500)]) == []
    assert (target.samples, target.counts) == (500, [500, 0])


@pytest.mark.parametrize("method", differentiate.METHODS)
def test_a_gap_starts_anew(method: str) -> None:
    target = intake(method)
    before = feed(target, both(0, 60))
    after = feed(target, both(66, 120))
    assert [s.restarted for s in before] == [True] + [False] * (len(before) - 1)
    assert [s.restarted for s in after] == [True] + [False] * (len(after) - 1)
    assert target.gaps == 2  # the start counts as one
    fresh = feed(intake(method), both(66, 120))
    assert len(after) == len(fresh)
    for a, b in zip(after, fresh, strict=True):  # nothing of what was before is left
        assert a.t_s == pytest.approx(b.t_s)
        np.testing.assert_allclose(a.qdd, b.qdd, atol=1e-9)


def test_a_gap_while_it_fills_is_said_with_the_first_state() -> None:
    target = intake()
    feed(target, both(0, 60))
    feed(target, both(70, 80))
    after = feed(target, both(90, 150))
    assert after[0].restarted
    assert sum(s.restarted for s in after) == 1


def test_late_samples_are_counted() -> None:
    target = intake()
    feed(target, both(0, 50))
    target.push(angles(470_000))
    target.push(imu(490_000))
    assert target.late == 2


@pytest.mark.parametrize("method", differentiate.METHODS)
@pytest.mark.parametrize("start_us", [3_600_000_000, 1_750_000_000_000_000, 2**63])
def test_the_senders_clock_may_start_anywhere(method: str, start_us: int) -> None:
    """A microcontroller that stamps in microseconds since 1970 gets the same states as one that starts at 0."""
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(0, 0.01, (100, 3)), axis=0)
    one, two = intake(method), intake(method)
    for k in range(100):
        t = 16_667 * k  # not on the grid
        a = one.push(angles(t, tuple(values[k]))) + one.push(imu(t))
        b = two.push(angles(start_us + t, tuple(values[k]))) + two.push(imu(start_us + t))
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert x.q.tobytes() == y.q.tobytes()
            assert x.qdd.tobytes() == y.qdd.tobytes()
            assert y.t_s == pytest.approx(start_us * 1e-6 + x.t_s, rel=1e-15)


def test_a_clock_that_is_set_by_years_starts_anew_at_full_resolution() -> None:
    target = intake()
    feed(target, both(0, 60))
    far_us = 1_750_000_000_000_000
    later = [replace(frame, time_us=far_us + frame.time_us) for frame in both(60, 120)]
    states = feed(target, later)
    assert states[0].restarted
    assert len(states) == 60 - 17
    np.testing.assert_allclose(np.diff([s.t_s for s in states]), 0.01, atol=1e-6)
    back = feed(target, both(0, 60))
    assert back[0].restarted
    assert back[0].t_s < 1.0


def random_states(count: int) -> list[KinematicState]:
    rng = np.random.default_rng(4)
    return [
        KinematicState(
            k / 100,
            rng.normal(size=3),
            rng.normal(size=3),
            rng.normal(size=3),
            *rng.normal(size=3).tolist(),
            rng.normal(size=2),
            rng.normal(size=7),
            k == 0,
        )
        for k in range(count)
    ]


def test_states_stack_and_unstack() -> None:
    states = random_states(5)
    again = unstack(np.array([s.t_s for s in states]), stack(states))
    for a, b in zip(states, again, strict=True):
        assert (a.t_s, a.tilt, a.tilt_rate, a.tilt_acceleration, a.restarted) == (
            *(b.t_s, b.tilt, b.tilt_rate, b.tilt_acceleration, b.restarted),
        )
        for name in ("q", "qd", "qdd", "base_acceleration"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        # Nothing else is known of the sensors.
        np.testing.assert_array_equal(b.sensed, [*a.q, a.tilt, a.tilt_rate, *a.base_acceleration])


def test_a_single_state_is_a_stack_of_one() -> None:
    state = random_states(1)[0]
    one, expected = single(state), stack([state])
    for name in ("q", "qd", "qdd", "tilt", "tilt_rate", "tilt_acceleration", "base_acceleration"):
        np.testing.assert_array_equal(getattr(one, name), getattr(expected, name))


class Listening(differentiate.Differentiator):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(6, 100.0, 0.0)
        self.given: list[tuple[float, np.ndarray, np.ndarray]] = []

    def push(self, t_s: float, q: np.ndarray, rate: np.ndarray | None = None) -> None:
        assert rate is not None
        self.given.append((t_s, q, rate))

    def restart(self) -> None:
        self.given.clear()


def test_the_gyroscopes_tilt_rate_goes_to_the_differentiator_on_the_same_grid() -> None:
    listening = Listening()
    layouts: list[Layout] = []

    def make(layout: Layout) -> Listening:
        layouts.append(layout)
        return listening

    target = Intake(NAMES, gravity_mps2=G, rate_hz=100.0, method=make, age_s=0.03)
    assert [layout.channels for layout in layouts] == [(*NAMES, *BASE_CHANNELS)]
    assert layouts[0].gyroscopes == ("base_tilt",)
    assert layouts[0].scale == (1.0, 1.0, 1.0, 1.0, 10.0, 10.0)  # rad and m/s2
    for k in range(50):  # the IMU at other moments than the encoders
        target.push(angles(k * 10_000))
        t = k / 100 + 0.004
        target.push(imu(k * 10_000 + 4_000, pelvis_channels(0.1 * t * t, 0.2 * t, np.zeros(2), G)))
    assert len(listening.given) > 40
    for t_s, q, rate in listening.given:
        assert q.shape == rate.shape == (6,)
        np.testing.assert_array_equal(np.isnan(rate), [True, True, True, False, True, True])
        assert rate[3] == pytest.approx(0.2 * t_s, abs=1e-9)
        assert q[3] == pytest.approx(0.1 * t_s * t_s, abs=5e-6)


def test_a_state_holds_what_the_sensors_gave_last() -> None:
    target, states = intake(), []
    for k in range(40):
        t = k / 100
        states += target.push(angles(k * 10_000, (t, -2 * t, 3 * t)))
        states += target.push(imu(k * 10_000, pelvis_channels(0.1 * t, 0.2 * t, np.array([t, -t]), G)))
    for k, state in zip(range(17, 40), states, strict=True):
        t = k / 100
        assert state.t_s == pytest.approx(t - 0.03)
        np.testing.assert_allclose(state.sensed, [t, -2 * t, 3 * t, 0.1 * t, 0.2 * t, t, -t], atol=1e-9)


def test_without_the_base_the_angles_are_all() -> None:
    """The base is upright and still, whatever an IMU says."""
    hookup = Hookup(NAMES, SEGMENTS, (Source(),), base=False)
    states = []
    target = Intake(NAMES, gravity_mps2=G, rate_hz=100.0, method="kalman", age_s=0.03, hookup=hookup)
    for frame in both(0, 60):
        states += target.push(frame)
    assert target.counts == [60]
    assert len(states) > 30
    for state in states:
        np.testing.assert_allclose(state.q, ANGLES, atol=1e-9)
        assert (state.tilt, state.tilt_rate, state.tilt_acceleration) == (0.0, 0.0, 0.0)
        np.testing.assert_array_equal(state.base_acceleration, np.zeros(2))
        np.testing.assert_array_equal(state.sensed[3:], np.zeros(4))


def test_a_frame_may_be_placed_on_another_time_line() -> None:
    one, two = intake(), intake()
    for k in range(60):
        for frame in (angles(k * 10_000), imu(k * 10_000)):
            states = one.push(frame)
            moved = two.push(replace(frame, time_us=frame.time_us + 77), 0, frame.time_us)
            assert [s.t_s for s in states] == [s.t_s for s in moved]
            assert all(a.q.tobytes() == b.q.tobytes() for a, b in zip(states, moved, strict=True))


def test_sources_are_told_apart() -> None:
    hookup = Hookup(
        NAMES, ("pelvis", "thigh", "shank", "foot"), [Source("a:", ("knee", "hip")), Source("b:", ("ankle", "pelvis"))]
    )
    target = Intake(NAMES, gravity_mps2=G, rate_hz=100.0, method="savgol", age_s=0.03, hookup=hookup)
    states = []
    for k in range(60):
        states += target.push(angles(k * 10_000, (-0.4, 0.2)), 0)
        states += target.push(angles(k * 10_000, (0.1,)), 1)
        states += target.push(imu(k * 10_000), 1)
    assert (target.samples, target.counts) == (120, [60, 60, 60])
    np.testing.assert_allclose(states[-1].q, ANGLES, atol=1e-12)
    assert all(state.trusted for state in states)


LYING = (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0, 0.0, 0.0, -G, 0.0, 0.0, 0.0)


class Counting(Listening):
    """Keeps all that it is given, and after how many samples it was started anew."""

    def __init__(self) -> None:
        self.restarts: list[int] = []
        super().__init__()

    def restart(self) -> None:
        self.restarts.append(len(self.given))


@pytest.mark.parametrize(("lying", "bridged"), [(3, True), (4, True), (5, False), (200, False)])
def test_of_what_cannot_be_seen_there_is_no_state(lying: int, bridged: bool) -> None:
    """On the side the pelvis shows no tilt: up to 50 ms are left out, after more everything starts anew."""
    counting = Counting()
    target = Intake(NAMES, gravity_mps2=G, rate_hz=100.0, method=lambda _: counting, age_s=0.03)
    for k in range(400):
        target.push(angles(k * 10_000))
        target.push(imu(k * 10_000, LYING if 100 <= k < 100 + lying else STILL))
        assert target.unseen == (("pelvis",) if 100 <= k < 100 + lying else ())
    given = np.array([q for _, q, _ in counting.given])
    assert np.isfinite(given).all()
    assert len(given) == 400 - lying
    assert counting.restarts == ([0] if bridged else [0, 100])
    assert target.gaps == len(counting.restarts)
    assert target.interruptions == 0


def test_one_who_starts_on_the_side_is_seen_later() -> None:
    target, states = intake(), []
    for k in range(200):
        states += target.push(angles(k * 10_000))
        states += target.push(imu(k * 10_000, LYING if k < 100 else STILL))
    assert states[0].restarted
    assert sum(state.restarted for state in states) == 1
    assert states[0].t_s >= 1.0
    assert target.gaps == 1


def test_states_of_a_leg_with_an_imu_on_every_segment() -> None:
    """Mounted and headed at random, walking along a curve: angles, and rates that the gyroscopes gave."""
    motion, mounting = walk(3.0), Rotation.random(4, random_state=3)
    readings = ideal_imus(motion, mounting, np.array([1.0, 2.0, -2.0, 3.0]))
    quality = SegmentQuality(np.nan, np.nan, np.nan, np.nan)
    hookup = Hookup(NAMES, SEGMENTS, [Source("a:", SEGMENTS)])
    counting = Counting()
    kinds = {
        "alignment": Alignment(SEGMENTS, mounting.as_matrix(), (quality,) * 4, np.nan),
        "hookup": hookup,
        "gravity_mps2": GRAVITY,
        "rate_hz": 100.0,
        "age_s": 0.03,
    }
    target, rates = (Intake(NAMES, method=m, **kinds) for m in ("savgol", lambda _: counting))  # type: ignore[arg-type]
    assert target.layout.gyroscopes == (*NAMES, "base_tilt")
    states = []
    for k in range(300):
        row = np.hstack([readings.quaternion[k], readings.specific_force[k], readings.angular_rate[k]])
        frame = imu(k * 10_000, tuple(row.reshape(-1).tolist()))
        states += target.push(frame)
        rates.push(frame)
    assert (target.samples, target.counts) == (300, [300])
    assert len(states) == 300 - 17
    for state in states:
        k = round(state.t_s * 100)
        np.testing.assert_allclose(state.q, motion.q[k], atol=2e-3)
        np.testing.assert_allclose(state.qd, motion.qd[k], atol=0.1)
        assert state.tilt == pytest.approx(motion.tilt[k], abs=1e-3)
    for t_s, _, rate in counting.given:
        k = round(t_s * 100)
        np.testing.assert_allclose(rate, [*motion.qd[k], motion.tilt_rate[k], np.nan, np.nan], atol=1e-9)


def test_a_filter_that_fails_without_a_person_ends_the_work() -> None:
    """In training its safe answers would pass for learned ones."""
    counting = Counting()
    target = Intake(NAMES, gravity_mps2=G, rate_hz=100.0, method=lambda _: counting, age_s=0.03)
    target.push(angles(0))
    target.push(imu(0))
    counting.failure = "MemoryError: no memory left"
    target.push(angles(10_000))
    with pytest.raises(EngineError, match=r"MemoryError: no memory left.*please report this"):
        target.push(imu(10_000))
