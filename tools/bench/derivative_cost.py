"""What a sample costs each differentiator, beside the matrix-vector product that a bank of FIRs over six joints is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np

from edge.signals.adaptive import AdaptiveDifferentiator
from tools.bench.derivative_runs import build
from tools.bench.derivative_tables import Progress, Row, silent
from tools.bench.movements import Jitter, Movement, disturbed

PRODUCT = (18, 361)  # value, rate and acceleration of six joints, of 60 samples of six joints and a constant
AGE_S = 0.05

_WARM_UP_SAMPLES = 300


def costs(
    walk: Movement,
    methods: Sequence[str],
    *,
    seed: int = 0,
    jitter: Jitter = "hidden",
    progress: Progress = silent,
) -> list[Row]:
    """Median time of `push` for all channels in one differentiator, and for halves of them in two.

    The product is timed between the pushes, so the ratio holds on any machine. `refit_ms` and `refit_max_ms` are
    the durations of the refits of a differentiator that learns.
    """
    joints = walk.q.shape[1]
    half = joints // 2
    layouts = {str(joints): [slice(None)], f"{half}+{joints - half}": [slice(0, half), slice(half, None)]}
    rows = []
    for method, layout in progress([(m, layout) for m in methods for layout in layouts], "cost"):
        rows.append({"method": method, "joints": layout, **_cost(method, walk, layouts[layout], seed, jitter)})
    return rows


def _cost(method: str, walk: Movement, groups: Sequence[slice], seed: int, jitter: Jitter) -> Row:
    stamps, samples = disturbed(walk, seed, jitter=jitter)
    parts = [np.ascontiguousarray(samples[:, group]) for group in groups]
    differentiators = [build(method, _channels(walk, group), AGE_S) for group in groups]
    matrix, vector = np.ones(PRODUCT), np.ones(PRODUCT[1])
    clock = time.perf_counter_ns
    pushes, products, refits = [], [], []
    refitted = 0
    for i, stamp in enumerate(stamps.tolist()):
        before = clock()
        for differentiator, part in zip(differentiators, parts, strict=True):
            differentiator.push(stamp, part[i])
        between = clock()
        matrix @ vector
        products.append(clock() - between)
        pushes.append(between - before)
        learning = [d for d in differentiators if isinstance(d, AdaptiveDifferentiator)]
        if sum(d.refits for d in learning) > refitted:
            refitted = sum(d.refits for d in learning)
            refits.append(max(d.refit_ms for d in learning))
    push, product = (statistics.median(times[_WARM_UP_SAMPLES:]) * 1e-3 for times in (pushes, products))
    return {
        "push_us": push,
        "product_us": product,
        "ratio": push / product,
        "refit_ms": statistics.median(refits) if refits else None,
        "refit_max_ms": max(refits) if refits else None,
    }


def _channels(walk: Movement, group: slice) -> Movement:
    return Movement(
        walk.name, walk.person, walk.task, walk.time_s, walk.q[:, group], walk.channel_names[group], walk.parts
    )
