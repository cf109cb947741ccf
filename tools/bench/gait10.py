"""Accuracy on one real walking trial against OpenSim's own static optimisation: `python -m tools.bench.gait10 DATA`.

Trains on the first 1.25 s of both legs, tests on what follows, for every head with zero-phase inputs and with the device's
causal inputs at several ages, and writes the table of docs/results.md. Needs the extras `train` and `opensim`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.testing import CliRunner
from rich.console import Console
from rich.progress import track

from edge.cli import cli
from edge.errors import FileError
from edge.msk.model import load_model
from edge.storage import write_sto, write_text
from tools.opensim_oracle import Storage, static_optimisation

TRAIN_UNTIL_S, TEST_FROM_S = 1.25, 1.26
ZERO_PHASE = ("--inputs", "zero-phase")
HEADS = ("residual", "torque", "activation")
BASELINE_HEADS = ("residual", "torque")  # the activation head's baselines are those of the torque head
AGES_MS = (0, 50, 100)


def write_trials(data: Path, folder: Path) -> tuple[Path, Path]:
    """Trials files of the training and the test part, both legs."""
    files = []
    for name, limit in (("train", f"end_s = {TRAIN_UNTIL_S}"), ("test", f"start_s = {TEST_FROM_S}")):
        entries = [
            f'[[trial]]\nkinematics = "{data / "ik.mot"}"\nground_reaction = "{data / "subject01_walk_grf.mot"}"\n'
            f'external_loads = "{data / "external_loads.xml"}"\nside = "{side}"\nsubject = "gait10"\n{limit}\n'
            for side in "rl"
        ]
        path = folder / f"{name}.toml"
        write_text(path, "\n".join(entries))
        files.append(path)
    return files[0], files[1]


def write_reference(data: Path, folder: Path, muscles: Sequence[str]) -> Path:
    """OpenSim's static optimisation of the trial as a reference file for `evaluate`, both legs in one."""
    activation, force = static_optimisation(data / "model.osim", data / "ik.mot", data / "external_loads.xml", folder)
    names = [f"{m}_{side}" for side in "rl" for m in muscles]

    def columns(storage: Storage) -> list[np.ndarray]:
        return [storage.columns[n] for n in names]

    path = folder / "opensim.sto"
    write_sto(
        path,
        "OpenSim StaticOptimization",
        [*(f"{n}_activation" for n in names), *(f"{n}_force" for n in names)],
        activation.time_s,
        np.stack([*columns(activation), *columns(force)], axis=1),
    )
    return path


def run_command(*arguments: str) -> dict[str, Any]:
    """The JSON of an `edge-msk` command. Raises FileError with its message when it fails."""
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    if result.exit_code != 0:
        raise FileError(f"edge-msk {' '.join(arguments)}: {result.stderr.strip()}")
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def measure(
    trials: tuple[Path, Path], reference: Path, folder: Path, head: str, inputs: Sequence[str], seed: int
) -> dict[str, Any]:
    """Train one bundle and evaluate it against the reference, with the baselines on the same windows."""
    train, test = trials
    bundle = folder / "subject.msk"
    run_command(
        "train", "--trials", str(train), "--head", head, "--compat", "--seed", str(seed), *inputs, "--out", str(bundle)
    )
    return run_command(
        "evaluate", str(bundle), "--trials", str(test), "--reference", str(reference), "--baselines", str(train)
    )


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the table to this Markdown file.")
def main(data: Path, seed: int, out: Path | None) -> None:
    """Measure every head and age on the gait10 walking trial in DATA."""
    rows = [
        "| inputs | age ms | method | activation R2 | active mean | NRMSE | force R2 |",
        "|---|---|---|---|---|---|---|",
    ]
    configurations = [("zero-phase", "-", ZERO_PHASE)] + [
        ("causal", str(age), ("--age-ms", str(age))) for age in AGES_MS
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trials = write_trials(data.resolve(), folder)
        reference = write_reference(data.resolve(), folder, load_model("leg9").muscle_names)
        jobs = [(inputs, age, options, head) for inputs, age, options in configurations for head in HEADS]
        for inputs, age, options, head in track(jobs, console=Console(stderr=True), description="training"):
            figures = measure(trials, reference, folder, head, options, seed)
            rows.append(_row(inputs, age, f"network, {head} head", figures))
            if head in BASELINE_HEADS:
                rows.extend(
                    _row(inputs, age, f"{method.replace('_', ' ')}, {head}", figures["baselines"][method])
                    for method in ("nearest_neighbours", "kernel_ridge")
                )
    table = "\n".join(rows) + "\n"
    click.echo(table)
    if out is not None:
        write_text(out, table)


def _row(inputs: str, age: str, method: str, figures: dict[str, Any]) -> str:
    pooled, active = figures["pooled"], figures["active_muscles"]
    return (
        f"| {inputs} | {age} | {method} | {pooled['activation_r2']:.3f} | {active['activation_r2']:.3f} | "
        f"{pooled['activation_nrmse']:.3f} | {pooled['force_r2']:.3f} |"
    )


if __name__ == "__main__":
    main()
