from __future__ import annotations

import pytest

from edge.errors import ConfigError
from edge.signals.features import View
from train.recipe import Recipe
from train.sensor_quality import USUAL


def test_the_defaults_are_what_a_device_needs() -> None:
    recipe = Recipe()
    assert (recipe.architecture, recipe.head, recipe.loss) == ("bigru", "residual", "normalised")
    assert recipe.causal
    inputs = recipe.inputs()
    assert (inputs.rate_hz, inputs.causal, inputs.method, inputs.age_s) == (100.0, True, "kalman", 0.05)
    assert inputs.sensors is None
    assert inputs.pelvis


def test_inputs_of_a_laboratory_have_no_age() -> None:
    assert Recipe(causal=False, age_s=0.1).inputs().age_s == 0.0
    assert Recipe(causal=True, age_s=0.1).inputs().age_s == 0.1


def test_noise_and_pelvis_reach_the_inputs_and_the_view() -> None:
    recipe = Recipe(signals="segments", pelvis=False, noise="usual", noise_seed=4)
    assert recipe.view == View("segments", pelvis=False)
    inputs = recipe.inputs()
    assert not inputs.pelvis
    assert (inputs.sensors, inputs.seed) == (USUAL, 4)


@pytest.mark.parametrize(("window", "look_ahead"), [(20, 20), (20, -1), (2, 5)])
def test_a_moment_outside_the_window_is_refused(window: int, look_ahead: int) -> None:
    with pytest.raises(ConfigError, match="must be smaller than the window"):
        Recipe(window=window, look_ahead=look_ahead)


def test_a_laboratory_has_no_noise_of_sensors() -> None:
    with pytest.raises(ConfigError, match="noise of sensors belongs to causal inputs"):
        Recipe(causal=False, noise="usual")
