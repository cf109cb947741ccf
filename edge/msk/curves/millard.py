"""The curves of Millard, Uchida, Seth & Delp 2013 (Journal of Biomechanical Engineering 135:021005).

They are made of C2-continuous quintic Bezier arcs; each arc is given by its two end points and slopes and one curviness.
Default shapes of OpenSim 4.6's Millard2012EquilibriumMuscle with damping or a rigid tendon, whose active force falls to zero.
"""

from __future__ import annotations

import numpy as np

from edge.msk.curves.family import Curve, Curves
from edge.msk.spline import FloatArray


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


def _active() -> Curve:
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


def _velocity() -> Curve:
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


def _passive() -> Curve:
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


def _toe_and_line() -> Curve:
    """Tendon force over the strain in units of the strain at a force of 1.

    Default shape: 1.375 times as stiff as the secant at a force of 1, straight down to two thirds of it, where the toe ends.
    """
    stiffness, toe_y, curviness = 1.375, 2.0 / 3.0, 0.5
    toe_x = 1.0 + (toe_y - 1.0) / stiffness
    foot_x = 0.1 * toe_x
    middle_y = 0.5 * toe_y
    middle_x = 1.0 + (middle_y - 1.0) / stiffness
    middle_slope = middle_y / (middle_x - foot_x)
    control_x = foot_x + 0.5 * (middle_x - foot_x)
    control_y = middle_slope * (control_x - foot_x)
    return _bezier_curve(
        [(0.0, 0.0, 0.0), (control_x, control_y, middle_slope), (toe_x, toe_y, stiffness)], [curviness, curviness]
    )


_TENDON = _toe_and_line()


def _tendon(length: FloatArray, strain: FloatArray) -> FloatArray:
    return _TENDON((length - 1.0) / strain)


MILLARD_2013 = Curves(
    "millard2013", _active(), _velocity(), _passive(), _tendon, tendon_strain=0.049, fiber_damping=0.1
)
