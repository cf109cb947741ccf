"""One comparison: what trains and what is tested, the same windows for networks and baselines, and the rows that come of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import ConfigError, TrialError
from edge.signals.features import View
from train.experiments.report import POOLED, Row, Settings, Value
from train.experiments.scoring import BASELINES, score
from train.learning import Answers, Learned, baseline, estimate, learn, truth
from train.material import Material
from train.recipe import PRESETS, Recipe

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_WINDOW = 20  # frames, the papers'
_CLOCK_S = 1e-6  # two clocks' rounding


@dataclass(frozen=True)
class Inputs:
    """How the inputs come about: in a laboratory (zero-phase), or live, from usual sensors and `age_ms` after the moment."""

    causal: bool = False
    age_ms: float = 0.0
    method: str = ""  # the differentiator, with live inputs

    @property
    def label(self) -> str:
        """For the progress bar."""
        return f"{self.method} {self.age_ms:g} ms" if self.causal else "zero-phase"

    def recipe(self, *, seed: int = 0, steps: int | None = None, usual: str = "person", **changes: Any) -> Recipe:
        """The usual recipe for a `person` or for `people`, with these inputs and `changes`. steps: None for the usual number.

        In a laboratory the answer describes the middle of the window: nothing waits for it.
        """
        preset = PRESETS[usual]
        trainer = replace(preset.trainer, seed=seed)
        if steps is not None:
            trainer = replace(trainer, steps=steps)
        own: dict[str, Any] = {"look_ahead": _WINDOW // 2}
        if self.causal:
            own = {"method": self.method, "age_s": self.age_ms * 1e-3, "noise": "usual"}
        return replace(preset, causal=self.causal, window=_WINDOW, trainer=trainer, **{**own, **changes})


ZERO_PHASE = Inputs()


def live(age_ms: float, method: str = "fir") -> Inputs:
    """Inputs of usual sensors through a differentiator, `age_ms` after the moment."""
    return Inputs(True, age_ms, method)


@dataclass(frozen=True)
class HeldOut:
    """Windows of which some train and others test. `whole` must be all windows of its stretches."""

    whole: Material
    train: BoolArray
    test: BoolArray
    reference: Answers  # physics alone, at the windows that test
    view: View  # of the windows

    @classmethod
    def of(cls, whole: Material, train: BoolArray, test: BoolArray, recipe: Recipe) -> HeldOut:
        """Raises TrialError where one side has no window."""
        if not train.any() or not test.any():
            raise TrialError(
                f"of {len(whole)} windows {train.sum()} train and {test.sum()} test: the recordings are not those that were "
                "published, or they are too short"
            )
        return cls(whole, train, test, truth(whole.take(test), recipe.mode), recipe.view)

    def seen(self, recipe: Recipe) -> HeldOut:
        """The same moments through another network's view; window and look-ahead must be the same."""
        if recipe.view == self.view:
            return self
        return replace(self, whole=self.whole.seen(recipe), view=recipe.view)

    @property
    def training(self) -> Material:
        return self.whole.take(self.train)

    @property
    def tested(self) -> Material:
        return self.whole.take(self.test)


def before_and_after(
    material: Material, recipe: Recipe, train_s: float, test_s: float | None = None
) -> tuple[BoolArray, BoolArray]:
    """Masks of the windows within the first `train_s` of each recording, and of those after that or within the last `test_s`.

    A window belongs to a side with all its frames, so that no frame is on both.
    """
    trials = [stretch.trial for stretch in material.stretches]
    start, end = np.array([(trial.start_s, trial.end_s) for trial in trials])[material.windows.stretch].T
    newest = material.windows.time_s + recipe.look_ahead / recipe.rate_hz
    oldest = newest - (recipe.window - 1) / recipe.rate_hz
    boundary = start + train_s
    from_s = boundary if test_s is None else np.maximum(boundary, end - test_s)
    return newest <= boundary + _CLOCK_S, oldest > from_s + _CLOCK_S


def thinned(material: Material, most: int) -> BoolArray:
    """Mask of at most so many windows of each person, evenly spread: the long recordings of few do not outweigh all others."""
    kept = np.zeros(len(material), dtype=bool)
    people = material.people
    for person in np.unique(people):
        own = np.flatnonzero(people == person)
        kept[own[np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int))]] = True
    return kept


@dataclass(frozen=True)
class Trained:
    """A network, what it says of the windows that test, and how long it was trained."""

    learned: Learned
    answers: Answers
    seconds: float


def train_network(held: HeldOut, recipe: Recipe) -> Trained:
    """Train a network on the one side and ask it about the other."""
    seen = held.seen(recipe)
    begun = time.monotonic()
    learned = learn(seen.training, recipe)
    seconds = round(time.monotonic() - begun, 1)
    return Trained(learned, estimate(learned, seen.tested), seconds)


def baselines(held: HeldOut, recipes: Mapping[str, Recipe]) -> Iterator[tuple[str, Recipe, Answers]]:
    """Name, recipe and answers of every baseline. recipes: the view and head, by what the name says of them; "" for nothing."""
    for addition, recipe in recipes.items():
        seen = held.seen(recipe)
        for key, name in BASELINES.items():
            title = name if not addition else name.replace(" + SO", f", {addition} + SO")
            yield title, recipe, baseline(key, seen.training, seen.tested, recipe)


def rows(
    reference: Answers,
    answers: Answers,
    tested: Material,
    recipe: Recipe,
    *,
    people: bool = False,
    more: Mapping[str, Value] | None = None,
    **keys: Any,
) -> list[Row]:
    """The row of an estimate; with `people` one for each of them, and in that of all the worst one's activation R2."""
    if not people:
        return [score(reference, answers, tested, recipe, **keys, more=more)]
    names = tested.people
    found = []
    for person in np.unique(names):
        own = names == person
        each = tested.take(own)
        found.append(score(part(reference, own), part(answers, own), each, recipe, person=str(person), **keys))
    worst = min((row.activation_r2 for row in found if row.activation_r2 is not None), default=None)
    pooled = {"worst_person": worst, **({} if more is None else more)}
    return [*found, score(reference, answers, tested, recipe, person=POOLED, **keys, more=pooled)]


def part(answers: Answers, which: BoolArray) -> Answers:
    """The answers to some of the windows."""
    return Answers(answers.time_s[which], answers.torque_nm[which], answers.activation[which], answers.force_n[which])


def chosen(settings: Settings, defaults: Mapping[str, str]) -> dict[str, str]:
    """The experiment's own options (`--option KEY=VALUE`), with defaults. Raises ConfigError for one that it does not have."""
    for key in settings.options:
        if key not in defaults:
            raise ConfigError(f"--option {key}: the experiment has no such option: it has {', '.join(defaults)}")
    return {**defaults, **settings.options}


def whole_number(options: Mapping[str, str], key: str) -> int | None:
    """An option that is a positive whole number, or empty. Raises ConfigError."""
    text = options[key]
    if not text:
        return None
    if not (text.isdecimal() and int(text) > 0):
        raise ConfigError(f"--option {key}={text}: must be a positive whole number")
    return int(text)


def choice_of(options: Mapping[str, str], key: str, known: Sequence[str]) -> tuple[str, ...]:
    """An option that names some of what is known, with commas between; empty for all. Raises ConfigError."""
    names = tuple(name for name in options[key].split(",") if name) or tuple(known)
    for name in names:
        if name not in known:
            raise ConfigError(f"--option {key}: there is no '{name}': choose from {', '.join(known)}")
    return names
