from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gamma, kv
from scipy.stats import t as student

from edge.signals import zero_phase
from edge.signals.differentiate import create
from edge.signals.movement_prior import (
    AMPLITUDE_RAD,
    ANY_DRIFT_RAD_S,
    BRISK,
    CALM,
    DRIFT_RAD_S,
    NOISE_RAD,
    RATE_NOISE_RAD_S,
    REACH_S,
    Matern,
    NormalEquations,
    normal_equations,
    one_joint_weights,
)
from edge.signals.taps import Taps
from tests.edge.signals.made_up import RATE_HZ, even, feed, rmse, sampled

PROCESSES = (CALM, BRISK)
LAGS_S = np.concatenate([-np.geomspace(1.0, 1e-3, 20), np.geomspace(1e-3, 1.0, 20)])


@pytest.mark.parametrize("halves", [5, 7])
@pytest.mark.parametrize("corner_hz", [0.8, 3.0])
def test_the_covariance_is_materns(halves: int, corner_hz: float) -> None:
    """Against the general form with a Bessel function (Rasmussen & Williams 2006, eq. 4.14)."""
    order, a = halves / 2.0, 2.0 * np.pi * corner_hz * np.abs(LAGS_S)
    expected = 2.0 ** (1.0 - order) / gamma(order) * a**order * kv(order, a)
    np.testing.assert_allclose(Matern(corner_hz, halves).covariance(LAGS_S), expected, rtol=1e-10)
    np.testing.assert_array_equal(Matern(corner_hz, halves).covariance(np.zeros(1)), 1.0)


@pytest.mark.parametrize("process", [*PROCESSES, Matern(3.0, 5), Matern(0.8, 7)])
def test_slope_and_curvature_are_the_covariances_derivatives(process: Matern) -> None:
    lags, h = np.append(LAGS_S, 0.0), 1e-5
    w = 2.0 * np.pi * process.corner_hz

    def by_lag(function: np.ufunc) -> np.ndarray:
        return (function(lags + h) - function(lags - h)) / (2.0 * h)

    np.testing.assert_allclose(process.slope(lags), by_lag(process.covariance), rtol=1e-6, atol=1e-7 * w)
    np.testing.assert_allclose(process.curvature(lags), by_lag(process.slope), rtol=1e-4, atol=1e-4 * w**2)


def expected_sums(taps: Taps, process: Matern, drift_rad_s: float) -> NormalEquations:
    """Of one channel, from the spectrum: what `design` and the zero-phase filter make of waves of all frequencies.

    Waves are of unit size and any phase; how often a frequency is, is the Matern covariance's spectrum, a Student
    distribution. Noise and drift come on top by what `design` makes of single samples and of a ramp.
    """
    nodes, weights = np.polynomial.legendre.leggauss(600)
    highest = 2.0 * np.pi * 80.0
    frequencies = 0.5 * highest * (nodes + 1.0)
    spread = 2.0 * np.pi * process.corner_hz / np.sqrt(process.halves)
    shares = highest * weights * student.pdf(frequencies / spread, process.halves) / spread
    times = (np.arange(taps.samples) - (taps.samples - 1)) / taps.rate_hz
    last = np.array([taps.samples - 1])

    def seen(angle: np.ndarray, rate: np.ndarray) -> tuple[np.ndarray, float]:
        features, newest = taps.design(taps.tapped(np.stack([angle, rate][: taps.width], axis=1)), last)
        return features[0], float(newest[0, 0])

    filter_taps = zero_phase.impulse_taps(taps.rate_hz, 0.0, REACH_S)
    reach = filter_taps.shape[1] // 2
    around = -taps.age_s + np.arange(-reach, reach + 1) / taps.rate_hz
    squares, products = np.zeros((taps.features, taps.features)), np.zeros((taps.features, taps.outputs))
    for frequency, share in zip(frequencies, shares, strict=True):
        for wave, slope in ((np.cos, lambda x: -np.sin(x)), (np.sin, np.cos)):
            features, newest = seen(wave(frequency * times), frequency * slope(frequency * times))
            target = np.append(filter_taps @ wave(frequency * around), wave(frequency * taps.ahead / taps.rate_hz))
            target[[0, 3]] -= newest
            squares += AMPLITUDE_RAD**2 * share * np.outer(features, features)
            products += AMPLITUDE_RAD**2 * share * np.outer(features, target)
    none = np.zeros(taps.samples)
    for sample in np.eye(taps.samples):
        features, newest = seen(sample, none)
        features[-1] = 0.0
        squares += NOISE_RAD**2 * np.outer(features, features)
        products[:, [0, 3]] -= NOISE_RAD**2 * features[:, None] * newest
        if taps.gyroscopes:
            features, _ = seen(none, sample)
            features[-1] = 0.0
            squares += RATE_NOISE_RAD_S**2 * np.outer(features, features)
    features, newest = seen(times, none + 1.0)
    features[-1] = 0.0
    target = np.array([-taps.age_s - newest, 1.0, 0.0, taps.ahead / taps.rate_hz - newest])
    squares += drift_rad_s**2 * np.outer(features, features)
    products += drift_rad_s**2 * np.outer(features, target)
    own = taps.joint(0)
    return NormalEquations(squares[np.ix_(own, own)], products[own])


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("gyroscopes", [(), (0,)])
@pytest.mark.parametrize(("rate_hz", "age_s"), [(60.0, 0.0), (100.0, 0.05), (100.0, 0.083), (200.0, 0.05)])
def test_expected_sums_follow_from_the_spectrum(
    process: Matern, gyroscopes: tuple[int, ...], rate_hz: float, age_s: float
) -> None:
    taps = Taps(1, rate_hz, age_s, gyroscopes)
    got, expected = normal_equations(taps, process, 0.7), expected_sums(taps, process, 0.7)
    own = taps.joint(0)
    squares, products = got.features[np.ix_(own, own)], got.targets[own]
    # A tap of several samples is taken as one sample in the middle, with less noise.
    close = 2e-5 if taps.stride == 1 else 2e-3
    size = np.sqrt(np.diag(expected.features))
    np.testing.assert_allclose(squares / np.outer(size, size), expected.features / np.outer(size, size), atol=close)
    scaled, wanted = products / size[:, None], expected.targets / size[:, None]
    np.testing.assert_array_less(np.abs(scaled - wanted).max(axis=0), close * np.abs(wanted).max(axis=0))


