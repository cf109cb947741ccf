"""The training loop: Adam, cosine schedule, the best state by validation loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from train.losses import Target
from train.networks import BiGRU

Progress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class TrainerSettings:
    steps: int = 1500
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    input_noise: float = 0.02  # of each feature's deviation
    validate_every: int = 25
    patience: int = 24  # validations without improvement before stopping
    clip: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class TrainingResult:
    steps: int
    best_step: int
    best_validation_loss: float


def fit(
    network: BiGRU,
    train: tuple[torch.Tensor, Target],
    validation: tuple[torch.Tensor, Target],
    settings: TrainerSettings,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train in place; the network ends in its best state by validation loss. Deterministic for a seed on one machine."""
    generator = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    inputs, target = train
    deviation = network.deviation * settings.input_noise
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    best = (math.inf, 0, copy.deepcopy(network.state_dict()))
    since_best = 0
    step = 0
    for step in range(1, settings.steps + 1):
        network.train()
        which = torch.from_numpy(generator.integers(0, len(inputs), settings.batch))
        window = inputs[which]
        window = window + deviation * torch.randn_like(window)
        terms = target.loss(network(window), which)
        total = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimiser.step()
        schedule.step()
        if step % settings.validate_every and step != settings.steps:
            continue
        loss = validation_loss(network, validation)
        if progress is not None:
            progress(step, settings.steps, {**{k: float(v) for k, v in terms.items()}, "validation": loss})
        if loss < best[0]:
            best, since_best = (loss, step, copy.deepcopy(network.state_dict())), 0
        else:
            since_best += 1
            if since_best >= settings.patience:
                break
    network.load_state_dict(best[2])
    network.eval()
    return TrainingResult(step, best[1], best[0])


@torch.no_grad()
def validation_loss(network: BiGRU, validation: tuple[torch.Tensor, Target]) -> float:
    network.eval()
    inputs, target = validation
    terms = target.loss(network(inputs), torch.arange(len(inputs)))
    return float(torch.stack(list(terms.values())).sum())
