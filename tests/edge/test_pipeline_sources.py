"""Several sensors into one pipeline, and what it says of sensors that cannot be trusted. No clock runs here: stamps are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from recorded_people import everyone
from tiny_bundle import tiny_bundle

from edge.bundle import Bundle
from edge.errors import ConfigError, SensorError
from edge.estimator import Estimate
from edge.pipeline import Pipeline
from edge.sensors import playback
from edge.sensors.frame import Frame, Kind, encode
from edge.signals.checks import Checks
from edge.signals.hookup import Hookup, Source
from edge.signals.intake import Intake, pelvis_channels
from edge.signals.problems import Problems
from edge.trial import Trial
from edge.trials import TrialSpec, load_trial

VECTORS = ("q", "qd", "qdd", "torque_nm", "activation", "force_n", "reserve_nm")
ENCODERS = Source("", ("ankle", "hip", "knee"), (1, 1, -1), (0.0, 200.0, 0.0))
IMU = Source("", ("pelvis",))
START_NS = 10**12
Chunk = tuple[int, int, bytes]  # received (ns), source, bytes


@cache
def bundle() -> Bundle:
    return tiny_bundle(Path("subject.msk"))


def leg(t: float) -> np.ndarray:
    """Hip, knee and ankle in rad: steps at 0.8 Hz."""
    w = 2 * math.pi * 0.8 * t
    return np.array([0.2 + 0.35 * math.sin(w), -0.5 + 0.4 * math.sin(w + 1.0), 0.2 * math.sin(w + 2.0)])


def tilt(t: float) -> tuple[float, float]:
    w = 2 * math.pi * 1.6
    return 0.1 + 0.05 * math.sin(w * t), 0.05 * w * math.cos(w * t)


@dataclass
class Board:
    """One sensor: what it sends of a moment, its rate, and its clock."""

    channels: Callable[[float], tuple[int, tuple[float, ...]]]
    rate_hz: float
    origin_us: int = 0
    ppm: float = 0.0
    restart_s: float = math.inf  # its clock starts again at 0
    spoil: Callable[[float, tuple[float, ...]], tuple[float, ...]] = lambda t, channels: channels

    def stamp_us(self, t: float) -> int:
        since_s = t if t < self.restart_s else t - self.restart_s
        return (self.origin_us if t < self.restart_s else 0) + round(since_s * 1e6 * (1 + self.ppm * 1e-6))


def encoders(t: float) -> tuple[int, tuple[float, ...]]:
    hip, knee, ankle = leg(t)
    # An absolute encoder whose zero lies at 200 degrees, and one that is mounted the other way round.
    return Kind.ANGLES, (ankle, (hip + math.radians(200.0)) % (2 * math.pi), -knee)


def pelvis(t: float) -> tuple[int, tuple[float, ...]]:
    angle, rate = tilt(t)
    return Kind.IMU, pelvis_channels(angle, rate, np.array([0.5 * math.sin(10 * t), 1.5 * math.cos(10 * t)]), 9.81)


def both(t: float) -> tuple[int, tuple[float, ...]]:
    return Kind.ANGLES, tuple(leg(t))


def chunks(boards: Sequence[Board], seconds: float, *, seed: int = 0) -> list[Chunk]:
    """What arrives of them, each frame with 1 ms and some jitter on its way."""
    rng = np.random.default_rng(seed)
    found: list[Chunk] = []
    for source, board in enumerate(boards):
        last_ns = 0
        for k in range(round(seconds * board.rate_hz)):
            t = (k + 0.37 * source) / board.rate_hz
            kind, channels = board.channels(t)
            frame = Frame(kind, 0, k, board.stamp_us(t), board.spoil(t, channels))
            last_ns = max(START_NS + round(t * 1e9) + 1_000_000 + int(rng.exponential(1e6)), last_ns)
            found.append((last_ns, source, encode(frame)))
    return sorted(found)


def run(todo: list[Chunk], sources: Sequence[Source] = (ENCODERS, IMU)) -> tuple[Pipeline, list[Estimate]]:
    pipeline = Pipeline(bundle(), sources)
    return pipeline, [e for received_ns, source, data in todo for e in pipeline.feed(data, received_ns, source)]


def bits(estimates: Sequence[Estimate]) -> list[tuple[object, ...]]:
    return [(e.index, e.time_s, e.valid, *(getattr(e, name).tobytes() for name in VECTORS)) for e in estimates]


def test_two_boards_with_their_own_clocks_rates_order_signs_and_zeros_are_one_leg() -> None:
    """100 and 230 samples a second, 90 ppm and years apart: the leg of each moment, by the first board's clock."""
    boards = [Board(encoders, 100.0, origin_us=50_000_000, ppm=40), Board(pelvis, 230.0, origin_us=10**15, ppm=-50)]
    pipeline, estimates = run(chunks(boards, 10.0))
    assert len(estimates) > 900
    assert pipeline.counters.problems == {}
    assert pipeline.counters.gaps == 0
    assert pipeline.counters.dropped < 20
    for estimate in estimates[100:]:
        t = (estimate.time_s - 50.0) / (1 + 40e-6)
        np.testing.assert_allclose(estimate.q, leg(t), atol=0.005)
        assert estimate.valid
    np.testing.assert_allclose(np.diff([e.time_s for e in estimates]), 0.01, atol=1e-6)


