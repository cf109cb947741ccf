"""Ground reaction on one foot, from a force file and OpenSim's description of which force acts on which body."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import FileError, TrialError
from edge.msk.dynamics import ExternalForce
from edge.storage import Table, read_table

FloatArray = npt.NDArray[np.float64]

_TOUCHING_N = 1e-9  # below it the place of application means nothing and may hold anything


@dataclass(frozen=True)
class GroundReaction:
    """Forces on one foot in the ground's sagittal plane; several plates under one foot stay apart."""

    time_s: FloatArray  # (rows,)
    force_n: FloatArray  # (rows, plates, 2)
    point_m: FloatArray  # (rows, plates, 2), in the ground frame
    moment_nm: FloatArray  # (rows, plates), free moment out of the plane

    def seen_from(self, origin_m: FloatArray, at_s: FloatArray) -> ExternalForce:
        """The sum of the forces at the times `at_s`, as one force through the point `origin_m` (len(at_s), 2) and a moment."""

        def at(values: FloatArray) -> FloatArray:
            flat = values.reshape(len(values), -1)
            columns = [np.interp(at_s, self.time_s, flat[:, k]) for k in range(flat.shape[1])]
            return np.stack(columns, axis=1).reshape(len(at_s), *values.shape[1:])

        force, point, moment = at(self.force_n), at(self.point_m), at(self.moment_nm)
        lever = point - origin_m[:, None, :]
        turning = moment + lever[..., 0] * force[..., 1] - lever[..., 1] * force[..., 0]
        return ExternalForce(force.sum(axis=1), np.zeros_like(origin_m), turning.sum(axis=1))


def read_ground_reaction(force_file: Path | None, loads_file: Path | None, *, side: str, name: str) -> GroundReaction:
    """Ground reaction on the foot of a side.

    `loads_file` is OpenSim's external loads file; it says which columns act on which body and may name the force file
    itself. Raises FileError or TrialError.
    """
    if loads_file is None:
        raise TrialError(
            f"{name}: `ground_reaction` needs `external_loads`, OpenSim's file that says which force acts on which foot: add it"
        )
    root = _parse(loads_file)
    if force_file is None:
        named = (root.findtext(".//datafile") or "").strip()
        if not named:
            raise TrialError(f"{loads_file}: names no <datafile>: give `ground_reaction` in the [[trial]]")
        force_file = loads_file.parent / named
    table = read_table(force_file)
    forces, points, moments = [], [], []
    bodies = []
    for element in root.iter("ExternalForce"):
        body = (element.findtext("applied_to_body") or "").strip()
        bodies.append(body)
        if not body.endswith(f"_{side}") or _says_no(element):
            continue
        for tag in ("force_expressed_in_body", "point_expressed_in_body"):
            frame = (element.findtext(tag) or "ground").strip()
            if frame != "ground":
                raise TrialError(f"{loads_file}: <{tag}> is '{frame}': only forces in the ground frame can be used")
        force = _vector(table, element, "force_identifier", loads_file)
        touching = np.hypot(force[:, 0], force[:, 1]) > _TOUCHING_N
        forces.append(force)
        points.append(_in_contact(table, touching, _vector(table, element, "point_identifier", loads_file), "place"))
        moments.append(_in_contact(table, touching, _free_moment(table, element, loads_file), "free moment"))
    if not forces:
        raise TrialError(
            f"{loads_file}: no active force on a body of side '{side}': it acts on {', '.join(sorted(set(bodies))) or 'none'}"
        )
    points = _bridged(forces, points)
    return GroundReaction(table.time_s, np.stack(forces, 1), np.stack(points, 1), np.stack(moments, 1))


def _in_contact(table: Table, touching: npt.NDArray[np.bool_], values: FloatArray, what: str) -> FloatArray:
    """Values where something touches, zero elsewhere, where files hold anything. Raises TrialError for a gap in a contact."""
    bad = np.flatnonzero(touching & ~np.isfinite(values).reshape(len(values), -1).all(axis=1))
    if len(bad):
        raise TrialError(
            f"{table.path}: the {what} of a force is not a number at time {table.time_s[bad[0]]:g} s although the force is "
            "not zero: fill the gap"
        )
    return np.where(touching[:, None] if values.ndim > 1 else touching, values, 0.0)


def _bridged(forces: list[FloatArray], points: list[FloatArray]) -> list[FloatArray]:
    """Places of application with the last real one held while nothing touches.

    Interpolating towards the zero that force files hold in the air would move the first and last instants of a contact.
    """
    bridged = []
    for force, point in zip(forces, points, strict=True):
        touching = np.flatnonzero(np.hypot(force[:, 0], force[:, 1]) > _TOUCHING_N)
        if len(touching) == 0:
            bridged.append(point)
            continue
        rows = np.arange(len(point))
        after = np.minimum(np.searchsorted(touching, rows), len(touching) - 1)
        before = np.maximum(np.searchsorted(touching, rows, side="right") - 1, 0)
        nearer = np.where(rows - touching[before] <= np.abs(touching[after] - rows), touching[before], touching[after])
        bridged.append(point[nearer])
    return bridged


def _parse(path: Path) -> ET.Element:
    try:
        return ET.fromstring(path.read_bytes())
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}): check the path and its permissions") from None
    except (ET.ParseError, LookupError, ValueError) as error:  # not XML, an unknown encoding, a NUL in the path
        raise FileError(f"{path}: not valid XML ({error}): export the external loads from OpenSim again") from None


def _says_no(element: ET.Element) -> bool:
    disabled = (element.findtext("isDisabled") or "false").strip().lower() == "true"
    applied = (element.findtext("appliesForce") or "true").strip().lower() == "true"
    return disabled or not applied


def _vector(table: Table, element: ET.Element, tag: str, loads_file: Path) -> FloatArray:
    stem = (element.findtext(tag) or "").strip()
    if not stem:
        raise TrialError(f"{loads_file}: force '{element.get('name')}' has no <{tag}>: name its columns")
    if tag == "force_identifier":
        return np.stack([table.column(stem + "x"), table.column(stem + "y")], axis=1)
    # A place of application may be empty where nothing touches; the force decides that, not this column.
    return np.stack([_raw(table, stem + axis, loads_file) for axis in "xy"], axis=1)


def _raw(table: Table, column: str, loads_file: Path) -> FloatArray:
    if column not in table.columns:
        raise TrialError(
            f"{table.path}: has no column '{column}', which {loads_file.name} names: give the force file that belongs to it"
        )
    return table.raw(column)


def _free_moment(table: Table, element: ET.Element, loads_file: Path) -> FloatArray:
    stem = (element.findtext("torque_identifier") or "").strip()
    if not stem:
        return np.zeros(len(table.time_s))
    return _raw(table, stem + "z", loads_file)
