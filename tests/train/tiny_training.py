"""A training of a few milliseconds: a small network on drawn windows, with a linear truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from train.losses import TorqueTarget
from train.networks import Network, create
from train.trainer import History, TrainerSettings, fit

WINDOWS, WINDOW, FEATURES, ROWS = 60, 5, 3, 2
SETTINGS = TrainerSettings(steps=20, batch=8, report_every=4, validate_every=5, learning_rate=0.01, device="cpu")
SIZES = {"hidden": 6, "dense_1": 12, "dense_2": 12, "dropout": 0.1}


@dataclass(frozen=True)
class TwoTerms(TorqueTarget):
    """As the torque's, with a second term."""

    def loss(self, answer: Tensor, which: Tensor) -> dict[str, Tensor]:
        return {**super().loss(answer, which), "size": (answer**2).mean()}


def windows(seed: int = 1) -> tuple[Tensor, Tensor]:
    """Inputs (n, window, features) and what to answer (n, rows)."""
    inputs = torch.randn(WINDOWS, WINDOW, FEATURES, generator=torch.Generator().manual_seed(seed))
    return inputs, inputs[:, -1, :ROWS] * 0.5


def target_of(wanted: Tensor | None = None, kind: type[TwoTerms] = TwoTerms) -> TwoTerms:
    """wanted: instead of the truth."""
    wanted = windows()[1] if wanted is None else wanted
    return kind(wanted, wanted.std(dim=0), {"motion": 1.0, "size": 0.1})


def network_of(inputs: Tensor, wanted: Tensor, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    network = create("bigru", features=FEATURES, outputs=ROWS, window=WINDOW, joints=1, sizes=SIZES)
    network.normalise(inputs, wanted)
    return network


def trained(checkpoint: Path | None = None, **changes: Any) -> tuple[Network, History]:
    """One training; changes: of the settings, and of `fit`'s arguments and the seeds where they have such names."""
    inputs, wanted = windows(changes.pop("data_seed", 1))
    network = network_of(inputs, wanted, changes.pop("network_seed", 0))
    names = ("train", "judge", "balance", "progress", "log_dir")
    arguments = {name: changes.pop(name) for name in names if name in changes}
    target = changes.pop("target", None) or target_of(wanted)
    judged = {"train": torch.arange(40), "judge": torch.arange(45, WINDOWS), **arguments}
    return network, fit(network, inputs, target, replace(SETTINGS, **changes), checkpoint=checkpoint, **judged)
