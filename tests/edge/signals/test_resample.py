from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.signals.resample import MOST_SKEW_S, GridResampler, GridSample

GAP_S = 0.05
Event = tuple[int, float, np.ndarray]


def linear(t: float) -> np.ndarray:
    return np.array([3.0 * t - 1.0, 0.5 - 2.0 * t])


def other(t: float) -> np.ndarray:
    return np.array([7.0 * t])


def events(*streams: np.ndarray) -> list[Event]:
    """Samples of all streams in order of time; the first stream has two channels, the second one."""
    found = [(i, float(t), (linear, other)[i](float(t))) for i, times in enumerate(streams) for t in times]
    return sorted(found, key=lambda event: (event[1], event[0]))


def feed(resampler: GridResampler, todo: list[Event]) -> list[GridSample]:
    return [sample for stream, t, values in todo for sample in resampler.push(stream, t, values)]


def new(rate_hz: float = 100.0) -> GridResampler:
    return GridResampler((2, 1), rate_hz, GAP_S)


def assert_linear(samples: list[GridSample]) -> None:
    for s in samples:
        np.testing.assert_allclose(s.values, [*linear(s.t_s), *other(s.t_s)], atol=1e-9)


def test_the_grid_starts_where_both_have_arrived_and_is_even() -> None:
    samples = feed(new(), events(np.arange(0.0, 1.0, 0.01), np.arange(0.123, 1.0, 0.013)))
    assert samples[0].t_s == 0.123
    np.testing.assert_array_equal([s.t_s for s in samples], 0.123 + np.arange(len(samples)) / 100.0)
    assert samples[-1].t_s > 0.96
    assert [s.restarted for s in samples] == [True] + [False] * (len(samples) - 1)
    assert_linear(samples)


def test_the_grid_does_not_drift_in_hours() -> None:
    resampler = GridResampler((1,), 60.0, GAP_S)
    resampler._next = 60 * 3600 * 10
    resampler._start = 0.0
    resampler._streams[0].append((36000.0 - 0.001, np.zeros(1)))
    (sample,) = resampler.push(0, 36000.001, np.ones(1))
    assert sample.t_s == 36000.0


@pytest.mark.parametrize(("first_hz", "second_hz"), [(60, 60), (1000, 100), (100, 25), (90.7, 333.3)])
def test_different_rates(first_hz: float, second_hz: float) -> None:
    samples = feed(new(), events(np.arange(0, 2, 1 / first_hz), np.arange(0, 2, 1 / second_hz)))
    np.testing.assert_allclose(np.diff([s.t_s for s in samples]), 0.01, atol=1e-12)
    assert len(samples) >= 195
    assert_linear(samples)


def test_a_sample_leaves_at_once_and_is_never_guessed() -> None:
    resampler = new()
    assert resampler.push(0, 0.0, linear(0.0)) == []
    assert len(resampler.push(1, 0.0, other(0.0))) == 1
    assert resampler.push(0, 0.012, linear(0.012)) == []
    assert resampler.push(1, 0.0099, other(0.0099)) == []
    assert [s.t_s for s in resampler.push(1, 0.01, other(0.01))] == [0.01]
    assert resampler.push(1, 0.03, other(0.03)) == []
    assert [s.t_s for s in resampler.push(0, 0.0315, linear(0.0315))] == [0.02, 0.03]


@pytest.mark.parametrize("stream", [0, 1])
@pytest.mark.parametrize(("gap_s", "restarts"), [(0.03, 0), (0.05, 0), (0.051, 1), (0.5, 1)])
def test_a_gap_is_bridged_up_to_the_limit(stream: int, gap_s: float, restarts: int) -> None:
    streams = [np.arange(0, 100) / 100, np.arange(0, 100) / 100]
    streams[stream] = np.concatenate([np.arange(0, 40) / 100, 0.39 + gap_s + np.arange(0, 50) / 100])
    resampler = new()
    samples = feed(resampler, events(*streams))
    assert sum(s.restarted for s in samples) == 1 + restarts
    assert resampler.interruptions == restarts
    assert_linear(samples)
    assert np.diff([s.t_s for s in samples]).min() > 0.0099
    if restarts == 0:
        assert np.diff([s.t_s for s in samples]).max() < 0.0101


def test_a_gap_in_both_streams_is_one_interruption() -> None:
    times = np.concatenate([np.arange(40), 100 + np.arange(40)]) / 100
    resampler = new()
    samples = feed(resampler, events(times, times))
    assert resampler.interruptions == 1
    assert [s.t_s for s in samples if s.restarted] == [0.0, 1.0]


