"""The walking leg of four rows against OpenSim's static optimisation in three dimensions.

    python -m tools.bench.leg_vs_3d DATA [--out TABLE.md]

For each person, nine muscle groups: the product's path (the person's own model with `osim`, planar dynamics, our geometry and
muscles in `compat` mode) with the hip's adduction torque from the lever rule, from the ground reaction in space, and from
OpenSim's own inverse dynamics; and what is left when all joint torques are OpenSim's too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import Model, load_model
from edge.msk.staticopt import share_torque
from edge.storage import write_text
from edge.trial import Trial
from edge.trials import TrialSpec, load_trial
from tools.opensim_oracle import FloatArray
from tools.opensim_oracle_3d import Prepared3d, Solution3d, inverse_dynamics_3d, prepare, static_optimisation_3d
from tools.opensim_oracle_state import row_torques
from tools.opensim_oracle_trials import trials_3d

# Person: our model, one stride of the right leg (s), and every how many frames of it.
PEOPLE = {
    "gait2392_walk": ("leg32", 0.6, 1.8, 2),
    "treadmill_60s": ("leg32_rajagopal", 11.4, 12.5, 2),
    "overground_s01": ("leg32_rajagopal", 1.2, 2.3, 4),
    "overground_s04": ("leg32_rajagopal", 1.4, 2.5, 4),
}

GROUPS = {
    "glut_max": "glut_max1 glut_max2 glut_max3 glmax1 glmax2 glmax3",
    "hamstrings": "semimem semiten bifemlh bflh",
    "bifemsh": "bifemsh bfsh",
    "iliopsoas": "iliacus psoas",
    "rect_fem": "rect_fem recfem",
    "vasti": "vas_med vas_int vas_lat vasmed vasint vaslat",
    "gastroc": "med_gas lat_gas gasmed gaslat",
    "soleus": "soleus",
    "tib_ant": "tib_ant tibant",
}

METHODS = ("lever rule", "ground reaction in space", "OpenSim's adduction", "OpenSim's torques")


@dataclass(frozen=True)
class Agreement:
    """How far the activations and forces of one person's nine groups are from OpenSim's.

    R2 pooled over frames and groups: about one mean of all, and (stricter) about each group's own mean.
    """

    activation_r2: float
    force_r2: float
    activation_r2_own_means: float
    force_r2_own_means: float
    group_activation_r2: Mapping[str, float]
    group_activation_rmse: Mapping[str, float]
    group_force_rmse_n: Mapping[str, float]
    muscle_activation_r2: Mapping[str, float]
    muscle_activation_rmse: Mapping[str, float]


@dataclass(frozen=True)
class Person:
    name: str
    frames: int
    agreement: Mapping[str, Agreement]  # by method
    torque_rmse_nm: Mapping[str, FloatArray]  # by method, (n_rows,)


def compare(name: str, data: Path, folder: Path) -> Person:
    """One person's leg beside OpenSim's solution, which takes a minute."""
    model_name, start, end, every = PEOPLE[name]
    trial = trials_3d(data)[name].within(start, end)
    prepared = prepare(trial, folder)
    theirs = static_optimisation_3d(prepared, every=every)
    ours = _load(load_model(model_name), trial.model, prepared)
    at = theirs.time_s
    coordinates = {a.name: (a.coordinate.format(side="r"), a.sign) for a in ours.model.coordinates}
    rows = [coordinates[row] for row in ours.model.row_names]
    true = row_torques(prepared.model, prepared.kinematics, inverse_dynamics_3d(prepared).at(at), [r[0] for r in rows])
    true = true * np.array([sign for _, sign in rows])
    lever, space = (replace(ours, adduction=how).torque(at) for how in ("lever", "space"))
    torque = dict(zip(METHODS, (lever, space, np.hstack([space[:, :3], true[:, 3:]]), true), strict=True))
    muscles = HillMuscles.of(ours.model, MuscleMode.COMPAT)
    return Person(
        name,
        len(at),
        {method: _agreement(muscles, ours, at, given, theirs) for method, given in torque.items()},
        {method: np.sqrt(((given - true) ** 2).mean(axis=0)) for method, given in torque.items()},
    )


def _load(model: Model, osim: Path, prepared: Prepared3d) -> Trial:
    """The trial as `edge-msk solve` sees it; muscles from the person's own model."""
    spec = TrialSpec(
        kinematics=prepared.kinematics,
        ground_reaction=prepared.forces,
        external_loads=prepared.loads,
        osim=osim,
    )
    return load_trial(spec, model, name=prepared.trial.name)