def test_the_first_source_decides_the_time_line() -> None:
    boards = [Board(pelvis, 100.0, origin_us=7_000_000), Board(encoders, 100.0, origin_us=10**12)]
    _, estimates = run(chunks(boards, 3.0), (IMU, ENCODERS))
    assert estimates[-1].time_s == pytest.approx(10.0, abs=0.1)
    np.testing.assert_allclose(estimates[-1].q, leg(estimates[-1].time_s - 7.0), atol=0.01)


def test_two_boards_that_each_measure_a_part_of_both() -> None:
    """Hip, pelvis IMU on the one, knee and ankle on the other, at other rates."""

    def lower(t: float) -> tuple[int, tuple[float, ...]]:
        return Kind.ANGLES, tuple(leg(t)[1:])

    upper = Source("", ("hip", "pelvis"))
    todo = chunks([Board(lambda t: (Kind.ANGLES, (leg(t)[0],)), 200.0), Board(lower, 90.0, origin_us=10**10)], 5.0)
    imu = [(ns, 0, data) for ns, _, data in chunks([Board(pelvis, 200.0)], 5.0)]
    _, estimates = run(sorted([*todo, *imu]), (upper, Source("", ("knee", "ankle"))))
    assert len(estimates) > 400
    np.testing.assert_allclose(estimates[-1].q, leg(estimates[-1].time_s), atol=0.005)


@pytest.mark.parametrize("restarted", [0, 1])
def test_the_same_bytes_and_stamps_give_the_same_bits_also_through_a_restart(restarted: int) -> None:
    boards = [Board(encoders, 100.0, origin_us=10**9, ppm=80), Board(pelvis, 150.0, origin_us=3, ppm=-100)]
    boards[restarted] = replace(boards[restarted], restart_s=6.0)
    todo = chunks(boards, 12.0)
    live = Pipeline(bundle(), (ENCODERS, IMU))
    seen = []
    for received_ns, source, data in todo:
        estimates = live.feed(data, received_ns, source)
        seen += estimates
        for estimate in estimates:  # as the loop does, to know its age
            live.host_ns(estimate.time_s)
    again, replayed = run(todo)
    assert bits(seen) == bits(replayed)
    assert again.counters == live.counters
    assert again.counters.problems == {f"clock_restart:{restarted}": 1}
    assert again.counters.gaps == 1
    late = [e for e in seen if e.time_s * 1e6 > boards[0].stamp_us(7.0)] if restarted else seen[-300:]
    for estimate in late:
        t = (estimate.time_s - boards[0].stamp_us(11.0) * 1e-6) / (1 + 80e-6) + 11.0
        np.testing.assert_allclose(estimate.q, leg(t), atol=0.01)
    assert len(late) >= 300


def test_a_single_source_with_or_without_its_name_gives_the_same_bits() -> None:
    board = Board(both, 100.0, origin_us=123)
    todo = [
        (ns, 0, data)
        for ns, _, data in sorted([*chunks([board], 2.0), *chunks([replace(board, channels=pelvis)], 2.0)])
    ]
    expected = bits(run(todo, (Source(),))[1])
    assert expected
    assert bits(run(todo, (Source("", ("hip", "knee", "ankle", "pelvis")),))[1]) == expected
    assert bits(run([(0, 0, data) for _, _, data in todo], (Source(),))[1]) == expected


