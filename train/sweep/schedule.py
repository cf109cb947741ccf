"""The course of a sweep: as many trials at a time as there are workers, until there are enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

import optuna

from edge.errors import EngineError
from train.sweep.spaces import Space, Value
from train.sweep.store import Store
from train.sweep.work import LostWorkerError, Outcome, Task, Workers

_HOPELESS = 3  # trials that fail before any succeeds: what is wrong is wrong with all


@dataclass(frozen=True)
class Plan:
    """What is swept. `settings` and `recipe` are the objective's own and must pickle."""

    experiment: str
    objective: str  # module:function, see `train.sweep.work.Objective`
    space: Space
    recipe: Any
    settings: Any
    about: Mapping[str, Any]  # what of the settings a figure depends on, as JSON has it
    seeds: int  # networks per trial
    seed: int  # of what is tried; the networks' seeds count from it
    first: Mapping[str, Value]  # what the first trial has, as far as it is decided: the usual values, to be beaten

    @property
    def network_seeds(self) -> tuple[int, ...]:
        return tuple(range(self.seed, self.seed + self.seeds))


Progress = Callable[[int, Outcome], None]
"""Told of every trial that has ended: its number and what became of it."""


def run_sweep(
    plan: Plan,
    store: Store,
    workers: Workers,
    *,
    trials: int,
    timeout_s: float | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run trials until the store has `trials` of them, or until `timeout_s` has passed: then none begins any more.

    A trial that fails, or whose worker is lost, is kept as failed. Raises EngineError when the first ones all fail, or
    RuntimeError with the worker's traceback where a bug is the reason.
    """
    store.begin_with(plan.first)
    ends = None if timeout_s is None else clock() + timeout_s
    running: dict[Future[Outcome], optuna.Trial] = {}
    finished = len(store.trials)
    while True:
        while len(running) < workers.slots and finished + len(running) < trials and (ends is None or clock() < ends):
            trial, values = store.ask(plan.space, plan.recipe, plan.seed)
            task = Task(plan.objective, plan.settings, plan.recipe, values, plan.network_seeds, store.bars())
            running[workers.submit(task)] = trial
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            trial = running.pop(future)
            outcome = _outcome(future)
            store.tell(trial, outcome)
            finished += 1
            if progress is not None:
                progress(trial.number, outcome)
            if outcome.state == "failed":
                _require_hope(store, outcome)


def _outcome(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except LostWorkerError as error:
        return Outcome("failed", None, (), {}, 0.0, str(error))


def _require_hope(store: Store, last: Outcome) -> None:
    counts = store.counts()
    if counts["complete"] or counts["failed"] < _HOPELESS:
        return
    if last.traceback:
        raise RuntimeError(f"the first {counts['failed']} trials all failed, the last of them so:\n{last.traceback}")
    raise EngineError(f"the first {counts['failed']} trials of the sweep all failed, the last of them so: {last.error}")
