"""The networks: windows (batch, window, features) in plain units in, one answer per window out.

Every network is normalisation, a backbone that makes hidden features of the window, and dense layers; they differ in the
backbone and in sizes. `bigru` is of Ma et al., Knowledge-based deep learning for time-efficient inverse dynamics (IEEE TNSRE
2025, arXiv 2412.05403), where `cnn`, `rnn` and `lstm` are compared with it; `mjca-bigru` of Ma et al., Multi-joint
physics-informed deep learning framework for time-efficient inverse dynamics (2025, arXiv 2511.10878), compared with
`bigru-128` (it without its attention), `cnn-bigru` and `tcn`. Those compared get the dense layers of what they are compared
with. The streaming ones are of neither.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edge.errors import ConfigError
from train.convolutional import Convolutions, TemporalConvolutions
from train.cross_attention import JointCrossAttention, joint_columns
from train.nearness import Nearness
from train.recurrent import Recurrent

RESTING = -3.0  # the sigmoid of it is an activation of 0.05

_SINGLE_JOINT = {"dropout": 0.3, "dense_1": 128, "dense_2": 128}
_MULTI_JOINT = {"dropout": 0.1, "dense_1": 256, "dense_2": 128, "dense_3": 64}

SIZES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "bigru": {"hidden": 64, "layers": 2, **_SINGLE_JOINT},
        "mjca-bigru": {"joint": 64, "heads": 2, "integration": 128, "hidden": 128, "layers": 2, **_MULTI_JOINT},
        "bigru-128": {"integration": 128, "hidden": 128, "layers": 2, **_MULTI_JOINT},
        "cnn-bigru": {"channels_1": 64, "channels_2": 128, "kernel": 3, "hidden": 128, "layers": 2, **_MULTI_JOINT},
        "rnn": {"hidden": 64, "layers": 2, **_SINGLE_JOINT},
        "lstm": {"hidden": 64, "layers": 2, **_SINGLE_JOINT},
        "cnn": {"channels_1": 64, "channels_2": 64, "kernel": 3, **_SINGLE_JOINT},
        "tcn": {
            **{"channels_1": 16, "channels_2": 32, "channels_3": 32, "kernel": 3, "dilation_2": 2, "dilation_3": 8},
            **_MULTI_JOINT,
        },
        "gru-stream": {"hidden": 128, "layers": 2, "dropout": 0.1, "dense_1": 128, "dense_2": 128},
        "kernel": {"points": 2000},
        "tcn-stream": {
            **{"channels_1": 64, "channels_2": 64, "channels_3": 64, "kernel": 3, "dilation_2": 2, "dilation_3": 8},
            **{"dropout": 0.1, "dense_1": 64},
        },
    }
)
"""Every architecture's sizes, which `create` lets override. dropout: a share; dense_1, ...: widths of the dense layers."""

ARCHITECTURES = tuple(SIZES)
KERNEL = "kernel"
"""Kernel ridge regression: it is fitted at once (`train.kernel`)."""
STREAMING = ("gru-stream", "tcn-stream")
"""Those that look only back: a state carried from sample to sample could replace the window."""


