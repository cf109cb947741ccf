"""How wrong each expert was of late, and so how much of the answer is its.

An expert's share of an output falls with a power of its mean square error over the last moments whose truth is known. The
truth holds the sensor's noise, and experts that saw the same samples hold some of the same noise: both are taken out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.signals.hindsight import Hindsight, Past
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

MEMORY_S = 2.0  # of the error that is reported
_QUICK_S = 0.7  # of the error that decides
_SHARPNESS = 3.0
_SAFE = 2  # the first experts: the Kalman smoother and the filter for calm movement
_LEAST = 0.02  # of the raw error: less is never left after the noise was taken out
_TINY = 1e-18


class Judge:
    """Hears what every expert said of moments whose truth is known; gives shares and the error of the whole."""

    def __init__(self, taps: Taps, hindsight: Hindsight, experts: Sequence[FloatArray]) -> None:
        self.taps = taps
        self._hindsight = hindsight
        self._common = np.stack([hindsight.noise_in_common(w) for w in experts])  # (experts, 3 n)
        m, n = self._common.shape
        self._quick = np.zeros((m, n))
        self._quick_weight = 0.0
        self._mixed = np.zeros(n)
        self._mixed_common = np.zeros(n)
        self._noise = np.zeros(taps.n_joints)
        self._weight = 0.0

    def changed(self, expert: int, weights: FloatArray) -> None:
        """An expert has other weights from now on."""
        self._common[expert] = self._hindsight.noise_in_common(weights)

    @property
    def noise_variance(self) -> FloatArray:
        """(n_joints,): of the sensor; infinite until it is known."""
        if self._weight == 0.0:
            return np.full(self.taps.n_joints, np.inf)
        return self._noise / self._weight

    def hear(self, answers: FloatArray, past: Past) -> None:
        """answers: (experts, m, outputs) about the moments of `past`."""
        size = 3 * self.taps.n_joints
        answers, target = answers[:, :, :size], past.target[:, :size]
        _, share = self.shares()
        error = (answers - target) ** 2
        mixed = (np.einsum("eo,emo->mo", share, answers) - target) ** 2
        count = len(target)
        age_s = np.arange(count)[::-1] / self.taps.rate_hz
        span_s = count / self.taps.rate_hz
        quick, slow = np.exp(-age_s / _QUICK_S), np.exp(-age_s / MEMORY_S)
        quick_fade, slow_fade = np.exp(-span_s / _QUICK_S), np.exp(-span_s / MEMORY_S)
        self._quick = quick_fade * self._quick + np.einsum("m,emo->eo", quick, error)
        self._quick_weight = quick_fade * self._quick_weight + quick.sum()
        self._mixed = slow_fade * self._mixed + slow @ mixed
        self._mixed_common = slow_fade * self._mixed_common + slow.sum() * (share * self._common).sum(axis=0)
        self._noise = slow_fade * self._noise + slow @ past.noise_square
        self._weight = slow_fade * self._weight + slow.sum()

    def shares(self) -> tuple[FloatArray, FloatArray]:
        """(experts, 3 n_joints) twice: of the safe answer, which is the first two experts' alone, and of the full one."""
        if self._weight == 0.0:
            # Until something is known, the Kalman smoother has it all.
            share = np.zeros_like(self._quick)
            share[0] = 1.0
            return share, share
        raw = self._quick / self._quick_weight
        worth = (1.0 / self._true_square(raw, self._common)) ** _SHARPNESS
        worth = worth / worth.max(axis=0)
        safe = worth.copy()
        safe[_SAFE:] = 0.0
        return safe / safe.sum(axis=0), worth / worth.sum(axis=0)

    def rmse(self) -> FloatArray:
        """(3, n_joints): of the full answer; NaN until it is known."""
        if self._weight == 0.0:
            return np.full((3, self.taps.n_joints), np.nan)
        square = self._true_square(self._mixed / self._weight, self._mixed_common / self._weight)
        return np.sqrt(square).reshape(3, self.taps.n_joints)

    def _true_square(self, raw: FloatArray, common: FloatArray) -> FloatArray:
        """Mean square errors against the truth, from those against the noisy target."""
        noise = np.tile(self.noise_variance, 3)
        gain = np.repeat(self._hindsight.noise_gain, self.taps.n_joints)
        return np.asarray(np.maximum(raw - noise * (gain - 2.0 * common), _LEAST * raw) + _TINY)
