"""What was true a third of a second ago: the sample stream on an even grid, and its zero-phase derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.signals import zero_phase
from edge.signals.movement_prior import REACH_S
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

_NOISE_TAPS = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70.0)
"""Fourth differences: next to nothing is left of a movement, and of white noise its variance."""


@dataclass(frozen=True)
class Past:
    """Moments whose truth is known by now; rows are moments."""

    features: FloatArray  # (m, features) what a filter saw
    target: FloatArray  # (m, outputs) what it should have said, values relative to the newest tap
    noise_square: FloatArray  # (m, n_joints) of the sensor, each row an estimate of its variance


class Hindsight:
    """Takes the sample stream in pieces; gives every moment once, when its truth is known."""

    def __init__(self, taps: Taps) -> None:
        self.taps = taps
        back = taps.age_s * taps.rate_hz
        self._back = int(np.ceil(back - 1e-9))
        self._filter = zero_phase.impulse_taps(taps.rate_hz, self._back - back, REACH_S)  # (3, 2 reach + 1)
        self._reach = int(self._filter.shape[1]) // 2
        self.noise_gain = (self._filter**2).sum(axis=1)
        """(3,): variance of the target for white noise of unit variance."""
        self._noise_in_features = self._shared_noise()
        self._restart()

    def _restart(self) -> None:
        self._last_s = np.zeros(0)
        self._last = np.zeros((0, self.taps.width))
        self._grid = np.zeros((0, self.taps.width))
        self._dropped = 0  # grid samples that are no longer kept
        self._origin_s = np.nan
        self.roughest = np.zeros(self.taps.n_joints)
        """(n_joints,): largest square of the fourth differences that the newest samples made; noise makes its variance."""
        self._given = -1  # number of the grid sample at which the last given moment's window ends

    def take(self, times_s: FloatArray, samples: FloatArray, restarted: bool) -> Past | None:
        """The next samples, (m,) s and (m, width); `restarted`: they follow a gap. None where no moment is known by them."""
        if restarted:
            self._restart()
        if not len(times_s):
            return None
        self._extend(times_s, samples)
        rows = self._new_rows()
        if not len(rows):
            return None
        past = _usable(self._past(rows))
        surplus = len(self._grid) - self.reach_samples
        if surplus > 0:
            self._grid = self._grid[surplus:]
            self._dropped += surplus
        return past

    def _extend(self, times_s: FloatArray, samples: FloatArray) -> None:
        """Put samples on an even grid, linearly between neighbours."""
        if np.isnan(self._origin_s):
            self._origin_s = float(times_s[0])
        times = np.concatenate([self._last_s, times_s])
        values = np.concatenate([self._last, samples])
        self._last_s, self._last = times[-1:], values[-1:]
        have = self._dropped + len(self._grid)
        until = int(np.floor((times[-1] - self._origin_s) * self.taps.rate_hz + 1e-6))
        at = self._origin_s + np.arange(have, until + 1) / self.taps.rate_hz
        new = np.stack([np.interp(at, times, column) for column in values.T], axis=1)
        self._grid = np.vstack([self._grid, new])
        last = self._grid[-len(new) - len(_NOISE_TAPS) + 1 :, : self.taps.n_joints] if len(new) else self._grid[:0]
        if len(last) >= len(_NOISE_TAPS):
            differences = np.lib.stride_tricks.sliding_window_view(last, len(_NOISE_TAPS), axis=0) @ _NOISE_TAPS
            self.roughest = (differences**2).max(axis=0)

    def _new_rows(self) -> npt.NDArray[np.intp]:
        """Rows of the kept grid at which windows end that are whole, whose truth is known, and that were not given before."""
        newest = self._dropped + len(self._grid) - 1
        first = max(self._given + 1, self._dropped + self.taps.samples - 1, self._dropped + self._back + self._reach)
        last = newest - max(self._reach - self._back, self.taps.ahead)
        self._given = max(self._given, last)
        return np.arange(first, last + 1) - self._dropped

    def _past(self, rows: npt.NDArray[np.intp]) -> Past:
        n = self.taps.n_joints
        features, newest = self.taps.design(self.taps.tapped(self._grid), rows)
        around = self._grid[(rows - self._back)[:, None] + np.arange(-self._reach, self._reach + 1)[None], :n]
        target = np.empty((len(rows), 4, n))
        target[:, :3] = np.einsum("dk,mkn->mdn", self._filter, around)
        target[:, 3] = self._grid[rows + self.taps.ahead, :n]
        target[:, [0, 3]] -= newest[:, None]
        differences = np.einsum("k,mkn->mn", _NOISE_TAPS, around[:, self._reach - 2 : self._reach + 3])
        return Past(features, target.reshape(len(rows), -1), differences**2)

    def _shared_noise(self) -> FloatArray:
        """(features, 3 n_joints): covariance of features and target by white noise of unit variance, each with its own."""
        taps = self.taps
        number = np.arange(taps.samples).reshape(taps.count, taps.stride)  # of each tap's samples, before the newest
        place = self._back + self._reach - number
        seen = (place >= 0) & (place < self._filter.shape[1])
        weight = np.where(seen, self._filter[:, np.clip(place, 0, self._filter.shape[1] - 1)], 0.0).mean(
            axis=2
        )  # (3, count)
        table = np.zeros((taps.features, 3 * taps.n_joints))
        for j in range(taps.n_joints):
            outputs = taps.of_joint(j)[:3]
            table[np.ix_(taps.joint(j)[: taps.count - 1], outputs)] = (weight[:, 1:] - weight[:, :1]).T
            table[taps.newest.start + j, outputs] = weight[:, 0]
        return table

    @property
    def reach_samples(self) -> int:
        """For so many samples one sample is seen in features or targets."""
        return self.taps.samples + self._back + 2 * self._reach

    def noise_products(self, noise_variance: FloatArray) -> FloatArray:
        """(features, outputs): what the sensor's noise (n_joints,) alone adds to features x target of one moment."""
        products = np.zeros((self.taps.features, self.taps.outputs))
        products[:, : 3 * self.taps.n_joints] = self._noise_in_features * np.tile(noise_variance, 3)
        return products

    def noise_in_common(self, weights: FloatArray) -> FloatArray:
        """(3 n_joints,): covariance of a filter's answers with the target by white noise of unit variance.

        weights: (features, outputs).
        """
        n = self.taps.n_joints
        common = (weights[:, : 3 * n] * self._noise_in_features).sum(axis=0)
        # Values are answered relative to the newest tap, whose noise comes on top.
        common[:n] += self._noise_in_features[np.arange(n) + self.taps.newest.start, np.arange(n)]
        return np.asarray(common)


def _usable(past: Past) -> Past | None:
    """Without moments that saw a value that is no number: one of them would spoil every sum for ever."""
    fine = np.isfinite(past.features).all(axis=1) & np.isfinite(past.target).all(axis=1)
    if fine.all():
        return past
    return Past(past.features[fine], past.target[fine], past.noise_square[fine]) if fine.any() else None
