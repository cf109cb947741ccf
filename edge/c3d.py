"""C3D recordings: markers and force plates in metres and newtons, in the axes of the laboratory.

ezc3d reads the file and turns the channels of plates of the types 1 to 4 into forces and moments; units, and where the
forces act, are settled here. Time starts with zero at the first frame, as in OpenSim.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.contact import FloatArray
from edge.errors import FileError, MissingExtraError, TrialError

_METRES = {"m": 1.0, "dm": 0.1, "cm": 1e-2, "mm": 1e-3}
_NEWTONS = {"n": 1.0, "newton": 1.0, "newtons": 1.0, "kn": 1e3}
_NEWTON_METRES = {"nm": 1.0, "ncm": 1e-2, "nmm": 1e-3}
_DERIVED = ("ANGLES", "FORCES", "MOMENTS", "POWERS", "SCALARS")  # what gait models write among the markers
_UNCOUNTED = 65535
SIGNED_AXES = tuple(sign + axis for axis in "xyz" for sign in "+-")


@dataclass(frozen=True)
class Plate:
    """One plate in the laboratory's axes: force N, place of application m and free moment Nm, each (samples, 3)."""

    corners_m: FloatArray  # (4, 3)
    force_n: FloatArray
    point_m: FloatArray
    moment_nm: FloatArray

    @property
    def normal(self) -> FloatArray:
        across = np.cross(self.corners_m[0] - self.corners_m[1], self.corners_m[0] - self.corners_m[3])
        return np.asarray(across / np.linalg.norm(across))


@dataclass(frozen=True)
class Recording:
    """What a C3D holds, in the laboratory's own axes."""

    path: Path
    markers: Mapping[str, FloatArray]  # (frames, 3) in m, NaN where a marker was not seen
    rate_hz: float
    angles: tuple[str, ...]  # names of a gait model's angles among the points
    screen_up: str | None  # the axis that the file says is up on a screen
    plates: tuple[Plate, ...]
    plate_rate_hz: float


def read_c3d(path: Path) -> Recording:
    """Read a C3D. Raises FileError, TrialError for units or plates that cannot be used, MissingExtraError without ezc3d."""
    try:
        import ezc3d
    except ImportError:
        raise MissingExtraError("ezc3d", "c3d", f"reading {path.name}") from None
    try:
        with path.open("rb") as file:
            header = file.read(10)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}): check the path and its permissions") from None
    if len(header) < 10 or header[1] != 0x50:
        raise FileError(f"{path}: is not a C3D file: give another one")
    try:
        plain = ezc3d.c3d(str(path))
        used = int(_first(plain, "FORCE_PLATFORM", "USED", 0))
        content = ezc3d.c3d(str(path), extract_forceplat_data=True) if used else plain
    except (RuntimeError, ValueError, IndexError, KeyError, OSError, MemoryError) as error:
        raise FileError(f"{path}: cannot be read as a C3D ({' '.join(str(error).split())}): export it again") from None
    points = content["data"]["points"]
    # ezc3d corrects the count of a truncated file; the header has no room for more than 65535.
    first, last = struct.unpack("<HH", header[6:10])
    if points.shape[2] < last - first + 1 and last < _UNCOUNTED:
        raise FileError(
            f"{path}: announces {last - first + 1} frames and holds {points.shape[2]}: it is truncated, copy or export it again"
        )
    metre = _unit(path, "POINT:UNITS", _first(content, "POINT", "UNITS", "m"), _METRES)
    derived = {name for group in _DERIVED for name in _values(content, "POINT", group)}
    labels = [*_values(content, "POINT", "LABELS"), *_values(content, "POINT", "LABELS2")]
    markers = {
        label.rpartition(":")[2]: points[:3, k].T * metre
        for k, label in enumerate(labels[: points.shape[1]])
        if label and label not in derived and not label.startswith("*")
    }
    return Recording(
        path,
        markers,
        float(_first(content, "POINT", "RATE", 0.0)),
        tuple(_values(content, "POINT", "ANGLES")),
        _screen_up(content),
        tuple(_plate(path, content, k, metre) for k in range(used)),
        float(_first(content, "ANALOG", "RATE", 0.0)),
    )


