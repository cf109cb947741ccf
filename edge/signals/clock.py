"""The sensor's clock seen from the host: offset and drift, from the stamps of sending and receiving alone."""

from __future__ import annotations

from collections import deque
from statistics import median

_BLOCK_US = 500_000
_BLOCKS = 60
_DRIFT_BLOCKS = 10  # below so many blocks the drift is not told from jitter
_BACKWARD_US = 50_000  # frames of two kinds overtake each other by less
_EARLY_NS = 20_000_000  # a frame so much earlier than any before it was sent by another clock


class SensorClock:
    """Maps the sensor's time to the host's monotonic time.

    A frame can only be late, never early, so the smallest difference between receiving and sending in each half second
    is the truest; a line under the smallest differences of the last half minute gives offset and drift (Cristian 1989;
    Moon, Skelly & Towsley 1999). The constant part of the transport's delay cannot be seen from one side and stays in.
    The slope is the median over pairs half the record apart (Theil's incomplete method): seconds of congestion do not bend it.

    The line is fitted once per half second; between, a frame below it only moves it down. A sender that restarts or sets
    its clock is noticed by its stamps going back, or by frames that come before they were sent, and starts a new line.
    """

    def __init__(self) -> None:
        self.steps = 0  # how often the sender's clock jumped
        self._ready = False
        self._blocks: deque[tuple[int, int]] = deque(maxlen=_BLOCKS)  # (sensor time us, smallest difference ns)
        self._block_start_us = self._newest_us = self._origin_us = 0
        self._offset_ns = 0
        self._drift = 0.0  # ns of offset per s of sensor time

    @property
    def ready(self) -> bool:
        return self._ready

    @property
    def drift_ppm(self) -> float:
        """How much faster the host's clock runs than the sensor's, in parts per million; 0 until it is known."""
        return self._drift * 1e-3

    def observe(self, sensor_us: int, received_ns: int) -> None:
        """Take the stamps of one received frame."""
        difference = received_ns - sensor_us * 1000
        if not self._ready:
            self._restart(sensor_us, difference)
            self._ready = True
        elif sensor_us < self._newest_us - _BACKWARD_US or difference < self._line_ns(sensor_us) - _EARLY_NS:
            self._restart(sensor_us, difference)
            self.steps += 1
        self._newest_us = max(self._newest_us, sensor_us)
        if not self._blocks or sensor_us - self._block_start_us >= _BLOCK_US:
            if self._blocks:
                self._fit()
            self._block_start_us = sensor_us
            self._blocks.append((sensor_us, difference))
        elif difference < self._blocks[-1][1]:
            self._blocks[-1] = (sensor_us, difference)
        # The line lies below all frames: none arrives before it was sent.
        self._offset_ns -= max(self._line_ns(sensor_us) - difference, 0)

    def _restart(self, sensor_us: int, difference_ns: int) -> None:
        self._blocks.clear()
        self._block_start_us = self._newest_us = self._origin_us = sensor_us
        self._offset_ns = difference_ns
        self._drift = 0.0

    def _fit(self) -> None:
        """A line of the blocks' median slope, laid below all of them."""
        base = self._blocks[0][1]
        times = [(us - self._origin_us) * 1e-6 for us, _ in self._blocks]
        offsets = [float(difference - base) for _, difference in self._blocks]
        half = len(times) // 2
        if len(times) >= _DRIFT_BLOCKS:
            pairs = range(len(times) - half)
            self._drift = median((offsets[i + half] - offsets[i]) / (times[i + half] - times[i]) for i in pairs)
        self._offset_ns = base + int(min(o - self._drift * t for t, o in zip(times, offsets, strict=True)))

    def _line_ns(self, sensor_us: float) -> int:
        return self._offset_ns + int(self._drift * (sensor_us - self._origin_us) * 1e-6)

    def host_ns(self, sensor_us: float) -> int:
        """Host time of a moment of the sensor's clock. Raises ValueError before the first frame."""
        if not self._ready:
            raise ValueError("no frame has been received yet")
        return int(sensor_us * 1000.0) + self._line_ns(sensor_us)
