"""The loop on a virtual clock: nothing here sleeps."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from loop_fakes import MS, Clock, Event, FakeEstimate, FakeOutput, FakePipeline, FakeRecorder, FakeSensor

from edge.config import Config
from edge.control.assist import ProportionalAssist
from edge.control.safety import Safety
from edge.control.state import State
from edge.errors import EngineError, MissingExtraError, OutputError, SensorError
from edge.loop import HEARTBEAT_NS, Loop, Snapshot, stop_on_signals
from edge.sensors.base import SensorLostError
from edge.sensors.merged import MergedSensors
from edge.signals.problems import Problem
from edge.signals.timeline import Stamp


def walking(count: int, *, start_ms: float = 10.0, data: bytes = b"e") -> list[Event]:
    """One chunk every 10 ms."""
    return [Event(start_ms + 10.0 * index, data) for index in range(count)]


class World:
    def __init__(
        self,
        events: list[Event],
        *,
        arm: bool = False,
        gain: float = 0.5,
        finite: bool = True,
        duration_s: float | None = None,
        compute_ms: float = 1.0,
        design_age_s: float | None = None,
    ) -> None:
        self.clock = Clock()
        self.start_ns = self.clock()
        self.sensor = FakeSensor(self.clock, events, finite=finite)
        self.pipeline = FakePipeline(self.clock, compute_ms=compute_ms)
        self.output = FakeOutput(self.clock)
        self.recorder = FakeRecorder()
        self.warnings: list[str] = []
        limits = Config().safety_limits(("hip", "knee"), ((-2.0, 2.0), (-2.0, 2.0)))
        self.safety = Safety(replace(limits, max_consecutive_overruns=2), assist_enabled=gain != 0)
        if arm:
            self.safety.arm()
        self.loop = Loop(
            sensors=[self.sensor],
            pipeline=self.pipeline,
            assist=ProportionalAssist((gain, gain), rows=(0, 2)),
            safety=self.safety,
            output=self.output,
            recorder=self.recorder,
            period_s=0.01,
            duration_s=duration_s,
            design_age_s=design_age_s,
            clock=self.clock,
            warn=self.warnings.append,
        )

    def run(self) -> dict[str, Any]:
        self.loop.run()
        return self.loop.summary()

    @property
    def torques(self) -> list[tuple[float, ...]]:
        return [command.torque_nm for _, command in self.output.sent]

    @property
    def states(self) -> list[int]:
        return [command.state for _, command in self.output.sent]


def test_a_finite_source_ends_cleanly() -> None:
    world = World(walking(50))
    assert world.run() == {
        "samples": 50,
        "bad_frames": 0,
        "dropped": 0,
        "problems": {},
        "estimates": 50,
        "age_ms": {"p50": 31.0, "p99": 31.0, "max": 31.0},
        "compute_us": {"p50": 1000.0, "p99": 1000.0, "max": 1000.0},
        "missed_deadlines": 0,
        "state": "disarmed",
        "faults": [],
    }
    assert world.loop.failure is None
    assert len(world.output.sent) == 51  # each estimate, and the zero at the end
    assert set(world.torques) == {(0.0, 0.0)}
    assert [command.sequence for _, command in world.output.sent] == list(range(1, 52))


def test_armed_it_helps_within_the_slew_and_ends_with_zero() -> None:
    world = World(walking(50), arm=True)
    assert world.run()["state"] == "active"
    assert world.torques[0] == (0.0, 0.0)
    assert world.torques[1] == pytest.approx((2.0, -2.0))
    assert world.torques[-2] == pytest.approx((5.0, -3.0))  # gain times the torque of the joints' rows, 0 and 2
    assert world.output.sent[-1][1].torque_nm == (0.0, 0.0)
    assert world.output.sent[-1][1].state == State.DISARMED


def test_everything_is_recorded_in_the_order_it_happened() -> None:
    world = World(walking(2), arm=True)
    world.run()
    assert [call[0] for call in world.recorder.calls] == [
        *("sensor_bytes", "command", "note", "estimate", "timing"),
        *("sensor_bytes", "command", "estimate", "timing"),
        "command",
    ]
    received_ns = world.start_ns + 10 * MS
    assert world.recorder.named("sensor_bytes")[0] == (received_ns, b"e", 0)
    assert world.recorder.named("timing")[0] == (received_ns + MS, 0, 31.0, 1000.0)
    assert world.recorder.named("note") == [(received_ns + MS, "state active")]
    assert [call[0] for call in world.recorder.named("command")] == [command for _, command in world.output.sent]


def test_what_is_wrong_with_a_sensor_is_said_once_and_recorded_each_time() -> None:
    world = World(walking(3))
    knee, clock = Problem("stuck:knee", "the knee is stuck"), Problem("clock:0", "the clock stands")
    feed = world.pipeline.feed

    def feed_with_problems(chunk: bytes, received_ns: int, source: int = 0) -> list[FakeEstimate]:
        world.pipeline.problems = [knee] if received_ns < world.start_ns + 25 * MS else [clock]
        return feed(chunk, received_ns, source)

    world.pipeline.feed = feed_with_problems  # type: ignore[method-assign]
    world.run()
    assert world.warnings == ["the knee is stuck", "the clock stands"]
    notes = [note for _, note in world.recorder.named("note")]
    assert notes == ["stuck:knee: the knee is stuck", "stuck:knee: the knee is stuck", "clock:0: the clock stands"]


def test_the_times_of_the_frames_are_recorded_with_the_bytes() -> None:
    world = World(walking(1))
    world.pipeline.stamps = [Stamp(7, 8, 7)]
    world.run()
    assert [call[0] for call in world.recorder.calls[:2]] == ["sensor_bytes", "stamps"]
    assert world.recorder.named("stamps") == [(world.start_ns + 10 * MS, 0, [Stamp(7, 8, 7)])]


def test_several_sensors_are_numbered_in_their_order() -> None:
    world = World([])
    second = FakeSensor(world.clock, walking(5, start_ms=14.0), finite=True)
    first = FakeSensor(world.clock, walking(5, start_ms=10.0, data=b"x"), finite=True)
    world.loop._sensors = MergedSensors([first, second], wait=lambda _, seconds: world.clock.wait(seconds))
    world.run()
    assert set(world.pipeline.sources) == {0, 1}
    assert [(data, source) for _, data, source in world.recorder.named("sensor_bytes")][:4] == [
        *((b"x", 0), (b"e", 1), (b"x", 0), (b"e", 1)),
    ]


def test_silence_faults_and_reaches_zero_within_50_ms() -> None:
    world = World(walking(20), arm=True, finite=False, duration_s=1.0)
    summary = world.run()
    assert (summary["state"], summary["faults"]) == ("fault", ["stale_sensor"])
    lost_ns = world.start_ns + 200 * MS
    first_zero_ns = next(at for at, command in world.output.sent if at > lost_ns and not any(command.torque_nm))
    assert first_zero_ns - lost_ns <= 50 * MS
    after = [command.torque_nm for at, command in world.output.sent if at >= first_zero_ns]
    assert set(after) == {(0.0, 0.0)}
    code, words = world.recorder.named("fault")[0][1:]
    assert code == "stale_sensor"
    assert words == world.loop.explanation
    assert words.startswith("no usable sensor data for more than 35 ms")


def test_bytes_without_estimates_do_not_keep_it_alive() -> None:
    world = World([*walking(20), *walking(20, start_ms=210.0, data=b"x")], arm=True)
    assert world.run()["faults"] == ["stale_sensor"]


def test_before_the_first_estimate_it_waits_with_heartbeats() -> None:
    world = World([Event(900.0, b"e")], arm=True)
    assert world.run()["state"] == "active"
    gaps = np.diff([at for at, _ in world.output.sent[:-2]])
    assert len(gaps) > 30
    assert gaps.max() <= HEARTBEAT_NS + 10 * MS


def test_data_that_comes_back_does_not_clear_the_fault() -> None:
    world = World([*walking(5), *walking(50, start_ms=200.0)], arm=True)
    summary = world.run()
    assert summary["state"] == "fault"
    assert summary["estimates"] == 55
    assert world.torques[-1] == (0.0, 0.0)


def test_a_lost_sensor_is_a_fault_zero_and_the_end() -> None:
    error = SensorLostError("serial:///dev/x: the device is gone: plug it in again")
    world = World([*walking(20), Event(201.0, error=error), *walking(5, start_ms=300.0)], arm=True)
    summary = world.run()
    assert world.loop.failure is error
    assert (summary["state"], summary["faults"], summary["estimates"]) == ("fault", ["sensor_lost"], 20)
    assert world.output.sent[-1][1].torque_nm == (0.0, 0.0)
    assert world.output.sent[-1][1].state == State.FAULT
    assert world.output.sent[-1][0] == world.start_ns + 201 * MS


def test_an_engine_that_fails_is_a_fault_zero_and_the_end() -> None:
    world = World(walking(5), arm=True)
    world.pipeline.error = EngineError("network.onnx: no output")
    assert world.run()["faults"] == ["engine"]
    assert world.torques[-1] == (0.0, 0.0)


def test_a_package_that_is_missing_in_mid_session_is_a_fault_zero_and_the_end() -> None:
    world = World(walking(5), arm=True)
    world.pipeline.error = MissingExtraError("vqf", "imu", "estimating the orientation of an IMU")
    assert world.run()["faults"] == ["sensor"]
    assert world.torques[-1] == (0.0, 0.0)


@pytest.mark.parametrize(("late_ms", "stale"), [(0.0, False), (40.0, False), (50.0, True), (2000.0, True)])
def test_data_that_were_held_up_on_their_way_are_stale_however_fast_they_come(late_ms: float, stale: bool) -> None:
    world = World(walking(20), arm=True, design_age_s=0.03)
    world.pipeline.age_ms = 30.0 + late_ms
    # The limit is 35 ms beyond the design's age and one period of 10 ms.
    assert world.run()["faults"] == (["stale_sensor"] if stale else [])
    assert any(any(torque) for torque in world.torques) is not stale


def test_a_recording_at_another_speed_is_not_judged_by_its_stamps() -> None:
    world = World(walking(20), arm=True)
    world.pipeline.age_ms = 2000.0
    assert world.run()["faults"] == []


def test_a_bug_is_shown_as_one_after_the_actuator_was_told() -> None:
    world = World(walking(5), arm=True)
    world.pipeline.error = RuntimeError("not foreseen")
    with pytest.raises(RuntimeError, match="not foreseen"):
        world.run()
    assert world.loop.summary()["faults"] == ["engine"]
    assert world.torques[-1] == (0.0, 0.0)


def test_an_output_that_fails_ends_the_session() -> None:
    world = World(walking(5))
    world.output.error = OutputError("serial:///dev/x: the device is gone")
    assert world.run()["faults"] == ["output"]
    assert world.loop.failure is world.output.error


def test_an_output_that_fails_only_at_the_end_is_said_too() -> None:
    world = World(walking(5))
    error = OutputError("serial:///dev/x: the device is gone")
    world.sensor._events.append(Event(70.0, b"x", action=lambda: setattr(world.output, "error", error)))
    world.run()
    assert world.loop.failure is error


def test_a_bug_still_sends_zero() -> None:
    world = World([*walking(20), Event(205.0, error=ZeroDivisionError())], arm=True)
    with pytest.raises(ZeroDivisionError):
        world.loop.run()
    assert any(world.torques[-2])
    assert world.torques[-1] == (0.0, 0.0)


@pytest.mark.parametrize("name", ["q", "qd", "qdd", "torque_nm", "activation", "force_n", "reserve_nm"])
def test_a_number_that_is_not_finite_anywhere_is_zero_at_once(name: str) -> None:
    world = World(walking(20), arm=True)
    bad = {"q": 2, "qd": 2, "qdd": 2, "torque_nm": 3, "activation": 4, "force_n": 4, "reserve_nm": 3}[name]
    spoil = {name: np.array([0.0] * (bad - 1) + [np.nan])}
    world.sensor._events.insert(15, Event(155.0, action=lambda: world.pipeline.change.update(spoil)))
    summary = world.run()
    assert (summary["state"], summary["faults"]) == ("fault", ["non_finite"])
    before, after = world.torques[14], world.torques[15]
    assert any(before)
    assert after == (0.0, 0.0)


def test_an_estimate_that_is_not_valid_is_not_followed() -> None:
    world = World(walking(20), arm=True)
    world.sensor._events.insert(15, Event(155.0, action=lambda: world.pipeline.change.update(valid=False)))
    assert world.run()["state"] == "active"
    assert any(world.torques[14])
    assert world.torques[-2] == (0.0, 0.0)


def test_data_that_cannot_be_this_legs_ends_the_session() -> None:
    world = World(walking(5), arm=True)
    world.pipeline.error = SensorError("serial:///dev/x: frames have 7 angles, the model 3")
    assert world.run()["faults"] == ["sensor"]
    assert world.loop.failure is world.pipeline.error


def test_too_many_missing_frames_at_once() -> None:
    assert World(walking(5, data=b"ge"), arm=True).run()["faults"] == []
    summary = World(walking(5, data=b"gge"), arm=True).run()
    assert summary["faults"] == ["sequence_gap"]
    assert summary["dropped"] == 50


def test_late_cycles_are_counted_and_too_many_in_a_row_are_a_fault() -> None:
    world = World(walking(5), arm=True, compute_ms=10.5)
    summary = world.run()
    assert summary["missed_deadlines"] == 5
    assert summary["faults"] == ["deadline"]


def test_several_estimates_in_one_chunk_each_have_a_command() -> None:
    world = World([Event(10.0, b"eee")])
    summary = world.run()
    assert summary["estimates"] == 3
    assert summary["compute_us"]["max"] == 3000.0


def test_duration_ends_it_on_time() -> None:
    world = World(walking(500), duration_s=0.5)
    assert world.run()["estimates"] == pytest.approx(50, abs=1)
    assert world.clock() - world.start_ns <= 512 * MS


def test_stop_ends_it_at_the_next_cycle() -> None:
    world = World([*walking(5), *walking(50, start_ms=60.0)])
    world.sensor._events.insert(5, Event(55.0, b"x", action=world.loop.stop))
    assert world.run()["estimates"] == 5


@pytest.fixture
def hang_up() -> Iterator[None]:
    """The default action of SIGHUP, whatever the tests were started with (`nohup` ignores it)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_it_and_the_handlers_come_back(number: int) -> None:
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    kill = Event(55.0, b"x", action=lambda: os.kill(os.getpid(), number))
    world = World([*walking(5), kill, *walking(50, start_ms=60.0)], arm=True)
    with stop_on_signals(world.loop):
        summary = world.run()
    assert summary["estimates"] == 5
    assert world.torques[-1] == (0.0, 0.0)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.usefixtures("hang_up")
