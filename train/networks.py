"""The networks. Each takes windows (batch, window, features) in plain units and gives one answer per window."""

from __future__ import annotations

import torch
from torch import Tensor, nn

RESTING = -3.0  # the sigmoid of it is an activation of 0.05


class BiGRU(nn.Module):
    """Bidirectional GRU, 2 x 64, and two dense layers of 128 (Ma et al. 2025), read at one step of the window.

    Inputs are normalised inside, so that the exported network takes them as they come.
    """

    def __init__(
        self,
        *,
        features: int,
        outputs: int,
        window: int,
        look_ahead: int = 0,
        hidden: int = 64,
        layers: int = 2,
        dense: int = 128,
        dropout: float = 0.3,
        bounded: bool = False,
    ) -> None:
        """bounded: answers are activations, between 0 and 1.

        Such a network starts with resting muscles and has no dropout: what dropout adds to activations comes out of the
        muscles as torque, and least effort then pays for it with co-contraction.
        """
        super().__init__()
        dropout = 0.0 if bounded else dropout
        self.window = window
        self.look_ahead = look_ahead
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("answer_mean", torch.zeros(outputs))
        self.register_buffer("answer_deviation", torch.ones(outputs))
        self.gru = nn.GRU(features, hidden, layers, batch_first=True, bidirectional=True, dropout=dropout)
        head: list[nn.Module] = [
            nn.Linear(2 * hidden, dense),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Linear(dense, outputs),
        ]
        self.head = nn.Sequential(*head)
        self.bounded = bounded
        if bounded:
            nn.init.constant_(head[-1].bias, RESTING)  # type: ignore[arg-type]

    def normalise(self, features: Tensor, answers: Tensor | None) -> None:
        """Take mean and deviation from training windows (n, window, features) and answers (n, outputs)."""
        flat = features.reshape(-1, features.shape[-1])
        self.mean = flat.mean(dim=0)
        deviation = flat.std(dim=0)
        # A feature that stands still in training tells nothing; divided by next to nothing it would drown the others later.
        self.deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
        if answers is not None:
            self.answer_mean = answers.mean(dim=0)
            self.answer_deviation = answers.std(dim=0).clamp_min(1e-6)

    def forward(self, window: Tensor) -> Tensor:
        hidden, _ = self.gru((window - self.mean) / self.deviation)
        raw: Tensor = self.head(hidden[:, self.window - 1 - self.look_ahead])
        if self.bounded:
            return torch.sigmoid(raw)
        return raw * self.answer_deviation + self.answer_mean
