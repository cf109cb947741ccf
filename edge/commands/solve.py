"""`edge-msk solve`: inverse dynamics and static optimisation of recorded trials, offline."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np

from edge.commands.options import FiniteRange
from edge.errors import TrialError
from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import load_model
from edge.msk.staticopt import share_torque
from edge.storage import write_sto
from edge.trials import Trial, load_trials


@click.command(epilog="Example:\n\n  edge-msk solve --trials walk.toml --model leg9 --estimator id-so --out walk.sto")
@click.option("--trials", "trials_file", type=click.Path(path_type=Path), required=True, help="Trials file (.toml).")
@click.option("--model", "model_name", default="leg9", show_default=True, help="A packaged model or a model file.")
@click.option(
    "--estimator",
    type=click.Choice(["id-so"]),
    default="id-so",
    show_default=True,
    help="id-so: inverse dynamics with the recorded ground reaction, then static optimisation.",
)
@click.option(
    "--compat", is_flag=True, help="Copy OpenSim's choices (Millard curves, no passive force) for comparison."
)
@click.option(
    "--rate",
    "rate_hz",
    type=FiniteRange(1.0, 10000.0),
    help="Output rate in Hz. Default: the recording's.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .sto file to write.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def solve(
    trials_file: Path,
    model_name: str,
    estimator: str,
    compat: bool,
    rate_hz: float | None,
    out: Path,
    as_json: bool,
) -> None:
    """Joint torques, muscle activations and forces of recorded trials.

    Each trial needs its ground reaction. With several trials each is written to its own file: OUT_1.sto, OUT_2.sto, ...
    """
    model = load_model(model_name)
    mode = MuscleMode.COMPAT if compat else MuscleMode.CORRECT
    trials = load_trials(trials_file, model)
    if out.suffix != ".sto":
        raise TrialError(f"{out}: results are written as .sto: name the file so")
    outs = [out] if len(trials) == 1 else [out.with_name(f"{out.stem}_{i + 1}.sto") for i in range(len(trials))]
    # Everything is solved before anything is written: a bad trial leaves no partial result.
    solved = [_solve_trial(trial, mode, rate_hz) for trial in trials]
    for path, trial, (times, columns, data) in zip(outs, trials, solved, strict=True):
        write_sto(path, f"{trial.name} {estimator}", columns, times, data)
    n_joints, n_muscles = len(model.joints), len(model.muscles)
    torque = np.concatenate([data[:, :n_joints] for _, _, data in solved])
    reserve = np.concatenate([data[:, n_joints + 2 * n_muscles :] for _, _, data in solved])
    torque_rms = dict(zip(model.row_names, np.sqrt((torque**2).mean(axis=0)).tolist(), strict=True))
    reserve_max = dict(zip(model.row_names, np.abs(reserve).max(axis=0).tolist(), strict=True))
    if as_json:
        summary = {
            "frames": len(torque),
            "out": str(out) if len(outs) == 1 else [str(p) for p in outs],
            "torque_rms_nm": torque_rms,
            "reserve_max_nm": reserve_max,
            "mode": mode.value,
        }
        click.echo(json.dumps(summary))
        return
    click.echo(f"{len(torque)} frames -> {', '.join(str(p) for p in outs)}")
    for row in model.row_names:
        click.echo(f"  {row:<8} torque RMS {torque_rms[row]:8.2f} Nm   largest reserve {reserve_max[row]:8.3f} Nm")


def _solve_trial(trial: Trial, mode: MuscleMode, rate_hz: float | None) -> tuple[np.ndarray, list[str], np.ndarray]:
    model = trial.model
    times = trial.own_times() if rate_hz is None else trial.times(rate_hz)
    motion = trial.kinematics(times)
    if outside := trial.frames_outside_model():
        click.echo(
            f"warning: {trial.name}: {outside} recorded frames lie outside the model's valid range of angles",
            err=True,
        )
    torque = trial.torque(times)
    solution = share_torque(HillMuscles.of(model, mode), motion.q, motion.qd, torque)
    columns = [
        *(f"{row}_moment" for row in model.row_names),
        *(f"{m}_activation" for m in model.muscle_names),
        *(f"{m}_force" for m in model.muscle_names),
        *(f"{row}_reserve" for row in model.row_names),
    ]
    return times, columns, np.hstack([torque, solution.activation, solution.force_n, solution.reserve_nm])
