"""The error of a differentiator, measured on the run itself."""

from __future__ import annotations

from collections import deque

import numpy as np

from edge.signals.differentiator import REFERENCE_AGE_S, Derivatives, Differentiator, FloatArray
from edge.signals.kalman import KalmanSmoother

_ERROR_MEMORY_S = 2.0


class Measured(Differentiator):
    """A differentiator whose outputs carry their error, measured against a smoother that sees REFERENCE_AGE_S further.

    What that smoother itself leaves over of the sensor's noise cannot be seen in the difference and is added: its
    variance follows from its gains and from what it leaves of the measurements, and the two errors are independent,
    since the error of a best estimate is orthogonal to everything that went into it.
    """

    def __init__(self, inner: Differentiator) -> None:
        super().__init__(inner.n_joints, inner.rate_hz, inner.age_s)
        self._inner = inner
        self._reference = KalmanSmoother(inner.n_joints, inner.rate_hz, inner.age_s + REFERENCE_AGE_S)
        self._forget = float(np.exp(-1.0 / (_ERROR_MEMORY_S * inner.rate_hz)))
        self._error = np.zeros((3, inner.n_joints))
        self.restart()

    def restart(self) -> None:
        self._inner.restart()
        self._reference.restart()
        self._said: deque[Derivatives] = deque()
        self._weight = 0.0
        self._square = np.zeros((3, self.n_joints))
        self._noise_weight = 0.0
        self._noise = np.zeros(self.n_joints)

    def push(self, t_s: float, q: FloatArray, rate: FloatArray | None = None) -> Derivatives | None:
        truth = self._reference.push(t_s, q)
        output = self._inner.push(t_s, q, rate)
        if output is not None:
            self._said.append(output)
        own = None
        if truth is not None:
            own = self._reference.own_error()
            while self._said and self._said[0].t_s < truth.t_s - 0.5 / self.rate_hz:
                self._said.popleft()
            if self._said and abs(self._said[0].t_s - truth.t_s) <= 0.5 / self.rate_hz:
                self._compare(self._said[0], truth)
        if output is None or self._weight == 0.0:
            return output
        square = self._square / self._weight
        if own is not None:
            variance, noise = own
            self._noise_weight = self._forget * self._noise_weight + (1.0 - self._forget)
            self._noise *= self._forget
            self._noise += (1.0 - self._forget) * noise
            square += variance[:, None] * (self._noise / self._noise_weight)
        rmse = np.sqrt(square)
        return Derivatives(output.t_s, output.q, output.qd, output.qdd, output.age_s, rmse)

    def _compare(self, said: Derivatives, truth: Derivatives) -> None:
        error = self._error
        np.subtract(said.q, truth.q, out=error[0])
        np.subtract(said.qd, truth.qd, out=error[1])
        np.subtract(said.qdd, truth.qdd, out=error[2])
        error *= error
        error *= 1.0 - self._forget
        self._square *= self._forget
        self._square += error
        self._weight = self._forget * self._weight + (1.0 - self._forget)
