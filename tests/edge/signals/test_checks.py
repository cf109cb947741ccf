from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge.errors import SensorError
from edge.signals.checks import RateCheck, SaturationCheck, TurningCheck
from edge.signals.problems import Problems


def rate_check() -> tuple[RateCheck, Problems]:
    problems = Problems()
    return RateCheck("pelvis", "pelvis IMU", problems), problems


def play(stamps_us: Iterable[int]) -> None:
    check, _ = rate_check()
    for time_us in stamps_us:
        check.add(time_us)


@pytest.mark.parametrize("rate_hz", [31, 60, 100, 1000, 5000])
def test_usual_rates(rate_hz: int) -> None:
    check, problems = rate_check()
    for k in range(5 * rate_hz):
        check.add(round(k * 1e6 / rate_hz))
    assert problems.counts == {}
    assert not check.slow


@pytest.mark.parametrize("rate_hz", [5, 20, 29])
def test_too_slow_is_refused_at_the_start(rate_hz: int) -> None:
    with pytest.raises(SensorError, match=rf"pelvis IMU: {rate_hz} samples in a second are too few.*at least 30"):
        play(round(k * 1e6 / rate_hz) for k in range(31))


def test_one_that_becomes_slow_later_is_a_problem_until_it_is_fast_again() -> None:
    check, problems = rate_check()
    time_us = 0
    for interval_us, count in ((10_000, 300), (50_000, 60), (10_000, 250)):
        for _ in range(count):
            time_us += interval_us
            check.add(time_us)
        assert check.slow == (interval_us == 50_000)
    assert problems.counts["slow:pelvis"] == 1


def test_lost_frames_are_no_other_rate() -> None:
    rng = np.random.default_rng(0)
    check, problems = rate_check()
    for k in range(3000):
        if rng.random() > 0.1:
            check.add(k * 10_000 + int(rng.normal(0, 1000)))
    assert problems.counts == {}


def test_stamps_of_the_sending_are_irregular() -> None:
    """Three samples in a burst, as a USB adapter hands them on."""
    check, problems = rate_check()
    for k in range(600):
        check.add(k // 3 * 30_000 + k % 3 * 100)
    assert problems.counts == {"irregular:pelvis": 1}
    assert "stamp the measurement" in problems.take()[0].text


@pytest.mark.parametrize("step_us", [1, 10, 17])
def test_milliseconds_are_refused(step_us: int) -> None:
    with pytest.raises(SensorError, match="milliseconds"):
        play(k * step_us for k in range(300))


def test_a_clock_that_stands_still_or_restarts_is_no_rate() -> None:
    check, problems = rate_check()
    for k in range(500):
        check.add(7)
        check.add(k % 50 * 10_000)
    assert problems.counts == {}


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
