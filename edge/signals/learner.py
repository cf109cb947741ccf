"""What a filter learns of its wearer: weights by recursive ridge regression, and how far each expert is to be trusted.

The device knows the zero-phase derivatives of every moment 0.35 s later; they are the target of the regression and the
judge of all experts, so nobody has to label anything. The target holds noise of the very samples that the filter sees: its
share in the regression and in every judgement follows from the noise's size and is taken out.

Nothing here is done in the loop's thread, and all of it follows from the samples alone.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.signals.experts import fallbacks
from edge.signals.hindsight import Hindsight
from edge.signals.judge import Judge
from edge.signals.movement_prior import BRISK, NOISE_RAD, NormalEquations, normal_equations
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

MEMORY_S = 60.0  # of movement, after which a sample counts 1/e
REFIT_S = 0.25  # of new movement
_PRIOR_SAMPLES = 20.0  # what is known beforehand counts as so many samples at the start
_PRIOR_FADES_S = 15.0  # of movement
_PRIOR_STAYS = 0.01
_NOTICED_S = 1.5  # so long a sensor may be wrong before it is doubted: what was learned meanwhile is forgotten
_OUTLIER = 20.0  # a sample so many times the noise off its neighbours' curve is none to learn from
_MOVING = 5.0  # a window moves when a channel's spread is so many times its noise


@dataclass(frozen=True)
class Blend:
    """What the loop multiplies samples by: see `edge.signals.adaptive`."""

    weights: FloatArray  # (9 n_joints, samples x width): safe answers, full answers, samples ahead by three filters
    constant: FloatArray  # (9 n_joints,)
    rmse: FloatArray  # (3, n_joints) measured error; NaN until it is known


@dataclass
class Learned:
    """What is worth keeping beyond a session."""

    sums: NormalEquations
    movement_s: float  # how much movement went in

    @classmethod
    def nothing(cls, taps: Taps) -> Learned:
        size = taps.features
        return cls(NormalEquations(np.zeros((size, size)), np.zeros((size, taps.outputs))), 0.0)


class Learner:
    """Takes pieces of the sample stream, returns the blend to use from then on.

    Experts, in this order: the Kalman smoother, the filters for calm and for brisk movement, a bank fitted on other people
    where there is one, and the filter that learns.
    """

    def __init__(
        self, taps: Taps, *, learned: Learned | None = None, bank: NormalEquations | None = None, frozen: bool = False
    ) -> None:
        """bank: sums over other people's movement, one sample's worth; frozen: the wearer's filter is not learned further."""
        self.taps = taps
        self.learned = learned or Learned.nothing(taps)
        self.frozen = frozen
        self.refits = self.failed_refits = 0
        self.refit_ms = 0.0
        """How long the last refit took."""
        self._prior = normal_equations(taps, BRISK) if bank is None else bank
        self._experts = fallbacks(taps) + ([] if bank is None else [bank.solve()])
        self._experts.append(self._fit())
        # Weights are folded for the loop once: only the learning expert's change.
        self._folded = [taps.sample_weights(w) for w in self._experts]
        self._hindsight = Hindsight(taps)
        self._judge = Judge(taps, self._hindsight, self._experts)
        self._unfitted_s = 0.0
        self._in_doubt = 0  # samples for which a doubtful one is still in sight
        self._heard = 0  # samples so far
        self._noticed = round(_NOTICED_S * taps.rate_hz)
        # What was known, and when: one state from before anything could have been wrong unnoticed, and those since.
        self._before: deque[tuple[int, Learned]] = deque([(0, self.learned)])

    def learn(self, times_s: FloatArray, samples: FloatArray, restarted: bool, doubtful: bool = False) -> Blend:
        """Take the next samples, (m,) s and (m, width); `restarted`: they follow a gap; `doubtful`: some may be wrong.

        While a doubtful sample is in sight nothing is learned, and what was learned since it may have begun is forgotten.
        Errors are measured on.
        """
        self._heard += len(times_s)
        if doubtful:
            self._in_doubt = self._hindsight.reach_samples
            self._go_back()
        else:
            self._in_doubt = max(self._in_doubt - len(times_s), 0)
        past = self._hindsight.take(times_s, samples, restarted)
        noise = np.maximum(self._judge.noise_variance, (NOISE_RAD * self.taps.scale) ** 2)
        if not (self._hindsight.roughest <= _OUTLIER**2 * noise).all():
            # Noticed as it comes, before any moment whose window holds it is known: nothing is to be forgotten.
            self._in_doubt = self._hindsight.reach_samples
        if past is not None:
            self._judge.hear(np.stack([past.features @ w for w in self._experts]), past)
            if not self.frozen and not self._in_doubt and self._moves(past.features):
                self._add(past.features, past.target)
        return self._blend()

    def _add(self, features: FloatArray, target: FloatArray) -> None:
        span_s = len(features) / self.taps.rate_hz
        fade = np.exp(-span_s / MEMORY_S)
        sums = self.learned.sums
        products = features.T @ target - len(features) * self._hindsight.noise_products(self._judge.noise_variance)
        self.learned = Learned(
            NormalEquations(fade * sums.features + features.T @ features, fade * sums.targets + products),
            self.learned.movement_s + span_s,
        )
        self._unfitted_s += span_s
        if self._unfitted_s >= REFIT_S - 1e-9:
            self._unfitted_s = 0.0
            if not self._refit():
                self._go_back()
                return
            self._before.append((self._heard, self.learned))
            while len(self._before) > 1 and self._before[1][0] <= self._heard - self._noticed:
                self._before.popleft()

    def _go_back(self) -> None:
        """Know what was known before something may have gone wrong."""
        if self.learned is self._before[0][1]:
            return
        self.learned = self._before[0][1]
        self._before.clear()
        self._before.append((self._heard, self.learned))
        self._refit()

    def _refit(self) -> bool:
        """Fit the learning expert anew; False for sums that have no solution, as of a channel in quite another unit."""
        start_ns = time.perf_counter_ns()
        try:
            weights = self._fit()
        except np.linalg.LinAlgError:
            weights = np.full_like(self._experts[-1], np.nan)
        if not np.isfinite(weights).all():
            self.failed_refits += 1
            return False
        self._experts[-1] = weights
        self._folded[-1] = self.taps.sample_weights(weights)
        self._judge.changed(len(self._experts) - 1, weights)
        self.refits += 1
        self.refit_ms = (time.perf_counter_ns() - start_ns) * 1e-6
        return True

    def _blend(self) -> Blend:
        n = self.taps.n_joints
        safe, full = self._judge.shares()
        weights, constants = [], []
        for share in (safe, full):
            weights.append(sum((s[:, None] * w[: 3 * n] for s, (w, _) in zip(share, self._folded, strict=True)), 0.0))
            constants.append(sum((s * c[: 3 * n] for s, (_, c) in zip(share, self._folded, strict=True)), 0.0))
        for expert in (-1, 1, 2):
            weights.append(self._folded[expert][0][3 * n :])
            constants.append(self._folded[expert][1][3 * n :])
        return Blend(np.vstack(weights), np.concatenate(constants), self._judge.rmse())

    def _moves(self, features: FloatArray) -> bool:
        """Whether there is anything to learn from: standing still would only make what was learned fade."""
        count = self.taps.count - 1
        relative = features[:, : self.taps.n_joints * count].reshape(len(features), self.taps.n_joints, count)
        spread = relative.var(axis=2).mean(axis=0)
        return bool((spread > _MOVING**2 * self._judge.noise_variance).any())

    def _fit(self) -> FloatArray:
        """The learning expert's weights: ridge regression towards what was known beforehand."""
        prior = _PRIOR_SAMPLES * (np.exp(-self.learned.movement_s / _PRIOR_FADES_S) + _PRIOR_STAYS)
        sums = self.learned.sums
        matrix = sums.features + prior * self._prior.features
        # NumPy's solver, unlike SciPy's, lets the loop's thread run meanwhile.
        return np.asarray(np.linalg.solve(matrix, sums.targets + prior * self._prior.targets))