def test_stamps_of_all_frames_are_told() -> None:
    pipeline = Pipeline(bundle(), (ENCODERS, IMU))
    todo = chunks([Board(encoders, 100.0, origin_us=500), Board(pelvis, 100.0, origin_us=10**9)], 2.0)
    for received_ns, source, data in todo:
        pipeline.feed(data, received_ns, source)
        (stamp,) = pipeline.stamps
        assert stamp.sensor_us >= (500, 10**9)[source]
        assert received_ns - 15_000_000 < stamp.host_ns <= received_ns


def test_why_nothing_comes_names_the_sensor() -> None:
    sources = (replace(ENCODERS, url="sim:?rate=100"), replace(IMU, url="sim:?rate=50"))
    pipeline = Pipeline(bundle(), sources)
    assert pipeline.why_no_estimate().startswith("sim:?rate=100: the sensor has sent nothing")
    for received_ns, _, data in chunks([Board(encoders, 100.0)], 0.1):
        pipeline.feed(data, received_ns, 0)
    assert pipeline.why_no_estimate().startswith("sim:?rate=50: the sensor has sent nothing")
    pipeline.feed(b"\x55\x51" * 100, 0, 1)
    assert pipeline.why_no_estimate().startswith("sim:?rate=50: no valid frame arrived among 200 bytes")


def test_why_nothing_comes_when_the_first_falls_silent() -> None:
    pipeline = Pipeline(bundle(), (ENCODERS, IMU))
    todo = chunks([Board(encoders, 100.0), Board(pelvis, 100.0)], 2.0)
    for received_ns, source, data in todo:
        if source == 1 or received_ns < START_NS + 10**8:
            pipeline.feed(data, received_ns, source)
    assert "could not be placed in time, and none of the pelvis IMU (kind 2)" in pipeline.why_no_estimate()


def test_sources_that_do_not_fit_the_model_are_refused() -> None:
    with pytest.raises(ConfigError, match="its segments pelvis, thigh, shank, foot"):
        Pipeline(bundle(), (Source("", ("elbow",)),))


# --- what cannot be trusted


def freeze(index: int, start_s: float, end_s: float, board: Board) -> Board:
    kept = board.channels(start_s)[1][index]

    def spoil(t: float, channels: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(kept if i == index and start_s <= t < end_s else c for i, c in enumerate(channels))

    return replace(board, spoil=spoil)


def test_estimates_are_not_valid_while_an_encoder_is_stuck() -> None:
    boards = [freeze(0, 4.0, 8.0, Board(encoders, 100.0)), Board(pelvis, 100.0)]
    pipeline, estimates = run(chunks(boards, 12.0))
    assert pipeline.counters.problems == {"stuck:ankle": 1}
    (problem,) = pipeline.take_problems()
    assert "angle of the ankle" in problem.text
    assert pipeline.take_problems() == []
    doubted = [e.time_s for e in estimates if not e.valid]
    assert 4.9 < doubted[0] < 5.5
    assert 8.0 < doubted[-1] < 8.4
    assert all(e.valid for e in estimates if e.time_s < 4.9 or e.time_s > 8.4)


def test_estimates_are_not_valid_while_the_imu_is_clipped() -> None:
    def spoil(t: float, channels: tuple[float, ...]) -> tuple[float, ...]:
        # A shock of 40 m/s2 upwards at 5 s, in a sensor of 2 g.
        shock = 40.0 * math.exp(-(((t - 5.0) / 0.04) ** 2))
        return (*channels[:5], min(channels[5] + shock, 19.6), *channels[6:])

    boards = [Board(encoders, 100.0), replace(Board(pelvis, 100.0), spoil=spoil)]
    pipeline, estimates = run(chunks(boards, 8.0))
    assert pipeline.counters.problems == {"saturated:pelvis": 1}
    doubted = [e.time_s for e in estimates if not e.valid]
    assert 4.9 < doubted[0] < doubted[-1] < 5.3


def test_a_fault_that_a_sensor_reports_is_counted_once_while_it_lasts() -> None:
    pipeline = Pipeline(bundle())
    for k in range(100):
        flags = int(20 <= k < 40 or k == 60)
        pipeline.feed(encode(Frame(Kind.ANGLES, flags, k, k * 10_000, tuple(leg(k / 100)))), k * 10**7)
    assert pipeline.counters.problems == {"fault:0": 2}
    assert pipeline.counters.dropped == 21


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t, c: tuple(math.degrees(x) for x in c), "looks like degrees"),
        (lambda t, c: (3.0 + 0.1 * c[0], -4.0 + 0.1 * c[1], 2.5 + 0.1 * c[2]), "none that a limb has in rad"),
    ],
)
def test_degrees_are_refused(spoil: Callable[..., tuple[float, ...]], words: str) -> None:
    todo = sorted([*chunks([replace(Board(both, 100.0), spoil=spoil)], 2.0), *chunks([Board(pelvis, 100.0)], 2.0)])
    with pytest.raises(SensorError, match=words):
        run([(ns, 0, data) for ns, _, data in todo], (Source(),))


