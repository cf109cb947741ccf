"""Fixed-lag Kalman smoother: the safe default, and the yardstick of every other differentiator."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from edge.signals.differentiator import SAME_INTERVAL_S, Derivatives, Differentiator, FloatArray, unknown_error
from edge.signals.ring import Ring

CUTOFF_HZ = 7.0  # of the smoother for walking and similar movements
_SETTLED = 1e-13  # relative change of a covariance in one step below which it is taken as constant


class KalmanSmoother(Differentiator):
    """Fixed-lag smoother of a thrice integrated Wiener process seen in white noise.

    Each channel's jerk is white noise; its size against that of the measurement noise is set by one number, the frequency
    up to which the smoother follows. All channels share gains, so a step costs a few 3 x 3 products. The lag is worked off
    by the modified Bryson-Frazier recursion (Bierman 1977), which needs no matrix inverse. At even intervals the gains
    settle; from then on they are constants, and the whole lag is one small matrix product.
    """

    def __init__(self, n_joints: int, rate_hz: float, age_s: float, cutoff_hz: float = CUTOFF_HZ) -> None:
        super().__init__(n_joints, rate_hz, age_s)
        # A continuous-time smoother of a signal with jerk density q seen in noise of density r has its corner where
        # q / w^6 = r; with unit measurement variance the noise density is one sample interval.
        self._jerk_density = (2.0 * np.pi * cutoff_hz) ** 6 / rate_hz
        self._cutoff_rad_s = 2.0 * np.pi * cutoff_hz
        self._warm_up = max(10, round(0.15 * rate_hz))
        self._unknown = unknown_error(n_joints)
        self.restart()

    def restart(self) -> None:
        n, w = self.n_joints, self._cutoff_rad_s
        self._history: deque[_Step] = deque()
        self._pushed = 0
        self._dt = np.nan
        self._phi = np.eye(3)
        self._noise = np.zeros((3, 3))
        # Unknown rate and acceleration at the start: variances far above any movement's, in units of the noise.
        self._x = np.zeros((3, n))
        self._p = np.diag([1.0, w**2, w**4]) * 1e3
        self._t = -np.inf
        self._settled: _Settled | None = None
        self._settled_steps = 0
        self._innovations = Ring(round(self.age_s * self.rate_hz) + 2, n)
        self._corrected: tuple[_Step, FloatArray, int] | None = None  # of the last output: step, value, samples after

    def push(self, t_s: float, q: FloatArray, rate: FloatArray | None = None) -> Derivatives | None:
        if not t_s > self._t:
            raise ValueError(f"time does not increase: {self._t:g} s, then {t_s:g} s")
        if self._pushed == 0:
            self._x[0] = q
            step = self._update(t_s, q, np.eye(3), self._x, self._p)
        else:
            step = self._predict_and_update(t_s, q)
        self._t = t_s
        self._pushed += 1
        self._history.append(step)
        self._innovations.append(step.scaled_innovation)
        wanted = t_s - self.age_s
        while len(self._history) > 2 and self._history[1].t_s <= wanted:
            self._history.popleft()
        if self._pushed < self._warm_up or self._history[0].t_s > wanted + 1e-9:
            return None
        return self._smoothed(wanted)

    def _predict_and_update(self, t_s: float, q: FloatArray) -> _Step:
        dt = t_s - self._t
        # Grid times differ in their last bits; that is no other interval.
        if not abs(dt - self._dt) <= SAME_INTERVAL_S:
            self._dt = dt
            self._settled = None
            self._phi = _transition(dt)
            self._noise = self._jerk_density * np.array(
                [
                    [dt**5 / 20, dt**4 / 8, dt**3 / 6],
                    [dt**4 / 8, dt**3 / 3, dt**2 / 2],
                    [dt**3 / 6, dt**2 / 2, dt],
                ]
            )
        phi = self._phi
        predicted = phi @ self._x
        if self._settled is not None:
            self._settled_steps += 1
            innovation = q - predicted[0]
            self._x = predicted + self._settled.gain * innovation
            return _Step(t_s, q, self._x, self._p, phi, self._settled.keep, innovation / self._settled.variance)
        before = self._p
        step = self._update(t_s, q, phi, predicted, phi @ self._p @ phi.T + self._noise)
        if (np.abs(self._p - before) <= _SETTLED * np.abs(before)).all():
            self._settled_steps = 0
            variance = 1.0 / (1.0 - float(self._p[0, 0]))
            self._settled = _Settled(self._p[:, :1].copy(), variance, step.keep, self._p, phi)
        return step

    def _update(self, t_s: float, q: FloatArray, phi: FloatArray, x: FloatArray, p: FloatArray) -> _Step:
        """Take the measurement into the predicted state and covariance."""
        innovation = q - x[0]
        variance = p[0, 0] + 1.0
        gain = p[:, 0] / variance
        self._x = x + gain[:, None] * innovation
        # Joseph's form: stays symmetric and positive however long it runs.
        keep = np.eye(3)
        keep[:, 0] -= gain
        self._p = keep @ p @ keep.T + np.outer(gain, gain)
        return _Step(t_s, q, self._x, self._p, phi, keep, innovation / variance)

    def _smoothed(self, wanted: float) -> Derivatives:
        """The sample nearest to the wanted moment, corrected by all that came after it, and carried to the moment."""
        history = self._history
        index = len(history) - 1
        while index > 0 and history[index].t_s - wanted > 0.5 * (history[index].t_s - history[index - 1].t_s):
            index -= 1
        after = len(history) - 1 - index
        step = history[index]
        if after == 0:
            x = step.x
        elif self._settled is not None and self._settled_steps > after and after <= self._innovations.size:
            x = step.x + self._settled.weights(after) @ self._innovations.last(after)
        else:
            x = step.x - step.p @ self._adjoint(index)
        self._corrected = (step, x[0], after)
        shift = wanted - step.t_s
        if abs(shift) > 1e-9:
            x = _transition(shift) @ x
        return Derivatives(wanted, x[0], x[1], x[2], self.age_s, self._unknown)

    def own_error(self) -> tuple[FloatArray, FloatArray] | None:
        """What the last output still holds of the sensor's noise; None while the gains have not settled.

        First (3,): the variances of value, rate and acceleration for a measurement of unit variance; second (n,): one
        sample's estimate of the measurement's variance, from what the smoothed value leaves of the measurement.
        """
        if self._settled is None or self._corrected is None:
            return None
        step, value, after = self._corrected
        variance = self._settled.smoothed_variance(after)
        residual = step.measured - value
        return variance, residual * residual / (1.0 - variance[0])

    def _adjoint(self, index: int) -> FloatArray:
        """What all samples after `index` say about the state there."""
        adjoint = np.zeros((3, self.n_joints))
        for i in range(len(self._history) - 1, index, -1):
            step = self._history[i]
            adjoint = step.keep.T @ adjoint
            adjoint[0] -= step.scaled_innovation
            adjoint = step.phi.T @ adjoint
        return adjoint


def _transition(dt: float) -> FloatArray:
    return np.array([[1.0, dt, dt * dt / 2], [0.0, 1.0, dt], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class _Step:
    t_s: float
    measured: FloatArray  # (n,)
    x: FloatArray  # (3, n) filtered state
    p: FloatArray  # (3, 3) its covariance
    phi: FloatArray  # (3, 3) transition that led to it
    keep: FloatArray  # (3, 3) I - K H of its update
    scaled_innovation: FloatArray  # (n,)


class _Settled:
    """The constants of a filter whose covariance does not change any more."""

    def __init__(self, gain: FloatArray, variance: float, keep: FloatArray, p: FloatArray, phi: FloatArray) -> None:
        self.gain, self.variance, self.keep = gain, variance, keep
        self._p, self._phi = p, phi
        self._weights: dict[int, FloatArray] = {}
        self._variances: dict[int, FloatArray] = {}

    def weights(self, count: int) -> FloatArray:
        """(3, count): what each of the next `count` scaled innovations adds to a state; the adjoint recursion in one."""
        found = self._weights.get(count)
        if found is None:
            column = self._phi.T[:, 0]
            columns = []
            for _ in range(count):
                columns.append(column)
                column = self._phi.T @ (self.keep.T @ column)
            found = self._weights[count] = self._p @ np.array(columns).T
        return found

    def smoothed_variance(self, count: int) -> FloatArray:
        """(3,): variances of a state that `count` later samples have corrected, in units of the measurement's."""
        found = self._variances.get(count)
        if found is None:
            information = np.zeros((3, 3))
            for _ in range(count):
                information = self.keep.T @ information @ self.keep
                information[0, 0] += 1.0 / self.variance
                information = self._phi.T @ information @ self._phi
            found = self._variances[count] = np.diag(self._p - self._p @ information @ self._p).copy()
        return found
