from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from edge.signals.experts import fallbacks, kalman_weights, starting_weights
from edge.signals.kalman import KalmanSmoother
from edge.signals.movement_prior import BRISK, CALM, normal_equations, one_joint_weights
from edge.signals.taps import Taps
from tests.edge.signals.made_up import NOISE_RAD, even, feed, sampled, stride, table


def answers(taps: Taps, weights: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """(3, m, n_joints): of all whole windows of even samples."""
    folded, constant = taps.sample_weights(weights)
    windows = np.lib.stride_tricks.sliding_window_view(samples, taps.samples, axis=0).transpose(0, 2, 1)
    said = windows.reshape(len(windows), -1) @ folded.T + constant
    return said[:, : 3 * taps.n_joints].reshape(-1, 3, taps.n_joints).transpose(1, 0, 2)


@pytest.mark.parametrize("rate_hz", [60.0, 100.0, 125.0])
@pytest.mark.parametrize("age_s", [0.0, 0.05, 0.087, 0.15])
def test_the_kalman_smoother_as_weights(rate_hz: float, age_s: float) -> None:
    """What it has forgotten after 0.45 s is less than a thousandth, of movement and of noise alike."""
    taps = Taps(2, rate_hz, age_s)
    times, rng = even(round(4.0 * rate_hz), rate_hz), np.random.default_rng(1)
    samples = sampled(BRISK, times, 2)[0] + rng.normal(0.0, NOISE_RAD, (len(times), 2))
    _, expected = table(feed(KalmanSmoother(2, rate_hz, age_s), times, samples))
    settled = round(2.0 * rate_hz)
    got, expected = answers(taps, kalman_weights(taps), samples)[:, -settled:], expected[:, -settled:]
    size = np.sqrt((expected**2).mean(axis=(1, 2)))
    assert (np.abs(got - expected).max(axis=(1, 2)) < 1e-3 * size).all()


@pytest.mark.parametrize(("rate_hz", "age_s"), [(200.0, 0.05), (1000.0, 0.05), (1000.0, 0.1)])
def test_above_the_taps_rate_it_works_on_means(rate_hz: float, age_s: float) -> None:
    """The same smoother of the same corner, fed with means of a few samples: nearly the same of movement."""
    taps = Taps(1, rate_hz, age_s)
    times = even(round(3.0 * rate_hz), rate_hz)
    samples = stride(times, 1, (0.0, 1.0))[0]
    _, expected = table(feed(KalmanSmoother(1, rate_hz, age_s), times, samples))
    settled = round(1.5 * rate_hz)
    got, expected = answers(taps, kalman_weights(taps), samples)[:, -settled:], expected[:, -settled:]
    size = np.sqrt((expected**2).mean(axis=(1, 2)))
    # It takes the nearest tap as the moment's, and an acceleration changes until the next.
    assert (np.abs(got - expected).max(axis=(1, 2)) < [0.002, 0.01, 0.15] * size).all()


@pytest.mark.parametrize("gyroscopes", [(), (1,)])
def test_the_kalman_smoother_says_nothing_of_other_channels_gyroscopes_or_what_comes(
    gyroscopes: tuple[int, ...],
) -> None:
    taps = Taps(2, 100.0, 0.05, gyroscopes)
    weights = kalman_weights(taps)
    used = np.zeros_like(weights, dtype=bool)
    for j in range(2):
        used[np.ix_(taps.joint(j)[: taps.count - 1], taps.of_joint(j)[:3])] = True
    np.testing.assert_array_equal(weights[~used], 0.0)
    assert (weights[used] != 0.0).all()


@pytest.mark.parametrize("gyroscopes", [(), (0,)])
def test_the_fallbacks_are_the_kalman_smoother_then_calm_then_brisk(gyroscopes: tuple[int, ...]) -> None:
    taps = Taps(2, 60.0, 0.02, gyroscopes)
    found = fallbacks(taps)
    expected = [kalman_weights(taps), *(normal_equations(taps, process).solve() for process in (CALM, BRISK))]
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("count", [15, 30, 59])
def test_a_start_is_the_mean_of_calm_and_brisk(count: int) -> None:
    taps = Taps(3, 100.0, 0.05, (2, 0))
    weights = starting_weights(taps, count)
    used = np.zeros_like(weights, dtype=bool)
    for j in range(3):
        own = np.ix_(taps.joint(j), taps.of_joint(j))
        mean = sum(one_joint_weights(taps, process, j in taps.gyroscopes, count) for process in (CALM, BRISK)) / 2.0
        np.testing.assert_allclose(weights[own], mean, rtol=1e-12, atol=1e-12)
        used[own] = True
    np.testing.assert_array_equal(weights[~used], 0.0)


def test_a_longer_start_is_a_better_one() -> None:
    times, rng = even(1500), np.random.default_rng(3)
    clean = sampled(CALM, times, 2)[0]
    samples = clean + rng.normal(0.0, NOISE_RAD, clean.shape)
    taps = Taps(2, 100.0, 0.05)
    truth = answers(taps, normal_equations(taps, CALM).solve(), clean)  # of samples without noise
    errors = [
        np.sqrt(((answers(taps, starting_weights(taps, count), samples) - truth) ** 2).mean(axis=(1, 2)))
        for count in (15, 20, 40, 60)
    ]
    assert (errors[-1] < 0.98 * errors[0]).all()
    for shorter, longer in pairwise(errors):
        assert (longer < 1.01 * shorter).all()
