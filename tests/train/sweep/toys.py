"""Objectives that need no network, for sweeps whose course is tested; workers import them by name."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import TrialError
from train.sweep.spaces import Choice, Float, Int
from train.sweep.work import Report


@dataclass(frozen=True)
class ToyTrainer:
    rate: float = 0.5
    steps: int = 4


@dataclass(frozen=True)
class Toy:
    shape: str = "round"
    sharpness: float = 1.0
    sizes: dict[str, float] = field(default_factory=dict)
    trainer: ToyTrainer = field(default_factory=ToyTrainer)


SPACE = {
    "trainer.rate": Float(0.01, 1.0, log=True),
    "trainer.steps": Int(2, 8, step=2),
    "shape": Choice(("round", "edged")),
    "sizes.corners": Int(3, 6, when={"shape": ("edged",)}),
}


def hill(settings: object, recipe: Toy, seed: int, report: Report) -> float:
    """Best at a rate of 0.1 and when round; noisy by seed. Reports a third of the way at each step."""
    value = 1.0 - abs(recipe.trainer.rate - 0.1) - 0.02 * recipe.sizes.get("corners", 0) + 1e-3 * seed
    for step in (1, 2, 3):
        report(step, value * step / 3)
    return value


def mortal(settings: Path, recipe: Toy, seed: int, report: Report) -> float:
    """Once, when a file says so, its process is killed."""
    if settings.exists():
        settings.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return hill(settings, recipe, seed, report)


def moody(settings: Path, recipe: Toy, seed: int, report: Report) -> float:
    """As `mortal`; refuses corners."""
    value = mortal(settings, recipe, seed, report)
    if recipe.sizes:
        raise TrialError("walk.mot: has no corners")
    return value


def buggy(settings: object, recipe: Toy, seed: int, report: Report) -> float:
    raise KeyError("forgotten")


def refused(settings: object, recipe: Toy, seed: int, report: Report) -> float:
    raise TrialError("walk.mot: is not there")
