"""`edge-msk experiment`: run an experiment and write its table and plots."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from edge.desktop import desktop
from edge.errors import ConfigError, FileError
from train.experiments import ABOUT, EXPERIMENTS
from train.experiments.report import Report, Row, Settings, mean_rows

_ENVIRONMENT = "EDGE_MSK_DATA"
_NAMES = "\n".join(f"  {name:<11}{ABOUT[name]}" for name in EXPERIMENTS)


@click.command(
    "experiment",
    epilog=f"\b\nExperiments:\n{_NAMES}\n\n\b\nExample:\n"
    "  edge-msk experiment knee --data recordings --out results/knee --jobs 2\n"
    "  edge-msk experiment elbow --data recordings --quick --json",
)
@click.argument("name", type=click.Choice(list(EXPERIMENTS)), metavar="NAME")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar=_ENVIRONMENT,
    required=True,
    show_envvar=True,
    help="Folder of the recordings.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results.  [default: results/NAME]")
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Seeds of every network.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes that work at a time."
)
@click.option("--quick", is_flag=True, help="A small version that shows that it runs: its figures say nothing.")
@click.option("--fresh", is_flag=True, help="Forget what an interrupted run has done, and begin anew.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An experiment's own settings.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def experiment(
    name: str,
    data: Path,
    out: Path | None,
    seeds: int,
    jobs: int,
    quick: bool,
    fresh: bool,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run one of the papers' experiments, or of ours, on recordings: a table (CSV, Markdown) and its plots.

    Every finished part is in the table at once: run the same command again after an interruption and it goes on. The truth is
    static optimisation of the recorded movement's own torques; nothing tested was trained on.
    """
    if not data.is_dir():
        raise FileError(f"{data}: is no folder: give the folder of recordings with --data or {_ENVIRONMENT}")
    folder = Path("results") / (f"{name}-quick" if quick else name) if out is None else out
    _require_folder(folder)
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    shown = bar.add_task(name, total=None)

    def progress(label: str, done: int, total: int) -> None:
        bar.start()  # not before there is something to show: an error before that is one line alone
        bar.update(shown, completed=done, total=total, description=escape(f"{name}  {label}".rstrip()))

    settings = Settings(data, folder, seeds, quick, jobs, fresh, _options(options), progress)
    begun = time.monotonic()
    try:
        report: Report = desktop(EXPERIMENTS[name])(settings)
    finally:
        bar.stop()
    table = report.write(folder)
    if as_json:
        summary = {**report.to_json(table), "seconds": round(time.monotonic() - begun, 1)}
        click.echo(json.dumps(summary, allow_nan=False))
        return
    _show(console, report.rows)
    for note in report.notes:
        console.print(f"note: {note}", style="dim", markup=False, highlight=False)
    click.echo(f"{len(report.rows)} rows -> {table}, {table.with_suffix('.md').name}, {len(report.plots)} plots")


def _options(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise ConfigError(f"--option {text}: is not KEY=VALUE: write it so")
        found[key] = value
    return found


def _require_folder(folder: Path) -> None:
    """Make the folder of results before hours of work, not after. Raises FileError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: cannot be made ({error.strerror}): choose another --out") from None
    if not os.access(folder, os.W_OK):
        raise FileError(f"{folder}: cannot be written to: choose another --out")


def _show(console: Console, rows: Sequence[Row]) -> None:
    """The methods' means, best first, task by task."""
    for task in dict.fromkeys(row.task for row in rows):
        table = Table(title=task, title_justify="left", box=None, pad_edge=False)
        for title in ("method", "inputs", "age ms"):
            table.add_column(title)
        for title in ("activation R2", "force R2", "NRMSE"):
            table.add_column(title, justify="right")
        found = mean_rows([row for row in rows if row.task == task])
        found.sort(key=lambda pair: -pair[1].get("activation_r2", (-1e9, 0.0))[0])
        for row, figures in found:
            age = "" if row.age_ms is None else f"{row.age_ms:g}"
            cells = [
                f"{figures[name][0]:.3f}" if name in figures else ""
                for name in ("activation_r2", "force_r2", "activation_nrmse")
            ]
            table.add_row(escape(row.method), row.inputs, age, *cells)
        console.print(table)
