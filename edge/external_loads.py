"""OpenSim's external loads file: which columns of a force file act on which body."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from edge.errors import FileError, TrialError
from edge.force_plates import Plates, from_columns
from edge.storage import Table, read_table


def plates_of(loads_file: Path, force_file: Path | None, *, side: str) -> Plates:
    """All active forces on bodies whose names end with _r or _l, which say the side.

    The loads file names the force file where none is given. Raises FileError or TrialError, also when none is of `side`.
    """
    root = _parse(loads_file)
    if force_file is None:
        named = (root.findtext(".//datafile") or "").strip()
        if not named:
            raise TrialError(f"{loads_file}: names no <datafile>: give `ground_reaction` in the [[trial]]")
        force_file = loads_file.parent / named
    table = read_table(force_file)
    names, stems, sides, bodies = [], [], [], []
    for element in root.iter("ExternalForce"):
        body = (element.findtext("applied_to_body") or "").strip()
        bodies.append(body)
        if not body.endswith(("_r", "_l")) or _says_no(element):
            continue
        for tag in ("force_expressed_in_body", "point_expressed_in_body"):
            frame = (element.findtext(tag) or "ground").strip()
            if frame != "ground":
                raise TrialError(f"{loads_file}: <{tag}> is '{frame}': only forces in the ground frame can be used")
        force = _stem(table, element, "force_identifier", "xy", loads_file)
        point = _stem(table, element, "point_identifier", "xy", loads_file)
        moment = None
        if (element.findtext("torque_identifier") or "").strip():
            moment = _stem(table, element, "torque_identifier", "z", loads_file)
        sides.append(body[-1])
        names.append(str(element.get("name")))
        stems.append((force, point, moment))
    if side not in sides:
        raise TrialError(
            f"{loads_file}: no active force on a body of side '{side}': it acts on {', '.join(sorted(set(bodies))) or 'none'}"
        )
    return from_columns(table, stems, names, sides)


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


def _stem(table: Table, element: ET.Element, tag: str, axes: str, loads_file: Path) -> str:
    """The stem of columns that a tag names, all of which must be there."""
    stem = (element.findtext(tag) or "").strip()
    if not stem:
        raise TrialError(f"{loads_file}: force '{element.get('name')}' has no <{tag}>: name its columns")
    for axis in axes:
        if stem + axis not in table.columns:
            raise TrialError(
                f"{table.path}: has no column '{stem + axis}', which {loads_file.name} names: give the force file that belongs "
                "to it"
            )
    return stem
