from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from tiny_bundle import tiny_network
from walking import CHEAP, run, write_walk

from edge.manifest import Head

STEPS = "25"


@pytest.fixture(scope="session")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trials file of a second and a half of a short walk, both legs."""
    path = write_walk(tmp_path_factory.mktemp("walk"))
    text = path.read_text()
    assert text.count("end_s = 4.5") == 2
    path.write_text(text.replace("end_s = 4.5", "end_s = 2.0"))
    return path


@pytest.fixture(scope="session")
def train(trials: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a hardly trained bundle of a head, once in a session; that of the head `residual` with the reference network."""

    @cache
    def make(head: str) -> Path:
        out = tmp_path_factory.mktemp("bundle") / "subject.msk"
        code, stdout, stderr = run(
            *("train", "--trials", str(trials), "--head", head, "--steps", STEPS, "--out", str(out), "--json"),
            *(() if head == "residual" else CHEAP),
        )
        assert code == 0, stderr
        summary = json.loads(stdout)
        assert summary["bundle"] == str(out)
        assert summary["seconds"] > 0
        assert {"activation_r2", "force_r2"} <= set(summary["validation"])
        assert [p.name for p in out.parent.iterdir()] == ["subject.msk"]
        return out

    return make


@pytest.fixture(params=get_args(Head))
def trained(request: pytest.FixtureRequest, train: Callable[[str], Path]) -> tuple[str, Path]:
    """A bundle of every head."""
    return request.param, train(request.param)


@pytest.fixture
def bundle(train: Callable[[str], Path]) -> Path:
    return train("residual")


@pytest.fixture
def quick_export(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The exporter takes a second a network: here a bundle gets another network. What would be exported: its weights."""
    from train import subject

    networks: list[bytes] = []

    def to_onnx(network: Any, *, window: int, features: int, outputs: int) -> bytes:
        networks.append(b"".join(value.numpy().tobytes() for value in network.state_dict().values()))
        return tiny_network(features, outputs, window=window)

    monkeypatch.setattr(subject, "to_onnx", to_onnx)
    monkeypatch.setattr(subject, "check_parity", lambda *_: 1e-6)
    return networks
