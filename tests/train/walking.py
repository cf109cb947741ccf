"""A short synthesised walk with its ground reaction, for tests that must not depend on the recordings."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from edge.msk.model import Model, load_model
from edge.trials import Trial, load_trials
from tools.synthesise import synthesise


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
