"""A sweep of the toys: its plan, and workers that are none."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

from toys import SPACE, Toy

from train.sweep import work
from train.sweep.schedule import Plan
from train.sweep.work import Outcome, Task


def plan(objective: str = "hill", settings: object = None, **changes: object) -> Plan:
    whole = Plan(
        experiment="toy", objective=f"toys:{objective}", space=SPACE, recipe=Toy(), settings=settings, seeds=2, seed=0,
        about={}, first={"trainer.rate": 0.5},
    )  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]


IDENTITY = {"experiment": "toy", "seeds": 2, "space": {"trainer.rate": "0.01 to 1"}}


class Here:
    """Runs each trial when it is submitted. `stop_at`: as Ctrl-C while that many-th trial runs."""

    slots = 1

    def __init__(self, stop_at: int | None = None) -> None:
        self.tasks: list[Task] = []
        self.stop_at = stop_at

    def submit(self, task: Task) -> Future[Outcome]:
        self.tasks.append(task)
        if len(self.tasks) == self.stop_at:
            raise KeyboardInterrupt
        future: Future[Outcome] = Future()
        future.set_result(work.run(task))
        return future

    def close(self) -> None:
        pass
