"""Values between the frames of a recording."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.msk.spline import FloatArray


def checked_times(time_s: npt.ArrayLike) -> FloatArray:
    """The times (frames,) as an array. Raises ValueError unless there are two or more, finite and increasing."""
    time = np.asarray(time_s, dtype=np.float64)
    if time.ndim != 1 or len(time) < 2:
        raise ValueError(f"times must be (frames,), at least 2 of them: {time.shape}")
    if not (np.isfinite(time).all() and np.all(np.diff(time) > 0.0)):
        raise ValueError("times must be finite and increase")
    return time


def slopes(time: FloatArray, values: FloatArray) -> FloatArray:
    """Derivatives at the times (frames,) of values (frames, n): of the parabola through three neighbours."""
    return np.asarray(np.gradient(values, time, axis=0, edge_order=2 if len(time) > 2 else 1), dtype=np.float64)


def place(time: FloatArray, t: float) -> tuple[int, float]:
    """The frame at or before t, never the last one, and how far on to the next one t is, from 0 to 1 between them."""
    i = min(max(int(np.searchsorted(time, t, side="right")) - 1, 0), len(time) - 2)
    return i, float((t - time[i]) / (time[i + 1] - time[i]))
