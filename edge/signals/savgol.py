"""Savitzky-Golay: a polynomial through the last samples."""

from __future__ import annotations

import numpy as np

from edge.signals.differentiator import SAME_INTERVAL_S, Derivatives, Differentiator, FloatArray, unknown_error
from edge.signals.ring import Ring

_ORDER = 3
_WINDOW_S = 0.15


class SavitzkyGolay(Differentiator):
    """Least-squares cubic over the last samples (Savitzky & Golay 1964), by the samples' own times."""

    def __init__(self, n_joints: int, rate_hz: float, age_s: float, window_s: float = _WINDOW_S) -> None:
        super().__init__(n_joints, rate_hz, age_s)
        # An estimate inside the window is far better than one at its edge: the window reaches back past the moment.
        self._count = max(round((window_s + age_s) * rate_hz), _ORDER + 4)
        self._unknown = unknown_error(n_joints)
        self.restart()

    def restart(self) -> None:
        self._times = Ring(self._count, 1)
        self._values = Ring(self._count, self.n_joints)
        self._pushed = 0
        self._t = -np.inf
        self._offsets = np.full(self._count, np.nan)
        self._weights = np.empty((3, 0))

    def push(self, t_s: float, q: FloatArray, rate: FloatArray | None = None) -> Derivatives | None:
        if not t_s > self._t:
            raise ValueError(f"time does not increase: {self._t:g} s, then {t_s:g} s")
        self._t = t_s
        self._times.append(t_s)
        self._values.append(q)
        self._pushed += 1
        if self._pushed < self._count:
            return None
        wanted = t_s - self.age_s
        offsets = self._times.last(self._count)[:, 0] - wanted
        if not np.abs(offsets - self._offsets).max() <= SAME_INTERVAL_S:
            self._offsets = offsets
            span = offsets[-1] - offsets[0]
            table = (offsets[:, None] / span) ** np.arange(_ORDER + 1)
            inverse = np.linalg.pinv(table)
            self._weights = inverse[:3] * np.array([1.0, 1.0 / span, 2.0 / span**2])[:, None]
        x = self._weights @ self._values.last(self._count)
        return Derivatives(wanted, x[0], x[1], x[2], self.age_s, self._unknown)
