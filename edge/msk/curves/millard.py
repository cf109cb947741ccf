"""The curves of Millard, Uchida, Seth & Delp 2013 (Journal of Biomechanical Engineering 135:021005).

They are made of C2-continuous quintic Bezier arcs; each arc is given by its two end points and slopes and one curviness.
The default shapes are those of OpenSim 4.6's Millard2012EquilibriumMuscle with damping or a rigid tendon, whose active force
falls to zero.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np

from edge.msk.curves.family import Curve, Curves, Family, Parameters, side_by_side
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


@functools.lru_cache(maxsize=64)
def _active(x0: float, x1: float, x3: float, slope: float, minimum: float) -> Curve:
    # From the minimum at x0 over the kink at x1 and the shallow ascent to the plateau at 1, and down to the minimum at x3.
    x2 = 1.0
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


@functools.lru_cache(maxsize=64)
def _velocity(
    slope_c: float,
    near_slope_c: float,
    isometric: float,
    slope_e: float,
    near_slope_e: float,
    top: float,
    curviness_c: float,
    curviness_e: float,
) -> Curve:
    # Slopes at and near the fastest shortening (c), of the isometric fibre, and at and near the fastest lengthening (e).
    knots = [
        (-1.0, 0.0, slope_c),
        (-0.9, 0.05 * near_slope_c + 0.05 * slope_c, near_slope_c),
        (0.0, 1.0, isometric),
        (0.9, top - 0.05 * near_slope_e - 0.05 * slope_e, near_slope_e),
        (1.0, top, slope_e),
    ]
    return _bezier_curve(knots, [curviness_c, curviness_c, curviness_e, curviness_e])


@functools.lru_cache(maxsize=64)
def _passive(zero: float, one: float, low_stiffness: float, relative_stiffness: float, curviness: float) -> Curve:
    # No force up to a strain of `zero`, unit force at the strain `one`.
    high_stiffness = relative_stiffness / (one - zero)
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


def _opensim_cosine(fiber_length: FloatArray, height_m: FloatArray, _cosine: FloatArray) -> FloatArray:
    # A slip: the angle at the fibre's normalised length instead of its length.
    value: FloatArray = np.sqrt(np.maximum(1.0 - (height_m / fiber_length) ** 2, 0.0))
    return value


_ACTIVE = ("active_min_length", "active_transition_length", "active_max_length", "active_slope", "active_min_force")
_VELOCITY = (
    "concentric_slope",
    "concentric_near_slope",
    "isometric_slope",
    "eccentric_slope",
    "eccentric_near_slope",
    "max_lengthening_force",
    "concentric_curviness",
    "eccentric_curviness",
)
_PASSIVE = (
    "passive_slack_strain",
    "passive_strain",
    "passive_low_stiffness",
    "passive_relative_stiffness",
    "passive_curviness",
)


def _tabulated(table: Callable[..., Curve], names: tuple[str, ...], parameters: Parameters) -> Curve:
    """The curve of the named parameters; muscles of the same ones share a table."""
    rows = np.stack(np.broadcast_arrays(*(np.atleast_1d(parameters[name]) for name in names)), axis=-1)
    groups: dict[tuple[float, ...], list[int]] = {}
    for i, row in enumerate(rows.tolist()):
        groups.setdefault(tuple(row), []).append(i)
    return side_by_side([table(*key) for key in groups], [np.array(group) for group in groups.values()])


def _make(parameters: Parameters) -> Curves:
    return Curves(
        name="millard2013",
        active_force_length=_tabulated(_active, _ACTIVE, parameters),
        force_velocity=_tabulated(_velocity, _VELOCITY, parameters),
        passive_force_length=_tabulated(_passive, _PASSIVE, parameters),
        tendon_force_length=_tendon,
        opensim_cosine=_opensim_cosine,
        tendon_strain=parameters["tendon_strain"],
        fiber_damping=0.1,
    )


def _contradiction(p: Mapping[str, float]) -> tuple[str, str] | None:
    """Where the tangents of an arc's ends do not meet between them, so that it would run backwards."""
    low, kink, slope = p["active_min_length"], p["active_transition_length"], p["active_slope"]
    if not low < kink:
        return "active_transition_length", f"must be above active_min_length ({low:g})"
    kink_force = 1.0 - slope * (0.95 - kink)
    if not (slope < 1.0 / (0.95 - low) < 1.25 * kink_force / (kink - low) and 2.0 * p["active_min_force"] < kink_force):
        return "active_slope", f"does not fit the other lengths and forces of the ascent, found {slope:g}"
    if not p["passive_slack_strain"] < p["passive_strain"]:
        return "passive_strain", f"must be above passive_slack_strain ({p['passive_slack_strain']:g})"
    secant, rise = 1.0 / (p["passive_strain"] - p["passive_slack_strain"]), p["max_lengthening_force"] - 1.0
    for name, value, limit in (
        ("passive_low_stiffness", p["passive_low_stiffness"], secant),
        ("concentric_slope", p["concentric_slope"], p["concentric_near_slope"]),
        ("eccentric_slope", p["eccentric_slope"], p["eccentric_near_slope"]),
        ("eccentric_near_slope", p["eccentric_near_slope"], rise),
        ("max_lengthening_force", p["max_lengthening_force"], 1.0 + 0.9 * p["isometric_slope"]),
    ):
        if not value < limit:
            return name, f"must be below {limit:g}, found {value:g}"
    return None


FAMILY = Family(
    name="millard2013",
    defaults={
        "active_min_length": 0.4441,
        "active_transition_length": 0.73,
        "active_max_length": 1.8123,
        "active_slope": 0.8616,
        "active_min_force": 0.0,
        "passive_slack_strain": 0.0,
        "passive_strain": 0.7,
        "passive_low_stiffness": 0.2,
        "passive_relative_stiffness": 2.0,
        "passive_curviness": 0.75,
        "concentric_slope": 0.0,
        "concentric_near_slope": 0.25,
        "isometric_slope": 5.0,
        "eccentric_slope": 0.0,
        "eccentric_near_slope": 0.15,
        "max_lengthening_force": 1.4,
        "concentric_curviness": 0.6,
        "eccentric_curviness": 0.9,
        "tendon_strain": 0.049,
    },
    limits={
        "active_min_length": (0.0, 0.9),
        "active_transition_length": (0.01, 0.94),  # the plateau starts at 0.95
        "active_max_length": (1.2, 10.0),
        "active_slope": (1e-3, 10.0),
        "active_min_force": (0.0, 0.3),
        "passive_slack_strain": (-0.9, 5.0),
        "passive_strain": (0.01, 10.0),
        "passive_low_stiffness": (1e-3, 100.0),
        "passive_relative_stiffness": (1.11, 100.0),
        "passive_curviness": (0.0, 1.0),
        "concentric_slope": (0.0, 0.99),
        "concentric_near_slope": (1e-3, 1.0),
        "isometric_slope": (1.2, 100.0),
        "eccentric_slope": (0.0, 0.99),
        "eccentric_near_slope": (1e-3, 1.0),
        "max_lengthening_force": (1.01, 10.0),
        "concentric_curviness": (0.0, 1.0),
        "eccentric_curviness": (0.0, 1.0),
        "tendon_strain": (1e-3, 1.0),
    },
    make=_make,
    contradiction=_contradiction,
)
