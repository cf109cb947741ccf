from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demo_people import ZERO_PHASE, material_of

from edge.errors import ConfigError
from edge.manifest import Head
from train import learning
from train.learning import Learned, estimate, figures, learn, network_answer, truth
from train.recipe import Recipe
from train.splits import split_by_time
from train.trainer import fit
from train.trainer_settings import TrainerSettings

SMALL = {"hidden": 6, "layers": 1, "dense_1": 16, "dense_2": 16, "dropout": 0.0}
QUICK = TrainerSettings(steps=6, batch=16, report_every=2, validate_every=3, device="cpu")
TINY = replace(ZERO_PHASE, sizes=SMALL, trainer=QUICK)


def weights_of(learned: Learned) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in learned.network.state_dict().values()])


def test_a_network_is_learned_that_estimates() -> None:
    material = material_of("ab")
    recipe = replace(TINY, trainer=replace(QUICK, steps=60, learning_rate=0.02))
    train, judge = split_by_time(material, 0.3)
    learned = learn(material, recipe, train=train, judge=judge)
    assert learned.recipe is recipe
    assert learned.history.steps[-1] == 60
    assert learned.history.validation[-1] < 0.5 * learned.history.validation[0]
    held = material.take(judge)
    answers = estimate(learned, held)
    assert answers.torque_nm.shape == (len(held), 3)
    assert answers.activation.shape == answers.force_n.shape == (len(held), 9)
    np.testing.assert_array_equal(answers.time_s, held.windows.time_s)
    assert figures(truth(held, recipe.mode), answers, held)["pooled"]["activation_r2"] > 0.5


@pytest.mark.parametrize("head", ["residual", "contact", "torque", "dual", "activation"])
def test_every_head_is_learned_and_means_something(head: Head) -> None:
    material = material_of("a")
    outputs = {"activation": 9, "contact": 6}.get(head, 3)
    learned = learn(material, replace(TINY, head=head))
    assert learned.network.bounded == (head == "activation")
    assert learned.answer(material).shape == (len(material), outputs)
    answers = estimate(learned, material)
    for values in (answers.torque_nm, answers.activation, answers.force_n):
        assert np.isfinite(values).all()


def test_outputs_that_only_training_uses_are_left_out_of_the_estimate() -> None:
    material = material_of("a")
    learned = learn(material, replace(TINY, head="activation", loss="ma2025-knee"))
    assert learned.answer(material).shape == (len(material), 18)
    np.testing.assert_array_equal(estimate(learned, material).activation, learned.answer(material)[:, :9])


def test_the_same_seed_gives_the_same_network() -> None:
    material = material_of("a")
    torch.manual_seed(1)
    one = weights_of(learn(material, TINY))
    torch.manual_seed(2)  # whatever was drawn before
    assert torch.equal(one, weights_of(learn(material, TINY)))
    other = replace(TINY, trainer=replace(QUICK, seed=1))
    assert not torch.equal(one, weights_of(learn(material, other)))


def test_windows_that_are_held_out_change_nothing(tmp_path: Path) -> None:
    """Neither the network nor its normalisation has seen them."""
    material = material_of("ab")
    train = material.people == "a"
    feature = material.windows.feature.copy()
    feature[~train] = 1e3
    other = replace(material, windows=replace(material.windows, feature=feature))
    one, two = (learn(m, TINY, train=train) for m in (material, other))
    assert torch.equal(weights_of(one), weights_of(two))
    np.testing.assert_allclose(
        one.network.mean.numpy(), material.windows.feature[train].mean(axis=(0, 1)), rtol=1e-4, atol=1e-4
    )


def spy(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `fit` is asked for."""
    asked: list[dict[str, Any]] = []

    def listen(*arguments: Any, **options: Any) -> Any:
        asked.append(options)
        return fit(*arguments, **options)

    monkeypatch.setattr(learning, "fit", listen)
    return asked


def test_people_of_whom_there_is_little_are_seen_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = spy(monkeypatch)
    whole = material_of("ab")
    material = whole.take((whole.people == "a") | (np.arange(len(whole)) % 9 == 0))
    train = np.arange(len(material)) % 2 == 0
    for recipe in (TINY, replace(TINY, even_people=True)):
        learn(material, recipe)
        learn(material, recipe, train=train)
    plain, plain_half, even, even_half = (own["train"] for own in asked)
    assert plain is None
    np.testing.assert_array_equal(plain_half, np.flatnonzero(train))
    assert set(even_half.tolist()) <= set(np.flatnonzero(train).tolist())
    share = (material.people[even.numpy()] == "b").mean()
    few, many = np.sqrt([(material.people == name).sum() for name in "ba"])
    assert share == pytest.approx(few / (few + many), abs=0.02)


def test_what_is_judged_is_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = spy(monkeypatch)
    material = material_of("a")
    train, judge = split_by_time(material, 0.3)
    told: list[int] = []
    learned = learn(
        material,
        replace(TINY, balance="uncertainty"),
        train=train,
        judge=judge,
        progress=lambda step, _: told.append(step),
        checkpoint=tmp_path / "one.ckpt",
    )
    np.testing.assert_array_equal(asked[0]["judge"], np.flatnonzero(judge))
    assert asked[0]["balance"] == "uncertainty"
    assert learned.history.validated == [3, 6]
    assert told == [2, 4, 6]
    assert (tmp_path / "one.ckpt").exists()


def test_answers_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    material = material_of("a")
    network = learn(material, TINY).network
    network.train()
    whole = network_answer(network, material)
    monkeypatch.setattr(learning, "_AT_ONCE", 7)
    np.testing.assert_allclose(network_answer(network, material), whole, atol=1e-6)
    assert whole.dtype == np.float64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "perceptron"}, "there is no architecture 'perceptron'"),
        ({"loss": "ma2025-gait"}, "the head 'residual' has no loss 'ma2025-gait'"),
        ({"weights": {"effort": 1.0}}, "has no term 'effort'"),
        ({"sizes": {"width": 3}}, "has no size 'width'"),
        ({"balance": "luck"}, "luck"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(change: dict[str, Any], message: str) -> None:
    recipe: Recipe = replace(TINY, **change)
    with pytest.raises(ConfigError, match=message):
        learn(material_of("a"), recipe)
