"""OpenSim's scale sets: the factors by which its scale tool made a person's model from a generic one."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge.errors import FileError, ModelError

Scales = dict[str, tuple[float, float, float]]
"""Factors along x, y and z of each body, by the body's name."""

# The body that stands for a part; the lesser ones of a segment (talus, toes, kneecap, radius) follow it.
_BODIES = {
    "pelvis": "pelvis",
    "thigh": "femur_{side}",
    "shank": "tibia_{side}",
    "foot": "calcn_{side}",
    "trunk": "torso",
    "upper_arm": "humerus_{side}",
    "forearm": "ulna_{side}",
    "hand": "hand_{side}",
}


def read_scale_set(path: Path) -> Scales:
    """The factors in a file of OpenSim's scale tool (a scale set, or a set-up that holds one). Raises FileError."""
    try:
        root = ET.fromstring(path.read_bytes())
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}): check the path and its permissions") from None
    except (ET.ParseError, LookupError, ValueError) as error:  # not XML, an unknown encoding, a NUL in the path
        raise FileError(f"{path}: not valid XML ({error}): save the scale set in OpenSim again") from None
    found: Scales = {}
    for i, element in enumerate(root.iter("Scale")):
        body = (element.findtext("segment") or "").strip()
        if not body:
            raise FileError(f"{path}: Scale {i + 1} names no <segment>: save the scale set in OpenSim again")
        applied = (element.findtext("apply") or "true").strip().lower() != "false"
        factors = _three(path, body, element.findtext("scales") or "") if applied else (1.0, 1.0, 1.0)
        if found.setdefault(body, factors) != factors:
            raise FileError(f"{path}: '{body}' is scaled twice, differently: remove one of its <Scale> elements")
    if not found:
        raise FileError(f"{path}: holds no <Scale>: give the scale set that OpenSim's scale tool wrote")
    return found


def _three(path: Path, body: str, text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(word) for word in text.split())
    except ValueError:
        raise FileError(
            f"{path}: <scales> of '{body}' must be three numbers, found '{text.strip()}': save the scale set in OpenSim again"
        ) from None
    if not all(f > 0.0 and math.isfinite(f) for f in (x, y, z)):
        raise FileError(f"{path}: <scales> of '{body}' must be above 0, found '{text.strip()}': mend the file")
    return x, y, z


def part_factors(scales: Mapping[str, tuple[float, float, float]], parts: Iterable[str], side: str) -> Scales:
    """The factors of a limb's parts (`Model.part_names`), for `scale_segments`, from those of bodies of a side (r or l).

    Raises ModelError where a part has no body in the usual models or the body has no factors.
    """
    found: Scales = {}
    for part in parts:
        body = _BODIES.get(part, part).format(side=side)
        if body not in scales:
            raise ModelError(
                f"the scale set has no factors of '{body}' for the {part}: it has {', '.join(sorted(scales)) or 'none'}"
            )
        found[part] = scales[body]
    return found
