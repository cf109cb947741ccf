"""How a network is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edge.errors import ConfigError


@dataclass(frozen=True)
class TrainerSettings:
    """Of the training loop, `train.trainer.fit`.

    batch: windows a step; every window is seen once before any is seen again.
    input_noise: normal noise on every input, of the feature's deviation.
    weight_decay: decoupled (`adamw`) or in the gradient (`adam`).
    clip: the largest norm of the network's gradient. report_every: steps between two reports of the loss.
    patience: how many validations in a row may bring nothing better before the training ends; None: it never ends early.
    validate_every: steps between two validations, where there is something to validate on.
    device: `auto` takes a CUDA device where there is one.
    checkpoint_every, checkpoint_every_s: a checkpoint is written after so many steps, or seconds where they are sooner.
    """

    steps: int = 800
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    input_noise: float = 0.05
    clip: float = 1.0
    seed: int = 0
    report_every: int = 20
    optimiser: Literal["adamw", "adam"] = "adamw"
    patience: int | None = None
    validate_every: int = 50
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_every: int = 200
    checkpoint_every_s: float = 10.0

    def __post_init__(self) -> None:
        counts = ("steps", "batch", "report_every", "validate_every", "checkpoint_every")
        for name in (*counts, *(["patience"] if self.patience is not None else [])):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)} of the training must be at least 1")
        for name in ("learning_rate", "clip", "checkpoint_every_s"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} = {getattr(self, name)} of the training must be a positive number")
        for name in ("weight_decay", "input_noise"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} = {getattr(self, name)} of the training must be zero or a positive number")
        for name, choices in (("optimiser", ("adamw", "adam")), ("device", ("auto", "cpu", "cuda"))):
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name} = '{getattr(self, name)}' of the training: choose one of {', '.join(choices)}"
                )
