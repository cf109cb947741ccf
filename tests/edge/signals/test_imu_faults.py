"""What an IMU's own readings say about it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge.errors import SensorError
from edge.signals.imu_faults import ImuFaults, SaturationCheck, StuckImuCheck, TurningCheck
from edge.signals.problems import Problems

REST = (1.0, 0.0, 0.0, 0.0, 0.0, 9.81, 0.0, 0.0, 0.0, 0.0)


def noisy(rng: np.random.Generator) -> tuple[float, ...]:
    return (*REST[:4], *(REST[4:] + rng.normal(size=6) * ([0.02] * 3 + [0.001] * 3)).tolist())


def stuck_check() -> tuple[StuckImuCheck, Problems]:
    problems = Problems()
    return StuckImuCheck("thigh", "thigh IMU", problems), problems


def test_a_sensor_that_works_is_let_pass() -> None:
    rng, problems = np.random.default_rng(0), Problems()
    imu = ImuFaults("thigh", problems)
    assert not any(imu.add(k * 10_000, noisy(rng)) for k in range(500))
    assert problems.counts == {}


@pytest.mark.parametrize("rate_hz", [50, 100, 1000])
def test_the_same_reading_again_and_again_is_a_stuck_sensor(rate_hz: int) -> None:
    rng = np.random.default_rng(1)
    check, problems = stuck_check()
    stuck = []
    for k in range(3 * rate_hz):
        check.add(round(k * 1e6 / rate_hz), REST if 1.0 <= k / rate_hz < 2.0 else noisy(rng))
        stuck.append(check.stuck)
    first = stuck.index(True) / rate_hz
    assert 1.5 <= first < 1.5 + 1.5 / rate_hz
    assert all(stuck[stuck.index(True) : 2 * rate_hz])
    assert not any(stuck[2 * rate_hz :])
    assert problems.counts == {"stuck:thigh": 1}
    assert "sent exactly the same for 0.5" in problems.take()[0].text


def test_one_that_has_been_frozen_from_the_start_is_named_by_its_rate() -> None:
    for rate, counts in ((0.3, {"stuck:thigh": 1}), (0.0, {})):  # the other is an ideal one on a fixed base
        check, problems = stuck_check()
        for k in range(1000):
            check.add(k * 10_000, (*REST[:9], rate))
        assert problems.counts == counts


def test_a_sensor_read_faster_than_it_measures_is_not_stuck() -> None:
    rng = np.random.default_rng(2)
    check, problems = stuck_check()
    for _ in range(20):
        held = noisy(rng)
        for k in range(100):
            check.add(k * 1000, held)
    assert problems.counts == {}


def test_a_gap_is_no_repetition_and_does_not_clear_what_is_stuck() -> None:
    rng = np.random.default_rng(3)
    check, problems = stuck_check()
    check.add(0, noisy(rng))
    for start_us in (10_000, 3_000_000, 9_000_000):
        for k in range(45):
            check.add(start_us + k * 10_000, REST)
    assert not check.stuck
    for k in range(45, 60):
        check.add(9_000_000 + k * 10_000, REST)
    assert check.stuck
    check.add(20_000_000, REST)
    assert check.stuck
    check.add(20_010_000, noisy(rng))
    assert not check.stuck
    assert problems.counts == {"stuck:thigh": 1}


def saturation(
    signal: Callable[[float], np.ndarray], *, rate_hz: int = 100, hold: int = 1
) -> tuple[list[bool], Problems]:
    problems = Problems()
    check = SaturationCheck("pelvis", "pelvis IMU", problems)
    clipped = []
    for k in range(10 * rate_hz):
        check.add(tuple(signal(k // hold * hold / rate_hz).tolist()))
        clipped.append(check.clipped)
    return clipped, problems


def shaking(t: float) -> np.ndarray:
    """A foot: up to 50 m/s2 and 8 rad/s, with noise, in digits of 16 bits."""
    rng = np.random.default_rng(round(t * 1e6))
    w = 2 * math.pi * t
    values = np.array(
        [30 * math.sin(w) + 20 * math.sin(3 * w), 9.81 + 25 * math.cos(2 * w), 3.0, 0.3, 0.2, 8 * math.sin(w)]
    )
    values += rng.normal(size=6) * (0.02, 0.02, 0.02, 0.002, 0.002, 0.002)
    digit = np.array([156.9] * 3 + [34.9] * 3) / 32768
    return np.round(values / digit) * digit


def test_what_shakes_within_its_range_is_not_clipped() -> None:
    for rate_hz, hold in ((100, 1), (1000, 1), (1000, 10)):
        assert saturation(shaking, rate_hz=rate_hz, hold=hold)[1].counts == {}


@pytest.mark.parametrize(
    ("channel", "rail", "word"), [(0, 19.6, "acceleration x"), (1, 20.0, "acceleration y"), (5, 4.36, "angular rate z")]
)
def test_a_clipped_channel_is_named(channel: int, rail: float, word: str) -> None:
    def clip(t: float) -> np.ndarray:
        values = shaking(t)
        values[channel] = min(max(values[channel], -rail), rail)
        return values

    clipped, problems = saturation(clip)
    assert set(problems.counts) == {"saturated:pelvis"}
    assert word in problems.take()[0].text
    at_rail = [abs(clip(k / 100)[channel]) == rail for k in range(1000)]
    # Every one of them lies at the rail, and once that is known, all that lies there is found.
    assert all(there for there, found in zip(at_rail, clipped, strict=True) if found)
    assert sum(clipped) >= sum(at_rail) - 15


def test_rest_and_small_readings_are_no_rail() -> None:
    assert saturation(lambda t: np.array([0.001 * math.sin(t), 9.81, 0.0, 0.0, 0.0, 0.0]))[1].counts == {}


def turning(scale: float = 1.0, *, order: tuple[int, ...] = (0, 1, 2), orientation: bool = True) -> Problems:
    """Somebody who turns up to 3 rad/s about changing axes for 10 s."""
    problems = Problems()
    check = TurningCheck("pelvis", "pelvis IMU", problems)
    now = Rotation.identity()
    for k in range(1000):
        w = np.array([3 * math.sin(k / 30), 2 * math.cos(k / 50), 1.5 * math.sin(k / 20)])
        x, y, z, v = now.as_quat() if orientation else (0.0, 0.0, 0.0, 0.0)
        sign = -1 if k % 7 == 0 else 1  # q and -q are the same orientation
        check.add(k * 10_000, (sign * v, sign * x, sign * y, sign * z, 0.0, 9.81, 0.0, *(scale * w[list(order)])))
        now = now * Rotation.from_rotvec(w * 0.01)
    return problems


def test_rate_and_quaternion_that_agree() -> None:
    assert turning().counts == {}
    assert turning(orientation=False).counts == {}


def test_slow_turning_in_degrees_is_refused() -> None:
    with pytest.raises(SensorError, match=r"turns 5\d times as far as its quaternion: it looks like deg/s"):
        turning(math.degrees(1.0))


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_other_axes_are_a_problem(order: tuple[int, ...]) -> None:
    assert set(turning(order=order).counts) == {"axes:pelvis"}


def test_another_sign_is_a_problem() -> None:
    assert turning(-1.0).counts == {"axes:pelvis": 1}


@pytest.mark.parametrize("start", range(0, 50, 7))
def test_a_repeated_reading_does_not_turn(start: int) -> None:
    """One that has stuck while it turned says a rate for ever, and a quaternion that stays: that is no rate in deg/s."""
    problems = Problems()
    check = TurningCheck("shank", "shank IMU", problems)
    now, rate = Rotation.identity(), np.array([0.0, 0.0, 4.0])
    for k in range(400):
        if k < 100 + start or k > 300:
            now = now * Rotation.from_rotvec(rate * 0.01)
        x, y, z, w = now.as_quat()
        check.add(k * 10_000, (w, x, y, z, 0.0, 9.81, 0.0, *rate))
    assert problems.counts == {}
    assert not check.wrong
