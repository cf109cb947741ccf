"""What trains, what is tested, and the rows of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo_material import demo_material

from edge.errors import ConfigError, TrialError
from train.experiments.held_out import (
    ZERO_PHASE,
    HeldOut,
    before_and_after,
    choice_of,
    chosen,
    live,
    part,
    rows,
    thinned,
    train_network,
    whole_number,
)
from train.experiments.recordings import walkers
from train.experiments.report import POOLED, Settings
from train.learning import truth
from train.material import Material
from train.recipe import Recipe
from train.splits import shared_frames

RECIPE = Recipe(causal=False)


@pytest.mark.parametrize("look_ahead", [0, 10])
def test_no_frame_is_on_both_sides(look_ahead: int) -> None:
    recipe = replace(RECIPE, look_ahead=look_ahead)
    material = demo_material().seen(recipe)
    train, test = before_and_after(material, recipe, 0.6)
    assert shared_frames(material, train, test, window=recipe.window, look_ahead=look_ahead) == 0
    assert train.sum() == 61 - 19  # frames from 1 to 1.6 s, in windows of 20
    assert test.sum() == 60 - 19
    _, last = before_and_after(material, recipe, 0.2, 0.4)
    assert last.sum() == 40 - 19
    assert (last <= test).all()


def test_long_recordings_are_thinned_evenly_to_what_a_person_may_have() -> None:
    material = demo_material(mass_kg=(60.0, 90.0))
    assert thinned(material, 1000).all()
    kept = thinned(material, 30)
    for person in ("60 kg", "90 kg"):
        own = np.flatnonzero(kept[material.people == person])
        assert len(own) == 30
        assert set(np.diff(own)) <= {3, 4}
        assert own[0] == 0


def test_a_side_without_windows_is_refused() -> None:
    material = demo_material()
    nothing = np.zeros(len(material), dtype=bool)
    with pytest.raises(TrialError, match="0 train and 102 test: the recordings"):
        HeldOut.of(material, nothing, ~nothing, RECIPE)


def test_another_view_is_of_the_same_moments() -> None:
    material = demo_material()
    held = HeldOut.of(material, *before_and_after(material, RECIPE, 0.6), RECIPE)
    assert held.seen(RECIPE) is held
    other = held.seen(replace(RECIPE, signals="raw"))
    assert other.tested.windows.feature.shape[2] < held.tested.windows.feature.shape[2]
    np.testing.assert_array_equal(other.tested.windows.time_s, held.tested.windows.time_s)
    trained = train_network(held, ZERO_PHASE.recipe(steps=1, head="torque", signals="raw", look_ahead=0))
    assert len(trained.answers.time_s) == held.test.sum()


def test_rows_are_of_each_person_and_all_with_the_worst() -> None:
    material = demo_material(mass_kg=(60.0, 90.0))
    true = truth(material, RECIPE.mode)
    wrong = np.where((material.people == "90 kg")[:, None], 0.1, 0.0)
    guess = replace(true, activation=true.activation + wrong)
    light, heavy, together = rows(true, guess, material, RECIPE, people=True, task="t", method="m", more={"jerk": 1.0})
    assert (light.person, heavy.person, together.person) == ("60 kg", "90 kg", POOLED)
    assert light.activation_r2 == 1.0
    assert together.more == {"worst_person": heavy.activation_r2, "jerk": 1.0}
    assert heavy.activation_r2 < together.activation_r2 < 1.0  # type: ignore[operator]
    assert len(part(true, material.people == "60 kg").force_n) == light.windows


def test_inputs_say_how_they_come_about() -> None:
    assert ZERO_PHASE.recipe().look_ahead == 10
    recipe = live(20.0, "kalman").recipe(seed=3, steps=7, head="torque")
    assert (recipe.causal, recipe.noise, recipe.age_s, recipe.look_ahead) == (True, "usual", 0.02, 0)
    assert (recipe.trainer.seed, recipe.trainer.steps, recipe.head) == (3, 7, "torque")
    assert ZERO_PHASE.recipe(look_ahead=0).look_ahead == 0


def test_options_that_are_not_known_are_refused() -> None:
    settings = Settings(Path(), Path(), options={"steps": "9"})
    options = chosen(settings, {"steps": "", "tasks": ""})
    assert options == {"steps": "9", "tasks": ""}
    assert whole_number(options, "steps") == 9
    assert whole_number(options, "tasks") is None
    assert choice_of(options, "tasks", ["a", "b"]) == ("a", "b")
    assert choice_of({"tasks": "b"}, "tasks", ["a", "b"]) == ("b",)
    with pytest.raises(ConfigError, match="no such option: it has tasks"):
        chosen(settings, {"tasks": ""})
    with pytest.raises(ConfigError, match="steps=-1: must be a positive"):
        whole_number({"steps": "-1"}, "steps")
    with pytest.raises(ConfigError, match="there is no 'c': choose from a, b"):
        choice_of({"tasks": "a,c"}, "tasks", ["a", "b"])


def test_windows_are_in_the_same_order_whatever_the_view(data: Path) -> None:
    """The masks of one view hold for every other."""
    material = Material.of(walkers(data, subjects=("gait10",)), ZERO_PHASE.recipe())
    other = material.seen(ZERO_PHASE.recipe(head="contact", signals="segments"))
    np.testing.assert_array_equal(material.windows.frame, other.windows.frame)
    np.testing.assert_array_equal(material.windows.stretch, other.windows.stretch)
