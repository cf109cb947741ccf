"""FIR differentiation: every output is one weighted sum of the last 0.6 s of all channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.signals.differentiator import Derivatives, Differentiator, unknown_error
from edge.signals.experts import starting_weights
from edge.signals.movement_prior import BRISK, NormalEquations, normal_equations
from edge.signals.ring import Ring
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

WARM_UP_S = 0.15
_EVEN = 1e-3  # of a sample interval: how far a stamp may lie from an even one
_MOST_FILLED = 5  # missing samples in a row that a line between their neighbours replaces


class FirDifferentiator(Differentiator):
    """One matrix times the window. Without a bank, the matrix is the best one for movement in general.

    Samples that come at even intervals stand in the window as they are. A few missing ones are replaced on a line
    between their neighbours; where intervals differ, the window is made anew from every sample's own time.
    """

    def __init__(self, taps: Taps, bank: NormalEquations | None = None) -> None:
        super().__init__(taps.n_joints, taps.rate_hz, taps.age_s)
        self.taps = taps
        weights = normal_equations(taps, BRISK).solve() if bank is None else bank.solve()
        self._weights, self._constant = taps.sample_weights(weights)
        self._rmse = unknown_error(taps.n_joints)
        self._interval_s = 1.0 / taps.rate_hz
        self._size, self._full = taps.samples, taps.count
        fewest = max(10, round(WARM_UP_S * taps.rate_hz), int(np.ceil(taps.age_s * taps.rate_hz)) + 5)
        # A tap is what weights are for; the first ones that suffice, and one more at a time until the window is full.
        self._starting = {
            count: taps.sample_weights(starting_weights(taps, count), count)
            for count in range(-(-fewest // taps.stride), taps.count)
        }
        # Twice the window: at uneven intervals it may hold more samples than at even ones.
        self._rows = Ring(2 * taps.samples, taps.width)
        self._times = Ring(2 * taps.samples, 1)
        self._sample = np.zeros(taps.width)
        self._back_s = np.arange(taps.samples)[::-1] * self._interval_s
        self._gyroscopes = np.array(taps.gyroscopes, dtype=np.intp)
        self.restart()

    def restart(self) -> None:
        self._count = 0  # samples since the start
        self._even = 0  # of them at even intervals, up to the newest
        self._first_s = self._t = -np.inf

    def push(self, t_s: float, q: FloatArray, rate: FloatArray | None = None) -> Derivatives | None:
        window, count = self._take(t_s, q, rate)
        if window is None:
            return None
        weights, constant = (self._weights, self._constant) if count == self._full else self._starting[count]
        out = (weights @ window + constant)[: 3 * self.n_joints].reshape(3, self.n_joints)
        return Derivatives(t_s - self.age_s, out[0], out[1], out[2], self.age_s, self._rmse)

    def _take(self, t_s: float, q: FloatArray, rate: FloatArray | None) -> tuple[FloatArray | None, int]:
        """Take one sample; return the window, or None, and the taps that it fills."""
        interval = t_s - self._t
        if not interval > 0.0:
            raise ValueError(f"time does not increase: {self._t:g} s, then {t_s:g} s")
        sample = self._sample
        n = self.n_joints
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
        sample[:n] = q
        self._append(t_s, sample)
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
        own = self._sample[self.n_joints :]
        np.copyto(own, measured, where=np.isfinite(measured))

    def _fill(self, t_s: float, q: FloatArray, whole: int) -> None:
        """Put what is missing before a sample on a line from the last one."""
        n = self.n_joints
        before = self._rows.last(1)[0].copy()
        after = before.copy()
        after[:n] = q
        after[n:] = self._sample[n:]
        for i in range(1, whole):
            self._append(t_s - (whole - i) * self._interval_s, before + (i / whole) * (after - before))

    def _window(self, t_s: float) -> tuple[FloatArray | None, int]:
        """The samples of the window, oldest first in one row, and how many taps they fill; None while there are too few."""
        if self._even >= self._size:
            return self._rows.last(self._size).reshape(-1), self._full
        taps = self.taps
        there = int((t_s - self._first_s) / self._interval_s + 1e-6) + 1
        count = min(there // taps.stride, taps.count)
        if count < taps.count and count not in self._starting:
            return None, 0
        size = count * taps.stride
        if self._even >= size:
            return self._rows.last(size).reshape(-1), count
        kept = min(self._count, self._rows.size)
        times, rows = self._times.last(kept)[:, 0], self._rows.last(kept)
        at = t_s - self._back_s[-size:]
        return np.stack([np.interp(at, times, column) for column in rows.T], axis=1).reshape(-1), count
