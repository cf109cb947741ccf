"""How far planar inverse dynamics is from OpenSim's in three dimensions: `python -m tools.bench.planar_vs_3d DATA`.

Joint by joint, for every recording with ground reaction; the planar model is imported from the same OpenSim model. Four ways
of giving it the movement and the ground reaction:

* angles: the sagittal coordinates and the pelvis's tilt, taken as the chain's angles; forces as seen from the side;
* centres: segment angles from the joint centres, projected on the vertical plane of the pelvis's mean heading;
* turning plane: the same on the vertical plane in which the pelvis looks in every frame;
* own axes: as centres, but the moment of the ground reaction is that about each joint's own centre and axis in space.

What `own axes` takes away is the cost of axes that are not perpendicular to the plane, and of limbs seen shortened in it; what
it leaves is everything else (the foot as one body, inertia out of the plane). Forward kinematics and torques both come from
coordinates filtered at 6 Hz.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from scipy.interpolate import make_interp_spline

from edge.msk.chain import place_chain
from edge.msk.dynamics import ExternalForce, Kinematics, inverse_dynamics
from edge.msk.model import Model
from edge.msk.segment_angles import angles_from_centers
from edge.storage import read_table, write_text
from edge.trials import TrialSpec, load_trial
from tools.import_opensim import import_limb
from tools.limbs import LIMBS
from tools.opensim_limb import OpenSimLimb
from tools.opensim_oracle import FloatArray
from tools.opensim_oracle_3d import Prepared3d, Side, Trial3d, inverse_dynamics_3d, prepare
from tools.opensim_oracle_state import row_torques
from tools.opensim_oracle_trials import trials_3d
from tools.projected_centers import JointCenters3d, joint_centers_3d, project, rightward

METHODS = ("angles", "centres", "turning plane", "own axes")
TARGET_NM = (1.5, 1.5, 3.0)  # hip, knee, ankle, in walking
_SPLINE_S = 0.25  # of kinematics beyond a range, where a spline's ends do no harm


@dataclass(frozen=True)
class Comparison:
    """Planar torques of one leg beside OpenSim's, hip, knee and ankle in the model's signs."""

    trial: Trial3d
    time_s: FloatArray  # (frames,)
    reference_nm: FloatArray  # (frames, 3)
    planar_nm: Mapping[str, FloatArray]  # by method, (frames, 3)

    def rmse_nm(self, method: str) -> FloatArray:
        return np.asarray(np.sqrt(((self.planar_nm[method] - self.reference_nm) ** 2).mean(axis=0)))

    def r2(self, method: str) -> FloatArray:
        error = ((self.planar_nm[method] - self.reference_nm) ** 2).mean(axis=0)
        return np.asarray(1.0 - error / self.reference_nm.var(axis=0))

    def axes_nm(self) -> FloatArray:
        """What the joints' own centres and axes change, root mean square (3,)."""
        return np.asarray(np.sqrt(((self.planar_nm["own axes"] - self.planar_nm["centres"]) ** 2).mean(axis=0)))


def compare(trial: Trial3d, folder: Path) -> Comparison:
    """Planar torques by every method, and OpenSim's, of a trial whose files are made in `folder`."""
    prepared = prepare(trial, folder)
    model = import_limb(prepared.model, LIMBS["leg"], name="planar", side=trial.side, muscles={})
    forces = inverse_dynamics_3d(prepared)
    rows = [j.coordinate.format(side=trial.side) for j in model.joints]
    signs = np.array([j.sign for j in model.joints])
    reference = signs * row_torques(prepared.model, prepared.kinematics, forces, rows)
    at = forces.time_s
    recorded = read_table(prepared.kinematics)
    near = recorded.time_s[(recorded.time_s >= at[0] - _SPLINE_S) & (recorded.time_s <= at[-1] + _SPLINE_S)]
    grid = np.linspace(near[0], near[-1], len(near))
    centers = joint_centers_3d(prepared.model, recorded, trial.side, grid)
    reaction = _ground_reaction(prepared, at)
    toes = _toes_in_foot(prepared)
    walk, turning = (_Plane.of(centers, forward) for forward in (centers.heading(), centers.headings()))
    motion = walk.motion(model, toes, at)
    planar = {
        "angles": _from_angles(model, prepared, at),
        "centres": inverse_dynamics(model, motion, walk.external(reaction, at)),
        "turning plane": inverse_dynamics(model, turning.motion(model, toes, at), turning.external(reaction, at)),
        "own axes": inverse_dynamics(model, motion) - _about_own_axes(model, motion, walk, signs, reaction),
    }
    return Comparison(trial, at, reference, planar)


def _from_angles(model: Model, prepared: Prepared3d, at: FloatArray) -> FloatArray:
    spec = TrialSpec(kinematics=prepared.kinematics, external_loads=prepared.loads, side=prepared.trial.side)
    return load_trial(spec, model, name=prepared.trial.name).torque(at)


@dataclass(frozen=True)
class _Reaction:
    """Ground reaction on the foot, as one force through the ground's origin and a moment, each (frames, 3)."""

    time_s: FloatArray
    force_n: FloatArray
    moment_nm: FloatArray

    def about(self, point_m: FloatArray) -> FloatArray:
        return self.moment_nm - np.asarray(np.cross(point_m, self.force_n))


def _ground_reaction(prepared: Prepared3d, at: FloatArray) -> _Reaction:
    """Interpolated between the rows of the file as OpenSim does, places of application included."""
    table = read_table(prepared.forces)
    force, moment = np.zeros((len(at), 3)), np.zeros((len(at), 3))
    for plate in prepared.trial.forces:
        if plate.body.endswith(f"_{prepared.trial.side}"):
            f, p, m = (
                np.stack([np.interp(at, table.time_s, table.raw(stem + axis)) for axis in "xyz"], axis=1)
                for stem in (plate.force, plate.point, plate.torque)
            )
            force += f
            moment += m + np.cross(p, f)
    return _Reaction(at, force, moment)


