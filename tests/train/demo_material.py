"""The packaged demonstration walk as training material, for tests that need no network worth its name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files

import numpy as np
import numpy.typing as npt

from edge.msk.model import load_model
from edge.trials import load_trials
from train.material import Material
from train.recipe import Recipe


@cache
def demo_material(model: str = "leg9", mass_kg: tuple[float, ...] = (75.0,)) -> Material:
    """1.2 s of the right leg with zero-phase inputs, once for every mass."""
    with as_file(files("edge") / "data" / "demo" / "trials.toml") as path:
        trials = load_trials(path, load_model(model))[:1]
    people = [
        replace(trial, start_s=1.0, end_s=2.2, subject=f"{mass:g} kg", model=replace(trial.model, mass_kg=mass))
        for mass in mass_kg
        for trial in trials
    ]
    return Material.of(people, Recipe(causal=False))


def without_row(material: Material, row: int, every: int = 1) -> Material:
    """The same where the torque of a row is not known in every so many frames."""

    def forget(torque: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        left = torque.copy()
        left[::every, row] = np.nan
        return left

    return replace(material, stretches=tuple(replace(s, torque=forget(s.torque)) for s in material.stretches))
