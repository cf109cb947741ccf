"""Causal differentiation: value, rate and acceleration of every channel at a moment that lies `age_s` in the past.

The same code makes the network's inputs in training and on the device, so the network learns to live with its lag. Each
output carries its age, and its error as measured on the run itself against a smoother that sees 0.3 s further.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import ConfigError

FloatArray = npt.NDArray[np.float64]

METHODS = ("kalman", "savgol")
REFERENCE_AGE_S = 0.3  # so long after a moment, smoothing it again changes nothing that matters
_ERROR_MEMORY_S = 2.0
_CUTOFF_HZ = 7.0  # of the smoother for walking and similar movements
_SAVGOL_ORDER = 3
_SAVGOL_WINDOW_S = 0.15


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Kinematics of all channels at one moment."""

    t_s: float
    q: FloatArray  # (n,) rad
    qd: FloatArray  # (n,) rad/s
    qdd: FloatArray  # (n,) rad/s2
    age_s: float  # how long before the newest sample the moment lies
    rmse: FloatArray  # (3, n): measured error of q, qd and qdd; NaN until it is known


class Differentiator(ABC):
    """Takes one sample after the other, at any intervals, and describes the moment `age_s` before the newest."""

    def __init__(self, n_joints: int, rate_hz: float, age_s: float) -> None:
        self.n_joints = n_joints
        self.rate_hz = rate_hz
        self.age_s = age_s

    @abstractmethod
    def push(self, t_s: float, q: FloatArray) -> Derivatives | None:
        """Take one sample (n_joints,); return None while warming up. Time must increase (ValueError)."""


def create(method: str, *, n_joints: int, rate_hz: float, age_s: float, background: bool = True) -> Differentiator:
    """A differentiator by name.

    `kalman`: fixed-lag Kalman smoother; `savgol`: least-squares cubic over a sliding window. `background` is for methods
    that adapt themselves off the loop's thread; these two have nothing to adapt. Raises ConfigError.
    """
    del background
    if n_joints < 1 or not (rate_hz > 0) or not (0 <= age_s <= REFERENCE_AGE_S):
        raise ConfigError(
            f"differentiator: n_joints {n_joints}, rate_hz {rate_hz:g}, age_s {age_s:g} cannot be used: "
            f"rate_hz must be positive and age_s from 0 to {REFERENCE_AGE_S:g}"
        )
    if method == "kalman":
        return _Measured(KalmanSmoother(n_joints, rate_hz, age_s))
    if method == "savgol":
        return _Measured(SavitzkyGolay(n_joints, rate_hz, age_s))
    raise ConfigError(f"differentiator: unknown method '{method}': use one of {', '.join(METHODS)}")


class KalmanSmoother(Differentiator):
    """Fixed-lag smoother of a thrice integrated Wiener process seen in white noise.

    Each channel's jerk is white noise; its size against that of the measurement noise is set by one number, the frequency
    up to which the smoother follows. All channels share gains, so a step costs a few 3 x 3 products. The lag is worked off
    by the modified Bryson-Frazier recursion (Bierman 1977), which needs no matrix inverse.
    """

    def __init__(self, n_joints: int, rate_hz: float, age_s: float, cutoff_hz: float = _CUTOFF_HZ) -> None:
        super().__init__(n_joints, rate_hz, age_s)
        # A continuous-time smoother of a signal with jerk density q seen in noise of density r has its corner where
        # q / w^6 = r; with unit measurement variance the noise density is one sample interval.
        self._jerk_density = (2.0 * np.pi * cutoff_hz) ** 6 / rate_hz
        self._history: deque[_Step] = deque()
        self._pushed = 0
        self._warm_up = max(10, round(0.15 * rate_hz))
        self._transition = (np.nan, np.eye(3), np.eye(3))
        # Unknown rate and acceleration at the start: variances far above any movement's, in units of the noise.
        self._x = np.zeros((3, n_joints))
        self._p = np.diag([1.0, (2 * np.pi * cutoff_hz) ** 2, (2 * np.pi * cutoff_hz) ** 4]) * 1e3
        self._t = -np.inf

    def _step_matrices(self, dt: float) -> tuple[FloatArray, FloatArray]:
        if self._transition[0] != dt:
            phi = np.array([[1.0, dt, dt * dt / 2], [0.0, 1.0, dt], [0.0, 0.0, 1.0]])
            noise = self._jerk_density * np.array(
                [
                    [dt**5 / 20, dt**4 / 8, dt**3 / 6],
                    [dt**4 / 8, dt**3 / 3, dt**2 / 2],
                    [dt**3 / 6, dt**2 / 2, dt],
                ]
            )
            self._transition = (dt, phi, noise)
        return self._transition[1], self._transition[2]

    def push(self, t_s: float, q: FloatArray) -> Derivatives | None:
        if not t_s > self._t:
            raise ValueError(f"time does not increase: {self._t:g} s, then {t_s:g} s")
        if self._pushed == 0:
            phi = np.eye(3)
            self._x[0] = q
        else:
            phi, noise = self._step_matrices(t_s - self._t)
            self._x = phi @ self._x
            self._p = phi @ self._p @ phi.T + noise
        innovation = q - self._x[0]
        variance = self._p[0, 0] + 1.0
        gain = self._p[:, 0] / variance
        self._x = self._x + gain[:, None] * innovation
        # Joseph's form: stays symmetric and positive however long it runs.
        keep = np.eye(3)
        keep[:, 0] -= gain
        self._p = keep @ self._p @ keep.T + np.outer(gain, gain)
        self._t = t_s
        self._pushed += 1
        self._history.append(_Step(t_s, self._x, self._p, phi, keep, innovation / variance))
        wanted = t_s - self.age_s
        while len(self._history) > 2 and self._history[1].t_s <= wanted:
            self._history.popleft()
        if self._pushed < self._warm_up or self._history[0].t_s > wanted + 1e-9:
            return None
        return self._smoothed(t_s)

    def _smoothed(self, t_s: float) -> Derivatives:
        """Walk back from the newest sample to the one nearest to the wanted moment, then carry it there."""
        wanted = t_s - self.age_s
        adjoint = np.zeros((3, self.n_joints))
        index = len(self._history) - 1
        while index > 0 and self._history[index].t_s - wanted > 0.5 * (
            self._history[index].t_s - self._history[index - 1].t_s
        ):
            step = self._history[index]
            adjoint = step.keep.T @ adjoint
            adjoint[0] -= step.scaled_innovation
            adjoint = step.phi.T @ adjoint
            index -= 1
        step = self._history[index]
        x = step.x - step.p @ adjoint
        shift = wanted - step.t_s
        if abs(shift) > 1e-9:
            x = np.array([[1.0, shift, shift * shift / 2], [0.0, 1.0, shift], [0.0, 0.0, 1.0]]) @ x
        unknown = np.full((3, self.n_joints), np.nan)
        return Derivatives(wanted, x[0], x[1], x[2], self.age_s, unknown)


