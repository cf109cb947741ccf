"""A linear correction of a network's answer, read from all of its dense layers, by ridge regression towards no correction.

What the penalty weighs is how much a correction would change the answers to other people's windows: so many of them stand
against the wearer's. The solution is closed, exact and takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

PRIOR_WINDOWS = 300.0
"""So many windows of other people stand against the wearer's; between 100 and 1000 make little difference."""
_FLOOR = 1e-4  # of the mean square of a tap: a unit that rests in everybody else does not answer for free


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known of everybody else.

    gram: (taps, taps) mean of tap x tap over their windows. row_deviation: (rows,) of their torque less the contact-free one, in
    mass x gravity x leg length.
    """

    gram: FloatArray
    row_deviation: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """Of a correction: taps, rows."""
        return len(self.gram), len(self.row_deviation)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What some moments tell."""

    taps: FloatArray  # (m, taps)
    missing: FloatArray  # (m, rows) what the answers lack, in mass x gravity x leg length; NaN where it is not known

    def error(self, prior: Prior, correction: FloatArray | None) -> float:
        """Mean square of what is still missing, each row in units of its deviation; NaN where nothing is known."""
        left = self.missing if correction is None else self.missing - self.taps @ correction
        square = (left / prior.row_deviation) ** 2
        known = np.isfinite(square)
        return float(square[known].mean()) if known.any() else float("nan")


class Sums:
    """Normal equations of a correction; every row has its own."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        taps, rows = prior.shape
        self._matrix = np.zeros((rows, taps, taps))
        self._right = np.zeros((rows, taps))

    def fade(self, share: float) -> None:
        """Let everything so far count less."""
        self._matrix *= share
        self._right *= share

    def add(self, lesson: Lesson) -> None:
        """Take moments."""
        known = np.isfinite(lesson.missing)
        if known.all():
            self._matrix += lesson.taps.T @ lesson.taps
        else:
            self._matrix += np.stack([lesson.taps[own].T @ lesson.taps[own] for own in known.T])
        self._right += np.where(known, lesson.missing, 0.0).T @ lesson.taps

    def solve(self, windows: float = PRIOR_WINDOWS) -> FloatArray:
        """The correction (taps, rows); windows: of other people that stand against it."""
        gram = self._prior.gram
        penalty = gram + _FLOOR * gram.trace() / len(gram) * np.eye(len(gram))
        # NumPy's solver lets other threads run meanwhile.
        solved = np.linalg.solve(self._matrix + windows * penalty, self._right[..., None])
        return np.ascontiguousarray(solved[..., 0].T)
