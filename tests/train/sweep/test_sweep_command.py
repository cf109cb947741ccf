from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="needs the extra 'sweep'")
from course import Here
from walking import run

from train.sweep import cli, pool

FAST = (
    "--only",
    "trainer.learning_rate",
    "--set",
    "trainer.steps=4",
    "--set",
    "trainer.validate_every=1",
    "--seeds",
    "1",
)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Here]:
    """No processes; in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    made: list[Here] = []

    def employ(slots: int) -> Here:
        made.append(Here())
        return made[-1]

    monkeypatch.setattr(pool, "PoolWorkers", employ)
    return made


def test_a_subjects_training_is_swept_shown_and_continued(trials: Path, tmp_path: Path, here: list[Here]) -> None:
    arguments = ("sweep", "--trials", str(trials), *FAST, "--jobs", "1")
    code, stdout, stderr = run(*arguments, "--trials", "2", "--export", "all.csv", "--json")
    assert code == 0, stderr
    found = json.loads(stdout)
    assert found["experiment"] == "subject"
    assert found["trials"] == 2
    assert found["states"]["failed"] == 0
    assert found["store"] == "sweep-subject.db"
    assert list(found["best"]["params"]) == ["trainer.learning_rate"]
    assert -10 < found["best"]["value"] < 1
    first = here[0].tasks[0]
    assert first.values == {"trainer.learning_rate": 2e-3}
    assert first.recipe.trainer.steps == 4
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix in (".db", ".csv")) == ["all.csv", "sweep-subject.db"]

    code, stdout, stderr = run(*arguments, "--trials", "3", "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["trials"] == 3
    assert len(here[1].tasks) == 1
    shown = run("sweep", "--trials", str(trials), "--show")
    assert shown[0] == 0
    assert "trainer.learning_rate" in shown[1]
    assert f"{json.loads(stdout)['best']['value']:.4f}" in shown[1]
    assert len(here) == 2

    code, _, stderr = run(*arguments, "--seed", "1")
    assert code == 1
    assert stderr.startswith("error: sweep-subject.db: holds a sweep with seed = 0, not 1:")
    code, _, stderr = run("sweep", "gait", "--show", "--out", "sweep-subject.db")
    assert code == 1
    assert "holds a sweep of subject" in stderr


def test_an_interrupt_says_how_to_go_on(trials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PoolWorkers", lambda slots: Here(stop_at=1))
    code, _, stderr = run("sweep", "--trials", str(trials), *FAST, "--trials", "2")
    assert code == 1
    assert "0 of 2 trials are in sweep-subject.db: the same command goes on from there" in stderr
    assert stderr.endswith("error: stopped by the user\n")
    monkeypatch.setattr(pool, "PoolWorkers", lambda slots: Here())
    code, _, stderr = run("sweep", "--trials", str(trials), *FAST, "--trials", "1")
    assert code == 0, stderr
    assert "1 interrupted trial is run again" in stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "name an EXPERIMENT, or give a trials file"),
        (("gait", "--trials", "walk.toml"), 2, "name an EXPERIMENT, or give a trials file"),
        (("--trials", "walk.mot"), 2, "neither a number nor a trials file"),
        (("gait", "--trials", "0"), 2, "at least 1"),
        (("gait", "--trials", "2", "--trials", "3"), 2, "one number and one trials file at most"),
        (("gait", "--show"), 1, "sweep-gait.db: cannot be read"),
        (("gait", "--out", "walk.msk"), 1, "ends in .db"),
        (("gait", "--export", "walk.xlsx"), 1, ".csv or .parquet"),
        (("gait", "--data", "nowhere"), 1, "nowhere: is no folder"),
        (("walking", "--data", "."), 1, "there is no experiment 'walking': choose one of knee, "),
        (("--trials", "missing.toml"), 1, "missing.toml"),
        (("--trials", "TRIALS", "--set", "window"), 2, "write NAME=VALUE"),
        (("--trials", "TRIALS", "--set", "window=wide"), 1, "write a whole number"),
        (("--trials", "TRIALS", "--only", "speed"), 1, "--only speed: is not swept here"),
        (("--trials", "TRIALS", "--only", "window", "--set", "window=9"), 1, "nothing is left to sweep"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    trials: Path, tmp_path: Path, arguments: tuple[Any, ...], code: int, message: str
) -> None:
    given = [str(trials) if a == "TRIALS" else a for a in arguments]
    exit_code, _, stderr = run("sweep", *given)
    assert exit_code == code
    assert message in " ".join(stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_every_core_works_unless_told_otherwise() -> None:
    workers: Any = cli._workers(None, None)
    assert isinstance(workers, Here)
