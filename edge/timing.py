"""What the loop measures of itself, in memory that is taken once."""

from __future__ import annotations

import numpy as np

CAPACITY = 1 << 18
"""Values kept: the last 44 minutes at 100 Hz, in 2 MB."""


class Distribution:
    """Median, 99th percentile and maximum of a stream of numbers.

    The percentiles are those of the last ``capacity`` numbers, the maximum and the count those of all.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._values = np.empty(capacity, dtype=np.float64)
        self._values.fill(0.0)  # touch the pages now, not in the loop
        self.count = 0
        self.largest = -np.inf

    def add(self, value: float) -> None:
        """Take one number."""
        self._values[self.count % self._values.size] = value
        self.count += 1
        self.largest = max(self.largest, value)

    def summary(self) -> dict[str, float | None]:
        """Return ``p50``, ``p99`` and ``max``; None for each where nothing came."""
        if self.count == 0:
            return {"p50": None, "p99": None, "max": None}
        p50, p99 = np.percentile(self._values[: self.count], [50, 99])
        return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "max": round(float(self.largest), 3)}
