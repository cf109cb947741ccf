"""`tasks`: squats, sit-to-stand and running: what a network does in a task that it was trained on, and in one that it was not.

A task never trained on cannot be estimated: the novelty score must refuse it, and must not refuse the trained one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.novelty import LIMIT, HeldScore, Novelty
from edge.trial import Trial
from train.experiments.cells import Cell, run_cells
from train.experiments.held_out import (
    ZERO_PHASE,
    HeldOut,
    Inputs,
    baselines,
    before_and_after,
    choice_of,
    chosen,
    live,
    rows,
    thinned,
    train_network,
    whole_number,
)
from train.experiments.people import teachers
from train.experiments.recordings import (
    RUNNING,
    SIT_TO_STAND,
    SQUATS,
    WALKING,
    Recorded,
    runs,
    sit_to_stands,
    squats,
    walkers,
)
from train.experiments.report import Report, Row, Settings, Value, mean_rows
from train.experiments.smoothness import pieces
from train.material import Material
from train.novelty import fit, groups_of

BoolArray = npt.NDArray[np.bool_]

AGES_MS = (0.0, 50.0)


@dataclass(frozen=True)
class Task:
    """Trials that train, and that test, by their task or the last part of their names.

    With `train_s` they are the same ones: the first so many seconds train.
    """

    title: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    train_s: float = 0.0


TASKS: Mapping[str, Task] = {
    "squats": Task("squats: the first three repetitions for the last two", (SQUATS,), (SQUATS,), 8.0),
    "uneven": Task("even squats for uneven ones", ("squats1",), ("squatsAsym1",)),
    "even": Task("uneven squats for even ones", ("squatsAsym1",), ("squats1",)),
    "rising": Task("squats for sit-to-stand", (SQUATS,), (SIT_TO_STAND,)),
    "several": Task(
        "squats, walking, running and one sit-to-stand for the other",
        (SQUATS, WALKING, RUNNING, "STSweakLegs1"),
        ("STS1",),
    ),
    "running": Task("running: the first 40 s for the rest", (RUNNING,), (RUNNING,), 40.0),
    "faster": Task("everybody's walking for running", (WALKING,), (RUNNING,)),
    "falling": Task("everybody's walking for squats", (WALKING,), (SQUATS,)),
}

METHODS: Mapping[str, Mapping[str, Any]] = {
    "residual head": {"head": "residual", "even_people": True},
    "contact head": {"head": "contact", "signals": "segments", "even_people": True},
    "torque head": {"head": "torque", "even_people": True},
}
NOVELTY = "novelty score"
_MOST_OF_ONE = 3000  # windows that train, of one person
_QUICK_STEPS = 2
OPTIONS = {"tasks": "", "model": "leg9", "steps": ""}


def run(settings: Settings) -> Report:
    """The whole experiment. Options: `tasks` (some of TASKS), `model` of a leg, `steps`.

    Raises FileError, TrialError, ConfigError.
    """
    options = chosen(settings, OPTIONS)
    names = choice_of(options, "tasks", ("squats",) if settings.quick else tuple(TASKS))
    found = run_cells("tasks", cells(settings, names, options["model"], whole_number(options, "steps")), settings)
    notes = [
        "Squats and sit-to-stand are one person's. The chair's force is not recorded: while seated, the hip's true torque is not "
        "what is called so here. The hip bends further than the leg's geometry was fitted for.",
        "`flagged`: share of the tested windows that the novelty score, fitted on the training windows alone, refuses as a "
        "session would (held for a second); `flagged windows`: each by itself. Refused ought to be all of an untrained task and "
        "nothing of a trained one.",
        "Live: sensors of usual quality, the `fir` differentiator, as the walking people of the training, or of `walk_12`, "
        "taught it.",
    ]
    return Report("tasks", found, _plots(found, settings.out), notes)


def cells(settings: Settings, names: Sequence[str], model: str, steps: int | None) -> list[Cell]:
    """Every task, inputs, method and seed."""
    methods: Mapping[str, Mapping[str, Any]] = METHODS
    ages: Sequence[float] = AGES_MS
    if settings.quick:
        methods, ages, steps = dict(list(METHODS.items())[:1]), (), steps or _QUICK_STEPS
    made = []
    for name in names:
        for inputs in (ZERO_PHASE, *(live(age) for age in ages)):
            same = {"task": name, "model": model, "inputs": inputs}
            made.append(Cell(without_network, f"{name}, {inputs.label}, baselines", same))
            made += [
                Cell(
                    with_network,
                    f"{name}, {inputs.label}, {method}",
                    {**same, "method": method, "changes": changes, "seed": seed, "steps": steps},
                )
                for seed in range(1 if settings.quick else settings.seeds)
                for method, changes in methods.items()
            ]
    return made


def held_out(data: Path, task: str, model: str, inputs: Inputs) -> HeldOut:
    """What trains and tests. Raises FileError or TrialError."""
    known, recipe = TASKS[task], inputs.recipe()
    material = _material(data, known.train + known.test, model, inputs)
    train, test = (
        np.array([_is_one(stretch.trial, names) for stretch in material.stretches])[material.windows.stretch]
        for names in (known.train, known.test)
    )
    if known.train_s:
        before, after = before_and_after(material, recipe, known.train_s)
        train, test = train & before, test & after
    few = np.zeros(len(material), dtype=bool)
    few[np.flatnonzero(train)[thinned(material.take(train), _MOST_OF_ONE)]] = True
    return HeldOut.of(material, few, test, recipe)


def _is_one(trial: Trial, names: Sequence[str]) -> bool:
    assert isinstance(trial, Recorded)
    return bool({trial.task, trial.name.rpartition("/")[2].partition(" ")[0]} & set(names))


@lru_cache(maxsize=2)
def _material(data: Path, names: tuple[str, ...], model: str, inputs: Inputs) -> Material:
    """Trials of these names; live, beside those of the differentiator's teachers."""
    walk = walkers(data, model=model, subjects=None if WALKING in names else teachers(data, inputs))
    run = runs(data, model=model) if RUNNING in names else []
    others = [*squats(data, model=model), *sit_to_stands(data, model=model)]
    return Material.of([*walk, *run, *(trial for trial in others if _is_one(trial, names))], inputs.recipe())


