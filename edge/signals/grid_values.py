"""What of the sensors' channels is carried onto the grid, and what a moment of the grid says of the limb.

What is interpolated must be such that a straight line between two samples means something: angles, an acceleration in the
world, a quaternion whose sign goes on. What follows from it by formulas comes afterwards, on the grid.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.errors import ConfigError
from edge.sensors.frame import Kind
from edge.signals.alignment import Alignment
from edge.signals.base_imu import BaseImu
from edge.signals.hookup import IMU_CHANNELS, Hookup
from edge.signals.imu import ImuFlag, LegFromImus
from edge.signals.imu_readings import BASE_CHECK_S, LIMB_CHECK_S, ImuReadings

FloatArray = npt.NDArray[np.float64]

BASE_VALUES = 3
"""Of the base, behind the joints' angles: tilt in rad, acceleration forwards and upwards in m/s2."""


class GridValues(ABC):
    """For each group of a hookup the values that it puts onto the grid; of all of them together the limb's kinematics."""

    widths: tuple[int, ...]
    """How many values each group has."""
    gyroscopes: tuple[int, ...]
    """Which of the limb's values have a measured rate."""
    unseen: tuple[str, ...] = ()
    """Segments of which the moment asked for last does not show the inclination; the limb's values are then not all numbers."""

    @property
    @abstractmethod
    def settled(self) -> bool:
        """Whether all orientations can be relied on: those that are estimated here need a second."""

    @abstractmethod
    def read(self, group: int, time_us: int, channels: tuple[float, ...]) -> FloatArray | None:
        """The values (width,) of one reading of a group, with its sender's stamp; None while there are none.

        Raises SensorError for what it cannot be, MissingExtraError for IMUs without orientation where vqf is missing.
        """

    @abstractmethod
    def to_kinematics(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values of all groups at one moment, in their order, as the limb's: two arrays (n_joints + 3,).

        First the joints' angles in rad and the base's tilt and acceleration; then what gyroscopes say of the rates of the
        same in rad/s, NaN where none does.
        """


def grid_values(hookup: Hookup, gravity_mps2: float, alignment: Alignment | None) -> GridValues:
    """What a hookup's groups need. alignment: how segment IMUs sit, in the order of the hookup's segments.

    Raises ConfigError where the angles are to come from IMUs of which that is not known.
    """
    if all(group.kind == Kind.ANGLES for group in hookup.groups):
        return AnglesAlone(hookup)
    if not hookup.angles_from_imus:
        return AnglesAndBase(hookup, gravity_mps2)
    if alignment is None:
        raise ConfigError(
            "no sensor measures a joint, and how the IMUs sit on their segments is not known: the bundle has no `imu_alignment`: "
            "take a bundle that has one, or name joints in the `channels` of [[sensor]]"
        )
    return AnglesFromImus(hookup, gravity_mps2, alignment)


class AnglesAlone(GridValues):
    """Joint angles from encoders; the base is taken to stand upright and still."""

    gyroscopes = ()

    def __init__(self, hookup: Hookup) -> None:
        self.widths = tuple(len(group.names) for group in hookup.groups)
        self._take = _places(hookup)
        self._n = len(hookup.joint_names)

    @property
    def settled(self) -> bool:
        return True

    def read(self, group: int, time_us: int, channels: tuple[float, ...]) -> FloatArray | None:
        return np.array(channels)

    def to_kinematics(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        q = np.zeros(self._n + BASE_VALUES)
        q[: self._n] = values[self._take]
        rate = np.full(self._n + BASE_VALUES, np.nan)
        rate[self._n] = 0.0
        return q, rate


class AnglesAndBase(GridValues):
    """Joint angles from encoders, and the IMU of the base."""

    def __init__(self, hookup: Hookup, gravity_mps2: float) -> None:
        self._segment = hookup.segment_names[0]
        self._base = BaseImu(self._segment, gravity_mps2)
        self.widths = tuple(
            len(group.names) if group.kind == Kind.ANGLES else BASE_VALUES + 1 for group in hookup.groups
        )
        self._is_base = [group.kind == Kind.IMU for group in hookup.groups]
        n = len(hookup.joint_names)
        self._take = _as_slice([*_places(hookup), *range(n, n + BASE_VALUES)])
        self._n = n
        self.gyroscopes = (n,)  # the base's tilt

    @property
    def settled(self) -> bool:
        return self._base.settled

    def read(self, group: int, time_us: int, channels: tuple[float, ...]) -> FloatArray | None:
        return self._base.read(time_us, channels) if self._is_base[group] else np.array(channels)

    def to_kinematics(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        rate = np.full(self._n + BASE_VALUES, np.nan)
        rate[self._n] = values[-1]
        self.unseen = (self._segment,) if math.isnan(values[-1]) else ()
        return values[self._take], rate


class AnglesFromImus(GridValues):
    """Joint angles between the IMUs of all segments. Raises ValueError for an alignment of other segments."""

    def __init__(self, hookup: Hookup, gravity_mps2: float, alignment: Alignment) -> None:
        names = hookup.segment_names
        if alignment.segment_names != names:
            raise ValueError(f"alignment of {alignment.segment_names}, segments {names}")
        self._names = names
        self._leg = LegFromImus(hookup.joint_names, alignment, gravity_mps2)
        self._groups = [
            [
                ImuReadings(name, gravity_mps2, BASE_CHECK_S if name == names[0] else LIMB_CHECK_S)
                for name in group.names
            ]
            for group in hookup.groups
        ]
        self.widths = tuple(IMU_CHANNELS * len(group.names) for group in hookup.groups)
        sent = [name for group in hookup.groups for name in group.names]
        self._take = [sent.index(name) for name in names]
        n = len(hookup.joint_names)
        self.gyroscopes = tuple(range(n + 1))  # the joints, and the base's tilt

    @property
    def settled(self) -> bool:
        return all(readings.settled for group in self._groups for readings in group)

    def read(self, group: int, time_us: int, channels: tuple[float, ...]) -> FloatArray | None:
        values: list[float] = []
        missing = False
        for i, readings in enumerate(self._groups[group]):
            reading = readings.read(time_us, channels[IMU_CHANNELS * i : IMU_CHANNELS * (i + 1)])
            missing |= reading is None
            values += reading or ()
        return None if missing else np.array(values)

    def to_kinematics(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        sensors = values.reshape(-1, IMU_CHANNELS)[self._take]
        # On the straight line between two orientations the quaternion is shorter.
        quaternion = sensors[:, :4]
        length = np.sqrt((quaternion * quaternion).sum(axis=1, keepdims=True))
        motion = self._leg.evaluate(quaternion / length, sensors[:, 4:7], sensors[:, 7:])
        self.unseen = tuple(name for name, flag in zip(self._names, motion.flags, strict=True) if flag != ImuFlag.OK)
        q = np.concatenate([motion.q, [motion.tilt], motion.base_acceleration])
        rate = np.concatenate([motion.qd_gyro, [motion.tilt_rate, math.nan, math.nan]])
        return q, rate


def _places(hookup: Hookup) -> list[int]:
    """Where among all measured angles each joint's stands."""
    measured = [name for group in hookup.groups if group.kind == Kind.ANGLES for name in group.names]
    return [measured.index(name) for name in hookup.joint_names]


def _as_slice(index: Sequence[int]) -> slice | list[int]:
    """The same places as a slice, which copies nothing, where they follow each other."""
    return slice(index[0], index[-1] + 1) if list(index) == list(range(index[0], index[-1] + 1)) else list(index)
