"""Orientation of an IMU from its gyroscope and accelerometer: VQF without a magnetometer, sample by sample.

VQF (Laidig & Seel 2023, Information Fusion 91:187, doi:10.1016/j.inffus.2022.10.014) integrates the gyroscope, corrects the
inclination by the low-passed acceleration in an almost inertial frame, and estimates the gyroscope's bias at rest and in
motion. Without a magnetometer the heading has no reference: it starts anywhere and drifts. `imu.py` does not use it.

World: y up. VQF's own world has z up; (x, y, z) of ours is (x, z, -y) of VQF's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edge.errors import ConfigError, MissingExtraError

FloatArray = npt.NDArray[np.float64]
Value = TypeVar("Value", float, npt.NDArray[np.float64])

MAX_GAP_S = 0.1
"""So long the angular rate is held; after a longer interruption the orientation starts anew."""
TAU_S = 6.0
"""Time constant of the correction by the accelerometer. Twice VQF's: walking accelerates a leg by several m/s2 at 1 Hz, and this
halves what that leaves in the inclination; with 10 s and more, a bias of 1 deg/s at the start is felt for a minute."""
SETTLED_S = 1.0
"""From a start until the inclination is of use."""
_RESUMED_BIAS_SIGMA_DPS = 0.1  # what is believed of a bias that was known before an interruption
_ROOT_HALF = math.sqrt(0.5)
_RATE_SAMPLES = 21  # that tell a sensor's rate
_RATE_RANGE_HZ = (10.0, 10_000.0)


def upwards(w: Value, x: Value, y: Value, z: Value) -> tuple[Value, Value, Value]:
    """The world's upward direction in the axes of a sensor with this orientation, sensor to world: numbers, or arrays."""
    return 2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)


def turned(before: Sequence[float], now: Sequence[float]) -> tuple[float, float, float]:
    """From one orientation (w x y z) to another: the axis in the sensor, times the sine of half the angle, the shorter way."""
    w, x, y, z = before
    v, i, j, k = now
    # Vector part of conj(before) * now.
    turn = w * i - x * v - y * k + z * j, w * j + x * k - y * v - z * i, w * k - x * j + y * i - z * v
    if w * v + x * i + y * j + z * k < 0.0:
        return -turn[0], -turn[1], -turn[2]
    return turn


def up_in_sensor(quaternion: FloatArray) -> FloatArray:
    """The same (..., 3) of orientations (..., 4), w x y z."""
    w, x, y, z = quaternion[..., 0], quaternion[..., 1], quaternion[..., 2], quaternion[..., 3]
    up = np.empty((*quaternion.shape[:-1], 3))
    up[..., 0], up[..., 1], up[..., 2] = upwards(w, x, y, z)
    return up


