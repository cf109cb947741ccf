"""A short synthesised walk with its ground reaction, for tests that must not depend on the recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from edge.cli import cli
from edge.msk.model import Model, load_model
from edge.storage import read_table, write_sto
from edge.trial import Trial
from edge.trials import load_trials
from tools.synthesise import synthesise

CHEAP = ("--network", "cnn", "--window", "8", "--size", "channels_1=8", "--size", "channels_2=8")
"""Options of a training where it does not matter what the network is."""


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of an `edge-msk` command."""
    result = CliRunner().invoke(cli, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def write_walk(folder: Path, seconds: float = 5.0) -> Path:
    """Make the walk; return its trials file."""
    result = CliRunner().invoke(
        synthesise, ["--out-dir", str(folder), "--seconds", str(seconds)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return folder / "trials.toml"


def load_walk(folder: Path, seconds: float = 5.0) -> tuple[Model, list[Trial]]:
    model = load_model("leg9")
    return model, load_trials(write_walk(folder, seconds), model)


def write_moved_walk(
    folder: Path, *, seconds: float = 5.0, offset_s: float = 0.0, without_s: tuple[float, float] | None = None
) -> Path:
    """The walk on a clock that starts at `offset_s`, without the kinematics of an interval; return its trials file."""
    trials = write_walk(folder, seconds)
    for name in ("walk.mot", "walk_grf.mot"):
        table = read_table(folder / name)
        keep = np.ones(len(table.time_s), dtype=bool)
        if without_s is not None and name == "walk.mot":
            keep = (table.time_s < without_s[0]) | (table.time_s > without_s[1])
        write_sto(folder / name, name, table.columns, table.time_s[keep] + offset_s, table.data[keep])
        if table.in_degrees:
            text = (folder / name).read_text()
            (folder / name).write_text(text.replace("inDegrees=no", "inDegrees=yes"))
    lines = []
    for line in trials.read_text().splitlines():
        key, _, value = line.partition(" = ")
        lines.append(f"{key} = {float(value) + offset_s}" if key in ("start_s", "end_s") else line)
    trials.write_text("\n".join(lines))
    return trials
