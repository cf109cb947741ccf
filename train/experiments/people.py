"""`people`: everybody's walking, with folds by person: how good an estimate is for somebody who was never seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from train.experiments.cells import Cell, run_cells
from train.experiments.held_out import (
    ZERO_PHASE,
    HeldOut,
    Inputs,
    baselines,
    choice_of,
    chosen,
    live,
    rows,
    thinned,
    train_network,
    whole_number,
)
from train.experiments.recordings import walkers
from train.experiments.report import POOLED, Report, Row, Settings, mean_rows
from train.experiments.scoring import join
from train.learning import Answers, average
from train.material import Material
from train.recipe import Recipe
from train.splits import folds

AGES_MS = (0.0, 20.0, 50.0, 100.0)
TASK = "walking, people left out"
MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "contact head, tcn": {"usual": "people"},
    "residual head, bigru": {"usual": "people", "architecture": "bigru", "head": "residual", "signals": "derivatives"},
    "torque head, tcn": {"usual": "people", "head": "torque"},
}
"""Networks, and what of their recipes differs from the usual."""
TOGETHER = "mean of the three"

_MOST_OF_ONE = 1200  # windows: the two treadmills would outweigh sixteen people
_FOLDS = 6
_PLOT_FROM = 0.5
_QUICK_PEOPLE, _QUICK_FOLDS, _QUICK_STEPS = ("gait10", "walk_12/2014001", "walk_12/2014004"), 3, 4
OPTIONS = {"folds": str(_FOLDS), "model": "leg9", "steps": "", "members": ""}


def run(settings: Settings) -> Report:
    """The whole experiment. Options: `folds`, `model` of a leg, `steps`, `members` (their numbers, with commas).

    Raises FileError, TrialError, ConfigError.
    """
    options = chosen(settings, OPTIONS)
    count = _QUICK_FOLDS if settings.quick else whole_number(options, "folds") or _FOLDS
    numbers = choice_of(options, "members", [str(k + 1) for k in range(len(MEMBERS))])
    members = {name: MEMBERS[name] for k, name in enumerate(MEMBERS) if str(k + 1) in numbers}
    same = {"model": options["model"], "people": _QUICK_PEOPLE if settings.quick else None, "folds": count}
    found = run_cells("people", cells(settings, same, members, whole_number(options, "steps")), settings)
    notes = [
        f"{count} folds by person. Of nobody more than {_MOST_OF_ONE} windows train or test. `worst person`: the least "
        "activation R2 of any.",
        "Live: angles of 12 bit with 0.1 deg of noise, 1 ms of jitter, one sample in a hundred lost, a pelvis IMU with noise and "
        "drift; the `fir` differentiator, from all people but the wearer.",
        "The truth is our static optimisation of zero-phase inverse dynamics with the measured ground reaction.",
        *margins(found),
    ]
    return Report("people", found, _plots(found, settings.out), notes)


def cells(
    settings: Settings, same: Mapping[str, Any], members: Mapping[str, Mapping[str, Any]], steps: int | None
) -> list[Cell]:
    """Every input: the baselines, and the networks for every seed."""
    inputs = [ZERO_PHASE, *(live(age) for age in AGES_MS)]
    if settings.quick:
        inputs, steps = [ZERO_PHASE, live(AGES_MS[2])], steps or _QUICK_STEPS
        members = {name: own for name, own in members.items() if "architecture" not in own} or members
    made = []
    for own in inputs:
        made.append(Cell(without_network, f"{own.label}, baselines", {**same, "inputs": own}))
        for seed in range(1 if settings.quick else settings.seeds):
            more = {"inputs": own, "members": members, "seed": seed, "steps": steps}
            made.append(Cell(with_networks, f"{own.label}, networks", {**same, **more}))
    return made


def held_out(data: Path, model: str, people: Sequence[str] | None, count: int, inputs: Inputs) -> Iterator[HeldOut]:
    """A fold after the other. Raises FileError or TrialError."""
    material = everybody(data, model, None if people is None else tuple(people), inputs)
    few = thinned(material, _MOST_OF_ONE)
    for _, test in folds(material.people, count):
        yield HeldOut.of(material, ~test & few, test & few, inputs.recipe())


def teachers(data: Path, inputs: Inputs) -> set[str]:
    """Who teaches the differentiator of a task that is one person's: the people of `walk_12`; nobody in the laboratory."""
    return {f"walk_12/{path.name}" for path in (data / "walk_12").iterdir()} if inputs.causal else set()


