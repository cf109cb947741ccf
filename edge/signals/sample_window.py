"""The last samples of a stream as one row of numbers, whatever their intervals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.signals.ring import Ring
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

MOST_GAP_S = 0.25
"""A longer pause is no interval any more: what comes after it is a new start."""
_EVEN = 1e-3  # of a sample interval: how far a stamp may lie from an even one
_MOST_FILLED = 5  # missing samples in a row that a line between their neighbours replaces


class SampleWindow:
    """Samples that come at even intervals stand in the window as they are. A few missing ones are replaced on a line
    between their neighbours; where intervals differ, the window is made anew from every sample's own time.
    """

    def __init__(self, taps: Taps, fewest_taps: int) -> None:
        """fewest_taps: below so many there is no window."""
        self.taps = taps
        self.newest = np.zeros(taps.width)
        """The last sample: values, then the gyroscopes' rates."""
        self._fewest = fewest_taps
        self._size, self._full, self._n = taps.samples, taps.count, taps.n_joints
        self._interval_s = 1.0 / taps.rate_hz
        # Twice the window: at uneven intervals it may hold more samples than at even ones.
        self._rows = Ring(2 * taps.samples, taps.width)
        self._times = Ring(2 * taps.samples, 1)
        self._back_s = np.arange(taps.samples)[::-1] * self._interval_s
        self._gyroscopes = np.array(taps.gyroscopes, dtype=np.intp)
        self.restart()

    def restart(self) -> None:
        """The next sample is the first."""
        self._count = 0  # samples since the start
        self._even = 0  # of them at even intervals, up to the newest
        self._first_s = self._t = -np.inf

    def ends_a_gap(self, t_s: float) -> bool:
        """Whether a sample of this time would come after so long a pause that it should be the first."""
        return self._count > 0 and t_s - self._t > MOST_GAP_S

    def take(self, t_s: float, q: FloatArray, rate: FloatArray | None) -> tuple[FloatArray | None, int]:
        """Take one sample; return the window, oldest first, and how many taps it fills; None while they are too few.

        Raises ValueError where time does not increase, or rates are missing.
        """
        interval = t_s - self._t
        if not interval > 0.0:
            raise ValueError(f"time does not increase: {self._t:g} s, then {t_s:g} s")
        if self._gyroscopes.size:
            self._take_rates(rate)
        if self._count == 0:
            self._first_s = t_s
        else:
            steps = interval / self._interval_s
            whole = round(steps)
            if whole < 1 or abs(steps - whole) > _EVEN or whole > _MOST_FILLED + 1:
                self._even = 0
            elif whole > 1:
                self._fill(t_s, q, whole)
        self.newest[: self._n] = q
        self._append(t_s, self.newest)
        self._t = t_s
        return self._window(t_s)

    def _append(self, t_s: float, sample: FloatArray) -> None:
        self._rows.append(sample)
        self._times.append(t_s)
        self._count += 1
        self._even += 1

    def _take_rates(self, rate: FloatArray | None) -> None:
        """Measured rates into the sample; a missing one stays what it was last."""
        if rate is None:
            raise ValueError(f"rates of the channels {self.taps.gyroscopes} are missing")
        measured = rate[self._gyroscopes]
        np.copyto(self.newest[self._n :], measured, where=np.isfinite(measured))

    def _fill(self, t_s: float, q: FloatArray, whole: int) -> None:
        """Put what is missing before a sample on a line from the last one."""
        before = self._rows.last(1)[0].copy()
        after = self.newest.copy()
        after[: self._n] = q
        for i in range(1, whole):
            self._append(t_s - (whole - i) * self._interval_s, before + (i / whole) * (after - before))

    def _window(self, t_s: float) -> tuple[FloatArray | None, int]:
        if self._even >= self._size:
            return self._rows.last(self._size).reshape(-1), self._full
        there = int((t_s - self._first_s) / self._interval_s + _EVEN) + 1
        count = min(there // self.taps.stride, self._full)
        if count < self._fewest:
            return None, 0
        size = count * self.taps.stride
        if self._even >= size:
            return self._rows.last(size).reshape(-1), count
        kept = min(self._count, self._rows.size)
        times, rows = self._times.last(kept)[:, 0], self._rows.last(kept)
        at = t_s - self._back_s[-size:]
        return np.stack([np.interp(at, times, column) for column in rows.T], axis=1).reshape(-1), count
