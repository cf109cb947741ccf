"""What of the sensors' channels is carried onto the grid, and what a moment of the grid says of the limb.

What is interpolated must be such that a straight line between two samples means something: angles, an acceleration in the
world, a quaternion whose sign goes on. What follows from it by formulas comes afterwards, on the grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.sensors.frame import Kind
from edge.signals.base_imu import BaseImu
from edge.signals.hookup import Hookup

FloatArray = npt.NDArray[np.float64]

BASE_VALUES = 3
"""Of the base, behind the joints' angles: tilt in rad, acceleration forwards and upwards in m/s2."""


class GridValues(ABC):
    """For each group of a hookup the values that it puts onto the grid; of all of them together the limb's kinematics."""

    widths: tuple[int, ...]
    """How many values each group has."""
    gyroscopes: tuple[int, ...]
    """Which of the limb's values have a measured rate."""

    @abstractmethod
    def read(self, group: int, time_us: int, channels: tuple[float, ...]) -> FloatArray:
        """The values (width,) of one reading of a group. Raises SensorError for what it cannot be."""

    @abstractmethod
    def to_kinematics(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values of all groups at one moment, in their order, as the limb's: two arrays (n_joints + 3,).

        First the joints' angles in rad and the base's tilt and acceleration; then what gyroscopes say of the rates of the
        same in rad/s, NaN where none does.
        """


class AnglesAndBase(GridValues):
    """Joint angles from encoders, and the IMU of the base."""

    def __init__(self, hookup: Hookup, gravity_mps2: float) -> None:
        self._base = BaseImu(hookup.segment_names[0], gravity_mps2)
        self.widths = tuple(
            len(group.names) if group.kind == Kind.ANGLES else BASE_VALUES + 1 for group in hookup.groups
        )
        self._is_base = [group.kind == Kind.IMU for group in hookup.groups]
        measured = [name for group in hookup.groups if group.kind == Kind.ANGLES for name in group.names]
        n = len(hookup.joint_names)
        self._take = _as_slice([*(measured.index(name) for name in hookup.joint_names), *range(n, n + BASE_VALUES)])
        self._n = n
        self.gyroscopes = (n,)  # the base's tilt

    def read(self, group: int, time_us: int, channels: tuple[float, ...]) -> FloatArray:
        return self._base.read(time_us, channels) if self._is_base[group] else np.array(channels)

    def to_kinematics(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        rate = np.full(self._n + BASE_VALUES, np.nan)
        rate[self._n] = values[-1]
        return values[self._take], rate


def _as_slice(index: Sequence[int]) -> slice | list[int]:
    """The same places as a slice, which copies nothing, where they follow each other."""
    return slice(index[0], index[-1] + 1) if list(index) == list(range(index[0], index[-1] + 1)) else list(index)
