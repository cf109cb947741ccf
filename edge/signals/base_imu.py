"""The IMU on what carries the first joint (a leg's pelvis): tilt, its rate, and the acceleration of where the chain starts.

The sensor sits straight: its axes are the segment's, x forward, y up, z to the right. Its world has y up and any heading. What
it says is `imu.py`'s for a segment, with forward across the sensor's own z axis.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edge.signals.imu import inclination, level_acceleration
from edge.signals.imu_readings import ImuReadings
from edge.signals.orientation import upwards

FloatArray = npt.NDArray[np.float64]


class BaseImu:
    """Turns the readings of one IMU into the motion of the base. `segment`: its name, for messages."""

    def __init__(self, segment: str, gravity_mps2: float) -> None:
        self._gravity = gravity_mps2
        self._readings = ImuReadings(segment, gravity_mps2)

    @property
    def settled(self) -> bool:
        """Whether the orientation can be relied on."""
        return self._readings.settled

    def read(self, time_us: int, channels: tuple[float, ...]) -> FloatArray | None:
        """(4,): tilt in rad, acceleration of the base forwards and upwards in m/s2 without gravity, tilt rate in rad/s.

        channels: the 10 of an IMU. NaN where the sensor's z axis is within 30 degrees of the vertical; None while no
        orientation is known yet. Raises SensorError for what such an IMU cannot read.
        """
        reading = self._readings.read(time_us, channels)
        if reading is None:
            return None
        up = upwards(*reading[:4])
        tilt, rate = inclination(up, reading[7:])
        if math.isnan(tilt):
            return np.full(4, math.nan)
        return np.array([tilt, *level_acceleration(up, reading[4:7], self._gravity), rate])
