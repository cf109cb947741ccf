"""`python -m tools.bench.derivatives`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.bench import derivatives
from tools.bench.derivatives import main
from tools.bench.movements import movement


@pytest.fixture
def short(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, of which the command sees the first seconds of one walk."""
    walk = movement(data, "walk36").until(6.0)
    monkeypatch.setattr(derivatives, "movement", lambda folder, name: walk)
    monkeypatch.setattr(derivatives, "catalogue", lambda folder: {"walk36": lambda: walk})
    return data


def test_a_table_as_text_and_as_json(short: Path) -> None:
    arguments = [str(short), "--table", "walk36", "--methods", "kalman", "--ages", "50"]
    text = CliRunner().invoke(main, arguments)
    assert text.exit_code == 0, text.output
    assert "| kalman | 50 | 0." in text.stdout
    answer = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    rows = answer["walk36"]["errors by age"]
    assert [row["method"] for row in rows] == ["kalman", "opensimrt"]
    assert f"| kalman | 50 | {rows[0]['q_deg']:.3g} |" in text.stdout


def test_the_gate_decides_the_exit_code(short: Path) -> None:
    bad = CliRunner().invoke(main, [str(short), "--table", "movements", "--methods", "savgol", "--json"])
    assert bad.exit_code == 1
    assert "times the Kalman smoother's" in bad.stderr
    answer = json.loads(bad.stdout)
    assert answer["broken"][0] | {"method": "savgol"} == answer["broken"][0]
    assert len(answer["broken"]) == sum(r["worst"] > 1.1 for rows in answer["movements"].values() for r in rows)
    good = CliRunner().invoke(main, [str(short), "--table", "movements", "--methods", "kalman"])
    assert good.exit_code == 0, good.output


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--ages", "fifty", "write milliseconds"),
        ("--ages", "400", "from 0 to 300"),
        ("--methods", "magic", "use some of kalman"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, option: str, value: str, said: str) -> None:
    result = CliRunner().invoke(main, [str(tmp_path), option, value])
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_folder_without_recordings_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path), "--table", "walk36", "--methods", "kalman"])
    assert result.exit_code == 1
    assert "ik.sto" in result.stderr
