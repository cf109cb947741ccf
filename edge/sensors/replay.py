"""`replay:TRIAL.mot?speed=1&side=r&model=leg9&loop=0`: a recorded trial as if its leg were wearing the sensors.

The trial is a file, or `demo` for the recording that comes with the program. speed: 1 is the true rate, 0 as fast as it
is read. side: r or l. model: the muscle model whose joints are played. loop=1: for ever, joined where the motion is alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.errors import SensorError
from edge.sensors.frame import Frame
from edge.sensors.playback import playback
from edge.sensors.played import PlayedSensor
from edge.sensors.player import repeat
from edge.url import Url

MAX_SPEED = 1000.0


class ReplaySensor(PlayedSensor):
    """A recorded trial, each frame when it is due."""

    def __init__(
        self,
        url: Url,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        url.only("speed", "side", "model", "loop")
        self._path = Path(url.need_path("replay:walk.mot?speed=1"))
        self._side = url.text_of("side", "r", choices=("r", "l"))
        self._model = url.text_of("model", "leg9")
        self._loop = url.switch("loop", False)
        self.finite = not self._loop
        speed = url.number("speed", 1.0, minimum=0.0, maximum=MAX_SPEED)
        super().__init__(url, speed=speed, clock=clock, sleep=sleep)

    def _source(self) -> Iterator[Frame]:
        """Read the trial. Raises FileError, TrialError or ModelError where it cannot be played."""
        frames = playback(self._path, side=self._side, model=self._model)
        if not frames:
            raise SensorError(f"{self.url}: the trial holds no samples to play; choose another file")
        return repeat(frames, loop=self._loop)
