"""What is known of human movement before any was seen: a random process, and the filters that are best for it.

A joint angle is taken as a steady turning of any rate and on it a Gaussian process with a Matern covariance (Rasmussen &
Williams 2006, eq. 4.14), whose spectrum is flat up to a corner and falls with a power of the frequency beyond. The best
linear estimate of its zero-phase derivatives from past noisy samples (Wiener 1949) follows from the covariances alone:
nobody's recordings are in it. The normal equations are scaled as sums over samples are, so that real movement can be
added to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.signals import zero_phase
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

REACH_S = 0.4  # to either side of a moment: what its zero-phase derivatives depend on
AMPLITUDE_RAD = np.radians(15.0)  # standard deviation of a joint angle in walking
NOISE_RAD = np.radians(0.12)  # of an encoder of 12 bit with 0.1 degree of noise
DRIFT_RAD_S = 1.0  # of the mean rate of a movement
ANY_DRIFT_RAD_S = 100.0  # so much that a steady turning is followed without error, for some more noise
RATE_NOISE_RAD_S = np.radians(1.0)  # of a gyroscope, most of it what the skin moves


@dataclass(frozen=True)
class Matern:
    """Covariance of order 5/2 or 7/2: the spectrum falls with the sixth or eighth power beyond the corner.

    Lags in s; values for unit variance.
    """

    corner_hz: float
    halves: int

    def covariance(self, lag_s: FloatArray) -> FloatArray:
        """Of the values at two moments."""
        a = self._scaled(lag_s)
        rest = a * a / 3.0 if self.halves == 5 else 2.0 * a * a / 5.0 + a**3 / 15.0
        return np.asarray((1.0 + a + rest) * np.exp(-a))

    def slope(self, lag_s: FloatArray) -> FloatArray:
        """Derivative of the covariance by the lag."""
        a, w = self._scaled(lag_s), 2.0 * np.pi * self.corner_hz
        rest = (1.0 + a) / 3.0 if self.halves == 5 else (1.0 + a + a * a / 3.0) / 5.0
        return np.asarray(-w * w * lag_s * rest * np.exp(-a))

    def curvature(self, lag_s: FloatArray) -> FloatArray:
        """Second derivative of the covariance by the lag."""
        a, w = self._scaled(lag_s), 2.0 * np.pi * self.corner_hz
        rest = (1.0 + a - a * a) / 3.0 if self.halves == 5 else (1.0 + a - a**3 / 3.0) / 5.0
        return np.asarray(-w * w * rest * np.exp(-a))

    def _scaled(self, lag_s: FloatArray) -> FloatArray:
        return np.asarray(2.0 * np.pi * self.corner_hz * np.abs(lag_s))


BRISK = Matern(1.5, 5)
"""Walking and running."""
CALM = Matern(1.2, 7)
"""Squatting, standing up, reaching."""


@dataclass(frozen=True)
class NormalEquations:
    """Sums over samples of features x features (features, features) and features x targets (features, outputs)."""

    features: FloatArray
    targets: FloatArray

    def solve(self) -> FloatArray:
        """(features, outputs): the weights."""
        return np.asarray(np.linalg.solve(self.features, self.targets))


def normal_equations(taps: Taps, process: Matern, drift_rad_s: float = DRIFT_RAD_S) -> NormalEquations:
    """Expected sums of one sample, every channel a process of its own. Newest taps and constant count one unit each."""
    size = taps.features
    features = np.zeros((size, size))
    targets = np.zeros((size, taps.outputs))
    blocks = {
        has: _one_joint(taps, process, drift_rad_s, has) for has in {j in taps.gyroscopes for j in range(taps.n_joints)}
    }
    for j in range(taps.n_joints):
        squares, products = blocks[j in taps.gyroscopes]
        own = taps.joint(j)
        features[np.ix_(own, own)] = squares * taps.scale[j] ** 2
        targets[np.ix_(own, taps.of_joint(j))] = products * taps.scale[j] ** 2
    rest = np.arange(size - 1 - taps.n_joints, size)
    features[rest, rest] = np.append(taps.scale**2, 1.0)
    return NormalEquations(features, targets)


def one_joint_weights(taps: Taps, process: Matern, gyroscope: bool, count: int) -> FloatArray:
    """(features of a joint, 4): the best weights where only the newest `count` taps are there; zero for the others."""
    squares, products = _one_joint(taps, process, DRIFT_RAD_S, gyroscope)
    there = np.arange(len(squares))
    angle = taps.count - 1
    there = there[(there < count - 1) | ((there >= angle) & (there < angle + count))]
    weights = np.zeros_like(products)
    weights[there] = np.linalg.solve(squares[np.ix_(there, there)], products[there])
    return weights


def _one_joint(taps: Taps, process: Matern, drift_rad_s: float, gyroscope: bool) -> tuple[FloatArray, FloatArray]:
    """Sums of a joint's own features: its relative taps, then its gyroscope's."""
    variance = AMPLITUDE_RAD**2
    before = taps.tap_times_s()  # of the taps, before the newest sample
    interval = 1.0 / taps.rate_hz
    filter_taps = zero_phase.impulse_taps(taps.rate_hz, 0.0, REACH_S)
    reach = filter_taps.shape[1] // 2
    around = taps.age_s - np.arange(-reach, reach + 1) * interval  # of the samples that make the target
    noise = NOISE_RAD**2 / taps.stride
    angle = variance * process.covariance(before[None] - before[:, None]) + noise * np.eye(taps.count)
    target = variance * process.covariance(around[None] - before[:, None]) @ filter_taps.T
    ahead_s = taps.ahead * interval
    target = np.hstack([target, variance * process.covariance(before + ahead_s)[:, None]])  # (count, 4)
    # Relative to the newest tap: differences with it, and the values' targets less it.
    difference = np.hstack([-np.ones((taps.count - 1, 1)), np.eye(taps.count - 1)])
    target[:, [0, 3]] -= angle[:, :1]
    ramp, ramp_target = -before, np.array([-taps.age_s + before[0], 1.0, 0.0, ahead_s + before[0]])
    squares = difference @ (angle + drift_rad_s**2 * np.outer(ramp, ramp)) @ difference.T
    products = difference @ (target + drift_rad_s**2 * np.outer(ramp, ramp_target))
    if not gyroscope:
        return squares, products
    rates = before[: taps.rate_count]
    # Covariance of a value at t - x with a rate at t - y is -C'(y - x); of two rates, -C''.
    cross = -variance * process.slope(rates[None] - before[:, None])  # (count, rate_count)
    own = -variance * process.curvature(rates[None] - rates[:, None])
    own = own + RATE_NOISE_RAD_S**2 / taps.stride * np.eye(len(rates))
    rate_target = -variance * process.slope(rates[:, None] - around[None]) @ filter_taps.T
    rate_target = np.hstack([rate_target, -variance * process.slope(rates + ahead_s)[:, None]])
    rate_target[:, [0, 3]] -= cross[0][:, None]
    # A steady turning is seen by the gyroscope as it is.
    rate_target += drift_rad_s**2 * ramp_target
    own = own + drift_rad_s**2
    mixed = difference @ (cross + drift_rad_s**2 * ramp[:, None])
    return np.block([[squares, mixed], [mixed.T, own]]), np.vstack([products, rate_target])