def test_a_hang_up_that_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    world = World(
        [
            *walking(5),
            Event(55.0, b"x", action=lambda: os.kill(os.getpid(), signal.SIGHUP)),
            *walking(50, start_ms=60.0),
        ]
    )
    with stop_on_signals(world.loop):
        assert world.run()["estimates"] > 5


def test_a_second_interrupt_does_not_wait_and_still_sends_zero() -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    world = World([*walking(20), Event(205.0, b"x", action=twice)], arm=True)
    with pytest.raises(KeyboardInterrupt), stop_on_signals(world.loop):
        world.loop.run()
    assert world.torques[-1] == (0.0, 0.0)


@pytest.mark.parametrize(("arm", "faults"), [(True, ["log"]), (False, [])])
def test_a_log_that_died_is_said_once_and_stops_an_armed_device(arm: bool, faults: list[str]) -> None:
    world = World(walking(500), arm=arm)
    world.recorder.problem = "logs/x.mcap: the disk is full"
    assert world.run()["faults"] == faults
    assert world.warnings == ["logs/x.mcap: the disk is full"]


def test_the_view_gets_whole_snapshots() -> None:
    world = World(walking(5), arm=True)
    world.run()
    latest = world.loop.latest
    assert latest is not None
    assert (latest.estimate.index, latest.estimates, latest.age_ms) == (4, 5, 31.0)
    assert latest.command.state == State.ACTIVE


