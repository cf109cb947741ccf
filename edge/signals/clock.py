"""The sensor's clock seen from the host: offset and drift, from the stamps of sending and receiving alone."""

from __future__ import annotations

from collections import deque

import numpy as np

_BLOCK_S = 0.5
_BLOCKS = 60
_DRIFT_BLOCKS = 10  # below so many blocks the drift is not told from jitter


class SensorClock:
    """Maps the sensor's time to the host's monotonic time.

    A frame can only be late, never early, so the smallest difference between receiving and sending in each half second
    is the truest; a line through the smallest differences of the last half minute gives offset and drift (Cristian 1989;
    Moon, Skelly & Towsley 1999). The constant part of the transport's delay cannot be seen from one side and stays in.
    """

    def __init__(self) -> None:
        self._blocks: deque[tuple[float, int]] = deque(maxlen=_BLOCKS)  # (sensor time s, smallest difference ns)
        self._block_start_us = -1
        self._origin_us = 0
        self._offset_ns = 0
        self._drift = 0.0  # ns of offset per s of sensor time

    @property
    def ready(self) -> bool:
        return self._block_start_us >= 0

    @property
    def drift_ppm(self) -> float:
        return self._drift * 1e-3

    def observe(self, sensor_us: int, received_ns: int) -> None:
        """Take the stamps of one received frame."""
        difference = received_ns - sensor_us * 1000
        if not self.ready:
            self._origin_us = sensor_us
        new_block = not self.ready or sensor_us - self._block_start_us >= _BLOCK_S * 1e6
        if new_block:
            self._block_start_us = sensor_us
            self._blocks.append(((sensor_us - self._origin_us) * 1e-6, difference))
        elif difference < self._blocks[-1][1]:
            self._blocks[-1] = ((sensor_us - self._origin_us) * 1e-6, difference)
        elif difference >= self._offset_ns + self._drift * (sensor_us - self._origin_us) * 1e-6:
            return
        self._fit()

    def _fit(self) -> None:
        times = np.array([b[0] for b in self._blocks])
        base = self._blocks[0][1]
        offsets = np.array([float(b[1] - base) for b in self._blocks])
        drift = 0.0
        if len(times) >= _DRIFT_BLOCKS:
            drift = float(np.polyfit(times, offsets, 1)[0])
        # The line is laid below all blocks: no frame arrives before it was sent.
        self._drift = drift
        self._offset_ns = base + int(np.min(offsets - drift * times))

    def host_ns(self, sensor_us: float) -> int:
        """Host time of a moment of the sensor's clock. Raises ValueError before the first frame."""
        if not self.ready:
            raise ValueError("no frame has been received yet")
        return int(sensor_us * 1000.0) + self._offset_ns + int(self._drift * (sensor_us - self._origin_us) * 1e-6)
