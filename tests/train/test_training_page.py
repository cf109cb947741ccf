"""What docs/training.md says of networks, losses, heads and signals is what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from edge.cli import cli
from edge.manifest import Head
from edge.signals.features import Signals
from train.networks import ARCHITECTURES, STREAMING, create, multiply_adds
from train.recipe import PRESETS
from train.targets import LOSSES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]


def row_of(name: str, columns: int) -> list[str]:
    (row,) = [row for row in ROWS if row[0] == f"`{name}`" and len(row) == columns]
    return row


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_size_and_the_cost_of_every_network(architecture: str) -> None:
    _, _, parameters, millions, ratio = row_of(architecture, 5)
    features = 7 if architecture in STREAMING else 13
    network = create(architecture, features=features, outputs=4, window=20, joints=3)
    assert int(parameters.replace(" ", "")) == sum(p.numel() for p in network.parameters())
    assert float(millions.removesuffix(" M")) == pytest.approx(multiply_adds(network) / 1e6, abs=0.0051)
    assert float(ratio) > 0


def test_every_loss_with_its_terms_and_weights() -> None:
    told: dict[tuple[str, str], dict[str, float]] = {}
    heads: list[str] = []
    for row in (row for row in ROWS if len(row) == 3):
        loss = re.fullmatch(r"`([a-z0-9-]+)`", row[1])
        if loss is None:
            continue
        heads = re.findall(r"`([a-z]+)`", row[0]) or heads
        weights = {term: float(value) for term, value in re.findall(r"`([a-z]+)` (\d+)", row[2])}
        told.update({(head, loss[1]): weights for head in heads})
    assert told == {(head, loss): dict(terms) for head, losses in LOSSES.items() for loss, terms in losses.items()}


def test_every_head_and_all_signals() -> None:
    for head in get_args(Head):
        assert any(row[0] == f"`{head}`" and row[1].startswith(("torque =", "a =")) for row in ROWS)
    for signals in get_args(Signals):
        row_of(signals, 2)


@pytest.mark.parametrize("purpose", PRESETS)
def test_what_is_not_said_depends_on_the_purpose(purpose: str) -> None:
    _, network, head, signals, training, people = row_of(purpose, 6)
    preset = PRESETS[purpose]
    trainer = preset.trainer
    assert (network, head, signals) == (f"`{preset.architecture}`", f"`{preset.head}`", f"`{preset.signals}`")
    assert training.split(";")[0] == f"{trainer.steps}, {trainer.batch}, {trainer.learning_rate:g}"
    assert ("--even-people" in people) == preset.even_people


def test_every_option_that_is_named_is_one() -> None:
    known = {
        option
        for command in ("train", "evaluate", "run")
        for option in re.findall(r"--[a-z-]+", CliRunner().invoke(cli, [command, "--help"]).stdout)
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - known <= {"--logdir"}
