"""Causal differentiation: value, rate and acceleration of every channel at a moment that lies `age_s` in the past.

The same code makes the network's inputs in training and on the device, so the network learns to live with its lag. Each
output carries its age, and its error as measured on the run itself against a smoother that sees 0.3 s further.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.errors import ConfigError
from edge.signals.adaptive import AdaptiveDifferentiator
from edge.signals.differentiator import REFERENCE_AGE_S, Derivatives, Differentiator
from edge.signals.fir import FirDifferentiator
from edge.signals.kalman import KalmanSmoother
from edge.signals.learner import Learned
from edge.signals.measured import Measured
from edge.signals.movement_prior import NormalEquations
from edge.signals.savgol import SavitzkyGolay
from edge.signals.taps import Taps

__all__ = ["METHODS", "REFERENCE_AGE_S", "Derivatives", "Differentiator", "create"]

METHODS = ("kalman", "savgol", "fir", "adaptive")


def create(
    method: str,
    *,
    n_joints: int,
    rate_hz: float,
    age_s: float,
    background: bool = True,
    gyroscopes: Sequence[int] = (),
    scale: npt.NDArray[np.float64] | None = None,
    bank: NormalEquations | None = None,
    learned: Learned | None = None,
    frozen: bool = False,
) -> Differentiator:
    """A differentiator by name.

    `kalman`: fixed-lag Kalman smoother, the safe default. `savgol`: least-squares cubic over a sliding window. `fir`: fixed
    weights over all channels, best for movement in general or for the people of a `bank`. `adaptive`: the same, and it learns
    the wearer while they move, in a thread of its own or (`background` false) inside `push`; both give the same bits.

    gyroscopes: channels whose rate is measured too and comes with every sample (`kalman` and `savgol` do without).
    scale: (n_joints,) the size of each channel's movements against a joint's in rad; 1 for angles. learned: what an
    adaptive filter knew at the end of an earlier session; frozen: it does not learn further. Raises ConfigError.
    """
    if n_joints < 1 or not (rate_hz > 0) or not (0 <= age_s <= REFERENCE_AGE_S):
        raise ConfigError(
            f"differentiator: n_joints {n_joints}, rate_hz {rate_hz:g}, age_s {age_s:g} cannot be used: "
            f"rate_hz must be positive and age_s from 0 to {REFERENCE_AGE_S:g}"
        )
    if method == "kalman":
        return Measured(KalmanSmoother(n_joints, rate_hz, age_s))
    if method == "savgol":
        return Measured(SavitzkyGolay(n_joints, rate_hz, age_s))
    if method not in METHODS:
        raise ConfigError(f"differentiator: unknown method '{method}': use one of {', '.join(METHODS)}")
    taps = Taps(n_joints, rate_hz, age_s, tuple(gyroscopes), np.ones(n_joints) if scale is None else scale)
    if method == "fir":
        return Measured(FirDifferentiator(taps, bank))
    return AdaptiveDifferentiator(taps, background=background, bank=bank, learned=learned, frozen=frozen)
