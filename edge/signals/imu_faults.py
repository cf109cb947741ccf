"""What an IMU's own readings say about it: at the end of its range, stuck, or in a magnetic field that is not the earth's.

Nothing is mended here: the readings pass, and the flags say what to think of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import ConfigError
from edge.signals.imu import ImuFlag

FloatArray = npt.NDArray[np.float64]

STUCK_S = 0.2
"""So long all readings may be the same: a sensor that works has noise."""
_STUCK_SAMPLES = 5
_AT_RAIL = 0.995  # of the range
_REFERENCE_S = 1.0
_NORM_TOLERANCE = 0.1  # relative; the limits of VQF's magnetic disturbance detection
_DIP_TOLERANCE_RAD = math.radians(10.0)


@dataclass(frozen=True)
class ImuRange:
    """Where a sensor's readings end, per axis."""

    force_mps2: float = math.inf
    rate_radps: float = math.inf

    def __post_init__(self) -> None:
        if not (self.force_mps2 > 9.81 and self.rate_radps > 0.0):
            raise ConfigError(
                f"IMU ranges {self.force_mps2:g} m/s2 and {self.rate_radps:g} rad/s cannot be: give those of the "
                "data sheet, in m/s2 and rad/s (16 g are 157, 2000 deg/s are 34.9)"
            )


class ImuWatch:
    """Watches one sensor, sample by sample.

    ends: where its readings end; without it saturation is not seen. A magnetic field is compared, in strength (10 %) and dip
    (10 deg), with its mean over the first second that is given.
    """

    def __init__(self, ends: ImuRange | None = None) -> None:
        self._ends = ends or ImuRange()
        self.counts = dict.fromkeys((ImuFlag.SATURATED, ImuFlag.STUCK, ImuFlag.MAGNETIC), 0)
        self.reset()

    def reset(self) -> None:
        """After an interruption: what the readings were before says nothing. The field's reference is taken anew."""
        self._last: tuple[float, ...] = ()
        self._same_since_s = 0.0
        self._same = 0
        self._field_start_s: float | None = None
        self._fields: list[tuple[float, float]] = []
        self._reference: tuple[float, float] | None = None

    def push(
        self,
        t_s: float,
        specific_force: FloatArray,
        angular_rate: FloatArray,
        *,
        magnetic_field: FloatArray | None = None,
        up: FloatArray | None = None,
    ) -> ImuFlag:
        """Take one sample: m/s2 (3,), rad/s (3,), and, of a magnetometer, the field (3,) in any unit with `up` (3,), upwards in
        the sensor's axes. Returns the flags."""
        flag = ImuFlag.OK
        if (
            np.abs(specific_force).max() >= _AT_RAIL * self._ends.force_mps2
            or np.abs(angular_rate).max() >= _AT_RAIL * self._ends.rate_radps
        ):
            flag |= ImuFlag.SATURATED
        if self._is_stuck(t_s, (*specific_force.tolist(), *angular_rate.tolist())):
            flag |= ImuFlag.STUCK
        if magnetic_field is not None and up is not None and self._is_disturbed(t_s, magnetic_field, up):
            flag |= ImuFlag.MAGNETIC
        for one in self.counts:
            self.counts[one] += bool(flag & one)
        return flag

    def _is_stuck(self, t_s: float, readings: tuple[float, ...]) -> bool:
        if readings != self._last:
            self._last, self._same_since_s, self._same = readings, t_s, 0
            return False
        self._same += 1
        return self._same >= _STUCK_SAMPLES and t_s - self._same_since_s >= STUCK_S

    def _is_disturbed(self, t_s: float, field: FloatArray, up: FloatArray) -> bool:
        norm = float(np.linalg.norm(field))
        if not norm > 0.0:
            return True
        dip = math.asin(max(-1.0, min(1.0, float(field @ up) / norm)))
        if self._reference is None:
            if self._field_start_s is None:
                self._field_start_s = t_s
            self._fields.append((norm, dip))
            if t_s - self._field_start_s < _REFERENCE_S:
                return False
            mean = np.mean(self._fields, axis=0)
            self._reference = float(mean[0]), float(mean[1])
            self._fields.clear()
        return (
            abs(norm - self._reference[0]) > _NORM_TOLERANCE * self._reference[0]
            or abs(dip - self._reference[1]) > _DIP_TOLERANCE_RAD
        )
