"""Rows and the files made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import FileError
from train.experiments.report import POOLED, Report, Row, mean_rows, read_rows, write_rows

NUMBER = st.none() | st.floats(-1e6, 1e6)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=8)
ROW = st.builds(
    Row,
    task=TEXT,
    method=TEXT,
    person=TEXT,
    seed=st.none() | st.integers(0, 99),
    age_ms=NUMBER,
    activation_r2=NUMBER,
    seconds=NUMBER,
    more=st.dictionaries(st.sampled_from(["emg", "nearest_deg"]), st.floats(-9.0, 9.0)),
    cell=st.sampled_from(["", "0a1b2c"]),
)


@settings(max_examples=12, deadline=None)
@given(st.lists(ROW, max_size=4))
def test_a_table_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    write_rows(path, rows)
    assert read_rows(path) == rows


@pytest.mark.parametrize("text", ["task,method\na,b\n", "not a table\nof rows\n"])
def test_a_table_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(FileError, match=r"x\.csv: line 2 is no row.*--fresh"):
        read_rows(path)


def test_means_are_over_people_then_seeds_unless_people_were_pooled() -> None:
    row = Row("walk", "net", person="p1", seed=0, activation_r2=0.8)
    rows = [row, replace(row, person="p2", activation_r2=0.6), replace(row, seed=1, activation_r2=0.9)]
    ((first, figures),) = mean_rows(rows)
    assert first == row
    mean, deviation = figures["activation_r2"]
    assert mean == pytest.approx((0.7 + 0.9) / 2)
    assert deviation == pytest.approx(0.2 / 2**0.5)
    pooled = replace(row, person=POOLED, activation_r2=0.95)
    assert mean_rows([*rows, pooled])[0][1]["activation_r2"] == (0.95, 0.0)


def test_a_figure_that_only_some_rows_have_is_their_mean() -> None:
    rows = [Row("t", "a", seed=0, rmse=0.2), Row("t", "a", seed=1, more={"emg": 0.5})]
    ((_, figures),) = mean_rows(rows)
    assert figures == {"rmse": (0.2, 0.0), "emg": (0.5, 0.0)}


def test_the_page_has_a_table_for_each_task_and_for_its_people(tmp_path: Path) -> None:
    rows = [
        Row("walk", "net", "causal", 50.0, "p1", 0, 0.8, force_r2=0.7),
        Row("walk", "net", "causal", 50.0, "p2", 0, 0.6, force_r2=0.5),
        Row("squat", "net|x", "zero-phase", seed=0, activation_r2=0.99987),
    ]
    plot = tmp_path / "bars.png"
    table = Report("demo", rows, [plot], ["Made up."]).write(tmp_path)
    assert table == tmp_path / "demo.csv"
    page = (tmp_path / "demo.md").read_text()
    assert page == (
        "# Experiment `demo`\n* Made up.\n"
        "\n## walk\n\n| method | inputs | age ms | activation R2 | force R2 |\n|---|---|---|---|---|\n"
        "| net | causal | 50 | 0.700 | 0.600 |\n"
        "\nActivation R2 of each person, mean over seeds:\n\n"
        "| method | inputs | age ms | p1 | p2 |\n|---|---|---|---|---|\n| net | causal | 50 | 0.800 | 0.600 |\n"
        "\n## squat\n\n| method | inputs | activation R2 |\n|---|---|---|\n| net/x | zero-phase | 0.9999 |\n"
        "\n![bars](bars.png)\n"
    )


def test_json_has_every_figure_that_is_known() -> None:
    row = Row("walk", "net", seed=0, activation_r2=0.8, more={"emg": 0.5}, cell="abc")
    told = Report("demo", [row], [Path("a.png")]).to_json(Path("demo.csv"))
    assert told["table"] == "demo.csv"
    assert told["plots"] == ["a.png"]
    assert told["rows"] == [
        {"task": "walk", "method": "net", "inputs": "", "person": "", "seed": 0, "activation_r2": 0.8, "emg": 0.5}
    ]
