"""A virtual world for the loop: a clock that only moves when the sensor waits, and recordings of all that happens."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.control.state import State
from edge.loop import Snapshot
from edge.outputs.base import Command, Output
from edge.sensors.base import EndOfRecording, Sensor
from edge.signals.problems import Problem
from edge.signals.timeline import Stamp

MS = 1_000_000
PERIOD_NS = 10 * MS


class Clock:
    def __init__(self) -> None:
        self.now_ns = 1_000_000 * MS

    def __call__(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> list[int]:
        """Let the time pass; no descriptor can be read."""
        self.now_ns += round(seconds * 1e9)
        return []


@dataclass
class FakeEstimate:
    index: int
    time_s: float
    q: np.ndarray = field(default_factory=lambda: np.array([0.1, -0.2]))
    qd: np.ndarray = field(default_factory=lambda: np.zeros(2))
    qdd: np.ndarray = field(default_factory=lambda: np.zeros(2))
    torque_nm: np.ndarray = field(default_factory=lambda: np.array([10.0, 99.0, -6.0]))
    activation: np.ndarray = field(default_factory=lambda: np.full(4, 0.3))
    force_n: np.ndarray = field(default_factory=lambda: np.full(4, 300.0))
    reserve_nm: np.ndarray = field(default_factory=lambda: np.zeros(3))
    valid: bool = True
    novelty: float = math.nan
    familiar: bool = True


@dataclass
class Event:
    """At `at_ms` after the start: give `data`, or raise `error`, or call `action`."""

    at_ms: float
    data: bytes = b""
    error: Exception | None = None
    action: Callable[[], None] | None = None


class FakeSensor(Sensor):
    """Waits on the virtual clock. Without further events it stays silent, or ends if it is finite."""

    def __init__(self, clock: Clock, events: list[Event], *, finite: bool = False) -> None:
        super().__init__("fake:")
        self.finite = finite
        self._clock, self._events, self._start = clock, sorted(events, key=lambda event: event.at_ms), clock()

    def open(self) -> None: ...
    def close(self) -> None: ...

    def read(self, timeout_s: float) -> bytes:
        assert timeout_s >= 0.0
        if not self._events:
            if self.finite:
                raise EndOfRecording
            self._clock.now_ns += max(round(timeout_s * 1e9), 1)
            return b""
        due = self._start + round(self._events[0].at_ms * MS)
        if due > self._clock.now_ns + timeout_s * 1e9:
            self._clock.now_ns += max(round(timeout_s * 1e9), 1) if timeout_s > 0.0 else 0
            return b""
        self._clock.now_ns = max(self._clock.now_ns, due)
        event = self._events.pop(0)
        if event.action is not None:
            event.action()
        if event.error is not None:
            raise event.error
        return event.data


@dataclass
class FakeCounters:
    samples: int = 0
    bad_frames: int = 0
    dropped: int = 0
    problems: dict[str, int] = field(default_factory=dict)


class FakePipeline:
    """One estimate per byte b"e", none for any other byte; b"g" is five missing frames. Takes `compute_ms` each."""

    def __init__(self, clock: Clock, *, compute_ms: float = 1.0, age_ms: float = 30.0) -> None:
        self.counters = FakeCounters()
        self.compute_ms, self.age_ms = compute_ms, age_ms
        self.change: dict[str, Any] = {}
        self.sources: list[int] = []
        self.stamps: list[Stamp] = []
        self.problems: list[Problem] = []
        self.error: Exception | None = None
        self._clock = clock
        self._index = 0

    def feed(self, chunk: bytes, received_ns: int, source: int = 0) -> list[FakeEstimate]:
        self.sources.append(source)
        if self.error is not None:
            raise self.error
        estimates = []
        for letter in chunk.decode():
            self.counters.samples += 1
            if letter == "g":
                self.counters.dropped += 5
            if letter == "e":
                self._clock.now_ns += round(self.compute_ms * MS)
                estimates.append(FakeEstimate(self._index, received_ns * 1e-9, **self.change))
                self._index += 1
        return estimates

    def take_problems(self) -> list[Problem]:
        taken, self.problems = self.problems, []
        return taken

    def host_ns(self, time_s: float) -> int:
        return round(time_s * 1e9 - self.age_ms * MS)


class FakeOutput(Output):
    def __init__(self, clock: Clock) -> None:
        super().__init__("fake:")
        self.sent: list[tuple[int, Command]] = []
        self.error: Exception | None = None
        self._clock = clock

    def open(self) -> None: ...
    def close(self) -> None: ...

    def send(self, command: Command) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((self._clock.now_ns, command))


class FakeRecorder:
    """Keeps every call as (name, arguments)."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.problem: str | None = None

    def __getattr__(self, name: str) -> Callable[..., bool]:
        def record(*arguments: Any) -> bool:
            self.calls.append((name, *arguments))
            return True

        return record

    def check(self) -> str | None:
        return self.problem

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


def snapshot(
    n_muscles: int = 9,
    *,
    faults: tuple[str, ...] = (),
    level: float = 0.5,
    state: State = State.ACTIVE,
    explanation: str = "",
) -> Snapshot:
    """A snapshot with `n_muscles` muscles and a leg's three joints."""
    estimate = FakeEstimate(
        7,
        1.0,
        q=np.radians([10.0, -20.0, 5.0]),
        torque_nm=np.array([55.5, -12.25, 0.0]),
        activation=np.linspace(0.0, level, n_muscles),
        force_n=np.linspace(0.0, 1500.0, n_muscles),
    )
    return Snapshot(estimate, Command(0, 1, state, (1.0, 2.0, 3.0)), 31.25, faults, 12.5, 1234, explanation)
