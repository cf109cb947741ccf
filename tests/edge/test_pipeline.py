from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import LOOK_AHEAD, RATE_HZ, WINDOW, tiny_bundle, tiny_novelty

from edge.bundle import Bundle
from edge.errors import BundleError, SensorError
from edge.estimator import Estimate
from edge.pipeline import Pipeline
from edge.sensors.frame import Frame, Kind, encode
from edge.signals.intake import pelvis_channels

PATH = Path("subject.msk")
VECTORS = ("q", "qd", "qdd", "torque_nm", "activation", "force_n", "reserve_nm")
SAVGOL_FILL = 18  # samples that the differentiator of the bundle needs for its first state
WARM_UP = SAVGOL_FILL + WINDOW - 1  # samples before the one that gives the first estimate


@cache
def bundle() -> Bundle:
    return tiny_bundle(PATH)


def leg(t: float) -> tuple[float, ...]:
    swing = np.sin(2 * np.pi * t)
    return (0.1 + 0.2 * swing, -0.5 + 0.2 * swing, 0.05 * swing)


def frames(first: int, end: int, *, start_us: int = 0) -> list[Frame]:
    """A swinging leg at 100 Hz; sequence numbers are those of the samples."""
    found = []
    for k in range(first, end):
        time_us = start_us + k * 10_000
        found.append(Frame(Kind.ANGLES, 0, k, time_us, leg(k / 100)))
        found.append(Frame(Kind.IMU, 0, k, time_us, pelvis_channels(0.1, 0.0, np.array([0.3, -0.2]), 9.81)))
    return found


def line(todo: list[Frame]) -> bytes:
    return b"".join(encode(frame) for frame in todo)


def bits(estimates: list[Estimate]) -> list[tuple[object, ...]]:
    return [(e.index, e.time_s, e.valid, *(getattr(e, name).tobytes() for name in VECTORS)) for e in estimates]


def feed(pipeline: Pipeline, data: bytes, *, size: int | None = None, step_ns: int = 0) -> list[Estimate]:
    size = size or max(len(data), 1)
    estimates = []
    for i, start in enumerate(range(0, len(data), size)):
        estimates += pipeline.feed(data[start : start + size], 10**12 + i * step_ns)
    return estimates


SWING = line(frames(0, 60))


@cache
def swing() -> tuple[tuple[object, ...], ...]:
    return tuple(bits(Pipeline(bundle()).feed(SWING, 0)))


def test_each_sample_gives_an_estimate_of_the_moment_it_says() -> None:
    pipeline = Pipeline(bundle())
    estimates: list[Estimate] = []
    for k in range(60):
        new = pipeline.feed(line(frames(k, k + 1)), k * 10**7)
        assert len(new) == (k >= WARM_UP - 1)
        estimates += new
    assert [e.index for e in estimates] == list(range(len(estimates)))
    for k, estimate in zip(range(WARM_UP - 1, 60), estimates, strict=True):
        # The age by design: the differentiator's, and the look-ahead in the window.
        assert estimate.time_s == pytest.approx(k / 100 - bundle().age_s)
        np.testing.assert_allclose(estimate.q, leg(estimate.time_s), atol=2e-4)
        assert estimate.valid
    assert bundle().age_s == pytest.approx(0.03 + LOOK_AHEAD / RATE_HZ)


@given(st.lists(st.integers(0, len(SWING)), max_size=60))
@settings(max_examples=20, deadline=None)
def test_any_cut_of_the_bytes_gives_the_same_bits(cuts: list[int]) -> None:
    pipeline, estimates = Pipeline(bundle()), []
    places = [0, *sorted(cuts), len(SWING)]
    for a, b in pairwise(places):
        estimates += pipeline.feed(SWING[a:b], a)
    assert tuple(bits(estimates)) == swing()


@pytest.mark.parametrize("size", [1, 7, 23, 100_000])
@pytest.mark.parametrize("method", ["kalman", "savgol"])
def test_pieces_of_every_size(size: int, method: str) -> None:
    own = tiny_bundle(PATH, method=method)
    data = line(frames(0, 40))
    assert bits(feed(Pipeline(own), data, size=size)) == bits(Pipeline(own).feed(data, 0))


