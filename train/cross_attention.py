"""Attention of each joint to the others, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edge.errors import ConfigError
from edge.signals.features import View


def joint_columns(features: int, joints: int) -> list[list[int]]:
    """Each joint's columns of a window that `edge.signals.features.View` lays out: its own, then the pelvis's.

    Six columns of two joints are taken for angles, rates and accelerations, not for angles and a pelvis. Raises ConfigError
    when no view of so many joints has so many features.
    """
    views = [View(signals, pelvis) for signals in ("derivatives", "raw") for pelvis in (True, False)]
    widths = {view.width(joints): view for view in reversed(views)}
    if features not in widths:
        raise ConfigError(
            f"{features} features of {joints} joints cannot be told apart by joint: there are {sorted(widths)}, of angles or "
            "of angles, rates and accelerations, each with or without the pelvis"
        )
    view = widths[features]
    own = (3 if view.signals == "derivatives" else 1) * joints
    return [[*range(joint, own, joints), *range(own, features)] for joint in range(joints)]


class JointCrossAttention(nn.Module):
    """Multi-joint cross-attention after Ma et al. 2025 (arXiv 2511.10878): (batch, window, features) -> (batch, window, width).

    Of joint i at each step, with x_i its own and the pelvis's features:

        e_i = W_i x_i + b_i                                              embedding, `joint` wide
        q_i, k_i, v_i = W_q e_i, W_k e_i, W_v e_i                        for each of `heads` heads, joint / heads wide
        m_i = concat_h sum_{j != i} softmax_j(q_i k_j / sqrt(joint / heads)) v_j
        z_i = LayerNorm(e_i + W_o m_i)
        y   = ReLU(W_y concat_i z_i + b_y)                               integration, `integration` wide

    Sizes and parts are the paper's; its equations are stated here as multi-head attention (Vaswani et al. 2017) over the
    other joints of the same step. What other steps have to say is left to the layers that follow.
    """

    def __init__(self, columns: Sequence[Sequence[int]], *, joint: int, heads: int, integration: int) -> None:
        """columns: of each joint (`joint_columns`), equally many. Raises ConfigError for one joint, or an indivisible size."""
        super().__init__()
        count = len(columns)
        if count < 2:
            raise ConfigError(
                "mjca-bigru attends from each joint to the others, and this model has one: train bigru-128, the same network "
                "without attention"
            )
        if joint % heads:
            raise ConfigError(f"size joint = {joint} must be a multiple of heads = {heads}")
        self.width = integration
        self.heads = heads
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("itself", torch.eye(count, dtype=torch.bool), persistent=False)
        own = len(columns[0])
        bound = 1.0 / math.sqrt(own)  # as torch.nn.Linear begins
        self.embedding = nn.Parameter(torch.empty(count, own, joint).uniform_(-bound, bound))
        self.embedding_bias = nn.Parameter(torch.empty(count, 1, joint).uniform_(-bound, bound))
        self.project = nn.Linear(joint, 3 * joint, bias=False)
        self.out = nn.Linear(joint, joint, bias=False)
        self.norm = nn.LayerNorm(joint)
        self.integrate = nn.Linear(count * joint, integration)

    columns: Tensor
    itself: Tensor

    def forward(self, window: Tensor) -> Tensor:
        per_joint = window[..., self.columns]  # (batch, window, joints, own)
        embedded = (per_joint.transpose(1, 2) @ self.embedding + self.embedding_bias).transpose(1, 2)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(2, 3) for part in self.project(embedded).chunk(3, dim=-1)
        )  # (batch, window, heads, joints, joint / heads)
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        weight = torch.softmax(scores.masked_fill(self.itself, -torch.inf), dim=-1)
        mixed = (weight @ value).transpose(2, 3).flatten(-2)
        attended = self.norm(embedded + self.out(mixed))
        return torch.relu(self.integrate(attended.flatten(-2)))