def test_a_tap_of_two_samples_has_half_the_noise() -> None:
    """All else in the sums of features depends on how far taps lie from each other, and that is the same."""
    one, two = (normal_equations(Taps(1, rate_hz, 0.05, (0,)), BRISK).features for rate_hz in (100.0, 200.0))
    taps = Taps(1, 100.0, 0.05, (0,))
    angles = taps.count - 1
    expected = np.zeros_like(one)
    expected[:angles, :angles] = 0.5 * NOISE_RAD**2 * (np.eye(angles) + 1.0)  # the newest tap's is in all differences
    rates = np.arange(angles, angles + taps.rate_count)
    expected[rates, rates] = 0.5 * RATE_NOISE_RAD_S**2
    np.testing.assert_allclose(one - two, expected, atol=1e-9)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("age_s", [0.0, 0.047, 0.1])
def test_the_solution_is_gaussian_process_regression(process: Matern, age_s: float) -> None:
    """Best linear unbiased estimates of value, rate and acceleration where the level is not known (kriging)."""
    taps = Taps(1, 60.0, age_s)
    times = (np.arange(taps.samples) - (taps.samples - 1)) / 60.0
    filter_taps = zero_phase.impulse_taps(60.0, 0.0, REACH_S)
    reach = filter_taps.shape[1] // 2
    wanted = np.append(-age_s + np.arange(-reach, reach + 1) / 60.0, taps.ahead / 60.0)

    def covariance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        movement = AMPLITUDE_RAD**2 * process.covariance(one[:, None] - other[None])
        return np.asarray(movement + DRIFT_RAD_S**2 * np.outer(one, other))

    said = np.zeros((4, len(wanted)))  # what is asked for, by the true values at the wanted times
    said[:3, :-1], said[3, -1] = filter_taps, 1.0
    own = covariance(times, times) + NOISE_RAD**2 * np.eye(len(times))
    ones = np.ones((len(times), 1))
    system = np.block([[own, ones], [ones.T, np.zeros((1, 1))]])
    level = said.sum(axis=1)  # of a constant: itself, or nothing
    right = np.vstack([covariance(times, wanted) @ said.T, level[None]])
    expected = np.linalg.solve(system, right)[:-1].T
    folded, constant = taps.sample_weights(normal_equations(taps, process).solve())
    size = np.abs(expected).max(axis=1)[:, None]
    np.testing.assert_allclose(folded / size, expected / size, atol=1e-6)
    np.testing.assert_array_equal(constant, 0.0)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("gyroscopes", [(), (0,)])
def test_a_steady_turning_is_followed_without_error(process: Matern, gyroscopes: tuple[int, ...]) -> None:
    """Where drift is to be any: what is wrong at 100 rad/s is next to nothing of what the sensor's noise makes wrong."""
    for age_s in (0.0, 0.05, 0.1):
        taps = Taps(1, RATE_HZ, age_s, gyroscopes)
        folded, _ = taps.sample_weights(normal_equations(taps, process, ANY_DRIFT_RAD_S).solve())
        times = (np.arange(taps.samples) - (taps.samples - 1)) / RATE_HZ
        window = np.stack([times, np.ones_like(times)][: taps.width], axis=1).reshape(-1)
        error = 100.0 * np.abs(folded @ window - [-age_s, 1.0, 0.0, taps.ahead / RATE_HZ])
        noise = np.tile([NOISE_RAD, RATE_NOISE_RAD_S][: taps.width], taps.samples)
        np.testing.assert_array_less(error, 0.02 * np.sqrt((folded**2) @ noise**2))


