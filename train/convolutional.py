"""Convolutions over the steps of a window: plain stacks, and temporal convolutional networks read at one step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class Convolutions(nn.Module):
    """Convolutions over time, each followed by ReLU: (batch, window, features) -> (batch, window, width)."""

    def __init__(self, features: int, *, channels: Sequence[int], kernel: int) -> None:
        """kernel: odd, so that a step stays where it is."""
        super().__init__()
        self.width = channels[-1]
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, kernel, padding=kernel // 2) for before, after in pairwise([features, *channels])
        )

    def forward(self, window: Tensor) -> Tensor:
        step = window.transpose(1, 2)
        for layer in self.layers:
            step = torch.relu(layer(step))
        return step.transpose(1, 2)


class TemporalConvolutions(nn.Module):
    """Temporal convolutional network (Bai et al. 2018): (batch, window, features) -> (batch, width) at step `read`.

    A block of dilation d and the step that is read touch every d-th step of the window and no other, so each block gets the
    sequence thinned to its dilation, and gives what the next one needs. Steps outside the window count as zero, in every
    layer.
    """

    def __init__(
        self,
        features: int,
        *,
        channels: Sequence[int],
        kernel: int,
        dilations: Sequence[int],
        window: int,
        read: int,
        causal: bool,
        dropout: float,
    ) -> None:
        """dilations: the first is 1, each other a multiple of the one before. kernel: odd unless causal."""
        super().__init__()
        self.width = channels[-1]
        before, after = read, window - 1 - read  # steps around the one that is read
        blocks = []
        for (inner, outer), (dilation, following) in zip(
            pairwise([features, *channels]), pairwise([*dilations, dilations[-1] * window]), strict=True
        ):
            thinning = following // dilation
            blocks.append(
                _ResidualBlock(
                    inner,
                    outer,
                    kernel=kernel,
                    before=before,
                    after=after,
                    thinning=thinning,
                    causal=causal,
                    dropout=dropout,
                )
            )
            before, after = before // thinning, after // thinning
        self.blocks = nn.Sequential(*blocks)

    def forward(self, window: Tensor) -> Tensor:
        step: Tensor = self.blocks(window.transpose(1, 2))
        return step[..., 0]


class _ResidualBlock(nn.Module):
    """Two convolutions and a shortcut, of whose output every `thinning`-th step about the read one is computed.

    (batch, channels, before + 1 + after) -> (batch, channels, before // thinning + 1 + after // thinning)
    """

    def __init__(
        self,
        inner: int,
        outer: int,
        *,
        kernel: int,
        before: int,
        after: int,
        thinning: int,
        causal: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        past, future = (kernel - 1, 0) if causal else (kernel // 2, kernel // 2)
        self.thinning = thinning
        self.skipped = before % thinning
        self.padding = (past, future)
        self.thinned_padding = (past - self.skipped, future - after % thinning)  # negative: steps that nothing needs
        self.first = nn.Conv1d(inner, outer, kernel)
        self.second = nn.Conv1d(outer, outer, kernel, stride=thinning)
        self.shortcut = nn.Conv1d(inner, outer, 1) if inner != outer else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, step: Tensor) -> Tensor:
        value = self.dropout(torch.relu(self.first(pad(step, self.padding))))
        value = self.dropout(torch.relu(self.second(pad(value, self.thinned_padding))))
        return torch.relu(value + self.shortcut(step[..., self.skipped :: self.thinning]))
