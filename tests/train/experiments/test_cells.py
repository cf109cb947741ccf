"""Cells of an experiment: done once, in order, wherever they run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from experiment_rows import failing, killed, two_rows

from edge.errors import EngineError
from train.experiments.cells import Cell, run_cells
from train.experiments.report import Settings, read_rows


def marks(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir() if p.is_file()}


def cells(*figures: float) -> list[Cell]:
    return [Cell(two_rows, f"cell {figure}", {"task": "t", "figure": figure}) for figure in figures]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "data").mkdir()
    return Settings(tmp_path / "data", tmp_path / "out")


def test_an_interrupted_experiment_goes_on_where_it_stopped(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError):
        run_cells("x", [*cells(0.5, 0.6), Cell(failing, "fails"), *cells(0.7)], settings)
    assert [r.activation_r2 for r in read_rows(settings.out / "x.csv")] == [0.5, 0.25, 0.6, 0.3]
    told: list[tuple[str, int, int]] = []
    rows = run_cells(
        "x", cells(0.5, 0.6, 0.7), replace(settings, progress=lambda label, done, of: told.append((label, done, of)))
    )
    assert marks(settings.data) == {"t-0.5": "once", "t-0.6": "once", "t-0.7": "once"}
    assert [r.activation_r2 for r in rows] == [0.5, 0.25, 0.6, 0.3, 0.7, 0.35]
    assert [replace(r, cell="") for r in rows] == [replace(r, cell="") for r in read_rows(settings.out / "x.csv")]
    assert told == [("", 2, 3), ("cell 0.7", 3, 3)]


def test_other_arguments_are_other_work_and_their_rows_are_not_mixed_in(settings: Settings) -> None:
    run_cells("x", cells(0.5), settings)
    rows = run_cells("x", cells(0.6), settings)
    assert [r.activation_r2 for r in rows] == [0.6, 0.3]
    assert [r.activation_r2 for r in read_rows(settings.out / "x.csv")] == [0.6, 0.3]


def test_fresh_begins_anew(settings: Settings) -> None:
    run_cells("x", cells(0.5), settings)
    run_cells("x", cells(0.5), replace(settings, fresh=True))
    assert marks(settings.data) == {"t-0.5": "onceagain"}


def test_processes_give_the_rows_of_one(settings: Settings, tmp_path: Path) -> None:
    alone = run_cells("x", cells(0.5, 0.6, 0.7), settings)
    together = run_cells("x", cells(0.5, 0.6, 0.7), replace(settings, jobs=2, out=tmp_path / "other"))
    assert together == alone
    with pytest.raises(EngineError, match=r"killed in the middle of its work.*fewer --jobs"):
        run_cells("y", [Cell(killed, "dies")], replace(settings, jobs=2))


def test_a_key_says_what_is_done_and_nothing_else() -> None:
    (one,), (same,), (other,) = cells(0.5), cells(0.5), cells(0.6)
    assert one.key == same.key == replace(one, label="called otherwise").key
    assert one.key != other.key
    assert one.key != Cell(failing, one.label, one.arguments).key
