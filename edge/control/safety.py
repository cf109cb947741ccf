"""What is allowed: the only way from a wanted torque to an actuator.

Small on purpose, plain numbers in and out, nothing imported but the states: it can be read in one sitting and tested
alone. Every cycle goes through :meth:`Safety.step`, with a new estimate or without one (the loop's tick when nothing
arrives, so that silence is seen too). Joints are in the model's order; a positive torque drives its angle up.

What holds for every command that ``step`` returns, whatever went in:

* it is finite, and within ``torque_limit_nm``;
* it moves away from zero no faster than ``torque_slew_nm_per_s``; into the end of a joint's range it is no harder than
  the part of the limit that is left over the last ``soft_stop_margin_rad``;
* it is zero unless the state is ACTIVE, or FAULT within ``ramp_down_s`` of the fault;
* it is zero in the very cycle in which a number that is not finite, or a wrong count of numbers, came in.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields

from edge.control.state import State, transition

MAX_SLEW_INTERVAL_S = 0.02
"""Slew is granted for at most this long between two cycles: a loop that was stopped must not jump afterwards."""


class Fault(str, enum.Enum):
    """Why the device went to FAULT. The value is what logs and summaries show; ``explanation`` says it in words."""

    explanation: str

    def __new__(cls, value: str, explanation: str) -> Fault:
        """Make a member that is its value and carries its explanation."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.explanation = explanation
        return member

    NON_FINITE = ("non_finite", "an angle, rate, torque or estimate is NaN or infinite")
    MALFORMED = ("malformed", "the number of angles, rates or torques is not the number of joints")
    STALE = ("stale_sensor", "the newest usable data is older than sensor_age_limit_ms")
    ANGLE_RANGE = ("angle_range", "an angle lies further outside its range than angle_fault_margin_rad")
    ANGLE_RATE = ("angle_rate", "an angle changes faster than angle_rate_limit_rad_s")
    SEQUENCE_GAP = ("sequence_gap", "more than max_sequence_gap frames are missing at once")
    DEADLINE = ("deadline", "more than max_consecutive_overruns cycles in a row took longer than a sample period")
    # Found by the loop around us, and reported:
    SENSOR_LOST = ("sensor_lost", "the sensor is gone")
    SENSOR = ("sensor", "the sensor sends what cannot be this leg's")
    OUTPUT = ("output", "the output refused a command")
    ENGINE = ("engine", "the estimator failed")
    LOG = ("log", "the session log of an armed device cannot be written any more")


IMMEDIATE = frozenset({Fault.NON_FINITE, Fault.MALFORMED})
"""After these nothing computed can be trusted: the command is zero in the same cycle, without the ramp."""


@dataclass(frozen=True, kw_only=True)
class SafetyLimits:
    """The limits, one number per joint where the type is a tuple (all of one length).

    Raises:
        ValueError: lengths differ, or a number is not finite, negative where it cannot be, or a range is empty.
    """

    torque_limit_nm: tuple[float, ...]
    torque_slew_nm_per_s: tuple[float, ...]
    angle_min_rad: tuple[float, ...]
    angle_max_rad: tuple[float, ...]
    angle_rate_limit_rad_s: tuple[float, ...]
    soft_stop_margin_rad: float
    angle_fault_margin_rad: float
    sensor_age_limit_ms: float
    max_sequence_gap: int
    max_consecutive_overruns: int
    ramp_down_s: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            numbers = value if isinstance(value, tuple) else (value,)
            if isinstance(value, tuple) and len(value) != len(self.torque_limit_nm):
                raise ValueError(f"{field.name}: {len(value)} joints, torque_limit_nm has {len(self.torque_limit_nm)}")
            if not all(math.isfinite(number) for number in numbers):
                raise ValueError(f"{field.name}: {value} is not finite")
            if not field.name.startswith(("angle_min", "angle_max")) and min(numbers, default=0.0) < 0:
                raise ValueError(f"{field.name}: {value} is negative")
        if any(low >= high for low, high in zip(self.angle_min_rad, self.angle_max_rad, strict=True)):
            raise ValueError(f"angle_min_rad {self.angle_min_rad} is not below angle_max_rad {self.angle_max_rad}")

    @property
    def n_joints(self) -> int:
        """Number of joints."""
        return len(self.torque_limit_nm)


