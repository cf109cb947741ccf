"""Legs with an IMU on every segment, IMUs that estimate no orientation, and what decoders say of their devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from recorded_people import everyone
from sensor_devices import amt21_reply, mtdata2, wit
from tiny_bundle import RATE_HZ, tiny_bundle

from edge.bundle import Bundle
from edge.errors import ConfigError, SensorError
from edge.estimator import Estimate
from edge.pipeline import Pipeline
from edge.sensors import playback
from edge.sensors.amt21 import Answer, encode_record
from edge.sensors.frame import Frame, Kind, encode
from edge.signals.checks import Checks
from edge.signals.hookup import Hookup, Source
from edge.signals.intake import Intake
from edge.signals.orientation import upwards
from edge.signals.problems import Problems
from edge.trial import Trial
from edge.trials import TrialSpec, load_trial
from tools.segment_imus import imu_frames

SEGMENTS = ("pelvis", "thigh", "shank", "foot")
IMUS = Source("", SEGMENTS)
LENGTH = 1100  # samples of the walk, at 100 Hz


@cache
def trial() -> Trial:
    """The packaged walk."""
    spec = TrialSpec.model_validate({"kinematics": playback.recording_path("demo"), "side": "r"})
    return load_trial(spec, tiny_bundle(Path("subject.msk")).model, name="demo")


@cache
def walk(seed: int = 0, *, oriented: bool = True) -> tuple[Bundle, list[Frame]]:
    frames, alignment = imu_frames(trial(), seed=seed, oriented=oriented)
    return tiny_bundle(Path("subject.msk")).aligned(alignment, Path("aligned.msk")), frames[:LENGTH]


def run(bundle: Bundle, frames: Sequence[Frame], source: Source = IMUS) -> tuple[Pipeline, list[Estimate]]:
    pipeline = Pipeline(bundle, (source,))
    return pipeline, [e for frame in frames for e in pipeline.feed(encode(frame), frame.time_us * 1000)]


@cache
def by_encoders() -> list[Estimate]:
    return run(tiny_bundle(Path("subject.msk")), playback.frames(trial())[: 2 * LENGTH], Source())[1]


def off_rms(estimates: Sequence[Estimate], name: str, after_s: float = 0.0) -> np.ndarray:
    """Root mean square difference from the leg with encoders, moment by moment."""
    encoders = {round(e.time_s * RATE_HZ): e for e in by_encoders()}
    pairs = [
        (getattr(e, name), getattr(encoders[round(e.time_s * RATE_HZ)], name)) for e in estimates if e.time_s > after_s
    ]
    assert len(pairs) > 250
    return np.asarray(np.sqrt(np.mean([(a - b) ** 2 for a, b in pairs], axis=0)))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_leg_of_imus_gives_the_estimates_of_the_leg_with_encoders(seed: int) -> None:
    pipeline, estimates = run(*walk(seed))
    assert len(estimates) == len(by_encoders()) > LENGTH - 50
    assert pipeline.counters.problems == {}
    assert pipeline.counters.samples == len(walk(seed)[1])
    assert all(e.valid for e in estimates)
    assert np.degrees(off_rms(estimates, "q")).max() < 0.01
    assert np.degrees(off_rms(estimates, "qd")).max() < 0.1
    assert off_rms(estimates, "torque_nm").max() < 0.05
    assert off_rms(estimates, "activation").max() < 0.002


def test_imus_that_estimate_no_orientation() -> None:
    """The recording starts in the middle of a stride, where nothing tells gravity from acceleration: it takes some seconds."""
    pytest.importorskip("vqf")
    pipeline, estimates = run(*walk(oriented=False))
    assert pipeline.counters.problems == {}
    first = next(e for e in estimates if e.valid)
    assert 1.0 <= first.time_s < 1.4
    assert all(e.valid for e in estimates if e.time_s > 1.4)
    assert (np.degrees(off_rms(estimates, "q", 8.0)) < (1.0, 2.0, 3.0)).all()


def test_the_pelvis_imu_of_encoders_may_estimate_no_orientation() -> None:
    pytest.importorskip("vqf")
    frames = [
        replace(f, channels=(0.0,) * 4 + f.channels[4:]) if f.kind == Kind.IMU else f
        for f in playback.frames(trial())[:800]
    ]
    pipeline, estimates = run(tiny_bundle(Path("subject.msk")), frames, Source())
    assert pipeline.counters.problems == {}
    assert not any(e.valid for e in estimates if e.time_s < 1.0)
    assert all(e.valid for e in estimates if e.time_s > 1.4)
    assert np.degrees(off_rms(estimates, "q")).max() < 1e-6


def test_the_same_bytes_give_the_same_bits() -> None:
    pytest.importorskip("vqf")
    bundle, frames = walk(oriented=False)
    data = b"".join(map(encode, frames[:200]))
    whole = Pipeline(bundle, (IMUS,)).feed(data, 0)
    pieces = Pipeline(bundle, (IMUS,))
    parts = [e for i in range(0, len(data), 97) for e in pieces.feed(data[i : i + 97], i)]
    assert [e.torque_nm.tobytes() for e in whole] == [e.torque_nm.tobytes() for e in parts]
    assert len(whole) > 100


def test_two_sensors_with_two_imus_each() -> None:
    bundle, frames = walk()
    pipeline = Pipeline(bundle, (Source("", ("pelvis", "thigh")), Source("", ("shank", "foot"))))
    estimates = []
    for f in frames[:600]:
        for source, half in enumerate((f.channels[:20], f.channels[20:])):
            # The lower board's clock is years apart.
            frame = replace(f, channels=half, time_us=f.time_us + source * 10**14)
            estimates += pipeline.feed(encode(frame), 10**12 + f.time_us * 1000 + 2_000_000, source)
    assert len(estimates) > 500
    encoders = {round(e.time_s * RATE_HZ): e for e in by_encoders()}
    for e in estimates[50:]:
        np.testing.assert_allclose(e.q, encoders[round(e.time_s * RATE_HZ)].q, atol=5e-3)


def test_without_an_alignment_the_session_is_refused() -> None:
    with pytest.raises(ConfigError, match="the bundle has no `imu_alignment`"):
        Pipeline(tiny_bundle(Path("subject.msk")), (IMUS,))


def test_imus_on_other_segments_than_was_said_are_named() -> None:
    bundle, frames = walk()
    pipeline, estimates = run(bundle, frames[:500], Source("", ("pelvis", "thigh", "foot", "shank")))
    assert "posture" in pipeline.counters.problems
    text = next(p.text for p in pipeline.take_problems() if p.name == "posture")
    assert "channels" in text
    assert not any(e.valid for e in estimates if e.time_s > 1.5)


def test_an_imu_that_repeats_its_last_reading_is_named() -> None:
    bundle, frames = walk()
    frozen = frames[300].channels[20:30]
    spoilt = [
        replace(f, channels=f.channels[:20] + frozen + f.channels[30:]) if 300 <= k < 500 else f
        for k, f in enumerate(frames[:800])
    ]
    pipeline, estimates = run(bundle, spoilt)
    assert pipeline.counters.problems["stuck:shank"] == 1
    assert not any(e.valid for e in estimates if 3.6 < e.time_s < 4.9)
    assert all(e.valid for e in estimates if e.time_s > 5.3)


def lying(channels: tuple[float, ...]) -> tuple[float, ...]:
    """What the four sensors read of one who lies on the side and does not move."""
    half = np.sqrt(0.5)
    out: list[float] = []
    for at in range(0, 40, 10):
        w, x, y, z = channels[at : at + 4]
        quaternion = (
            half * (w - x),
            half * (x + w),
            half * (y - z),
            half * (z + y),
        )  # a quarter turn about the world's x
        out += [*quaternion, *(9.81 * u for u in upwards(*quaternion)), 0.0, 0.0, 0.0]
    return tuple(out)


def test_lying_on_the_side_gives_no_estimates_and_is_named() -> None:
    frames, alignment = imu_frames(trial(), seed=0)
    bundle = walk()[0]
    pipeline = Pipeline(bundle, (IMUS,))
    estimates = []
    for k, f in enumerate(frames[:600]):
        frame = replace(f, channels=lying(f.channels)) if 300 <= k < 400 else f
        estimates += pipeline.feed(encode(frame), f.time_us * 1000)
    assert alignment.segment_names == SEGMENTS
    unseen = {name for name in pipeline.counters.problems if name.startswith("unseen:")}
    assert unseen
    times = [e.time_s for e in estimates]
    assert not any(3.0 < t < 4.0 for t in times)
    assert max(times) > 5.5
    assert all(np.isfinite(e.torque_nm).all() for e in estimates)
    assert pipeline.counters.gaps == 1


def test_why_nothing_comes_of_one_who_lies_on_the_side() -> None:
    bundle, frames = walk()
    pipeline = Pipeline(bundle, (IMUS,))
    for f in frames[:60]:
        assert pipeline.feed(encode(replace(f, channels=lying(f.channels))), f.time_us * 1000) == []
    assert "cannot be told from gravity" in pipeline.why_no_estimate()


def test_why_nothing_comes_names_the_imus() -> None:
    bundle, _ = walk()
    pipeline = Pipeline(bundle, (IMUS,))
    pipeline.feed(encode(Frame(Kind.ANGLES, 0, 0, 0, (0.1, 0.2, 0.3))), 0)
    assert "none of the IMUs (pelvis, thigh, shank, foot) (kind 2)" in pipeline.why_no_estimate()
    with pytest.raises(SensorError, match="sends 10 IMU channels, its `channels` name 40"):
        pipeline.feed(encode(Frame(Kind.IMU, 0, 0, 0, (1.0,) * 10)), 0)


def test_no_recording_raises_an_alarm(data: Path) -> None:
    """The people and movements of the data, each as four IMUs of ours would have felt them."""
    count = 0
    for seed, person in enumerate(everyone(data)):
        spec = TrialSpec.model_validate({"kinematics": person.kinematics, "side": "r"})
        frames, alignment = imu_frames(load_trial(spec, person.leg, name=person.name), seed=seed)
        model, problems = person.leg, Problems()
        hookup = Hookup(model.joint_names, SEGMENTS, (IMUS,))
        ranges = [joint.range_rad for joint in model.joints]
        intake = Intake(
            model.joint_names,
            gravity_mps2=model.gravity_mps2,
            rate_hz=100.0,
            method="savgol",
            age_s=0.03,
            hookup=hookup,
            checks=Checks(hookup, ranges, rate_hz=100.0, memory_s=0.1, problems=problems),
            alignment=alignment,
        )
        states = [state for frame in frames[:400] for state in intake.push(frame)]
        assert states
        assert problems.counts == {}, person.name
        assert all(state.trusted for state in states), person.name
        count += 1
    assert count > 30


# --- what decoders say of their devices


def why(url: str, chunks: Sequence[bytes], channels: tuple[str, ...] = ()) -> tuple[Pipeline, str]:
    pipeline = Pipeline(tiny_bundle(Path("subject.msk")), (Source(url, channels),))
    for k, chunk in enumerate(chunks):
        pipeline.feed(chunk, k * 10**7)
    return pipeline, pipeline.why_no_estimate()


def test_settings_that_lack_something_are_named_in_the_devices_own_terms() -> None:
    messages = [mtdata2(k, rate=None) for k in range(50)]
    _, text = why("serial:///dev/null?protocol=xsens", messages)
    assert "no valid frame arrived among" in text
    assert "hold no Rate of Turn: in MT Manager" in text
    _, text = why(
        "serial:///dev/null?protocol=witmotion", [wit(0x51, b"\0\0\0\0\0\x08") + wit(0x53, b"") for _ in range(50)]
    )
    assert "no angular rate (0x52)" in text


def test_an_encoder_that_does_not_answer_is_named() -> None:
    url = "serial:///dev/null?protocol=amt21&nodes=0x54,0x58,0x5c"
    rounds = [
        encode_record(
            k * 10_000, [Answer(0x54, 0, amt21_reply(10)), Answer(0x58, 60, b""), Answer(0x5C, 120, amt21_reply(9))]
        )
        for k in range(50)
    ]
    pipeline, text = why(url, rounds)
    expected = "encoder 0x58 (2 of 3 in nodes=) did not answer"
    assert "reports a fault in 50 of 50 frames" in text
    assert expected in text
    (problem,) = [p for p in pipeline.take_problems() if p.name == "fault:0"]
    assert expected in problem.text
