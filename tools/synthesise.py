"""`edge-msk synthesise`: the walking recording of the demonstration, made from published averages.

    edge-msk synthesise --out-dir demo --seconds 20 --speed-mps 1.3 --mass-kg 75 --seed 1

It writes OpenSim files (walk.mot, walk_grf.mot, walk_grf.xml) and trials.toml, which `solve`, `train` and `evaluate`
take. Where the numbers come from, and what the recording is not: docs/demo.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from edge.commands.options import FiniteRange
from edge.errors import ModelError
from edge.msk.model import Model, load_model
from edge.storage import write_text
from tools.normative_gait import WALKING_BASE_M
from tools.walking import SIDES, Walk, average_gait, walk

FloatArray = npt.NDArray[np.float64]

RATE_HZ = 100.0
SETTLE_S = 0.5  # left out at both ends of a trial: a filter that looks both ways has not settled there
_BODIES = {"r": "calcn_r", "l": "calcn_l"}
_NUMBERS = {"r": 1, "l": 2}  # of the force plates in the file
_LATERAL_M = {"r": WALKING_BASE_M / 2.0, "l": -WALKING_BASE_M / 2.0}


@dataclass(frozen=True)
class Column:
    name: str
    values: FloatArray
    decimals: int


def mot_text(title: str, time_s: FloatArray, columns: list[Column], *, in_degrees: bool) -> str:
    """An OpenSim motion file with a fixed number of decimals in each column."""
    word = "yes" if in_degrees else "no"
    lines = [
        title,
        "version=1",
        f"nRows={len(time_s)}",
        f"nColumns={len(columns) + 1}",
        f"inDegrees={word}",
        "endheader",
        "\t".join(["time", *(c.name for c in columns)]),
    ]
    cells = [[f"{t:.4f}" for t in time_s]]
    # "+ 0.0" turns the minus zero that rounding leaves into a zero.
    cells += [[f"{v:.{c.decimals}f}" for v in np.round(c.values, c.decimals) + 0.0] for c in columns]
    lines += ["\t".join(row) for row in zip(*cells, strict=True)]
    return "\n".join(lines) + "\n"


def motion_columns(model: Model, w: Walk) -> list[Column]:
    """Coordinates with OpenSim's names and signs: degrees and metres."""
    if model.base.position is None:
        raise ModelError(f"model '{model.name}' does not walk: give a leg model, such as leg9")
    x, y = model.base.position
    columns = [
        Column(model.base.links[0].coordinate, np.degrees(w.tilt_rad), 5),
        Column(x, w.pelvis_m[:, 0], 7),
        Column(y, w.pelvis_m[:, 1], 7),
    ]
    for side in SIDES:
        degrees = np.degrees(w.q_rad[side])
        columns += [
            Column(j.coordinate.format(side=side), j.sign * degrees[:, i], 5) for i, j in enumerate(model.joints)
        ]
    return columns


def force_columns(w: Walk) -> list[Column]:
    """Ground reaction of both feet in the ground frame (x forward, y up, z right): N, m, Nm."""
    zero = np.zeros(len(w.time_s))
    columns = []
    for side in SIDES:
        stem = f"ground_force_{_NUMBERS[side]}_"
        force, point = w.force_n[side], w.pressure_m[side]
        columns += [
            Column(stem + "vx", force[:, 0], 3),
            Column(stem + "vy", force[:, 1], 3),
            Column(stem + "vz", zero, 0),
        ]
        columns += [Column(stem + "px", point[:, 0], 5), Column(stem + "py", point[:, 1], 0)]
        columns.append(Column(stem + "pz", np.full(len(zero), _LATERAL_M[side]), 4))
    for side in SIDES:
        columns += [Column(f"ground_torque_{_NUMBERS[side]}_{axis}", zero, 0) for axis in "xyz"]
    return columns


def external_loads_text(force_file: str) -> str:
    """OpenSim's external loads file: which columns act on which foot."""
    forces = "".join(
        f"""\
            <ExternalForce name="{name}">
                <applied_to_body>{_BODIES[side]}</applied_to_body>
                <force_expressed_in_body>ground</force_expressed_in_body>
                <point_expressed_in_body>ground</point_expressed_in_body>
                <force_identifier>ground_force_{_NUMBERS[side]}_v</force_identifier>
                <point_identifier>ground_force_{_NUMBERS[side]}_p</point_identifier>
                <torque_identifier>ground_torque_{_NUMBERS[side]}_</torque_identifier>
            </ExternalForce>
"""
        for side, name in zip(SIDES, ("right", "left"), strict=True)
    )
    return f"""\
<?xml version="1.0" encoding="UTF-8" ?>
<OpenSimDocument Version="40000">
    <ExternalLoads name="{Path(force_file).stem}">
        <objects>
{forces}        </objects>
        <groups />
        <datafile>{force_file}</datafile>
    </ExternalLoads>
</OpenSimDocument>
"""


def trials_text(stems: list[str], speeds: list[float], *, seconds: float, mass_kg: float) -> str:
    """The trials file: every recording once for each leg."""
    head = "# Walking made from published averages by `edge-msk synthesise`. It is not a recording of a person.\n"
    return head + "".join(
        f"""
[[trial]]
kinematics = "{stem}.mot"
ground_reaction = "{stem}_grf.mot"
external_loads = "{stem}_grf.xml"
side = "{side}"
start_s = {SETTLE_S:g}
end_s = {seconds - SETTLE_S:g}
subject = "demo"
speed_mps = {speed:g}
mass_kg = {mass_kg:g}
task = "walking"
"""
        for stem, speed in zip(stems, speeds, strict=True)
        for side in SIDES
    )


