"""The curves of Thelen 2003 (Journal of Biomechanical Engineering 125:70), by default for a young adult's muscle.

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

from edge.msk.curves.family import LARGEST_EXPONENT, Curve, Curves, Family, Parameters
from edge.msk.spline import FloatArray

_STRAIGHT_FROM = 0.95  # of the largest force
_RESTING_SPEED = 0.25
_TOE_SHAPE, _TOE_FORCE = 3.0, 0.33
# The strain at the toe's end, of the strain at a force of 1, at which exponential and line have the same slope.
_TOE_END = 99.0 * np.exp(3.0) / (166.0 * np.exp(3.0) - 67.0)


def _tendon(length: FloatArray, strain: FloatArray) -> FloatArray:
    x = (length - 1.0) / strain
    toe = np.expm1(_TOE_SHAPE * np.clip(x, 0.0, _TOE_END) / _TOE_END) * (_TOE_FORCE / np.expm1(_TOE_SHAPE))
    line = np.maximum(x - _TOE_END, 0.0) * ((1.0 - _TOE_FORCE) / (1.0 - _TOE_END))
    value: FloatArray = toe + line
    return value


def _velocity(af: float | FloatArray, top: float | FloatArray) -> Curve:
    """Thelen 2003, equations 6 and 7, solved for the force: a hyperbola while shortening, another while lengthening."""
    pull = (2.0 + 2.0 / af) / (top - 1.0)
    last_force = _STRAIGHT_FROM * top
    last_velocity = (last_force - 1.0) / (pull * (top - last_force))
    # d f_v / d v at the two ends.
    first_slope = 1.0 / (1.0 + 1.0 / af)
    last_slope = pull * (top - last_force) ** 2 / (top - 1.0)

    def curve(velocity: FloatArray) -> FloatArray:
        shortening = np.clip(velocity, -1.0, 0.0)
        concentric = (1.0 + shortening) / (1.0 - shortening / af)
        lengthening = np.clip(velocity, 0.0, last_velocity)
        eccentric = (1.0 + pull * lengthening * top) / (1.0 + pull * lengthening)
        below = np.minimum(velocity + 1.0, 0.0) * first_slope
        above = np.maximum(velocity - last_velocity, 0.0) * last_slope
        value: FloatArray = np.where(velocity < 0.0, concentric + below, eccentric + above)
        return value

    return curve


def _make(parameters: Parameters) -> Curves:
    width, shape, strain = (parameters[key] for key in ("active_width", "passive_shape", "passive_strain"))

    def active(length: FloatArray) -> FloatArray:
        value: FloatArray = np.exp(-((length - 1.0) ** 2) / width)
        return value

    def passive(length: FloatArray) -> FloatArray:
        exponent = shape * np.maximum(length - 1.0, 0.0) / strain
        value: FloatArray = np.expm1(np.minimum(exponent, LARGEST_EXPONENT)) / np.expm1(shape)
        return value

    return Curves(
        name="thelen2003",
        active_force_length=active,
        force_velocity=_velocity(parameters["force_velocity_shape"], parameters["max_lengthening_force"]),
        passive_force_length=passive,
        tendon_force_length=_tendon,
        opensim_cosine=lambda _length, _height, cosine: cosine,
        tendon_strain=parameters["tendon_strain"],
        fiber_damping=0.0,
        resting_speed=_RESTING_SPEED,
    )


FAMILY = Family(
    name="thelen2003",
    defaults={
        "active_width": 0.45,
        "passive_shape": 5.0,
        "passive_strain": 0.6,
        "force_velocity_shape": 0.25,
        "max_lengthening_force": 1.4,
        "tendon_strain": 0.04,
    },
    limits={
        "active_width": (1e-3, 100.0),
        "passive_shape": (0.01, 100.0),
        "passive_strain": (0.01, 10.0),
        "force_velocity_shape": (0.01, 10.0),
        "max_lengthening_force": (1.1, 10.0),  # 95 % of it, where the line starts, must be above 1
        "tendon_strain": (1e-3, 1.0),
    },
    make=_make,
)
