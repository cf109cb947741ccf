"""`data`: how much must be recorded: accuracy against seconds of one person's walking, and against the number of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.experiments.cells import Cell, run_cells
from train.experiments.held_out import (
    ZERO_PHASE,
    HeldOut,
    Inputs,
    baselines,
    before_and_after,
    chosen,
    live,
    rows,
    thinned,
    train_network,
    whole_number,
)
from train.experiments.people import everybody, somebody
from train.experiments.report import Report, Row, Settings, Value, mean_rows
from train.splits import folds

AGES_MS = (0.0, 50.0)
SECONDS = (2.0, 5.0, 10.0, 20.0, 40.0)
PEOPLE = (1, 3, 6, 9, 12)
ONE, MANY = "treadmill_60s, the last 20 s", "walking, a third of the people left out"

_SUBJECT, _TEST_S = "treadmill_60s", 20.0
_METHODS: Mapping[str, Mapping[str, Any]] = {
    "residual head": {"head": "residual", "even_people": True},
    "contact head": {"head": "contact", "signals": "segments", "even_people": True},
}
_MOST_OF_ONE = 1200  # windows, of many people
_THIRDS = 3
_QUICK_STEPS = 2
OPTIONS = {"model": "leg9", "steps": "", "architecture": "bigru"}


def run(settings: Settings) -> Report:
    """The whole experiment. Options: `model` of a leg, `steps`, `architecture`. Raises FileError, TrialError, ConfigError."""
    options = chosen(settings, OPTIONS)
    same = {"model": options["model"], "architecture": options["architecture"]}
    found = run_cells("data", cells(settings, same, whole_number(options, "steps")), settings)
    notes = [
        f"Seconds: the first so many of `{_SUBJECT}`, both legs, for its last {_TEST_S:g} s; live with the `adaptive` "
        "differentiator, which begins as the people of `walk_12` taught it.",
        "People: so many drawn from two thirds of all who walk, another draw for every seed, for the last third; of nobody more "
        f"than {_MOST_OF_ONE} windows; live with `fir`, from all but the wearer.",
        "`amount`: seconds, or people.",
    ]
    return Report("data", found, _plots(found, settings.out), notes)


def cells(settings: Settings, same: Mapping[str, Any], steps: int | None) -> list[Cell]:
    """Every amount, inputs, method and seed."""
    ages: Sequence[float] = AGES_MS
    seconds: Sequence[float] = SECONDS
    people: Sequence[float] = PEOPLE
    methods = _METHODS
    if settings.quick:
        ages, seconds, people, steps = (), SECONDS[:2], (), steps or _QUICK_STEPS
        methods = dict(list(_METHODS.items())[:1])
    made = []
    for inputs in (ZERO_PHASE, *(live(age, "adaptive") for age in ages)):
        made += _amounts(ONE, seconds, inputs, same, methods, steps, range(1 if settings.quick else settings.seeds))
    for inputs in (ZERO_PHASE, *(live(age) for age in ages)):
        made += _amounts(MANY, people, inputs, same, methods, steps, range(1 if settings.quick else settings.seeds))
    return made


def _amounts(
    task: str,
    amounts: Sequence[float],
    inputs: Inputs,
    same: Mapping[str, Any],
    methods: Mapping[str, Mapping[str, Any]],
    steps: int | None,
    seeds: Sequence[int],
) -> list[Cell]:
    made = []
    for amount in amounts:
        own = {"task": task, "amount": amount, "inputs": inputs, "model": same["model"]}
        label = f"{inputs.label}, {amount:g} {_unit(task)}"
        # Of one person's seconds there is one draw only.
        made += [
            Cell(without_network, f"{label}, baselines", {**own, "seed": seed if task == MANY else None})
            for seed in (seeds if task == MANY else [0])
        ]
        made += [
            Cell(
                with_network,
                f"{label}, {name}",
                {
                    **own,
                    "method": name,
                    "changes": {**changes, "architecture": same["architecture"]},
                    "seed": seed,
                    "steps": steps,
                },
            )
            for seed in seeds
            for name, changes in methods.items()
        ]
    return made


def _unit(task: str) -> str:
    return "s" if task == ONE else "people"


def held_out(data: Path, task: str, amount: float, inputs: Inputs, model: str, seed: int) -> HeldOut:
    """What trains and tests. Raises FileError or TrialError."""
    recipe = inputs.recipe()
    if task == ONE:
        material = somebody(data, model, _SUBJECT, inputs)
        own = material.people == _SUBJECT
        train, test = before_and_after(material, recipe, amount, _TEST_S)
        return HeldOut.of(material, train & own, test & own, recipe)
    material = everybody(data, model, None, inputs)
    few = thinned(material, _MOST_OF_ONE)
    _, test = next(folds(material.people, _THIRDS))
    known = np.unique(material.people[~test])
    drawn = np.random.default_rng(seed).permutation(known)[: int(amount)]
    return HeldOut.of(material, np.isin(material.people, drawn) & few, test & few, recipe)


def without_network(data: Path, *, task: str, amount: float, inputs: Inputs, model: str, seed: int | None) -> list[Row]:
    """The baselines, with plain torques."""
    held = held_out(data, task, amount, inputs, model, seed or 0)
    return [
        row
        for name, recipe, own in baselines(held, {"": inputs.recipe(head="torque")})
        for row in rows(
            held.reference, own, held.tested, recipe, **_keys(task, amount, name, seed), more={"amount": amount}
        )
    ]


def with_network(
    data: Path,
    *,
    task: str,
    amount: float,
    inputs: Inputs,
    model: str,
    method: str,
    changes: Mapping[str, Any],
    seed: int,
    steps: int | None,
) -> list[Row]:
    """One network."""
    recipe = inputs.recipe(seed=seed, steps=steps, **changes)
    held = held_out(data, task, amount, inputs, model, seed)
    trained = train_network(held, recipe)
    more: dict[str, Value] = {"amount": amount}
    keys = _keys(task, amount, method, seed)
    return rows(held.reference, trained.answers, held.tested, recipe, **keys, seconds=trained.seconds, more=more)


def _keys(task: str, amount: float, method: str, seed: int | None) -> dict[str, Any]:
    return {"task": task, "method": f"{amount:g} {_unit(task)}: {method}", "seed": seed}


def _plots(found: Sequence[Row], out: Path) -> list[Path]:
    """Accuracy against the amount, zero-phase and live."""
    from train.experiments.plots import lines

    made = []
    for name, task in (("seconds", ONE), ("people", MANY)):
        curves: dict[str, tuple[list[float], list[float]]] = {}
        for row, figures in mean_rows([row for row in found if row.task == task]):
            method = row.method.partition(": ")[2]
            label = method if row.age_ms is None else f"{method}, {row.age_ms:g} ms"
            x, y = curves.setdefault(label, ([], []))
            x.append(figures["amount"][0])
            y.append(figures["activation_r2"][0])
        if curves:
            unit = "seconds of one person" if task == ONE else "people"
            path = out / f"data_{name}.png"
            made.append(lines(path, curves, x_label=unit, y_label="activation R2", log_x=True, y_from=0.0))
    return made
