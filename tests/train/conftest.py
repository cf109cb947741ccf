from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from walking import run, write_walk

STEPS = "25"


@pytest.fixture(scope="session")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trials file of two seconds of a short walk, both legs."""
    path = write_walk(tmp_path_factory.mktemp("walk"))
    text = path.read_text()
    assert text.count("end_s = 4.5") == 2
    path.write_text(text.replace("end_s = 4.5", "end_s = 2.5"))
    return path


@pytest.fixture(scope="session")
def train(trials: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a hardly trained bundle of a head, once in a session."""

    @cache
    def make(head: str) -> Path:
        out = tmp_path_factory.mktemp("bundle") / "subject.msk"
        code, stdout, stderr = run(
            "train", "--trials", str(trials), "--head", head, "--steps", STEPS, "--out", str(out), "--json"
        )
        assert code == 0, stderr
        summary = json.loads(stdout)
        assert summary["bundle"] == str(out)
        assert summary["seconds"] > 0
        assert {"activation_r2", "force_r2"} <= set(summary["validation"])
        assert [p.name for p in out.parent.iterdir()] == ["subject.msk"]
        return out

    return make


@pytest.fixture(params=["residual", "torque", "activation"])
def trained(request: pytest.FixtureRequest, train: Callable[[str], Path]) -> tuple[str, Path]:
    """A bundle of every head."""
    return request.param, train(request.param)


@pytest.fixture
def bundle(train: Callable[[str], Path]) -> Path:
    return train("residual")
