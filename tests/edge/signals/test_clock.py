from __future__ import annotations

import time

import numpy as np
import pytest

from edge.signals.clock import SensorClock

MS = 1_000_000
STEP_US = 10_000
BOOT_NS = 987_654_321_000_000


def host_of(sensor_us: float, drift_ppm: float, offset_ns: int = BOOT_NS) -> int:
    return offset_ns + round(sensor_us * 1000 * (1 + drift_ppm * 1e-6))


def play(
    clock: SensorClock,
    *,
    seconds: float,
    drift_ppm: float = 0.0,
    jitter_ms: float = 1.0,
    start_us: int = 0,
    offset_ns: int = BOOT_NS,
    seed: int = 0,
) -> list[int]:
    """Frames at 100 Hz that arrive at least 2 ms late. Returns the error of the mapping after each, ns."""
    rng = np.random.default_rng(seed)
    errors = []
    for k in range(round(seconds * 100)):
        sensor_us = start_us + k * STEP_US
        true_ns = host_of(sensor_us, drift_ppm, offset_ns) + 2 * MS
        clock.observe(sensor_us, true_ns + int(rng.exponential(jitter_ms * MS)))
        errors.append(clock.host_ns(sensor_us) - true_ns)
    return errors


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("drift_ppm", [-100.0, -20.0, 0.0, 50.0, 100.0])
@pytest.mark.parametrize("start_us", [0, 1_750_000_000_000_000])
def test_offset_and_drift_are_found_in_jitter(drift_ppm: float, seed: int, start_us: int) -> None:
    clock = SensorClock()
    errors = play(clock, seconds=40, drift_ppm=drift_ppm, seed=seed, start_us=start_us)
    assert abs(clock.drift_ppm - drift_ppm) < 5.0
    assert np.abs(errors[3000:]).max() < 0.1 * MS
    assert np.abs(errors[1000:]).max() < 0.2 * MS
    assert clock.steps == 0


def test_without_jitter_it_is_exact_from_the_first_frame() -> None:
    errors = play(SensorClock(), seconds=5, jitter_ms=0.0)
    assert np.abs(errors).max() <= 1


def test_no_frame_comes_before_it_was_sent() -> None:
    rng = np.random.default_rng(1)
    clock = SensorClock()
    for k in range(3000):
        received = host_of(k * STEP_US, 30.0) + int(rng.exponential(3 * MS))
        clock.observe(k * STEP_US, received)
        assert clock.host_ns(k * STEP_US) <= received + 1


def test_a_first_frame_that_was_held_up_is_forgotten_at_the_next() -> None:
    clock = SensorClock()
    clock.observe(0, BOOT_NS + 15 * MS)
    assert clock.host_ns(0) == BOOT_NS + 15 * MS
    clock.observe(STEP_US, BOOT_NS + 10 * MS + MS)
    assert clock.host_ns(STEP_US) == BOOT_NS + 11 * MS


@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_the_mapping_is_monotone(fraction: float) -> None:
    clock = SensorClock()
    play(clock, seconds=12, drift_ppm=-80.0)
    mapped = [clock.host_ns(us + fraction) for us in range(0, 60_000_000, 7919)]
    assert (np.diff(mapped) > 0).all()


def test_successive_frames_are_mapped_in_order_while_it_learns() -> None:
    clock, mapped, rng = SensorClock(), [], np.random.default_rng(2)
    for k in range(4000):
        clock.observe(k * STEP_US, host_of(k * STEP_US, 40.0) + int(rng.exponential(MS)))
        mapped.append(clock.host_ns(k * STEP_US))
    assert np.diff(mapped).min() > 0


@pytest.mark.parametrize("after_s", [3.0, 40.0])
@pytest.mark.parametrize("new_start_us", [0, 3_600_000_000, 17])
def test_a_sender_that_restarts_is_followed_at_once(after_s: float, new_start_us: int) -> None:
    clock = SensorClock()
    old_start_us = 600_000_000
    play(clock, seconds=after_s, drift_ppm=20.0, start_us=old_start_us)
    last_ns = host_of(old_start_us + after_s * 1e6, 20.0)
    moved = last_ns + 700 * MS - new_start_us * 1000  # it was away for 0.7 s
    errors = play(clock, seconds=3, start_us=new_start_us, offset_ns=moved, seed=9)
    assert clock.steps == 1
    assert abs(errors[0]) < 20 * MS  # the first frame's own delay
    assert np.abs(errors[20:]).max() < 0.5 * MS
    errors = play(clock, seconds=30, start_us=new_start_us + 3_000_000, offset_ns=moved, seed=10)
    assert np.abs(errors[1000:]).max() < 0.1 * MS


def test_frames_of_two_kinds_that_overtake_each_other_are_no_restart() -> None:
    clock, rng = SensorClock(), np.random.default_rng(0)
    for k in range(1000):
        for lag_us in (0, 30_000):
            sent = max(k * STEP_US - lag_us, 0)
            clock.observe(sent, host_of(k * STEP_US, 0.0) + int(rng.exponential(MS)))
    assert clock.steps == 0
    assert clock.host_ns(5_000_000) == pytest.approx(host_of(5_000_000, 0.0), abs=0.1 * MS)


def test_a_line_that_is_congested_for_seconds_keeps_its_mapping() -> None:
    clock = SensorClock()
    play(clock, seconds=10)
    for k in range(1000, 1300):
        clock.observe(k * STEP_US, host_of(k * STEP_US, 0.0) + 30 * MS)
    assert clock.steps == 0
    assert clock.host_ns(13_000_000) == pytest.approx(host_of(13_000_000, 0.0) + 2 * MS, abs=0.5 * MS)


def test_long_silence() -> None:
    clock = SensorClock()
    play(clock, seconds=20, drift_ppm=30.0)
    hour_us = 3_600_000_000
    errors = play(clock, seconds=2, drift_ppm=30.0, start_us=hour_us)
    assert abs(errors[-1]) < 30 * MS
    errors = play(clock, seconds=40, drift_ppm=30.0, start_us=hour_us + 2_000_000)
    assert abs(errors[-1]) < 0.1 * MS


def test_before_the_first_frame_nothing_is_known() -> None:
    clock = SensorClock()
    assert not clock.ready
    with pytest.raises(ValueError, match="no frame"):
        clock.host_ns(0.0)


@pytest.mark.parametrize("sensor_us", [0, 2**64 - 1])
def test_any_stamp_that_the_wire_can_hold(sensor_us: int) -> None:
    clock = SensorClock()
    clock.observe(sensor_us, BOOT_NS)
    clock.observe(2**64 - 1 - sensor_us, BOOT_NS + MS)
    assert abs(clock.host_ns(2**64 - 1 - sensor_us) - BOOT_NS - MS) < 10 * MS  # a double's resolution there is 4 ms


def test_it_costs_next_to_nothing_per_frame() -> None:
    clock, spent = SensorClock(), []
    for k in range(5000):
        received = host_of(k * STEP_US, -100.0)  # every frame is the earliest yet
        before = time.perf_counter_ns()
        clock.observe(k * STEP_US, received)
        spent.append(time.perf_counter_ns() - before)
    fits = sorted(spent)[-120:]  # one per half second
    assert np.median(spent) < 20_000
    assert np.median(fits) < 1_000_000
