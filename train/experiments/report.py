"""What an experiment finds: rows, and the files made of them (CSV, Markdown, plots)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from edge.errors import FileError
from edge.storage import read_text, write_text

POOLED = "all"
"""`person` of a row whose figures are pooled over people."""

Value = float | str | None


@dataclass(frozen=True)
class Settings:
    """What an experiment is asked for."""

    data: Path  # the folder of recordings
    out: Path  # the folder of the table and the plots
    seeds: int = 3
    quick: bool = False  # a small version that shows that it runs; its figures say nothing
    jobs: int = 1
    fresh: bool = False  # forget the rows of an interrupted run
    options: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str, int, int], None] | None = None  # told what was done, how many cells, of how many


@dataclass(frozen=True)
class Row:
    """One line of the table. What an experiment does not have is None; what only it has stands in `more`."""

    task: str
    method: str
    inputs: str = ""  # zero-phase, causal, or live: causal with the noise of usual sensors
    age_ms: float | None = None  # of the estimate, with inputs that are not zero-phase
    person: str = ""
    seed: int | None = None
    activation_r2: float | None = None  # pooled over muscles, as are the others
    active_r2: float | None = None  # mean over the muscles that move
    activation_nrmse: float | None = None
    force_r2: float | None = None
    force_nrmse: float | None = None
    rmse: float | None = None  # of activation
    cc: float | None = None  # correlation of activation, mean over the muscles that move
    torque_rmse_nm: float | None = None  # root mean square over the rows
    windows: int | None = None  # tested
    seconds: float | None = None  # of training
    more: Mapping[str, Value] = field(default_factory=dict)
    cell: str = ""  # what made the row, see `train.experiments.cells`

    def to_json(self) -> dict[str, Value]:
        """Every figure that the row has, in the table's order."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("more", "cell")}
        return {key: value for key, value in {**own, **self.more}.items() if value is not None}


_FIXED = [f.name for f in fields(Row) if f.name not in ("more", "cell")]
_TEXTS = {"task", "method", "inputs", "person", "cell"}
_COUNTS = {"seed", "windows"}
_KEYS = ("task", "method", "inputs", "age_ms", "person", "seed")  # say what a row is of; the others are figures


@dataclass(frozen=True)
class Report:
    """What an experiment found."""

    name: str
    rows: Sequence[Row]
    plots: Sequence[Path] = ()  # written already
    notes: Sequence[str] = ()  # what to know of the figures, a sentence or two each

    def write(self, out: Path) -> Path:
        """Write `<name>.csv` and `<name>.md` into a folder; return the path of the table. Raises FileError."""
        table = out / f"{self.name}.csv"
        write_rows(table, self.rows)
        write_text(out / f"{self.name}.md", self.markdown())
        return table

    def to_json(self, table: Path) -> dict[str, Any]:
        """What `edge-msk experiment --json` prints."""
        return {
            "experiment": self.name,
            "table": str(table),
            "rows": [row.to_json() for row in self.rows],
            "plots": [str(p) for p in self.plots],
            "notes": list(self.notes),
        }

    def markdown(self) -> str:
        """The notes; then for each task the methods' means over people and seeds, and every person's activation R2."""
        parts = [f"# Experiment `{self.name}`", *(f"* {note}" for note in self.notes)]
        for task in dict.fromkeys(row.task for row in self.rows):
            own = [row for row in self.rows if row.task == task]
            parts += ["", f"## {task}", "", *_table(_means(own))]
            people = _by_person(own)
            if people:
                parts += ["", "Activation R2 of each person, mean over seeds:", "", *_table(people)]
        parts += ["", *(f"![{p.stem}]({p.name})" for p in self.plots)]
        return "\n".join(parts).rstrip() + "\n"


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table whole or not at all. Raises FileError."""
    more = list(dict.fromkeys(key for row in rows for key in row.more))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIXED, *more, "cell"])
    for row in rows:
        values = [*(getattr(row, name) for name in _FIXED), *(row.more.get(key) for key in more), row.cell]
        writer.writerow(["" if v is None else v for v in values])
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[Row]:
    """The rows that `write_rows` wrote. Raises FileError."""
    lines = csv.DictReader(read_text(path).splitlines())
    try:
        return [_row(line) for line in lines]
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(
            f"{path}: line {lines.line_num} is no row of an experiment's table ({error}): remove the file, or begin anew with "
            "--fresh"
        ) from None


def _row(line: Mapping[str, str]) -> Row:
    known: dict[str, Any] = {}
    for name in [*_FIXED, "cell"]:
        text = line[name]
        if name in _TEXTS:
            known[name] = text
        elif text:
            known[name] = int(text) if name in _COUNTS else float(text)
    more = {key: _value(text) for key, text in line.items() if key not in known and key not in _FIXED and text != ""}
    return Row(**known, more=more)


def _value(text: str) -> Value:
    try:
        return float(text)
    except ValueError:
        return text


def mean_rows(rows: Sequence[Row]) -> list[tuple[Row, dict[str, tuple[float, float]]]]:
    """For each method, inputs and age: its first row, and the (mean, deviation over seeds) of every figure.

    People are averaged first; where a method has rows pooled over people, those stand for it.
    """
    groups: dict[tuple[str, str, str, float | None], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.task, row.method, row.inputs, row.age_ms), []).append(row)
    found = []
    for own in groups.values():
        chosen = [row for row in own if row.person == POOLED] or own
        figures: dict[str, tuple[float, float]] = {}
        for name in figure_names(chosen):
            seeds = [fmean(values) for values in _by_seed(chosen, name) if values]
            figures[name] = (fmean(seeds), stdev(seeds) if len(seeds) > 1 else 0.0)
        found.append((chosen[0], figures))
    return found


def figure_names(rows: Iterable[Row]) -> list[str]:
    """The figures that any of the rows has, in the table's order."""
    names = dict.fromkeys(name for row in rows for name, value in row.to_json().items() if not isinstance(value, str))
    order = [*_FIXED, *names]
    return sorted((n for n in names if n not in _KEYS), key=order.index)


