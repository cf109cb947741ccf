"""A recorded movement in three dimensions as OpenSim solves it: inverse dynamics and static optimisation of one leg.

The recordings' models come with what must not count here (contact spheres, passive joint forces, actuators, the other
leg's muscles): `prepare` takes it out. Only the leg in question keeps its muscles. Its own coordinates then have weak
reserves, all others are driven freely; the activations are those of the full model within 5e-5, twenty times sooner.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import opensim

from edge.errors import FileError, TrialError
from edge.storage import read_text, write_text
from tools.opensim_oracle import CONVERGENCE, FloatArray, Storage, by_coordinate, inverse_dynamics, static_optimisation

Side = Literal["r", "l"]

# The coordinates of a leg that its muscles balance; the toes' joint is driven freely.
LEG_COORDINATES = ("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "ankle_angle", "subtalar_angle")
FREE_RESERVE_NM = 1000.0
_MARGIN_S = 1.0  # kept around a range: what the ends do to the 6 Hz filter has died away to 1e-8 by then


@dataclass(frozen=True)
class FootForce:
    """One measured force: the body it acts on and the beginnings of its columns' names (without x, y, z)."""

    body: str
    force: str
    point: str
    torque: str


@dataclass(frozen=True)
class Trial3d:
    """A recorded movement with ground reaction, and one leg of it."""

    name: str
    person: str
    task: str  # walking, running, squat
    model: Path
    kinematics: Path
    force_file: Path
    forces: tuple[FootForce, ...]
    start_s: float
    end_s: float
    side: Side = "r"

    def of(self, side: Side) -> Trial3d:
        """The same with the other leg."""
        return replace(self, side=side)

    def within(self, start_s: float, end_s: float) -> Trial3d:
        """The same over another range of time."""
        return replace(self, start_s=start_s, end_s=end_s)


@dataclass(frozen=True)
class Prepared3d:
    """The files of a trial as OpenSim's tools take them, all in one scratch folder."""

    trial: Trial3d
    folder: Path
    model: Path  # nothing but the leg's muscles acts in it
    kinematics: Path
    forces: Path
    loads: Path

    @property
    def rows(self) -> tuple[str, ...]:
        """The leg's coordinates that are free and that its muscles balance."""
        model = opensim.Model(str(self.model))
        state = model.initSystem()
        free = {c.getName() for c in model.getCoordinateSet() if not c.isConstrained(state)}
        names = (f"{c}_{self.trial.side}" for c in LEG_COORDINATES)
        return tuple(n for n in names if n in free)


@dataclass(frozen=True)
class Solution3d:
    """OpenSim's static optimisation of a leg."""

    time_s: FloatArray  # (frames,)
    muscles: tuple[str, ...]
    activation: FloatArray  # (frames, muscles)
    force_n: FloatArray  # (frames, muscles)
    rows: tuple[str, ...]
    reserve_nm: FloatArray  # (frames, rows)


def prepare(trial: Trial3d, folder: Path) -> Prepared3d:
    """Write the trial's stripped model, its recordings cut to its range, and its external loads into `folder`.

    Raises FileError or TrialError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "leg.osim"
    _strip(trial.model, trial.side, model)
    around = (trial.start_s - _MARGIN_S, trial.end_s + _MARGIN_S)
    kinematics = folder / f"kinematics{trial.kinematics.suffix}"
    cut(trial.kinematics, kinematics, *around)
    forces = folder / "forces.mot"
    cut(trial.force_file, forces, *around)
    loads = folder / "loads.xml"
    write_text(loads, _loads(trial.forces, forces))
    return Prepared3d(trial, folder, model, kinematics, forces, loads)


def inverse_dynamics_3d(prepared: Prepared3d) -> Storage:
    """OpenSim's generalised forces of all coordinates, named by coordinate, in Nm (N where a coordinate is a distance)."""
    trial = prepared.trial
    storage = inverse_dynamics(
        prepared.model,
        prepared.kinematics,
        prepared.loads,
        prepared.folder,
        start_s=trial.start_s,
        end_s=trial.end_s,
    )
    return by_coordinate(storage)


