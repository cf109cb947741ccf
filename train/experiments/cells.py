"""The cells of an experiment: independent pieces of work, each of which gives rows, run in parallel and not twice.

A cell is known by what it does: its function and arguments. An interrupted experiment goes on where it stopped, because the
table holds the rows of the cells that were done.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge import __version__
from edge.errors import EngineError
from train.experiments.report import Row, Settings, read_rows, write_rows


@dataclass(frozen=True)
class Cell:
    """A function of a module and what it is called with, beside the folder of recordings: `function(data, **arguments)`.

    The arguments must be what JSON holds, or dataclasses and enumerations whose `repr` says all of them.
    """

    function: Callable[..., Sequence[Row]]
    label: str  # for the progress bar
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same for the same work, in any process."""
        name = f"{self.function.__module__}:{self.function.__qualname__}"
        text = json.dumps([__version__, name, dict(self.arguments)], sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def run_cells(name: str, cells: Sequence[Cell], settings: Settings) -> list[Row]:
    """The rows of all cells, in their order. Those that the table `<name>.csv` holds already are taken from it.

    After each cell the table is written. With `settings.jobs` > 1 that many processes work, with one thread each. Raises what
    a cell raises, and EngineError when a process is lost.
    """
    table = settings.out / f"{name}.csv"
    done: dict[str, list[Row]] = {}
    if table.exists() and not settings.fresh:
        for row in read_rows(table):
            done.setdefault(row.cell, []).append(row)
    keys = [cell.key for cell in cells]
    missing = {key: cell for key, cell in zip(keys, cells, strict=True) if key not in done}
    finished = len(set(keys)) - len(missing)
    if settings.progress is not None:
        settings.progress("", finished, len(set(keys)))
    for key, rows in _results(missing, settings):
        done[key] = [replace(row, cell=key) for row in rows]
        finished += 1
        write_rows(table, _in_order(keys, done))
        if settings.progress is not None:
            settings.progress(missing[key].label, finished, len(set(keys)))
    return _in_order(keys, done)


def _in_order(keys: Sequence[str], done: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Rows of other settings, which a table may still hold, are left out."""
    return [row for key in dict.fromkeys(keys) for row in done.get(key, ())]


def _results(cells: Mapping[str, Cell], settings: Settings) -> Iterator[tuple[str, Sequence[Row]]]:
    if settings.jobs <= 1:
        for key, cell in cells.items():
            yield key, _work(cell, settings.data)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    pool = ProcessPoolExecutor(
        min(settings.jobs, max(len(cells), 1)), multiprocessing.get_context("spawn"), initializer=_begin
    )
    try:
        futures = {pool.submit(_work, cell, settings.data): key for key, cell in cells.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise EngineError(
            "a process was killed in the middle of its work; the system does that when memory runs out: run it again with fewer "
            "--jobs, it goes on where it stopped"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; the parent decides what ends


def _work(cell: Cell, data: Path) -> Sequence[Row]:
    if "torch" in sys.modules:  # imported with the cell's own module
        sys.modules["torch"].set_num_threads(1)
    return cell.function(data, **cell.arguments)
