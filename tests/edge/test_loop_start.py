"""What the loop does when no estimate ever comes, on a virtual clock and with the real pipeline: nothing here sleeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_fakes import MS, Clock, Event, FakeOutput, FakeRecorder, FakeSensor
from tiny_bundle import tiny_bundle

from edge.config import Config, load_config
from edge.control.assist import ProportionalAssist
from edge.control.safety import Safety
from edge.errors import ConfigError, SensorError
from edge.loop import Loop
from edge.pipeline import Pipeline
from edge.sensors.frame import Frame, Kind, encode
from edge.signals.intake import pelvis_channels

BUNDLE = tiny_bundle(Path("subject.msk"))
GARBAGE = bytes(range(1, 200)) + b"\x00"


def sample(
    k: int, *, kinds: tuple[Kind, ...] = (Kind.ANGLES, Kind.IMU), step_us: int = 10_000, sequence: int | None = None
) -> bytes:
    channels = {Kind.ANGLES: (0.2, -0.4, 0.1), Kind.IMU: pelvis_channels(0.1, 0.0, np.zeros(2), 9.81)}
    return b"".join(
        encode(Frame(kind, 0, k if sequence is None else sequence, k * step_us, channels[kind])) for kind in kinds
    )


def every_10_ms(data: Any, count: int = 1000, *, start_ms: float = 0.0, step_ms: float = 10.0) -> list[Event]:
    return [Event(start_ms + step_ms * k, data(k) if callable(data) else data) for k in range(count)]


class Session:
    def __init__(self, events: list[Event], *, timeout_s: float | None = 3.0, **options: Any) -> None:
        self.clock = Clock()
        self.start_ns = self.clock()
        self.output = FakeOutput(self.clock)
        self.recorder = FakeRecorder()
        model = BUNDLE.model
        limits = Config().safety_limits(model.joint_names, [joint.range_rad for joint in model.joints])
        self.loop = Loop(
            sensors=[FakeSensor(self.clock, events, finite=options.pop("finite", False))],
            pipeline=Pipeline(BUNDLE),
            assist=ProportionalAssist((0.0,) * 3, rows=(0, 1, 2)),
            safety=Safety(replace(limits, max_consecutive_overruns=2), assist_enabled=False),
            output=self.output,
            recorder=self.recorder,  # type: ignore[arg-type]
            period_s=0.01,
            first_sample_timeout_s=timeout_s,
            clock=self.clock,
            **options,
        )
        self.loop.run()
        self.elapsed_s = (self.clock() - self.start_ns) / (1000 * MS)

    @property
    def failure(self) -> str:
        assert isinstance(self.loop.failure, SensorError)
        text = str(self.loop.failure)
        assert text.startswith("fake:: no estimate in ")
        assert "\n" not in text
        return text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the sensor has sent nothing"),
        (GARBAGE, "no valid frame arrived among"),
        (lambda k: sample(k, kinds=(Kind.ANGLES,)), "none of the pelvis IMU (kind 2)"),
        (lambda k: sample(k, kinds=(Kind.IMU,)), "none of joint angles (kind 1)"),
        (lambda k: sample(k, sequence=k - k // 10 * 7) if k % 10 < 3 else b"", "interrupted"),
    ],
)
def test_what_never_gives_an_estimate_ends_the_session_and_is_explained(data: Any, words: str) -> None:
    session = Session(every_10_ms(data))
    assert words in session.failure
    assert 2.9 < session.elapsed_s < 3.7
    summary = session.loop.summary()
    assert (summary["state"], summary["faults"], summary["estimates"]) == ("fault", ["sensor"], 0)
    assert not any(any(command.torque_nm) for _, command in session.output.sent)
    assert len(session.output.sent) > 100  # heartbeats until then
    assert session.recorder.named("fault")[0][1] == "sensor"


def test_the_garbage_is_counted_in_bytes() -> None:
    session = Session(every_10_ms(GARBAGE))
    count = int(session.failure.split("among ")[1].split()[0])
    assert count == 200 * len(session.recorder.named("sensor_bytes"))
    assert "baud" in session.failure


def test_the_time_is_the_configurations() -> None:
    assert 0.9 < Session([], timeout_s=1.0).elapsed_s < 1.1
    assert Config().run.first_sample_timeout_s == 3.0


@pytest.mark.parametrize("value", ["0", "-1", "inf", '"long"'])
def test_a_time_that_cannot_be(value: str, tmp_path: Path) -> None:
    (tmp_path / "session.toml").write_text(f"[run]\nfirst_sample_timeout_s = {value}\n")
    with pytest.raises(ConfigError, match=r"run\.first_sample_timeout_s"):
        load_config(tmp_path / "session.toml")


def test_without_the_limit_it_waits_on() -> None:
    session = Session([], timeout_s=None, duration_s=10.0)
    assert session.loop.failure is None
    assert session.elapsed_s >= 10.0


def test_a_sensor_that_starts_late_is_waited_for() -> None:
    session = Session(every_10_ms(sample, 100, start_ms=2900.0), finite=True)
    assert session.loop.failure is None
    assert session.loop.summary()["estimates"] > 70


def test_garbage_before_the_first_frame_is_forgiven() -> None:
    events = [*every_10_ms(GARBAGE, 250), *every_10_ms(sample, 100, start_ms=2500.0)]
    session = Session(events, finite=True)
    assert session.loop.failure is None
    assert session.loop.summary()["estimates"] > 70
    assert session.loop.summary()["bad_frames"] == 250


def test_a_recording_played_slowly_is_waited_for() -> None:
    session = Session(every_10_ms(sample, 100, step_ms=200.0), finite=True)  # its first estimate comes after 4 s
    assert session.loop.failure is None
    assert session.loop.summary()["estimates"] > 70


@pytest.mark.parametrize(
    ("step_us", "name", "words"),
    [(0, "clock:0", "the sensor's stamps do not advance"), (-1000, "clock_restart:0", "clock went back by 0.051 s")],
)
def test_a_sensor_whose_clock_does_not_run_is_named_once(step_us: int, name: str, words: str) -> None:
    lines: list[str] = []
    data = [sample(k, step_us=step_us) if step_us >= 0 else sample(2000 - k, step_us=1000) for k in range(1000)]
    session = Session(every_10_ms(lambda k: data[k], 1000), duration_s=9.0, warn=lines.append)
    assert session.loop.failure is None
    (line,) = lines
    assert words in line
    assert list(session.loop.summary()["problems"]) == [name]
    notes = [note for _, note in session.recorder.named("note") if note.startswith(name)]
    assert len(notes) == session.loop.summary()["problems"][name]
    assert notes[0] == f"{name}: {line}"


def test_stamps_in_milliseconds_are_refused() -> None:
    session = Session(every_10_ms(lambda k: sample(k, step_us=10)))
    assert "advance by 10 us from sample to sample" in str(session.loop.failure)
    assert "they look like milliseconds" in str(session.loop.failure)


def test_a_sensor_that_is_too_slow_is_refused() -> None:
    session = Session(every_10_ms(lambda k: sample(k, step_us=40_000), step_ms=40.0))
    assert "25 samples in a second are too few" in str(session.loop.failure)


def test_a_few_samples_and_then_silence_is_not_waited_for() -> None:
    session = Session(every_10_ms(sample, 5))
    assert "5 samples of joint angles and 5 of the pelvis IMU came, too few" in session.failure
    assert session.elapsed_s == pytest.approx(3.04, abs=0.02)


def test_silence_after_the_first_estimate_is_safetys_matter() -> None:
    session = Session(every_10_ms(sample, 100), duration_s=8.0)
    assert session.loop.failure is None
    assert session.loop.summary()["faults"] == ["stale_sensor"]
    assert session.elapsed_s >= 8.0


@pytest.mark.parametrize(("events", "words"), [([], "sent nothing"), (every_10_ms(GARBAGE), "no valid frame")])
def test_a_short_session_without_a_single_sample_has_failed_too(events: list[Event], words: str) -> None:
    session = Session(events, duration_s=1.0)
    assert words in session.failure
    assert session.elapsed_s == pytest.approx(1.0, abs=0.02)


def test_a_short_session_that_had_samples_has_not_failed() -> None:
    assert Session(every_10_ms(sample), duration_s=0.1).loop.failure is None


def test_who_stops_it_himself_gets_no_error() -> None:
    clock, stop = Clock(), Event(500.0)
    limits = Config().safety_limits(BUNDLE.model.joint_names, [joint.range_rad for joint in BUNDLE.model.joints])
    loop = Loop(
        sensors=[FakeSensor(clock, [stop])],
        pipeline=Pipeline(BUNDLE),
        assist=ProportionalAssist((0.0,) * 3, rows=(0, 1, 2)),
        safety=Safety(limits, assist_enabled=False),
        output=FakeOutput(clock),
        period_s=0.01,
        first_sample_timeout_s=3.0,
        clock=clock,
    )
    stop.action = loop.stop
    loop.run()
    assert loop.failure is None
