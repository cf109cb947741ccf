"""Force curves of muscle fibres: De Groote et al. 2016 (the default) and Millard et al. 2013 (for `compat`).

Lengths are normalised by the optimal fibre length, velocities by the maximal contraction velocity (lengthening positive),
forces by the maximal isometric force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Curve = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Curves:
    """One family of fibre curves."""

    name: str
    active_force_length: Curve
    force_velocity: Curve
    passive_force_length: Curve


# --- De Groote, Kinney, Rao & Fregly 2016 (Annals of Biomedical Engineering 44:2922), equations 4 to 6 of its supplement,
# with the digits that OpenSim's DeGrooteFregly2016Muscle uses.
_GAUSSIANS = (  # height, centre, width at centre, change of width with length
    (0.8150671134243542, 1.055033428970575, 0.162384573599574, 0.063303448465465),
    (0.433004984392647, 0.716775413397760, -0.029947116970696, 0.200356847296188),
    (0.1, 1.0, 0.353553390593274, 0.0),
)
_FV_D1, _FV_D2, _FV_D3, _FV_D4 = -0.3211346127989808, -8.149, -0.374, 0.8825327733249912
_PASSIVE_SHAPE, _PASSIVE_STRAIN, _PASSIVE_MIN_LENGTH = 4.0, 0.6, 0.2


def _degroote_active(length: FloatArray) -> FloatArray:
    total = np.zeros_like(length)
    for height, centre, width, slope in _GAUSSIANS:
        # The second bell's width passes through zero at a length of 0.15: it is then no bell, and adds nothing.
        spread = np.maximum((width + slope * length) ** 2, np.finfo(np.float64).tiny)
        total += height * np.exp(-0.5 * (length - centre) ** 2 / spread)
    return total


def _degroote_velocity(velocity: FloatArray) -> FloatArray:
    value: FloatArray = _FV_D1 * np.arcsinh(_FV_D2 * velocity + _FV_D3) + _FV_D4
    return value


def _degroote_passive(length: FloatArray) -> FloatArray:
    # Shifted so that the force is zero at the shortest length (0.2) instead of slightly negative below the optimal one.
    offset = np.exp(_PASSIVE_SHAPE * (_PASSIVE_MIN_LENGTH - 1.0) / _PASSIVE_STRAIN)
    value: FloatArray = (np.exp(_PASSIVE_SHAPE * (length - 1.0) / _PASSIVE_STRAIN) - offset) / (
        np.exp(_PASSIVE_SHAPE) - offset
    )
    return value


# --- Millard, Uchida, Seth & Delp 2013 (Journal of Biomechanical Engineering 135:021005): curves made of C2-continuous
# quintic Bezier arcs; each arc is given by its two end points and slopes and one curviness.
def _corner_arc(
    start: tuple[float, float, float], end: tuple[float, float, float], curviness: float
) -> tuple[FloatArray, FloatArray]:
    """Six control points of the arc from (x, y, slope) to (x, y, slope) whose middle ones lie towards the tangents' corner."""
    x0, y0, slope0 = start
    x1, y1, slope1 = end
    corner_x = (y1 - y0 - x1 * slope1 + x0 * slope0) / (slope0 - slope1)
    corner_y = y0 + slope0 * (corner_x - x0)
    near_start = (x0 + curviness * (corner_x - x0), y0 + curviness * (corner_y - y0))
    near_end = (x1 + curviness * (corner_x - x1), y1 + curviness * (corner_y - y1))
    x = np.array([x0, near_start[0], near_start[0], near_end[0], near_end[0], x1])
    y = np.array([y0, near_start[1], near_start[1], near_end[1], near_end[1], y1])
    return x, y


