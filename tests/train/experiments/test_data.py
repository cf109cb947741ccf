"""How much is recorded: what changes with the amount, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo_material import demo_material

from train.experiments import data as experiment
from train.experiments.data import MANY, ONE, PEOPLE, SECONDS, cells, held_out, with_network, without_network
from train.experiments.held_out import ZERO_PHASE, Inputs
from train.experiments.report import Settings
from train.material import Material

SETTINGS = Settings(Path("data"), Path("out"), seeds=2)
SAME = {"model": "leg9", "architecture": "bigru"}


@pytest.fixture(autouse=True)
def everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(data: Path, model: str, people: str | None, inputs: Inputs) -> Material:
        return demo_material(mass_kg=(50.0, 55.0, 60.0, 75.0, 80.0, 90.0)).seen(inputs.recipe())

    monkeypatch.setattr(experiment, "everybody", made)
    monkeypatch.setattr(experiment, "somebody", made)
    monkeypatch.setattr(experiment, "_SUBJECT", "75 kg")
    monkeypatch.setattr(experiment, "_TEST_S", 0.5)


def test_more_seconds_are_tested_on_the_same_windows() -> None:
    few, more = (held_out(Path(), ONE, seconds, ZERO_PHASE, "leg9", 0) for seconds in (0.3, 0.6))
    np.testing.assert_array_equal(few.test, more.test)
    assert few.train.sum() < more.train.sum()
    assert (few.train <= more.train).all()
    assert set(more.training.people) == set(more.tested.people) == {"75 kg"}


def test_people_are_drawn_from_those_who_are_not_tested() -> None:
    two, four = (held_out(Path(), MANY, amount, ZERO_PHASE, "leg9", 0) for amount in (2, 4))
    np.testing.assert_array_equal(two.test, four.test)
    assert len(set(two.training.people)) == 2
    assert set(two.training.people) < set(four.training.people)
    assert not set(four.training.people) & set(four.tested.people)
    draws = {tuple(sorted(set(held_out(Path(), MANY, 2, ZERO_PHASE, "leg9", s).training.people))) for s in range(6)}
    assert len(draws) > 1


def test_the_amount_is_in_the_row() -> None:
    keys = {"amount": 3, "inputs": ZERO_PHASE, "model": "leg9", "seed": 1}
    changes = {"head": "torque", "architecture": "tcn"}
    (row,) = with_network(Path(), task=MANY, method="net", changes=changes, steps=1, **keys)
    assert (row.method, row.seed, row.more) == ("3 people: net", 1, {"amount": 3})
    near, _ = without_network(Path(), task=MANY, **keys)
    assert (near.method, near.seed, near.more) == ("3 people: nearest neighbours + SO", 1, {"amount": 3})


def test_every_cell_is_there_once() -> None:
    made = cells(SETTINGS, SAME, None)
    assert len({cell.key for cell in made}) == len(made)
    assert len(made) == 3 * len(SECONDS) * (1 + 2 * 2) + 3 * len(PEOPLE) * (2 + 2 * 2)
    assert len(cells(replace(SETTINGS, quick=True), SAME, None)) == 4


def test_a_quick_run_makes_a_report_with_a_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "SECONDS", (0.6, 0.65))
    report = experiment.run(replace(SETTINGS, out=tmp_path, quick=True, options={"architecture": "tcn"}))
    assert [row.more["amount"] for row in report.rows] == [0.6, 0.6, 0.6, 0.65, 0.65, 0.65]
    assert [plot.name for plot in report.plots] == ["data_seconds.png"]