def static_optimisation_3d(prepared: Prepared3d, *, convergence: float = CONVERGENCE, every: int = 1) -> Solution3d:
    """OpenSim's static optimisation of the leg. A reserve of 1 Nm costs as much as one full activation.

    `every` = 5 solves every fifth frame.
    """
    trial, rows = prepared.trial, prepared.rows
    activation, force = static_optimisation(
        prepared.model,
        prepared.kinematics,
        prepared.loads,
        prepared.folder,
        reserve_nm=lambda coordinate: 1.0 if coordinate in rows else FREE_RESERVE_NM,
        start_s=trial.start_s,
        end_s=trial.end_s,
        convergence=convergence,
        every=every,
    )
    muscles = [n for n in activation.columns if not n.endswith("_reserve")]
    return Solution3d(
        activation.time_s,
        tuple(muscles),
        activation.stack(muscles),
        force.stack(muscles),
        rows,
        force.stack([f"{r}_reserve" for r in rows]),
    )


def cut(source: Path, target: Path, start_s: float, end_s: float) -> None:
    """Copy an OpenSim table, rows from `start_s` to `end_s` only, its header otherwise as it is.

    Raises FileError when it is no such table and TrialError when no row is in the range.
    """
    lines = read_text(source).splitlines()
    ends = [i for i, line in enumerate(lines) if line.strip().lower() == "endheader"]
    if not ends:
        raise FileError(f"{source}: not an OpenSim table (no line 'endheader'): export it from OpenSim again")
    body = [line for line in lines[ends[0] + 1 :] if line.strip()]
    rows = [line for line in body[1:] if start_s <= float(line.split(maxsplit=1)[0]) <= end_s]
    if not rows:
        raise TrialError(f"{source}: has no row from {start_s:g} to {end_s:g} s: choose another range")
    header = [_with_count(line, len(rows)) for line in lines[: ends[0] + 1]]
    write_text(target, "\n".join([*header, body[0], *rows]) + "\n")


def _with_count(line: str, count: int) -> str:
    """A header line with its number of rows set right."""
    for key, between in (("nrows", "="), ("datarows", " ")):
        if line.strip().lower().startswith(key):
            return f"{line.strip()[: len(key)]}{between}{count}"
    return line


def _strip(source: Path, side: str, target: Path) -> None:
    """A copy of a model in which only the muscles of one side act."""
    model = opensim.Model(str(source))
    model.initSystem()
    kept = {m.getName() for m in model.getMuscles() if _reaches_leg(m, side)}
    forces = model.updForceSet()
    for i in reversed(range(forces.getSize())):
        if forces.get(i).getName() not in kept:
            forces.remove(i)
    for component in (model.updControllerSet(), model.updContactGeometrySet()):
        component.clearAndDestroy()
    for coordinate in model.getCoordinateSet():
        # A knee that hyperextends would be held at its stop by static optimisation, and not by inverse dynamics.
        coordinate.set_clamped(False)
    model.finalizeConnections()
    model.printToXML(str(target))


def _reaches_leg(muscle: Any, side: str) -> bool:
    """True when a muscle is attached to a body of that side's leg: not an erector spinae."""
    points = muscle.getGeometryPath().getPathPointSet()
    return any(points.get(i).getParentFrame().getName().endswith(f"_{side}") for i in range(points.getSize()))


def _loads(forces: Iterable[FootForce], data: Path) -> str:
    root = ET.Element("OpenSimDocument", Version="40000")
    loads = ET.SubElement(root, "ExternalLoads", name="loads")
    objects = ET.SubElement(loads, "objects")
    for i, force in enumerate(forces):
        element = ET.SubElement(objects, "ExternalForce", name=f"force_{i}")
        for tag, text in (
            ("applied_to_body", force.body),
            ("force_expressed_in_body", "ground"),
            ("point_expressed_in_body", "ground"),
            ("force_identifier", force.force),
            ("point_identifier", force.point),
            ("torque_identifier", force.torque),
        ):
            ET.SubElement(element, tag).text = text
    ET.SubElement(loads, "groups")
    ET.SubElement(loads, "datafile").text = str(data)
    return ET.tostring(root, encoding="unicode")