def test_hip_and_knee_in_the_wrong_order_are_named() -> None:
    swap = replace(Board(both, 100.0), spoil=lambda t, c: (c[1], c[0], c[2]))
    todo = sorted([*chunks([swap], 4.0), *chunks([Board(pelvis, 100.0)], 4.0)])
    pipeline, estimates = run([(ns, 0, data) for ns, _, data in todo], (Source(),))
    assert pipeline.counters.problems == {"order": 1}
    assert "hip = knee, knee = hip, ankle = ankle" in pipeline.take_problems()[0].text
    assert not any(e.valid for e in estimates if e.time_s > 1.0)


def standing(t: float, rng: np.random.Generator) -> tuple[float, ...]:
    sway = 0.003 * math.sin(1.3 * t)
    lsb = 2 * math.pi / 4096
    return tuple(round(angle / lsb) * lsb for angle in (0.05 + sway, -0.03, 0.04 - sway))


def test_a_standing_person_is_trusted() -> None:
    """20 s with 12 bit encoders that hardly change and an IMU with noise in digits of 16 bits."""
    rng = np.random.default_rng(0)
    digits = np.array([1 / 32768] * 4 + [156.9 / 32768] * 3 + [34.9 / 32768] * 3)

    def imu(t: float, channels: tuple[float, ...]) -> tuple[float, ...]:
        still = pelvis_channels(0.1 + 0.002 * math.sin(t), 0.0, np.zeros(2), 9.81)
        noisy = np.array(still) + rng.normal(size=10) * ([1e-5] * 4 + [0.02] * 3 + [0.002] * 3)
        return tuple((np.round(noisy / digits) * digits).tolist())

    boards = [
        replace(Board(both, 100.0), spoil=lambda t, c: standing(t, rng)),
        replace(Board(pelvis, 100.0), spoil=imu),
    ]
    pipeline, estimates = run(chunks(boards, 20.0), (Source("", ("hip", "knee", "ankle")), IMU))
    assert pipeline.counters.problems == {}
    assert all(e.valid for e in estimates)


def alarms(trial: Trial) -> tuple[dict[str, int], int]:
    """Problems and untrusted states of a recorded trial, by the checks alone."""
    model, problems = trial.model, Problems()
    hookup = Hookup(model.joint_names, model.part_names[-len(model.segments) - 1 :], (Source(),))
    ranges = [joint.range_rad for joint in model.joints]
    checks = Checks(hookup, ranges, rate_hz=100.0, memory_s=0.1, problems=problems)
    settings = {"gravity_mps2": model.gravity_mps2, "rate_hz": 100.0, "age_s": 0.03}
    intake = Intake(model.joint_names, method="savgol", hookup=hookup, checks=checks, **settings)  # type: ignore[arg-type]
    states = [state for frame in playback.frames(trial)[:4000] for state in intake.push(frame)]
    assert states
    return problems.counts, sum(not state.trusted for state in states)


def test_the_packaged_walk_raises_no_alarm() -> None:
    spec = TrialSpec.model_validate({"kinematics": playback.recording_path("demo"), "side": "r"})
    assert alarms(load_trial(spec, bundle().model, name="demo")) == ({}, 0)


def test_no_recording_raises_an_alarm(data: Path) -> None:
    count = 0
    for person in everyone(data):
        spec = TrialSpec.model_validate({"kinematics": person.kinematics, "side": "r"})
        assert alarms(load_trial(spec, person.leg, name=person.name)) == ({}, 0), person.name
        count += 1
    assert count > 30
