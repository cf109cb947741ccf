"""Columns of a recording in our terms: joint angles in rad, the base's angles and place. Each is checked as it is read."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.errors import TrialError
from edge.msk.anatomy import Base, OutsideAngle
from edge.msk.model import Model
from edge.signals import zero_phase
from edge.storage import Table

FloatArray = npt.NDArray[np.float64]

_MOST_RADIANS = 2.0 * math.pi  # no joint of a leg or arm turns further: a larger "radian" is a degree
_SHORTEST_ROWS = 8  # what a quintic spline through a padded recording needs
_LONGEST_HOLE_S = 0.1  # a movement of 6 Hz goes past half a cycle within it
_HIGHEST_BASE_M = 100.0
_FURTHEST_BASE_M = 1e5


def recorded_angles(table: Table, model: Model, side: str) -> FloatArray:
    """All angles that muscles cross (rows, n_coordinates) in rad and our signs; those outside the chain that are not recorded
    are zero. Raises TrialError naming the column."""
    joints = [_angle(table, j.coordinate.format(side=side), j.name) * j.sign for j in model.joints]
    return np.stack([*joints, *(_outside(table, angle, side) for angle in model.outside)], axis=1)


def in_radians(table: Table) -> Table:
    """A .csv's table with OpenSim's column names and angles in rad; other files are returned as they are."""
    if table.in_degrees is not None:
        return table
    factors = np.ones(len(table.columns))
    names = []
    for i, column in enumerate(table.columns):
        stem, _, unit = column.rpartition("_")
        if stem and unit in ("deg", "rad"):
            factors[i] = math.pi / 180.0 if unit == "deg" else 1.0
            names.append(stem)
        else:
            names.append(column)
    return replace(table, columns=tuple(names), data=table.data * factors, in_degrees=False)


def require_sampling(table: Table) -> None:
    """Raise TrialError unless the rows are close enough to each other to differentiate a movement."""
    if len(table.time_s) < _SHORTEST_ROWS:
        raise TrialError(f"{table.path}: holds {len(table.time_s)} rows: a trial needs at least {_SHORTEST_ROWS}")
    rate = (len(table.time_s) - 1) / (table.time_s[-1] - table.time_s[0])
    if rate <= 2.0 * zero_phase.CUTOFF_HZ:
        raise TrialError(
            f"{table.path}: sampled at {rate:.3g} Hz: more than {2 * zero_phase.CUTOFF_HZ:g} Hz are needed to "
            "differentiate a movement; is the time column in seconds?"
        )
    steps = np.diff(table.time_s)
    longest = int(np.argmax(steps))
    if steps[longest] > _LONGEST_HOLE_S:
        raise TrialError(
            f"{table.path}: no rows for {steps[longest]:.3g} s after {table.time_s[longest]:g} s: a hole of more than "
            f"{_LONGEST_HOLE_S:g} s cannot be differentiated across: fill it or cut the file there"
        )


def _angle(table: Table, coordinate: str, joint: str) -> FloatArray:
    """An angle column in rad. A .csv names its unit in the column: `hip_deg`, `hip_rad`."""
    if table.in_degrees is None:
        for unit, factor in (("deg", math.pi / 180.0), ("rad", 1.0)):
            for stem in (coordinate, joint):
                if f"{stem}_{unit}" in table.columns:
                    return _plausible(table, f"{stem}_{unit}", table.column(f"{stem}_{unit}") * factor)
        if table.path.suffix.lower() == ".csv":
            raise TrialError(
                f"{table.path}: has no column '{joint}_deg' or '{joint}_rad' (nor '{coordinate}_deg' or '{coordinate}_rad'): "
                "a .csv names the unit of every angle in its header"
            )
        raise TrialError(f"{table.path}: header does not say inDegrees=yes or inDegrees=no: add the line")
    values = table.column(coordinate)
    return _plausible(table, coordinate, np.radians(values) if table.in_degrees else values)


def _plausible(table: Table, column: str, radians: FloatArray) -> FloatArray:
    largest = float(np.abs(radians).max())
    if largest > _MOST_RADIANS:
        said = "inDegrees=no" if table.in_degrees is False else "the header"
        raise TrialError(
            f"{table.path}: column '{column}' reaches {largest:.3g} rad, more than a full turn: "
            f"the values look like degrees although {said} calls them radians: correct the header"
        )
    return radians


def _outside(table: Table, angle: OutsideAngle, side: str) -> FloatArray:
    """A recorded angle outside the chain; zero where the file does not have it."""
    coordinate = angle.coordinate.format(side=side)
    names = {coordinate, *(f"{stem}_{unit}" for stem in (coordinate, angle.name) for unit in ("deg", "rad"))}
    if names.isdisjoint(table.columns):
        return np.zeros(len(table.time_s))
    return angle.sign * _angle(table, coordinate, angle.name)


def base_motion(table: Table, base: Base, side: str) -> FloatArray:
    """Angles of the base's links and its position (rows, n_links + 2)."""
    columns = [
        link.sign * _angle(table, link.coordinate.format(side=side), "tilt" if i == 0 else link.coordinate)
        for i, link in enumerate(base.links)
    ]
    if base.position is None:
        return np.stack([*columns, *np.zeros((2, len(table.time_s)))], axis=1)
    for name, most in zip(base.position, (_FURTHEST_BASE_M, _HIGHEST_BASE_M), strict=True):
        columns.append(_base_column(table, name))
        furthest = float(np.abs(columns[-1]).max())
        if furthest > most:
            raise TrialError(
                f"{table.path}: column '{name}' reaches {furthest:.4g} m: the values look like millimetres, or one of "
                "them is an outlier: convert them to metres, or mend it"
            )
    return np.stack(columns, axis=1)


def _base_column(table: Table, name: str) -> FloatArray:
    if name not in table.columns:
        raise TrialError(
            f"{table.path}: has no column '{name}', the place of the base: add it, or set base = \"fixed\" in the "
            "[[trial]] to take a base at rest (hip torques then carry the error of that assumption)"
        )
    return table.column(name)
