"""Several streams with their own times onto one even grid: the model's rate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GridSample:
    """All channels at one grid time. `restarted` marks the first sample after a gap: what came before must be forgotten."""

    t_s: float
    values: FloatArray
    restarted: bool


class GridResampler:
    """Interpolates streams linearly onto t = t0 + k / rate, where t0 is the first moment that all streams have reached.

    A grid sample leaves as soon as every stream has a sample at or after its time: nothing is guessed ahead. Gaps of up to
    `max_gap_s` are bridged; a longer one in any stream, or a clock that jumps back by more, starts a new grid.
    """

    def __init__(self, widths: tuple[int, ...], rate_hz: float, max_gap_s: float) -> None:
        self.rate_hz = rate_hz
        self.max_gap_s = max_gap_s
        self._streams: list[deque[tuple[float, FloatArray]]] = [deque() for _ in widths]
        self._start: float | None = None
        self._next = 0
        self._restarted = True
        self.late = 0  # samples dropped because they are not newer than their predecessor

    def push(self, stream: int, t_s: float, values: FloatArray) -> list[GridSample]:
        """Take one sample of one stream; return the grid samples that it completes."""
        queue = self._streams[stream]
        if queue:
            step = t_s - queue[-1][0]
            if step > self.max_gap_s or step < -self.max_gap_s:
                self._restart()
            elif step <= 0:
                self.late += 1
                return []
        queue.append((t_s, values))
        if self._start is None:
            if not all(self._streams):
                return []
            self._start = max(q[0][0] for q in self._streams)
            self._next = 0
        samples = []
        while True:
            # Multiplied out from the start, so that the grid does not drift by rounding.
            wanted = self._start + self._next / self.rate_hz
            if any(not q or q[-1][0] < wanted - 1e-9 for q in self._streams):
                break
            parts = [_interpolate(q, wanted) for q in self._streams]
            samples.append(GridSample(wanted, np.concatenate(parts), self._restarted))
            self._restarted = False
            self._next += 1
        return samples

    def _restart(self) -> None:
        for queue in self._streams:
            queue.clear()
        self._start = None
        self._restarted = True


def _interpolate(queue: deque[tuple[float, FloatArray]], wanted: float) -> FloatArray:
    """Value at `wanted`; drops what lies before the interval that holds it."""
    while len(queue) > 1 and queue[1][0] <= wanted + 1e-9:
        queue.popleft()
    t0, v0 = queue[0]
    if len(queue) == 1 or abs(wanted - t0) <= 1e-9:
        return v0
    t1, v1 = queue[1]
    share = (wanted - t0) / (t1 - t0)
    return v0 + share * (v1 - v0)
