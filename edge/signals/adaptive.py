"""A differentiator that learns its wearer while they move.

It blends experts (`edge.signals.learner`) by their errors of a third of a second ago. What has changed since then shows in
something else at once: whether the filter that knows the wearer still foretells the next samples. If it does worse than the
filters for movement in general, the safe experts alone answer, the same moment.
"""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import numpy.typing as npt

from edge.signals.differentiator import Derivatives, Differentiator
from edge.signals.kalman import KalmanSmoother
from edge.signals.learner import Blend, Learned, Learner
from edge.signals.movement_prior import NormalEquations
from edge.signals.sample_window import SampleWindow
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

PIECE_S = 0.05
"""The learner is handed a piece of the stream this long; what it makes of it is used from the next piece on."""
_SURPRISE_S = 0.05  # over which foretold samples are compared with those that came
_SURPRISE_FLOOR_RAD = np.radians(0.1)  # differences below are the sensor's noise
_DOUBT_POWER = 12
_DOUBT_RATIO = 1.2  # of the mean squares, at which trust is one half


class AdaptiveDifferentiator(Differentiator):
    """In the loop's thread: one matrix times the window. All learning and judging is the `Learner`'s, piece by piece.

    With `background` the learner works in a thread of its own and has one piece's time for each piece; without, it works
    inside `push`. Both use an answer at the same sample, so both give the same bits. Should the thread not be ready then,
    because the machine stood still or samples come in a burst, the loop waits the few ms that it takes; `waits` counts it.
    For the first 0.6 s after a start or a gap it is the Kalman smoother.
    """

    def __init__(
        self,
        taps: Taps,
        *,
        background: bool,
        bank: NormalEquations | None = None,
        learned: Learned | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__(taps.n_joints, taps.rate_hz, taps.age_s)
        self.taps = taps
        self.waits = 0
        self._stopped = False
        self._learner = Learner(taps, learned=learned, bank=bank, frozen=frozen)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="filter") if background else None
        self._pending: Future[Blend] | Blend | None = None
        self._piece = max(1, round(PIECE_S * taps.rate_hz))
        self._piece_times = np.zeros(self._piece)
        self._piece_samples = np.zeros((self._piece, taps.width))
        self._start = KalmanSmoother(taps.n_joints, taps.rate_hz, taps.age_s)
        self._forget = float(np.exp(-1.0 / (_SURPRISE_S * taps.rate_hz)))
        self._floor = float((_SURPRISE_FLOOR_RAD**2) * taps.n_joints)
        self._ahead = taps.ahead
        self._per_scale = None if (taps.scale == 1.0).all() else 1.0 / taps.scale
        self._samples = SampleWindow(taps, taps.count)
        self.restart()
        self._use(self._learner.learn(np.zeros(0), np.zeros((0, taps.width)), False))

    @property
    def learned(self) -> Learned:
        """What was learned of the wearer so far; waits for the piece that is being worked on."""
        if isinstance(self._pending, Future):
            wait([self._pending])
        return self._learner.learned

    @property
    def refits(self) -> int:
        """How often the learning filter was fitted anew."""
        return self._learner.refits

    @property
    def failed_refits(self) -> int:
        """How often that had no solution, and what was known before went on."""
        return self._learner.failed_refits

    @property
    def refit_ms(self) -> float:
        """How long the last refit took; 0 before the first."""
        return self._learner.refit_ms

    def restart(self) -> None:
        self._samples.restart()
        self._start.restart()
        self._handed = 0  # samples in the piece
        self._after_gap = True
        self._doubted = False
        self._foretold: deque[FloatArray] = deque(maxlen=self._ahead)
        # Mean squares of what came, less what was foretold by the learning filter and those for calm and brisk movement.
        self._surprise = 0.0, 0.0, 0.0

    def doubt(self) -> None:
        self._doubted = True

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def push(self, t_s: float, q: FloatArray, rate: FloatArray | None = None) -> Derivatives | None:
        if self._samples.ends_a_gap(t_s):
            self.restart()
        window, _ = self._samples.take(t_s, q, rate)
        at = self._handed
        self._piece_times[at] = t_s
        self._piece_samples[at] = self._samples.newest
        self._handed = at + 1
        out = self._start.push(t_s, q) if window is None else self._answer(t_s, q, window)
        if self._handed == self._piece:
            self._hand_over()
        return out

    def _answer(self, t_s: float, q: FloatArray, window: FloatArray) -> Derivatives:
        n = self.n_joints
        answer = self._weights @ window + self._constant
        trust = self._trust(q)
        self._foretold.append(answer[6 * n :])
        safe = answer[: 3 * n]
        out = (safe + trust * (answer[3 * n : 6 * n] - safe)).reshape(3, n)
        return Derivatives(t_s - self.age_s, out[0], out[1], out[2], self.age_s, self._rmse)

    def _trust(self, q: FloatArray) -> float:
        """From 0 to 1: how well the learning filter foretold the last samples, against filters for movement in general."""
        if self._stopped:
            return 0.0
        if len(self._foretold) < self._ahead:
            return 1.0
        wrong = self._foretold[0].reshape(3, -1) - q
        if self._per_scale is not None:
            wrong *= self._per_scale
        new = 1.0 - self._forget
        own, calm, brisk = (
            self._forget * before + new * now
            for before, now in zip(self._surprise, np.einsum("ej,ej->e", wrong, wrong).tolist(), strict=True)
        )
        if not math.isfinite(own + calm + brisk):
            self._surprise = 0.0, 0.0, 0.0
            return 0.0
        self._surprise = own, calm, brisk
        ratio = min((own + self._floor) / (min(calm, brisk) + self._floor) / _DOUBT_RATIO, 10.0)
        return float(1.0 / (1.0 + ratio**_DOUBT_POWER))

    def _hand_over(self) -> None:
        """Use what came of the last piece, and give the learner this one."""
        piece = self._piece_times.copy(), self._piece_samples.copy(), self._after_gap, self._doubted
        self._handed = 0
        self._after_gap = self._doubted = False
        if self._stopped:
            return
        try:
            pending = self._pending
            if isinstance(pending, Future):
                self.waits += not pending.done()
                pending = pending.result()
            if pending is not None:
                self._use(pending)
            learn = self._learner.learn
            self._pending = learn(*piece) if self._pool is None else self._pool.submit(learn, *piece)
        except Exception as error:  # noqa: BLE001 - no failure of what runs beside the loop may stop the loop
            self._stop(f"{type(error).__name__}: {error}")

    def _stop(self, reason: str) -> None:
        """Learning has failed: from now on the safe experts alone answer, as they are."""
        self._stopped, self._pending = True, None
        self.failure = reason

    def _use(self, blend: Blend) -> None:
        self._weights, self._constant, self._rmse = blend.weights, blend.constant, blend.rmse
