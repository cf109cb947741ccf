"""From decoded frames to the kinematics of the leg: the part of the pipeline that training and the device share.

Two streams with the sender's clock come in, joint angles and the pelvis IMU; out come joint angles, rates and accelerations
with the base's tilt and acceleration, all of the same moment. Only the sensor's own stamps enter, so that the same bytes
give the same kinematics whenever they are received.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import SensorError
from edge.msk.dynamics import Kinematics
from edge.sensors.frame import Frame, Kind
from edge.signals import differentiate
from edge.signals.resample import GridResampler

FloatArray = npt.NDArray[np.float64]

MAX_GAP_S = 0.05
_MOST_RADIANS = 2.0 * math.pi
_IMU_CHANNELS = 10
_BASE_CHANNELS = 3  # tilt, acceleration x, acceleration y


@dataclass(frozen=True, slots=True)
class KinematicState:
    """Kinematics of the leg at one moment."""

    t_s: float  # sensor's clock
    q: FloatArray  # (n_joints,) rad
    qd: FloatArray  # rad/s
    qdd: FloatArray  # rad/s2
    tilt: float  # rad
    tilt_rate: float  # rad/s
    tilt_acceleration: float  # rad/s2
    base_acceleration: FloatArray  # (2,) m/s2
    restarted: bool  # the first state after a gap: earlier ones must not be used with it


class Intake:
    """Frames in, kinematic states out."""

    def __init__(
        self, joint_names: tuple[str, ...], *, gravity_mps2: float, rate_hz: float, method: str, age_s: float
    ) -> None:
        self.joint_names = joint_names
        self._gravity = gravity_mps2
        self._rate_hz = rate_hz
        self._method = method
        self._age_s = age_s
        self._n = len(joint_names)
        self.samples = 0  # frames of joint angles taken
        self.gaps = 0  # restarts after a gap
        self.sensor_faults = 0  # frames whose fault flag was set; they are not used
        self._resampler = GridResampler((self._n, _BASE_CHANNELS), rate_hz, MAX_GAP_S)
        self._differentiator = self._new_differentiator()
        self._pending_restart = True

    @property
    def late(self) -> int:
        """Samples not newer than their predecessor: duplicated or out of order; they are not used."""
        return self._resampler.late

    def _new_differentiator(self) -> differentiate.Differentiator:
        return differentiate.create(
            self._method, n_joints=self._n + _BASE_CHANNELS, rate_hz=self._rate_hz, age_s=self._age_s
        )

    def push(self, frame: Frame) -> list[KinematicState]:
        """Take one frame; return the states that it completes. Raises SensorError for a frame that cannot be this leg's."""
        if frame.kind == Kind.ANGLES:
            stream, values = 0, self._angles(frame)
            self.samples += 1
        elif frame.kind == Kind.IMU:
            stream, values = 1, self._pelvis(frame)
        else:
            return []
        if frame.flags & 1:
            self.sensor_faults += 1
            return []
        states = []
        for sample in self._resampler.push(stream, frame.time_us * 1e-6, values):
            if sample.restarted:
                self.gaps += 1
                self._differentiator = self._new_differentiator()
                self._pending_restart = True
            out = self._differentiator.push(sample.t_s, sample.values)
            if out is None:
                continue
            n = self._n
            states.append(
                KinematicState(
                    t_s=out.t_s,
                    q=out.q[:n],
                    qd=out.qd[:n],
                    qdd=out.qdd[:n],
                    tilt=float(out.q[n]),
                    tilt_rate=float(out.qd[n]),
                    tilt_acceleration=float(out.qdd[n]),
                    base_acceleration=out.q[n + 1 :],
                    restarted=self._pending_restart,
                )
            )
            self._pending_restart = False
        return states

    def _angles(self, frame: Frame) -> FloatArray:
        if len(frame.channels) != self._n:
            raise SensorError(
                f"sensor sends {len(frame.channels)} joint angles, the bundle needs {self._n} "
                f"({', '.join(self.joint_names)}): set the sensor's channels, or take the bundle made for it"
            )
        values = np.array(frame.channels)
        largest = int(np.abs(values).argmax())
        if abs(values[largest]) > _MOST_RADIANS:
            raise SensorError(
                f"sensor channel '{self.joint_names[largest]}' reads {values[largest]:.4g}, more than a full turn in rad: "
                "it looks like degrees: make the sensor send radians"
            )
        return values

    def _pelvis(self, frame: Frame) -> FloatArray:
        if len(frame.channels) != _IMU_CHANNELS:
            raise SensorError(
                f"sensor sends {len(frame.channels)} IMU channels, the bundle needs one pelvis IMU of {_IMU_CHANNELS} "
                "(quaternion w x y z, acceleration, angular rate): set the sensor's channels"
            )
        w, x, y, z, fx, fy, fz = frame.channels[:7]
        norm = math.sqrt(w * w + x * x + y * y + z * z)
        if not 0.9 < norm < 1.1:
            raise SensorError(
                f"pelvis IMU: quaternion of length {norm:.3g} instead of 1: the channels are not in the order "
                "quaternion w x y z, acceleration, angular rate"
            )
        w, x, y, z = w / norm, x / norm, y / norm, z / norm
        # First two rows of the rotation from sensor to world axes; the first column is the sensor's forward axis.
        forward = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z))
        ax = forward[0] * fx + 2 * (x * y - w * z) * fy + 2 * (x * z + w * y) * fz
        ay = forward[1] * fx + (1 - 2 * (x * x + z * z)) * fy + 2 * (y * z - w * x) * fz
        # An accelerometer at rest reads gravity upwards.
        return np.array([math.atan2(forward[1], forward[0]), ax, ay - self._gravity])


def pelvis_channels(
    tilt: float, tilt_rate: float, base_acceleration: FloatArray, gravity_mps2: float
) -> tuple[float, ...]:
    """What an ideal pelvis IMU at the hip joint reads: the 10 channels of its frame."""
    c, s = math.cos(tilt), math.sin(tilt)
    ax, ay = float(base_acceleration[0]), float(base_acceleration[1]) + gravity_mps2
    return (
        math.cos(tilt / 2),
        0.0,
        0.0,
        math.sin(tilt / 2),
        c * ax + s * ay,
        -s * ax + c * ay,
        0.0,
        0.0,
        0.0,
        tilt_rate,
    )


def stack(states: list[KinematicState]) -> Kinematics:
    """Many states as one batch for the physics."""
    return Kinematics(
        np.array([s.q for s in states]),
        np.array([s.qd for s in states]),
        np.array([s.qdd for s in states]),
        np.array([s.tilt for s in states]),
        np.array([s.tilt_rate for s in states]),
        np.array([s.tilt_acceleration for s in states]),
        np.array([s.base_acceleration for s in states]),
    )


def unstack(times_s: FloatArray, motion: Kinematics) -> list[KinematicState]:
    """A batch as single states, the first of them marked as a start."""
    return [
        KinematicState(
            float(t),
            motion.q[i],
            motion.qd[i],
            motion.qdd[i],
            float(motion.tilt[i]),
            float(motion.tilt_rate[i]),
            float(motion.tilt_acceleration[i]),
            motion.base_acceleration[i],
            i == 0,
        )
        for i, t in enumerate(times_s)
    ]


def features(motion: Kinematics) -> FloatArray:
    """The network's inputs (frames, 3 n_joints + 4): angles, rates, accelerations, tilt, tilt rate, base acceleration."""
    return np.hstack(
        [motion.q, motion.qd, motion.qdd, motion.tilt[:, None], motion.tilt_rate[:, None], motion.base_acceleration]
    )
