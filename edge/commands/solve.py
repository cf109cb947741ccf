"""`edge-msk solve`: inverse dynamics and static optimisation of recorded trials, offline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from edge.commands.options import FiniteRange
from edge.errors import TrialError
from edge.msk.curves import FAMILIES
from edge.msk.effort import Effort
from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import load_model
from edge.msk.staticopt import LARGEST_EXPONENT, LEAST_RESERVE_NM, RESERVE_NM, SharingOptions, share_torque
from edge.storage import write_sto
from edge.trial import FloatArray, Trial
from edge.trials import TRIAL_PATHS, load_trials, read_trials_file

_MUCH_RESERVE = 0.1  # of a row's torque, root mean square
_NO_TORQUE_NM2 = 1e-6


@dataclass(frozen=True)
class _Settings:
    mode: MuscleMode
    curves: str | None
    rate_hz: float | None
    sharing: SharingOptions


@dataclass(frozen=True)
class _Solved:
    """One trial's results at its times."""

    time_s: FloatArray  # (frames,)
    torque_nm: FloatArray  # (frames, n_rows)
    activation: FloatArray  # (frames, n_muscles)
    force_n: FloatArray  # (frames, n_muscles)
    reserve_nm: FloatArray  # (frames, n_rows)
    infeasible: int  # frames

    @property
    def data(self) -> FloatArray:
        return np.hstack([self.torque_nm, self.activation, self.force_n, self.reserve_nm])


@click.command(
    epilog="""Example:

\b
  edge-msk solve --trials walk.toml --model leg9 --estimator id-so --out walk.sto
  edge-msk solve --trials walk.toml --model leg43 --rows hip,knee,ankle,hip_adduction --effort volume --out walk.sto"""
)
@click.option("--trials", "trials_file", type=click.Path(path_type=Path), required=True, help="Trials file (.toml).")
@click.option("--model", "model_name", default="leg9", show_default=True, help="A packaged model or a model file.")
@click.option(
    "--rows",
    help="Torque rows in which the muscles are balanced, separated by commas. Default: the model's; leg32 has hip, knee, ankle, "
    "hip_adduction.",
)
@click.option(
    "--estimator",
    type=click.Choice(["id-so"]),
    default="id-so",
    show_default=True,
    help="id-so: inverse dynamics with the recorded ground reaction, then static optimisation.",
)
@click.option(
    "--compat", is_flag=True, help="Copy OpenSim's choices (the muscles' own curves, no passive force) for comparison."
)
@click.option(
    "--curves", type=click.Choice(sorted(FAMILIES)), help="All muscles' force curves. Default: the mode's choice."
)
@click.option(
    "--effort",
    type=click.Choice([e.value for e in Effort]),
    default=Effort.ACTIVATION.value,
    show_default=True,
    help="What costs: activation (every muscle alike), the volume of active muscle, or its stress.",
)
@click.option(
    "--exponent",
    type=FiniteRange(1.0, LARGEST_EXPONENT),
    default=2.0,
    show_default=True,
    help="Power in which it costs.",
)
@click.option(
    "--reserve",
    "reserve_nm",
    type=FiniteRange(LEAST_RESERVE_NM, 1000.0),
    default=RESERVE_NM,
    show_default=True,
    help="The reserve torque in Nm that costs as much as one full activation; lower for a wrist.",
)
@click.option("--rate", "rate_hz", type=FiniteRange(1.0, 10000.0), help="Output rate in Hz. Default: the recording's.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .sto file to write.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def solve(
    trials_file: Path,
    model_name: str,
    rows: str | None,
    estimator: str,
    compat: bool,
    curves: str | None,
    effort: str,
    exponent: float,
    reserve_nm: float,
    rate_hz: float | None,
    out: Path,
    as_json: bool,
) -> None:
    """Joint torques, muscle activations and forces of recorded trials.

    A leg on the ground needs its ground reaction. With several trials each is written to its own file: OUT_1.sto, OUT_2.sto, ...
    """
    if out.suffix != ".sto":
        raise TrialError(f"{out}: results are written as .sto: name the file so")
    model = load_model(model_name)
    if rows is not None:
        model = model.with_rows([row.strip() for row in rows.split(",") if row.strip()])
    settings = _Settings(
        MuscleMode.COMPAT if compat else MuscleMode.CORRECT,
        curves,
        rate_hz,
        SharingOptions(exponent=exponent, effort=Effort(effort), reserve_nm=reserve_nm),
    )
    trials = load_trials(trials_file, model)
    outs = [out] if len(trials) == 1 else [out.with_name(f"{out.stem}_{i + 1}.sto") for i in range(len(trials))]
    _require_new(outs, trials_file)
    # Everything is solved before anything is written: a bad trial leaves no partial result.
    solved = [_solve_trial(trial, settings) for trial in trials]
    columns = [
        *(f"{row}_moment" for row in model.row_names),
        *(f"{m}_activation" for m in model.muscle_names),
        *(f"{m}_force" for m in model.muscle_names),
        *(f"{row}_reserve" for row in model.row_names),
    ]
    for path, trial, result in zip(outs, trials, solved, strict=True):
        write_sto(path, f"{trial.name} {estimator}", columns, result.time_s, result.data)
    torque = np.concatenate([result.torque_nm for result in solved])
    reserve = np.concatenate([result.reserve_nm for result in solved])
    torque_rms = dict(zip(model.row_names, np.sqrt((torque**2).mean(axis=0)).tolist(), strict=True))
    reserve_max = dict(zip(model.row_names, np.abs(reserve).max(axis=0).tolist(), strict=True))
    infeasible = sum(result.infeasible for result in solved)
    if as_json:
        summary = {
            "frames": len(torque),
            "out": str(out) if len(outs) == 1 else [str(p) for p in outs],
            "torque_rms_nm": torque_rms,
            "reserve_max_nm": reserve_max,
            "infeasible_frames": infeasible,
            "mode": settings.mode.value,
        }
        click.echo(json.dumps(summary))
        return
    click.echo(f"{len(torque)} frames -> {', '.join(str(p) for p in outs)}")
    width = max(8, *(len(row) for row in model.row_names))
    for row in model.row_names:
        click.echo(
            f"  {row:<{width}} torque RMS {torque_rms[row]:8.2f} Nm   largest reserve {reserve_max[row]:8.3f} Nm"
        )
    if infeasible:
        limit = settings.sharing.reserve_limit_nm
        click.echo(
            f"  in {infeasible} frames the muscles could not carry the torque: a reserve gave more than {limit:g} Nm"
        )


