from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.signals import zero_phase
from edge.signals.fir import FirDifferentiator
from edge.signals.hindsight import Hindsight, Past
from edge.signals.movement_prior import REACH_S, NormalEquations
from edge.signals.taps import Taps
from tests.edge.signals.made_up import even, feed, stride

LAYOUTS = [Taps(2, 100.0, 0.05), Taps(2, 100.0, 0.0, (1,)), Taps(1, 60.0, 0.083), Taps(3, 200.0, 0.3, (2, 0))]


def in_pieces(
    taps: Taps, times: np.ndarray, samples: np.ndarray, cuts: list[int], restarted_at: int | None = None
) -> list[Past]:
    hindsight = Hindsight(taps)
    edges = [0, *sorted(cuts), len(times)]
    pieces = [hindsight.take(times[a:b], samples[a:b], a == restarted_at) for a, b in pairwise(edges)]
    return [past for past in pieces if past is not None]


def joined(pieces: list[Past]) -> Past:
    return Past(
        *(np.concatenate([getattr(p, name) for p in pieces]) for name in ("features", "target", "noise_square"))
    )


def known(taps: Taps, count: int) -> np.ndarray:
    """Numbers of the samples, of `count` even ones, that are the newest of a whole window whose moment's truth is known."""
    reach, back = round(REACH_S * taps.rate_hz), int(np.ceil(taps.age_s * taps.rate_hz - 1e-9))
    first = max(taps.samples - 1, back + reach)
    last = count - 1 - max(reach - back, taps.ahead)
    return np.arange(first, last + 1)


