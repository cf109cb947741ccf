"""One trial of a sweep, as a worker runs it: an objective over some seeds, stopped early where it falls behind.

A task carries all it needs and its outcome all there is to know, so a worker may be a process here or on a machine far away,
and one that is lost takes its own trial with it and nothing else. A trial is therefore judged by what was known when it began:
the medians of the trials finished by then travel in the task.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, Protocol, TypeAlias

from edge import __version__
from edge.desktop import desktop
from edge.errors import EdgeMskError, EngineError
from train.sweep.spaces import Value, apply

Report: TypeAlias = Callable[[int, float], None]
"""Tells (step, validation figure so far, larger is better) from within an objective; ends the trial there when it falls behind.

The best figure so far is compared with the others' at the same step, so a step is best a percentage of the schedule. The last
figure of each seed but the last is judged likewise."""
Objective: TypeAlias = Callable[[Any, Any, int, Report], float]
"""(settings, recipe, seed, report) -> the figure on validation data, larger is better. Never the test split."""

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment that keeps a worker's computing in one thread."""

ENOUGH = 5  # finished trials before any is judged by them
_STEPS = 10**6  # more than any seed has: each seed's reports are compared with those of the same seed


@dataclass(frozen=True)
class Task:
    """One trial. `settings` and `recipe` are the objective's own and must pickle; `bars` are of :func:`bars`."""

    objective: str  # module:function
    settings: Any
    recipe: Any
    values: Mapping[str, Value]  # by path, see `train.sweep.spaces`
    seeds: tuple[int, ...]
    bars: Mapping[int, float]
    version: str = __version__  # the sweep's


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: complete with its value, or not."""

    state: Literal["complete", "pruned", "failed"]
    value: float | None  # mean over the seeds
    per_seed: tuple[float, ...]
    reports: Mapping[int, float]
    seconds: float
    error: str = ""
    traceback: str = ""  # of an error that is none of ours: a bug


class LostWorkerError(Exception):
    """A worker that ended in the middle of a trial: killed, out of memory, or its machine gone."""


class Workers(Protocol):
    """Who runs trials."""

    slots: int  # trials at a time

    def submit(self, task: Task) -> Future[Outcome]:
        """Begin a trial. Of the future's exceptions only LostWorkerError is expected: a trial's own are in its outcome."""

    def close(self) -> None:
        """End at once, with whatever is running."""


class _FellBehindError(Exception):
    pass


def bars(finished: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """The median report at every step that enough of the finished trials have reported."""
    at: dict[int, list[float]] = {}
    for reports in finished:
        for step, figure in reports.items():
            at.setdefault(step, []).append(figure)
    return {step: median(figures) for step, figures in at.items() if len(figures) >= ENOUGH}


def run(task: Task) -> Outcome:
    """Run a trial to its end. Never raises: what goes wrong is the outcome's."""
    started = time.monotonic()
    reports: dict[int, float] = {}
    values: list[float] = []

    def outcome(state: Literal["complete", "pruned", "failed"], error: str = "", trace: str = "") -> Outcome:
        value = math.fsum(values) / len(values) if state == "complete" else None
        return Outcome(state, value, tuple(values), reports, time.monotonic() - started, error, trace)

    try:
        if task.version != __version__:
            raise EngineError(f"a worker has edge-msk {__version__}, the sweep {task.version}: install the same there")
        objective: Objective = desktop(task.objective)
        recipe = apply(task.recipe, task.values)
        for index, seed in enumerate(task.seeds):
            report = _reporter(reports, index * _STEPS, task.bars)
            values.append(float(objective(task.settings, recipe, seed, report)))
            if not math.isfinite(values[-1]):
                raise EngineError(f"the validation figure of seed {seed} is {values[-1]}")
            if seed != task.seeds[-1]:
                _reporter(reports, index * _STEPS, task.bars)(
                    _STEPS - 1, values[-1]
                )  # a figure of its own, judged afresh
    except _FellBehindError:
        return outcome("pruned")
    except EdgeMskError as error:
        return outcome("failed", str(error))
    except Exception as error:  # noqa: BLE001 - one trial's bug must not take the others with it; the sweep shows it
        return outcome("failed", f"{type(error).__name__}: {error}", traceback.format_exc())
    return outcome("complete")


def _reporter(reports: dict[int, float], first: int, judged_by: Mapping[int, float]) -> Report:
    best = -math.inf

    def report(step: int, figure: float) -> None:
        nonlocal best
        if not math.isfinite(figure):
            raise EngineError(f"the validation figure at step {step} is {figure}")
        best = max(best, figure)
        reports[first + step] = figure
        if best < judged_by.get(first + step, -math.inf):
            raise _FellBehindError

    return report