def test_the_view_is_shown_the_newest_ten_times_a_second_and_at_the_end() -> None:
    world = World(walking(50), arm=True, finite=False, duration_s=2.0)
    shown: list[tuple[int, Snapshot | None]] = []
    world.loop._show = lambda latest: shown.append((world.clock(), latest))
    world.run()
    assert shown[0] == (world.start_ns, None)
    times_ns = [at for at, _ in shown]
    steps_ns = [later - earlier for earlier, later in pairwise(times_ns)]
    assert all(100 * MS <= step <= 130 * MS for step in steps_ns[:-1])
    assert times_ns[-1] - world.start_ns >= 2000 * MS
    for at, latest in shown[1:]:
        assert latest is not None
        # Also while no estimate comes; the cycle's millisecond of computing is not in it.
        assert latest.elapsed_s == pytest.approx((at - world.start_ns) * 1e-9, abs=0.0011)
        assert latest.estimates == min((at - world.start_ns) // (10 * MS), 50)
    last = shown[-1][1]
    assert last is not None
    assert (last.command.state, last.faults) == (State.FAULT, ("stale_sensor",))
    assert last.explanation.startswith("no usable sensor data")


def test_it_runs_without_a_log() -> None:
    world = World(walking(5))
    world.loop._recorder = None
    assert world.run()["estimates"] == 5