@given(st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_a_channels_unit_changes_its_sums_and_not_its_filter(one: float, other: float) -> None:
    taps = Taps(2, 60.0, 0.05, (1,))
    scaled = Taps(2, 60.0, 0.05, (1,), np.array([one, other]))
    plain, own = normal_equations(taps, BRISK), normal_equations(scaled, BRISK)
    np.testing.assert_allclose(own.solve(), plain.solve(), rtol=1e-6, atol=1e-8)
    for j, unit in enumerate((one, other)):
        block = np.ix_(taps.joint(j), taps.joint(j))
        np.testing.assert_allclose(own.features[block], unit**2 * plain.features[block], rtol=1e-12)


def test_channels_are_processes_of_their_own() -> None:
    taps = Taps(3, RATE_HZ, 0.05, (2, 0))
    weights = normal_equations(taps, CALM).solve()
    for j in range(3):
        alone = Taps(1, RATE_HZ, 0.05, (0,) if j in taps.gyroscopes else ())
        expected = normal_equations(alone, CALM).solve()
        got = weights[np.ix_(taps.joint(j), taps.of_joint(j))]
        np.testing.assert_allclose(got, expected[: len(got)], atol=1e-7 * np.abs(expected).max())
        others = np.setdiff1d(np.arange(taps.features), taps.joint(j))
        np.testing.assert_array_equal(weights[np.ix_(others, taps.of_joint(j))], 0.0)


@pytest.mark.parametrize("gyroscope", [False, True])
def test_fewer_taps_are_used_as_well_as_can_be(gyroscope: bool) -> None:
    """Weights of the newest taps alone are the best ones of a filter that has no others, and older ones have none."""
    taps = Taps(1, RATE_HZ, 0.05, (0,) if gyroscope else ())
    sums = normal_equations(taps, BRISK)
    whole = one_joint_weights(taps, BRISK, gyroscope, taps.count)
    np.testing.assert_allclose(whole, sums.solve()[taps.joint(0)], rtol=1e-6, atol=1e-6)
    own = sums.features[np.ix_(taps.joint(0), taps.joint(0))]
    worth = []
    for count in (15, 30, 45, 60):
        weights = one_joint_weights(taps, BRISK, gyroscope, count)
        gone = np.zeros(len(weights), dtype=bool)
        gone[count - 1 : taps.count - 1] = gone[taps.count - 1 + count :] = True
        np.testing.assert_array_equal(weights[gone], 0.0)
        # No other weights of the same taps leave a smaller error: its gradient vanishes.
        gradient = (own @ weights - sums.targets[taps.joint(0)])[~gone]
        np.testing.assert_allclose(gradient, 0.0, atol=1e-9 * np.abs(sums.targets).max())
        worth.append((weights * sums.targets[taps.joint(0)]).sum(axis=0))  # of the target's mean square, explained
    assert (np.diff(worth, axis=0) >= -1e-12).all()


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("age_s", [0.0, 0.05, 0.1])
def test_it_beats_the_kalman_smoother_on_such_a_process_and_a_gyroscope_helps(process: Matern, age_s: float) -> None:
    times, rng = even(1500), np.random.default_rng(11)
    clean, rates = sampled(process, times, 2, seed=2)
    angles = clean + rng.normal(0.0, NOISE_RAD, clean.shape)
    gyroscope = rates + rng.normal(0.0, RATE_NOISE_RAD_S, rates.shape)
    errors = {}
    for name, gyroscopes in (("kalman", ()), ("fir", ()), ("with gyroscopes", (0, 1))):
        method, bank = "kalman" if name == "kalman" else "fir", None
        if method == "fir":
            bank = normal_equations(Taps(2, RATE_HZ, age_s, gyroscopes), process)
        own = create(method, n_joints=2, rate_hz=RATE_HZ, age_s=age_s, gyroscopes=gyroscopes, bank=bank)
        errors[name] = rmse(feed(own, times, angles, gyroscope), times, clean, 1.0)
    by_fir, by_gyroscope = errors["fir"] / errors["kalman"], errors["with gyroscopes"] / errors["fir"]
    np.testing.assert_array_less(by_fir, 1.0)
    np.testing.assert_array_less(by_gyroscope, 1.0)
    assert np.prod(by_fir) < 0.95**3
    assert np.prod(by_gyroscope) < 0.85**3
