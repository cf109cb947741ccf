"""`causality`: what it costs to know only the past: accuracy against the differentiator's delay and the network's look-ahead.

Two ways lead to a later and better answer: a differentiator that waits, or a network whose window goes on after the moment that
it describes. And two to a wrong one: a network trained on a laboratory's inputs and fed with a device's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.signals.differentiate import METHODS
from train.estimates import Baseline
from train.experiments.cells import Cell, run_cells
from train.experiments.held_out import (
    ZERO_PHASE,
    HeldOut,
    Inputs,
    baselines,
    chosen,
    live,
    rows,
    thinned,
    train_network,
    whole_number,
)
from train.experiments.people import everybody
from train.experiments.report import Report, Row, Settings, mean_rows
from train.experiments.scoring import BASELINES
from train.learning import estimate
from train.recipe import Recipe
from train.splits import folds

AGES_MS = (0.0, 20.0, 50.0, 100.0)
DELAY = "a third of the people left out: the differentiator's delay"
LOOK_AHEAD = "a third of the people left out: the network's look-ahead"
SKEW = "a third of the people left out: trained in the laboratory, fed live"
LOOK_AHEADS = (0, 2, 5, 10)  # frames of 10 ms
WAITS_MS = (0.0, 50.0)  # of the differentiator, with these

_CHANGES: Mapping[str, Any] = {"head": "residual", "even_people": True}
_THIRDS = 3
_MOST_OF_ONE = 800  # windows
_QUICK_PEOPLE, _QUICK_STEPS = ("gait10", "walk_12/2014001", "walk_12/2014004"), 2
OPTIONS = {"model": "leg9", "steps": "", "architecture": "bigru"}


def run(settings: Settings) -> Report:
    """The whole experiment. Options: `model` of a leg, `steps`, `architecture`. Raises FileError, TrialError, ConfigError."""
    options = chosen(settings, OPTIONS)
    changes = {**_CHANGES, "architecture": options["architecture"]}
    found = run_cells("causality", cells(settings, options["model"], changes, whole_number(options, "steps")), settings)
    notes = [
        "Trained on two thirds of the people who walk, tested on the others; of nobody more than "
        f"{_MOST_OF_ONE} windows. Sensors of usual quality; `fir` and `adaptive` know all people but the wearer.",
        "The age is that of the estimate: the differentiator's delay and the look-ahead together.",
        "Trained in the laboratory, fed live: what training and use have in common is the network alone.",
    ]
    return Report("causality", found, _plots(found, settings.out), notes)


def cells(settings: Settings, model: str, changes: Mapping[str, Any], steps: int | None) -> list[Cell]:
    """Every differentiator and delay; look-aheads; and the network of the laboratory."""
    methods: Sequence[str] = METHODS
    ages: Sequence[float] = AGES_MS
    waits: Sequence[float] = WAITS_MS
    look_aheads: Sequence[int] = LOOK_AHEADS
    if settings.quick:
        methods, ages, waits, look_aheads = ("kalman",), AGES_MS[2:3], (), ()
        steps = steps or _QUICK_STEPS
    same = {"model": model, "people": _QUICK_PEOPLE if settings.quick else None}
    seeds = range(1 if settings.quick else settings.seeds)
    trained = {"changes": changes, "steps": steps}
    made = []
    for inputs in (ZERO_PHASE, *(live(age, method) for method in methods for age in ages)):
        own: dict[str, Any] = {**same, "inputs": inputs, "look_ahead": None}
        made.append(Cell(without_network, f"{inputs.label}, baselines", own))
        made += [Cell(with_network, f"{inputs.label}, network", {**own, **trained, "seed": seed}) for seed in seeds]
    fed = [live(age, method) for method in methods for age in ages]
    made.append(Cell(skewed_baselines, "laboratory, baselines", {**same, "fed": fed}))
    made += [Cell(skewed, "laboratory, network", {**same, **trained, "fed": fed, "seed": seed}) for seed in seeds]
    for wait in waits:
        for frames in look_aheads:
            own = {**same, "inputs": live(wait), "look_ahead": frames}
            label = f"{wait:g} ms and {frames} frames"
            made.append(Cell(without_network, f"{label}, baselines", own))
            made += [Cell(with_network, f"{label}, network", {**own, **trained, "seed": seed}) for seed in seeds]
    return made


def held_out(data: Path, model: str, people: Sequence[str] | None, inputs: Inputs, recipe: Recipe) -> HeldOut:
    """Two thirds of the people train; of nobody more than a few hundred windows.

    Raises FileError or TrialError.
    """
    material = everybody(data, model, None if people is None else tuple(people), inputs).seen(recipe)
    few = thinned(material, _MOST_OF_ONE)
    _, test = next(folds(material.people, _THIRDS))
    return HeldOut.of(material, ~test & few, test & few, recipe)


def without_network(
    data: Path, *, model: str, people: Sequence[str] | None, inputs: Inputs, look_ahead: int | None
) -> list[Row]:
    """The baselines. look_ahead: frames, or None for the usual one: then the differentiator is what is asked about."""
    recipe = _with_look_ahead(inputs.recipe(), look_ahead)
    held = held_out(data, model, people, inputs, recipe)
    recipes = {"": replace(recipe, head="torque"), "residual": recipe}
    return [
        row
        for name, own, answers in baselines(held, recipes)
        for row in rows(held.reference, answers, held.tested, own, **_titles(inputs, name, look_ahead))
    ]


def with_network(
    data: Path,
    *,
    model: str,
    people: Sequence[str] | None,
    inputs: Inputs,
    look_ahead: int | None,
    changes: Mapping[str, Any],
    seed: int,
    steps: int | None,
) -> list[Row]:
    """One network."""
    recipe = _with_look_ahead(inputs.recipe(seed=seed, steps=steps, **changes), look_ahead)
    held = held_out(data, model, people, inputs, recipe)
    trained = train_network(held, recipe)
    keys = {**_titles(inputs, _network(changes), look_ahead), "seed": seed, "seconds": trained.seconds}
    return rows(held.reference, trained.answers, held.tested, recipe, **keys)


def skewed_baselines(data: Path, *, model: str, people: Sequence[str] | None, fed: Sequence[Inputs]) -> list[Row]:
    """The baselines, which know zero-phase inputs and are asked with live ones."""
    recipe = ZERO_PHASE.recipe(look_ahead=0)
    training = held_out(data, model, people, ZERO_PHASE, recipe).training
    known = {title: Baseline(key, training, replace(recipe, head="torque")) for key, title in BASELINES.items()}
    made = []
    for inputs in fed:
        held = held_out(data, model, people, inputs, inputs.recipe())
        for title, method in known.items():
            keys: dict[str, Any] = {"task": SKEW, "method": _named(inputs, title)}
            made += rows(held.reference, method.answers(held.tested), held.tested, inputs.recipe(), **keys)
    return made


def skewed(
    data: Path,
    *,
    model: str,
    people: Sequence[str] | None,
    fed: Sequence[Inputs],
    changes: Mapping[str, Any],
    seed: int,
    steps: int | None,
) -> list[Row]:
    """A network trained with zero-phase inputs and asked with live ones. It describes the window's last moment, as live."""
    recipe = ZERO_PHASE.recipe(seed=seed, steps=steps, look_ahead=0, **changes)
    learned = train_network(held_out(data, model, people, ZERO_PHASE, recipe), recipe).learned
    made = []
    for inputs in fed:
        own = inputs.recipe(seed=seed, steps=steps, **changes)
        held = held_out(data, model, people, inputs, own)
        answers = estimate(replace(learned, recipe=own), held.tested)
        method = _named(inputs, _network(changes))
        made += rows(held.reference, answers, held.tested, own, task=SKEW, method=method, seed=seed)
    return made