@given(st.sampled_from(LAYOUTS), st.lists(st.integers(0, 400), max_size=30), st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_moment_is_given_once_however_the_stream_is_cut(taps: Taps, cuts: list[int], jittered: bool) -> None:
    rng = np.random.default_rng(3)
    times = even(400, taps.rate_hz)
    if jittered:
        times[1:-1] += rng.uniform(-0.3, 0.3, 398) / taps.rate_hz
    samples = rng.normal(size=(400, taps.width))
    whole = Hindsight(taps).take(times, samples, True)
    assert whole is not None
    assert len(whole.target) == len(known(taps, 400))
    pieces = joined(in_pieces(taps, times, samples, cuts))
    for name in ("features", "target", "noise_square"):
        got, expected = getattr(pieces, name), getattr(whole, name)
        np.testing.assert_allclose(got, expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("taps", LAYOUTS)
def test_moments_come_in_order_one_sample_apart(taps: Taps) -> None:
    """The newest tap of a steady turning tells which moment it is."""
    times = even(400, taps.rate_hz)
    samples = np.tile((times - times[0])[:, None], (1, taps.width))
    past = joined(in_pieces(taps, times, samples, list(range(0, 400, 7))))
    newest = past.features[:, taps.newest] + taps.tap_times_s()[0]
    expected = known(taps, 400) / taps.rate_hz
    np.testing.assert_allclose(newest, np.tile(expected[:, None], (1, taps.n_joints)), atol=1e-9)


@pytest.mark.parametrize("taps", LAYOUTS)
def test_the_target_is_the_zero_phase_derivative_of_the_moment(taps: Taps) -> None:
    times = even(round(4.0 * taps.rate_hz), taps.rate_hz)
    n = taps.n_joints
    angles = stride(times, n, (0.0, 1.1))[0]
    samples = np.hstack([angles, np.zeros((len(times), taps.width - n))])
    past = Hindsight(taps).take(times, samples, True)
    assert past is not None
    rows = known(taps, len(times))
    rows = rows[
        rows > 1.0 * taps.rate_hz
    ]  # away from the recording's start, where the zero-phase filter's padding shows
    rows = rows[rows < 3.0 * taps.rate_hz]
    target = past.target[rows - known(taps, len(times))[0]].reshape(len(rows), 4, n)
    truth = np.stack(zero_phase.differentiate(times, angles, times[rows] - taps.age_s), axis=1)
    newest = past.features[rows - known(taps, len(times))[0], taps.newest]
    for k in range(3):
        said = target[:, k] + (newest if k == 0 else 0.0)
        np.testing.assert_allclose(said, truth[:, k], atol=4e-3 * np.abs(truth[:, k]).max())
    np.testing.assert_allclose(target[:, 3] + newest, angles[rows + taps.ahead], atol=1e-9)


def test_features_are_what_the_filter_in_the_loop_saw() -> None:
    """A few samples missing, and a gyroscope: the loop's answers are these features times the weights."""
    taps = Taps(2, 100.0, 0.05, (1,))
    rng = np.random.default_rng(5)
    grid = even(300)
    values, measured = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    kept = np.setdiff1d(np.arange(300), [80, 130, 131, 200, 201, 202, 203, 204])
    weights = rng.normal(size=(taps.features, taps.outputs))
    fir = FirDifferentiator(taps, NormalEquations(np.eye(taps.features), weights))
    said = dict(zip(kept.tolist(), feed(fir, grid[kept], values[kept], measured[kept]), strict=True))
    samples = np.hstack([values, measured[:, 1:]])[kept]
    past = Hindsight(taps).take(grid[kept], samples, True)
    assert past is not None
    rows = known(taps, 300)
    answers = (past.features @ weights).reshape(-1, 4, 2)
    answers[:, 0] += past.features[:, taps.newest]
    compared = 0
    for row, answer in zip(rows.tolist(), answers, strict=True):
        if row not in said:
            continue  # a sample that never came
        out = said[row]
        assert out is not None
        np.testing.assert_allclose([out.q, out.qd, out.qdd], answer[:3], rtol=1e-8, atol=1e-8)
        compared += 1
    assert compared == len(np.intersect1d(rows, kept))


def noise_stream(taps: Taps, seed: int, count: int = 20_000) -> tuple[np.ndarray, Past]:
    """White noise of unit variance in every angle and none in a gyroscope."""
    samples = np.random.default_rng(seed).normal(size=(count, taps.width))
    samples[:, taps.n_joints :] = 0.0
    past = Hindsight(taps).take(even(count, taps.rate_hz), samples, True)
    assert past is not None
    return samples, past


def absolute(taps: Taps, past: Past) -> np.ndarray:
    """Targets of value, rate and acceleration (m, 3 n), not relative to the newest tap."""
    target = past.target[:, : 3 * taps.n_joints].copy()
    target[:, : taps.n_joints] += past.features[:, taps.newest]
    return target


NOISY = [Taps(2, 100.0, 0.05), Taps(2, 60.0, 0.013, (0,)), Taps(1, 200.0, 0.1)]


@pytest.mark.parametrize("taps", [*NOISY, *LAYOUTS])
def test_noise_in_features_and_target_follows_from_single_samples(taps: Taps) -> None:
    """Exactly: one sample alone, and the products of features and target of all moments that it touches, summed."""
    n, count = taps.n_joints, 3 * taps.samples + round(2.0 * taps.rate_hz)
    expected = np.zeros((taps.features, taps.outputs))
    for j in range(n):
        samples = np.zeros((count, taps.width))
        samples[taps.samples + round(taps.rate_hz), j] = 1.0
        past = Hindsight(taps).take(even(count, taps.rate_hz), samples, True)
        assert past is not None
        features = past.features.copy()
        features[:, -1] = 0.0
        expected[:, : 3 * n] += features.T @ absolute(taps, past)
    got = Hindsight(taps).noise_products(np.ones(n))
    size = np.abs(expected).max(axis=0) + 1e-300
    np.testing.assert_allclose(got / size, expected / size, atol=1e-9)
    np.testing.assert_array_equal(got[:, 3 * n :], 0.0)  # what comes ahead holds other noise


@pytest.mark.parametrize("taps", NOISY)
def test_noise_products_are_what_white_noise_leaves_in_the_sums(taps: Taps) -> None:
    _, past = noise_stream(taps, 1)
    variance = np.array([4.0, 0.25])[: taps.n_joints]  # of each channel
    size = np.sqrt(variance)
    target = absolute(taps, past) * np.tile(size, 3)
    features = past.features.copy()
    for j in range(taps.n_joints):
        features[:, [*taps.joint(j), taps.newest.start + j]] *= size[j]
    features[:, -1] = 0.0
    hindsight = Hindsight(taps)
    products = hindsight.noise_products(variance)[:, : 3 * taps.n_joints]
    # A mean of products has a standard error; neighbouring moments are alike, so there are fewer of them than rows.
    spread = np.sqrt(np.outer((features**2).mean(axis=0), (target**2).mean(axis=0)))
    error = np.abs(features.T @ target / len(target) - products)
    np.testing.assert_array_less(error, 5.0 * spread * np.sqrt(taps.samples / len(target)) + 1e-12)
    # And the variance of the target is what the gain says.
    gain = np.repeat(hindsight.noise_gain, taps.n_joints) * np.tile(variance, 3)
    np.testing.assert_allclose((target**2).mean(axis=0), gain, rtol=0.1)


@pytest.mark.parametrize("taps", NOISY)
def test_noise_in_common_is_the_covariance_of_answers_and_target(taps: Taps) -> None:
    n = taps.n_joints
    weights = np.random.default_rng(2).normal(size=(taps.features, taps.outputs)) / taps.count
    weights[-1] = 0.0
    _, past = noise_stream(taps, 3)
    answers = (past.features @ weights)[:, : 3 * n]
    answers[:, :n] += past.features[:, taps.newest]
    target = absolute(taps, past)
    common = Hindsight(taps).noise_in_common(weights)
    spread = np.sqrt((answers**2).mean(axis=0) * (target**2).mean(axis=0))
    error = np.abs((answers * target).mean(axis=0) - common)
    np.testing.assert_array_less(error, 4.0 * spread * np.sqrt(taps.samples / len(target)))


def test_the_sensors_noise_is_seen_and_movement_is_not() -> None:
    taps = Taps(2, 100.0, 0.05)
    times = even(3000)
    size = np.array([2e-3, 5e-4])
    noise = np.random.default_rng(6).normal(size=(3000, 2)) * size
    movement = stride(times, 2, (0.0, 1.0))[0]
    still, moving, clean = (Hindsight(taps).take(times, z, True) for z in (noise, noise + movement, movement))
    assert still is not None
    assert moving is not None
    assert clean is not None
    np.testing.assert_allclose(still.noise_square.mean(axis=0), size**2, rtol=0.1)
    np.testing.assert_allclose(moving.noise_square.mean(axis=0), size**2, rtol=0.1)
    assert (clean.noise_square.mean(axis=0) < 0.02 * size**2).all()


@given(st.integers(1, 399), st.sampled_from([-50.0, 0.2, 1e6]))
@settings(max_examples=20, deadline=None)
def test_after_a_gap_nothing_of_before_is_left(cut: int, jump_s: float) -> None:
    taps = Taps(1, 100.0, 0.05)
    rng = np.random.default_rng(8)
    times, samples = even(800), rng.normal(size=(800, 1))
    times[cut:] += jump_s
    before_and_after = in_pieces(taps, times, samples, [cut, 500, 600], restarted_at=cut)
    before = Hindsight(taps).take(times[:cut], samples[:cut], True)
    after = joined(in_pieces(taps, times[cut:], samples[cut:], [500 - cut, 600 - cut]))
    got = joined(before_and_after)
    expected = after if before is None else joined([before, after])
    assert len(after.target) == len(known(taps, 800 - cut))
    np.testing.assert_allclose(got.features, expected.features, atol=1e-6)
    np.testing.assert_allclose(got.target, expected.target, atol=1e-3)


def test_nothing_comes_of_nothing_and_of_too_little() -> None:
    taps = Taps(1, 100.0, 0.05)
    hindsight = Hindsight(taps)
    first = known(taps, 200)[0] + round(REACH_S * 100.0) - 5  # the truth of its moment ends here
    times, samples = even(200), np.zeros((200, 1))
    assert hindsight.take(times[:0], samples[:0], True) is None
    assert hindsight.take(times[:first], samples[:first], False) is None
    assert hindsight.take(times[:0], samples[:0], False) is None
    past = hindsight.take(times[first : first + 1], samples[first : first + 1], False)
    assert past is not None
    assert len(past.target) == 1


def test_what_is_kept_does_not_grow() -> None:
    taps = Taps(2, 100.0, 0.05)
    hindsight, rng = Hindsight(taps), np.random.default_rng(0)
    kept = []
    for piece in np.split(even(3000), 600):
        hindsight.take(piece, rng.normal(size=(5, 2)), False)
        kept.append(len(hindsight._grid))
    assert max(kept) <= taps.samples + 2 * round(REACH_S * 100.0) + 20
