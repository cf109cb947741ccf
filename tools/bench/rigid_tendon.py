"""What the rigid tendon costs: `python -m tools.bench.rigid_tendon DATA`.

Static optimisation shares a recorded walk's torques among muscles with rigid tendons. The same activations and lengths then
go through the same muscles with elastic tendons, and the tables say how far the tendon forces, and the joint torques that they
make, are apart. DATA: the folder of the example gait10dof18musc with its walk (both legs are taken), or a trials file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import numpy as np
import numpy.typing as npt

from edge.msk.curves import FAMILIES
from edge.msk.elastic_tendon import ElasticMuscles
from edge.msk.hill import HillMuscles
from edge.msk.model import Model, load_model
from edge.msk.staticopt import share_torque
from edge.trial import Trial
from edge.trials import TrialSpec, load_trial, load_trials

FloatArray = npt.NDArray[np.float64]

SETTLING_S = 0.1  # after which nothing is left of the first moment's equilibrium
RATE_HZ = 200.0
SIDES: tuple[Literal["r", "l"], ...] = ("r", "l")


@dataclass(frozen=True)
class Comparison:
    """A trial's frames after settling: elastic minus rigid."""

    force: FloatArray  # (frames, n_muscles) in maximal isometric forces
    fiber_length: FloatArray  # (frames, n_muscles) in optimal fibre lengths
    torque_nm: FloatArray  # (frames, n_rows)
    rigid_force: FloatArray  # (frames, n_muscles) in maximal isometric forces
    rigid_torque_nm: FloatArray  # (frames, n_rows), of the muscles


def compare(trial: Trial, curves: str | None = None, tendon_strain: float | None = None) -> Comparison:
    """Rigid and elastic tendons on one trial with ground reaction. Raises TrialError when it has none."""
    at = trial.times(RATE_HZ)
    q, qd = trial.muscle_angles(at)
    rigid = HillMuscles.of(trial.model, curves=curves)
    solution = share_torque(rigid, q, qd, trial.torque(at))
    state = solution.state
    elastic = ElasticMuscles.of(rigid, tendon_strain=tendon_strain).integrate(at, solution.activation, state.length_m)
    kept = at - at[0] >= SETTLING_S
    change = elastic.tendon_force_n - solution.force_n
    torque = np.matmul(np.stack([solution.force_n, change])[..., None, :], state.moment_arm_m)[..., 0, :]
    return Comparison(
        force=(change / rigid.max_force_n)[kept],
        fiber_length=(elastic.fiber_length - state.fiber_length)[kept],
        torque_nm=torque[1][kept],
        rigid_force=(solution.force_n / rigid.max_force_n)[kept],
        rigid_torque_nm=torque[0][kept],
    )


def table(model: Model, comparisons: Sequence[Comparison]) -> str:
    """Markdown: per muscle and per joint, over all frames of all trials."""

    def joined(field: str) -> FloatArray:
        return np.concatenate([getattr(c, field) for c in comparisons])

    force, fiber, torque = joined("force"), joined("fiber_length"), joined("torque_nm")
    largest, own_torque = joined("rigid_force").max(axis=0), joined("rigid_torque_nm")
    tendon = model.muscle_parameter("tendon_slack_length_m") / model.muscle_parameter("optimal_fiber_length_m")
    rows = [
        "| muscle | tendon, fibre lengths | largest force, F_o | force RMSE, F_o | force max, F_o | fibre length RMSE, l_o |",
        "|---|---|---|---|---|---|",
    ]
    for m, name in enumerate(model.muscle_names):
        rows.append(
            f"| {name} | {tendon[m]:.1f} | {largest[m]:.2f} | {_rms(force[:, m]):.3f} | {np.abs(force[:, m]).max():.3f} | "
            f"{_rms(fiber[:, m]):.3f} |"
        )
    rows += ["", "| joint | torque of the muscles, SD Nm | torque RMSE, Nm |", "|---|---|---|"]
    for j, name in enumerate(model.row_names):
        rows.append(f"| {name} | {own_torque[:, j].std():.1f} | {_rms(torque[:, j]):.1f} |")
    return "\n".join(rows)


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _trials(data: Path, model: Model) -> list[Trial]:
    if data.is_file():
        return load_trials(data, model)
    return [
        load_trial(
            TrialSpec(kinematics=data / "ik.mot", external_loads=data / "external_loads.xml", side=side),
            model,
            name=str(data),
        )
        for side in SIDES
    ]


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="leg9", show_default=True, help="A packaged model or a model file.")
@click.option("--curves", type=click.Choice(list(FAMILIES)), default="degroote2016", show_default=True)
@click.option("--tendon-strain", type=float, help="At the maximal force; the curves' own by default.")
def main(data: Path, model: str, curves: str, tendon_strain: float | None) -> None:
    """Compare rigid with elastic tendons on the walk in DATA."""
    loaded = load_model(model)
    comparisons = [compare(trial, curves, tendon_strain) for trial in _trials(data, loaded)]
    click.echo(table(loaded, comparisons))


if __name__ == "__main__":
    main()