@pytest.mark.parametrize("step_ns", [0, 1, 10**7, 10**11, -(10**6)])
def test_when_the_bytes_came_does_not_matter(step_ns: int) -> None:
    assert tuple(bits(feed(Pipeline(bundle()), SWING, size=50, step_ns=step_ns))) == swing()


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_garbage_between_frames_is_counted_and_changes_nothing(draw: st.DataObject) -> None:
    """Garbage ends with a 0x00, as damage in the middle of a stream does at the next frame's end."""
    pieces = [encode(frame) for frame in frames(0, 60)]
    places = draw.draw(st.lists(st.integers(0, len(pieces)), min_size=1, max_size=10))
    count = 0
    for place in sorted(places, reverse=True):
        garbage = draw.draw(st.binary(min_size=1, max_size=80)).replace(b"\x00", b"\x01")
        pieces.insert(place, garbage + b"\x00")
        count += 1
    pipeline = Pipeline(bundle())
    assert tuple(bits(pipeline.feed(b"".join(pieces), 0))) == swing()
    assert pipeline.counters.bad_frames == count
    assert pipeline.counters.dropped == 0


def test_damaged_frames_are_bridged_while_they_are_few() -> None:
    todo = [encode(frame) for frame in frames(0, 60)]
    for i in (40, 41, 42, 60, 77):
        todo[i] = todo[i][:5] + bytes([todo[i][5] ^ 0x10 or 0x10]) + todo[i][6:]
    pipeline = Pipeline(bundle())
    estimates = pipeline.feed(b"".join(todo), 0)
    assert len(estimates) == len(swing())
    counters = pipeline.counters
    assert 5 <= counters.bad_frames <= 10  # damage may make one frame into two pieces
    assert counters.dropped == 5
    assert counters.samples == 60 - 3  # frames of angles are the even ones
    assert counters.gaps == 0
    assert [e.time_s for e in estimates] == [e[1] for e in swing()]


def test_after_a_gap_the_window_is_filled_anew() -> None:
    pipeline = Pipeline(bundle())
    before = pipeline.feed(line(frames(0, 50)), 0)
    after = [pipeline.feed(line(frames(k, k + 1)), 0) for k in range(56, 110)]
    assert [len(new) for new in after] == [int(k >= WARM_UP - 1) for k in range(54)]
    counters = pipeline.counters
    assert (counters.gaps, counters.dropped, counters.estimates) == (1, 12, len(before) + 54 - WARM_UP + 1)
    # The first after the gap is that of a fresh pipeline, to rounding: the sensor's clock counts from elsewhere.
    fresh = Pipeline(bundle()).feed(line(frames(56, 110)), 0)
    np.testing.assert_allclose(after[WARM_UP - 1][0].torque_nm, fresh[0].torque_nm, rtol=1e-6)


def test_a_gap_that_can_be_bridged_is() -> None:
    pipeline = Pipeline(bundle())
    estimates = pipeline.feed(line([*frames(0, 50), *frames(54, 80)]), 0)
    assert pipeline.counters.gaps == 0
    assert len(estimates) == 80 - WARM_UP + 1
    np.testing.assert_allclose(np.diff([e.time_s for e in estimates]), 0.01)


def test_movement_unlike_the_training_is_a_problem_each_time_that_it_begins() -> None:
    """The pelvis is shaken twice, 1.4 s apart."""
    own = replace(bundle(), novelty_part=tiny_novelty(WINDOW, 13, radius=50.0).to_bytes())
    todo = []
    for k, (angles, imu) in enumerate(zip(frames(0, 330)[::2], frames(0, 330)[1::2], strict=True)):
        shaken = 60.0 if k in range(60, 70) or k in range(200, 210) else 0.3
        channels = pelvis_channels(0.1, 0.0, np.array([shaken, -0.2]), 9.81)
        todo += [angles, replace(imu, channels=channels)]
    pipeline = Pipeline(own)
    estimates = pipeline.feed(line(todo), 0)
    assert pipeline.counters.problems["untrained"] == 2
    (text, *_) = [problem.text for problem in pipeline.take_problems() if problem.name == "untrained"]
    assert "unlike all that the bundle was trained on" in text
    assert "train with recordings of this movement" in text
    for estimate in estimates:
        assert estimate.familiar or not estimate.valid
    assert 2 * 100 <= sum(not e.familiar for e in estimates) < 2 * 130
    # All else is as without.
    assert [e.force_n.tobytes() for e in estimates] == [
        e.force_n.tobytes() for e in Pipeline(bundle()).feed(line(todo), 0)
    ]


