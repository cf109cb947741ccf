"""Features of a window: how near it is to each of the windows that are remembered."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Nearness(nn.Module):
    """exp(-d^2 / scale) of a window's distance d to each remembered window: (batch, window, features) -> (batch, points)."""

    points: Tensor
    squares: Tensor
    per_scale: Tensor

    def __init__(self, points: int, width: int) -> None:
        super().__init__()
        self.width = points
        # Until windows are remembered: random ones, at the distance that random ones have.
        random = torch.randn(points, width)
        self.register_buffer("points", random)
        self.register_buffer("squares", (random**2).sum(dim=1))
        self.register_buffer("per_scale", torch.tensor(0.5 / width))

    def forward(self, window: Tensor) -> Tensor:
        flat = window.flatten(1)
        square = (flat * flat).sum(dim=1, keepdim=True) + self.squares - 2.0 * flat @ self.points.T
        return torch.exp(-square.clamp_min(0.0) * self.per_scale)
