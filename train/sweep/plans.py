"""What can be swept: the experiments that have an objective, and a subject's own training."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge import __version__
from edge.errors import ConfigError
from edge.storage import read_text
from train.experiments import EXPERIMENTS
from train.experiments.report import Settings as ExperimentSettings
from train.networks import SIZES
from train.recipe import Recipe
from train.sweep import training
from train.sweep.schedule import Plan
from train.sweep.spaces import Space, Value, apply, parsed, usual
from train.targets import loss_weights


@dataclass(frozen=True)
class Scope:
    """How much is swept: `seeds` networks a trial, counted from `seed`; `only` these parameters (none: all); `fixed` fields of
    the recipe, as a user wrote them."""

    seeds: int
    seed: int
    only: Sequence[str] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)


def of_experiment(name: str, data: Path, scope: Scope) -> Plan:
    """The training of an experiment, on the part of its recordings that it trains on. Raises ConfigError.

    Its module's own `objective` over its `SPACE`, from its `RECIPE`, where it has them; otherwise `train.sweep.training`'s.
    data: the folder of recordings.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(
            f"there is no experiment '{name}': choose one of {', '.join(EXPERIMENTS)}, or give --trials FILE.toml"
        )
    about = {"data": str(data.absolute())}
    module = importlib.import_module(EXPERIMENTS[name].partition(":")[0])
    if hasattr(module, "objective"):
        recipe = _fixed(getattr(module, "RECIPE", Recipe()), scope)
        settings = ExperimentSettings(data=data.absolute(), out=data, seeds=scope.seeds)
        return _plan(name, f"{module.__name__}:objective", module.SPACE, recipe, settings, about, scope)
    if name not in training.SOURCES:
        own = [n for n in EXPERIMENTS if n in training.SOURCES]
        raise ConfigError(
            f"the experiment '{name}' has no objective to sweep: choose one of {', '.join(own)}, or give --trials FILE.toml"
        )
    return _trained(name, data, training.SOURCES[name].model, about, scope)


def of_trials(trials: Path, model: str, scope: Scope) -> Plan:
    """The training of a subject on the recordings of a trials file. Raises ConfigError, FileError."""
    about = {"trials_sha256": hashlib.sha256(read_text(trials).encode()).hexdigest(), "model": model}
    return _trained(training.SUBJECT, trials, model, about, scope)


def identity(plan: Plan) -> dict[str, Any]:
    """All that decides what a trial's value means, for `train.sweep.store.Store`."""
    said = {
        "experiment": plan.experiment,
        "program": f"edge-msk {__version__}",
        "seeds": plan.seeds,
        "seed": plan.seed,
        "settings": dict(plan.about),
        "recipe": asdict(plan.recipe),
        "space": {path: repr(over) for path, over in plan.space.items()},
    }
    plain: dict[str, Any] = json.loads(json.dumps(said, default=str))
    return plain


def _trained(source: str, place: Path, model: str, about: Mapping[str, Any], scope: Scope) -> Plan:
    recipe = _fixed(training.SOURCES[source].recipe, scope)
    settings = training.Settings(source, place.absolute(), model)
    space = training.space(recipe)
    return _plan(source, f"{training.__name__}:objective", space, recipe, settings, about, scope)


def _fixed(recipe: Recipe, scope: Scope) -> Recipe:
    return apply(recipe, {path: parsed(recipe, path, text) for path, text in scope.fixed.items()})


def _plan(
    name: str, objective: str, space: Space, recipe: Recipe, settings: Any, about: Mapping[str, Any], scope: Scope
) -> Plan:
    unknown = [path for path in scope.only if path not in space]
    if unknown:
        raise ConfigError(f"--only {unknown[0]}: is not swept here: choose of {', '.join(space)}")
    few = {
        path: over for path, over in space.items() if path not in scope.fixed and (path in scope.only or not scope.only)
    }
    if not few:
        raise ConfigError("nothing is left to sweep: leave out an --only or a --set")
    known: dict[str, Value] = {f"sizes.{size}": value for size, value in SIZES[recipe.architecture].items()}
    known |= {f"weights.{term}": weight for term, weight in loss_weights(recipe).items()}
    return Plan(
        experiment=name,
        objective=objective,
        space=few,
        recipe=recipe,
        settings=settings,
        about=about,
        seeds=scope.seeds,
        seed=scope.seed,
        first=usual(few, recipe, known),
    )
