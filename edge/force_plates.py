"""Force plates: their forces in one set of terms whatever file they come from, and where they cannot be true.

All vectors are the ground's action on the person, in the ground frame: x forward, y up, z to the right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.contact import BoolArray, FloatArray
from edge.errors import TrialError
from edge.storage import Table

_TOUCHING_N = 1e-9  # below it the place of application means nothing and may hold anything
_STEADY_N = 10.0  # from here on the force's line is well enough known to be followed to the ground

# What no shoe on no floor does; a few N of noise are let pass.
_PULL_N = 20.0
_FRICTION = 1.2  # of the vertical force; shoes on dry floors reach about 1 (Redfern et al. 2001)
_SLIP_N = 5.0
_TWIST_ARM_M = 0.13  # half a foot: friction at heel and toes twists at most with this arm
_TWIST_NM = 3.0
_SPIKE_N = (
    500.0  # off the median of five rows that last less than _SPIKE_S: an impact of running takes 10 times as long
)
_SPIKE_S = 0.005


@dataclass(frozen=True)
class Plates:
    """The forces of several plates. z components are NaN where the recording is planar."""

    path: Path
    names: tuple[str, ...]
    sides: tuple[str | None, ...]  # r or l: the foot that the file says stands on the plate
    time_s: FloatArray  # (rows,)
    force_n: FloatArray  # (rows, plates, 3)
    point_m: FloatArray  # (rows, plates, 3), while nothing touches the last or next real one
    moment_nm: FloatArray  # (rows, plates, 3), about that point, zero while nothing touches

    def crossing(self) -> tuple[FloatArray, FloatArray]:
        """Where the forces go through the ground (rows, plates, 3) in m, and the free moments there (rows, plates) in Nm."""
        return crossing(self.force_n, self.point_m, self.moment_nm)

    def implausible(self) -> BoolArray:
        """Rows of each plate (rows, plates) whose force no floor can give: it pulls, slips, twists or jumps.

        Bounds: upward; horizontally at most 1.2 of it (friction); a free moment that friction under half a foot gives; within
        5 ms no step of 500 N. Each with a margin for noise.
        """
        force, up = np.nan_to_num(self.force_n), self.force_n[..., 1]
        pushed = np.maximum(up, 0.0)
        along = np.hypot(force[..., 0], force[..., 2])
        _, twist = self.crossing()
        wrong = (up < -_PULL_N) | (along > _FRICTION * pushed + _SLIP_N)
        wrong |= np.abs(twist) > _FRICTION * _TWIST_ARM_M * pushed + _TWIST_NM
        if len(up) >= 5 and 4.0 * np.median(np.diff(self.time_s)) < _SPIKE_S:
            padded = np.pad(force, ((2, 2), (0, 0), (0, 0)), mode="edge")
            median = np.median([padded[k : k + len(force)] for k in range(5)], axis=0)
            wrong |= (np.abs(force - median) > _SPIKE_N).any(axis=-1)
        return np.asarray(wrong)


def crossing(force_n: FloatArray, point_m: FloatArray, moment_nm: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where forces go through the ground, and the free moments about the vertical that are left there.

    All (..., 3), the second answer (...). A file may give a force in another point and the moments about that; below 10 N of
    vertical force the point stays the file's. Unknown z components count as zero.
    """
    moment, across = np.nan_to_num(moment_nm), np.nan_to_num(force_n[..., 2])
    vertical = np.where(force_n[..., 1] > _STEADY_N, force_n[..., 1], np.inf)
    step_x, step_z = moment[..., 2] / vertical, -moment[..., 0] / vertical
    step = np.stack([step_x, np.zeros_like(step_x), step_z], axis=-1)
    return point_m + step, moment[..., 1] - (step_z * force_n[..., 0] - step_x * across)


