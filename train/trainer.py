"""The training loop: AdamW with a cosine schedule over a fixed number of steps, gradients clipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from edge.errors import EngineError
from train.losses import Target
from train.networks import BiGRU

Progress = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class TrainerSettings:
    steps: int = 800
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    input_noise: float = 0.05  # of each feature's deviation
    clip: float = 1.0
    seed: int = 0
    report_every: int = 20


def fit(
    network: BiGRU, inputs: torch.Tensor, target: Target, settings: TrainerSettings, progress: Progress | None = None
) -> None:
    """Train in place on windows (n, window, features). The same seed on the same machine gives the same network.

    The number of steps is fixed: with a second of data a validation set is too small to stop by. Raises EngineError when
    the training diverges.
    """
    generator = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    deviation = network.deviation * settings.input_noise
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    network.train()
    for step in range(1, settings.steps + 1):
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
        if step % settings.report_every == 0 or step == settings.steps:
            if not bool(torch.isfinite(total.detach())):
                raise EngineError(
                    f"training diverged within {step} steps: the loss is no number any more: look for outliers in the trials' "
                    "angles and forces, or try another --seed"
                )
            if progress is not None:
                progress(step, {name: float(term.detach()) for name, term in terms.items()})
    network.eval()
