"""From the IMUs of neighbouring segments to joint angles and rates, and to the motion of what carries the first joint.

Every segment's angle about its hinge is read off gravity: with u = (u_x, u_y, u_z) upwards in the segment's axes (x forward,
y up, z to the right: `alignment.py`),

    theta = atan2(u_x, u_y),        theta' = w_z - u_z (u_x w_x + u_y w_y) / (u_x^2 + u_y^2),

the second being the first's derivative, from u' = u x w. A joint's angle is the difference of its two segments' (hip flexion,
knee extension, dorsiflexion positive). No heading enters: not the sensors', not their difference, so nothing drifts and no
magnet is needed; what a common acceleration leaves in the inclinations of neighbours cancels. The price: a hinge that points up
(lying on the side) shows nothing, and says so.

The base's acceleration is taken in the vertical plane that the base's own forward axis spans.
"""

from __future__ import annotations

import enum
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


class ImuFlag(enum.IntFlag):
    """What is wrong with a segment's readings. Angles with NO_ORIENTATION or HINGE_UPRIGHT are NaN."""

    OK = 0
    NO_ORIENTATION = 1
    """The quaternion is not of length 1: the sensor estimates none, or its channels are in another order."""
    HINGE_UPRIGHT = 2
    """The joint's axis is within 30 degrees of the vertical."""
    SATURATED = 4
    """A reading is at the end of the sensor's range."""
    STUCK = 8
    """All readings have been the same for too long."""
    MAGNETIC = 16
    """The magnetic field is not the one of the start: a heading from it is wrong. Joint angles do not use it."""
    SETTLING = 32
    """The orientation filter has just started."""


@dataclass(frozen=True, slots=True)
class LegMotion:
    """A chain at one moment."""

    q: FloatArray  # (n_joints,) rad
    qd_gyro: FloatArray  # (n_joints,) rad/s
    tilt: float  # rad, of the base
    tilt_rate: float  # rad/s
    base_acceleration: FloatArray  # (2,) m/s2, forward and up, gravity taken away
    flags: npt.NDArray[np.uint8]  # (n_joints + 1,), ImuFlag of every segment


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
        flags: npt.NDArray[np.uint8] | None = None,
    ) -> LegMotion:
        """The chain at one moment, from readings of that moment.

        quaternions: (n_joints + 1, 4), w x y z, sensor to world, y up, any heading. specific_force: (n_joints + 1, 3) m/s2.
        angular_rate: (n_joints + 1, 3) rad/s. base_angular_acceleration: (3,) rad/s2 in the base sensor's axes, for the lever;
        without it taken as zero. flags: (n_joints + 1,), what is known already (ImuFlag); ours are added.
        """
        marks = np.zeros(len(self._rotation), dtype=np.uint8) if flags is None else flags.copy()
        length = (quaternions * quaternions).sum(axis=1)
        usable = np.abs(length - 1.0) < _UNIT_TOLERANCE
        marks[~usable] |= np.uint8(ImuFlag.NO_ORIENTATION)
        unit = quaternions / np.sqrt(np.where(usable, length, 1.0))[:, None]
        up = (self._rotation @ up_in_sensor(unit)[:, :, None])[:, :, 0]
        rate = (self._rotation @ angular_rate[:, :, None])[:, :, 0]
        level = up[:, 0] ** 2 + up[:, 1] ** 2
        seen = usable & (level >= HINGE_LEVEL_MIN**2)
        marks[usable & ~seen] |= np.uint8(ImuFlag.HINGE_UPRIGHT)
        level[~seen] = np.nan  # no angle, and with it no rate and no acceleration
        theta = np.where(seen, np.arctan2(up[:, 0], up[:, 1]), np.nan)
        theta_rate = rate[:, 2] - up[:, 2] * (up[:, 0] * rate[:, 0] + up[:, 1] * rate[:, 1]) / level
        q = np.diff(theta)
        q -= 2.0 * np.pi * np.round(q / (2.0 * np.pi))
        force = self._rotation[0] @ specific_force[0]
        if self._lever is not None:
            force = force + np.cross(rate[0], np.cross(rate[0], self._lever))
            if base_angular_acceleration is not None:
                force = force + np.cross(self._rotation[0] @ base_angular_acceleration, self._lever)
        # Forward is horizontal and perpendicular to the hinge: up x z.
        forward = (up[0, 1] * force[0] - up[0, 0] * force[1]) / np.sqrt(level[0])
        upwards = up[0] @ force - self._gravity if seen[0] else np.nan
        return LegMotion(
            q, np.diff(theta_rate), float(theta[0]), float(theta_rate[0]), np.array([forward, upwards]), marks
        )