def from_columns(
    table: Table, stems: Sequence[tuple[str, str, str | None]], names: Sequence[str], sides: Sequence[str | None]
) -> Plates:
    """Plates from columns of a table, each named by the stems of its force, place and moment (None: there is none).

    An `x`, `y` or `z` after a stem makes the column; without the `z` columns of force and place the plate is planar. Raises
    TrialError for a missing column, a gap in a force, or a gap in what belongs to a contact.
    """
    forces, points, moments = [], [], []
    for force_stem, point_stem, moment_stem in stems:
        deep = force_stem + "z" in table.columns and point_stem + "z" in table.columns
        axes = "xyz" if deep else "xy"
        unknown = np.full((len(table.time_s), 3 - len(axes)), np.nan)
        force = np.hstack([np.stack([table.column(force_stem + a) for a in axes], axis=1), unknown])
        touching = np.hypot(force[:, 0], force[:, 1]) > _TOUCHING_N
        point = np.hstack([np.stack([table.raw(point_stem + a) for a in axes], axis=1), unknown])
        moment = np.zeros_like(force)
        if moment_stem is not None:
            # A planar moment is about z; the others are zero unless the file has them.
            for k, axis in enumerate("xyz"):
                if axis == "z" or moment_stem + axis in table.columns:
                    moment[:, k] = table.raw(moment_stem + axis)
        _require_no_gap(table, touching, point[:, : len(axes)], "place")
        _require_no_gap(table, touching, moment, "free moment")
        forces.append(force)
        points.append(held(touching, point))
        moments.append(np.where(touching[:, None], moment, 0.0))
    return Plates(
        table.path,
        tuple(names),
        tuple(sides),
        table.time_s,
        np.stack(forces, axis=1),
        np.stack(points, axis=1),
        np.stack(moments, axis=1),
    )


def held(touching: BoolArray, point_m: FloatArray) -> FloatArray:
    """Places of application (rows, 3) with the nearest real one held while nothing touches; zero if nothing ever does.

    Interpolating towards the zero that force files hold in the air would move the first and last instants of a contact.
    """
    rows = np.flatnonzero(touching)
    if len(rows) == 0:
        return np.zeros_like(point_m)
    now = np.arange(len(point_m))
    after = rows[np.minimum(np.searchsorted(rows, now), len(rows) - 1)]
    before = rows[np.maximum(np.searchsorted(rows, now, side="right") - 1, 0)]
    return point_m[np.where(np.abs(now - before) <= np.abs(after - now), before, after)]


def _require_no_gap(table: Table, touching: BoolArray, values: FloatArray, what: str) -> None:
    bad = np.flatnonzero(touching & ~np.isfinite(values).all(axis=1))
    if len(bad):
        raise TrialError(
            f"{table.path}: the {what} of a force is not a number at time {table.time_s[bad[0]]:g} s although the force is "
            "not zero: fill the gap"
        )


def find_columns(table: Table) -> Plates:
    """All plates of a force file, found by the names of their columns. Raises TrialError when there are none.

    A plate's force is `<a>v{x,y,z}`, its place `<a>p{x,y,z}`, as in `ground_force_vx`, `1_ground_force_vx`,
    `ground_force_r_vx` or `R_ground_force_vx`; its moment `<a>m{x,y,z}`, or the same with `torque` or `moment` for `force`.
    A part `r`, `l`, `right` or `left` of the name says the foot.
    """
    stems: list[tuple[str, str, str | None]] = []
    for column in table.columns:
        stem = column.removesuffix("vx")
        if stem == column or not {stem + end for end in ("vy", "px", "py")} <= set(table.columns):
            continue
        moments = [stem + "m", *(stem.replace("force", word) for word in ("torque", "moment") if "force" in stem)]
        stems.append((stem + "v", stem + "p", next((m for m in moments if m + "z" in table.columns), None)))
    if not stems:
        raise TrialError(
            f"{table.path}: no column is named as a force (`ground_force_vx`, `ground_force_1_vx`, `ground_force_r_vx` with "
            "`..._vy`, `..._px`, `..._py`): rename them, or give `external_loads`, which says which columns they are"
        )
    names = [force.removesuffix("v").rstrip("_") for force, _, _ in stems]
    return from_columns(table, stems, names, [_side(name) for name in names])


def _side(name: str) -> str | None:
    words = set(re.split(r"[^a-z]+", name.lower()))
    right, left = bool(words & {"r", "right"}), bool(words & {"l", "left"})
    return None if right == left else "r" if right else "l"
