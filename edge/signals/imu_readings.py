"""The readings of one IMU, checked, each with an orientation: the sensor's own, or one that is estimated here.

A sensor that sends the quaternion `0 0 0 0` with its first reading estimates none; then VQF does (`orientation.py`).
"""

from __future__ import annotations

import math

from edge.errors import SensorError
from edge.signals.orientation import OrientationFromStart, upwards

_MOST_ACCELERATION = 500.0  # m/s2; no limb is accelerated so much, and no usual sensor measures it
_MOST_RATE = 80.0  # rad/s, 4600 deg/s; gyroscopes end at 2000 to 4000 deg/s
_GRAVITY_CHECK_FRAMES = 5
_GRAVITY_RANGE = (0.3, 2.0)  # of g
_IN_G = (0.5, 1.7)  # m/s2 upwards: what an acceleration in g gives

BASE_CHECK_S = 0.3
"""So long the base's accelerations are averaged: 0.6 to 1.3 g in walking, squatting or standing up; done before an estimate."""
LIMB_CHECK_S = 1.0
"""The same of a segment that swings: its mean over 0.3 s of walking is 0.5 to 1.3 g already, over 1 s 0.9 to 1.15."""


class ImuReadings:
    """Takes one IMU's readings. `segment`: its name, for messages; check_s: how long gravity is looked for."""

    def __init__(self, segment: str, gravity_mps2: float, check_s: float = BASE_CHECK_S) -> None:
        self._segment = segment
        self._check = _GravityCheck(segment, gravity_mps2, check_s)
        self._estimated: OrientationFromStart | None = None
        self._last: tuple[float, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether the orientation can be relied on: always where the sensor sends it, else a second after a start."""
        return self._estimated is None or self._estimated.settled

    def read(self, time_us: int, channels: tuple[float, ...]) -> tuple[float, ...] | None:
        """The reading (10,) with a quaternion of length 1, near the one before; None while no orientation is known yet.

        time_us: the sender's stamp. Raises SensorError for what such an IMU cannot read, MissingExtraError without vqf.
        """
        force, rate = channels[4:7], channels[7:]
        if max(map(abs, force)) > _MOST_ACCELERATION:
            raise SensorError(
                f"{self._segment} IMU: acceleration ({_numbers(force)}) m/s2 is more than {_MOST_ACCELERATION:g}: "
                "make the sensor send m/s2 in the channels after the quaternion"
            )
        if max(map(abs, rate)) > _MOST_RATE:
            raise SensorError(
                f"{self._segment} IMU: angular rate ({_numbers(rate)}) rad/s is more than {_MOST_RATE:g}: it looks "
                "like deg/s: make the sensor send rad/s in its last three channels"
            )
        quaternion = self._quaternion(time_us, channels)
        if quaternion is None:
            return None
        w, x, y, z = quaternion
        if self._last and w * self._last[0] + x * self._last[1] + y * self._last[2] + z * self._last[3] < 0.0:
            quaternion = (-w, -x, -y, -z)  # the same orientation, and the straight line from the last is short
        self._last = quaternion
        if not self._check.done:
            up = upwards(*quaternion)
            self._check.add(time_us, up[0] * force[0] + up[1] * force[1] + up[2] * force[2])
        return (*quaternion, *force, *rate)

    def _quaternion(self, time_us: int, channels: tuple[float, ...]) -> tuple[float, float, float, float] | None:
        w, x, y, z = channels[:4]
        if self._estimated is None and not self._last and w == x == y == z == 0.0:
            self._estimated = OrientationFromStart()
        if self._estimated is not None:
            estimate = self._estimated.push(time_us, channels[4:7], channels[7:])
            if estimate is None:
                return None
            w, x, y, z = estimate.tolist()
        norm = math.sqrt(w * w + x * x + y * y + z * z)
        if not 0.9 < norm < 1.1:
            raise SensorError(
                f"{self._segment} IMU: quaternion of length {norm:.3g} instead of 1: the channels are not in the order "
                "quaternion w x y z, acceleration, angular rate; a sensor without orientation sends 0 0 0 0 from its start"
            )
        return w / norm, x / norm, y / norm, z / norm


class _GravityCheck:
    """Whether the first moments of the acceleration, turned into the world, hold gravity upwards.

    A quaternion in another order has the right length too, and an acceleration in g or without gravity looks like one in
    m/s2; this tells them apart, in whatever posture the wearer is.
    """

    def __init__(self, segment: str, gravity_mps2: float, check_s: float) -> None:
        self.done = False
        self._segment = segment
        self._gravity = gravity_mps2
        self._length_us = round(check_s * 1e6)
        self._first_us = 0
        self._count = 0
        self._sum = 0.0

    def add(self, time_us: int, upwards_mps2: float) -> None:
        """Take one reading (m/s2, upwards in the world). Raises SensorError."""
        if self._count == 0:
            self._first_us = time_us
        self._count += 1
        self._sum += upwards_mps2
        if self._count < _GRAVITY_CHECK_FRAMES or abs(time_us - self._first_us) < self._length_us:
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


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
