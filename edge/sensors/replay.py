"""`replay:TRIAL.mot?speed=1&side=r&model=leg9&loop=0`: a recorded trial as if its leg were wearing the sensors.

The trial is a file, or `demo` for the recording that comes with the program. speed: 1 is the true rate, 0 as fast as it
is read. side: r or l. model: the muscle model whose joints are played. loop=1: for ever, joined where the motion is alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.errors import SensorError
from edge.sensors.base import EndOfRecording, Sensor
from edge.sensors.frame import Frame, encode
from edge.sensors.playback import playback
from edge.sensors.player import Schedule, repeat
from edge.url import Url

MAX_SPEED = 1000.0


class ReplaySensor(Sensor):
    """Gives each frame when it is due. The clock starts with the first read."""

    def __init__(
        self,
        url: Url,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(url.text)
        url.only("speed", "side", "model", "loop")
        self._path = Path(url.need_path("replay:walk.mot?speed=1"))
        self._speed = url.number("speed", 1.0, minimum=0.0, maximum=MAX_SPEED)
        self._side = url.text_of("side", "r", choices=("r", "l"))
        self._model = url.text_of("model", "leg9")
        self._loop = url.switch("loop", False)
        self.finite = not self._loop
        self._clock = clock
        self._sleep = sleep
        self._frames: Iterator[Frame] | None = None
        self._next: Frame | None = None
        self._schedule = Schedule(self._speed, clock)

    def open(self) -> None:
        """Read the trial. Raises FileError, TrialError or ModelError where it cannot be played."""
        frames = playback(self._path, side=self._side, model=self._model)
        if not frames:
            raise SensorError(f"{self.url}: the trial holds no samples to play; choose another file")
        self._frames = repeat(frames, loop=self._loop)
        self._next = next(self._frames)
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

    def close(self) -> None:
        """Forget the trial."""
        self._frames = None
        self._next = None
