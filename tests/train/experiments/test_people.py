"""Folds by person, members and their mean, margins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo_material import demo_material

from train.experiments import people
from train.experiments.held_out import ZERO_PHASE, Inputs, live
from train.experiments.people import MEMBERS, TASK, TOGETHER, cells, held_out, margins, with_networks
from train.experiments.report import POOLED, Row, Settings
from train.material import Material

SETTINGS = Settings(Path("data"), Path("out"), seeds=2)
FOUR = (50.0, 60.0, 75.0, 90.0)


@pytest.fixture
def everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(data: Path, model: str, people: tuple[str, ...] | None, inputs: Inputs) -> Material:
        return demo_material(mass_kg=FOUR).seen(inputs.recipe())

    monkeypatch.setattr(people, "everybody", made)


@pytest.mark.usefixtures("everybody")
def test_nobody_tested_was_trained_on_and_everybody_is_tested_once() -> None:
    folds = list(held_out(Path(), "leg9", None, 3, ZERO_PHASE))
    assert len(folds) == 3
    for held in folds:
        assert not set(held.training.people) & set(held.tested.people)
        assert len(set(held.training.people) | set(held.tested.people)) == len(FOUR)
    assert np.sum([held.test for held in folds], axis=0).max() == 1
    assert sum(held.test.sum() for held in folds) == len(folds[0].whole)


@pytest.mark.usefixtures("everybody")
def test_members_are_judged_alone_and_together() -> None:
    members = {
        "raw": {**MEMBERS["torque head, tcn"]},
        "contact": {**MEMBERS["contact head, tcn"]},
    }
    rows = with_networks(
        Path(), model="leg9", people=None, folds=2, inputs=ZERO_PHASE, members=members, seed=1, steps=1
    )
    pooled = {row.method: row for row in rows if row.person == POOLED}
    assert list(pooled) == ["raw", "contact", TOGETHER]
    assert len(rows) == 3 * (len(FOUR) + 1)
    each = [row.activation_r2 for row in rows if row.method == TOGETHER and row.person != POOLED]
    assert pooled[TOGETHER].more["worst_person"] == min(each)  # type: ignore[type-var]
    torque = [pooled[name].torque_rmse_nm for name in ("raw", "contact", TOGETHER)]
    assert torque[2] < max(torque[:2])  # type: ignore[operator,type-var]


def test_every_cell_is_there_once() -> None:
    same = {"model": "leg9", "people": None, "folds": 6}
    made = cells(SETTINGS, same, MEMBERS, None)
    assert len({cell.key for cell in made}) == len(made) == 5 * (1 + 2)
    quick = cells(replace(SETTINGS, quick=True), same, MEMBERS, None)
    assert [list(cell.arguments.get("members", [])) for cell in quick] == [
        [],
        ["contact head, tcn", "torque head, tcn"],
    ] * 2
    assert [cell.arguments["inputs"] for cell in quick] == [ZERO_PHASE, ZERO_PHASE, live(50.0), live(50.0)]


def test_margins_are_told_in_a_sentence() -> None:
    lab = Row(TASK, "a", "zero-phase", person=POOLED, seed=0, activation_r2=0.9)
    rows = [
        lab,
        replace(lab, method="b", activation_r2=0.8),
        replace(lab, method="nearest neighbours + SO", seed=None, activation_r2=0.7),
        replace(lab, method="kernel ridge + SO", seed=None, activation_r2=0.95),
    ]
    rows += [replace(r, inputs="live", age_ms=50.0, activation_r2=r.activation_r2 - 0.01) for r in rows]  # type: ignore[operator]
    assert margins(rows) == [
        "zero-phase: a 0.900, +0.200 against the best nearest neighbours.",
        "live, 50 ms: a 0.890, +0.200 against the best nearest neighbours, -0.010 against zero-phase.",
    ]
    assert margins(rows[:2]) == []


@pytest.mark.usefixtures("everybody")
def test_a_quick_run_makes_a_report_with_a_plot(tmp_path: Path) -> None:
    report = people.run(replace(SETTINGS, out=tmp_path, quick=True, options={"folds": "2", "members": "3"}))
    assert {row.inputs for row in report.rows} == {"zero-phase", "live"}
    assert len({row.method for row in report.rows}) == 7
    assert [plot.name for plot in report.plots] == ["people_ages.png"]
    assert sum("against the best nearest neighbours" in note for note in report.notes) == 2
