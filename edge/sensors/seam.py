"""Where a recording can be joined to itself, so that playing it in a loop has no jump.

The last sample of a recorded walk is followed by its first: the leg would be thrown by many degrees within one sample,
which no leg does and the safety checks rightly take for a fault. A walk comes back to the same state, though: this finds
a moment near the end at which angles, rates and accelerations are those of a moment near the start.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from edge.sensors.frame import Frame

EDGE_US = 300_000
"""Left out at both ends, µs: what was filtered with both neighbours is least sure where one of them is missing."""
FEWEST_MOMENTS = 100
CLOSE = 0.3
"""Largest distance of the two moments, every channel and its rate in units of its standard deviation."""


def seam(frames: Sequence[Frame]) -> tuple[int, int] | None:
    """The frames `start` and `stop` such that `frames[start:stop]` can be repeated: what follows the last is the first.

    frames: ordered by `time_us`. The start lies in the first third of the recording and the stop in the last third.
    None where the recording is too short, its kinds are not sampled together, or it never comes back to the same state.
    """
    moments = _moments(frames)
    if moments is None:
        return None
    first, time_us, values = moments
    spread = values.std(axis=0)
    varying = spread > 1e-9 * np.maximum(np.abs(values).max(axis=0), 1.0)
    if not varying.any():
        return None
    rates = np.gradient(values[:, varying], axis=0)
    state = np.hstack([values[:, varying] / spread[varying], rates / rates.std(axis=0)])
    inner = (time_us >= time_us[0] + EDGE_US) & (time_us <= time_us[-1] - EDGE_US)
    third = len(values) // 3
    starts = np.flatnonzero(inner[:third])
    stops = np.flatnonzero(inner[-third:]) + len(values) - third
    if not len(starts) or not len(stops):
        return None
    distance, nearest = map(np.asarray, cKDTree(state[starts]).query(state[stops]))
    best = int(np.argmin(distance))
    if distance[best] > CLOSE:
        return None
    return int(first[starts[nearest[best]]]), int(first[stops[best]])


def _moments(frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Index of the first frame (n,), time in µs (n,) and all channels (n, c) of each moment; None where they differ in kinds."""
    first = [i for i, frame in enumerate(frames) if i == 0 or frame.time_us != frames[i - 1].time_us]
    if len(first) < FEWEST_MOMENTS:
        return None
    groups = [frames[a:b] for a, b in zip(first, [*first[1:], len(frames)], strict=True)]
    shape = [(frame.kind, len(frame.channels)) for frame in groups[0]]
    if any([(frame.kind, len(frame.channels)) for frame in group] != shape for group in groups):
        return None
    values = np.array([[value for frame in group for value in frame.channels] for group in groups])
    return np.array(first), np.array([frames[i].time_us for i in first]), values
