"""The sensor's clock: how true its times are on bad lines, that they never go back, and what it says of bad clocks."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.signals.clock import SensorClock, Unwrap
from tools.bench.sensor_clock import batched, clean, mapping_errors_ns, restarting, simulate, stalling

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
    clock.observe(2 * STEP_US, BOOT_NS + 20 * MS + MS)
    assert clock.host_ns(0) == BOOT_NS + MS


def test_a_host_time_that_was_given_holds_and_the_next_waits_for_it() -> None:
    clock = SensorClock()
    clock.observe(0, BOOT_NS + 15 * MS)
    assert clock.host_ns(0) == BOOT_NS + 15 * MS
    clock.observe(STEP_US, BOOT_NS + 16 * MS)  # 5 ms later than the next
    clock.observe(2 * STEP_US, BOOT_NS + 21 * MS)
    assert [clock.host_ns(us) - BOOT_NS for us in (0, 5_000, 10_000, 14_000, 14_001, 20_000)] == [
        15 * MS,
        15 * MS,
        15 * MS,
        15 * MS,
        15 * MS + 1000,
        21 * MS,
    ]


def test_a_question_about_the_future_does_not_bind_it() -> None:
    clock = SensorClock()
    clock.observe(0, BOOT_NS + 15 * MS)
    assert clock.host_ns(10**12) == BOOT_NS + 15 * MS + 10**15
    clock.observe(30_000, BOOT_NS + 31 * MS)
    assert clock.host_ns(30_000) == BOOT_NS + 31 * MS
    assert clock.host_ns(10**12) == BOOT_NS + MS + 10**15


def test_frames_that_piled_up_before_the_first_was_read_are_told_their_true_age() -> None:
    clock = SensorClock()
    for k in range(600):
        clock.observe(k * STEP_US, BOOT_NS + 5_990 * MS)
    assert clock.host_ns(0) == BOOT_NS
    errors = play(clock, seconds=10, drift_ppm=20.0, start_us=6_000_000)
    assert np.abs(errors[50:]).max() < 3 * MS  # they came with no delay at all, the next with 2 ms


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
    assert (clock.restarts, clock.steps) == ((0, 1) if new_start_us > old_start_us else (1, 0))
    problem = clock.problem()
    assert problem is not None
    assert ("jumped ahead" if new_start_us > old_start_us else "went back") in problem
    assert abs(errors[0]) < 20 * MS  # the first frame's own delay
    assert np.abs(errors[20:]).max() < 0.5 * MS
    errors = play(clock, seconds=30, start_us=new_start_us + 3_000_000, offset_ns=moved, seed=10)
    assert np.abs(errors[1000:]).max() < 0.1 * MS
    assert clock.problem() is None


def test_frames_of_two_kinds_that_overtake_each_other_are_no_restart() -> None:
    clock, rng = SensorClock(), np.random.default_rng(0)
    for k in range(1000):
        for lag_us in (0, 30_000):
            sent = max(k * STEP_US - lag_us, 0)
            clock.observe(sent, host_of(k * STEP_US, 0.0) + int(rng.exponential(MS)))
    assert clock.steps == clock.restarts == 0
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
    with pytest.raises(ValueError, match="no frame"):
        clock.sensor_us(0)
    assert clock.problem() is None
    assert clock.drift_ppm == 0.0


@pytest.mark.parametrize("sensor_us", [0, 2**64 - 1])
def test_any_stamp_that_the_wire_can_hold(sensor_us: int) -> None:
    clock = SensorClock()
    clock.observe(sensor_us, BOOT_NS)
    clock.observe(2**64 - 1 - sensor_us, BOOT_NS + MS)
    assert clock.host_ns(2**64 - 1 - sensor_us) == BOOT_NS + MS
    assert clock.sensor_us(BOOT_NS + MS) == 2**64 - 1 - sensor_us


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


# Moments of one stream: how far the stamps and the host went on since the frame before, and how much later a host time is
# asked for; large steps both ways are restarts and jumps.
steps = st.lists(
    st.tuples(
        st.one_of(st.integers(-40_000, 60_000), st.integers(-(10**9), 10**9)),
        st.one_of(st.just(0), st.integers(0, 60 * MS), st.integers(0, 10**12)),
        st.lists(st.integers(-200_000, 20_000), max_size=3),
    ),
    min_size=1,
    max_size=60,
)


@settings(deadline=None)
@given(steps)
@example([(10_000, 0, [0])] * 700)
@example([(10_000, 10 * MS, [-50_000])] * 700)
@example([(10_000, 9 * MS, [-50_000, 0])] * 700)
@example([(10_000, 30 * MS, [-50_000, 0])] * 700)
def test_whatever_comes_times_never_go_back_nor_after_their_arrival(
    stream: Sequence[tuple[int, int, list[int]]],
) -> None:
    clock = SensorClock()
    newest, stamp, received = 0, 2**40, BOOT_NS
    given_times: dict[int, int] = {}
    jumps = 0
    for step_us, passed_ns, asked in stream:
        stamp, received = max(stamp + step_us, 0), received + passed_ns
        clock.observe(stamp, received)
        if clock.restarts + clock.steps > jumps:
            jumps = clock.restarts + clock.steps
            given_times, newest = {}, stamp
        newest = max(newest, stamp)
        for moment in (stamp, *(min(stamp + ahead, newest) for ahead in asked)):
            host = clock.host_ns(moment)
            assert isinstance(host, int)
            if newest - moment < 3_000_000:
                assert given_times.setdefault(moment, host) == host
        assert clock.host_ns(stamp) <= received
        recent = sorted((us, ns) for us, ns in given_times.items() if newest - us < 3_000_000)
        assert all(a[1] <= b[1] for a, b in pairwise(recent))
        for host in (received, received - 10**6, clock.host_ns(stamp)):
            sensor_us = clock.sensor_us(host)
            assert clock.host_ns(sensor_us) <= host < clock.host_ns(sensor_us + 1)


drifts = st.floats(-200.0, 200.0)
rates = st.sampled_from([60.0, 100.0, 148.0, 200.0, 333.0, 500.0])
seeds = st.integers(0, 2**32 - 1)
simulated = settings(deadline=None, max_examples=12)


@simulated
@given(drifts, rates, seeds)
def test_on_a_clean_line_times_are_true_to_tenths_of_a_millisecond(drift_ppm: float, rate_hz: float, seed: int) -> None:
    clock = SensorClock()
    stream = simulate(clean, drift_ppm=drift_ppm, rate_hz=rate_hz, seed=seed, seconds=25.0)
    errors = mapping_errors_ns(clock, stream)
    # Before it is known, the drift of 5.5 s.
    assert np.abs(errors[round(rate_hz) :]).max() < (0.2 + 1.1) * MS
    assert np.abs(errors[round(10 * rate_hz) :]).max() < 0.1 * MS
    assert abs(clock.drift_ppm - drift_ppm) < 10.0
    assert (clock.restarts, clock.steps, clock.problem()) == (0, 0, None)


@simulated
@given(drifts, rates, seeds)
def test_batches_of_16_ms_are_no_more_than_16_ms(drift_ppm: float, rate_hz: float, seed: int) -> None:
    clock = SensorClock()
    stream = simulate(batched, drift_ppm=drift_ppm, rate_hz=rate_hz, seed=seed, seconds=25.0)
    errors = mapping_errors_ns(clock, stream)
    # The moments within a batch on which frames fall repeat: at 100 Hz they are 2 ms apart, and creep with the drift.
    assert errors.min() > -3 * MS
    assert errors.max() < 19 * MS
    assert np.abs(errors[round(2 * rate_hz) :]).max() < 4.5 * MS
    assert abs(clock.drift_ppm - drift_ppm) < 400.0
    assert (clock.restarts, clock.steps, clock.problem()) == (0, 0, None)


@simulated
@given(drifts, rates, seeds)
def test_stalls_are_seen_through(drift_ppm: float, rate_hz: float, seed: int) -> None:
    clock = SensorClock()
    stream = simulate(stalling, drift_ppm=drift_ppm, rate_hz=rate_hz, seed=seed, seconds=25.0)
    errors = mapping_errors_ns(clock, stream)
    assert (stream.received_ns - stream.sent_ns).max() > 40 * MS
    assert np.abs(errors[round(rate_hz) :]).max() < 1.5 * MS
    assert np.abs(errors[round(10 * rate_hz) :]).max() < 0.2 * MS
    assert (clock.restarts, clock.steps, clock.problem()) == (0, 0, None)


@simulated
@given(drifts, seeds)
def test_a_restart_is_counted_once_and_learned_anew(drift_ppm: float, seed: int) -> None:
    clock = SensorClock()
    stream = restarting(drift_ppm, seed)
    errors = mapping_errors_ns(clock, stream)
    assert (clock.restarts, clock.steps) == (1, 0)
    assert np.abs(errors[len(errors) // 2 + 200 :]).max() < 1.5 * MS
    assert np.abs(errors[len(errors) // 2 + 2000 :]).max() < 0.1 * MS


@simulated
@given(drifts, drifts, seeds)
def test_one_sensors_frames_in_anothers_time(first_ppm: float, second_ppm: float, seed: int) -> None:
    first = simulate(clean, drift_ppm=first_ppm, seed=seed, seconds=15.0, start_us=77)
    second = simulate(clean, drift_ppm=second_ppm, seed=seed + 1, seconds=15.0, start_us=10**12)
    clocks = SensorClock(), SensorClock()
    errors = []
    for k in range(len(first.stamp_us)):
        for clock, stream in zip(clocks, (first, second), strict=True):
            clock.observe(int(stream.stamp_us[k]), int(stream.received_ns[k]))
        merged_us = clocks[0].sensor_us(clocks[1].host_ns(int(second.stamp_us[k])))
        true_us = 77 + (second.sent_ns[k] - first.sent_ns[0]) / 1000 / (1 + first_ppm * 1e-6)
        errors.append(abs(merged_us - true_us))
    assert max(errors[2000:]) < 200.0


def test_a_replay_of_the_stamps_gives_the_same_times() -> None:
    stream = simulate(stalling, drift_ppm=123.4, seed=5, seconds=20.0)
    first, again = SensorClock(), SensorClock()
    assert (mapping_errors_ns(first, stream) == mapping_errors_ns(again, stream)).all()
    assert first.drift_ppm == again.drift_ppm


def test_a_clock_that_lost_time_is_late_first_and_then_a_step() -> None:
    clock = SensorClock()
    play(clock, seconds=20, drift_ppm=40.0)
    slept_ns = BOOT_NS + 300 * MS
    errors = np.array(play(clock, seconds=10, drift_ppm=40.0, start_us=20_000_000, offset_ns=slept_ns, seed=1))
    # Until then it is taken for a congested line: ages are given too high rather than too low.
    assert (np.abs(errors + 300 * MS) < 0.2 * MS).all()
    assert clock.steps == 0
    problem = clock.problem()
    assert problem is not None
    assert "300 ms late" in problem
    errors = np.array(play(clock, seconds=8, drift_ppm=40.0, start_us=30_000_000, offset_ns=slept_ns, seed=2))
    assert (clock.steps, clock.restarts) == (1, 0)
    assert np.abs(errors[-100:]).max() < 0.3 * MS
    problem = clock.problem()
    assert problem is not None
    assert "went back by 0.3 s" in problem


@pytest.mark.parametrize(
    ("pace", "words"),
    [
        (1e-6, "1e-06 s per second, as if they were in seconds"),
        (1e-3, "0.001 s per second, as if they were in milliseconds"),
        (1e3, "1e[+]03 s per second, as if they were in nanoseconds"),
        (2.0, "advance 2 s per second:"),
        (0.1, "advance 0.1 s per second:"),
        (0.0, "do not advance"),
    ],
)
def test_stamps_in_another_unit_are_named(pace: float, words: str) -> None:
    clock = SensorClock()
    for k in range(450):
        assert clock.problem() is None or k > 300 or pace > 1.0
        clock.observe(10**9 + int(k * STEP_US * pace), BOOT_NS + k * STEP_US * 1000)
    problem = clock.problem()
    assert problem is not None
    assert words.replace("[+]", "+") in problem
    assert "microseconds" in problem


def test_a_replay_at_half_speed_still_has_true_times() -> None:
    clock = SensorClock()
    for k in range(1500):
        clock.observe(k * STEP_US, BOOT_NS + 2 * k * STEP_US * 1000)
        if k > 600:
            assert clock.host_ns(k * STEP_US) == pytest.approx(BOOT_NS + 2 * k * STEP_US * 1000, abs=1000)


@pytest.mark.parametrize(("drift_ppm", "way"), [(5000.0, "slow"), (-5000.0, "fast"), (10_000.0, "slow")])
def test_a_sender_without_a_quartz_is_followed_and_named(drift_ppm: float, way: str) -> None:
    clock = SensorClock()
    errors = play(clock, seconds=40, drift_ppm=drift_ppm)
    assert np.abs(errors[1000:]).max() < 0.2 * MS
    problem = clock.problem()
    assert problem is not None
    found = re.search(r"clock is (\d+) ppm (\w+)", problem)
    assert found is not None
    assert float(found[1]) == pytest.approx(abs(drift_ppm), abs=10.0)
    assert found[2] == way


def test_a_stall_of_seconds_is_no_problem_of_the_clock() -> None:
    clock = SensorClock()
    play(clock, seconds=10)
    for k in range(1000, 1400):  # read at once after 4 s
        clock.observe(k * STEP_US, host_of(14_000_000, 0.0) + 2 * MS)
        assert clock.problem() is None
    errors = play(clock, seconds=5, start_us=14_000_000)
    assert np.abs(errors).max() < 0.2 * MS
    assert (clock.restarts, clock.steps, clock.problem()) == (0, 0, None)


counts = st.lists(st.integers(0, 191), min_size=1, max_size=50)


@given(st.integers(0, 10**6), counts)
def test_a_counter_that_wraps_counts_on(first: int, ahead: list[int]) -> None:
    counter, number = Unwrap(256), first
    base = first - counter.push(first % 256)
    for step in ahead:
        number += step
        assert counter.push(number % 256) == number - base


@given(st.integers(0, 10**6), st.lists(st.integers(0, 63), min_size=1))
def test_late_packets_get_their_own_number_and_disturb_none(first: int, behind: list[int]) -> None:
    counter = Unwrap(256)
    base = first - counter.push(first % 256)
    for number, late in enumerate(behind, first + 1):
        assert counter.push(number % 256) == number - base
        assert counter.push((number - late) % 256) == number - late - base


@pytest.mark.parametrize("modulus", [1 << 32, 1 << 16, 86_400_000, 100])
def test_the_wrap_itself(modulus: int) -> None:
    counter = Unwrap(modulus)
    assert [counter.push(v) for v in (modulus - 2, modulus - 1, 0, 1)] == list(range(modulus - 2, modulus + 2))


def test_a_counter_that_was_reset_shows() -> None:
    soon, late = Unwrap(1 << 16), Unwrap(1 << 16)
    assert [soon.push(v) for v in (0, 900, 0, 1)] == [0, 900, 0, 1]
    assert [late.push(v) for v in (0, 40_000, 0, 1)] == [0, 40_000, 65_536, 65_537]


def test_a_packet_number_without_late_packets_may_jump_almost_round() -> None:
    counter = Unwrap(256, late=0)
    assert [counter.push(v) for v in (250, 249, 249)] == [250, 505, 505]


@pytest.mark.parametrize(("modulus", "late"), [(1, None), (0, None), (256, -1), (256, 255)])
def test_a_counter_that_cannot_wrap_is_refused(modulus: int, late: int | None) -> None:
    with pytest.raises(ValueError, match=r"at least 2 values|counts behind"):
        Unwrap(modulus, late)
