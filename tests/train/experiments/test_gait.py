"""The second paper's methods as recipes, what is left out, and the features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from train.experiments import gait
from train.experiments.gait import (
    ABLATED,
    ABLATION,
    BACKBONES,
    EVERYWHERE,
    PAPERS_OWN,
    SEEN_ALIKE,
    TASKS,
    TERMS,
    _plots,
    cells,
    features,
    held_out,
    left_out,
    published,
    with_network,
)
from train.experiments.held_out import ZERO_PHASE
from train.experiments.report import Row, Settings
from train.splits import shared_frames
from train.targets import loss_weights

SETTINGS = Settings(Path("data"), Path("out"), seeds=2)


def test_every_method_is_a_recipe_with_the_weights_that_its_name_says() -> None:
    methods = {**EVERYWHERE, **ABLATION}
    recipes = {name: ZERO_PHASE.recipe(**changes) for name, changes in methods.items()}
    weights = {name: loss_weights(recipe) for name, recipe in recipes.items()}
    paper = {"motion": 3.0, "effort": 1000.0, "bounds": 500.0}
    assert weights[PAPERS_OWN] == paper
    for term, name in TERMS.items():
        assert weights[f"paper, without {name}"] == {**paper, term: 0.0}
    assert [recipes[f"paper, {b}"].architecture for b in BACKBONES] == list(BACKBONES)
    assert recipes["paper, gradient weights"].balance == "gradient"
    assert recipes["supervised, mjca-bigru"].architecture == recipes[PAPERS_OWN].architecture == "mjca-bigru"


def test_every_cell_is_there_once() -> None:
    made = cells(SETTINGS, list(TASKS), "leg9", None)
    assert len({cell.key for cell in made}) == len(made)
    assert len(made) == 4 * 3 * (1 + 2 * len(EVERYWHERE)) + len(ABLATED) * 2 * (len(ABLATION) + 1)
    quick = cells(replace(SETTINGS, quick=True), ["gait10"], "leg9", None)
    assert len(quick) == 5
    assert not {cell.key for cell in quick if "steps" in cell.arguments} & {cell.key for cell in made}


def test_a_speed_of_everybody_is_left_out_and_the_other_trains() -> None:
    names = [f"walk_12/{p}/{s}_01 {side}" for p in ("a", "b", "c") for s in ("C4", "C5") for side in "rl"]
    names.append("treadmill_speeds/walk36 r")
    first, second = (left_out(names, fold) for fold in (0, 1))
    assert first == [n for n in names if n.startswith(("walk_12/a/C4", "walk_12/b/C5", "walk_12/c/C4"))]
    assert sorted(first + second) == sorted(names[:-1])


def test_the_paper_s_figures_stand_beside_ours() -> None:
    rows = published(["gait10", "speed"])
    assert [(r.task, r.activation_r2, r.force_r2) for r in rows] == [
        (TASKS["gait10"].title, 0.84, 0.82),
        (TASKS["speed"].title, 0.80, None),
    ]


def test_the_first_second_trains_and_the_last_ones_test(data: Path) -> None:
    (held,) = held_out(data, "gait10", "leg9", ZERO_PHASE)
    recipe = ZERO_PHASE.recipe()
    shared = shared_frames(held.whole, held.train, held.test, window=recipe.window, look_ahead=recipe.look_ahead)
    assert shared == 0
    assert held.training.windows.time_s.max() < 1.0 < held.tested.windows.time_s.min()
    assert held.test.sum() > 2 * 115
    (row,) = with_network(
        data,
        task="gait10",
        model="leg9",
        inputs=ZERO_PHASE,
        method="m",
        changes={"architecture": "tcn"},
        seed=0,
        steps=1,
    )
    assert row.windows == held.test.sum()
    assert row.more["jerk"] > 0.0  # type: ignore[operator]


def test_features_are_compared_with_the_supervised_ones(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: {**SEEN_ALIKE[name], "architecture": "tcn"} for name in ("supervised", "supervised, another seed")}
    monkeypatch.setattr(gait, "SEEN_ALIKE", few)
    monkeypatch.setattr(gait, "lay_out", lambda features, seed: features[:, :2])
    picture = tmp_path / "features.png"
    own, other = features(data, task="gait10", model="leg9", seed=0, steps=1, picture=str(picture))
    assert picture.stat().st_size > 5000
    assert own.more["similarity"] == own.more["similarity_2d"] == pytest.approx(1.0)
    assert 0.1 < float(other.more["similarity"] or 0.0) < 0.999
    assert set(own.more) == set(other.more) == {"similarity", "similarity_2d", "separation", "separation_2d", "step"}


def test_plots_of_what_there_is(tmp_path: Path) -> None:
    rows = [Row(TASKS["gait10"].title, method, "zero-phase", activation_r2=0.9) for method in (*EVERYWHERE, *ABLATION)]
    made = _plots([*published(["gait10"]), *rows], tmp_path)
    assert [path.name for path in made] == ["gait_methods.png", "gait_ablation.png"]
    assert [path.name for path in _plots(rows[:1], tmp_path)] == ["gait_methods.png"]
