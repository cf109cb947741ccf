"""When a foot stands: stance and swing from the vertical ground reaction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ON_N = 20.0  # a force that begins a contact (Zeni et al. 2008)
OFF_N = 10.0  # and one that ends it (Tirosh & Sparrow 2003): two thresholds, so that noise about one makes no steps
SHORTEST_S = 0.05  # of a stance or a swing: a quarter of a sprinter's


@dataclass(frozen=True)
class Phases:
    """Stance and swing of one foot. A contact that the recording begins or ends in has no strike or no off there."""

    stance: BoolArray  # (rows,)
    strikes_s: FloatArray  # when the vertical force rises through the first threshold
    offs_s: FloatArray  # when it falls through the second

    @property
    def contacts(self) -> list[slice]:
        """The rows of every contact, in order."""
        return runs(self.stance)


def runs(mask: BoolArray) -> list[slice]:
    """The stretches (slices) over which a mask (rows,) holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def phases(
    time_s: FloatArray,
    vertical_n: FloatArray,
    *,
    on_n: float = ON_N,
    off_n: float = OFF_N,
    shortest_s: float = SHORTEST_S,
) -> Phases:
    """Stance and swing from the vertical force (rows,) in N at `time_s`.

    A contact begins when the force reaches `on_n` and lasts until it falls below `off_n`. A gap shorter than `shortest_s`
    does not end it, and what then remains shorter is no contact, unless the recording begins or ends in it. Times of the
    events are interpolated between the rows.
    """
    decided = (vertical_n >= on_n) | (vertical_n < off_n)
    rows = np.arange(len(vertical_n))
    last = np.maximum.accumulate(np.where(decided, rows, -1))
    first = int(np.argmax(decided)) if decided.any() else 0
    stance = np.asarray(vertical_n[np.where(last < 0, first, last)] >= on_n)
    for short_is in (False, True):  # gaps first: a contact that flickers is one contact
        for run in runs(stance == short_is):
            inside = run.start > 0 and run.stop < len(rows)
            if inside and time_s[run.stop] - time_s[run.start] < shortest_s:
                stance[run] = not short_is
    strikes = [_crossing(time_s, vertical_n, r.start, on_n) for r in runs(stance) if r.start > 0]
    offs = [_crossing(time_s, vertical_n, r.stop, off_n) for r in runs(stance) if r.stop < len(rows)]
    return Phases(stance, np.array(strikes), np.array(offs))


def _crossing(time_s: FloatArray, force_n: FloatArray, row: int, level_n: float) -> float:
    """When the force goes through a level between a row and the one before it; the row's time where it does not."""
    before, after = force_n[row - 1], force_n[row]
    if (before < level_n) == (after < level_n):
        return float(time_s[row])
    share = (level_n - before) / (after - before)
    return float(time_s[row - 1] + share * (time_s[row] - time_s[row - 1]))