@dataclass(frozen=True, slots=True)
class _Step:
    t_s: float
    x: FloatArray  # (3, n) filtered state
    p: FloatArray  # (3, 3) its covariance
    phi: FloatArray  # (3, 3) transition that led to it
    keep: FloatArray  # (3, 3) I - K H of its update
    scaled_innovation: FloatArray  # (n,)


class SavitzkyGolay(Differentiator):
    """Least-squares cubic over the last samples (Savitzky & Golay 1964), by the samples' own times."""

    def __init__(self, n_joints: int, rate_hz: float, age_s: float, window_s: float = _SAVGOL_WINDOW_S) -> None:
        super().__init__(n_joints, rate_hz, age_s)
        # An estimate inside the window is far better than one at its edge: the window reaches back past the moment.
        count = max(round((window_s + age_s) * rate_hz), _SAVGOL_ORDER + 4)
        self._times: deque[float] = deque(maxlen=count)
        self._values: deque[FloatArray] = deque(maxlen=count)
        self._offsets = np.empty(0)
        self._weights = np.empty((3, 0))

    def push(self, t_s: float, q: FloatArray) -> Derivatives | None:
        if self._times and not t_s > self._times[-1]:
            raise ValueError(f"time does not increase: {self._times[-1]:g} s, then {t_s:g} s")
        self._times.append(t_s)
        self._values.append(np.array(q, dtype=np.float64))
        if len(self._times) < (self._times.maxlen or 0):
            return None
        wanted = t_s - self.age_s
        offsets = np.array(self._times) - wanted
        if self._offsets.shape != offsets.shape or np.abs(offsets - self._offsets).max() > 1e-9:
            self._offsets = offsets
            span = offsets[-1] - offsets[0]
            table = (offsets[:, None] / span) ** np.arange(_SAVGOL_ORDER + 1)
            inverse = np.linalg.pinv(table)
            self._weights = inverse[:3] * np.array([1.0, 1.0 / span, 2.0 / span**2])[:, None]
        x = self._weights @ np.array(self._values)
        unknown = np.full((3, self.n_joints), np.nan)
        return Derivatives(wanted, x[0], x[1], x[2], self.age_s, unknown)


class _Measured(Differentiator):
    """A differentiator whose outputs carry their error, measured against a smoother that sees REFERENCE_AGE_S further."""

    def __init__(self, inner: Differentiator) -> None:
        super().__init__(inner.n_joints, inner.rate_hz, inner.age_s)
        self._inner = inner
        self._reference = KalmanSmoother(inner.n_joints, inner.rate_hz, REFERENCE_AGE_S)
        self._said: deque[Derivatives] = deque()
        self._forget = np.exp(-1.0 / (_ERROR_MEMORY_S * inner.rate_hz))
        self._weight = 0.0
        self._square = np.zeros((3, inner.n_joints))

    def push(self, t_s: float, q: FloatArray) -> Derivatives | None:
        truth = self._reference.push(t_s, q)
        output = self._inner.push(t_s, q)
        if output is not None:
            self._said.append(output)
        if truth is not None:
            while self._said and self._said[0].t_s < truth.t_s - 0.5 / self.rate_hz:
                self._said.popleft()
            if self._said and abs(self._said[0].t_s - truth.t_s) <= 0.5 / self.rate_hz:
                said = self._said[0]
                error = np.stack([said.q - truth.q, said.qd - truth.qd, said.qdd - truth.qdd])
                self._square = self._forget * self._square + (1.0 - self._forget) * error**2
                self._weight = self._forget * self._weight + (1.0 - self._forget)
        if output is None or self._weight == 0.0:
            return output
        rmse = np.sqrt(self._square / self._weight)
        return Derivatives(output.t_s, output.q, output.qd, output.qdd, output.age_s, rmse)
