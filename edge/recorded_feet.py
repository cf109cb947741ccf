"""The feet of a recording, for the comparison with force plates, and what that says about the unit of its angles."""

from __future__ import annotations

import math

import numpy as np

from edge.contact import FloatArray
from edge.errors import TrialError
from edge.feet import LEG, Foot, locate
from edge.ground_reaction import GroundReaction
from edge.msk.model import Model
from edge.storage import Table

_FULL_TURN = 2.0 * math.pi
_BESIDE_FOOT_M = 0.015  # from here on a whole recording's forces act beside the sole; below 0.005 on real ones
_THIRD = 1.0 / 3.0


def recorded_feet(
    table: Table, leg: Model, side: str, q: FloatArray, base: FloatArray, *, turned: float = 1.0
) -> dict[str, Foot]:
    """The person's feet: that of `side`, and the other one if the table has that leg's angles.

    leg: the person's model; no feet are known of another model than a leg. q: (rows, 3) rad, of the side. base: (rows, 3) tilt
    rad, x and y m. Out of the plane the table's `pelvis_tz`, `pelvis_list`, `pelvis_rotation`, `hip_adduction_r` and
    `hip_rotation_r` (OpenSim's gait models have them) count as far as they are there, without gaps. `turned` multiplies all
    angles.
    """
    if leg.joint_names != LEG or leg.base.position is None:
        return {}
    rows = len(table.time_s)
    place = np.column_stack([base[:, -2:], np.full(rows, np.nan)])
    if table.columns.count("pelvis_tz") == 1:
        place[:, 2] = table.raw("pelvis_tz")
    nothing = np.zeros(rows)

    def known(coordinate: str) -> FloatArray:
        angle = _angle(table, coordinate)
        return nothing if angle is None else angle

    pelvis = np.stack([base[:, 0], known("pelvis_list"), known("pelvis_rotation")], axis=1)
    feet = {}
    for foot in ("r", "l"):
        angles: FloatArray | None = q
        if foot != side:
            recorded = [_angle(table, joint.coordinate.format(side=foot)) for joint in leg.joints]
            columns = [j.sign * a for j, a in zip(leg.joints, recorded, strict=True) if a is not None]
            angles = np.stack(columns, axis=1) if len(columns) == len(LEG) else None
        if angles is not None:
            hip = np.stack([known(f"hip_adduction_{foot}"), known(f"hip_rotation_{foot}")], axis=1)
            feet[foot] = locate(leg, foot, table.time_s, turned * angles, turned * pelvis, place, turned * hip)
    return feet


def _angle(table: Table, coordinate: str) -> FloatArray | None:
    """A column in rad, None if it is not there once and whole. A `.csv` has the unit in its name."""
    units = [(coordinate + "_deg", math.radians(1.0)), (coordinate + "_rad", 1.0)]
    if table.in_degrees is not None:
        units.append((coordinate, math.radians(1.0) if table.in_degrees else 1.0))
    for column, factor in units:
        if table.columns.count(column) == 1 and np.isfinite(values := table.raw(column)).all():
            return factor * values
    return None


def require_degrees(
    table: Table, leg: Model, side: str, q: FloatArray, base: FloatArray, reaction: GroundReaction
) -> None:
    """Raise TrialError for radians under a header that says degrees.

    They make a leg that stands still, which nothing forbids. It takes all of this: no angle of the leg exceeds a full turn in
    radians, the ground reaction acts beside the foot that they give, and as radians they put the foot where it acts.
    """
    if not table.in_degrees or np.abs(np.degrees(q)).max() > _FULL_TURN:
        return
    feet = recorded_feet(table, leg, side, q, base)
    if side not in feet or (beside := reaction.beside(feet[side])) < _BESIDE_FOOT_M:
        return
    as_radians = recorded_feet(table, leg, side, q, base, turned=math.degrees(1.0))
    if reaction.beside(as_radians[side]) < _THIRD * beside:
        raise TrialError(
            f"{table.path}: the angles look like radians although the header says degrees: the leg hardly moves, and the "
            f"ground reaction acts {beside:.2f} m beside its foot: correct the header"
        )
