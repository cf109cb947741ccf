"""The recordings with ground reaction in the data folder, and where their people's feet are."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.feet import Foot
from edge.msk.model import Model, load_model
from edge.msk.scaling import scale_uniformly
from edge.recorded_feet import recorded_feet
from edge.storage import Table, read_table

LEG = load_model("leg9")
FLEXION_POSITIVE = replace(LEG, joints=tuple(replace(j, sign=-j.sign) if j.name == "knee" else j for j in LEG.joints))
"""The same for kinematics whose knee angle is positive in flexion (the Rajagopal family)."""


@dataclass(frozen=True)
class Recorded:
    name: str
    leg: Model  # of the person's size
    kinematics: Path
    forces: Path
    loads: Path | None = None
    split_belts: bool = False  # the person sometimes steps on the other foot's belt

    def feet(self) -> dict[str, Foot]:
        table = read_table(self.kinematics)
        joints = [j.coordinate.format(side="r") for j in self.leg.joints]
        signs = [j.sign for j in self.leg.joints]
        q = np.radians(np.stack([table.column(n) for n in joints], axis=1)) * signs
        return recorded_feet(table, self.leg, "r", q, base_of(table))


def base_of(table: Table) -> np.ndarray:
    """Tilt in rad and place in m, of a file in degrees."""
    columns = [table.column(n) for n in ("pelvis_tilt", "pelvis_tx", "pelvis_ty")]
    return np.stack([np.radians(columns[0]), *columns[1:]], axis=1)


def whole_treadmill_60s(data: Path, folder: Path) -> Path:
    """Its force file with the number of rows that it has: the published header counts those before it was thinned out."""
    path = folder / "grf.mot"
    path.write_text((data / "treadmill_60s" / "grf.mot").read_text().replace("nRows=121120", "nRows=3028"))
    return path


def everyone(data: Path) -> Iterator[Recorded]:
    """All but `treadmill_60s`. Leg lengths are the hip to ankle distances of the people's own models."""
    plain = scale_uniformly(LEG, leg_length_m=0.879)
    for folder, forces in (("gait10_walk", "subject01_walk_grf.mot"), ("gait2392_walk", "subject01_walk1_grf.mot")):
        place = data / folder
        yield Recorded(folder, plain, place / "ik.mot", place / forces, place / "external_loads.xml")
    for person, length in (("s01", 0.893), ("s04", 0.878)):
        place = data / f"overground_{person}"
        leg = scale_uniformly(FLEXION_POSITIVE, leg_length_m=length)
        loads = place / "external_loads.xml"
        yield Recorded(place.name, leg, place / "ik.mot", place / "grf.mot", loads, split_belts=person == "s04")
    for speed in ("walk36", "run81"):
        place = data / "treadmill_speeds" / speed
        leg = scale_uniformly(LEG, leg_length_m=0.826)
        yield Recorded(speed, leg, place / "ik.sto", place / "XLD.mot", split_belts=True)
    leg = scale_uniformly(FLEXION_POSITIVE, leg_length_m=0.796)
    for path in sorted((data / "squats").glob("*_ik.mot")):
        stem = path.name.removesuffix("_ik.mot")
        # Their external loads put every plate under the right foot.
        yield Recorded(f"squats/{stem}", leg, path, path.with_name(f"{stem}_grf.mot"))
    with (data / "walk_12" / "anthropometrics.csv").open() as file:
        people = {row["subjectID"]: row for row in csv.DictReader(file)}
    for path in sorted((data / "walk_12").glob("*/*_ik_full.mot")):
        person, stem = path.parent.name, path.name.removesuffix("_ik_full.mot")
        # The tape's length is from the trochanter to the ankle's knob: 4 % shorter than joint to joint, on these people.
        leg = scale_uniformly(FLEXION_POSITIVE, leg_length_m=1.04 * float(people[person]["rightLegLength"]))
        forces = path.with_name(f"{stem}_grf.mot")
        yield Recorded(f"walk_12/{person}/{stem}", leg, path, forces, path.with_name(f"{stem}_grf.xml"))
