"""Joint angles from markers, by OpenSim's inverse kinematics with a person's own scaled model.

    from tools.inverse_kinematics import from_c3d
    angles = from_c3d(Path("walk.c3d"), Path("person.osim"), setup=Path("ikSetup.xml"))

The answer is a table as OpenSim's own tool writes it: every coordinate of the model, angles in degrees.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.c3d import read_c3d
from edge.errors import FileError, TrialError
from edge.laboratory import find_axes, markers
from edge.msk.spline import FloatArray
from edge.storage import Table, read_text
from tools.opensim_module import load_opensim

_FEWEST = 3  # of seen markers in a frame: fewer place no body
_ACCURACY = 1e-7  # at 1e-5, the default of OpenSim's tool, it stops up to 1.3 deg before the best posture
_WORST_M = 0.1  # median distance between markers and model: beyond it the model or the axes are another person's
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}


def from_c3d(
    path: Path, osim: Path, *, setup: Path | None = None, forward: str | None = None, up: str | None = None
) -> Table:
    """Coordinates (in_degrees) of the model at the frames of a C3D's markers.

    osim: the person's scaled model, whose markers have the file's names (without the C3D's subject). setup: OpenSim's inverse
    kinematics settings, whose marker weights are used; without it every marker of both weighs the same. forward, up: the
    laboratory's axes, found where not given (edge.laboratory). Raises FileError, TrialError, or MissingExtraError.
    """
    recording = read_c3d(path)
    axes = find_axes(recording, forward=forward, up=up)
    frames = next((len(m) for m in recording.markers.values()), 0)
    if not frames or not recording.rate_hz > 0.0:
        raise TrialError(f"{path}: holds no markers: give another file, or joint angles as a .mot")
    return solve(path, np.arange(frames) / recording.rate_hz, markers(recording, axes), osim, setup=setup)


def from_trc(path: Path, osim: Path, *, setup: Path | None = None) -> Table:
    """The same from a .trc, whose axes are the model's already (y up)."""
    time, found = _read_trc(path)
    return solve(path, time, found, osim, setup=setup)


def solve(
    path: Path, time_s: FloatArray, found: Mapping[str, FloatArray], osim: Path, *, setup: Path | None = None
) -> Table:
    """Coordinates of the model that bring its markers closest to `found` (name -> (frames, 3) in m, NaN where unseen).

    path: the markers' file, named in errors and in the table. Raises FileError, TrialError, or MissingExtraError.
    """
    opensim = load_opensim("inverse kinematics of markers")
    if not osim.is_file():
        raise FileError(f"{osim}: no such file: give the path of an OpenSim model (.osim)")
    try:
        model = opensim.Model(str(osim))
        state = model.initSystem()
    except RuntimeError as error:
        raise FileError(
            f"{osim}: OpenSim cannot load this model ({_reason(error)}): open it in OpenSim to see"
        ) from None
    weights = _weights(path, osim, {m.getName() for m in model.getMarkerSet()}, found, setup)
    names = list(weights)
    places = np.stack([found[name] for name in names], axis=1)
    seen = np.asarray(np.isfinite(places).all(axis=2))
    blind = np.flatnonzero(seen.sum(axis=1) < _FEWEST)
    if len(blind):
        raise TrialError(
            f"{path}: fewer than {_FEWEST} markers are seen at {time_s[blind[0]]:g} s ({len(blind)} of {len(time_s)} frames): "
            "fill the gaps or cut the file there"
        )
    table = opensim.TimeSeriesTableVec3()
    table.setColumnLabels(
        names
    )  # a plain list: with ezc3d loaded too, OpenSim's own vector of texts may be taken for ezc3d's
    for t, frame in zip(time_s, places, strict=True):
        table.appendRow(float(t), opensim.RowVectorVec3([opensim.Vec3(*map(float, place)) for place in frame]))
    reference = opensim.MarkersReference(table, _weight_set(opensim, weights))
    solver = opensim.InverseKinematicsSolver(model, reference, opensim.SimTKArrayCoordinateReference())
    solver.setAccuracy(_ACCURACY)
    coordinates = list(model.getCoordinateSet())
    turns = np.array([c.getMotionType() == opensim.Coordinate.Rotational for c in coordinates])
    values, off = np.empty((len(time_s), len(coordinates))), np.empty(len(time_s))
    try:
        for i, t in enumerate(time_s):
            state.setTime(float(t))
            (solver.track if i else solver.assemble)(state)
            values[i] = [c.getValue(state) for c in coordinates]
            errors = [solver.computeCurrentMarkerError(names[k]) for k in np.flatnonzero(seen[i])]
            off[i] = np.median(errors)
    except RuntimeError as error:
        raise TrialError(
            f"{path}: OpenSim finds no posture of {osim.name} for the markers ({_reason(error)})"
        ) from None
    if np.median(off) > _WORST_M:
        raise TrialError(
            f"{path}: the markers stay {np.median(off):.2f} m from those of {osim.name}: give the model of this person, scaled, "
            "and check `forward` and `up`"
        )
    columns = tuple(c.getName() for c in coordinates)
    # OpenSim's tool leaves in radians what its model does not call an angle: a kneecap's coupled coordinate.
    return Table(path, time_s, columns, np.where(turns, np.degrees(values), values), True)


def _weights(
    path: Path, osim: Path, known: set[str], found: Mapping[str, FloatArray], setup: Path | None
) -> dict[str, float]:
    """Weight of each marker that is both recorded and the model's."""
    if setup is None:
        weights = {name: 1.0 for name in found if name in known}
    else:
        weights = {name: weight for name, weight in _read_weights(setup).items() if name in known and name in found}
    if sum(weight > 0.0 for weight in weights.values()) < _FEWEST:
        raise TrialError(
            f"{path}: its markers ({', '.join(sorted(found)[:6])}, ...) are not those of {osim.name} "
            f"({', '.join(sorted(known)[:6])}, ...): name them alike, in the model or in the recording"
        )
    return weights


def _read_weights(setup: Path) -> dict[str, float]:
    """Marker weights of OpenSim's inverse kinematics settings. Raises FileError or TrialError."""
    try:
        root = ET.fromstring(read_text(setup))
        tasks = list(root.iter("IKMarkerTask"))
        return {
            str(task.get("name")): float(task.findtext("weight") or 0.0)
            for task in tasks
            if (task.findtext("apply") or "true").strip().lower() == "true"
        }
    except (ET.ParseError, ValueError) as error:
        raise FileError(f"{setup}: not valid settings of inverse kinematics ({error}): export them again") from None


def _weight_set(opensim: Any, weights: Mapping[str, float]) -> Any:
    weight_set = opensim.SetMarkerWeights()
    for name, weight in weights.items():
        weight_set.cloneAndAppend(opensim.MarkerWeight(name, weight))
    return weight_set


def _reason(error: RuntimeError) -> str:
    """What OpenSim says is wrong; where in its source it was thrown stands first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1] if len(lines) > 1 and "thrown at" in lines[0].lower() else lines[0]


def _read_trc(path: Path) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Times (frames,) and markers (frames, 3) in m of a .trc. Raises FileError or TrialError."""
    lines = [line.split("\t") for line in read_text(path).splitlines()]
    if len(lines) < 6 or lines[0][0] != "PathFileType":
        raise FileError(f"{path}: not a .trc file of markers: export it again")
    settings = dict(zip(lines[1], lines[2], strict=False))
    unit = settings.get("Units", "").strip().lower()
    if unit not in _METRES:
        raise TrialError(f"{path}: Units is '{unit}': write one of {', '.join(_METRES)}")
    names = [name.strip() for name in lines[3][2:] if name.strip()]
    width = 2 + 3 * len(names)
    rows = []
    for number, line in enumerate(lines[5:], start=6):
        values = [value.strip() for value in line]
        if not any(values):
            continue
        values = (values + [""] * width)[:width]  # trailing markers that are not seen may be left out
        try:
            rows.append([float(value) if value else np.nan for value in values])
        except ValueError:
            raise FileError(f"{path}: line {number} holds what is not a number: export it again") from None
    announced = settings.get("NumFrames", "").strip()
    if not rows or (announced.isdigit() and len(rows) < int(announced)):
        raise FileError(f"{path}: announces {announced} frames and holds {len(rows)}: it is truncated, copy it again")
    data = np.array(rows)
    if not (np.diff(data[:, 1]) > 0.0).all():
        raise TrialError(f"{path}: time does not increase: mend the file")
    return data[:, 1], {name: data[:, 2 + 3 * k : 5 + 3 * k] * _METRES[unit] for k, name in enumerate(names)}
