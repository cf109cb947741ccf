"""The release gate of derivatives: on no movement is a method worse than 1.1 times the Kalman smoother of the same age.

Error ratios of value, rate and acceleration on every movement of the data folder, and on every part of those that are made of
parts, so that a change from one task to another cannot hide behind the long walk before it. A part's error holds the passage
into it. Recordings of a few seconds are run with several draws of the noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tools.bench.derivative_runs import WARM_UP_S, FloatArray, Run, run
from tools.bench.derivative_tables import END_S, QUANTITIES, Progress, Row, silent
from tools.bench.movements import Jitter, Movement

YARDSTICK = "kalman"
GATE = 1.1
GATE_AGES_S = (0.0, 0.05, 0.1)

_SHORT_S = 4.0
_DRAWS_OF_SHORT = 4


def ratios(
    movements: Sequence[Movement],
    method: str,
    ages_s: Sequence[float] = GATE_AGES_S,
    *,
    seed: int = 0,
    jitter: Jitter = "hidden",
    progress: Progress = silent,
) -> list[Row]:
    """One row per movement, part and age, the worst first: `worst` is the largest of its three ratios."""
    rows = []
    for movement, age in progress([(m, a) for m in movements for a in ages_s], "movements"):
        draws = range(seed, seed + (_DRAWS_OF_SHORT if movement.duration_s < _SHORT_S else 1))
        runs = {m: [run(m, movement, age, seed=s, jitter=jitter) for s in draws] for m in (YARDSTICK, method)}
        for part, start, end in _stretches(movement):
            own, yardstick = (_rmse(runs[m], start, end) for m in (method, YARDSTICK))
            ratio = own / yardstick
            rows.append(
                {
                    "movement": movement.name,
                    "part": part,
                    "age_ms": round(age * 1e3),
                    **{f"{q}_ratio": float(r) for q, r in zip(QUANTITIES, ratio, strict=True)},
                    "qdd_deg_s2": float(own[2]),
                    "yardstick_qdd_deg_s2": float(yardstick[2]),
                    "worst": float(ratio.max()),
                }
            )
    # A ratio that is not a number is no pass: it comes first.
    return sorted(rows, key=lambda row: (not np.isnan(row["worst"]), -row["worst"]))


def broken(rows: Sequence[Row], limit: float = GATE) -> list[Row]:
    """Those that do not pass."""
    return [row for row in rows if not row["worst"] <= limit]


def _stretches(movement: Movement) -> Iterator[tuple[str, float, float]]:
    """Names and ranges in s in which errors are taken: every part, and the whole."""
    end = movement.duration_s - END_S
    yield "whole", WARM_UP_S, end
    if len(movement.parts) > 1:
        for i, part in enumerate(movement.parts):
            yield f"{i + 1} {part.task}", max(part.start_s, WARM_UP_S), min(part.end_s, end)


def _rmse(runs: Sequence[Run], start_s: float, end_s: float) -> FloatArray:
    return np.asarray(np.sqrt(np.mean([r.rmse(start_s, end_s) ** 2 for r in runs], axis=0)))
