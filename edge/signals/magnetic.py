"""Whether a magnet turns an IMU's own orientation: the heading moves, and the gyroscope knows nothing of it.

No heading enters any angle here, so estimates stay valid; but who relies on the sensor's own orientation should know, since
many sensors' inclination suffers a little with it.
"""

from __future__ import annotations

import math

from edge.signals.orientation import turned, upwards
from edge.signals.problems import Problems

_MEMORY_S = 4.0
_DISTURBED_RAD = math.radians(8.0)  # within the memory: a bias of the gyroscope of 2 deg/s would do it too
_QUIET_RAD = math.radians(3.0)
_GAP_US = 100_000
_LEAST_NORM = 0.5  # of a quaternion: all zeros means that the sensor estimates no orientation


class MagneticCheck:
    """Compares how an IMU's quaternion turns about the vertical with how its gyroscope does."""

    def __init__(self, key: str, what: str, problems: Problems) -> None:
        self.disturbed = False
        self._key, self._what, self._problems = key, what, problems
        self._last_us: int | None = None
        self._last = (0.0, 0.0, 0.0, 0.0)
        self._rate = 0.0  # about the vertical, rad/s
        self._unexplained_rad = 0.0

    def add(self, time_us: int, channels: tuple[float, ...]) -> None:
        """Take the 10 channels of the next sample and its stamp."""
        w, x, y, z = channels[:4]
        if w * w + x * x + y * y + z * z < _LEAST_NORM:
            return
        last_us, self._last_us = self._last_us, time_us
        before, self._last = self._last, (w, x, y, z)
        up = upwards(w, x, y, z)
        rate_before, self._rate = self._rate, sum(u * r for u, r in zip(up, channels[7:10], strict=True))
        if last_us is None or not 0 < time_us - last_us <= _GAP_US:
            return
        seconds = (time_us - last_us) * 1e-6
        # Small turns: twice the sine of half the angle is the angle.
        about_vertical = 2.0 * sum(u * a for u, a in zip(up, turned(before, self._last), strict=True))
        self._unexplained_rad *= math.exp(-seconds / _MEMORY_S)
        self._unexplained_rad += about_vertical - 0.5 * (rate_before + self._rate) * seconds
        size = abs(self._unexplained_rad)
        if size > _DISTURBED_RAD and not self.disturbed:
            self.disturbed = True
            self._problems.add(
                f"magnetic:{self._key}",
                f"the {self._what}: its orientation turned by {math.degrees(size):.0f} deg about the vertical within seconds, "
                "and its gyroscope did not: iron or a motor disturbs its magnetometer; switch it off in the sensor, or let "
                "edge-msk estimate the orientation (orientation=none in the URL)",
            )
        elif size < _QUIET_RAD:
            self.disturbed = False