def test_duplicates_and_latecomers_are_dropped_and_counted() -> None:
    todo = events(np.arange(30) / 100, np.arange(30) / 100)
    clean = feed(new(), todo)
    disturbed = []
    for stream, t, values in todo:
        disturbed.append((stream, t, values))
        disturbed.append((stream, t, values + 99.0))
        if 0.1 < t < 0.2:
            disturbed.append((stream, t - 0.025, values + 99.0))
    resampler = new()
    samples = feed(resampler, disturbed)
    assert resampler.late == len(disturbed) - len(todo)
    assert [s.t_s for s in samples] == [s.t_s for s in clean]
    assert_linear(samples)


def test_a_sender_that_restarts_at_zero() -> None:
    first, second = np.arange(500, 600) / 100, np.arange(0, 100) / 100
    resampler = new()
    samples = feed(resampler, events(first, first)) + feed(resampler, events(second, second))
    assert resampler.interruptions == 1
    assert [s.t_s for s in samples if s.restarted] == [5.0, 0.0]
    assert samples[-1].t_s == pytest.approx(0.99)
    assert len(samples) == 200


def test_one_stream_from_before_the_restart_costs_one_more_start() -> None:
    resampler = new()
    feed(resampler, events(np.arange(500, 600) / 100, np.arange(500, 600) / 100))
    late = [(0, 0.0, linear(0.0)), (1, 6.0, other(6.0))]
    samples = feed(resampler, [*late, *events(np.arange(1, 60) / 100, np.arange(1, 60) / 100)])
    assert samples[0].restarted
    assert samples[0].t_s <= 0.02
    assert len(samples) >= 58
    assert_linear(samples)


def test_a_stream_that_is_missing_holds_up_all_and_costs_no_memory() -> None:
    resampler = new()
    assert feed(resampler, [(0, k / 100, linear(k / 100)) for k in range(100_000)]) == []
    assert len(resampler._streams[0]) <= 7
    samples = resampler.push(1, 999.99, other(999.99))
    assert [s.t_s for s in samples] == [999.99]


def test_a_stream_that_stops_holds_up_all_and_costs_no_memory() -> None:
    resampler = new()
    feed(resampler, events(np.arange(100) / 100, np.arange(100) / 100))
    longest = 0
    for k in range(100, 10_000):
        assert resampler.push(0, k / 100, linear(k / 100)) == []
        longest = max(longest, len(resampler._streams[0]))
    assert longest <= MOST_SKEW_S * 100 + 2
    assert resampler.interruptions >= 1
    samples = feed(resampler, events(np.arange(10_000, 10_050) / 100, np.arange(10_000, 10_050) / 100))
    assert samples[0].restarted
    assert samples[0].t_s == pytest.approx(100.0)


def test_a_burst_that_was_held_up_is_no_gap() -> None:
    angles, imu = np.arange(200) / 100, np.arange(200) / 100
    delayed = sorted(
        [(t, 0, t) for t in angles.tolist()] + [(max(t, 0.9) if 0.3 < t < 0.9 else t, 1, t) for t in imu.tolist()]
    )
    resampler = new()
    samples = feed(resampler, [(stream, t, (linear, other)[stream](t)) for _, stream, t in delayed])
    assert resampler.interruptions == 0
    assert len(samples) == 200
    assert_linear(samples)


@st.composite
def messy(draw: st.DrawFn) -> list[Event]:
    """Two streams with any steps: small, long, none, and backwards, in any interleaving."""
    step = st.one_of(
        st.floats(0.001, 0.03), st.floats(0.001, 0.03), st.sampled_from([0.0, 0.05, 0.2, -0.02, -0.2, -5.0, 0.01])
    )
    now, todo = [1.0, 1.0], []
    for stream, dt in draw(st.lists(st.tuples(st.integers(0, 1), step), max_size=120)):
        now[stream] += dt
        todo.append((stream, now[stream], (linear, other)[stream](now[stream])))
    return todo


@given(messy(), st.sampled_from([37.0, 100.0, 250.0]))
@settings(max_examples=150, deadline=None)
def test_whatever_comes(todo: list[Event], rate_hz: float) -> None:
    resampler = new(rate_hz)
    samples = feed(resampler, todo)
    assert_linear(samples)  # never a mixture from both sides of a gap, nor a guess
    for before, after in pairwise(samples):
        if not after.restarted:
            assert after.t_s - before.t_s == pytest.approx(1 / rate_hz, abs=1e-9)
    if samples:
        assert samples[0].restarted
    assert sum(s.restarted for s in samples) <= 1 + resampler.interruptions
    newest = {stream: max(t for s, t, _ in todo if s == stream) for stream, _, _ in todo}
    for s in samples:
        assert s.t_s <= min(newest.values()) + 1e-9
