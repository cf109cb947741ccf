"""The device's pipeline and the training code say the same of the same recording, for every head and view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from demo_people import cut, people, walks
from tiny_bundle import tiny_bundle, with_tiny_member

from edge.bundle import Bundle
from edge.estimator import Estimate
from edge.inference.onnx_engine import OnnxEngine
from edge.manifest import Head
from edge.msk.hill import MuscleMode
from edge.signals.features import Signals
from edge.trial import Trial
from train.estimates import Answers, average, resolve
from train.evaluate import estimate_trial, recipe_of
from train.material import Material, same_moments
from train.recipe import Noise, Recipe

PATH = Path("subject.msk")
HEADS: tuple[Head, ...] = get_args(Head)
VIEWS = [(signals, pelvis) for signals in get_args(Signals) for pelvis in (True, False)]


def recipe_of_member(bundle: Bundle, number: int, noise: Noise = "none") -> Recipe:
    own = bundle.manifest.networks[number]
    return replace(recipe_of(bundle, noise), head=own.head, signals=own.signals, pelvis=own.pelvis, window=own.window)


def in_training(bundle: Bundle, trial: Trial, noise: Noise = "none") -> Answers:
    """What the training code makes of the members' answers."""
    recipes = [recipe_of_member(bundle, i, noise) for i in range(len(bundle.networks))]
    whole = Material.of([trial], recipes[0], history=True)
    materials = same_moments([whole.seen(recipe, history=True) for recipe in recipes])
    said = []
    for (own, network), recipe, material in zip(bundle.networks, recipes, materials, strict=True):
        engine = OnnxEngine(network, window=own.window, features=own.features, outputs=own.outputs, where="")
        answer = np.array([engine.infer(w) for w in material.windows.feature.astype(np.float32)])
        said.append(resolve(recipe.head, answer, material, recipe.mode))
    return average(said, materials[0], recipes[0].mode, heads=[recipe.head for recipe in recipes])


def require_the_same(bundle: Bundle, trial: Trial, noise: Noise = "none") -> list[Estimate]:
    times, estimates = estimate_trial(bundle, trial, noise)
    expected = in_training(bundle, trial, noise)
    np.testing.assert_allclose(times, expected.time_s, atol=1e-9)
    for name, tolerance in (("torque_nm", 1e-6), ("activation", 1e-8), ("force_n", 1e-4)):
        found = np.array([getattr(e, name) for e in estimates])
        np.testing.assert_allclose(found, getattr(expected, name), atol=tolerance, err_msg=name)
    return estimates


@pytest.mark.parametrize(("signals", "pelvis"), VIEWS)
@pytest.mark.parametrize("head", HEADS)
def test_every_head_and_view(head: Head, signals: Signals, pelvis: bool) -> None:
    (trial,) = people(seconds=0.6)
    # Activations must be between 0 and 1 for a part of them to be seen.
    bias = 0.3 if head == "activation" else 0.01
    bundle = tiny_bundle(PATH, head=head, signals=signals, pelvis=pelvis, bias=bias)
    estimates = require_the_same(bundle, trial)
    assert len(estimates) > 30
    assert np.ptp([e.torque_nm for e in estimates], axis=0).min() > 0.05


@pytest.mark.parametrize(
    "settings",
    [
        {"inputs": "zero-phase", "look_ahead": 2},
        {"method": "kalman", "age_s": 0.0, "look_ahead": 0},
        {"method": "fir", "age_s": 0.1},
        {"model_name": "leg32"},
        {"model_name": "leg32", "head": "residual", "inputs": "zero-phase"},
    ],
    ids=str,
)
def test_every_kind_of_inputs(settings: dict[str, Any]) -> None:
    (trial,) = people(seconds=0.6, model=settings.get("model_name", "leg9"))
    require_the_same(tiny_bundle(PATH, **{"head": "contact", "signals": "segments", "bias": 0.02, **settings}), trial)


def test_imperfect_sensors() -> None:
    """The same bytes, with the same samples lost, reach both."""
    (trial,) = people(seconds=0.6)
    bundle = tiny_bundle(PATH, bias=0.01)
    noisy = require_the_same(bundle, trial, "usual")
    clean = estimate_trial(bundle, trial)[1]
    assert np.abs(noisy[10].q - clean[10].q).max() > 1e-4


def test_a_device_that_has_been_running_has_seen_what_came_before() -> None:
    trial = replace(cut(walks()[0], 1.0, 2.5), start_s=2.0)
    bundle = tiny_bundle(PATH, bias=0.01)
    assert len(require_the_same(bundle, trial)) == 51 - 4  # 30 ms of age and 10 of look-ahead are not over at the end


@pytest.mark.parametrize(
    "members",
    [
        [("torque", "raw", 7)],
        [("contact", "segments", 4), ("torque", "derivatives", 9)],
        [("torque", "raw", 7), ("activation", "derivatives", 3), ("dual", "raw", 5)],
    ],
    ids=str,
)
def test_several_members(members: list[tuple[Head, Signals, int]]) -> None:
    (trial,) = people(seconds=0.6)
    bundle = tiny_bundle(PATH, bias=0.01)
    for head, signals, window in members:
        bundle = with_tiny_member(bundle, head=head, signals=signals, window=window)
    require_the_same(bundle, trial)


def test_activations_alone() -> None:
    (trial,) = people(seconds=0.6)
    bundle = with_tiny_member(tiny_bundle(PATH, head="activation", bias=0.3), head="dual", signals="raw")
    require_the_same(bundle, trial)
    compat = bundle.manifest.model_copy(update={"muscle_mode": MuscleMode.COMPAT})
    require_the_same(replace(bundle, manifest=compat), trial)