def _require_new(outs: Sequence[Path], trials_file: Path) -> None:
    """Raise TrialError when a result would take the place of a file that it is made from."""
    inputs = {trials_file.resolve()}
    if trials_file.suffix.lower() == ".toml":
        for spec in read_trials_file(trials_file):
            inputs |= {path.resolve() for key in TRIAL_PATHS if (path := getattr(spec, key)) is not None}
    for out in outs:
        if out.resolve() in inputs:
            raise TrialError(f"{out}: is one of the files that the result is made from: choose another --out")


def _solve_trial(trial: Trial, settings: _Settings) -> _Solved:
    times = trial.own_times() if settings.rate_hz is None else trial.times(settings.rate_hz)
    ranges = {a.name: np.degrees(a.range_rad) for a in trial.model.coordinates}
    for angle, count in trial.frames_outside_model().items():
        low, high = ranges[angle]
        click.echo(
            f"warning: {trial.name}: in {count} recorded frames '{angle}' leaves the model's valid range "
            f"({low:.0f} to {high:.0f} deg)",
            err=True,
        )
    for note in trial.notes():
        click.echo(f"{trial.name}: {note}", err=True)
    if trial.ground_reaction is not None:
        for reason, count in trial.ground_reaction.doubts_at(times).items():
            click.echo(f"warning: {trial.name}: in {count} of {len(times)} frames {reason}", err=True)
    torque = trial.torque(times)
    muscles = HillMuscles.of(trial.model, settings.mode, settings.curves)
    q, qd = trial.muscle_angles(times)
    solution = share_torque(muscles, q, qd, torque, options=settings.sharing)
    for i, row in enumerate(trial.model.row_names):
        share = np.sqrt((solution.reserve_nm[:, i] ** 2).mean() / max((torque[:, i] ** 2).mean(), _NO_TORQUE_NM2))
        if share > _MUCH_RESERVE:
            click.echo(
                f"warning: {trial.name}: at the {row} reserves, not muscles, give {share:.0%} of the torque: they are too weak "
                "for it, or stretched beyond their passive length, or --reserve is too large for so small a torque",
                err=True,
            )
    return _Solved(
        times, torque, solution.activation, solution.force_n, solution.reserve_nm, int(solution.infeasible.sum())
    )
