from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo_material import demo_material
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError
from train.experiments import EXPERIMENTS
from train.recipe import Recipe
from train.sweep import training
from train.sweep.plans import Scope, of_trials
from train.sweep.spaces import Int, usual
from train.sweep.training import SOURCES, SUBJECT, at_same_age, space


@given(age_frames=st.integers(0, 30), ahead=st.integers(0, 9))
def test_looking_ahead_does_not_make_an_estimate_older(age_frames: int, ahead: int) -> None:
    recipe = Recipe(age_s=age_frames / 100.0, look_ahead=ahead)
    if ahead > age_frames:
        with pytest.raises(ConfigError, match="look less far"):
            at_same_age(recipe)
    else:
        same = at_same_age(recipe)
        assert same.age_s + ahead / same.rate_hz == pytest.approx(recipe.age_s)
        assert same.age_s >= 0.0
    ranges = space(recipe).get("look_ahead", Int(0, 0))
    assert isinstance(ranges, Int)
    assert ranges.high <= age_frames
    assert at_same_age(replace(recipe, causal=False)).age_s == recipe.age_s


def test_the_weights_of_a_loss_are_swept_where_it_has_several_terms() -> None:
    weights = {path for path in space(SOURCES["knee"].recipe) if path.startswith("weights.")}
    assert weights == {"weights.force", "weights.effort", "weights.bounds"}
    assert not any(path.startswith("weights.") for path in space(Recipe()))
    assert "head" not in space(Recipe(head="activation"))


def test_the_first_trial_is_the_usual_recipe(trials: Path) -> None:
    plan = of_trials(trials, "leg9", Scope(1, 0, fixed={"trainer.steps": "800"}))
    counts = {path for path, over in plan.space.items() if all("bigru" in few for few in (over.when or {}).values())}
    assert counts <= set(plan.first)
    assert plan.first["sizes.hidden"] == 64
    assert plan.first["trainer.learning_rate"] == Recipe().trainer.learning_rate
    assert usual(plan.space, plan.recipe, {}).items() <= plan.first.items()


def test_people_who_validate_are_not_trained_on() -> None:
    material = demo_material(mass_kg=(60.0, 70.0, 80.0))
    train, judge = SOURCES["people"].split(material)
    assert set(material.people[train]).isdisjoint(material.people[judge])
    assert np.all(train | judge)
    assert train.any()
    assert judge.any()


def test_what_an_experiment_tests_is_not_loaded(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(SOURCES) - {SUBJECT} <= set(EXPERIMENTS)
    for trial in SOURCES["knee"].trials(data, "knee5"):
        assert trial.end_s == training.repetitions(trial)[-1][0] < trial.time_s[-1]
    whole = [
        replace(demo_material().stretches[0].trial, subject=subject, start_s=1.0, end_s=61.0)
        for subject in ("other", "treadmill_60s")
    ]
    monkeypatch.setattr(training.recordings, "walkers", lambda data, model: whole)
    (kept,) = SOURCES["gait"].trials(data, "leg9")
    assert (kept.subject, kept.start_s, kept.end_s) == ("treadmill_60s", 1.0, 31.0)