def _with_look_ahead(recipe: Recipe, frames: int | None) -> Recipe:
    return recipe if frames is None else replace(recipe, look_ahead=frames)


def _titles(inputs: Inputs, method: str, look_ahead: int | None) -> dict[str, Any]:
    if look_ahead is None:
        return {"task": DELAY, "method": _named(inputs, method)}
    return {"task": LOOK_AHEAD, "method": f"{inputs.age_ms:g} ms of {inputs.method}: {method}"}


def _network(changes: Mapping[str, Any]) -> str:
    return f"{changes['head']} head, {changes.get('architecture', 'bigru')}"


def _named(inputs: Inputs, method: str) -> str:
    return f"{inputs.method}: {method}" if inputs.causal else method


def _plots(found: Sequence[Row], out: Path) -> list[Path]:
    """Accuracy of the networks against the age of the estimate, task by task."""
    from train.experiments.plots import lines

    made = []
    for name, task in (("delay", DELAY), ("look_ahead", LOOK_AHEAD), ("skew", SKEW)):
        curves: dict[str, tuple[list[float], list[float]]] = {}
        for row, figures in mean_rows([row for row in found if row.task == task]):
            if row.age_ms is not None and " + SO" not in row.method:
                x, y = curves.setdefault(row.method, ([], []))
                x.append(row.age_ms)
                y.append(figures["activation_r2"][0])
        if curves:
            path = out / f"causality_{name}.png"
            made.append(lines(path, curves, x_label="age of the estimate, ms", y_label="activation R2", y_from=0.0))
    return made
