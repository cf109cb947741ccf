"""From the IMUs of neighbouring segments to joint angles and rates, and to the motion of what carries the first joint.

Every segment's angle about its hinge is read off gravity: with u = (u_x, u_y, u_z) upwards in the segment's axes (x forward,
y up, z to the right: `alignment.py`),

    theta = atan2(u_x, u_y),        theta' = w_z - u_z (u_x w_x + u_y w_y) / (u_x^2 + u_y^2),

the second being the first's derivative, from u' = u x w. A joint's angle is the difference of its two segments' (hip flexion,
knee extension, dorsiflexion positive). No heading enters: not the sensors', not their difference, so nothing drifts and no
magnet is needed; what a common acceleration leaves in the inclinations of neighbours cancels. The price: a hinge that points up
(lying on the side) shows nothing, and says so.

The base's acceleration is taken in the vertical plane across its hinge, which is where the base looks. The hinge says so in
every posture; the base's own x axis points up in one that is usual (the thigh of someone who sits).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.signals.alignment import Alignment
from edge.signals.orientation import up_in_sensor

FloatArray = npt.NDArray[np.float64]

HINGE_LEVEL_MIN = 0.5
"""Sine of the angle between hinge and vertical below which an inclination is not used: 30 degrees."""
_UNIT_TOLERANCE = 0.1
_UNSEEN = (math.nan, math.nan)


class ImuFlag(enum.IntFlag):
    """Why the inclination of a segment cannot be seen; its angles are then NaN."""

    OK = 0
    NO_ORIENTATION = 1
    """The quaternion is not of length 1: the sensor estimates none, or its channels are in another order."""
    HINGE_UPRIGHT = 2
    """The joint's axis is within 30 degrees of the vertical."""


def inclination(up: Sequence[float], rate: Sequence[float]) -> tuple[float, float]:
    """Angle of a segment about its hinge against the vertical, rad, and its rate, rad/s; NaN where the hinge is too upright.

    up, rate: (3,), upwards and the angular rate in the segment's axes.
    """
    x, y, z = up
    level = x * x + y * y
    if level < HINGE_LEVEL_MIN**2:
        return math.nan, math.nan
    return math.atan2(x, y), rate[2] - z * (x * rate[0] + y * rate[1]) / level


def level_acceleration(up: Sequence[float], force: Sequence[float], gravity: float) -> tuple[float, float]:
    """Acceleration forwards and upwards in m/s2, gravity taken away; NaN forwards where there is none: the hinge points up.

    up, force: (3,), upwards and the specific force in the segment's axes. Forward is level and across the hinge: up x z.
    """
    x, y, z = up
    level = x * x + y * y
    forward = (y * force[0] - x * force[1]) / math.sqrt(level) if level > 0.0 else math.nan
    return forward, x * force[0] + y * force[1] + z * force[2] - gravity


@dataclass(frozen=True, slots=True)
class LegMotion:
    """A chain at one moment."""

    q: FloatArray  # (n_joints,) rad
    qd_gyro: FloatArray  # (n_joints,) rad/s
    tilt: float  # rad, of the base
    tilt_rate: float  # rad/s
    base_acceleration: FloatArray  # (2,) m/s2, forward and up, gravity taken away
    flags: tuple[ImuFlag, ...]  # of every segment


class LegFromImus:
    """Joint angles of a chain from one IMU per segment, base first.

    joint_names: (n_joints,); the alignment has one segment more. gravity: m/s2.
    lever_m: (3,), from the base's sensor to the first joint's centre, in the base's axes (x forward, y up, z right): the
    acceleration is then that of the joint's centre. Without it, that of the sensor.
    Raises ValueError where names, alignment and lever do not fit each other.
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        alignment: Alignment,
        gravity: float,
        *,
        lever_m: Sequence[float] | None = None,
    ) -> None:
        self.joint_names = tuple(joint_names)
        if len(alignment.rotation) != len(self.joint_names) + 1:
            raise ValueError(
                f"{len(self.joint_names)} joints need {len(self.joint_names) + 1} sensors, the alignment has "
                f"{len(alignment.rotation)}"
            )
        if not gravity > 0.0:
            raise ValueError(f"gravity is {gravity:g}")
        self.segment_names = alignment.segment_names
        self._rotation = alignment.rotation
        self._gravity = gravity
        self._lever = None if lever_m is None else np.array(lever_m, dtype=np.float64)
        if self._lever is not None and (self._lever.shape != (3,) or not np.isfinite(self._lever).all()):
            raise ValueError(f"the lever from the sensor to the joint is {lever_m}: give three lengths in m")

    def evaluate(
        self,
        quaternions: FloatArray,
        specific_force: FloatArray,
        angular_rate: FloatArray,
        *,
        base_angular_acceleration: FloatArray | None = None,
    ) -> LegMotion:
        """The chain at one moment, from readings of that moment.

        quaternions: (n_joints + 1, 4), w x y z, sensor to world, y up, any heading. specific_force: (n_joints + 1, 3) m/s2.
        angular_rate: (n_joints + 1, 3) rad/s. base_angular_acceleration: (3,) rad/s2 in the base sensor's axes, for the lever;
        without it taken as zero.
        """
        length = (quaternions * quaternions).sum(axis=1)
        usable = np.abs(length - 1.0) < _UNIT_TOLERANCE
        unit = quaternions / np.sqrt(np.where(usable, length, 1.0))[:, None]
        up = (self._rotation @ up_in_sensor(unit)[:, :, None])[:, :, 0]
        rate = (self._rotation @ angular_rate[:, :, None])[:, :, 0]
        # Single numbers: for as few segments as a limb has, faster than arrays.
        flags, seen = [], []
        for oriented, u, w in zip(usable.tolist(), up.tolist(), rate.tolist(), strict=True):
            angle = inclination(u, w) if oriented else _UNSEEN
            seen.append(angle)
            flag = ImuFlag.HINGE_UPRIGHT if math.isnan(angle[0]) else ImuFlag.OK
            flags.append(flag if oriented else ImuFlag.NO_ORIENTATION)
        theta, theta_rate = np.array(seen).T
        q = np.diff(theta)
        q -= 2.0 * np.pi * np.round(q / (2.0 * np.pi))
        acceleration = (math.nan, math.nan)
        if flags[0] == ImuFlag.OK:
            force = self._base_force(specific_force[0], rate[0], base_angular_acceleration)
            acceleration = level_acceleration(up[0].tolist(), force.tolist(), self._gravity)
        return LegMotion(
            q, np.diff(theta_rate), float(theta[0]), float(theta_rate[0]), np.array(acceleration), tuple(flags)
        )

    def _base_force(
        self, specific_force: FloatArray, rate: FloatArray, angular_acceleration: FloatArray | None
    ) -> FloatArray:
        """Specific force (3,) in the base's axes: of its sensor, or with a lever of the first joint's centre."""
        force: FloatArray = self._rotation[0] @ specific_force
        if self._lever is None:
            return force
        force = force + np.cross(rate, np.cross(rate, self._lever))
        if angular_acceleration is not None:
            force = force + np.cross(self._rotation[0] @ angular_acceleration, self._lever)
        return force
