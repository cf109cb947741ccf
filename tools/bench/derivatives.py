"""What the differentiators are worth on recorded movements: `python -m tools.bench.derivatives DATA --table walk36`.

Tables, all with 12-bit angles, 0.1 deg of noise, 1 ms of jitter and 1 % of the samples lost at 100 Hz, against OpenSim's
zero-phase kinematics of the undisturbed recording:

\b
walk36      errors over the last 30 s by method and age, and the age at which each is as good as OpenSimRT at 140 ms
people      errors of each person, from the first sample on; `with bank`: fitted on all other people's walking
adaptation  seconds until accelerations are as good as they become, after the first step and after walk turns to run
movements   error ratios to the Kalman smoother of every movement, worst first; exit code 1 above 1.1: the release gate
torque      joint torques of the moment at which the command leaves
cost        time of one sample
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, get_args

import click
from rich.console import Console
from rich.progress import track

from edge.errors import EdgeMskError
from edge.signals.differentiate import METHODS, REFERENCE_AGE_S
from tools.bench import derivative_tables as tables
from tools.bench.derivative_banks import BANKED, OtherPeople, with_bank
from tools.bench.derivative_cost import costs
from tools.bench.derivative_gate import GATE, YARDSTICK, broken, ratios
from tools.bench.derivative_runs import OPENSIMRT, Build
from tools.bench.derivative_torque import legs, torque_errors
from tools.bench.movements import Jitter, Movement, catalogue, movement, recordings

T = TypeVar("T")
Tables = dict[str, list[tables.Row]]  # rows by title
AGES_MS = "0,20,50,70,100,140"
COST_S = 20.0
GATED = "adaptive"  # the method that the gate is for
SHOWN_RATIOS = 25


def _progress(jobs: Sequence[T], description: str) -> Iterable[T]:
    console = Console(stderr=True)
    return track(jobs, description=description, console=console) if console.is_terminal else jobs


class Bench:
    """The tables on the recordings of a folder. Each gives its rows, one list of them by title."""

    def __init__(self, data: Path, methods: Sequence[str], ages_s: Sequence[float], seed: int, jitter: Jitter) -> None:
        self._data = data
        self._methods = methods
        self._ages_s = ages_s
        self._seed = seed
        self._jitter = jitter
        self.broken: list[tables.Row] = []  # what the gate does not let pass

    def walk36(self) -> Tables:
        rows = tables.by_age(
            movement(self._data, "walk36"),
            [*self._methods, OPENSIMRT],
            self._ages_s,
            seed=self._seed,
            jitter=self._jitter,
            progress=_progress,
        )
        return {"errors by age": rows, "age at which OpenSimRT's accuracy is reached": tables.anchor_ages(rows)}

    def people(self) -> Tables:
        legs = self._both_legs()
        rows = tables.by_person(
            legs,
            self._with_banks(),
            self._ages_s,
            seed=self._seed,
            jitter=self._jitter,
            make=self._banked(legs),
            progress=_progress,
        )
        return {"errors by person": rows}

    def adaptation(self) -> Tables:
        change = movement(self._data, "walk to run")
        seeds = range(self._seed, self._seed + 3)
        rows = tables.adaptation(
            change,
            self._with_banks(),
            seeds=seeds,
            jitter=self._jitter,
            make=self._banked(self._both_legs()),
            progress=_progress,
        )
        return {"seconds until accelerations are as good as they become, 50 ms": rows}

    def _both_legs(self) -> list[Movement]:
        everything = (make() for name, make in recordings(self._data).items() if not name.startswith("knee_emg"))
        return [m for m in everything if m.task in ("walking", "running") and m.q.shape[1] == 6]

    def _with_banks(self) -> list[str]:
        return [*self._methods, *(with_bank(method) for method in self._methods if method in BANKED)]

    def _banked(self, legs: Sequence[Movement]) -> dict[str, Build]:
        walks = [m for m in legs if m.task == "walking"]
        others = OtherPeople(walks, seed=self._seed, jitter=self._jitter)
        return dict.fromkeys(map(with_bank, BANKED), others.build)

    def movements(self) -> Tables:
        movements = [make() for make in catalogue(self._data).values()]
        found = {}
        for method in self._methods:
            if method != YARDSTICK:
                rows = ratios(movements, method, seed=self._seed, jitter=self._jitter, progress=_progress)
                self.broken += [{"method": method, **row} for row in broken(rows)]
                found[f"{method} against the Kalman smoother, worst first"] = rows
        return found

    def torque(self) -> Tables:
        rows = torque_errors(
            legs(self._data),
            movement(self._data, "walk36"),
            [*self._methods, OPENSIMRT],
            self._ages_s,
            seed=self._seed,
            jitter=self._jitter,
            progress=_progress,
        )
        return {"torque of the moment at which the command leaves, RMSE in Nm": rows}

    def cost(self) -> Tables:
        walk = movement(self._data, "walk36").until(COST_S)
        rows = costs(walk, self._methods, seed=self._seed, jitter=self._jitter, progress=_progress)
        return {"one sample, 50 ms": rows}


TABLES: Mapping[str, Callable[[Bench], Tables]] = {
    "walk36": Bench.walk36,
    "people": Bench.people,
    "adaptation": Bench.adaptation,
    "movements": Bench.movements,
    "torque": Bench.torque,
    "cost": Bench.cost,
}


def _ages(context: click.Context, option: click.Parameter, text: str) -> list[float]:
    del context, option
    try:
        ages = [float(word) * 1e-3 for word in text.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"'{text}' is no list of ages: write milliseconds with commas, like {AGES_MS}"
        ) from None
    if not all(0.0 <= age <= REFERENCE_AGE_S for age in ages):
        raise click.BadParameter(f"ages lie from 0 to {REFERENCE_AGE_S * 1e3:g} ms")
    return ages


def _methods(context: click.Context, option: click.Parameter, text: str | None) -> list[str]:
    del context, option
    methods = list(METHODS) if text is None else text.split(",")
    for method in methods:
        if method not in METHODS:
            raise click.BadParameter(f"'{method}' is no method: use some of {', '.join(METHODS)}, with commas")
    return methods


@click.command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--table", type=click.Choice([*TABLES, "all"]), default="all", show_default=True)
@click.option("--ages", callback=_ages, default=AGES_MS, show_default=True, help="In ms; the gate has its own.")
@click.option("--methods", callback=_methods, help="With commas; all, and for the gate `adaptive`, by default.")
@click.option("--seed", default=0, show_default=True, help="Of the noise.")
@click.option(
    "--jitter",
    type=click.Choice(get_args(Jitter)),
    default="hidden",
    show_default=True,
    help="Samples at jittered moments with even stamps; at even ones with jittered stamps; at jittered ones with true stamps.",
)
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
def main(
    data: Path, table: str, ages: list[float], methods: list[str], seed: int, jitter: Jitter, as_json: bool
) -> None:
    context = click.get_current_context()
    given = context.get_parameter_source("methods") is not click.core.ParameterSource.DEFAULT
    found = {}
    worst: list[tables.Row] = []
    for name in TABLES if table == "all" else (table,):
        gated = name == "movements" and not given
        bench = Bench(data, [GATED] if gated else methods, ages, seed, jitter)
        try:
            found[name] = TABLES[name](bench)
        except EdgeMskError as error:
            raise click.ClickException(str(error)) from None
        worst += bench.broken
        if not as_json:
            for title, rows in found[name].items():
                shown = rows[:SHOWN_RATIOS] if name == "movements" else rows
                click.echo(f"{name}: {title}\n\n{tables.markdown(shown)}\n")
    if as_json:
        click.echo(json.dumps({**found, "broken": worst}))
    if worst:
        click.echo(f"the gate is broken: {len(worst)} errors above {GATE:g} times the Kalman smoother's", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