class Network(nn.Module):
    """Normalisation, backbone and dense layers. Inputs and answers are in plain units: the exported network takes them so."""

    mean: Tensor
    deviation: Tensor
    answer_mean: Tensor
    answer_deviation: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        *,
        architecture: str,
        features: int,
        outputs: int,
        window: int,
        look_ahead: int,
        dense: Sequence[int],
        dropout: float,
        bounded: bool,
    ) -> None:
        """backbone: (batch, window, features) -> (batch, `dense[0]`). dense: widths from there to the last hidden layer."""
        super().__init__()
        self.architecture = architecture
        self.window = window
        self.look_ahead = look_ahead
        self.bounded = bounded
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("answer_mean", torch.zeros(outputs))
        self.register_buffer("answer_deviation", torch.ones(outputs))
        self.backbone = backbone
        layers: list[nn.Module] = []
        for before, after in pairwise(dense):
            layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        self.head = nn.Sequential(*layers[:-1])  # the last layer needs all it gets
        self.last = nn.Linear(dense[-1], outputs)
        if bounded:
            nn.init.constant_(self.last.bias, RESTING)

    @property
    def features(self) -> int:
        return len(self.mean)

    @property
    def outputs(self) -> int:
        return len(self.answer_mean)

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

    def hidden(self, window: Tensor) -> Tensor:
        """What the dense layers get: features (batch, width) of windows (batch, window, features)."""
        features: Tensor = self.backbone((window - self.mean) / self.deviation)
        return features

    def forward(self, window: Tensor) -> Tensor:
        raw: Tensor = self.last(self.head(self.hidden(window)))
        if self.bounded:
            return torch.sigmoid(raw)
        return raw * self.answer_deviation + self.answer_mean

    def first(self, outputs: int) -> Network:
        """A copy that gives the first `outputs` answers and does not compute the others."""
        shorter = copy.deepcopy(self)
        shorter.last = nn.Linear(self.last.in_features, outputs)
        with torch.no_grad():
            shorter.last.weight.copy_(self.last.weight[:outputs])
            shorter.last.bias.copy_(self.last.bias[:outputs])
        shorter.answer_mean = self.answer_mean[:outputs].clone()
        shorter.answer_deviation = self.answer_deviation[:outputs].clone()
        return shorter


def create(
    architecture: str,
    *,
    features: int,
    outputs: int,
    window: int,
    look_ahead: int = 0,
    joints: int,
    bounded: bool = False,
    sizes: Mapping[str, float] | None = None,
) -> Network:
    """A network with random weights (of torch's generator) for windows (batch, window, features).

    look_ahead: the answer describes the step that lies so many before the window's last.
    joints: of the model; with it `mjca-bigru` finds each joint's columns (`train.cross_attention.joint_columns`).
    bounded: answers are activations, between 0 and 1. Such a network starts with resting muscles and, unless `sizes` says
    otherwise, has no dropout: what dropout adds to activations comes out of the muscles as torque, and least effort then
    pays for it with co-contraction.
    sizes: those of `SIZES[architecture]` that shall differ.

    Raises ConfigError for an unknown architecture or size, or one out of range.
    """
    plain = {"dropout": 0.0} if bounded and "dropout" in SIZES.get(architecture, {}) else {}
    size = _sizes(architecture, {**plain, **(sizes or {})})
    if not 0 <= look_ahead < window:
        raise ConfigError(
            f"look-ahead {look_ahead} must be smaller than the window of {window} frames, and not negative"
        )
    # Who only looks back has seen all of the window at its last step alone.
    read = window - 1 - (0 if architecture in STREAMING else look_ahead)
    backbone, width = _backbone(architecture, size, features=features, joints=joints, window=window, read=read)
    return Network(
        backbone,
        architecture=architecture,
        features=features,
        outputs=outputs,
        window=window,
        look_ahead=look_ahead,
        dense=[width, *_numbered(size, "dense")],
        dropout=size.get("dropout", 0.0),
        bounded=bounded,
    )


def multiply_adds(network: Network, *, streamed: bool = False) -> int:
    """Multiplications and additions, in pairs, that one answer costs: counted on a window, element by element ones left out.

    streamed: what it would cost with the state carried from sample to sample instead of a window: each weight once. Raises
    ConfigError for a network that looks both ways.
    """
    if streamed:
        if network.architecture not in STREAMING:
            raise ConfigError(
                f"{network.architecture} looks both ways and cannot be streamed; {', '.join(STREAMING)} can"
            )
        return sum(weight.numel() for weight in network.parameters() if weight.dim() > 1)
    counted = copy.deepcopy(network).cpu().eval()
    fused = {torch.ops.aten.mkldnn_rnn_layer: _fused_recurrence}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=fused) as counter:
        counted(torch.zeros(1, network.window, network.features))
    return int(counter.get_total_flops()) // 2


