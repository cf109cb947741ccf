"""The IMU on what carries the first joint (a leg's pelvis): tilt, its rate, and the acceleration of where the chain starts.

The world has x forward and y up. The tilt is that of the sensor's x axis f seen in the sagittal plane, atan2(f_y, f_x);
its rate follows from the angular rate w in the world, f' = w x f: w_z - f_z (w_x f_x + w_y f_y) / (f_x^2 + f_y^2).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge.errors import SensorError

FloatArray = npt.NDArray[np.float64]

_MOST_ACCELERATION = 500.0  # m/s2; no pelvis is accelerated so much, and no usual sensor measures it
_MOST_RATE = 80.0  # rad/s, 4600 deg/s; gyroscopes end at 2000 to 4000 deg/s
_STEEPEST = 1e-6  # squared length in the plane of an x axis that points out of it: its tilt has no rate
_GRAVITY_CHECK_US = 300_000  # shorter than the time to the first estimate
_GRAVITY_CHECK_FRAMES = 5
_GRAVITY_RANGE = (0.3, 2.0)  # of g: 0.6 to 1.3 over 0.3 s of walking, squatting or standing up
_IN_G = (0.5, 1.7)  # m/s2 upwards: what an acceleration in g gives


class BaseImu:
    """Turns the readings of one IMU into the motion of the base. `segment`: its name, for messages."""

    def __init__(self, segment: str, gravity_mps2: float) -> None:
        self.segment = segment
        self._gravity = gravity_mps2
        self._check = _GravityCheck(segment, gravity_mps2)

    def read(self, time_us: int, channels: tuple[float, ...]) -> FloatArray:
        """(4,): tilt in rad, acceleration of the base forwards and upwards in m/s2 without gravity, tilt rate in rad/s.

        channels: the 10 of an IMU. Raises SensorError for what such an IMU cannot read.
        """
        w, x, y, z, fx, fy, fz, rx, ry, rz = channels
        if max(abs(fx), abs(fy), abs(fz)) > _MOST_ACCELERATION:
            raise SensorError(
                f"{self.segment} IMU: acceleration ({fx:.4g}, {fy:.4g}, {fz:.4g}) m/s2 is more than {_MOST_ACCELERATION:g}: "
                "make the sensor send m/s2 in the channels after the quaternion"
            )
        if max(abs(rx), abs(ry), abs(rz)) > _MOST_RATE:
            raise SensorError(
                f"{self.segment} IMU: angular rate ({rx:.4g}, {ry:.4g}, {rz:.4g}) rad/s is more than {_MOST_RATE:g}: it looks "
                "like deg/s: make the sensor send rad/s in its last three channels"
            )
        norm = math.sqrt(w * w + x * x + y * y + z * z)
        if not 0.9 < norm < 1.1:
            raise SensorError(
                f"{self.segment} IMU: quaternion of length {norm:.3g} instead of 1: the channels are not in the order "
                "quaternion w x y z, acceleration, angular rate"
            )
        w, x, y, z = w / norm, x / norm, y / norm, z / norm
        # Rows of the rotation from sensor to world axes; the first column is the sensor's forward axis.
        forward = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z))
        ax = forward[0] * fx + 2 * (x * y - w * z) * fy + 2 * (x * z + w * y) * fz
        ay = forward[1] * fx + (1 - 2 * (x * x + z * z)) * fy + 2 * (y * z - w * x) * fz
        if not self._check.done:
            self._check.add(time_us, ay)
        forward_z = 2 * (x * z - w * y)
        wx = forward[0] * rx + 2 * (x * y - w * z) * ry + 2 * (x * z + w * y) * rz
        wy = forward[1] * rx + (1 - 2 * (x * x + z * z)) * ry + 2 * (y * z - w * x) * rz
        wz = forward_z * rx + 2 * (y * z + w * x) * ry + (1 - 2 * (x * x + y * y)) * rz
        in_plane = forward[0] * forward[0] + forward[1] * forward[1]
        rate = wz - forward_z * (wx * forward[0] + wy * forward[1]) / in_plane if in_plane > _STEEPEST else 0.0
        # An accelerometer at rest reads gravity upwards.
        return np.array([math.atan2(forward[1], forward[0]), ax, ay - self._gravity, rate])


class _GravityCheck:
    """Whether the first moments of the acceleration, turned into the world, hold gravity upwards.

    A quaternion in another order has the right length too, and an acceleration in g or without gravity looks like one in
    m/s2; this tells them apart before the first estimate, in whatever posture the wearer is.
    """

    def __init__(self, segment: str, gravity_mps2: float) -> None:
        self.done = False
        self._segment = segment
        self._gravity = gravity_mps2
        self._first_us = 0
        self._count = 0
        self._sum = 0.0

    def add(self, time_us: int, upwards_mps2: float) -> None:
        """Take one reading (m/s2, upwards in the world). Raises SensorError."""
        if self._count == 0:
            self._first_us = time_us
        self._count += 1
        self._sum += upwards_mps2
        if self._count < _GRAVITY_CHECK_FRAMES or abs(time_us - self._first_us) < _GRAVITY_CHECK_US:
            return
        self.done = True
        mean = self._sum / self._count
        low, high = _GRAVITY_RANGE
        if not low * self._gravity < mean < high * self._gravity:
            guess = " (it looks like g)" if _IN_G[0] < mean < _IN_G[1] else ""
            raise SensorError(
                f"{self._segment} IMU: its first {self._count} accelerations are {mean:.3g} m/s2 upwards on average{guess}, "
                f"where gravity is {self._gravity:.3g}: make the sensor send its quaternion as w x y z (sensor to world, y "
                "up), then its acceleration in m/s2 with gravity in it (at rest +9.81 upwards)"
            )
