"""Ground reaction on one foot, from a force file or a C3D: which forces, where, and when they can be relied on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.assignment import SIDES, assign
from edge.c3d import read_c3d
from edge.contact import ON_N, BoolArray, FloatArray
from edge.errors import TrialError
from edge.external_loads import plates_of
from edge.feet import Foot, unmeasured
from edge.force_plates import Plates, crossing, find_columns
from edge.laboratory import find_axes, force_plates
from edge.msk.dynamics import ExternalForce
from edge.storage import read_table


@dataclass(frozen=True)
class GroundReaction:
    """Forces on one foot in the ground frame (x forward, y up, z right); several plates under one foot stay apart.

    z components are NaN where the recording is planar. The forces are the file's: doubts mark rows and change nothing.
    """

    time_s: FloatArray  # (rows,)
    force_n: FloatArray  # (rows, plates, 3)
    point_m: FloatArray  # (rows, plates, 3)
    moment_nm: FloatArray  # (rows, plates, 3), about the point
    doubts: Mapping[str, BoolArray]  # (rows,): where the force on the foot is not known, by the reason
    notes: tuple[str, ...] = ()  # what was found or assumed of the whole recording

    @property
    def valid(self) -> BoolArray:
        """Rows (rows,) in which these are all the forces on the foot, and act where they say."""
        doubtful = np.zeros(len(self.time_s), dtype=bool)
        for rows in self.doubts.values():
            doubtful |= rows
        return ~doubtful

    def at(self, at_s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Force, place and moment at other times, each (len(at_s), plates, 3), interpolated linearly."""

        def of(values: FloatArray) -> FloatArray:
            flat = values.reshape(len(values), -1)
            columns = [np.interp(at_s, self.time_s, flat[:, k]) for k in range(flat.shape[1])]
            return np.stack(columns, axis=1).reshape(len(at_s), *values.shape[1:])

        return of(self.force_n), of(self.point_m), of(self.moment_nm)

    def valid_at(self, at_s: FloatArray) -> BoolArray:
        """Whether the forces at other times (len(at_s),) come from valid rows alone."""
        return np.asarray(np.interp(at_s, self.time_s, self.valid.astype(float)) == 1.0)

    def doubts_at(self, at_s: FloatArray) -> dict[str, int]:
        """At how many of the times `at_s` each reason for doubt holds; reasons that never do are left out."""
        counts = {
            reason: int((np.interp(at_s, self.time_s, rows.astype(float)) > 0.0).sum())
            for reason, rows in self.doubts.items()
        }
        return {reason: count for reason, count in counts.items() if count}

    def beside(self, foot: Foot) -> float:
        """How far outside the foot's sole the forces act, in m: the mean over the recording, weighted by the vertical force."""
        place, _ = crossing(self.force_n, self.point_m, self.moment_nm)
        here = foot.at(self.time_s)
        away = np.stack([here.outside(place[:, k]) for k in range(place.shape[1])], axis=1)
        within = (self.time_s >= foot.time_s[0]) & (self.time_s <= foot.time_s[-1])
        weight = np.maximum(self.force_n[..., 1], 0.0) * within[:, None]
        return float((away * weight).sum() / max(float(weight.sum()), 1.0))

    @property
    def in_space(self) -> bool:
        """Whether the forces are known in three dimensions."""
        return bool(all(np.isfinite(values[..., 2]).all() for values in (self.force_n, self.point_m, self.moment_nm)))

    def about_origin(self, at_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The sum of the forces at `at_s` and of their moments about the ground's origin, each (len(at_s), 3)."""
        force, point, moment = self.at(at_s)
        return force.sum(axis=1), (moment + np.cross(point, force)).sum(axis=1)

    def seen_from(self, origin_m: FloatArray, at_s: FloatArray) -> ExternalForce:
        """The planar sum of the forces at `at_s`, as one force through the point `origin_m` (len(at_s), 2) and a moment."""
        force, point, moment = self.at(at_s)
        lever = point[..., :2] - origin_m[:, None, :]
        turning = moment[..., 2] + lever[..., 0] * force[..., 1] - lever[..., 1] * force[..., 0]
        return ExternalForce(force[..., :2].sum(axis=1), np.zeros_like(origin_m), turning.sum(axis=1))


OFF_THE_FOOT = "the force acts beside the foot"
UNSURE = "it cannot be told which foot the force acts on"
NO_PLATE = "the foot stands where no plate measures"
IMPOSSIBLE = "no floor gives such a force"


def read_ground_reaction(
    force_file: Path | None,
    loads_file: Path | None,
    *,
    side: str,
    name: str,
    feet: Mapping[str, Foot] | None = None,
    forward: str | None = None,
    up: str | None = None,
) -> GroundReaction:
    """Ground reaction on the foot of a side (r or l).

    `loads_file` is OpenSim's external loads file; it says which columns act on which body and may name the force file
    itself. Without it, each contact is given to the foot that is there, which takes both `feet`; with them, rows that cannot
    be relied on are marked. `forward` and `up` are a C3D's axes (`+x` to `-z`), found where they are not given. Raises
    FileError, TrialError or MissingExtraError.
    """
    feet = {} if feet is None else feet
    plates = _plates(force_file, loads_file, side, name, forward, up)
    if not all(plates.sides) and set(feet) != set(SIDES):
        raise TrialError(
            f"{name}: `ground_reaction` without `external_loads` needs the angles of both legs and the place of the pelvis in "
            f"`kinematics`, to tell whose foot stands on which plate of {plates.path.name}: add the columns, or `external_loads`"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # absurd forces are refused by the torques that they give
        found = assign(plates, feet, whole=loads_file is not None, name=name)
        impossible = plates.implausible()
    owned = found.owned[side]
    mine = np.flatnonzero(owned.any(axis=0))
    if len(mine) == 0:
        raise TrialError(
            f"{name}: {plates.path.name}: no force acts on the foot of side '{side}': {'; '.join(found.notes)}"
        )
    acts = owned[:, mine, None]
    force = np.where(acts, plates.force_n[:, mine], 0.0)
    doubts = {
        OFF_THE_FOOT: np.asarray(found.strays[side].any(axis=1)),
        UNSURE: np.asarray((found.shared | found.missed[side]).any(axis=1)),
        IMPOSSIBLE: np.asarray((impossible & owned).any(axis=1)),
    }
    if side in feet:
        foot = feet[side]
        loaded = np.interp(foot.time_s, plates.time_s, force[:, :, 1].sum(axis=1)) >= ON_N
        doubts[NO_PLATE] = np.interp(plates.time_s, foot.time_s, unmeasured(foot, loaded).astype(float)) > 0.0
    return GroundReaction(
        plates.time_s,
        force,
        plates.point_m[:, mine],
        np.where(acts, plates.moment_nm[:, mine], 0.0),
        doubts,
        () if loads_file is not None else found.notes,
    )


def _plates(
    force_file: Path | None, loads_file: Path | None, side: str, name: str, forward: str | None, up: str | None
) -> Plates:
    if force_file is not None and force_file.suffix.lower() == ".c3d":
        if loads_file is not None:
            raise TrialError(
                f"{name}: `external_loads` names columns, which the plates of {force_file.name} do not have: leave it out, the "
                "plates are assigned by place"
            )
        recording = read_c3d(force_file)
        return force_plates(recording, find_axes(recording, forward=forward, up=up))
    if loads_file is not None:
        return plates_of(loads_file, force_file, side=side)
    if force_file is None:
        raise ValueError("a force file or an external loads file is needed")
    return find_columns(read_table(force_file))