def _by_seed(rows: Sequence[Row], name: str) -> list[list[float]]:
    values: dict[int | None, list[float]] = {}
    for row in rows:
        value = row.to_json().get(name)
        if isinstance(value, (int, float)) and math.isfinite(value):
            values.setdefault(row.seed, []).append(float(value))
    return list(values.values())


def _means(rows: Sequence[Row]) -> list[list[str]]:
    names = figure_names(rows)
    # Inputs that compare stand together.
    found = sorted(mean_rows(rows), key=lambda pair: (pair[0].inputs == "causal", pair[0].age_ms or 0.0))
    head = ["method", "inputs", "age ms", *(_TITLES.get(n, n.replace("_", " ")) for n in names)]
    lines = []
    for row, figures in found:
        age = "" if row.age_ms is None else f"{row.age_ms:g}"
        cells = [_number(n, *figures[n]) if n in figures else "" for n in names]
        lines.append([row.method, row.inputs, age, *cells])
    return _without_empty_columns([head, *lines])


def _by_person(rows: Sequence[Row]) -> list[list[str]]:
    people = sorted({row.person for row in rows if row.person not in ("", POOLED) and row.activation_r2 is not None})
    if len(people) < 2:
        return []
    lines = []
    keys = dict.fromkeys((row.method, row.inputs, row.age_ms) for row in rows)
    for key in sorted(keys, key=lambda key: (key[1] == "causal", key[2] or 0.0)):
        own = [row for row in rows if (row.method, row.inputs, row.age_ms) == key]
        cells = []
        for person in people:
            values = [v for r in own if r.person == person and (v := r.activation_r2) is not None]
            cells.append(f"{fmean(values):.3f}" if values else "")
        if any(cells):
            lines.append([key[0], key[1], "" if key[2] is None else f"{key[2]:g}", *cells])
    return _without_empty_columns([["method", "inputs", "age ms", *people], *lines])


_TITLES = {
    "activation_r2": "activation R2",
    "active_r2": "active mean",
    "activation_nrmse": "NRMSE",
    "force_r2": "force R2",
    "force_nrmse": "force NRMSE",
    "rmse": "RMSE",
    "torque_rmse_nm": "torque RMSE Nm",
    "seconds": "training s",
    "cc": "correlation",
}
_WHOLE = {"windows"}
_TENTHS = {"seconds"}


def _number(name: str, mean: float, deviation: float) -> str:
    if name in _WHOLE:
        return f"{mean:.0f}"
    places = 1 if name in _TENTHS else 2 if name.endswith(("_nm", "_deg")) else 3
    if name == "rmse" or 0.9985 < mean <= 1.0:  # three places would tell neither from its best
        places = 4
    spread = f" ± {deviation:.{places}f}" if deviation >= 0.5 * 10.0**-places and name not in _TENTHS else ""
    return f"{mean:.{places}f}{spread}"


def _without_empty_columns(table: list[list[str]]) -> list[list[str]]:
    kept = [i for i in range(len(table[0])) if any(line[i] for line in table[1:])]
    return [[line[i] for i in kept] for line in table]


def _table(lines: Sequence[Sequence[str]]) -> list[str]:
    head, *body = (f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
    return [head, "|" + "---|" * len(lines[0]), *body]
