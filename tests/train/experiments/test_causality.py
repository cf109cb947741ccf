"""Delays, look-aheads, and inputs that training did not have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo_material import demo_material

from edge.signals.differentiate import METHODS
from train.experiments import causality
from train.experiments.causality import (
    AGES_MS,
    DELAY,
    LOOK_AHEAD,
    LOOK_AHEADS,
    SKEW,
    cells,
    skewed,
    skewed_baselines,
    with_network,
)
from train.experiments.held_out import ZERO_PHASE, Inputs, live
from train.experiments.report import Settings
from train.material import Material

SETTINGS = Settings(Path("data"), Path("out"), seeds=2)
CHANGES = {"head": "residual", "architecture": "tcn"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Inputs]:
    """Inputs for which everybody was asked; all get the same ones."""
    found: list[Inputs] = []

    def made(data: Path, model: str, people: tuple[str, ...] | None, inputs: Inputs) -> Material:
        found.append(inputs)
        return demo_material(mass_kg=(50.0, 75.0, 90.0))

    monkeypatch.setattr(causality, "everybody", made)
    return found


def test_the_age_is_that_of_differentiator_and_look_ahead_together(asked: list[Inputs]) -> None:
    keys = {"model": "leg9", "people": None, "changes": CHANGES, "seed": 0, "steps": 1}
    (row,) = with_network(Path(), inputs=live(50.0), look_ahead=5, **keys)
    assert (row.task, row.inputs, row.age_ms) == (LOOK_AHEAD, "live", 100.0)
    (row,) = with_network(Path(), inputs=live(20.0, "kalman"), look_ahead=None, **keys)
    assert (row.task, row.method, row.age_ms) == (DELAY, "kalman: residual head, tcn", 20.0)
    (row,) = with_network(Path(), inputs=ZERO_PHASE, look_ahead=None, **keys)
    assert (row.method, row.inputs, row.age_ms) == ("residual head, tcn", "zero-phase", None)


def test_the_laboratory_s_network_gets_the_device_s_inputs(asked: list[Inputs]) -> None:
    fed = [live(0.0, "kalman"), live(50.0, "savgol")]
    rows = skewed(Path(), model="leg9", people=None, fed=fed, changes=CHANGES, seed=0, steps=1)
    assert asked == [ZERO_PHASE, *fed]
    assert [(r.task, r.method, r.age_ms) for r in rows] == [
        (SKEW, "kalman: residual head, tcn", 0.0),
        (SKEW, "savgol: residual head, tcn", 50.0),
    ]
    # The same inputs (all are, here), the same network: the same figures.
    assert rows[0].activation_r2 == rows[1].activation_r2
    assert np.isfinite(rows[0].activation_r2 or np.nan)
    near, _ = skewed_baselines(Path(), model="leg9", people=None, fed=fed[1:])
    assert (near.task, near.method, near.age_ms) == (SKEW, "savgol: nearest neighbours + SO", 50.0)


def test_every_cell_is_there_once() -> None:
    made = cells(SETTINGS, "leg9", CHANGES, None)
    assert len({cell.key for cell in made}) == len(made)
    delays = len(METHODS) * len(AGES_MS) + 1
    assert len(made) == (delays + 1 + 2 * len(LOOK_AHEADS)) * 3
    quick = cells(replace(SETTINGS, quick=True), "leg9", CHANGES, None)
    assert not {cell.key for cell in quick} & {cell.key for cell in made}
    assert len(quick) == 6


def test_a_quick_run_makes_a_report_with_plots(asked: list[Inputs], tmp_path: Path) -> None:
    report = causality.run(replace(SETTINGS, out=tmp_path, quick=True, options={"architecture": "tcn"}))
    assert {row.task for row in report.rows} == {DELAY, SKEW}
    assert [plot.name for plot in report.plots] == ["causality_delay.png", "causality_skew.png"]