def _fused_recurrence(step: Sequence[int], by_input: Sequence[int], by_state: Sequence[int], *_: Any, **__: Any) -> int:
    """Floating-point operations of an LSTM's layer in oneDNN, which torch's counter does not know, from the shapes."""
    return 2 * step[0] * step[1] * (math.prod(by_input) + math.prod(by_state))


def _backbone(
    architecture: str, size: Mapping[str, float], *, features: int, joints: int, window: int, read: int
) -> tuple[nn.Module, int]:
    """Backbone and the width of what it gives."""
    if architecture == "cnn":
        stack = Convolutions(features, channels=_numbered(size, "channels"), kernel=_odd(size))
        return nn.Sequential(stack, nn.Flatten()), window * stack.width
    if architecture == KERNEL:
        nearness = Nearness(int(size["points"]), window * features)
        return nearness, nearness.width
    if architecture in ("tcn", "tcn-stream"):
        causal = architecture in STREAMING
        temporal = TemporalConvolutions(
            features,
            channels=_numbered(size, "channels"),
            kernel=int(size["kernel"]) if causal else _odd(size),
            dilations=_dilations(size),
            window=window,
            read=read,
            causal=causal,
            dropout=size["dropout"],
        )
        return temporal, temporal.width
    front: nn.Module | None = None
    if architecture == "mjca-bigru":
        columns = joint_columns(features, joints)
        front = JointCrossAttention(columns, **{k: int(size[k]) for k in ("joint", "heads", "integration")})
        features = front.width
    elif architecture == "bigru-128":
        front = nn.Sequential(nn.Linear(features, int(size["integration"])), nn.ReLU())
        features = int(size["integration"])
    elif architecture == "cnn-bigru":
        front = Convolutions(features, channels=_numbered(size, "channels"), kernel=_odd(size))
        features = front.width
    recurrent = Recurrent(
        architecture if architecture in ("rnn", "lstm") else "gru",
        features,
        hidden=int(size["hidden"]),
        layers=int(size["layers"]),
        dropout=size["dropout"],
        read=read,
        bidirectional=architecture not in STREAMING,
    )
    return (recurrent if front is None else nn.Sequential(front, recurrent)), recurrent.width


def _sizes(architecture: str, overrides: Mapping[str, float]) -> dict[str, float]:
    """All sizes of an architecture, checked."""
    if architecture not in SIZES:
        raise ConfigError(f"there is no architecture '{architecture}': take one of {', '.join(ARCHITECTURES)}")
    sizes = dict(SIZES[architecture])
    for name, value in overrides.items():
        if name not in sizes:
            raise ConfigError(f"{architecture} has no size '{name}': it has {', '.join(sizes)}")
        if name == "dropout":
            if not 0.0 <= value < 1.0:
                raise ConfigError(f"size dropout = {value:g} of {architecture} must be from 0 to less than 1")
        elif not (value >= 1 and float(value).is_integer()):
            raise ConfigError(f"size {name} = {value:g} of {architecture} must be a whole number of at least 1")
        sizes[name] = value
    return sizes


def _numbered(size: Mapping[str, float], name: str) -> list[int]:
    return [int(value) for key, value in size.items() if key.startswith(f"{name}_")]


def _odd(size: Mapping[str, float]) -> int:
    kernel = int(size["kernel"])
    if kernel % 2 == 0:
        raise ConfigError(f"size kernel = {kernel} must be odd: a step lies in the middle of its neighbours")
    return kernel


def _dilations(size: Mapping[str, float]) -> list[int]:
    dilations = [1, *_numbered(size, "dilation")]
    for before, after in pairwise(dilations):
        if after % before:
            raise ConfigError(f"dilations {dilations} must each be a multiple of the one before")
    return dilations
