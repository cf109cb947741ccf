from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from edge.errors import SensorError
from edge.signals.checks import Checks, RateCheck
from edge.signals.hookup import Hookup, Source
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


def checks() -> tuple[Checks, Problems]:
    hookup = Hookup(("knee",), ("thigh", "shank"), [Source("a:", ("shank", "thigh"))])
    problems = Problems()
    return Checks(hookup, [(-2.0, 0.1)], rate_hz=100.0, memory_s=0.1, problems=problems), problems


def test_each_imu_of_a_frame_is_looked_at() -> None:
    watched, problems = checks()
    rng = np.random.default_rng(0)
    for k in range(100):
        shank = (1.0, 0.0, 0.0, 0.0, 0.0, 9.81, 0.0, 0.1, 0.0, 0.0)
        thigh = (1.0, 0.0, 0.0, 0.0, *rng.normal((0.0, 9.81, 0.0), 0.02).tolist(), 0.1, 0.0, 0.0)
        watched.reading(0, k * 10_000, shank + thigh)
    assert problems.counts == {"stuck:shank": 1}
    assert not watched.sample(1.0, np.full(4, -0.5), np.zeros(4), restarted=False)


def test_what_cannot_be_seen_is_told_each_time_that_it_begins() -> None:
    watched, problems = checks()
    for unseen in ((), ("thigh",), ("thigh",), ("thigh", "shank"), (), ("thigh",)):
        watched.sees(unseen)
    assert problems.counts == {"unseen:thigh": 2, "unseen:shank": 1}
    assert "vertical" in problems.take()[0].text


def test_what_is_made_of_an_orientation_that_settles_is_not_trusted_until_it_is_forgotten() -> None:
    watched, problems = checks()
    q, rate = np.array([-0.5, 0.0, 0.0, 0.0]), np.zeros(4)
    trusted = [watched.sample(k / 100, q, rate, restarted=k == 0, settled=k >= 50) for k in range(100)]
    assert trusted.index(True) == pytest.approx(60, abs=1)
    assert all(trusted[61:])
    assert problems.counts == {}


def test_without_the_base_nothing_is_missed() -> None:
    """No tilt, no acceleration: the angles alone are looked at, and a walk of them is believed."""
    joints = ("hip", "knee", "ankle")
    hookup = Hookup(joints, ("pelvis", "thigh", "shank", "foot"), [Source()], base=False)
    problems = Problems()
    watched = Checks(hookup, [(-1.0, 1.5), (-2.0, 0.1), (-0.8, 0.8)], rate_hz=100.0, memory_s=0.1, problems=problems)
    for k in range(300):
        swing = 0.3 * np.sin(2 * np.pi * k / 100)
        angles = (0.3 + swing, -0.6 + swing, 0.5 * swing)
        watched.reading(0, k * 10_000, angles)
        assert watched.sample(k / 100, np.array([*angles, 0.0, 0.0, 0.0]), np.full(6, np.nan), restarted=k == 0)
    assert problems.counts == {}
    watched.reading(0, 3_000_000, (2.5, -0.6, 0.0))
    assert not watched.sample(3.0, np.array([2.5, -0.6, 0.0, 0.0, 0.0, 0.0]), np.full(6, np.nan), restarted=False)
    assert problems.counts == {"jump:hip": 1}