def _values(content: Any, group: str, name: str) -> list[Any]:
    """The values of a parameter, as they follow each other in the file; none when it does not exist."""
    parameter = content["parameters"]
    if group not in parameter or name not in parameter[group]:
        return []
    value = parameter[group][name]["value"]
    return list(value.ravel(order="F")) if isinstance(value, np.ndarray) else [str(v).strip() for v in value]


def _first(content: Any, group: str, name: str, default: Any) -> Any:
    return next(iter(_values(content, group, name)), default)


def _screen_up(content: Any) -> str | None:
    said = str(_first(content, "POINT", "Y_SCREEN", "")).lower()
    said = said if said.startswith(("+", "-")) else "+" + said
    return said if said in SIGNED_AXES else None


def _unit(path: Path, where: str, said: str, known: Mapping[str, float]) -> float:
    plain = said.lower().replace(".", "").replace("*", "").replace(" ", "").replace("-", "")
    if plain not in known:
        raise TrialError(
            f"{path}: {where} is '{said}', an unknown unit: write one of {', '.join(known)} and export the file again"
        )
    return known[plain]


def _plate(path: Path, content: Any, k: int, metre: float) -> Plate:
    filtered = content["data"]["platform"][k]
    kind = int(_values(content, "FORCE_PLATFORM", "TYPE")[k])
    channels = np.reshape(_values(content, "FORCE_PLATFORM", "CHANNEL"), (-1, _plates_of(content)), order="F")[:, k]
    units = [*_values(content, "ANALOG", "UNITS"), *_values(content, "ANALOG", "UNITS2")]
    said = [units[int(c) - 1] if 0 < c <= len(units) else "" for c in channels]
    # A calibration matrix turns volts into newtons and the moments that belong to the positions' unit.
    calibrated = kind == 4 or not said[0]
    newton = 1.0 if calibrated else _unit(path, f"the unit of plate {k + 1}'s force", said[0], _NEWTONS)
    corners = filtered["corners"].T * metre
    force = filtered["force"].T * newton
    plate = Plate(corners, force, force, force)
    if kind in (1, 3):  # type 1 holds places, type 3 corrects them by a polynomial of its own
        point, moment = filtered["center_of_pressure"].T * metre, filtered["Tz"].T * newton * metre
    else:
        spoken = "" if calibrated else said[3]
        newton_metre = _unit(path, f"the unit of plate {k + 1}'s moment", spoken, _NEWTON_METRES) if spoken else metre
        # ezc3d adds the moment of the sensor's depth as if all were in one unit.
        depth = _frame(corners) @ filtered["origin"]
        lever = np.cross(filtered["force"].T, depth)
        about = newton_metre * (filtered["moment"].T - lever) + newton * metre * lever
        point, moment = _where(about, force, plate.normal)
        point = point + corners.mean(axis=0)
    return Plate(corners, force, point, moment)


def _plates_of(content: Any) -> int:
    shape = np.shape(content["parameters"]["FORCE_PLATFORM"]["CHANNEL"]["value"])
    return int(shape[1]) if len(shape) > 1 else 1


def _frame(corners_m: FloatArray) -> FloatArray:
    """The plate's own axes as columns (3, 3), by its corners as the format defines them."""
    x = corners_m[0] - corners_m[1]
    z = np.cross(x, corners_m[0] - corners_m[3])
    y = np.cross(z, x)
    return np.stack([axis / np.linalg.norm(axis) for axis in (x, y, z)], axis=1)


def _where(about_nm: FloatArray, force_n: FloatArray, normal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where a force with a moment about the plate's middle (samples, 3) goes through its plane, and the free moment there."""
    push = force_n @ normal
    point = np.cross(normal, about_nm) / np.where(push == 0.0, np.inf, push)[:, None]
    free = (about_nm - np.cross(point, force_n)) @ normal
    return point, np.asarray(free[:, None] * normal)
