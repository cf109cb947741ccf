"""Every limit is broken once; and no sequence of inputs whatever gets a command outside them."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.control.safety import MAX_SLEW_INTERVAL_S, Fault, SafeCommand, Safety, SafetyLimits
from edge.control.state import State

MS = 1_000_000
LIMITS = SafetyLimits(
    torque_limit_nm=(10.0, 5.0),
    torque_slew_nm_per_s=(200.0, 100.0),
    angle_min_rad=(-1.0, -2.0),
    angle_max_rad=(1.0, 0.0),
    angle_rate_limit_rad_s=(20.0, 10.0),
    soft_stop_margin_rad=0.2,
    angle_fault_margin_rad=0.3,
    sensor_age_limit_ms=35.0,
    max_sequence_gap=3,
    max_consecutive_overruns=2,
    ramp_down_s=0.01,
)


class Rig:
    """A safety on a clock of 10 ms per cycle, fed with a healthy cycle unless told otherwise."""

    def __init__(self, limits: SafetyLimits = LIMITS, *, armed: bool = True, assist_enabled: bool = True) -> None:
        self.safety = Safety(limits, assist_enabled=assist_enabled)
        self.now_ns = 0
        if armed:
            self.safety.arm()

    def step(self, *, after_ms: float = 10.0, **changes: Any) -> SafeCommand:
        self.now_ns += round(after_ms * MS)
        healthy: dict[str, Any] = {
            "sensor_age_ns": MS,
            "q_rad": (0.0, -1.0),
            "qd_rad_s": (0.0, 0.0),
            "wanted_torque_nm": (4.0, -2.0),
        }
        return self.safety.step(self.now_ns, **{**healthy, **changes})

    def tick(self, *, after_ms: float = 10.0, age_ms: float = 1.0, **changes: Any) -> SafeCommand:
        self.now_ns += round(after_ms * MS)
        return self.safety.step(self.now_ns, sensor_age_ns=round(age_ms * MS), **changes)

    def settle(self) -> SafeCommand:
        """Run until the wanted torque is reached."""
        for _ in range(10):
            command = self.step()
        assert command == SafeCommand(State.ACTIVE, (4.0, -2.0), ())
        return command


def test_disarmed_commands_zero_whatever_is_wanted() -> None:
    rig = Rig(armed=False)
    assert all(rig.step() == SafeCommand(State.DISARMED, (0.0, 0.0), ()) for _ in range(5))


def test_armed_without_assistance_stays_armed_at_zero() -> None:
    rig = Rig(assist_enabled=False)
    assert all(rig.step() == SafeCommand(State.ARMED, (0.0, 0.0), ()) for _ in range(5))


def test_armed_waits_for_the_first_healthy_cycle() -> None:
    rig = Rig()
    assert rig.safety.step(0, sensor_age_ns=None).state is State.ARMED
    assert rig.tick().state is State.ARMED
    assert rig.step(valid=False) == SafeCommand(State.ARMED, (0.0, 0.0), ())
    assert rig.step().state is State.ACTIVE


def test_no_torque_in_the_very_first_cycle() -> None:
    assert Rig().step() == SafeCommand(State.ACTIVE, (0.0, 0.0), ())


def test_slew_limits_the_way_to_the_wanted_torque() -> None:
    rig = Rig()
    rig.step()
    assert rig.step(wanted_torque_nm=(9.0, 0.0)).torque_nm == pytest.approx((2.0, 0.0))
    assert rig.step(wanted_torque_nm=(9.0, 0.0)).torque_nm == pytest.approx((4.0, 0.0))
    assert rig.step(wanted_torque_nm=(-9.0, 0.0)).torque_nm == pytest.approx((2.0, 0.0))


def test_a_loop_that_was_stopped_gets_no_jump() -> None:
    rig = Rig()
    rig.step()
    command = rig.step(after_ms=5000.0, wanted_torque_nm=(10.0, 5.0))
    assert command.torque_nm == pytest.approx((200.0 * MAX_SLEW_INTERVAL_S, 100.0 * MAX_SLEW_INTERVAL_S))


def test_torque_limit_clamps_without_a_fault() -> None:
    rig = Rig()
    for _ in range(20):
        command = rig.step(wanted_torque_nm=(99.0, -99.0))
    assert command == SafeCommand(State.ACTIVE, (10.0, -5.0), ())


@pytest.mark.parametrize(
    ("angle", "wanted", "expected"),
    [
        (0.9, 8.0, 4.0),  # half of the margin left: half of the torque into the stop
        (1.0, 8.0, 0.0),
        (1.2, 8.0, 0.0),  # beyond the stop, within the fault margin
        (0.9, -8.0, -8.0),  # out of the stop: all of it
        (-0.9, -8.0, -4.0),
        (-1.0, -8.0, 0.0),
        (-1.0, 8.0, 8.0),
    ],
)
def test_soft_stop_fades_the_torque_into_the_stop(angle: float, wanted: float, expected: float) -> None:
    rig = Rig()
    for _ in range(20):
        command = rig.step(q_rad=(angle, -1.0), wanted_torque_nm=(wanted, 0.0))
    assert command.state is State.ACTIVE
    assert command.torque_nm[0] == pytest.approx(expected)


def test_soft_stop_does_not_wait_for_the_slew() -> None:
    rig = Rig()
    rig.settle()
    assert rig.step(q_rad=(1.1, -1.0), after_ms=1.0).torque_nm[0] == 0.0


def test_soft_stop_without_margin_is_a_hard_one() -> None:
    rig = Rig(replace(LIMITS, soft_stop_margin_rad=0.0))
    for _ in range(10):
        command = rig.step(q_rad=(0.999, -1.0))
    assert command.torque_nm[0] == pytest.approx(4.0)
    assert rig.step(q_rad=(1.0, -1.0)).torque_nm[0] == 0.0


BREAKS = [
    ({"q_rad": (1.31, -1.0)}, Fault.ANGLE_RANGE),
    ({"q_rad": (-1.31, -1.0)}, Fault.ANGLE_RANGE),
    ({"qd_rad_s": (20.1, 0.0)}, Fault.ANGLE_RATE),
    ({"qd_rad_s": (0.0, -10.1)}, Fault.ANGLE_RATE),
    ({"sensor_age_ns": 35 * MS + 1}, Fault.STALE),
    ({"sensor_age_ns": None}, Fault.STALE),
    ({"sequence_gap": 4}, Fault.SEQUENCE_GAP),
    *(
        ({"reported": (fault,)}, fault)
        for fault in (Fault.SENSOR_LOST, Fault.SENSOR, Fault.OUTPUT, Fault.ENGINE, Fault.LOG)
    ),
]


@pytest.mark.parametrize(("changes", "fault"), BREAKS)
def test_a_broken_limit_is_a_latched_fault_that_ramps_down(changes: dict[str, Any], fault: Fault) -> None:
    rig = Rig()
    rig.settle()
    command = rig.step(**changes)
    assert command.state is State.FAULT
    assert command.new_faults == (fault,)
    assert command.torque_nm == (4.0, -2.0)  # the ramp starts where the command was
    assert rig.tick(after_ms=5.0).torque_nm == pytest.approx((2.0, -1.0))
    assert rig.tick(after_ms=5.0).torque_nm == (0.0, 0.0)
    for _ in range(100):
        assert rig.step() == SafeCommand(State.FAULT, (0.0, 0.0), ())
    assert rig.safety.faults == (fault,)


@pytest.mark.parametrize(
    "changes",
    [
        {"q_rad": (1.3, -1.0)},
        {"qd_rad_s": (-20.0, 10.0)},
        {"sensor_age_ns": 35 * MS},
        {"sequence_gap": 3},
        {"overran": True},
    ],
)
def test_at_the_limit_is_not_beyond_it(changes: dict[str, Any]) -> None:
    rig = Rig()
    rig.settle()
    assert rig.step(**changes).state is State.ACTIVE


@pytest.mark.parametrize("armed", [True, False])
def test_faults_latch_in_every_state(armed: bool) -> None:
    rig = Rig(armed=armed, assist_enabled=False)
    assert rig.step(sequence_gap=99) == SafeCommand(State.FAULT, (0.0, 0.0), (Fault.SEQUENCE_GAP,))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["q_rad", "qd_rad_s", "wanted_torque_nm"])
def test_not_finite_is_zero_in_the_same_cycle(name: str, bad: float) -> None:
    rig = Rig()
    rig.settle()
    assert rig.step(**{name: (0.0, bad)}) == SafeCommand(State.FAULT, (0.0, 0.0), (Fault.NON_FINITE,))
    assert rig.tick(after_ms=1.0).torque_nm == (0.0, 0.0)


def test_not_finite_during_the_ramp_is_zero_at_once() -> None:
    rig = Rig()
    rig.settle()
    assert any(rig.step(sequence_gap=99).torque_nm)
    command = rig.step(after_ms=1.0, q_rad=(math.nan, 0.0))
    assert command == SafeCommand(State.FAULT, (0.0, 0.0), (Fault.NON_FINITE,))


@pytest.mark.parametrize(
    "changes", [{"q_rad": (0.0,)}, {"qd_rad_s": (0.0, 0.0, 0.0)}, {"wanted_torque_nm": None}, {"q_rad": None}]
)
def test_a_wrong_count_is_zero_in_the_same_cycle(changes: dict[str, Any]) -> None:
    rig = Rig()
    rig.settle()
    assert rig.step(**changes) == SafeCommand(State.FAULT, (0.0, 0.0), (Fault.MALFORMED,))


def test_overruns_count_only_in_a_row() -> None:
    rig = Rig()
    for overran in (True, True, False, True, True, None, None):
        assert rig.step(overran=overran).state is State.ACTIVE
    assert rig.step(overran=True).new_faults == (Fault.DEADLINE,)


def test_silence_becomes_stale_and_the_command_reaches_zero_in_the_stated_time() -> None:
    rig = Rig()
    rig.settle()
    age_ms = 0.0
    while True:
        age_ms += 1.0
        command = rig.tick(after_ms=1.0, age_ms=age_ms)
        if not any(command.torque_nm):
            break
    assert command.state is State.FAULT
    assert age_ms <= 35.0 + 1.0 + 10.0


def test_without_new_data_the_last_wanted_torque_stays_the_aim() -> None:
    rig = Rig()
    rig.step()
    rig.step(after_ms=1.0)
    assert rig.tick(after_ms=10.0).torque_nm == pytest.approx((2.2, -1.1))
    assert rig.tick(after_ms=10.0).torque_nm == pytest.approx((4.0, -2.0))
    assert rig.tick(after_ms=10.0).torque_nm == pytest.approx((4.0, -2.0))


def test_an_estimate_that_nobody_stands_by_is_not_followed() -> None:
    rig = Rig()
    rig.settle()
    assert rig.step(valid=False) == SafeCommand(State.ACTIVE, (pytest.approx(2.0), pytest.approx(-1.0)), ())
    assert rig.step(valid=False).torque_nm == pytest.approx((0.0, 0.0))
    assert rig.step().torque_nm == pytest.approx((2.0, -1.0))


def test_zero_ramp_time_means_at_once() -> None:
    rig = Rig(replace(LIMITS, ramp_down_s=0.0))
    rig.settle()
    assert rig.step(sequence_gap=99).torque_nm == (0.0, 0.0)


def test_several_faults_are_each_said_once() -> None:
    rig = Rig()
    command = rig.step(q_rad=(9.0, -1.0), qd_rad_s=(99.0, 0.0), reported=(Fault.ANGLE_RATE,))
    assert command.new_faults == (Fault.ANGLE_RATE, Fault.ANGLE_RANGE)
    assert rig.step(q_rad=(9.0, -1.0), sequence_gap=9).new_faults == (Fault.SEQUENCE_GAP,)
    assert rig.safety.faults == (Fault.ANGLE_RATE, Fault.ANGLE_RANGE, Fault.SEQUENCE_GAP)


def test_rearm_needs_a_healthy_cycle_and_a_zero_command() -> None:
    rig = Rig()
    assert not rig.safety.rearm()  # nothing to re-arm from
    rig.settle()
    rig.step(sequence_gap=99)
    assert not rig.safety.rearm()
    rig.step(after_ms=1.0)
    assert not rig.safety.rearm()  # healthy, but still ramping
    rig.step(q_rad=(9.0, -1.0))
    assert not rig.safety.rearm()  # zero, but not healthy
    rig.tick()
    assert not rig.safety.rearm()  # nothing seen in this cycle
    rig.step()
    assert rig.safety.rearm()
    assert rig.safety.state is State.ARMED
    assert rig.safety.faults == ()
    assert rig.step().state is State.ACTIVE


def test_disarm_is_zero_from_the_next_cycle_and_keeps_a_fault() -> None:
    rig = Rig()
    rig.settle()
    rig.safety.disarm()
    assert rig.step() == SafeCommand(State.DISARMED, (0.0, 0.0), ())
    rig.safety.disarm()
    assert rig.safety.state is State.DISARMED
    rig.step(sequence_gap=99)
    rig.safety.disarm()
    assert rig.safety.state is State.FAULT


def test_arming_twice_is_an_error_of_the_program() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match="ARMED to ARMED"):
        rig.safety.arm()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"torque_limit_nm": (10.0, -1.0)}, "torque_limit_nm: .* is negative"),
        ({"torque_slew_nm_per_s": (10.0,)}, "torque_slew_nm_per_s: 1 joints"),
        ({"ramp_down_s": math.inf}, "ramp_down_s: inf is not finite"),
        ({"sensor_age_limit_ms": math.nan}, "sensor_age_limit_ms: nan is not finite"),
        ({"angle_min_rad": (1.0, -2.0)}, "angle_min_rad .* is not below"),
    ],
)
def test_limits_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(LIMITS, **changes)


def test_every_limit_has_a_test_that_breaks_it() -> None:
    """A new limit without a test here shows at once: extend this list together with a test above."""
    tested = {
        "torque_limit_nm",
        "torque_slew_nm_per_s",
        "angle_min_rad",
        "angle_max_rad",
        "angle_rate_limit_rad_s",
        "soft_stop_margin_rad",
        "angle_fault_margin_rad",
        "sensor_age_limit_ms",
        "max_sequence_gap",
        "max_consecutive_overruns",
        "ramp_down_s",
    }
    assert {field.name for field in fields(SafetyLimits)} == tested


# Mostly cycles that keep the device active while everything pulls at the limits, and now and then one with anything at
# all in it: were every cycle wild, every sequence would end in FAULT at once and nothing would be tried.
numbers = st.one_of(st.floats(-30.0, 30.0), st.floats())
vectors = st.one_of(st.tuples(numbers, numbers), st.none(), st.lists(numbers, max_size=3))
acts = st.sampled_from(["", "", "", "", "", "disarm", "arm", "rearm"])
pulling = st.fixed_dictionaries(
    {
        "interval_ns": st.sampled_from([0, MS, 10 * MS, 20 * MS, 10**10]),
        "sensor_age_ns": st.just(MS),
        "q_rad": st.sampled_from([(0.0, -1.0), (0.0, -1.0), (0.95, -0.05), (-1.2, -1.95), (0.0, -1.0)]),
        "qd_rad_s": st.just((0.0, 0.0)),
        "wanted_torque_nm": st.sampled_from([(99.0, 99.0), (99.0, 99.0), (-99.0, 99.0), (1e300, -1e300), (0.0, 0.0)]),
        "act": st.sampled_from(["", "", "", "", "arm", "rearm"]),
    }
)
wild = st.fixed_dictionaries(
    {
        "interval_ns": st.one_of(st.integers(0, 20 * MS), st.integers(-(10**12), 10**12)),
        "sensor_age_ns": st.one_of(st.just(MS), st.none(), st.integers()),
        "q_rad": vectors,
        "qd_rad_s": vectors,
        "wanted_torque_nm": vectors,
        "valid": st.booleans(),
        "sequence_gap": st.sampled_from([0, 99]),
        "overran": st.sampled_from([False, True, None]),
        "reported": st.sampled_from([(), (Fault.OUTPUT,)]),
        "act": acts,
    }
)
bad_number = st.sampled_from([math.nan, math.inf, -math.inf])
not_finite = st.builds(
    lambda cycle, name, bad: {**cycle, name: (bad, -0.5)},
    pulling,
    st.sampled_from(["q_rad", "qd_rad_s", "wanted_torque_nm"]),
    bad_number,
)
faulty = st.builds(lambda cycle: {**cycle, "sequence_gap": 99}, pulling)
cycles = st.one_of(*[pulling] * 8, faulty, wild, not_finite)
# Fast enough that one cycle can meet the torque limit.
FAST = replace(LIMITS, torque_slew_nm_per_s=(700.0, 400.0))


@settings(max_examples=300, deadline=None)
@given(sequence=st.lists(cycles, min_size=1, max_size=40))
def test_no_input_sequence_gets_a_command_outside_the_limits(sequence: list[dict[str, Any]]) -> None:
    safety = Safety(FAST, assist_enabled=True)
    safety.arm()
    now_ns, last, fault_ns = 0, (0.0, 0.0), None
    for given_cycle in sequence:
        cycle = dict(given_cycle)
        interval_ns, act = cycle.pop("interval_ns"), cycle.pop("act")
        now_ns += interval_ns
        command = safety.step(now_ns, **cycle)
        allowed_s = min(max(interval_ns, 0) * 1e-9, MAX_SLEW_INTERVAL_S)
        for torque, before, limit, slew in zip(
            command.torque_nm, last, FAST.torque_limit_nm, FAST.torque_slew_nm_per_s, strict=True
        ):
            assert math.isfinite(torque)
            assert abs(torque) <= limit
            # Away from zero only as fast as the slew allows; towards zero anything goes.
            outside = max(torque - max(before, 0.0), min(before, 0.0) - torque)
            assert outside <= slew * allowed_s + 1e-9
        if command.state in (State.DISARMED, State.ARMED) or not _all_finite(cycle):
            assert command.torque_nm == (0.0, 0.0)
        if command.state is State.FAULT:
            fault_ns = now_ns if fault_ns is None else fault_ns
            if now_ns - fault_ns >= FAST.ramp_down_s * 1e9:
                assert not any(command.torque_nm)
        last = command.torque_nm
        if act == "rearm":
            safety.rearm()
        elif act == "disarm":
            safety.disarm()
        elif act == "arm" and safety.state is State.DISARMED:
            safety.arm()
        if safety.state is not State.FAULT:
            fault_ns = None


def _all_finite(cycle: dict[str, Any]) -> bool:
    vectors = (cycle["q_rad"], cycle["qd_rad_s"], cycle["wanted_torque_nm"])
    return all(math.isfinite(number) for vector in vectors for number in vector or ())