def _agreement(muscles: HillMuscles, trial: Trial, at: FloatArray, torque: FloatArray, theirs: Solution3d) -> Agreement:
    q, qd = trial.muscle_angles(at)
    ours = share_torque(muscles, q, qd, torque)
    names = trial.model.muscle_names
    strength = trial.model.muscle_parameter("max_isometric_force_n")
    columns = [theirs.muscles.index(f"{name}_r") for name in names]
    activation, force, true_activation, true_force = (
        np.stack([_of_group(values, names, strength, group, mean) for group in GROUPS], axis=1)
        for values, mean in (
            (ours.activation, True),
            (ours.force_n, False),
            (theirs.activation[:, columns], True),
            (theirs.force_n[:, columns], False),
        )
    )

    def rmse(keys: Iterable[str], values: FloatArray, reference: FloatArray) -> dict[str, float]:
        return dict(zip(keys, np.sqrt(((values - reference) ** 2).mean(axis=0)).tolist(), strict=True))

    def r2(keys: Iterable[str], values: FloatArray, reference: FloatArray) -> dict[str, float]:
        return {key: _r2(values[:, [i]], reference[:, [i]]) for i, key in enumerate(keys)}

    return Agreement(
        _r2(activation, true_activation, true_activation.mean()),
        _r2(force, true_force, true_force.mean()),
        _r2(activation, true_activation),
        _r2(force, true_force),
        r2(GROUPS, activation, true_activation),
        rmse(GROUPS, activation, true_activation),
        rmse(GROUPS, force, true_force),
        r2(names, ours.activation, theirs.activation[:, columns]),
        rmse(names, ours.activation, theirs.activation[:, columns]),
    )


def _of_group(values: FloatArray, names: tuple[str, ...], strength: FloatArray, group: str, mean: bool) -> FloatArray:
    """Sum of the forces, or mean of the activations weighted with the muscles' strength, (frames,)."""
    members = [i for i, name in enumerate(names) if name in GROUPS[group].split()]
    if mean:
        return np.asarray(np.average(values[:, members], axis=1, weights=strength[members]))
    return np.asarray(values[:, members].sum(axis=1))


def _r2(ours: FloatArray, reference: FloatArray, mean: float | None = None) -> float:
    error = ((ours - reference) ** 2).sum()
    return float(1.0 - error / ((reference - (reference.mean(axis=0) if mean is None else mean)) ** 2).sum())


def report(people: list[Person]) -> str:
    """Markdown tables: all groups by method, and group by group."""
    lines = ["R2 of activation / force, pooled; in brackets about each group's own mean:", ""]
    lines.append("| person | frames | " + " | ".join(METHODS) + " |")
    lines.append("|" + "---|" * (2 + len(METHODS)))
    for p in people:
        cells = [
            f"{a.activation_r2:.3f} / {a.force_r2:.3f} ({a.activation_r2_own_means:.3f} / {a.force_r2_own_means:.3f})"
            for a in (p.agreement[m] for m in METHODS)
        ]
        lines.append(f"| {p.name} | {p.frames} | " + " | ".join(cells) + " |")
    lines += ["", "Torques against OpenSim's, RMSE in Nm, hip / knee / ankle / adduction:", ""]
    lines += ["| person | " + " | ".join(METHODS[:2]) + " |", "|---|---|---|"]
    for p in people:
        cells = [" / ".join(f"{x:.2f}" for x in p.torque_rmse_nm[m]) for m in METHODS[:2]]
        lines.append(f"| {p.name} | " + " | ".join(cells) + " |")
    for method in METHODS[:2]:
        lines += ["", f"{method}, by group: R2 of activation (RMSE), RMSE of force in N:", ""]
        lines += ["| person | " + " | ".join(GROUPS) + " |", "|" + "---|" * (1 + len(GROUPS))]
        for p in people:
            a = p.agreement[method]
            cells = [
                f"{a.group_activation_r2[g]:.2f} ({a.group_activation_rmse[g]:.3f}), {a.group_force_rmse_n[g]:.0f}"
                for g in GROUPS
            ]
            lines.append(f"| {p.name} | " + " | ".join(cells) + " |")
    lines += ["", "lever rule, by muscle: R2 of activation (RMSE); those of RMSE below 0.01 are left out:", ""]
    for p in people:
        a = p.agreement[METHODS[0]]
        cells = [
            f"{name} {a.muscle_activation_r2[name]:.2f} ({rmse:.3f})"
            for name, rmse in sorted(a.muscle_activation_rmse.items(), key=lambda item: -item[1])
            if rmse >= 0.01
        ]
        lines.append(f"* {p.name}: " + ", ".join(cells))
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--person", "names", multiple=True, type=click.Choice(list(PEOPLE)), help="Only this one; may be repeated."
)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the tables to this Markdown file.")
def main(data: Path, names: tuple[str, ...], out: Path | None) -> None:
    """Compare the four-row leg with OpenSim in three dimensions on the recordings in DATA."""
    people = []
    for name in names or PEOPLE:
        with tempfile.TemporaryDirectory() as folder:
            people.append(compare(name, data, Path(folder)))
        click.echo(f"{name}: done", err=True)
    table = report(people)
    click.echo(table)
    if out is not None:
        write_text(out, table)


if __name__ == "__main__":
    main()
