"""How well estimates agree with a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

ACTIVE_RANGE = 0.05  # a muscle whose reference activation moves less than this rests: its own R2 means nothing
_ROUNDING = 1e-9  # of the largest value: a reference that moves less is constant
_MOVES = 1e-3  # of the largest range: a column that moves less, as a solver's noise does, has no range to divide by


def r2(reference: FloatArray, estimate: FloatArray) -> float | None:
    """1 - squared error / variance about each column's own mean, pooled over the columns of (frames, columns).

    Stricter than with one mean for all columns, which would credit knowing which muscle is strong. None for a reference
    that is constant.
    """
    if np.ptp(reference, axis=0).max() <= _ROUNDING * np.abs(reference).max():
        return None
    spread = float(((reference - reference.mean(axis=0)) ** 2).sum())
    return 1.0 - float(((reference - estimate) ** 2).sum()) / spread


def nrmse(reference: FloatArray, estimate: FloatArray) -> float | None:
    """Root mean square error over the range of the reference, averaged over the columns that move.

    None for a reference that is constant.
    """
    spread = np.ptp(reference, axis=0)
    moving = spread > max(_MOVES * float(spread.max()), _ROUNDING * float(np.abs(reference).max()))
    error = np.sqrt(((reference - estimate) ** 2).mean(axis=0))
    return float((error[moving] / spread[moving]).mean()) if moving.any() else None


def rmse(reference: FloatArray, estimate: FloatArray) -> float:
    """Root mean square error over everything."""
    return float(np.sqrt(((reference - estimate) ** 2).mean()))


MEASURES: Mapping[str, Any] = {"r2": r2, "nrmse": nrmse, "rmse": rmse}


def agreement(
    activation: tuple[FloatArray, FloatArray] | None,
    force: tuple[FloatArray, FloatArray] | None,
    muscle_names: Sequence[str],
) -> dict[str, Any]:
    """`pooled`, `active_muscles` and `muscles` of the (reference, estimate) pairs given, each (frames, n_muscles).

    `active_muscles` are the means over the muscles that do something. None stands for what has no value: the R2 of a
    muscle that does not move, the mean over no muscle.
    """
    pairs = {name: pair for name, pair in (("activation", activation), ("force", force)) if pair is not None}
    pooled: dict[str, float | None] = {}
    muscles: dict[str, dict[str, Any]] = {m: {} for m in muscle_names}
    for name, (reference, estimate) in pairs.items():
        for measure, function in MEASURES.items():
            pooled[f"{name}_{measure}"] = function(reference, estimate)
            for i, m in enumerate(muscle_names):
                muscles[m][f"{name}_{measure}"] = function(reference[:, [i]], estimate[:, [i]])
    if activation is not None:
        active = np.ptp(activation[0], axis=0) > ACTIVE_RANGE
    else:
        assert force is not None
        active = np.ptp(force[0], axis=0) > ACTIVE_RANGE * np.abs(force[0]).max()
    for i, m in enumerate(muscle_names):
        muscles[m]["active"] = bool(active[i])
    means = {key: _mean([muscles[m][key] for i, m in enumerate(muscle_names) if active[i]]) for key in pooled}
    return {"pooled": pooled, "active_muscles": means, "muscles": muscles}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
