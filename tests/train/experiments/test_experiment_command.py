"""`edge-msk experiment`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli import cli
from edge.desktop import desktop
from train.experiments import ABOUT, EXPERIMENTS


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["experiment", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_help_lists_every_experiment_with_examples() -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert list(ABOUT) == list(EXPERIMENTS)
    for name, about in ABOUT.items():
        assert f"  {name} " in out
        assert about in out
    assert "edge-msk experiment knee --data recordings" in out


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_experiments_are_where_the_table_says(name: str) -> None:
    assert callable(desktop(EXPERIMENTS[name]))


def test_one_run_gives_a_table_a_page_plots_and_one_json_object(data: Path, tmp_path: Path) -> None:
    arguments = ["elbow", "--data", str(data), "--out", str(tmp_path), "--quick", "--json"]
    code, out, error = run(*arguments)
    assert code == 0, error
    told = json.loads(out)
    assert told["table"] == str(tmp_path / "elbow.csv")
    assert {"task", "method", "activation_r2", "force_r2", "rmse"} <= set(told["rows"][0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elbow.csv", "elbow.md", "elbow_methods.png"]
    assert told["plots"] == [str(tmp_path / "elbow_methods.png")]
    by_method = {(r["method"], r["inputs"], r["task"]): r["activation_r2"] for r in told["rows"]}
    assert by_method["kernel ridge + SO", "zero-phase", "generated sweep"] > 0.8
    code, again, _ = run(*arguments)
    assert code == 0
    assert json.loads(again)["rows"] == told["rows"]
    code, out, error = run(*arguments[:-1])
    assert code == 0
    assert out.startswith(f"{len(told['rows'])} rows -> ")
    assert "kernel ridge + SO" in error


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("knee",), 2, "Missing option '--data'"),
        (("nose", "--data", "."), 2, "'nose' is not one of"),
        (("knee", "--data", "nowhere"), 1, "nowhere: is no folder"),
        (("knee", "--data", ".", "--option", "steps"), 1, "--option steps: is not KEY=VALUE"),
        (("knee", "--data", "."), 1, "knee_emg: holds no"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGE_MSK_DATA", raising=False)
    found, _, error = run(*arguments)
    assert (found, said in error) == (code, True), error
