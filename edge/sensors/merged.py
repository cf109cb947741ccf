"""Several sensors read by one thread, without busy waiting: whichever has something first is read first."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence

from edge.errors import ConfigError, SensorError
from edge.sensors.base import EndOfRecording, Sensor

POLL_S = 0.002
"""How often a sensor is looked at that can say neither by a descriptor nor by a time when it has something."""

Wait = Callable[[list[int], float], list[int]]
"""Descriptors and seconds to those of the descriptors that can be read, at the latest after that time."""


def _select(descriptors: list[int], timeout_s: float) -> list[int]:
    return list(select.select(descriptors, [], [], timeout_s)[0])


class MergedSensors:
    """The sensors of one session, numbered in their order; the caller opens and closes them.

    sensors: at least one. wait: how to wait. Raises ConfigError where several are to be read and one of them does not keep
    to real time: when its samples come says nothing then, and nothing else relates its time to the others'.
    """

    def __init__(self, sensors: Sequence[Sensor], *, wait: Wait = _select) -> None:
        self._sensors = tuple(sensors)
        self._wait = wait
        self._ended: EndOfRecording | SensorError | None = None
        for sensor in self._sensors[: len(sensors) if len(sensors) > 1 else 0]:
            if not sensor.real_time:
                raise ConfigError(
                    f"{sensor.url}: with several sensors each must give its samples at their true rate: leave out speed="
                )

    @property
    def url(self) -> str:
        """The sensors' URLs, for messages."""
        return " + ".join(sensor.url for sensor in self._sensors)

    def read(self, timeout_s: float) -> list[tuple[int, bytes]]:
        """Wait up to `timeout_s` for bytes of any sensor; return all that there are: number of the sensor, bytes.

        Raises SensorLostError when one of them is gone and EndOfRecording when one has ended; what had come from the
        others by then is returned first.
        """
        if len(self._sensors) == 1:
            chunk = self._sensors[0].read(timeout_s)
            return [(0, chunk)] if chunk else []
        if self._ended is not None:
            raise self._ended
        chunks = []
        for number in self._ready(max(0.0, timeout_s)):
            try:
                chunk = self._sensors[number].read(0.0)
            except (EndOfRecording, SensorError) as ended:
                self._ended = self._ended or ended
                continue
            if chunk:
                chunks.append((number, chunk))
        if self._ended is not None and not chunks:
            raise self._ended
        return chunks

    def _ready(self, timeout_s: float) -> list[int]:
        """Wait; which of the sensors have something, or might."""
        descriptor = [sensor.fileno() for sensor in self._sensors]
        due_s = [sensor.due_s() for sensor in self._sensors]
        for fd, due in zip(descriptor, due_s, strict=True):
            if due is not None:
                timeout_s = min(timeout_s, max(0.0, due))
            elif fd is None:
                timeout_s = min(timeout_s, POLL_S)
        readable = set(self._wait([fd for fd in descriptor if fd is not None], timeout_s))
        ready = []
        for number, fd in enumerate(descriptor):
            due = self._sensors[number].due_s() if due_s[number] is not None else None
            if fd in readable or (due is not None and due <= 0.0) or (fd is None and due_s[number] is None):
                ready.append(number)
        return ready
