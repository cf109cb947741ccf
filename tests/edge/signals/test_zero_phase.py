from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, freqz

from edge.signals import zero_phase

RATE_HZ = 100.0


def grid(seconds: float = 3.0, rate_hz: float = RATE_HZ) -> np.ndarray:
    return 0.5 + np.arange(round(seconds * rate_hz) + 1) / rate_hz


@pytest.mark.parametrize("hz", [0.5, 1.0, 3.0, 6.0, 10.0, 20.0])
def test_it_passes_and_stops_as_a_butterworth_run_twice_and_shifts_nothing(hz: float) -> None:
    t = grid(8.0)
    filtered = zero_phase.low_pass(t, np.sin(2 * np.pi * hz * t)[:, None])[300:500, 0]
    b, a = butter(3, 2 * 6.0 / RATE_HZ)
    gain = abs(freqz(b, a, [hz], fs=RATE_HZ)[1][0]) ** 2
    basis = np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t)], axis=1)[300:500]
    in_phase, shifted = np.linalg.lstsq(basis, filtered, rcond=None)[0]
    assert in_phase == pytest.approx(gain, abs=2e-4)
    assert shifted == pytest.approx(0.0, abs=2e-4)


def test_a_straight_line_passes_to_its_very_ends() -> None:
    t = grid()
    values = np.stack([2.0 * t + 1.0, np.full_like(t, 4.0)], axis=1)
    np.testing.assert_allclose(zero_phase.low_pass(t, values), values, atol=1e-4)
    q, qd, qdd = zero_phase.differentiate(t, values, t[5:-5])
    np.testing.assert_allclose(q, values[5:-5], atol=1e-4)
    np.testing.assert_allclose(qd, np.tile([2.0, 0.0], (len(t) - 10, 1)), atol=1e-2)
    np.testing.assert_allclose(qdd, 0.0, atol=0.2)


def test_derivatives_of_a_slow_sine() -> None:
    t, w = grid(4.0), 2 * np.pi * 0.8
    at = np.linspace(1.5, 3.5, 137)  # not the recording's own times
    q, qd, qdd = zero_phase.differentiate(t, np.sin(w * t)[:, None], at)
    for got, expected in ((q, np.sin(w * at)), (qd, w * np.cos(w * at)), (qdd, -(w**2) * np.sin(w * at))):
        assert got.shape == (137, 1)
        np.testing.assert_allclose(got[:, 0], expected, atol=1e-3 * np.abs(expected).max())


def test_derivatives_belong_together() -> None:
    t = grid()
    values = np.cumsum(np.random.default_rng(1).normal(size=(len(t), 2)), axis=0)
    at = np.array([1.2, 1.7, 2.9])
    q, qd, qdd = zero_phase.differentiate(t, values, at)
    h = 1e-5
    later, earlier = (zero_phase.differentiate(t, values, at + d) for d in (h, -h))
    np.testing.assert_allclose((later[0] - earlier[0]) / (2 * h), qd, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose((later[1] - earlier[1]) / (2 * h), qdd, rtol=1e-5, atol=1e-5)
    assert np.isfinite(q).all()


def test_the_order_in_time_does_not_matter() -> None:
    """Zero phase: backwards in time gives the same curve backwards."""
    t = grid()
    values = np.cumsum(np.random.default_rng(2).normal(size=(len(t), 1)), axis=0)
    np.testing.assert_allclose(
        zero_phase.low_pass(t, values[::-1])[::-1][80:-80], zero_phase.low_pass(t, values)[80:-80], atol=2e-2
    )


def test_an_even_recording_is_left_as_it_is() -> None:
    t = grid() + np.random.default_rng(0).uniform(-5e-5, 5e-5, 301)  # stamps with few digits
    values = np.random.default_rng(1).normal(size=(301, 2))
    times, same = zero_phase.evenly(t, values)
    assert same is values
    np.testing.assert_allclose(times, t, atol=1e-4)


def test_an_uneven_recording_is_put_on_an_even_grid() -> None:
    rng = np.random.default_rng(3)
    t = np.cumsum(rng.uniform(0.006, 0.014, 400))
    times, values = zero_phase.evenly(t, np.sin(3 * t)[:, None])
    np.testing.assert_allclose(np.diff(times), times[1] - times[0], rtol=1e-9)
    assert times[0] == t[0]
    assert times[-1] <= t[-1] + 1e-9
    np.testing.assert_allclose(values[:, 0], np.sin(3 * times), atol=1e-5)


def test_a_rate_too_low_for_the_cutoff() -> None:
    t = grid(3.0, 12.0)
    with pytest.raises(ValueError, match="12 Hz cannot be filtered at 6 Hz"):
        zero_phase.low_pass(t, np.zeros((len(t), 1)))


parts = st.floats(0.0, 1.0)


@given(later=parts, rate_hz=st.sampled_from([60.0, 100.0, 125.0, 1000.0]))
def test_impulse_taps_are_exact_for_parabolas(later: float, rate_hz: float) -> None:
    taps = zero_phase.impulse_taps(rate_hz, later, 0.4)
    reach = round(0.4 * rate_hz)
    assert taps.shape == (3, 2 * reach + 1)
    t = np.arange(-reach, reach + 1) / rate_hz
    moment = later / rate_hz
    said = taps @ np.stack([1.0 + 0.0 * t, t - moment, (t - moment) ** 2], axis=1)
    np.testing.assert_allclose(said, np.diag([1.0, 1.0, 2.0]), atol=1e-6)


@pytest.mark.parametrize("later", [0.0, 0.25, 0.7, 1.0])
@pytest.mark.parametrize("rate_hz", [60.0, 100.0, 200.0])
def test_impulse_taps_are_the_filter_in_a_recordings_middle(later: float, rate_hz: float) -> None:
    """What is beyond the reach is cut: that is at most 0.2 % of a rough movement."""
    t = grid(6.0, rate_hz)
    rng = np.random.default_rng(4)
    hz, shift = rng.uniform(0.1, 15.0, 60), rng.uniform(0.0, 2.0 * np.pi, 60)
    values = np.sin(2.0 * np.pi * hz * t[:, None] + shift).sum(axis=1)[:, None]
    values += rng.normal(size=values.shape)
    taps = zero_phase.impulse_taps(rate_hz, later, 0.4)
    reach = taps.shape[1] // 2
    middle = np.arange(round(2.0 * rate_hz), round(4.0 * rate_hz))
    windows = np.stack([values[m - reach : m + reach + 1, 0] for m in middle])
    expected = zero_phase.differentiate(t, values, t[middle] + later / rate_hz)
    for own, part in zip(taps, expected, strict=True):
        np.testing.assert_allclose(windows @ own, part[:, 0], atol=2e-3 * np.abs(part).max())


@given(later=parts)
def test_impulse_taps_look_as_far_ahead_as_back(later: float) -> None:
    """In time turned round, the moment lies as long before the middle: the neighbour's taps, the rate's with the other sign."""
    taps, mirrored = (zero_phase.impulse_taps(RATE_HZ, part, 0.4) for part in (later, 1.0 - later))
    size = np.abs(taps).max(axis=1)[:, None]
    signs = np.array([[1.0], [-1.0], [1.0]])
    shifted = signs * mirrored[:, ::-1]  # its moment lies `later` - 1 after the middle
    np.testing.assert_allclose(taps[:, 1:] / size, shifted[:, :-1] / size, atol=2e-3)
