"""The recordings of the data folder that have three-dimensional kinematics and ground reaction.

Which force acts on which foot stands here where the recording's own file does not say it, or says it wrongly (the squats'
puts every plate under the right foot).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import opensim

from edge.errors import TrialError
from edge.storage import read_table
from tools.opensim_oracle_3d import FootForce, Side, Trial3d

_TOUCHING_N = 20.0
_SWING_S = 0.25  # of the swing before and after a foot's only contact that belongs to a trial of `walk_12`


def trials_3d(data: Path, side: Side = "r") -> dict[str, Trial3d]:
    """All of them for one leg, by name: `gait2392_walk`, `treadmill_60s`, `overground_s01`, `squats/walking1`, ...

    Ranges are those in which every contact of the leg's foot is on a force plate. Raises FileError or TrialError.
    """
    walk, treadmill = data / "gait2392_walk", data / "treadmill_60s"
    speeds = data / "treadmill_speeds"
    trials = [
        Trial3d(
            "gait2392_walk",
            "gait10",
            "walking",
            walk / "model.osim",
            walk / "ik.mot",
            walk / "subject01_walk1_grf.mot",
            _pair("ground_force_", "1_ground_force_", "ground_torque_", "1_ground_torque_"),
            0.52,
            2.4,
        ),
        Trial3d(
            "treadmill_60s",
            "treadmill",
            "walking",
            treadmill / "model.osim",
            treadmill / "ik.sto",
            treadmill / "grf.mot",
            _pair("ground_force_", "1_ground_force_", "ground_torque_", "1_ground_torque_"),
            10.4,
            12.7,
        ),
    ]
    # Beyond these ends both feet stand on one belt, or the recording stops in a stance.
    for person, start, end in (("s01", 0.9, 3.4), ("s04", 1.0, 2.5)):
        folder = data / f"overground_{person}"
        trials.append(
            Trial3d(
                folder.name,
                person,
                "walking",
                folder / "model.osim",
                folder / "ik.mot",
                folder / "grf.mot",
                _pair("ground_force_r_", "ground_force_l_", "ground_torque_r_", "ground_torque_l_"),
                start,
                end,
            )
        )
    for name, task in (("walk36", "walking"), ("run81", "running")):
        trials.append(
            Trial3d(
                f"treadmill_speeds/{name}",
                "speeds",
                task,
                speeds / "gait2392_generic.osim",
                speeds / name / "ik.sto",
                speeds / name / "XLD.mot",
                _pair("ground_force_", "l_ground_force_", "ground_torque_", "l_ground_torque_"),
                10.0,
                12.5,
            )
        )
    trials += [_squats(data / "squats", name, end) for name, end in _SQUATS.items()]
    for file in sorted((data / "walk_12").glob("*/*_grf.mot")):
        trials.append(_walk_12(file, side))
    return {t.name: t.of(side) for t in trials}


def with_muscles(trial: Trial3d, data: Path, folder: Path) -> Trial3d:
    """A trial of `walk_12` whose model has muscles: the generic one, scaled by the person's own scale set as OpenSim does.

    The model is written into `folder`. Raises TrialError for a trial that has no scale set.
    """
    person = trial.model.parent
    scales = person / "scale_set.xml"
    if not scales.is_file():
        raise TrialError(f"{trial.name}: no scale set at {scales}: its model has its own muscles, or none can be made")
    own = opensim.Model(str(trial.model))
    mass = own.getTotalMass(own.initSystem())
    model = opensim.Model(str(data / "walk_12" / "rajagopal2016_generic.osim"))
    model.scale(model.initSystem(), opensim.ScaleSet(str(scales)), True, mass)
    folder.mkdir(parents=True, exist_ok=True)
    scaled = folder / "scaled.osim"
    model.printToXML(str(scaled))
    return replace(trial, model=scaled)


_SQUATS = {
    "walking1": 1.3,
    "walking2": 1.31,
    "walking4": 1.38,
    "walkingTS1": 1.42,
    "squats1": 13.4,
    "squatsAsym1": 13.3,
}


def _pair(right: str, left: str, right_torque: str, left_torque: str) -> tuple[FootForce, FootForce]:
    return (
        FootForce("calcn_r", f"{right}v", f"{right}p", right_torque),
        FootForce("calcn_l", f"{left}v", f"{left}p", left_torque),
    )


def _squats(folder: Path, name: str, end_s: float) -> Trial3d:
    return Trial3d(
        f"squats/{name}",
        "squats",
        "walking" if name.startswith("walking") else "squat",
        folder / "model.osim",
        folder / f"{name}_ik.mot",
        folder / f"{name}_grf.mot",
        _pair("ground_force_1_", "ground_force_2_", "ground_force_1_m", "ground_force_2_m"),
        0.0,
        end_s,
    )


def _walk_12(force_file: Path, side: Side) -> Trial3d:
    """One pass over two plates: the side's only contact and some swing around it."""
    stem = force_file.name.removesuffix("_grf.mot")
    forces = _forces_of(force_file.with_suffix(".xml"))
    kinematics = force_file.with_name(f"{stem}_ik_full.mot")
    table = read_table(force_file)
    vertical = sum(table.column(f"{f.force}y") for f in forces if f.body.endswith(f"_{side}"))
    touching = np.flatnonzero(np.asarray(vertical) > _TOUCHING_N)
    if len(touching) == 0:
        raise TrialError(f"{force_file}: no plate carries the foot of side '{side}': take the other side")
    recorded = read_table(kinematics).time_s
    return Trial3d(
        f"walk_12/{force_file.parent.name}/{stem}",
        force_file.parent.name,
        "walking",
        force_file.parent / "model_without_muscles.osim",
        kinematics,
        force_file,
        forces,
        max(float(recorded[0]), float(table.time_s[touching[0]]) - _SWING_S),
        min(float(recorded[-1]), float(table.time_s[touching[-1]]) + _SWING_S),
        side,
    )


def _forces_of(loads: Path) -> tuple[FootForce, ...]:
    def text(element: ET.Element, tag: str) -> str:
        return (element.findtext(tag) or "").strip()

    return tuple(
        FootForce(
            text(e, "applied_to_body"),
            text(e, "force_identifier"),
            text(e, "point_identifier"),
            text(e, "torque_identifier"),
        )
        for e in ET.parse(loads).getroot().iter("ExternalForce")
    )