def _derivatives(time_s: FloatArray, values: FloatArray, at: FloatArray) -> list[FloatArray]:
    """Values and two derivatives of what is filtered already."""
    spline = make_interp_spline(time_s, values, k=5)
    return [np.asarray(spline(at, nu)) for nu in range(3)]


@dataclass(frozen=True)
class _Plane:
    """A leg's joint centres with the vertical plane on which they are projected."""

    centers: JointCenters3d
    forward: FloatArray  # (frames, 3), unit vectors

    @classmethod
    def of(cls, centers: JointCenters3d, forward: FloatArray) -> _Plane:
        return cls(centers, np.broadcast_to(forward, centers.hip_m.shape))

    def forward_at(self, at: FloatArray) -> FloatArray:
        forward = _derivatives(self.centers.time_s, self.forward, at)[0]
        return np.asarray(forward / np.linalg.norm(forward, axis=1, keepdims=True))

    def motion(self, model: Model, toes: tuple[float, float], at: FloatArray) -> Kinematics:
        """Of the chain that points as the joint centres do."""
        time = self.centers.time_s
        q = angles_from_centers(model, project(self.centers.chain_m, self.forward[:, None]), toes).q
        q, qd, qdd = _derivatives(time, q, at)
        hip_acceleration = _derivatives(time, self.centers.hip_m, at)[2]
        still = np.zeros(len(at))
        return Kinematics(q, qd, qdd, still, still, still, project(hip_acceleration, self.forward_at(at)))

    def external(self, reaction: _Reaction, at: FloatArray) -> ExternalForce:
        forward = self.forward_at(at)
        moment = reaction.about(_derivatives(self.centers.time_s, self.centers.hip_m, at)[0])
        return ExternalForce(
            project(reaction.force_n, forward), np.zeros((len(at), 2)), (moment * rightward(forward)).sum(axis=1)
        )


def _about_own_axes(
    model: Model, motion: Kinematics, plane: _Plane, signs: FloatArray, reaction: _Reaction
) -> FloatArray:
    """Generalised torques (frames, 3) of the ground reaction about the joints' own axes through their own centres."""
    at = reaction.time_s
    glide = place_chain(model, motion.q, motion.tilt).glide
    force = project(reaction.force_n, plane.forward_at(at))
    torque = np.empty((len(at), 3))
    for j in range(3):
        center, axis = (
            _derivatives(plane.centers.time_s, v[:, j], at)[0] for v in (plane.centers.chain_m, plane.centers.turn_axes)
        )
        torque[:, j] = signs[j] * (reaction.about(center) * axis).sum(axis=1) + (force * glide[j]).sum(axis=1)
    return torque


def _toes_in_foot(prepared: Prepared3d) -> tuple[float, float]:
    limb = OpenSimLimb(prepared.model, LIMBS["leg"], prepared.trial.side)
    limb.set_angles(np.zeros(len(limb.angles)))
    x, y = limb.origin_in(limb.model.getBodySet().get(f"toes_{prepared.trial.side}"), limb.bodies[2])
    return float(x), float(y)


def report(comparisons: list[Comparison]) -> str:
    """A Markdown table: RMSE in Nm at hip / knee / ankle by method, and how much of `centres` the axes make."""
    head = ["trial", "frames", "SD", *METHODS, "axes' part", "R2 centres", "R2 own axes"]
    rows = [head, ["---"] * len(head)]
    for c in comparisons:
        figures = [c.reference_nm.std(axis=0), *(c.rmse_nm(m) for m in METHODS), c.axes_nm()]
        rows.append(
            [
                f"{c.trial.name} {c.trial.side}",
                str(len(c.time_s)),
                *(" / ".join(f"{x:.2f}" if i else f"{x:.0f}" for x in f) for i, f in enumerate(figures)),
                *(" / ".join(f"{x:.4f}" for x in c.r2(m)) for m in ("centres", "own axes")),
            ]
        )
    walks = [c for c in comparisons if c.trial.task == "walking"]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if walks:
        lines.append("")
        for method in METHODS:
            every = np.array([c.rmse_nm(method) for c in walks])
            met = (every <= np.array(TARGET_NM)).sum(axis=0)
            lines.append(
                f"walking, {method}: median {_joined(np.median(every, axis=0))}, worst {_joined(every.max(axis=0))} Nm; within "
                f"{_joined(np.array(TARGET_NM))} Nm in {' / '.join(str(n) for n in met)} of {len(walks)}"
            )
    return "\n".join(lines) + "\n"


def _joined(values: FloatArray) -> str:
    return " / ".join(f"{v:.2f}" for v in values)


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--trial", "names", multiple=True, help="Only trials whose name begins so; may be repeated.")
@click.option("--side", type=click.Choice(["r", "l"]), default="r", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the table to this Markdown file.")
def main(data: Path, names: tuple[str, ...], side: Side, out: Path | None) -> None:
    """Compare planar and three-dimensional inverse dynamics on the recordings in DATA."""
    chosen = [t for n, t in trials_3d(data, side).items() if not names or n.startswith(names)]
    comparisons = []
    for trial in chosen:
        with tempfile.TemporaryDirectory() as folder:
            comparisons.append(compare(trial, Path(folder)))
        click.echo(f"{trial.name}: {_joined(comparisons[-1].rmse_nm('centres'))} Nm", err=True)
    table = report(comparisons)
    click.echo(table)
    if out is not None:
        write_text(out, table)


if __name__ == "__main__":
    main()
