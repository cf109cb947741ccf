"""FIR differentiation: every output is one weighted sum of the last 0.6 s of all channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.signals.differentiator import Derivatives, Differentiator, unknown_error
from edge.signals.experts import starting_weights
from edge.signals.movement_prior import ANY_DRIFT_RAD_S, BRISK, NormalEquations, normal_equations
from edge.signals.sample_window import SampleWindow
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

WARM_UP_S = 0.15


class FirDifferentiator(Differentiator):
    """One matrix times the window. Without a bank, the matrix is the best one for movement in general."""

    def __init__(self, taps: Taps, bank: NormalEquations | None = None) -> None:
        super().__init__(taps.n_joints, taps.rate_hz, taps.age_s)
        self.taps = taps
        weights = normal_equations(taps, BRISK, ANY_DRIFT_RAD_S).solve() if bank is None else bank.solve()
        fewest = max(10, round(WARM_UP_S * taps.rate_hz), int(np.ceil(taps.age_s * taps.rate_hz)) + 5)
        fewest_taps = -(-fewest // taps.stride)
        # The first taps that suffice, and one more at a time until the window is full.
        self._matrices = {
            count: taps.sample_weights(starting_weights(taps, count), count) for count in range(fewest_taps, taps.count)
        }
        self._matrices[taps.count] = taps.sample_weights(weights)
        self._unknown = unknown_error(taps.n_joints)
        self._samples = SampleWindow(taps, fewest_taps)

    def restart(self) -> None:
        self._samples.restart()

    def push(self, t_s: float, q: FloatArray, rate: FloatArray | None = None) -> Derivatives | None:
        if self._samples.ends_a_gap(t_s):
            self.restart()
        window, count = self._samples.take(t_s, q, rate)
        if window is None:
            return None
        weights, constant = self._matrices[count]
        out = (weights @ window + constant)[: 3 * self.n_joints].reshape(3, self.n_joints)
        return Derivatives(t_s - self.age_s, out[0], out[1], out[2], self.age_s, self._unknown)