def test_a_sensor_that_restarts() -> None:
    pipeline = Pipeline(bundle())
    pipeline.feed(line(frames(0, 60, start_us=5_000_000)), 10**12)
    again = pipeline.feed(line(frames(0, 60)), 10**12 + 10**9)
    # To rounding: the stamps are counted from where the session began.
    fresh = Pipeline(bundle()).feed(SWING, 0)
    assert len(again) == len(fresh)
    for a, b in zip(again, fresh, strict=True):
        assert a.time_s == pytest.approx(b.time_s, abs=1e-9)
        np.testing.assert_allclose(a.torque_nm, b.torque_nm, atol=1e-4)
    assert abs(pipeline.host_ns(0.59) - 10**12 - 10**9) < 10**6
    assert pipeline.counters.gaps == 1


def test_a_sample_that_comes_twice_changes_nothing() -> None:
    todo = frames(0, 60)
    pipeline = Pipeline(bundle())
    assert tuple(bits(pipeline.feed(line([f for frame in todo for f in (frame, frame)]), 0))) == swing()
    assert (pipeline.counters.samples, pipeline.counters.dropped, pipeline.counters.bad_frames) == (60, 0, 0)


def test_frames_of_other_kinds_change_nothing() -> None:
    todo: list[Frame] = []
    for frame in frames(0, 60):
        todo += [frame, Frame(Kind.EMG, 0, frame.sequence, frame.time_us, (0.5,) * 8)]
    assert tuple(bits(Pipeline(bundle()).feed(line(todo), 0))) == swing()


def test_the_sensors_faults_are_dropped_and_counted() -> None:
    todo = frames(0, 60)
    todo[80] = replace(todo[80], flags=1)
    pipeline = Pipeline(bundle())
    assert len(pipeline.feed(line(todo), 0)) == len(swing())
    assert (pipeline.counters.samples, pipeline.counters.dropped) == (59, 1)


@pytest.mark.parametrize(
    ("channels", "words"),
    [((10.0, -35.0, 4.0), "'knee'.*degrees"), ((0.1, 0.2), "2 joint angles"), ((0.1,) * 5, "5 joint angles")],
)
def test_frames_that_cannot_be_this_legs_end_it(channels: tuple[float, ...], words: str) -> None:
    pipeline = Pipeline(bundle())
    pipeline.feed(SWING, 0)
    with pytest.raises(SensorError, match=words):
        pipeline.feed(encode(Frame(Kind.ANGLES, 0, 60, 600_000, channels)), 0)


def test_a_bundle_for_zero_phase_inputs_is_refused() -> None:
    with pytest.raises(BundleError, match=r"subject\.msk: `inputs` is 'zero-phase'.*causal inputs"):
        Pipeline(tiny_bundle(PATH, inputs="zero-phase"))


def test_host_time_is_that_of_the_earliest_frame() -> None:
    pipeline = Pipeline(bundle())
    for k in range(60):
        pipeline.feed(line(frames(k, k + 1)), 10**12 + k * 10**7 + 3_000_000)
    assert pipeline.host_ns(0.25) == pytest.approx(10**12 + 25 * 10**7 + 3_000_000, abs=10)


def test_out_of_range_is_not_valid() -> None:
    todo = [
        replace(frame, channels=(2.9, *frame.channels[1:])) if frame.kind == Kind.ANGLES else frame
        for frame in frames(0, 60)
    ]
    estimates = Pipeline(bundle()).feed(line(todo), 0)
    assert len(estimates) == len(swing())
    assert not any(e.valid for e in estimates)
    assert all(np.isfinite(e.force_n).all() for e in estimates)


@st.composite
def absurd(draw: st.DrawFn) -> list[Frame]:
    """Correct frames with any angles and accelerations that are let through."""
    angle = st.floats(-6.25, 6.25, width=32)
    push = st.floats(-400.0, 400.0, width=32)
    todo = []
    for k in range(40):
        todo.append(Frame(Kind.ANGLES, 0, k, k * 10_000, tuple(draw(st.tuples(angle, angle, angle)))))
        tilt = draw(st.floats(-3.0, 3.0))
        force = (0.0, 9.81, 0.0) if k < 31 else draw(st.tuples(push, push, push))
        turn = (1.0, 0.0, 0.0, 0.0) if k < 31 else (np.cos(tilt / 2), 0.0, 0.0, np.sin(tilt / 2))
        todo.append(Frame(Kind.IMU, 0, k, k * 10_000, (*turn, *force, 0.0, 0.0, 0.0)))
    return todo


