"""Training as an objective: how well a network does on validation data, of a subject's recordings or of an experiment's.

Of an experiment only what it trains on is loaded, and a part of that validates: what it tests is never seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import ConfigError
from edge.msk.hill import MuscleMode
from edge.msk.model import load_model
from edge.trial import Trial
from edge.trials import load_trials
from train.experiments import recordings
from train.experiments.knee import repetitions
from train.learning import estimate, figures, learn, truth
from train.material import Material
from train.recipe import Recipe
from train.splits import split_by_time
from train.sweep.spaces import Choice, Float, Int, ParameterRange, Space
from train.sweep.work import Report
from train.targets import LOSSES

BoolArray = npt.NDArray[np.bool_]
Split = Callable[[Material], tuple[BoolArray, BoolArray]]
"""Material -> masks of the windows that train and that validate."""

SUBJECT = "subject"
_TREADMILL_TRAINS_S = 30.0  # of `treadmill_60s`; its last 20 s are the test's
_ONE_PERSON_OF = 5
_OF_STRETCHES = ("causal", "rate_hz", "method", "age_s", "noise", "noise_seed", "pelvis", "mode")
_COMPARABLE = ("residual", "torque", "dual")


@dataclass(frozen=True)
class Source:
    """Recordings to train and validate on, and the recipe to start from."""

    trials: Callable[[Path, str], list[Any]]  # (place, model) -> trials
    split: Split
    model: str = "leg9"
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Settings:
    """What is trained on: a key of SOURCES, where it is, and the muscles."""

    source: str
    place: Path
    model: str


def _trials_file(place: Path, model: str) -> list[Trial]:
    return load_trials(place, load_model(model))


def _treadmill(data: Path, model: str) -> list[Trial]:
    own = [t for t in recordings.walkers(data, model=model) if t.subject == "treadmill_60s"]
    return [replace(t, end_s=min(t.end_s, t.start_s + _TREADMILL_TRAINS_S)) for t in own]


def _knees(data: Path, model: str) -> list[Trial]:
    own = recordings.knee_bending(data, model=model)
    return [replace(t, end_s=repetitions(t)[-1][0]) for t in own]


def _some_people(material: Material) -> tuple[BoolArray, BoolArray]:
    people = material.people
    judge = np.isin(people, np.unique(people)[::_ONE_PERSON_OF])
    return ~judge, judge


SOURCES: Mapping[str, Source] = {
    SUBJECT: Source(_trials_file, partial(split_by_time, fraction=0.2)),
    "gait": Source(_treadmill, partial(split_by_time, fraction=0.2)),
    "people": Source(lambda data, model: list(recordings.walkers(data, model=model)), _some_people),
    "knee": Source(
        _knees,
        partial(split_by_time, fraction=0.3),  # bends, and not only rests
        model="knee5",
        recipe=Recipe(head="activation", loss="ma2025-knee", causal=False, mode=MuscleMode.COMPAT),
    ),
}
"""By experiment. Validated on: the end of what trains, which is of `gait` the first 30 s of `treadmill_60s`, of `knee` all
repetitions but the last; of `people` on every fifth person."""


def space(recipe: Recipe) -> Space:
    """What is swept. The look-ahead has as many frames as the recipe's age allows, see :func:`objective`."""
    most_ahead = min(round(recipe.age_s * recipe.rate_hz), 9) if recipe.causal else 9
    ranges: dict[str, ParameterRange] = {"architecture": Choice(("bigru", "gru-stream", "tcn-stream", "lstm"))}
    if recipe.head in ("residual", "torque"):
        ranges["head"] = Choice(("residual", "torque"))
    ranges |= {
        "window": Int(10, 40, step=2),
        **({"look_ahead": Int(0, most_ahead)} if most_ahead else {}),
        "trainer.learning_rate": Float(3e-4, 1e-2, log=True),
        "trainer.steps": Int(200, 1600, step=200),
        "trainer.batch": Choice((32, 64, 128)),
        "trainer.weight_decay": Float(1e-6, 1e-2, log=True),
        "trainer.input_noise": Float(0.0, 0.2),
        "sizes.hidden": Int(32, 128, step=16, when={"architecture": ("bigru", "gru-stream", "lstm")}),
        "sizes.channels_2": Int(32, 128, step=16, when={"architecture": ("tcn-stream",)}),
        "sizes.dropout": Float(0.0, 0.5),
    }
    # The first term sets the scale that the others are relative to.
    for term in list(LOSSES[recipe.head].get(recipe.loss, {}))[1:]:
        ranges[f"weights.{term}"] = Float(1e-2, 1e3, log=True)
    return ranges


def objective(settings: Settings, recipe: Recipe, seed: int, report: Report) -> float:
    """Pooled activation R2 on the validation windows, against static optimisation of the recordings' own torques.

    The age of an estimate stays the recipe's: what the network looks ahead, the differentiator waits less.
    """
    recipe = at_same_age(replace(recipe, trainer=replace(recipe.trainer, seed=seed)))
    material = _material(settings, *(getattr(recipe, name) for name in _OF_STRETCHES)).seen(recipe)
    train, judge = SOURCES[settings.source].split(material)
    learned = learn(material, recipe, train=train, judge=judge, progress=partial(_watch, recipe, report))
    unseen = material.take(judge)
    found = figures(truth(unseen, recipe.mode), estimate(learned, unseen), unseen)
    return float(found["pooled"]["activation_r2"])


def at_same_age(recipe: Recipe) -> Recipe:
    """The recipe with the look-ahead taken out of the differentiator's part of the age. Raises ConfigError."""
    if not recipe.causal:
        return recipe
    rest = recipe.age_s - recipe.look_ahead / recipe.rate_hz
    if rest < -1e-9:
        raise ConfigError(
            f"looking {recipe.look_ahead} frames ahead takes longer than the age of {recipe.age_s * 1e3:g} ms: look less far"
        )
    return replace(recipe, age_s=max(round(rest, 9), 0.0))


def _watch(recipe: Recipe, report: Report, step: int, terms: Mapping[str, float]) -> None:
    """Report the validation's loss at each quarter of the schedule, where it has one.

    The loss is compared within a head alone, whose wanted answers it is relative to; and not where its own weights are swept.
    """
    quarter = 4 * step // recipe.trainer.steps
    if "validation" in terms and recipe.head in _COMPARABLE and 0 < quarter < 4:
        report(100 * _COMPARABLE.index(recipe.head) + 25 * quarter, -terms["validation"])


@lru_cache(maxsize=10)
def _material(settings: Settings, *given: Any) -> Material:
    """The recordings through the recipe's differentiator, which is what takes long: most trials differ in other things."""
    recipe = Recipe(**dict(zip(_OF_STRETCHES, given, strict=True)), window=2)
    return Material.of(SOURCES[settings.source].trials(settings.place, settings.model), recipe)
