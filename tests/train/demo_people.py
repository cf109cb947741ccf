"""People who walk as in the packaged demonstration, each with a body and a piece of the walk of their own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files

from edge.msk.model import load_model
from edge.trial import Trial
from edge.trials import load_trials
from train.material import Material
from train.recipe import Recipe

ZERO_PHASE = Recipe(causal=False, window=8)
CAUSAL = Recipe(window=8)


@cache
def walks(model: str = "leg9") -> tuple[Trial, Trial]:
    """Both legs of the whole walk."""
    with as_file(files("edge") / "data" / "demo" / "trials.toml") as path:
        right, left = load_trials(path, load_model(model))
    return right, left


def cut(trial: Trial, start_s: float, end_s: float) -> Trial:
    """A piece of a recording on its own: nothing of the rest is known."""
    own = (trial.time_s > start_s - 1e-9) & (trial.time_s < end_s + 1e-9)
    return replace(
        trial,
        time_s=trial.time_s[own],
        angles=trial.angles[own],
        base=trial.base[own],
        start_s=start_s,
        end_s=end_s,
    )


def people(names: str = "a", *, seconds: float = 1.2, model: str = "leg9") -> list[Trial]:
    """A trial of each, one letter a person: pieces of the right leg's walk one after the other, 5 kg heavier each time."""
    (right, _), trials = walks(model), []
    for i, name in enumerate(names):
        first = 0.5 + i * seconds
        piece = cut(right, first, first + seconds)
        mass_kg = right.model.mass_kg + 5.0 * (ord(name) - ord("a"))
        trials.append(replace(piece, name=f"trial {i + 1}", subject=name, model=replace(piece.model, mass_kg=mass_kg)))
    return trials


@cache
def material_of(names: str = "a", recipe: str = "zero-phase", seconds: float = 1.2, model: str = "leg9") -> Material:
    """Of `people`, as ZERO_PHASE or CAUSAL sees them."""
    return Material.of(
        people(names, seconds=seconds, model=model), {"zero-phase": ZERO_PHASE, "causal": CAUSAL}[recipe]
    )