@given(absurd())
@settings(max_examples=25, deadline=None)
def test_absurd_movements_give_finite_estimates_that_are_not_trusted(todo: list[Frame]) -> None:
    for estimate in Pipeline(bundle()).feed(line(todo), 0):
        for name in VECTORS:
            assert np.isfinite(getattr(estimate, name)).all()
        assert estimate.activation.min() >= 0.01
        assert estimate.activation.max() <= 1.0


@given(st.binary(max_size=3000))
@settings(max_examples=25, deadline=None)
def test_any_bytes_are_survived(data: bytes) -> None:
    pipeline = Pipeline(bundle())
    assert pipeline.feed(data, 0) == []
    # And the line is found again at the next 0x00.
    assert tuple(e[1:] for e in bits(pipeline.feed(b"\x00" + SWING, 0))) == tuple(e[1:] for e in swing())


# --- why nothing comes


def why(data: bytes) -> str:
    pipeline = Pipeline(bundle())
    assert pipeline.feed(data, 0) == []
    text = pipeline.why_no_estimate()
    assert "\n" not in text
    return text


def only(kind: Kind, count: int = 100) -> list[Frame]:
    return [frame for frame in frames(0, count) if frame.kind == kind]


def shifted(todo: list[Frame], kind: Kind, by_us: int) -> list[Frame]:
    return [replace(f, time_us=f.time_us + by_us) if f.kind == kind else f for f in todo]


def with_nan(frame: Frame) -> bytes:
    """The encoder refuses it, so the bytes are changed and the check sum made anew."""
    from edge.sensors.frame import cobs_decode, cobs_encode, crc16

    raw = bytearray(cobs_decode(encode(frame)[:-1]) or b"")
    raw[16:20] = b"\x00\x00\xc0\x7f"
    raw[-2:] = crc16(bytes(raw[:-2])).to_bytes(2, "little")
    return cobs_encode(bytes(raw)) + b"\x00"


def other_version(frame: Frame) -> bytes:
    from edge.sensors.frame import cobs_decode, cobs_encode, crc16

    raw = bytearray(cobs_decode(encode(frame)[:-1]) or b"")
    raw[3] = 2
    raw[-2:] = crc16(bytes(raw[:-2])).to_bytes(2, "little")
    return cobs_encode(bytes(raw)) + b"\x00"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["has sent nothing", "power"]),
        (b"\x55\xaa\x00" * 1000, ["no valid frame arrived among 3000 bytes", "no protocol", "baud="]),
        (bytes(500), ["no valid frame arrived among 500 bytes"]),
        (b"".join(map(with_nan, frames(0, 60))), ["not a number"]),
        (b"".join(map(other_version, frames(0, 60))), ["another version", "version 1"]),
        (line(only(Kind.ANGLES)), ["100 valid frames", "none of the pelvis IMU (kind 2)"]),
        (line(only(Kind.IMU)), ["none of joint angles (kind 1)"]),
        (
            line([Frame(Kind.EMG, 0, k, k, (0.1,)) for k in range(9)]),
            ["9 valid frames", "joint angles (kind 1) and the pelvis IMU (kind 2)"],
        ),
        (line([replace(f, flags=1) for f in frames(0, 50)]), ["reports a fault in 100 of 100 frames"]),
        (line(shifted(frames(0, 60), Kind.IMU, -5_000_000 + 10_000_000)), ["joint angles are 5 s behind", "clock"]),
        (line(shifted(frames(0, 60), Kind.ANGLES, 5_000_000)), ["pelvis IMU are 5 s behind"]),
        (
            line([f for k in range(0, 200, 10) for f in frames(k, k + 1)]),
            ["interrupted", "more than 50 ms", "must send joint angles and pelvis IMU without such gaps"],
        ),
        (line(frames(0, 10)), ["10 samples of joint angles and 10", "too few"]),
    ],
)
def test_why_no_estimate_came(data: bytes, words: list[str]) -> None:
    text = why(data)
    for word in words:
        assert word in text


def test_it_is_overdue_when_the_sensor_has_sent_for_long() -> None:
    pipeline = Pipeline(bundle())
    assert pipeline.overdue_s() < 0
    pipeline.feed(line(only(Kind.ANGLES, 1000)), 0)
    assert pipeline.overdue_s() == pytest.approx(9.99 - 2 * (0.04 + 0.05))
