"""Play recorded frames again and again, and at the right moments.

A recording's frames start at time 0 with sequence numbers from 0 (one count per kind). Played in a loop, times and
sequence numbers go on increasing, so that a receiver sees one long recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from edge.sensors.frame import Frame
from edge.sensors.seam import seam as find_seam

_SEQUENCE_MODULO = 1 << 32


def repeat(frames: Sequence[Frame], *, loop: bool) -> Iterator[Frame]:
    """The frames in order of time; for ever when `loop`.

    A loop goes back from a moment near the end to a like one near the start (:mod:`edge.sensors.seam`), so that the
    motion goes on without a jump. A recording that never comes back to where it was is repeated as a whole, each round
    one sample interval after the last: its jump is then seen as what it is.

    frames: at least one, ordered by `time_us`.
    """
    if not loop:
        yield from frames
        return
    joint = find_seam(frames)
    start, stop = joint or (0, len(frames))
    yield from frames[:stop]
    part = frames[start:stop]
    per_kind = Counter(frame.kind for frame in part)
    period_us = frames[stop].time_us - frames[start].time_us if joint else _period_us(frames)
    turn = 0
    while True:
        turn += 1
        for frame in part:
            yield replace(
                frame,
                time_us=frame.time_us + turn * period_us,
                sequence=(frame.sequence + turn * per_kind[frame.kind]) % _SEQUENCE_MODULO,
            )


def _period_us(frames: Sequence[Frame]) -> int:
    """Length of one round: the recording and one mean interval of its most frequent kind, µs."""
    span_us = frames[-1].time_us - frames[0].time_us
    most = max(Counter(frame.kind for frame in frames).values())
    interval_us = round(span_us / (most - 1)) if most > 1 else 0
    # One frame alone has no interval; a second keeps its loop from running hot.
    return span_us + interval_us or 1_000_000


class Schedule:
    """When each recorded moment is due: absolute deadlines from one start, so that lateness never adds up.

    speed: 1 is the true rate, 2 twice as fast, 0 without waiting. clock: nanoseconds, monotonic.
    """

    def __init__(self, speed: float, clock: Callable[[], int]) -> None:
        self.speed = speed
        self.clock = clock
        self._start_ns: int | None = None
        self._first_us = 0

    def start(self, first_us: int) -> None:
        """The moment `first_us` of the recording is now."""
        self._start_ns = self.clock()
        self._first_us = first_us

    def due_ns(self, time_us: int) -> int:
        """Clock time at which `time_us` of the recording is due. The first call starts the schedule."""
        if self._start_ns is None:
            self.start(time_us)
        start_ns = self._start_ns or 0
        if self.speed == 0.0:
            return start_ns
        return start_ns + round((time_us - self._first_us) * 1000 / self.speed)

    def wait_s(self, time_us: int) -> float:
        """Seconds from now until the moment is due; 0 when it has passed."""
        return max(0.0, (self.due_ns(time_us) - self.clock()) * 1e-9)
