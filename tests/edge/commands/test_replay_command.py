from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_bundle import write_swinging_leg, write_tiny_bundle

from edge.cli import cli
from edge.commands.replay import compare
from edge.errors import SensorError
from edge.estimator import Estimate
from edge.pipeline import Pipeline


@pytest.fixture
def session(tmp_path: Path) -> dict[str, Any]:
    write_tiny_bundle(tmp_path / "tiny.msk")
    write_swinging_leg(tmp_path / "swing.mot")
    arguments = ["run", "--bundle", f"{tmp_path}/tiny.msk", "--sensor", f"replay:{tmp_path}/swing.mot?speed=0"]
    result = CliRunner().invoke(cli, [*arguments, "--log", f"{tmp_path}/s.mcap", "--no-view", "--json", "--arm"])
    assert result.exit_code == 0, result.stderr
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary


def test_a_session_comes_again_bit_for_bit_with_its_figures(session: dict[str, Any]) -> None:
    result = CliRunner().invoke(cli, ["replay", session["log"], "--json"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {**session, "identical": True}


def test_for_people_there_is_a_table(session: dict[str, Any]) -> None:
    result = CliRunner().invoke(cli, ["replay", session["log"]])
    assert result.exit_code == 0
    assert "identical" in result.stdout
    assert "yes" in result.stdout


def test_the_first_difference_is_named_and_exit_code_is_1(
    session: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Pipeline.feed

    def off_by_one_bit(self: Pipeline, chunk: bytes, received_ns: int, source: int = 0) -> list[Estimate]:
        return [
            dataclasses.replace(estimate, force_n=np.nextafter(estimate.force_n, np.inf))
            if estimate.index >= 7
            else estimate
            for estimate in feed(self, chunk, received_ns, source)
        ]

    monkeypatch.setattr(Pipeline, "feed", off_by_one_bit)
    result = CliRunner().invoke(cli, ["replay", session["log"], "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["identical"] is False
    assert result.stderr.startswith(f"error: {session['log']}: estimate 7 (sensor time ")
    assert "force_n[0] was " in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_log_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["replay", str(tmp_path / "none.mcap")])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "none.mcap" in result.stderr


def estimate(index: int, *, activation: float = 0.5) -> Estimate:
    vector = np.array([1.0, -0.0])
    return Estimate(index, index * 0.01, vector, vector, vector, vector, np.full(2, activation), vector, vector, True)


@dataclass
class FakeLog:
    recorded: list[Estimate]
    clean: bool = True
    lost: dict[str, int] = field(default_factory=dict)
    codes: tuple[str, ...] = ()

    def estimates(self) -> Iterator[Estimate]:
        return iter(self.recorded)

    def sensor_bytes(self) -> Iterator[SimpleNamespace]:
        return (SimpleNamespace(data=b"x", received_ns=index, source=0) for index in range(5))

    def losses(self) -> Iterator[SimpleNamespace]:
        return iter([SimpleNamespace(counts=self.lost)] if self.lost else [])

    def faults(self) -> Iterator[SimpleNamespace]:
        return (SimpleNamespace(code=code) for code in self.codes)


class FivePipeline:
    """One estimate per chunk; from `fails_at` on none but an error."""

    def __init__(self, *, fails_at: int = 99) -> None:
        self.fails_at = fails_at

    def feed(self, chunk: bytes, received_ns: int, source: int = 0) -> list[Estimate]:
        if received_ns >= self.fails_at:
            raise SensorError("7 angles")
        return [estimate(received_ns)]


FIVE = [estimate(index) for index in range(5)]


@pytest.mark.parametrize(
    ("log", "difference", "unrecorded"),
    [
        (FakeLog(FIVE), "", 0),
        (FakeLog(FIVE[:3]), "estimate 3 is not in the log, which lost none", 1),
        (FakeLog(FIVE[:3], clean=False), "", 2),
        (FakeLog(FIVE[:3], codes=("output",)), "", 2),
        (FakeLog([*FIVE[:2], *FIVE[3:]]), "estimate 2 is not in the log, which lost none", 1),
        (FakeLog([*FIVE[:2], *FIVE[3:]], lost={"/estimates": 1}), "", 1),
        (FakeLog([*FIVE, estimate(5)]), "estimate 5 is in the log and did not come again", 0),
        (
            FakeLog([*FIVE, estimate(5)], lost={"/sensor/bytes": 2}),
            "estimate 5 is in the log and did not come again (the log lost 2 messages of /sensor/bytes)",
            0,
        ),
        (
            FakeLog([*FIVE[:4], estimate(4, activation=0.25)]),
            "estimate 4 (sensor time 0.040000 s): activation[0] was 0.25 and is 0.5",
            0,
        ),
        (
            FakeLog([*FIVE[:4], dataclasses.replace(FIVE[4], q=np.array([1.0, 0.0]))]),
            "estimate 4 (sensor time 0.040000 s): q[1] was 0.0 and is -0.0",
            0,
        ),
        (
            FakeLog([*FIVE[:4], dataclasses.replace(FIVE[4], valid=False)]),
            "estimate 4 (sensor time 0.040000 s): valid was False and is True",
            0,
        ),
        (
            FakeLog([*FIVE[:4], dataclasses.replace(FIVE[4], novelty=0.5)]),
            "estimate 4 (sensor time 0.040000 s): novelty was 0.5 and is nan",
            0,
        ),
        (
            FakeLog([*FIVE[:4], dataclasses.replace(FIVE[4], q=np.zeros(3))]),
            "estimate 4 (sensor time 0.040000 s): q[0] was 0.0 and is 1.0",
            0,
        ),
        (
            FakeLog([*FIVE[:4], dataclasses.replace(FIVE[4], q=np.array([1.0, -0.0, 2.0]))]),
            "estimate 4: q has 3 numbers in the log and 2 again",
            0,
        ),
    ],
)
def test_compare(log: FakeLog, difference: str, unrecorded: int) -> None:
    outcome = compare(log, FivePipeline())  # type: ignore[arg-type]
    assert (outcome.difference, outcome.unrecorded, outcome.estimates) == (difference, unrecorded, 5)


def test_the_error_that_ended_the_session_ends_the_replay() -> None:
    log = FakeLog(FIVE[:3], codes=("sensor",))
    assert compare(log, FivePipeline(fails_at=3)).difference == ""  # type: ignore[arg-type]
    with pytest.raises(SensorError):
        compare(FakeLog(FIVE[:3]), FivePipeline(fails_at=3))  # type: ignore[arg-type]