@dataclass(frozen=True, slots=True)
class SafeCommand:
    """What may be sent: the state, the torque of each joint in Nm, and the faults that are new in this cycle."""

    state: State
    torque_nm: tuple[float, ...]
    new_faults: tuple[Fault, ...]


class Safety:
    """The state machine and the limits.

    Args:
        limits: the limits.
        assist_enabled: whether any assistance is wanted at all; without it an armed device stays ARMED.
    """

    def __init__(self, limits: SafetyLimits, *, assist_enabled: bool) -> None:
        self.limits = limits
        self.assist_enabled = assist_enabled
        self._state = State.DISARMED
        self._faults: tuple[Fault, ...] = ()
        self._zero = (0.0,) * limits.n_joints
        self._torque = self._zero
        self._target = self._zero
        self._up_nm = limits.torque_limit_nm  # hardest torque towards the upper stop
        self._down_nm = limits.torque_limit_nm  # and towards the lower one
        self._ramp_from = self._zero
        self._fault_ns = 0
        self._last_ns: int | None = None
        self._overruns = 0
        self._healthy = False

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The latched faults, in the order in which they came."""
        return self._faults

    def arm(self) -> None:
        """Allow assistance, from DISARMED.

        Raises:
            ValueError: the state is not DISARMED.
        """
        self._state = transition(self._state, State.ARMED)

    def disarm(self) -> None:
        """Withdraw it, from ARMED or ACTIVE: the command is zero from the next cycle on. A latched fault stays."""
        if self._state in (State.ARMED, State.ACTIVE):
            self._state = transition(self._state, State.DISARMED)

    def rearm(self) -> bool:
        """Leave FAULT for ARMED if the last cycle was healthy and the command is zero; return whether it was done."""
        if self._state is not State.FAULT or not self._healthy or any(self._torque):
            return False
        self._faults = ()
        self._state = transition(transition(self._state, State.DISARMED), State.ARMED)
        return True

    def step(
        self,
        now_ns: int,
        *,
        sensor_age_ns: int | None,
        q_rad: Sequence[float] | None = None,
        qd_rad_s: Sequence[float] | None = None,
        wanted_torque_nm: Sequence[float] | None = None,
        valid: bool = True,
        sequence_gap: int = 0,
        overran: bool | None = None,
        reported: Collection[Fault] = (),
    ) -> SafeCommand:
        """One cycle.

        Args:
            now_ns: the monotonic clock.
            sensor_age_ns: age of the newest usable data; None while none has come yet (a fault only when ACTIVE).
            q_rad: angle of each joint; None, as the next two, in a cycle without a new estimate: the last wanted torque
                then stays the aim until the data is stale.
            qd_rad_s: rate of each joint.
            wanted_torque_nm: what is asked for, for each joint.
            valid: whether the pipeline stands by the estimate; without that nothing starts, and the aim is zero.
            sequence_gap: frames found missing in this cycle.
            overran: whether the cycle took longer than a sample period; None where nothing was computed.
            reported: faults that others found.
        """
        fresh = not (q_rad is None and qd_rad_s is None and wanted_torque_nm is None)
        q, qd, wanted = (() if numbers is None else numbers for numbers in (q_rad, qd_rad_s, wanted_torque_nm))
        found = list(reported)
        if fresh:
            found += self._check_estimate(q, qd, wanted)
        found += self._check_timing(sensor_age_ns, sequence_gap, overran)
        ready = sensor_age_ns is not None and valid
        if self._state is State.ACTIVE and sensor_age_ns is None:
            found.append(Fault.STALE)

        new = tuple(fault for fault in dict.fromkeys(found) if fault not in self._faults)
        immediate = not IMMEDIATE.isdisjoint(found)
        self._healthy = fresh and ready and not found
        if found:
            self._faults += new
            if self._state is not State.FAULT:
                self._state = transition(self._state, State.FAULT)
                self._fault_ns = now_ns
                self._ramp_from = self._torque
        elif self._state is State.ARMED and self._healthy and self.assist_enabled:
            self._state = transition(self._state, State.ACTIVE)
        if fresh and not immediate:
            self._aim(q, wanted if valid else self._zero)

        elapsed_s = 0.0 if self._last_ns is None else (now_ns - self._last_ns) * 1e-9
        self._last_ns = now_ns
        if self._state is State.ACTIVE:
            self._torque = self._slewed(min(max(elapsed_s, 0.0), MAX_SLEW_INTERVAL_S))
        elif self._state is State.FAULT and not immediate:
            self._torque = self._ramped((now_ns - self._fault_ns) * 1e-9)
        else:
            self._torque = self._zero
        return SafeCommand(self._state, self._torque, new)

    def _check_estimate(self, q: Sequence[float], qd: Sequence[float], wanted: Sequence[float]) -> list[Fault]:
        limits = self.limits
        if not len(q) == len(qd) == len(wanted) == limits.n_joints:
            return [Fault.MALFORMED]
        if not all(map(math.isfinite, (*q, *qd, *wanted))):
            return [Fault.NON_FINITE]
        found = []
        margin = limits.angle_fault_margin_rad
        ranges = zip(q, limits.angle_min_rad, limits.angle_max_rad, strict=True)
        if any(not low - margin <= angle <= high + margin for angle, low, high in ranges):
            found.append(Fault.ANGLE_RANGE)
        if any(abs(rate) > limit for rate, limit in zip(qd, limits.angle_rate_limit_rad_s, strict=True)):
            found.append(Fault.ANGLE_RATE)
        return found

    def _check_timing(self, sensor_age_ns: int | None, sequence_gap: int, overran: bool | None) -> list[Fault]:
        limits = self.limits
        found = []
        if sensor_age_ns is not None and sensor_age_ns > limits.sensor_age_limit_ms * 1e6:
            found.append(Fault.STALE)
        if sequence_gap > limits.max_sequence_gap:
            found.append(Fault.SEQUENCE_GAP)
        if overran is not None:
            self._overruns = self._overruns + 1 if overran else 0
            if self._overruns > limits.max_consecutive_overruns:
                found.append(Fault.DEADLINE)
        return found

    def _aim(self, q: Sequence[float], wanted: Sequence[float]) -> None:
        """Set the aim: the wanted torque, faded where it drives into the end of a joint's range, within the limit."""
        limits = self.limits
        ranges = zip(q, limits.angle_min_rad, limits.angle_max_rad, strict=True)
        fades = [(self._fade(high - angle), self._fade(angle - low)) for angle, low, high in ranges]
        self._up_nm = tuple(limit * up for limit, (up, _) in zip(limits.torque_limit_nm, fades, strict=True))
        self._down_nm = tuple(limit * down for limit, (_, down) in zip(limits.torque_limit_nm, fades, strict=True))
        self._target = tuple(
            torque * (up if torque > 0 else down) for torque, (up, down) in zip(wanted, fades, strict=True)
        )

    def _fade(self, room_rad: float) -> float:
        """1 away from the end of the range, 0 at it and beyond."""
        margin = self.limits.soft_stop_margin_rad
        if room_rad <= 0.0:
            return 0.0
        return min(room_rad / margin, 1.0) if margin > 0.0 else 1.0

    def _slewed(self, interval_s: float) -> tuple[float, ...]:
        """From the last command towards the aim, no faster than the slew limit; the limits win over the slew."""
        rows = zip(
            self._torque, self._target, self._down_nm, self._up_nm, self.limits.torque_slew_nm_per_s, strict=True
        )
        return tuple(
            max(-down, min(up, max(last - slew * interval_s, min(last + slew * interval_s, aim))))
            for last, aim, down, up, slew in rows
        )

    def _ramped(self, since_s: float) -> tuple[float, ...]:
        """The command of the moment of the fault, fading linearly to zero; it never grows, whatever the clock does."""
        left = 1.0 - since_s / self.limits.ramp_down_s if since_s < self.limits.ramp_down_s else 0.0
        return tuple(
            math.copysign(min(abs(start) * left, abs(last)), start) if left > 0.0 else 0.0
            for start, last in zip(self._ramp_from, self._torque, strict=True)
        )
