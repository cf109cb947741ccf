from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from edge.errors import ConfigError
from edge.sensors.base import EndOfRecording, Sensor, SensorLostError
from edge.sensors.merged import POLL_S, MergedSensors

Read = list[tuple[int, bytes]]


class World:
    """A clock that moves only where somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []

    def wait(self, descriptors: list[int], timeout_s: float) -> list[int]:
        self.waits.append(timeout_s)
        self.now_s += timeout_s
        return []


class Scheduled(Sensor):
    """Gives its name once per period; silent (nobody knows when) without one."""

    def __init__(self, world: World, name: str, period_s: float, *, count: int = 10**9, tells: bool = True) -> None:
        super().__init__(f"{name}:")
        self._world, self._name, self._period_s, self._tells = world, name, period_s, tells
        self._next_s, self._count = 0.0, count
        self.error: Exception = EndOfRecording()

    def open(self) -> None: ...
    def close(self) -> None: ...

    def due_s(self) -> float | None:
        return self._next_s - self._world.now_s if self._tells else None

    def read(self, timeout_s: float) -> bytes:
        assert timeout_s == 0.0
        if self._count == 0:
            raise self.error
        if self._next_s > self._world.now_s + 1e-12:
            return b""
        self._next_s += self._period_s
        self._count -= 1
        return self._name.encode()


class Pipe(Sensor):
    def __init__(self) -> None:
        super().__init__("pipe:")
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)

    def open(self) -> None: ...

    def close(self) -> None:
        os.close(self._read_fd)
        os.close(self.write_fd)

    def fileno(self) -> int:
        return self._read_fd

    def read(self, timeout_s: float) -> bytes:
        assert timeout_s == 0.0
        return os.read(self._read_fd, 100)


@pytest.fixture
def pipes() -> Iterator[tuple[Pipe, Pipe]]:
    one, two = Pipe(), Pipe()
    yield one, two
    one.close()
    two.close()


def test_one_sensor_is_read_as_if_it_were_alone() -> None:
    class Alone(Scheduled):
        def read(self, timeout_s: float) -> bytes:
            assert timeout_s == 0.25
            return b"" if self._count == 0 else b"bytes"

    world = World()
    assert MergedSensors([Alone(world, "a", 1.0)], wait=world.wait).read(0.25) == [(0, b"bytes")]
    assert MergedSensors([Alone(world, "a", 1.0, count=0)], wait=world.wait).read(0.25) == []
    assert world.waits == []


def test_schedules_are_waited_for_and_no_longer() -> None:
    world = World()
    merged = MergedSensors([Scheduled(world, "a", 0.01), Scheduled(world, "b", 0.004)], wait=world.wait)
    read = [(round(world.now_s, 6), merged.read(0.01)) for _ in range(8)]
    found = [chunk for _, chunk in read]
    assert found[0] == [(0, b"a"), (1, b"b")]
    assert found[1:4] == [[(1, b"b")], [(1, b"b")], [(0, b"a")]]
    assert sum(world.waits) == pytest.approx(world.now_s)
    assert len(world.waits) == 8  # a wait for each reading: nothing is asked in vain


def test_silence_lasts_as_long_as_was_asked_for() -> None:
    world = World()
    merged = MergedSensors([Scheduled(world, "a", 9.0), Scheduled(world, "b", 9.0)], wait=world.wait)
    assert len(merged.read(0.0)) == 2
    assert merged.read(0.007) == []
    assert world.waits[-1] == 0.007


def test_one_that_can_tell_nothing_is_looked_at_now_and_then() -> None:
    world = World()
    merged = MergedSensors([Scheduled(world, "a", 0.01, tells=False), Scheduled(world, "b", 9.0)], wait=world.wait)
    found: Read = []
    for _ in range(50):
        found += merged.read(0.01)
    assert max(world.waits) <= POLL_S
    assert [number for number, _ in found].count(0) == pytest.approx(world.now_s / 0.01, abs=1.1)


def test_descriptors_are_read_when_they_have_something(pipes: tuple[Pipe, Pipe]) -> None:
    one, two = pipes
    merged = MergedSensors(pipes)
    assert merged.read(0.0) == []
    os.write(two.write_fd, b"second")
    assert merged.read(5.0) == [(1, b"second")]  # at once: five seconds would be noticed
    os.write(one.write_fd, b"1")
    os.write(two.write_fd, b"2")
    assert merged.read(5.0) == [(0, b"1"), (1, b"2")]


def test_a_schedule_beside_a_descriptor(pipes: tuple[Pipe, Pipe]) -> None:
    world = World()
    merged = MergedSensors([pipes[0], Scheduled(world, "b", 5.0)])
    os.write(pipes[0].write_fd, b"x")
    assert merged.read(5.0) == [(0, b"x"), (1, b"b")]


@pytest.mark.parametrize("error", [EndOfRecording(), SensorLostError("gone")])
def test_what_the_others_have_comes_before_the_end(error: Exception) -> None:
    world = World()
    ending, other = Scheduled(world, "a", 0.01, count=1), Scheduled(world, "b", 0.01)
    ending.error = error
    merged = MergedSensors([ending, other], wait=world.wait)
    assert merged.read(0.01) == [(0, b"a"), (1, b"b")]
    assert merged.read(0.01) == [(1, b"b")]
    for _ in range(2):
        with pytest.raises(type(error)):
            merged.read(0.01)


def test_a_recording_that_is_not_played_at_its_rate_cannot_be_merged() -> None:
    world = World()
    fast = Scheduled(world, "fast", 0.0)
    fast.real_time = False
    MergedSensors([fast])
    with pytest.raises(ConfigError, match=r"^fast:: with several sensors.*leave out speed="):
        MergedSensors([Scheduled(world, "a", 0.01), fast])


def test_its_name_is_that_of_all() -> None:
    world = World()
    assert MergedSensors([Scheduled(world, "a", 1.0), Scheduled(world, "b", 1.0)]).url == "a: + b:"
