"""A network corrected while its wearer moves, without labels: a teacher tells later what the answer should have been.

The teachers are late, and therefore better: a network on zero-phase kinematics, and the network for an older moment. What is
wrong with them all, as everybody's networks are about somebody new, nothing here can see. Two things limit the harm: the
network's own answer is a third of what it is taught, so that independent errors average out; and teachers who agree with each
other hardly better than with the network do not teach it.

A correction is used only if it lowers the error on the newest seconds, which it was not learned from; it is taken back when
later seconds show it to be worse than none, when the teachers fall out, and when the movement changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.adaptation.readout import Lesson, Prior, Sums

FloatArray = npt.NDArray[np.float64]

Outcome = Literal["adapted", "kept", "taken back", "teachers disagree", "movement changed"]

OWN_SHARE = 1.0 / 3.0
TRUST = 2.0
"""The teachers' mean must differ from the network by so many times the mean square by which two of them differ. Were all errors
independent, the network's would then be 3.5 times as large as a teacher's."""
JUDGE_S = 2.0  # the newest seconds, which judge: nearly two strides
CHANGED = 0.5
"""A movement has changed when the newest `JUDGE_S` differ so much from what was learned, see `_difference`. Two seconds of steady
walking differ by up to 0.23 (four people), with one second of running or of a squat among them by 0.6 and more."""
_ROUND_S = 0.5  # of new windows, between two judgements
_LEAST_S = 1.2  # of windows, before anything is learned of them: a stride
_LEAST_GAIN = 0.05  # of the error: less is not worth another network
_JUDGES = 0.75  # of the windows of `JUDGE_S` must be there: after a gap there are fewer
_MEMORY_S = 60.0  # after which a window counts 1/e
_STILL = 0.1  # of everybody's deviation: a feature that varies less does not tell movements apart by it


@dataclass(frozen=True, eq=False)
class Verdict:
    """What became of a judgement.

    Errors are mean squares on the newest seconds against what was taught, in squares of the rows' deviations.
    """

    outcome: Outcome
    correction: FloatArray | None  # to be used from now on; None: the network as it was trained
    uncorrected: float
    before: float  # of the network in use
    after: float  # of the new one, used or not
    learned_s: float  # length of what it was learned from


@dataclass(frozen=True, eq=False)
class Taught:
    """Some moments in the order of their times, with what the teacher says of them."""

    time_s: FloatArray  # (m,) of the described moments
    frames: FloatArray  # (m, moving) how the joints move, see `Adaptable.moving_deviation`
    taps: FloatArray  # (m, taps)
    missing: FloatArray  # (teachers, m, rows) what the uncorrected network lacks of each; NaN where one says nothing

    def take(self, which: npt.NDArray[np.bool_]) -> Taught:
        return Taught(self.time_s[which], self.frames[which], self.taps[which], self.missing[:, which])

    def then(self, later: Taught) -> Taught:
        return Taught(
            np.concatenate([self.time_s, later.time_s]),
            np.concatenate([self.frames, later.frames]),
            np.concatenate([self.taps, later.taps]),
            np.concatenate([self.missing, later.missing], axis=1),
        )

    @property
    def lesson(self) -> Lesson:
        """With the network's own share in what is taught."""
        return Lesson(self.taps, (1.0 - OWN_SHARE) * self.missing.mean(axis=0))

    def disagreement(self, prior: Prior) -> FloatArray:
        """Sums over everything of squares: of teachers' mean against the network, and of two teachers against each other."""
        gap = self.missing.mean(axis=0) / prior.row_deviation
        apart = 2.0 * self.missing.var(axis=0, ddof=1) / prior.row_deviation**2 if len(self.missing) > 1 else 0.0 * gap
        known = np.isfinite(gap)
        return np.array([(gap[known] ** 2).sum(), apart[known].sum()])


class _Statistics:
    """Mean and deviation of the kinematics that were learned."""

    def __init__(self, features: int) -> None:
        self._count = 0.0
        self._sum = np.zeros(features)
        self._square = np.zeros(features)

    def fade(self, share: float) -> None:
        self._count *= share
        self._sum *= share
        self._square *= share

    def add(self, frames: FloatArray) -> None:
        self._count += len(frames)
        self._sum += frames.sum(axis=0)
        self._square += (frames**2).sum(axis=0)

    @property
    def mean(self) -> FloatArray:
        return self._sum / self._count

    @property
    def deviation(self) -> FloatArray:
        return np.sqrt(np.maximum(self._square / self._count - self.mean**2, 0.0))


