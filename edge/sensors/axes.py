"""World axes of vendors turned into ours: x forward (any heading), y up, z to the right.

Quaternions are w x y z and turn the sensor's axes into the world's; only the world's axes change here, so that
accelerations and angular rates, which are in the sensor's axes, stay as they are. `0 0 0 0` (no orientation) stays too.
"""

from __future__ import annotations

import math

Quaternion = tuple[float, float, float, float]

NO_ORIENTATION: Quaternion = (0.0, 0.0, 0.0, 0.0)
_HALF = math.sqrt(0.5)


def from_z_up(w: float, x: float, y: float, z: float) -> Quaternion:
    """From a world with z up (east-north-up, north-west-up): a vector x y z there is x z -y here, a turn of -90 deg about x."""
    return _HALF * (w + x), _HALF * (x - w), _HALF * (y + z), _HALF * (z - y)


def from_z_down(w: float, x: float, y: float, z: float) -> Quaternion:
    """From a world with z down (north-east-down): a vector x y z there is x -z y here, a turn of +90 deg about x."""
    return _HALF * (w - x), _HALF * (x + w), _HALF * (y - z), _HALF * (z + y)
