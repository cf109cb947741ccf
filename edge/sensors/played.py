"""What sensors without a device share: frames given out when they are due."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator

from edge.errors import SensorError
from edge.sensors.base import EndOfRecording, Sensor
from edge.sensors.frame import Frame, encode
from edge.sensors.player import Schedule
from edge.url import Url


class PlayedSensor(Sensor):
    """Gives each frame when it is due, as bytes of `emsk`. The clock starts with the first read.

    speed: 1 is the true rate, 0 as fast as it is read. clock: nanoseconds, monotonic.
    """

    def __init__(
        self,
        url: Url,
        *,
        speed: float = 1.0,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(url.text)
        self.real_time = speed == 1.0
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._frames: Iterator[Frame] | None = None
        self._next: Frame | None = None
        self._schedule = Schedule(speed, clock)

    @abstractmethod
    def _source(self) -> Iterator[Frame]:
        """The frames from the first on, in order of time."""

    def open(self) -> None:
        """Make the frames ready."""
        self._frames = self._source()
        self._next = next(self._frames, None)
        self._schedule = Schedule(self._speed, self._clock)

    def read(self, timeout_s: float) -> bytes:
        """All frames that are due, after waiting up to `timeout_s` for the first; with speed=0, one moment's frames."""
        if self._frames is None:
            raise SensorError(f"{self.url}: not open; open the sensor before reading")
        if self._next is None:
            raise EndOfRecording
        wait_s = self._schedule.wait_s(self._next.time_us)
        if wait_s > 0.0:
            self._sleep(min(wait_s, max(0.0, timeout_s)))
        now_ns = self._clock()
        moment_us = self._next.time_us
        out = bytearray()
        while self._next is not None and self._is_due(self._next, moment_us, now_ns):
            out += encode(self._next)
            self._next = next(self._frames, None)
        return bytes(out)

    def _is_due(self, frame: Frame, moment_us: int, now_ns: int) -> bool:
        if self._speed == 0.0:
            return frame.time_us == moment_us
        return self._schedule.due_ns(frame.time_us) <= now_ns

    def due_s(self) -> float:
        """Seconds until the next frame; 0 at the end, which `read` tells."""
        return 0.0 if self._next is None else self._schedule.wait_s(self._next.time_us)

    def close(self) -> None:
        """Forget the frames."""
        self._frames = None
        self._next = None
