"""From decoded frames to the kinematics of the leg: the part of the pipeline that training and the device share.

Streams with times of one clock come in, joint angles and the base's IMU, or IMUs of all segments; out come joint angles, rates
and accelerations with the base's tilt and acceleration, all of the same moment. Of a single sensor only its own stamps enter, so
that the same bytes give the same kinematics whenever they are received.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError
from edge.msk.dynamics import Kinematics
from edge.sensors.frame import Frame, Kind
from edge.signals.alignment import Alignment
from edge.signals.checks import Checks
from edge.signals.differentiation import create_for
from edge.signals.differentiator import Derivatives, Differentiator
from edge.signals.grid_values import grid_values
from edge.signals.hookup import Hookup, Source
from edge.signals.layout import Layout
from edge.signals.resample import TOLERANCE_S, GridResampler, GridSample

FloatArray = npt.NDArray[np.float64]

MAX_GAP_S = 0.05
BASE_CHANNELS = ("base_tilt", "base_acceleration_x", "base_acceleration_y")
_BASE_SCALE = (1.0, 10.0, 10.0)  # rad, and m/s2: what a pelvis does in walking, against the radian of a joint
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
    sensed: FloatArray  # (n_joints + 4,) newest sample of the sensors: angles, tilt, tilt rate, base acceleration
    restarted: bool  # the first state after a gap: earlier ones must not be used with it
    trusted: bool = True  # no sensor was stuck, saturated or otherwise doubtful while it was measured


class Intake:
    """Frames in, kinematic states out.

    Args:
        joint_names: the model's, in order.
        gravity_mps2, rate_hz: the model's.
        method, age_s: of the differentiator; method may be what makes one for the channels.
        hookup: which source's channels are what; None: one source with the usual ones.
        checks: what looks for sensors that cannot be trusted; None: nobody does.
        alignment: how the segments' IMUs sit, for a hookup whose angles come from them. Raises ConfigError where it is missing.

    Of a moment at which an angle cannot be seen there is no state. So long a gap as may be bridged is, by the differentiator.
    """

    def __init__(
        self,
        joint_names: tuple[str, ...],
        *,
        gravity_mps2: float,
        rate_hz: float,
        method: str | Callable[[Layout], Differentiator],
        age_s: float,
        hookup: Hookup | None = None,
        checks: Checks | None = None,
        alignment: Alignment | None = None,
    ) -> None:
        self.joint_names = joint_names
        self.hookup = hookup or Hookup(joint_names, ("pelvis",), (Source(),))
        self._checks = checks
        self._n = len(joint_names)
        groups = self.hookup.groups
        self._angle_kind = Kind.IMU if self.hookup.angles_from_imus else Kind.ANGLES
        self.samples = 0  # frames taken that tell joint angles
        self.counts = [0] * len(groups)  # readings taken, by group of the hookup
        self.gaps = 0  # restarts after a gap
        self.sensor_faults = 0  # frames whose fault flag was set; they are not used
        self.first_us: int | None = None  # stamp of the first frame taken
        self.newest_us = [0] * len(groups)  # stamps of the newest readings taken
        self._values = grid_values(self.hookup, gravity_mps2, alignment)
        self._resampler = GridResampler(self._values.widths, rate_hz, MAX_GAP_S)
        channels = (*joint_names, *BASE_CHANNELS)
        self.layout = Layout(
            channels=channels,
            gyroscopes=tuple(channels[i] for i in self._values.gyroscopes),
            rate_hz=rate_hz,
            age_s=age_s,
            scale=(1.0,) * self._n + _BASE_SCALE,
        )
        self.differentiator = create_for(self.layout, method) if isinstance(method, str) else method(self.layout)
        self.rmse: FloatArray | None = None
        """(3, n_joints + 3) measured error of the newest state's values, rates and accelerations; None before the first."""
        self._pending_restart = True
        self._seen_s: float | None = None  # newest moment that the differentiator has been given since a gap
        self._origin_us = 0

    @property
    def unseen(self) -> tuple[str, ...]:
        """Segments whose inclination the newest moment does not show."""
        return self._values.unseen

    @property
    def late(self) -> int:
        """Samples not newer than their predecessor: duplicated or out of order; they are not used."""
        return self._resampler.late

    @property
    def interruptions(self) -> int:
        """Gaps in a stream, jumps of the clock, and streams that stopped; before the first state too."""
        return self._resampler.interruptions

    def push(self, frame: Frame, source: int = 0, time_us: int | None = None) -> list[KinematicState]:
        """Take one frame of a source; return the states that it completes.

        time_us: its stamp on the session's time line, where that is not the sender's own. Raises SensorError for a frame
        that cannot be this limb's.
        """
        if frame.kind not in (Kind.ANGLES, Kind.IMU):
            return []
        if frame.flags & 1:
            # What a faulty sensor says is not even looked at: an IMU that fails often sends zeros.
            self.sensor_faults += 1
            return []
        states: list[KinematicState] = []
        line_us = frame.time_us if time_us is None else time_us
        for group, channels in self.hookup.read(source, frame):
            if self._checks is not None:
                self._checks.reading(group, frame.time_us, channels)
            # An orientation is made with the sender's own stamps: those of the line are smoothed.
            values = self._values.read(group, frame.time_us, channels)
            self.samples += frame.kind == self._angle_kind
            states += self._take(group, line_us, values)
        return states

    def close(self) -> None:
        """Let go of what works in the background. Nothing may be pushed afterwards."""
        self.differentiator.close()

    def _take(self, group: int, time_us: int, values: FloatArray | None) -> list[KinematicState]:
        self.counts[group] += 1
        if self.first_us is None:
            self.first_us = self._origin_us = time_us
        elif abs(time_us - self._origin_us) > _FURTHEST_US:
            # The sensor's clock was set. Times are counted from near by, or they lose their last digits.
            self._origin_us = time_us
            self._resampler.restart()
        self.newest_us[group] = time_us
        if values is None:
            return []
        samples = self._resampler.push(group, (time_us - self._origin_us) * 1e-6, values)
        return [state for state in map(self._moment, samples) if state is not None]

    def _moment(self, sample: GridSample) -> KinematicState | None:
        if sample.restarted:
            self._seen_s = None
        q, rate = self._values.to_kinematics(sample.values)
        if self._checks is not None:
            self._checks.sees(self._values.unseen)
        if self._values.unseen:
            return None
        restarted = self._seen_s is None or sample.t_s - self._seen_s > MAX_GAP_S + TOLERANCE_S
        self._seen_s = sample.t_s
        if restarted:
            self.gaps += 1
            self.differentiator.restart()
            self._pending_restart = True
        trusted = self._checks is None or self._checks.sample(
            sample.t_s, q, rate, restarted=restarted, settled=self._values.settled
        )
        if not trusted:
            self.differentiator.doubt()
        out = self.differentiator.push(sample.t_s, q, rate)
        if self.differentiator.failure:
            self._tell_failure(self.differentiator.failure)
        if out is None:
            return None
        self.rmse = out.rmse
        return self._state(out, self._sensed(q, rate), trusted=trusted)

    def _sensed(self, q: FloatArray, rate: FloatArray) -> FloatArray:
        n = self._n
        sensed = np.empty(n + 4)
        sensed[: n + 1] = q[: n + 1]
        sensed[n + 1] = rate[n]
        sensed[n + 2 :] = q[n + 1 :]
        return sensed

    def _tell_failure(self, reason: str) -> None:
        if self._checks is None:
            # Without a person there is nothing to go on for: safe answers would pass for learned ones.
            raise EngineError(f"the filter that learns the wearer failed ({reason}): please report this")
        self._checks.differentiator_failed(reason)

    def _state(self, out: Derivatives, sensed: FloatArray, *, trusted: bool) -> KinematicState:
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
            sensed=sensed,
            restarted=restarted,
            trusted=trusted,
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
    """A batch as single states, the first of them marked as a start. What the sensors said is what they are."""
    sensed = np.hstack([motion.q, motion.tilt[:, None], motion.tilt_rate[:, None], motion.base_acceleration])
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
            sensed[i],
            i == 0,
        )
        for i, t in enumerate(times_s)
    ]
