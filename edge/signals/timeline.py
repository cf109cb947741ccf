"""The stamps of several senders on one time line: the first source's own clock.

The first source's stamps are taken as they are, so that a single sensor's estimates depend on its bytes alone. A stamp of
another source goes by its own clock to the host's time, and from there back to the first source's. The constant part of each
transport's delay cannot be seen; what differs between two sources in it is left as a shift of one against the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.sensors.frame import Frame
from edge.signals.clock import SensorClock
from edge.signals.problems import Problems

SETTLE_US = 200_000
"""So long a sender is listened to, at the start and after a jump of its clock, before its stamps are placed beside others'."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The times of one frame.

    sensor_us: as the sender says; host_ns: the same moment on the host's monotonic clock, corrected for drift and for
    what made the frame late; line_us: on the session's time line, None while it cannot be placed there.
    """

    sensor_us: int
    host_ns: int
    line_us: int | None


class TimeLine:
    """The clocks of all sources. What it gives follows from the stamps and when they were received, in their order.

    names: what messages call the sources. paced: whether bytes come from them at the rate of the measurement.
    """

    def __init__(self, names: Sequence[str], paced: Sequence[bool], problems: Problems) -> None:
        self.unplaced = 0  # frames whose sender, or the first one, was not yet heard for long enough
        self._names, self._paced, self._problems = names, paced, problems
        self._clocks = [SensorClock() for _ in names]
        self._since_us = [0] * len(names)  # stamp from which on the clock has run without a jump
        self._jumps = [(0, 0)] * len(names)  # restarts and steps that were told
        self._doubts = [False] * len(names)
        self._told_jumps = [0] * len(names)  # how many there had been when all was well last
        self._newest_us = 0  # of the first source

    def take(self, source: int, frames: Sequence[Frame], received_ns: int) -> list[Stamp]:
        """Place the frames that came together from one source."""
        clock = self._clocks[source]
        for frame in frames:
            if not clock.ready:
                self._since_us[source] = frame.time_us
            clock.observe(frame.time_us, received_ns)
            if (clock.restarts, clock.steps) != self._jumps[source]:
                self._since_us[source] = frame.time_us
                self._tell_jump(source)
        self._tell_doubt(source)
        return [self._stamp(source, frame.time_us) for frame in frames]

    def host_ns(self, line_us: float) -> int:
        """Host time of a moment of the time line. Raises ValueError before the first source's first frame."""
        return self._clocks[0].host_ns(line_us)

    def _stamp(self, source: int, sensor_us: int) -> Stamp:
        host_ns = self._clocks[source].host_ns(sensor_us)
        line_us: int | None = sensor_us
        if source != 0:
            placed = self._settled(source, sensor_us) and self._first_settled()
            line_us = self._clocks[0].sensor_us(host_ns) if placed else None
            self.unplaced += line_us is None
        else:
            self._newest_us = sensor_us
        return Stamp(sensor_us, host_ns, line_us)

    def _settled(self, source: int, sensor_us: int) -> bool:
        return sensor_us - self._since_us[source] >= SETTLE_US

    def _first_settled(self) -> bool:
        return self._clocks[0].ready and self._settled(0, self._newest_us)

    def _tell_jump(self, source: int) -> None:
        clock = self._clocks[source]
        restarts, steps = self._jumps[source]
        for what, more in (("restart", clock.restarts - restarts), ("step", clock.steps - steps)):
            if more:
                self._problems.add(f"clock_{what}:{source}", f"{self._names[source]}: {clock.problem()}")
        self._jumps[source] = clock.restarts, clock.steps

    def _tell_doubt(self, source: int) -> None:
        text = self._clocks[source].problem() if self._paced[source] else None
        # A jump has a problem of its own; what follows from it in the next seconds is not another.
        new = sum(self._jumps[source]) == self._told_jumps[source]
        if text is not None and not self._doubts[source] and new:
            self._problems.add(f"clock:{source}", f"{self._names[source]}: {text}")
        if text is None:
            self._told_jumps[source] = sum(self._jumps[source])
        self._doubts[source] = text is not None