@lru_cache(maxsize=2)
def somebody(data: Path, model: str, subject: str, inputs: Inputs) -> Material:
    """One person's walking; live, beside that of the differentiator's teachers."""
    return Material.of(walkers(data, model=model, subjects={subject, *teachers(data, inputs)}), inputs.recipe())


@lru_cache(maxsize=2)
def everybody(data: Path, model: str, people: tuple[str, ...] | None, inputs: Inputs) -> Material:
    """Everybody's walking. people: None for all."""
    return Material.of(walkers(data, model=model, subjects=people), inputs.recipe())


def without_network(data: Path, *, model: str, people: Sequence[str] | None, folds: int, inputs: Inputs) -> list[Row]:
    """The baselines, with plain torques and with what the networks answer."""
    recipes = {
        "": inputs.recipe(head="torque"),
        "residual": inputs.recipe(head="residual"),
        "contact": inputs.recipe(usual="people"),
    }
    answers: dict[str, list[Answers]] = {}
    held = list(held_out(data, model, people, folds, inputs))
    for one in held:
        for name, _, own in baselines(one, recipes):
            answers.setdefault(name, []).append(own)
    return [row for name, own in answers.items() for row in _judged(held, own, inputs.recipe(), method=name)]


def with_networks(
    data: Path,
    *,
    model: str,
    people: Sequence[str] | None,
    folds: int,
    inputs: Inputs,
    members: Mapping[str, Mapping[str, Any]],
    seed: int,
    steps: int | None,
) -> list[Row]:
    """Every network alone, and, of several, their mean torque."""
    recipes = {name: inputs.recipe(seed=seed, steps=steps, **changes) for name, changes in members.items()}
    held = list(held_out(data, model, people, folds, inputs))
    found = {name: [train_network(one, recipe) for one in held] for name, recipe in recipes.items()}
    made = []
    for name, trained in found.items():
        seconds = float(np.mean([own.seconds for own in trained]))
        answers = [own.answers for own in trained]
        made += _judged(held, answers, recipes[name], method=name, seed=seed, seconds=seconds)
    if len(found) > 1:
        mode = inputs.recipe().mode
        together = [
            average([trained[i].answers for trained in found.values()], one.tested, mode) for i, one in enumerate(held)
        ]
        made += _judged(held, together, inputs.recipe(), method=TOGETHER, seed=seed)
    return made


def _judged(held: Sequence[HeldOut], answers: Sequence[Answers], recipe: Recipe, **keys: Any) -> list[Row]:
    where = np.concatenate([np.flatnonzero(one.test) for one in held])
    reference = join([one.reference for one in held])
    return rows(reference, join(answers), held[0].whole.take(where), recipe, people=True, task=TASK, **keys)


def margins(found: Sequence[Row]) -> list[str]:
    """In a sentence each: how far the best network is above the best nearest neighbours, and what live inputs cost it."""
    pooled = [(row, figures["activation_r2"][0]) for row, figures in mean_rows(found) if row.person == POOLED]
    own = [(row, r2) for row, r2 in pooled if " + SO" not in row.method]
    told = []
    for inputs, age in dict.fromkeys((row.inputs, row.age_ms) for row, _ in own):
        here = {row.method: r2 for row, r2 in own if (row.inputs, row.age_ms) == (inputs, age)}
        best = max(here, key=here.__getitem__)
        near = [r2 for row, r2 in pooled if row.method.startswith("nearest") and row.age_ms == age]
        if not near:
            continue
        label = inputs if age is None else f"{inputs}, {age:g} ms"
        sentence = (
            f"{label}: {best} {here[best]:.3f}, {here[best] - max(near):+.3f} against the best nearest neighbours"
        )
        lab = [r2 for row, r2 in own if row.method == best and row.age_ms is None]
        told.append(
            sentence + (f", {here[best] - lab[0]:+.3f} against zero-phase." if age is not None and lab else ".")
        )
    return told


def _plots(found: Sequence[Row], out: Path) -> list[Path]:
    """Accuracy against age."""
    from train.experiments.plots import lines

    curves: dict[str, tuple[list[float], list[float]]] = {}
    for row, figures in mean_rows(found):
        if row.age_ms is not None and "activation_r2" in figures:
            x, y = curves.setdefault(row.method, ([], []))
            x.append(row.age_ms)
            y.append(figures["activation_r2"][0])
    if not curves:
        return []
    label = "activation R2, all people"
    return [lines(out / "people_ages.png", curves, x_label="age of the estimate, ms", y_label=label, y_from=_PLOT_FROM)]
