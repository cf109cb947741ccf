"""`edge-msk sweep`: try many settings, here or on a cluster, and keep what came of each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from edge.commands.options import FiniteRange
from edge.errors import ConfigError, FileError

if TYPE_CHECKING:
    from train.sweep.schedule import Plan
    from train.sweep.store import Store
    from train.sweep.work import Outcome, Workers

_MANY = 50
_SHOWN = 5


def _count_or_file(text: str) -> int | Path:
    """How many to try, or a trials file: both are `--trials`, as recordings are in every other command."""
    if text.isdecimal():
        if int(text) < 1:
            raise click.BadParameter("at least 1 is needed")
        return int(text)
    if Path(text).suffix.lower() != ".toml":
        raise click.BadParameter(f"'{text}' is neither a number nor a trials file (.toml)")
    return Path(text)


@click.command(
    "sweep",
    epilog="\b\nExamples:\n"
    "  edge-msk sweep --trials walk.toml --model leg9 --jobs 4 --trials 60 --out walk.db\n"
    "  edge-msk sweep gait --jobs 8 --timeout 3600\n"
    "  edge-msk sweep gait --show",
)
@click.argument("experiment", required=False)
@click.option(
    "--trials",
    "trials_given",
    type=_count_or_file,
    metavar="N|FILE",
    multiple=True,
    help="How many settings to try, counting those already in the store  [default: 50]. And instead of EXPERIMENT: a trials file "
    "(.toml), whose training is swept. May be given twice.",
)
@click.option(
    "--model", default="leg9", show_default=True, help="With a trials file: a packaged model or a model file."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="EDGE_MSK_DATA",
    show_envvar=True,
    help="With an experiment: the folder of the recordings.",
)
@click.option("--jobs", type=click.IntRange(1, 1024), help="Trials at a time, one core each.  [default: every core]")
@click.option("--ray", "ray_address", help="Run on this Ray cluster (host:6379, ray://host:10001, auto; local: here).")
@click.option("--timeout", "timeout_s", type=FiniteRange(0.0), help="Begin no trial after so many seconds.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="Of what is tried.")
@click.option("--seeds", type=click.IntRange(1, 100), default=2, show_default=True, help="Networks per trial.")
@click.option("--only", multiple=True, help="Sweep just this parameter; may be repeated.")
@click.option("--set", "fixed", multiple=True, metavar="NAME=VALUE", help="Fix a field of the recipe, as head=torque.")
@click.option("--out", type=click.Path(path_type=Path), help="The store (.db).  [default: sweep-EXPERIMENT.db]")
@click.option("--export", type=click.Path(path_type=Path), help="Also write a table of all trials (.csv or .parquet).")
@click.option("--show", is_flag=True, help="Run nothing: print the best trials and the parameters' importances.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def sweep(
    experiment: str | None,
    trials_given: tuple[int | Path, ...],
    model: str,
    data: Path | None,
    jobs: int | None,
    ray_address: str | None,
    timeout_s: float | None,
    seed: int,
    seeds: int,
    only: tuple[str, ...],
    fixed: tuple[str, ...],
    out: Path | None,
    export: Path | None,
    show: bool,
    as_json: bool,
) -> None:
    """Try many settings of an experiment, or of a subject's training, and find the best by validation data.

    Everything is kept in one store. The same command continues an interrupted sweep: finished trials are kept, interrupted ones
    run again. Test data are never looked at.
    """
    count, trials_file = _told_apart(trials_given)
    if (experiment is None) == (trials_file is None):
        raise click.UsageError("name an EXPERIMENT, or give a trials file: --trials FILE.toml")
    if out is not None and out.suffix != ".db":
        raise FileError(f"{out}: a sweep's store ends in .db: name it so")
    if export is not None and export.suffix not in (".csv", ".parquet"):
        raise FileError(f"{export}: a table is .csv or .parquet: name it so")
    from train.sweep.store import Store

    path = out or Path(f"sweep-{experiment or 'subject'}.db")
    if show:
        with Store(path, None) as store:
            if store.identity["experiment"] != (experiment or "subject"):
                raise ConfigError(
                    f"{path}: holds a sweep of {store.identity['experiment']}: name that, or another --out"
                )
            _report(store, export, as_json)
        return
    plan = _plan(experiment, trials_file, model, data, seed, seeds, only, fixed)
    from train.sweep.plans import identity

    with Store(path, identity(plan)) as store:
        again = store.resume()
        if again:
            click.echo(f"{again} interrupted {'trial is' if again == 1 else 'trials are'} run again", err=True)
        _run(plan, store, lambda: _workers(ray_address, jobs), count, timeout_s)
        _report(store, export, as_json)


def _told_apart(given: Sequence[int | Path]) -> tuple[int, Path | None]:
    counts = [one for one in given if isinstance(one, int)]
    files = [one for one in given if isinstance(one, Path)]
    if len(counts) > 1 or len(files) > 1:
        raise click.UsageError("--trials takes one number and one trials file at most")
    return counts[0] if counts else _MANY, files[0] if files else None


def _plan(
    experiment: str | None,
    trials_file: Path | None,
    model: str,
    data: Path | None,
    seed: int,
    seeds: int,
    only: tuple[str, ...],
    fixed: tuple[str, ...],
) -> Plan:
    from train.sweep import plans

    pairs = [text.partition("=") for text in fixed]
    wrong = [name for name, equals, _ in pairs if not equals]
    if wrong:
        raise click.UsageError(f"--set {wrong[0]}: write NAME=VALUE")
    scope = plans.Scope(seeds, seed, only, {name: value for name, _, value in pairs})
    if trials_file is not None:
        return plans.of_trials(trials_file, model, scope)
    assert experiment is not None
    if data is None or not data.is_dir():
        raise FileError(f"{data or '--data'}: is no folder: give the folder of recordings with --data or EDGE_MSK_DATA")
    return plans.of_experiment(experiment, data, scope)


def _workers(ray_address: str | None, jobs: int | None) -> Workers:
    if ray_address is not None:
        from train.sweep.ray_workers import RayWorkers

        return RayWorkers(ray_address, jobs)
    from train.sweep.pool import PoolWorkers

    return PoolWorkers(jobs or len(os.sched_getaffinity(0)))


def _run(plan: Plan, store: Store, employ: Callable[[], Workers], count: int, timeout_s: float | None) -> None:
    from train.sweep.schedule import run_sweep

    if len(store.trials) >= count:
        return  # nobody is needed
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[best]}"),
        console=Console(stderr=True),
    )
    with closing(employ()) as workers, bar:
        task = bar.add_task(plan.experiment, total=count, completed=len(store.trials), best=_standing(store))

        def progress(number: int, outcome: Outcome) -> None:
            if outcome.state == "failed":
                bar.console.print(f"trial {number} failed: {outcome.error}", markup=False, highlight=False)
            bar.update(task, advance=1, best=_standing(store))

        try:
            run_sweep(plan, store, workers, trials=count, timeout_s=timeout_s, progress=progress)
        except KeyboardInterrupt:
            bar.stop()
            kept = len(store.trials)
            click.echo(f"{kept} of {count} trials are in {store.path}: the same command goes on from there", err=True)
            raise


def _standing(store: Store) -> str:
    best = store.best(1)
    others = "".join(f"  {count} {state}" for state, count in store.counts().items() if count and state != "complete")
    return (f"best {best[0]['value']:.4f} (trial {best[0]['number']})" if best else "none yet") + others


def _report(store: Store, export: Path | None, as_json: bool) -> None:
    best, counts, importances = store.best(_SHOWN), store.counts(), store.importances()
    if export is not None:
        store.export(export)
    if as_json:
        summary = {
            "experiment": store.identity["experiment"],
            "best": {"params": best[0]["params"], "value": best[0]["value"]} if best else None,
            "trials": sum(counts.values()),
            "states": counts,
            "importances": importances,
            "store": str(store.path),
            "export": None if export is None else str(export),
        }
        click.echo(json.dumps(summary, allow_nan=False))
        return
    console = Console()
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    console.print(f"{store.identity['experiment']}: {told}; {store.path}", highlight=False)
    if best:
        console.print(_table(best, importances))
    if export is not None:
        console.print(f"wrote {export}", highlight=False)


def _table(best: Sequence[dict[str, Any]], importances: Mapping[str, float]) -> Table:
    """The best trials side by side, a line per parameter: there are more parameters than columns in a terminal."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for row in best:
        table.add_column(f"trial {row['number']}", justify="right")
    if importances:
        table.add_column("importance", justify="right")
    table.add_row("validation", *(f"{row['value']:.4f}" for row in best))
    table.add_row("seconds", *(f"{row['seconds']:.0f}" for row in best))
    for name in sorted({name for row in best for name in row["params"]}, key=lambda n: (-importances.get(n, 0.0), n)):
        share = [f"{importances[name]:.2f}"] if name in importances else []
        table.add_row(name, *(_short(row["params"].get(name, "-")) for row in best), *share)
    return table


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
