"""Several streams with their own times onto one even grid: the model's rate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MOST_SKEW_S = 1.0
"""So far one stream may be stamped behind another: a burst that was held up comes later, but not that much."""
TOLERANCE_S = 1e-9
"""Times closer than this are the same."""


@dataclass(frozen=True, slots=True)
class GridSample:
    """All channels at one grid time. `restarted` marks the first sample after a gap: what came before must be forgotten."""

    t_s: float
    values: FloatArray
    restarted: bool


class GridResampler:
    """Interpolates streams linearly onto t = t0 + k / rate, where t0 is the first moment that all streams have reached.

    A grid sample leaves as soon as every stream has a sample at or after its time: nothing is guessed ahead, and nothing is
    waited for longer. What happens where samples are missing:

    * bridged, by the straight line between its neighbours: a pause in a stream of up to `max_gap_s`;
    * a new grid, and with it everything behind anew: a longer pause in any stream, a clock that jumps by more, ahead or
      back, and a stream that falls MOST_SKEW_S behind another. Counted in `interruptions`; the first sample after it has
      `restarted` set;
    * left out: a sample that is not newer than its predecessor in its stream. Counted in `late`.

    Times are best counted from a near moment: beyond 4e6 s a double does not resolve `TOLERANCE_S`.
    """

    def __init__(self, widths: tuple[int, ...], rate_hz: float, max_gap_s: float) -> None:
        self.rate_hz = rate_hz
        self.max_gap_s = max_gap_s
        self._streams: list[deque[tuple[float, FloatArray]]] = [deque() for _ in widths]
        self._start: float | None = None
        self._next = 0
        self._restarted = True
        self.late = 0  # samples dropped because they are not newer than their predecessor
        self.interruptions = 0  # gaps and jumps back that started a new grid

    def push(self, stream: int, t_s: float, values: FloatArray) -> list[GridSample]:
        """Take one sample of one stream; return the grid samples that it completes."""
        queue = self._streams[stream]
        if queue:
            step = t_s - queue[-1][0]
            if abs(step) > self.max_gap_s + TOLERANCE_S:
                self.restart()
            elif step <= 0:
                self.late += 1
                return []
        queue.append((t_s, values))
        if self._start is None:
            if not self._begin(t_s):
                return []
        elif any(t_s - q[-1][0] > MOST_SKEW_S for q in self._streams):
            # A stream has stopped, or its stamps are of another clock: what waits for it would grow without end.
            self.restart()
            queue.append((t_s, values))
            return []
        samples = []
        # Multiplied out from the start, so that the grid does not drift by rounding.
        while self._reached(wanted := self._moment()):
            parts = [_interpolate(q, wanted) for q in self._streams]
            samples.append(GridSample(wanted, np.concatenate(parts), self._restarted))
            self._restarted = False
            self._next += 1
        return samples

    def _begin(self, t_s: float) -> bool:
        """Start the grid once all streams are there and near each other; until then keep no more than is needed."""
        for queue in self._streams:
            while queue and queue[0][0] < t_s - self.max_gap_s - TOLERANCE_S:
                queue.popleft()
        if not all(self._streams):
            return False
        self._start = max(queue[0][0] for queue in self._streams)
        self._next = 0
        return True

    def _moment(self) -> float:
        assert self._start is not None
        return self._start + self._next / self.rate_hz

    def _reached(self, moment: float) -> bool:
        return all(queue[-1][0] >= moment - TOLERANCE_S for queue in self._streams)

    def restart(self) -> None:
        """Forget all samples and start a new grid."""
        for queue in self._streams:
            queue.clear()
        self._start = None
        self._restarted = True
        self.interruptions += 1


def _interpolate(queue: deque[tuple[float, FloatArray]], wanted: float) -> FloatArray:
    """Value at `wanted`; drops what lies before the interval that holds it."""
    while len(queue) > 1 and queue[1][0] <= wanted + TOLERANCE_S:
        queue.popleft()
    t0, v0 = queue[0]
    if len(queue) == 1 or abs(wanted - t0) <= TOLERANCE_S:
        return v0
    t1, v1 = queue[1]
    share = (wanted - t0) / (t1 - t0)
    return v0 + share * (v1 - v0)