def newton_error_n(w: Walk, mass_kg: float, gravity_mps2: float) -> float:
    """Largest error of Newton's law in N between the forces and the pelvis of a trial, away from its ends."""
    step = w.time_s[1] - w.time_s[0]
    p = w.pelvis_m
    # Five-point second derivative: exact enough at 100 Hz for motion below some 10 Hz.
    second = (-p[4:] + 16.0 * p[3:-1] - 30.0 * p[2:-2] + 16.0 * p[1:-3] - p[:-4]) / (12.0 * step**2)
    force = (w.force_n["r"] + w.force_n["l"])[2:-2]
    return float(np.abs(force - mass_kg * (second + np.array([0.0, gravity_mps2]))).max())


@click.command()
@click.option(
    "--out-dir", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files."
)
@click.option("--seconds", type=FiniteRange(5.0, 600.0), default=20.0, show_default=True, help="Length of a trial.")
@click.option(
    "--speed-mps",
    "speeds",
    type=FiniteRange(0.6, 2.0),
    multiple=True,
    default=(1.3,),
    show_default=True,
    help="Mean speed; given several times, one trial for each.",
)
@click.option(
    "--speed-swing-mps",
    type=FiniteRange(0.0, 0.5),
    default=0.25,
    show_default=True,
    help="The speed swings slowly by so much about its mean.",
)
@click.option(
    "--speed-period-s",
    type=FiniteRange(4.0),
    default=7.0,
    show_default=True,
    help="Duration of one such swing.",
)
@click.option(
    "--variability",
    type=FiniteRange(0.0, 0.1),
    default=0.02,
    show_default=True,
    help="Standard deviation of pace and excursions from stride to stride, as a fraction.",
)
@click.option("--mass-kg", type=FiniteRange(30.0, 200.0), default=75.0, show_default=True, help="Mass of the body.")
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed gives the same files."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def synthesise(
    out_dir: Path,
    seconds: float,
    speeds: tuple[float, ...],
    speed_swing_mps: float,
    speed_period_s: float,
    variability: float,
    mass_kg: float,
    seed: int,
    as_json: bool,
) -> None:
    """Make a walking recording from published average angles and ground reaction forces.

    It is data to try the program with, not a person: see docs/demo.md.

    \b
    Example:
      edge-msk synthesise --out-dir demo --seconds 20 --speed-mps 1.3
      edge-msk solve --trials demo/trials.toml --model leg9 --out demo/solved.sto
    """
    if min(speeds) - speed_swing_mps < 0.6 or max(speeds) + speed_swing_mps > 2.0:
        raise click.BadParameter(
            f"with a swing of {speed_swing_mps:g} m/s the speed leaves the range of walking, 0.6 to 2.0 m/s: "
            "choose a smaller --speed-swing-mps or another --speed-mps"
        )
    if len(set(speeds)) != len(speeds):
        raise click.BadParameter("the same --speed-mps stands twice: each speed gives one trial, give different ones")
    model = load_model("leg9")
    gait = average_gait(model)
    stems = ["walk"] if len(speeds) == 1 else [f"walk_{speed:g}" for speed in speeds]
    worst_n = 0.0
    files: list[Path] = []
    for i, (stem, speed) in enumerate(zip(stems, speeds, strict=True)):
        w = walk(
            gait,
            seconds=seconds,
            rate_hz=RATE_HZ,
            mass_kg=mass_kg,
            speed_mps=speed,
            speed_swing_mps=speed_swing_mps,
            speed_period_s=speed_period_s,
            variability=variability,
            seed=seed + i,
        )
        worst_n = max(worst_n, newton_error_n(w, mass_kg, model.gravity_mps2))
        texts = {
            f"{stem}.mot": mot_text(stem, w.time_s, motion_columns(model, w), in_degrees=True),
            f"{stem}_grf.mot": mot_text(f"{stem}_grf", w.time_s, force_columns(w), in_degrees=False),
            f"{stem}_grf.xml": external_loads_text(f"{stem}_grf.mot"),
        }
        for name, text in texts.items():
            write_text(out_dir / name, text)
            files.append(out_dir / name)
    # The trials file last: where it stands, everything it names stands too.
    trials = out_dir / "trials.toml"
    write_text(trials, trials_text(stems, list(speeds), seconds=seconds, mass_kg=mass_kg))
    files.append(trials)
    size = sum(path.stat().st_size for path in files)
    if as_json:
        summary = {
            "trials": str(trials),
            "files": [str(path) for path in files],
            "bytes": size,
            "recordings": len(stems),
            "frames": round(seconds * RATE_HZ) + 1,
            "rate_hz": RATE_HZ,
            "average_speed_mps": gait.speed_mps,
            "average_stride_m": gait.stride_length_m,
            "newton_error_n": worst_n,
        }
        click.echo(json.dumps(summary))
        return
    for path in files:
        click.echo(str(path))
    click.echo(
        f"{len(stems)} recording(s) of {seconds:g} s at {RATE_HZ:g} Hz, {size / 1024:.0f} KiB; both legs in {trials}"
    )
