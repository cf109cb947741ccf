"""A recording as a sensor, on a virtual clock."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ConfigError, SensorError
from edge.sensors import EndOfRecording, open_sensor, replay
from edge.sensors.frame import Frame, FrameDecoder, Kind
from edge.sensors.player import Schedule, repeat
from edge.sensors.replay import ReplaySensor
from edge.url import parse_url


def recording(count: int = 10) -> list[Frame]:
    """Both streams at 100 Hz."""
    return [
        Frame(kind, 0, i, i * 10_000, (0.5, -0.25, i / 8))
        for i in range(count)
        for kind in (int(Kind.ANGLES), int(Kind.IMU))
    ]


class VirtualClock:
    def __init__(self, *, oversleep_s: float = 0.0) -> None:
        self.now_ns = 5_000_000_000
        self.oversleep_s = oversleep_s
        self.slept: list[float] = []

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += round((seconds + self.oversleep_s) * 1e9)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put a short recording in the place of the trial; what was asked for."""
    seen: dict[str, Any] = {"frames": recording()}

    def playback(path: Path, *, side: str, model: str, rate_hz: float | None = None) -> list[Frame]:
        seen.update(path=path, side=side, model=model, rate_hz=rate_hz)
        frames: list[Frame] = seen["frames"]
        return frames

    monkeypatch.setattr(replay, "playback", playback)
    return seen


def sensor(url: str, clock: VirtualClock) -> ReplaySensor:
    made = ReplaySensor(parse_url(url), clock=clock, sleep=clock.sleep)
    made.open()
    return made


def test_true_rate(asked: dict[str, Any]) -> None:
    clock = VirtualClock()
    with ReplaySensor(parse_url("replay:walk.mot"), clock=clock, sleep=clock.sleep) as source:
        assert source.finite is True
        decoder = FrameDecoder()
        arrivals: list[tuple[int, Frame]] = []
        start_ns = clock.now_ns
        while len(arrivals) < len(recording()):
            arrivals += [(clock.now_ns - start_ns, frame) for frame in decoder.push(source.read(0.02))]
        with pytest.raises(EndOfRecording):
            source.read(0.02)
    assert [frame for _, frame in arrivals] == recording()
    assert all(at_ns == frame.time_us * 1000 for at_ns, frame in arrivals)
    assert asked["path"] == Path("walk.mot")
    assert (asked["side"], asked["model"], asked["rate_hz"]) == ("r", "leg9", None)


def test_a_read_waits_no_longer_than_it_may(asked: dict[str, Any]) -> None:
    clock = VirtualClock()
    source = sensor("replay:walk.mot?speed=0.5", clock)
    assert source.read(0.004)
    assert source.read(0.004) == b""
    assert source.read(0.004) == b""
    assert clock.slept == [0.004, 0.004]
    assert len(FrameDecoder().push(source.read(1.0))) == 2
    assert clock.slept[2:] == [pytest.approx(0.012)]


def test_a_late_reader_gets_all_that_is_due_and_no_drift(asked: dict[str, Any]) -> None:
    clock = VirtualClock(oversleep_s=0.003)
    source = sensor("replay:walk.mot", clock)
    start_ns = clock.now_ns
    decoder = FrameDecoder()
    for _ in range(5):
        assert len(decoder.push(source.read(1.0))) == 2
    # Five deadlines with 3 ms of lateness each time, not added up.
    assert clock.now_ns - start_ns == 40_000_000 + 3_000_000
    clock.now_ns += 30_000_000
    assert len(decoder.push(source.read(1.0))) == 6


def test_speed_zero_gives_one_moment_per_read_without_waiting(asked: dict[str, Any]) -> None:
    clock = VirtualClock()
    source = sensor("replay:walk.mot?speed=0&side=l&model=leg11", clock)
    decoder = FrameDecoder()
    for index in range(10):
        assert [frame.sequence for frame in decoder.push(source.read(0.1))] == [index, index]
    assert clock.slept == []
    for _ in range(2):
        with pytest.raises(EndOfRecording):
            source.read(0.1)
    assert (asked["side"], asked["model"]) == ("l", "leg11")


def test_a_loop_goes_on_without_gap_or_step_back(asked: dict[str, Any]) -> None:
    clock = VirtualClock()
    source = sensor("replay:walk.mot?speed=0&loop=1", clock)
    assert source.finite is False
    decoder = FrameDecoder()
    got = [frame for _ in range(35) for frame in decoder.push(source.read(0.1))]
    angles = [frame for frame in got if frame.kind == Kind.ANGLES]
    assert [frame.sequence for frame in angles] == list(range(35))
    assert [frame.time_us for frame in angles] == [i * 10_000 for i in range(35)]
    assert angles[23].channels == recording()[6].channels
    assert decoder.counters.sequence_gaps == decoder.counters.bad == decoder.counters.duplicates == 0


def test_a_loop_wraps_the_sequence_number() -> None:
    frames = [Frame(1, 0, 2**32 - 2 + i, i, (1.0,)) for i in range(2)]
    assert [frame.sequence for frame in islice(repeat(frames, loop=True), 4)] == [2**32 - 2, 2**32 - 1, 0, 1]


def test_a_loop_of_one_frame_moves_on() -> None:
    times = [frame.time_us for frame in islice(repeat([Frame(1, 0, 0, 0, (1.0,))], loop=True), 3)]
    assert times == [0, 1_000_000, 2_000_000]


def test_schedule_is_absolute() -> None:
    clock = VirtualClock()
    schedule = Schedule(2.0, clock)
    start_ns = clock.now_ns
    assert schedule.wait_s(7_000) == 0.0
    assert schedule.due_ns(9_000) == start_ns + 1_000_000
    clock.now_ns += 5_000_000
    assert schedule.wait_s(9_000) == 0.0
    assert schedule.wait_s(27_000) == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("replay:", "path is missing"),
        ("replay:a.mot?speed=-1", "speed=-1 is not usable"),
        ("replay:a.mot?side=right", "side=right is not usable; use r, l"),
        ("replay:a.mot?rate=100", "no parameter 'rate'"),
        ("replay:a.mot?loop=maybe", "loop=maybe is not usable; use 1 or 0"),
    ],
)
def test_wrong_parameters(url: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        open_sensor(url)


def test_an_empty_trial_and_a_closed_sensor_are_errors(asked: dict[str, Any]) -> None:
    source = sensor("replay:a.mot", VirtualClock())
    source.close()
    with pytest.raises(SensorError, match="not open"):
        source.read(0.0)
    asked["frames"] = []
    with pytest.raises(SensorError, match="holds no samples"):
        open_sensor("replay:a.mot")
