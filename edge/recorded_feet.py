"""The feet of a recording, for the comparison with force plates, and what that says about the unit of its angles."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from edge.contact import FloatArray
from edge.errors import TrialError
from edge.feet import LEG, Foot, locate
from edge.ground_reaction import GroundReaction
from edge.msk.anatomy import Base, Joint
from edge.msk.model import Model
from edge.msk.segment_lengths import hip_to_ankle_m
from edge.msk.spline import Spline
from edge.storage import Table

_KNEE_PARTS = ("pelvis", "thigh", "shank")
_FULL_TURN = 2.0 * math.pi
_BESIDE_FOOT_M = 0.015  # from here on a whole recording's forces act beside the sole; below 0.005 on real ones
_THIRD = 1.0 / 3.0


def recorded_feet(
    table: Table, leg: Model, side: str, q: FloatArray, base: FloatArray, *, turned: float = 1.0
) -> dict[str, Foot]:
    """The person's feet: that of `side`, and the other one if the table has that leg's angles.

    leg: the person's model, of a leg or of a knee that hangs on a thigh; no feet are known of another one. q: (rows, n_joints)
    rad, of the side. base: (rows, n_links + 2) angles of the base's links rad, x and y m. A foot whose ankle angle was not
    recorded, which a knee model does not need, is at a right angle to the shank. Out of the plane the table's `pelvis_tz`,
    `pelvis_list`, `pelvis_rotation`, `hip_adduction_r` and `hip_rotation_r` (OpenSim's gait models have them) count as far as
    they are there, without gaps. `turned` multiplies all angles.
    """
    rows = len(table.time_s)
    by_knee = leg.part_names == _KNEE_PARTS and len(leg.base.links) == 2 and "ankle" in leg.coordinate_names
    if by_knee:
        leg = _leg_around(leg)
        ankle = _angle(table, leg.joints[2].coordinate.format(side=side))
        q = np.column_stack([base[:, 1], q[:, 0], np.zeros(rows) if ankle is None else leg.joints[2].sign * ankle])
    if leg.joint_names != LEG or leg.base.position is None:
        return {}
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
            if by_knee and recorded[2] is None:
                recorded[2] = nothing
            columns = [j.sign * a for j, a in zip(leg.joints, recorded, strict=True) if a is not None]
            angles = np.stack(columns, axis=1) if len(columns) == len(LEG) else None
        if angles is not None:
            hip = np.stack([known(f"hip_adduction_{foot}"), known(f"hip_rotation_{foot}")], axis=1)
            feet[foot] = locate(leg, foot, table.time_s, turned * angles, turned * pelvis, place, turned * hip)
    return feet


def _leg_around(knee: Model) -> Model:
    """The leg of a knee model, as far as it takes to place the foot: the ankle straight below the knee."""
    pelvis, thigh = knee.base.links
    ranges = (-math.pi, math.pi)  # no muscles, no limits
    hip = Joint("hip", thigh.coordinate, thigh.sign, ranges, _fixed(0.0, 0.0))
    beside = next(angle for angle in knee.outside if angle.name == "ankle")
    ankle = Joint("ankle", beside.coordinate, beside.sign, ranges, _fixed(0.0, -knee.leg_length_m))
    return replace(
        knee,
        leg_length_m=hip_to_ankle_m(knee),
        base=Base((pelvis,), knee.base.position),
        joints=(hip, *knee.joints, ankle),
        muscles=(),
        outside=(),
        outside_rows=(),
    )


def _fixed(x_m: float, y_m: float) -> Spline:
    return Spline(np.zeros(1), np.array([[x_m, y_m]]))


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
