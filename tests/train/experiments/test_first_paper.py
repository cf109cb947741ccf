"""The methods of the first paper as recipes and cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from train.experiments.first_paper import (
    BACKBONES,
    EVERYWHERE,
    TERMS,
    WEIGHTS,
    ZERO_PHASE,
    cells,
    of_weight,
    plots,
    recipe,
)
from train.experiments.report import Row, Settings
from train.targets import loss_weights

SETTINGS = Settings(Path("data"), Path("out"), seeds=2)


def nothing(data: Path) -> Sequence[Row]:
    return []


def something(data: Path) -> Sequence[Row]:
    return []


def test_every_method_is_a_recipe_with_the_weights_that_its_name_says() -> None:
    methods = {**EVERYWHERE, **ZERO_PHASE}
    weights = {name: loss_weights(recipe(False, 0.0, **changes)) for name, changes in methods.items()}
    paper = {"motion": 1.0, "force": 1.0, "effort": 100.0, "bounds": 100.0}
    assert weights["paper, bigru"] == paper
    for term, name in TERMS.items():
        assert weights[f"paper, without {name}"] == {**paper, term: 0.0}
    for weight in WEIGHTS:
        assert weights[of_weight(weight)] == {**paper, "effort": weight, "bounds": weight}
    assert [recipe(False, 0.0, **methods[f"paper, {b}"]).architecture for b in BACKBONES] == list(BACKBONES)


def test_every_method_is_a_cell_for_each_seed_and_variant_once() -> None:
    made = cells(SETTINGS, nothing, something, [{"model": "a"}, {"model": "b"}])
    assert len({cell.key for cell in made}) == len(made)
    networks = [cell for cell in made if cell.function is something]
    assert len(made) - len(networks) == 2 * 3
    assert len(networks) == 2 * 2 * (3 * len(EVERYWHERE) + len(ZERO_PHASE))
    assert made[0].label == "a, zero-phase, baselines"
    assert networks[-1].arguments["seed"] == 1
    # What quick runs have done is no part of the real one.
    quick = cells(replace(SETTINGS, quick=True), nothing, something, [{"model": "a", "people": 2}])
    assert len(quick) == 6
    assert not {cell.key for cell in quick} & {cell.key for cell in made}


def test_plots_of_what_there_is(tmp_path: Path) -> None:
    rows = [Row("t", of_weight(w), "zero-phase", seed=0, activation_r2=0.5 + 0.01 * w) for w in WEIGHTS[:3]]
    rows.append(Row("t", "ours, torque head", "zero-phase", seed=0, activation_r2=0.9))
    made = plots("x", rows, {"t": "test"}, tmp_path)
    assert [p.name for p in made] == ["x_methods.png", "x_weights.png"]
    assert all(p.stat().st_size > 1000 for p in made)
    assert [p.name for p in plots("x", rows[-1:], {"t": "test"}, tmp_path)] == ["x_methods.png"]
