"""How well estimates agree with a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

ACTIVE_RANGE = 0.05  # a muscle whose reference activation moves less than this rests: its own R2 means nothing


def r2(reference: FloatArray, estimate: FloatArray) -> float:
    """1 - squared error / variance about each column's own mean, pooled over the columns of (frames, columns).

    Stricter than with one mean for all columns, which would credit knowing which muscle is strong.
    """
    spread = float(((reference - reference.mean(axis=0)) ** 2).sum())
    return 1.0 - float(((reference - estimate) ** 2).sum()) / spread if spread > 0 else float("nan")


def nrmse(reference: FloatArray, estimate: FloatArray) -> float:
    """Root mean square error over the range of the reference, averaged over the columns that move at all."""
    spread = np.ptp(reference, axis=0)
    moving = spread > 0
    error = np.sqrt(((reference - estimate) ** 2).mean(axis=0))
    return float((error[moving] / spread[moving]).mean()) if moving.any() else float("nan")


def agreement(
    activation: tuple[FloatArray, FloatArray] | None,
    force: tuple[FloatArray, FloatArray] | None,
    muscle_names: Sequence[str],
) -> dict[str, Any]:
    """`pooled`, `active_muscles` and `muscles` of the (reference, estimate) pairs given, each (frames, n_muscles)."""
    pairs = {name: pair for name, pair in (("activation", activation), ("force", force)) if pair is not None}
    pooled: dict[str, float] = {}
    muscles: dict[str, dict[str, Any]] = {m: {} for m in muscle_names}
    for name, (reference, estimate) in pairs.items():
        pooled[f"{name}_r2"] = r2(reference, estimate)
        pooled[f"{name}_nrmse"] = nrmse(reference, estimate)
        pooled[f"{name}_rmse"] = float(np.sqrt(((reference - estimate) ** 2).mean()))
        for i, m in enumerate(muscle_names):
            muscles[m][f"{name}_r2"] = r2(reference[:, [i]], estimate[:, [i]])
            muscles[m][f"{name}_nrmse"] = nrmse(reference[:, [i]], estimate[:, [i]])
            muscles[m][f"{name}_rmse"] = float(np.sqrt(((reference[:, i] - estimate[:, i]) ** 2).mean()))
    if activation is not None:
        active = np.ptp(activation[0], axis=0) > ACTIVE_RANGE
    else:
        assert force is not None
        active = np.ptp(force[0], axis=0) > ACTIVE_RANGE * np.abs(force[0]).max()
    for i, m in enumerate(muscle_names):
        muscles[m]["active"] = bool(active[i])
    names = [m for i, m in enumerate(muscle_names) if active[i]]
    means = {key: float(np.mean([muscles[m][key] for m in names])) for key in pooled} if names else {}
    return {"pooled": pooled, "active_muscles": means, "muscles": muscles}
