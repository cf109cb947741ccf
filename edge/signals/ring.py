"""The last rows of a stream, always in one piece of memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Ring:
    """The last rows, always in one piece: each is written twice, a buffer's length apart."""

    def __init__(self, size: int, width: int) -> None:
        self.size = size
        self._rows = np.zeros((2 * size, width))
        self._next = 0

    def append(self, row: FloatArray | float) -> None:
        self._rows[self._next] = row
        self._rows[self._next + self.size] = row
        self._next = (self._next + 1) % self.size

    def last(self, count: int) -> FloatArray:
        """The newest `count` rows, oldest first. A view: valid until the next append."""
        end = self._next + self.size
        return self._rows[end - count : end]
