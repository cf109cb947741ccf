"""Filters that are ready before any movement was seen: the ones that a learning filter falls back on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.signals.kalman import KalmanSmoother
from edge.signals.movement_prior import BRISK, CALM, normal_equations, one_joint_weights
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

_SETTLE = 6  # windows after which the Kalman smoother's gains do not change any more


def fallbacks(taps: Taps) -> list[FloatArray]:
    """Weights (features, outputs) of the Kalman smoother and of the two processes' best filters."""
    return [kalman_weights(taps), *(normal_equations(taps, process).solve() for process in (CALM, BRISK))]


def kalman_weights(taps: Taps) -> FloatArray:
    """The settled fixed-lag Kalman smoother as an FIR filter: at even intervals it is one, up to what it has forgotten.

    Found by its answers to impulses: every channel of one run has its impulse at another tap of the last window. It says
    nothing about the sample ahead.
    """
    rate_hz = taps.rate_hz / taps.stride
    age_s = max(taps.age_s - taps.tap_times_s()[0], 0.0)
    smoother = KalmanSmoother(taps.count, rate_hz, age_s)
    samples = np.zeros((_SETTLE * taps.count, taps.count))
    samples[-1 - np.arange(taps.count), np.arange(taps.count)] = 1.0
    for i, sample in enumerate(samples):
        out = smoother.push(i / rate_hz, sample)
    assert out is not None
    answers = np.stack([out.q, out.qd, out.qdd], axis=1)  # (count, 3): by the newest tap first
    # A constant passes unchanged although the window is cut: features are relative to the newest tap.
    weights = np.zeros((taps.features, taps.outputs))
    for j in range(taps.n_joints):
        weights[np.ix_(taps.joint(j)[: taps.count - 1], taps.of_joint(j)[:3])] = answers[1:]
    return weights


def starting_weights(taps: Taps, count: int) -> FloatArray:
    """(features, outputs): for the first `count` taps after a start, the mean of what is best for either process."""
    weights = np.zeros((taps.features, taps.outputs))
    for has in {j in taps.gyroscopes for j in range(taps.n_joints)}:
        mean = np.mean([one_joint_weights(taps, process, has, count) for process in (CALM, BRISK)], axis=0)
        for j in range(taps.n_joints):
            if (j in taps.gyroscopes) == has:
                weights[np.ix_(taps.joint(j), taps.of_joint(j))] = mean
    return weights
