"""`edge-msk train` and `edge-msk evaluate`. Only training needs PyTorch, so it is loaded there alone."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from edge.bundle import Bundle
from edge.commands.options import FiniteRange
from edge.errors import FileError, TrialError
from edge.msk.hill import MuscleMode
from edge.msk.model import load_model
from edge.signals.differentiate import METHODS
from edge.storage import write_sto
from edge.trials import load_trials
from train.banks import BANKED
from train.evaluate import Series, evaluate, require_torques


@click.command(
    "train",
    epilog="\b\nExample:\n  edge-msk train --model leg9 --trials walk.toml --head residual --age-ms 50 --out subject.msk",
)
@click.option("--model", "model_name", default="leg9", show_default=True, help="A packaged model or a model file.")
@click.option("--trials", "trials_file", type=click.Path(path_type=Path), required=True, help="Trials file (.toml).")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle to write (.msk).")
@click.option(
    "--head",
    type=click.Choice(["residual", "torque", "activation"]),
    default="residual",
    show_default=True,
    help="What the network gives: contact torques, all torques, or activations.",
)
@click.option(
    "--inputs",
    type=click.Choice(["causal", "zero-phase"]),
    default="causal",
    show_default=True,
    help="causal: as on the device. zero-phase: as in a laboratory; such a bundle cannot run live.",
)
@click.option(
    "--age-ms",
    type=FiniteRange(0.0, 300.0),
    default=50.0,
    show_default=True,
    help="How long before the newest sample the described moment lies (causal inputs).",
)
@click.option(
    "--window", type=click.IntRange(2, 1000), default=20, show_default=True, help="Frames that the network sees."
)
@click.option(
    "--look-ahead",
    type=click.IntRange(0),
    help="Frames of the window after the described one.  [default: 0; half the window with zero-phase inputs]",
)
@click.option(
    "--rate",
    "rate_hz",
    type=FiniteRange(20.0, 2000.0),
    default=100.0,
    show_default=True,
    help="Frames per second in Hz, in training and on the device.",
)
@click.option("--differentiator", type=click.Choice(METHODS), default="kalman", show_default=True)
@click.option("--compat", is_flag=True, help="Copy OpenSim's muscle choices, for comparison with it.")
@click.option(
    "--effort-weight",
    type=FiniteRange(0.0),
    default=1.0,
    show_default=True,
    help="Weight of the least effort in the loss of the activation head.",
)
@click.option("--steps", type=click.IntRange(1), default=800, show_default=True, help="Optimisation steps.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="The same seed on the same machine gives the same network.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def train_command(
    model_name: str,
    trials_file: Path,
    out: Path,
    head: Literal["residual", "torque", "activation"],
    inputs: str,
    age_ms: float,
    window: int,
    look_ahead: int | None,
    rate_hz: float,
    differentiator: str,
    compat: bool,
    effort_weight: float,
    steps: int,
    seed: int,
    as_json: bool,
) -> None:
    """Train a subject bundle without labels: the physics of the recorded movement is the loss.

    Every trial needs its torques: by its ground reaction, or because the limb touches nothing, or given. The last fifth of
    each trial judges a first network; the one in the bundle is then trained on everything.
    """
    from train.subject import SubjectSettings, train_subject
    from train.trainer import TrainerSettings

    if out.suffix != ".msk":
        raise FileError(f"{out}: a bundle ends in .msk: name it so")
    require_writable(out)
    if look_ahead is None:
        # Causal inputs have their delay in the differentiator, which uses it better than the network does.
        look_ahead = 0 if inputs == "causal" else window // 2
    if look_ahead >= window:
        raise click.UsageError(f"--look-ahead {look_ahead} must be smaller than --window {window}")
    model = load_model(model_name)
    trials = load_trials(trials_file, model)
    require_torques(trials, "training")
    settings = SubjectSettings(
        head=head,
        causal=inputs == "causal",
        rate_hz=rate_hz,
        window=window,
        look_ahead=look_ahead,
        method=differentiator,
        age_s=age_ms * 1e-3,
        mode=MuscleMode.COMPAT if compat else MuscleMode.CORRECT,
        effort_weight=effort_weight,
        trainer=replace(TrainerSettings(), steps=steps, seed=seed),
    )
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[terms]}"),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def progress(what: str, step: int, total: int, terms: dict[str, float]) -> None:
        bars.start()  # not before there is something to show: an error before that is one line alone
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total, terms="")
        bars.update(tasks[what], completed=step, terms="  ".join(f"{k} {v:.3f}" for k, v in terms.items()))

    try:
        bundle = train_subject(trials, model, settings, out, progress)
    finally:
        if tasks:
            bars.stop()
    bundle.write()
    summary = {
        "bundle": str(out),
        "seconds": bundle.manifest.training["seconds"],
        "windows": bundle.manifest.training["windows"],
        "bank": bundle.manifest.training["bank"],
        "head": head,
        "inputs": inputs,
        "age_ms": bundle.age_s * 1e3,
        "validation": bundle.manifest.validation,
    }
    if as_json:
        click.echo(json.dumps(summary, allow_nan=False))
        return
    if differentiator in BANKED and inputs == "causal":
        bank = summary["bank"]
        console.print(
            "bank of the differentiator: none, as the trials hold no two people (`subject`) long enough: it begins with "
            "movement in general"
            if bank is None
            else f"bank of the differentiator: {bank['people']} people, {bank['seconds']:g} s; each person's inputs were made "
            "with the others' alone"
        )
    validation = bundle.manifest.validation
    console.print(
        f"validation ({validation['split']}): activation R2 {_figure(validation, 'activation_r2')}, "
        f"force R2 {_figure(validation, 'force_r2')}"
    )
    console.print(f"wrote {out} ({bundle.manifest.training['windows']} windows, {summary['seconds']} s)")


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
@click.option("--out", type=click.Path(path_type=Path), help="Write the estimates as .sto.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def evaluate_command(
    bundle_path: str,
    trials_file: Path,
    references: tuple[str, ...],
    baselines: Path | None,
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
    trials = load_trials(trials_file, bundle.model)
    files = None if references == ("so",) else [Path(r) for r in references]
    if files is None:
        require_torques(trials, "--reference so")
    training = None
    if baselines is not None:
        training = load_trials(baselines, bundle.model)
        require_torques(training, "--baselines")
    figures, estimates = evaluate(bundle, trials, files, training)
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


def require_writable(path: Path) -> None:
    """Raise FileError when a file cannot be written there, before the work that would be lost."""
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise FileError(f"{path}: cannot be written there: choose a folder that you may write to")


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
            _figure(pooled, "activation_r2"),
            _figure(active, "activation_r2"),
            _figure(pooled, "activation_nrmse"),
            _figure(pooled, "force_r2"),
            " / ".join(f"{v:.1f}" for v in f.get("torque_rmse_nm", {}).values()) or "-",
        )
    Console().print(table)


def _figure(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    return "-" if value is None else f"{value:.3f}"
