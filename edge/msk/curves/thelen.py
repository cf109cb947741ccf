"""The curves of Thelen 2003 (Journal of Biomechanical Engineering 125:70), for a young adult's muscle.

With the changes of OpenSim 4.6's Thelen2003Muscle: the passive force starts from zero at the optimal length (the paper's is
0.007 there), the force-velocity curve goes on as a straight line where no force is left and above 95 % of the largest
lengthening force (the paper's hyperbola has a pole there), and the tendon's toe ends at the strain at which it meets the line
smoothly (the paper rounds it).

The paper gives the velocity as a function of force and activation: v = (0.25 + 0.75 a) (F - a f_l) / b, where b is proportional
to a f_l at a fixed F / (a f_l). So the active force's share f_v = F / (a f_l) is a function of v / (0.25 + 0.75 a) alone,
here in closed form: OpenSim finds it by iteration.
"""

from __future__ import annotations

import numpy as np

from edge.msk.curves.family import LARGEST_EXPONENT, Curves
from edge.msk.spline import FloatArray

_ACTIVE_SHAPE = 0.45
_PASSIVE_SHAPE, _PASSIVE_STRAIN = 5.0, 0.6
_AF, _TOP, _STRAIGHT_FROM = 0.25, 1.4, 0.95  # the last of the largest force
_RESTING_SPEED = 0.25
_TOE_SHAPE, _TOE_FORCE = 3.0, 0.33
# The strain at the toe's end, of the strain at a force of 1, at which exponential and line have the same slope.
_TOE_END = 99.0 * np.exp(3.0) / (166.0 * np.exp(3.0) - 67.0)


def _active(length: FloatArray) -> FloatArray:
    value: FloatArray = np.exp(-((length - 1.0) ** 2) / _ACTIVE_SHAPE)
    return value


def _velocity(velocity: FloatArray) -> FloatArray:
    # Thelen 2003, equations 6 and 7, solved for the force: a hyperbola while shortening, another while lengthening.
    shortening = np.clip(velocity, -1.0, 0.0)
    concentric = (1.0 + shortening) / (1.0 - shortening / _AF)
    pull = (2.0 + 2.0 / _AF) / (_TOP - 1.0)
    last_force = _STRAIGHT_FROM * _TOP
    last_velocity = (last_force - 1.0) / (pull * (_TOP - last_force))
    lengthening = np.clip(velocity, 0.0, last_velocity)
    eccentric = (1.0 + pull * lengthening * _TOP) / (1.0 + pull * lengthening)
    # d f_v / d v at the two ends.
    first_slope = 1.0 / (1.0 + 1.0 / _AF)
    last_slope = pull * (_TOP - last_force) ** 2 / (_TOP - 1.0)
    below = np.minimum(velocity + 1.0, 0.0) * first_slope
    above = np.maximum(velocity - last_velocity, 0.0) * last_slope
    value: FloatArray = np.where(velocity < 0.0, concentric + below, eccentric + above)
    return value


def _passive(length: FloatArray) -> FloatArray:
    exponent = _PASSIVE_SHAPE * np.maximum(length - 1.0, 0.0) / _PASSIVE_STRAIN
    value: FloatArray = np.expm1(np.minimum(exponent, LARGEST_EXPONENT)) / np.expm1(_PASSIVE_SHAPE)
    return value


def _tendon(length: FloatArray, strain: FloatArray) -> FloatArray:
    x = (length - 1.0) / strain
    toe = np.expm1(_TOE_SHAPE * np.clip(x, 0.0, _TOE_END) / _TOE_END) * (_TOE_FORCE / np.expm1(_TOE_SHAPE))
    line = np.maximum(x - _TOE_END, 0.0) * ((1.0 - _TOE_FORCE) / (1.0 - _TOE_END))
    value: FloatArray = toe + line
    return value


THELEN_2003 = Curves(
    "thelen2003",
    _active,
    _velocity,
    _passive,
    _tendon,
    tendon_strain=0.04,
    fiber_damping=0.0,
    resting_speed=_RESTING_SPEED,
)
