"""`edge-msk evaluate`. It needs no PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from edge.bundle import Bundle
from edge.commands.options import FiniteRange
from edge.errors import FileError, TrialError
from edge.storage import write_sto
from edge.trials import load_trials
from train.evaluate import Series, evaluate, require_torques
from train.figure import shown
from train.writable import require_writable


@click.command(
    "evaluate",
    epilog="\b\nExample:\n  edge-msk evaluate subject.msk --trials test.toml --reference so --baselines training.toml",
)
@click.argument("bundle_path", metavar="BUNDLE")
@click.option("--trials", "trials_file", type=click.Path(path_type=Path), required=True, help="Trials file (.toml).")
@click.option(
    "--reference",
    "references",
    multiple=True,
    default=("so",),
    show_default=True,
    help="so: static optimisation on the trial's inverse dynamics. Or a .sto with moments, activations or forces; "
    "give it once for all trials or once for each.",
)
@click.option(
    "--baselines",
    type=click.Path(path_type=Path),
    help="Training trials: also judge nearest neighbours and kernel ridge.",
)
@click.option(
    "--age-ms", type=FiniteRange(0.0, 300.0), help="Of a bundle that has several ages, this one.  [default: its own]"
)
@click.option(
    "--inputs", type=click.Choice(["causal", "zero-phase"]), help="Of a bundle that has both.  [default: its own]"
)
@click.option(
    "--sensors",
    type=click.Choice(["ideal", "usual"]),
    default="ideal",
    show_default=True,
    help="usual: with the noise, jitter, drift and losses of usual encoders and IMUs.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the estimates as .sto.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def evaluate_command(
    bundle_path: str,
    trials_file: Path,
    references: tuple[str, ...],
    baselines: Path | None,
    age_ms: float | None,
    inputs: str | None,
    sensors: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare a bundle's estimates with a reference on recordings.

    The recordings run through the same pipeline as on the device.
    """
    if "so" in references and references != ("so",):
        raise click.UsageError("--reference so cannot be mixed with files")
    if out is not None and out.suffix != ".sto":
        raise FileError(f"{out}: estimates are written as .sto: name the file so")
    if out is not None:
        require_writable(out)
    bundle = Bundle.read(bundle_path)
    if age_ms is not None or inputs == "zero-phase":
        bundle = bundle.at(age_ms, zero_phase=inputs == "zero-phase")
    if inputs == "causal" and bundle.manifest.inputs != "causal":
        raise click.UsageError(f"{bundle_path} was trained on zero-phase inputs")
    trials = load_trials(trials_file, bundle.model)
    files = None if references == ("so",) else [Path(r) for r in references]
    if files is None:
        require_torques(trials, "--reference so")
    training = None
    if baselines is not None:
        training = load_trials(baselines, bundle.model)
        require_torques(training, "--baselines")
    figures, estimates = evaluate(bundle, trials, files, training, "usual" if sensors == "usual" else "none")
    if figures["frames_trained_on"]:
        click.echo(
            f"warning: the network was trained on {figures['frames_trained_on']} of the {figures['frames']} frames: "
            "the figures say how well it remembers, not how well it estimates",
            err=True,
        )
    if out is not None:
        figures["out"] = _write_estimates(bundle, estimates, out)
    if as_json:
        click.echo(json.dumps(figures, allow_nan=False))
    else:
        _print_figures(figures, str(bundle_path))


def _write_estimates(bundle: Bundle, estimates: list[Series], out: Path) -> str | list[str]:
    model = bundle.model
    columns = [
        *(f"{row}_moment" for row in model.row_names),
        *(f"{m}_activation" for m in model.muscle_names),
        *(f"{m}_force" for m in model.muscle_names),
    ]
    outs = [out] if len(estimates) == 1 else [out.with_name(f"{out.stem}_{i + 1}.sto") for i in range(len(estimates))]
    for path, series in zip(outs, estimates, strict=True):
        if series.torque_nm is None or series.activation is None or series.force_n is None:
            raise TrialError(f"{path}: the estimates are incomplete")
        data = np.hstack([series.torque_nm, series.activation, series.force_n])
        write_sto(path, f"{bundle.manifest.subject} estimates", columns, series.time_s, data)
    return str(outs[0]) if len(outs) == 1 else [str(p) for p in outs]


def _print_figures(figures: dict[str, Any], title: str) -> None:
    table = Table(title=f"{title}: {figures['frames']} frames, {figures['age_ms']:.0f} ms old")
    for column in ("method", "activation R2", "active mean", "NRMSE", "force R2", "torque RMSE Nm"):
        table.add_column(column, justify="left" if column == "method" else "right")
    rows = {"this bundle": figures, **{name.replace("_", " "): f for name, f in figures["baselines"].items()}}
    for name, f in rows.items():
        pooled, active = f["pooled"], f["active_muscles"]
        table.add_row(
            name,
            shown(pooled, "activation_r2"),
            shown(active, "activation_r2"),
            shown(pooled, "activation_nrmse"),
            shown(pooled, "force_r2"),
            " / ".join(f"{v:.1f}" for v in f.get("torque_rmse_nm", {}).values()) or "-",
        )
    Console().print(table)