class Orientation:
    """Orientation of one sensor at its own rate.

    Intervals may be irregular: the filter runs at its nominal rate on the angle that was turned since the sample before. A sample
    that is not newer than its predecessor is counted and left out. After an interruption of more than `max_gap_s`, or a clock
    that went back by as much, the orientation starts anew; the gyroscope's bias is kept.

    rate_hz: the sensor's nominal rate. Raises ConfigError for one that no IMU has, MissingExtraError without the package vqf.
    """

    def __init__(self, rate_hz: float, *, tau_s: float = TAU_S, max_gap_s: float = MAX_GAP_S) -> None:
        if not (_RATE_RANGE_HZ[0] <= rate_hz <= _RATE_RANGE_HZ[1] and tau_s > 0.0 and max_gap_s > 0.0):
            raise ConfigError(
                f"orientation filter: rate_hz {rate_hz:g}, tau_s {tau_s:g}, max_gap_s {max_gap_s:g} cannot be used: rate_hz "
                "is the IMU's rate, 10 to 10000, and both times are positive"
            )
        self._interval_s = 1.0 / rate_hz
        self._filter = _vqf()(self._interval_s, tauAcc=tau_s)
        self._max_gap_s = max_gap_s
        self._last_s: float | None = None
        self._started_s = 0.0
        self.late = 0  # samples not newer than their predecessor
        self.restarts = 0  # interruptions after which the orientation started anew

    @property
    def settled(self) -> bool:
        """Whether the inclination can be relied on: a second after a start."""
        return self._last_s is not None and self._last_s - self._started_s >= SETTLED_S

    @property
    def at_rest(self) -> bool:
        """Whether the filter sees no movement (its thresholds: 2 deg/s, 0.5 m/s2, for 1.5 s)."""
        return bool(self._filter.getRestDetected())

    def bias(self) -> tuple[FloatArray, float]:
        """The gyroscope's bias (3,) and the uncertainty of it, rad/s."""
        bias, sigma = self._filter.getBiasEstimate()
        return np.asarray(bias), float(sigma)

    def reset(self) -> None:
        """Start anew with the next sample. What is known of the gyroscope's bias stays, as less certain."""
        bias, sigma = self.bias()
        self._filter.resetState()
        self._filter.setBiasEstimate(bias, max(sigma, math.radians(_RESUMED_BIAS_SIGMA_DPS)))
        self._last_s = None

    def push(self, t_s: float, specific_force: FloatArray, angular_rate: FloatArray) -> FloatArray | None:
        """Take one sample, (3,) in m/s2 and (3,) in rad/s; return the quaternion w x y z (4,), sensor to world, y up.

        None for a sample that is not newer than its predecessor. Both arrays must be finite (ValueError).
        """
        if not (np.isfinite(specific_force).all() and np.isfinite(angular_rate).all()):
            raise ValueError("an IMU's sample is not finite")
        rate = np.ascontiguousarray(angular_rate, dtype=np.float64)
        if self._last_s is not None:
            step = t_s - self._last_s
            if abs(step) > self._max_gap_s:
                self.reset()
                self.restarts += 1
            elif step <= 0.0:
                self.late += 1
                return None
            else:
                # The filter turns by (rate - bias) times its nominal interval.
                bias = np.asarray(self._filter.getBiasEstimate()[0])
                rate = bias + (rate - bias) * (step / self._interval_s)
        if self._last_s is None:
            self._started_s = t_s
        self._last_s = t_s
        self._filter.update(rate, np.ascontiguousarray(specific_force, dtype=np.float64))
        w, x, y, z = self._filter.getQuat6D()
        # From z up to y up: a quarter turn backwards about x.
        return np.array([w + x, x - w, y + z, z - y]) * _ROOT_HALF


class OrientationFromStart:
    """Orientation of one sensor whose rate nobody says: the intervals between its first samples tell it.

    Until they have, there is none. Raises MissingExtraError without the package vqf.
    """

    def __init__(self) -> None:
        _vqf()  # missed at the first sample, not when the rate is known
        self._filter: Orientation | None = None
        self._first_us = 0
        self._waiting: list[tuple[int, FloatArray, FloatArray]] = []
        self._newest = np.zeros(4)

    @property
    def settled(self) -> bool:
        """Whether the inclination can be relied on."""
        return self._filter is not None and self._filter.settled

    def push(self, time_us: int, specific_force: Sequence[float], angular_rate: Sequence[float]) -> FloatArray | None:
        """Take one sample, (3,) in m/s2 and (3,) in rad/s; return the quaternion w x y z (4,), sensor to world, y up.

        None until the rate is known. A sample that is not newer than its predecessor changes nothing.
        """
        sample = (time_us, np.array(specific_force), np.array(angular_rate))
        if self._filter is not None:
            self._take(self._filter, *sample)
            return self._newest
        if self._waiting and time_us <= self._waiting[-1][0]:
            self._waiting.clear()  # a clock that stands still or restarts tells no rate
        self._waiting.append(sample)
        if len(self._waiting) < _RATE_SAMPLES:
            return None
        stamps = [waiting[0] for waiting in self._waiting]
        rate_hz = 1e6 / median(b - a for a, b in pairwise(stamps))
        self._filter = Orientation(min(max(rate_hz, _RATE_RANGE_HZ[0]), _RATE_RANGE_HZ[1]))
        self._first_us = stamps[0]
        for waiting in self._waiting:
            self._take(self._filter, *waiting)
        self._waiting.clear()
        return self._newest

    def _take(self, filter_: Orientation, time_us: int, force: FloatArray, rate: FloatArray) -> None:
        quaternion = filter_.push((time_us - self._first_us) * 1e-6, force, rate)
        if quaternion is not None:
            self._newest = quaternion


def _vqf() -> Callable[..., Any]:
    """The filter's class. Raises MissingExtraError."""
    try:
        from vqf import VQF
    except ImportError:
        raise MissingExtraError("vqf", "imu", "the orientation of an IMU that sends none") from None
    return VQF  # type: ignore[no-any-return]