class Learner:
    """Takes moments as the teacher's answers come in; gives a verdict after every half second of them."""

    def __init__(self, prior: Prior, *, window: int, rate_hz: float, moving_deviation: FloatArray) -> None:
        """window: of the network, in frames. moving_deviation: see `edge.adaptation.adaptable.Adaptable`."""
        self._prior = prior
        self._window_s = window / rate_hz
        self._rate_hz = rate_hz
        self._still = _STILL * moving_deviation
        self.correction: FloatArray | None = None
        """In use, (taps, rows); None: the network as it was trained."""
        self._forget()

    def _forget(self) -> None:
        self._sums = Sums(self._prior)
        self._known = _Statistics(len(self._still))
        self._disagreement = np.zeros(2)
        self._learned_s = 0.0
        self._unjudged_s = 0.0
        self._recent: Taught | None = None

    def roll_back(self) -> None:
        """Go on with the network as it was trained, and learn anew."""
        self.correction = None
        self._forget()

    def take(self, taught: Taught) -> Verdict | None:
        """Take the next moments; a verdict where enough is known for one. What is older than all before begins a new session."""
        if not len(taught.time_s):
            return None
        if self._recent is not None and taught.time_s[0] <= self._recent.time_s[-1]:
            self.roll_back()
        self._recent = taught if self._recent is None else self._recent.then(taught)
        self._unjudged_s += len(taught.time_s) / self._rate_hz
        newest = self._recent.time_s[-1]
        held = self._recent.take(self._recent.time_s > newest - JUDGE_S)
        if self._unjudged_s >= _ROUND_S - 1e-9 and len(held.time_s) >= _JUDGES * JUDGE_S * self._rate_hz:
            self._unjudged_s = 0.0
            if self._has_changed(held):
                return self._restart(held)
            # What judges shares no frame with what is learned.
            old = self._recent.time_s <= newest - JUDGE_S - self._window_s
            self._learn(self._recent.take(old))
            self._recent = self._recent.take(~old)
            if self._learned_s >= _LEAST_S:
                return self._judge(held)
        return None

    def _learn(self, taught: Taught) -> None:
        span_s = len(taught.time_s) / self._rate_hz
        if span_s == 0.0:
            return
        fade = math.exp(-span_s / _MEMORY_S)
        self._sums.fade(fade)
        self._known.fade(fade)
        self._disagreement *= fade
        self._disagreement += taught.disagreement(self._prior)
        self._sums.add(taught.lesson)
        self._known.add(taught.frames)
        self._learned_s += span_s

    def _has_changed(self, held: Taught) -> bool:
        return self._learned_s >= _LEAST_S and self._difference(held.frames) > CHANGED

    def _difference(self, frames: FloatArray) -> float:
        """Root mean square over the features of the mean's shift, in deviations, and the logarithm of the deviations' ratio."""
        usual = np.maximum(self._known.deviation, self._still)
        shift = (frames.mean(axis=0) - self._known.mean) / usual
        stretch = np.log(np.maximum(frames.std(axis=0), self._still) / usual)
        return float(np.sqrt((shift**2 + stretch**2).mean()))

    def _restart(self, held: Taught) -> Verdict:
        error = held.lesson.error(self._prior, None)
        before = held.lesson.error(self._prior, self.correction)
        self.roll_back()
        return Verdict("movement changed", None, error, before, error, 0.0)

    def _judge(self, held: Taught) -> Verdict:
        lesson = held.lesson
        candidate = self._sums.solve()
        uncorrected, before, after = (lesson.error(self._prior, c) for c in (None, self.correction, candidate))
        gap, apart = self._disagreement + held.disagreement(self._prior)
        outcome: Outcome = "kept"
        if gap < TRUST * apart:
            outcome, self.correction = "teachers disagree", None
        elif after < (1.0 - _LEAST_GAIN) * min(before, uncorrected):
            outcome, self.correction = "adapted", candidate
        elif self.correction is not None and uncorrected < before:
            outcome, self.correction = "taken back", None
        return Verdict(outcome, self.correction, uncorrected, before, after, self._learned_s)