def _bezier_curve(knots: list[tuple[float, float, float]], curviness: list[float]) -> Curve:
    """The function through `knots` of (x, y, slope), straight outside them.

    The arcs are parametric: they are tabulated once, finely enough (the error is of order 1e-8) to be looked up linearly.
    """
    u = np.linspace(0.0, 1.0, 4001)
    bernstein = np.stack([c * u**k * (1 - u) ** (5 - k) for k, c in enumerate((1, 5, 10, 10, 5, 1))])
    xs, ys = [], []
    for start, end, curve in zip(knots[:-1], knots[1:], curviness, strict=True):
        px, py = _corner_arc(start, end, 0.1 + 0.8 * curve)
        xs.append(px @ bernstein)
        ys.append(py @ bernstein)
    x = np.concatenate([xs[0], *(part[1:] for part in xs[1:])])
    y = np.concatenate([ys[0], *(part[1:] for part in ys[1:])])
    first_slope, last_slope = knots[0][2], knots[-1][2]

    def curve_function(value: FloatArray) -> FloatArray:
        inside = np.interp(value, x, y)
        below = np.minimum(value - x[0], 0.0) * first_slope
        above = np.maximum(value - x[-1], 0.0) * last_slope
        total: FloatArray = inside + below + above
        return total

    return curve_function


def _millard_active() -> Curve:
    # Default shape: zero outside 0.4441 to 1.8123, kink at 0.73, shallow ascending slope 0.8616, plateau at 1.
    x0, x1, x2, x3, slope, minimum = 0.4441, 0.73, 1.0, 1.8123, 0.8616, 0.0
    half_plateau = 0.05 * x2
    xs = x2 - half_plateau
    y1 = 1.0 - slope * (xs - x1)
    steep = 1.25 * y1 / (x1 - x0)
    descent_x = (x2 + half_plateau) + 0.5 * (x3 - (x2 + half_plateau))
    knots = [
        (x0, minimum, 0.0),
        (x0 + 0.5 * (x1 - x0), 0.5 * y1, steep),
        (x1 + 0.5 * (xs - x1), y1 + 0.5 * (1.0 - y1), slope),
        (x2, 1.0, 0.0),
        (descent_x, 0.5, -1.0 / ((x3 - half_plateau) - (x2 + half_plateau))),
        (x3, minimum, 0.0),
    ]
    return _bezier_curve(knots, [1.0] * 5)


def _millard_velocity() -> Curve:
    # Default slopes: 0 and 0.25 at and near the fastest shortening, 5 isometric, 0.15 and 0 near and at the fastest
    # lengthening, where the force is 1.4.
    near_slope_c, near_slope_e, isometric, top = 0.25, 0.15, 5.0, 1.4
    knots = [
        (-1.0, 0.0, 0.0),
        (-0.9, 0.05 * near_slope_c, near_slope_c),
        (0.0, 1.0, isometric),
        (0.9, top - 0.05 * near_slope_e, near_slope_e),
        (1.0, top, 0.0),
    ]
    return _bezier_curve(knots, [0.6, 0.6, 0.9, 0.9])


def _millard_passive() -> Curve:
    # Default shape: no force up to the optimal length, unit force at 70 % strain, stiffness 0.2 at low force.
    zero, one, low_stiffness, curviness = 0.0, 0.7, 0.2, 0.75
    high_stiffness = 2.0 / (one - zero)
    x_zero, x_one = 1.0 + zero, 1.0 + one
    delta = min(0.1 * (1.0 / high_stiffness), 0.1 * (x_one - x_zero))
    x_low = x_zero + delta
    x_foot = x_zero + 0.5 * (x_low - x_zero)
    y_low = low_stiffness * (x_low - x_foot)
    return _bezier_curve(
        [(x_zero, 0.0, 0.0), (x_low, y_low, low_stiffness), (x_one, 1.0, high_stiffness)], [curviness, curviness]
    )


DEGROOTE_2016 = Curves("DeGrooteFregly2016", _degroote_active, _degroote_velocity, _degroote_passive)
MILLARD_2013 = Curves("Millard2013", _millard_active(), _millard_velocity(), _millard_passive())
