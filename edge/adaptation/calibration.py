"""A network corrected by a few seconds in which the wearer's joint torques were measured, with force plates or an instrumented
treadmill: three seconds of both legs bring a new wearer near a network of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.adaptation.adaptable import Adaptable
from edge.adaptation.readout import Lesson, Sums
from edge.errors import TrialError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_FEWEST_WINDOWS = 50


@dataclass(frozen=True, eq=False)
class Calibration:
    """before, after: mean square error on windows that were held out, in squares of the rows' deviations over all people."""

    correction: FloatArray | None  # (taps, rows) of all windows; None where it did not help on those held out
    before: float
    after: float


def calibrate(
    adaptable: Adaptable,
    windows: npt.NDArray[np.floating],
    wanted: FloatArray,
    *,
    judge: BoolArray,
    learn: BoolArray,
) -> Calibration:
    """Learn a correction of measured torques.

    windows: (m, window, features) what the network sees. wanted: (m, rows) the measured torque less all that does not come from
    the corrected answers, in mass x gravity x leg length, see `edge.adaptation.adapter.Piece`; NaN where it is not known.
    judge, learn: (m,) windows that share no frame: a correction of `learn` alone must lower the error on `judge`; what is given
    then is that of all windows. Raises TrialError for too few windows.
    """
    if learn.sum() < _FEWEST_WINDOWS or not np.isfinite(wanted[judge]).any():
        raise TrialError(
            f"{learn.sum()} windows with measured torques are left to learn from beside the {judge.sum()} that judge, at least "
            f"{_FEWEST_WINDOWS} and some are needed: record a few seconds more on the force plates"
        )
    taps, answer = adaptable.read(adaptable.taps_engine(), windows)
    missing = wanted - answer

    def corrected(which: BoolArray) -> FloatArray:
        sums = Sums(adaptable.prior)
        sums.add(Lesson(taps[which], missing[which]))
        return sums.solve()

    held = Lesson(taps[judge], missing[judge])
    before = held.error(adaptable.prior, None)
    after = held.error(adaptable.prior, corrected(learn))
    everything = np.ones(len(taps), dtype=bool)
    return Calibration(corrected(everything) if after < before else None, before, after)
