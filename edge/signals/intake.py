"""From decoded frames to the kinematics of the leg: the part of the pipeline that training and the device share.

Two streams with the sender's clock come in, joint angles and the pelvis IMU; out come joint angles, rates and accelerations
with the base's tilt and acceleration, all of the same moment. Only the sensor's own stamps enter, so that the same bytes
give the same kinematics whenever they are received.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

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
_MOST_ACCELERATION = 500.0  # m/s2; no pelvis is accelerated so much, and no usual sensor measures it
_IMU_CHANNELS = 10
_BASE_CHANNELS = 3  # tilt, acceleration x, acceleration y
_GRAVITY_CHECK_US = 300_000  # shorter than the time to the first estimate
_GRAVITY_CHECK_FRAMES = 5
_GRAVITY_RANGE = (0.3, 2.0)  # of g: 0.6 to 1.3 over 0.3 s of walking, squatting or standing up
_FURTHEST_US = 4_000_000_000_000  # seconds beyond 4e6 do not resolve a nanosecond any more


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
        self.pelvis_samples = 0  # frames of the pelvis IMU taken
        self.gaps = 0  # restarts after a gap
        self.sensor_faults = 0  # frames whose fault flag was set; they are not used
        self.first_us: int | None = None  # stamp of the first frame taken
        self.newest_us = [0, 0]  # stamps of the newest joint angles and pelvis IMU taken
        self._resampler = GridResampler((self._n, _BASE_CHANNELS), rate_hz, MAX_GAP_S)
        self._differentiator = self._new_differentiator()
        self._pending_restart = True
        self._origin_us = 0
        self._gravity_check = _GravityCheck(gravity_mps2)

    @property
    def late(self) -> int:
        """Samples not newer than their predecessor: duplicated or out of order; they are not used."""
        return self._resampler.late

    @property
    def interruptions(self) -> int:
        """Gaps in a stream, jumps of the clock, and streams that stopped; before the first state too."""
        return self._resampler.interruptions

    def _new_differentiator(self) -> differentiate.Differentiator:
        return differentiate.create(
            self._method, n_joints=self._n + _BASE_CHANNELS, rate_hz=self._rate_hz, age_s=self._age_s
        )

    def push(self, frame: Frame) -> list[KinematicState]:
        """Take one frame; return the states that it completes. Raises SensorError for a frame that cannot be this leg's."""
        if frame.kind == Kind.ANGLES:
            stream = 0
        elif frame.kind == Kind.IMU:
            stream = 1
        else:
            return []
        if frame.flags & 1:
            # What a faulty sensor says is not even looked at: an IMU that fails often sends zeros.
            self.sensor_faults += 1
            return []
        if stream == 0:
            values = self._angles(frame)
            self.samples += 1
        else:
            values = self._pelvis(frame)
            self.pelvis_samples += 1
        if self.first_us is None:
            self.first_us = self._origin_us = frame.time_us
        elif abs(frame.time_us - self._origin_us) > _FURTHEST_US:
            # The sensor's clock was set. Times are counted from near by, or they lose their last digits.
            self._origin_us = frame.time_us
            self._resampler.restart()
        self.newest_us[stream] = frame.time_us
        states = []
        for sample in self._resampler.push(stream, (frame.time_us - self._origin_us) * 1e-6, values):
            if sample.restarted:
                self.gaps += 1
                self._differentiator = self._new_differentiator()
                self._pending_restart = True
            out = self._differentiator.push(sample.t_s, sample.values)
            if out is not None:
                states.append(self._state(out))
        return states

    def _state(self, out: differentiate.Derivatives) -> KinematicState:
        n = self._n
        restarted, self._pending_restart = self._pending_restart, False
        return KinematicState(
            t_s=self._origin_us * 1e-6 + out.t_s,
            q=out.q[:n],
            qd=out.qd[:n],
            qdd=out.qdd[:n],
            tilt=float(out.q[n]),
            tilt_rate=float(out.qd[n]),
            tilt_acceleration=float(out.qdd[n]),
            base_acceleration=out.q[n + 1 :],
            restarted=restarted,
        )

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
        if max(abs(fx), abs(fy), abs(fz)) > _MOST_ACCELERATION:
            raise SensorError(
                f"pelvis IMU: acceleration ({fx:.4g}, {fy:.4g}, {fz:.4g}) m/s2 is more than {_MOST_ACCELERATION:g}: "
                "make the sensor send m/s2 in the channels after the quaternion"
            )
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
        if not self._gravity_check.done:
            self._gravity_check.add(frame.time_us, ay)
        # An accelerometer at rest reads gravity upwards.
        return np.array([math.atan2(forward[1], forward[0]), ax, ay - self._gravity])


class _GravityCheck:
    """Whether the first moments of the pelvis IMU's acceleration, turned into the world, hold gravity upwards.

    A quaternion in another order has the right length too, and an acceleration in g or without gravity looks like one in
    m/s2; this tells them apart before the first estimate, in whatever posture the wearer is.
    """

    def __init__(self, gravity_mps2: float) -> None:
        self.done = False
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
            raise SensorError(
                f"pelvis IMU: its first {self._count} accelerations are {mean:.3g} m/s2 upwards on average, where gravity "
                f"is {self._gravity:.3g}: make the sensor send its quaternion as w x y z (sensor to world, y up), then its "
                "acceleration in m/s2 with gravity in it (at rest +9.81 upwards)"
            )


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


def single(state: KinematicState) -> Kinematics:
    """One state as a batch of one: what `stack([state])` gives, without copies."""
    return Kinematics(
        state.q[None],
        state.qd[None],
        state.qdd[None],
        np.array([state.tilt]),
        np.array([state.tilt_rate]),
        np.array([state.tilt_acceleration]),
        state.base_acceleration[None],
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


def write_features(state: KinematicState, row: npt.NDArray[np.floating[Any]]) -> None:
    """The same of one state, into `row` (3 n_joints + 4,)."""
    n = len(state.q)
    row[:n] = state.q
    row[n : 2 * n] = state.qd
    row[2 * n : 3 * n] = state.qdd
    row[3 * n] = state.tilt
    row[3 * n + 1] = state.tilt_rate
    row[3 * n + 2 :] = state.base_acceleration