def without_network(data: Path, *, task: str, model: str, inputs: Inputs) -> list[Row]:
    """The baselines, and what the novelty score refuses."""
    held = held_out(data, task, model, inputs)
    title = TASKS[task].title
    recipes = {
        "": inputs.recipe(head="torque"),
        "residual": inputs.recipe(head="residual"),
        "contact": inputs.recipe(head="contact", signals="segments"),
    }
    made = [
        row
        for name, recipe, own in baselines(held, recipes)
        for row in rows(held.reference, own, held.tested, recipe, task=title, method=name)
    ]
    training = held.training
    score = fit(training.windows.feature, groups_of(training.windows, training.stretches))
    by_window, by_session = flagged(score, held.tested, inputs.recipe().rate_hz)
    age_ms = inputs.age_ms if inputs.causal else None
    label = "live" if inputs.causal else "zero-phase"
    more: dict[str, Value] = {"flagged": float(by_session.mean()), "flagged_windows": float(by_window.mean())}
    return [*made, Row(title, NOVELTY, label, age_ms, windows=len(by_window), more=more)]


def flagged(score: Novelty, tested: Material, rate_hz: float) -> tuple[BoolArray, BoolArray]:
    """Which windows are refused by themselves, and which in a session, where a score is held. The windows must not be thinned."""
    scores = score.scores(tested.windows.feature)
    held = np.zeros(len(scores), dtype=bool)
    for piece in pieces(tested):
        session = HeldScore(score.about, rate_hz)
        held[piece] = [session.step(float(value)) > LIMIT for value in scores[piece]]
    return scores > LIMIT, held


def with_network(
    data: Path,
    *,
    task: str,
    model: str,
    inputs: Inputs,
    method: str,
    changes: Mapping[str, Any],
    seed: int,
    steps: int | None,
) -> list[Row]:
    """One network."""
    recipe = inputs.recipe(seed=seed, steps=steps, **changes)
    held = held_out(data, task, model, inputs)
    trained = train_network(held, recipe)
    keys: dict[str, Any] = {"task": TASKS[task].title, "method": method, "seed": seed, "seconds": trained.seconds}
    return rows(held.reference, trained.answers, held.tested, recipe, **keys)


def _plots(found: Sequence[Row], out: Path) -> list[Path]:
    """Methods and tasks with zero-phase inputs; what was refused."""
    from train.experiments.plots import bars

    lab = [(row, figures) for row, figures in mean_rows(found) if row.inputs == "zero-phase"]
    titles = {task.title: name for name, task in TASKS.items() if any(row.task == task.title for row, _ in lab)}
    r2 = {(row.method, row.task): f["activation_r2"][0] for row, f in lab if "activation_r2" in f}
    series = {
        method: [r2.get((method, title)) for title in titles] for method in dict.fromkeys(method for method, _ in r2)
    }
    names = list(titles.values())
    made = [bars(out / "tasks_methods.png", names, series, y_label="activation R2, zero-phase inputs", y_from=0.0)]
    refused = {row.task: f["flagged"][0] for row, f in lab if "flagged" in f}
    share = {"refused": [refused.get(title) for title in titles]}
    made.append(bars(out / "tasks_refused.png", names, share, y_label="share of the windows refused"))
    return made
