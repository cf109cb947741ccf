"""The curves of De Groote, Kinney, Rao & Fregly 2016 (Annals of Biomedical Engineering 44:2922), smooth everywhere.

The equations of its supplement with the digits and changes of OpenSim 4.6's DeGrooteFregly2016Muscle: the active force and the
force-velocity curve go through (1, 1), (-1, 0) and (0, 1) exactly, the passive force is zero at the shortest length, and the
tendon is slack at its slack length (c2 = 1 and c3 = 0.2 instead of 0.995 and 0.25).
"""

from __future__ import annotations

import numpy as np

from edge.msk.curves.family import LARGEST_EXPONENT, Curves, Family, Parameters
from edge.msk.spline import FloatArray

_GAUSSIANS = (  # height, centre, width at centre, change of width with length
    (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
    (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
    (0.1, 1.0, 0.353553390593274, 0.0),
)
_FV_D1, _FV_D2, _FV_D3, _FV_D4 = -0.3211346127989808, -8.149, -0.374, 0.8825327733249912
_PASSIVE_SHAPE, _PASSIVE_MIN_LENGTH = 4.0, 0.2
_TENDON_C1, _TENDON_C2, _TENDON_C3 = 0.2, 1.0, 0.2


def _active(length: FloatArray) -> FloatArray:
    total = np.zeros_like(length)
    for height, centre, width, slope in _GAUSSIANS:
        # The second bell's width passes through zero at a length of 0.15: it is then no bell, and adds nothing.
        spread = np.maximum((width + slope * length) ** 2, np.finfo(np.float64).tiny)
        total += height * np.exp(-0.5 * (length - centre) ** 2 / spread)
    return total


def _velocity(velocity: FloatArray) -> FloatArray:
    value: FloatArray = _FV_D1 * np.arcsinh(_FV_D2 * velocity + _FV_D3) + _FV_D4
    return value


def _tendon(length: FloatArray, strain: FloatArray) -> FloatArray:
    stiffness = np.log((1.0 + _TENDON_C3) / _TENDON_C1) / (1.0 + strain - _TENDON_C2)
    exponent = np.minimum(stiffness * (length - _TENDON_C2), LARGEST_EXPONENT)
    value: FloatArray = _TENDON_C1 * np.exp(exponent) - _TENDON_C3
    return value


def _make(parameters: Parameters) -> Curves:
    stretch = 1.0 / parameters["active_width_scale"] - 1.0
    strain = parameters["passive_strain"]
    # Shifted so that the force is zero at the shortest length (0.2) instead of slightly negative below the optimal one.
    offset = np.exp(_PASSIVE_SHAPE * (_PASSIVE_MIN_LENGTH - 1.0) / strain)

    def active(length: FloatArray) -> FloatArray:
        return _active(length + stretch * (length - 1.0))  # the bells are wider by the scale, about the optimal length

    def passive(length: FloatArray) -> FloatArray:
        exponent = np.minimum(_PASSIVE_SHAPE * (length - 1.0) / strain, LARGEST_EXPONENT)
        value: FloatArray = (np.exp(exponent) - offset) / (np.exp(_PASSIVE_SHAPE) - offset)
        return value

    return Curves(
        name="degroote2016",
        active_force_length=active,
        force_velocity=_velocity,
        passive_force_length=passive,
        tendon_force_length=_tendon,
        opensim_cosine=lambda _length, _height, cosine: np.ones_like(cosine),  # the force along the fibre
        tendon_strain=parameters["tendon_strain"],
        fiber_damping=0.0,
    )


FAMILY = Family(
    name="degroote2016",
    defaults={"active_width_scale": 1.0, "passive_strain": 0.6, "tendon_strain": 0.049},
    limits={"active_width_scale": (0.1, 10.0), "passive_strain": (0.01, 10.0), "tendon_strain": (1e-3, 1.0)},
    make=_make,
)
