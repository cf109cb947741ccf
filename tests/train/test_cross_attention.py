from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from edge.errors import ConfigError
from train.cross_attention import JointCrossAttention, joint_columns


def _attention(joints: int = 3, own: int = 2, heads: int = 2) -> JointCrossAttention:
    torch.manual_seed(0)
    columns = [list(range(j * own, (j + 1) * own)) for j in range(joints)]
    return JointCrossAttention(columns, joint=8, heads=heads, integration=5)


def _by_hand(module: JointCrossAttention, row: Tensor, heads: int) -> Tensor:
    """The equations of the class's docstring, joint by joint and head by head, for one step (features,)."""
    embedded = [
        row[columns] @ weight + bias[0]
        for columns, weight, bias in zip(module.columns, module.embedding, module.embedding_bias, strict=True)
    ]
    wide = len(embedded[0])
    to_query, to_key, to_value = module.project.weight.split(wide)
    size = wide // heads
    attended = []
    for i, own in enumerate(embedded):
        parts = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            others = [e for j, e in enumerate(embedded) if j != i]
            scores = torch.stack([(to_query @ own)[part] @ (to_key @ e)[part] for e in others]) / math.sqrt(size)
            values = torch.stack([(to_value @ e)[part] for e in others])
            parts.append(torch.softmax(scores, dim=0) @ values)
        attended.append(layer_norm(own + module.out(torch.cat(parts)), (wide,), module.norm.weight, module.norm.bias))
    return torch.relu(module.integrate(torch.cat(attended)))


@pytest.mark.parametrize("joints", [2, 3])
@pytest.mark.parametrize("heads", [1, 2])
def test_the_equations(joints: int, heads: int) -> None:
    module = _attention(joints, heads=heads)
    window = torch.randn(2, 4, 2 * joints)
    answer = module(window)
    assert answer.shape == (2, 4, module.width) == (2, 4, 5)
    wanted = torch.stack([torch.stack([_by_hand(module, row, heads) for row in one]) for one in window])
    torch.testing.assert_close(answer, wanted, rtol=1e-4, atol=1e-5)


def test_every_parameter_learns() -> None:
    module = _attention()
    module(torch.randn(20, 4, 6)).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0.0, name
    assert torch.isfinite(module.project.weight.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "joints", "wanted"),
    [
        (13, 3, [[0, 3, 6, 9, 10, 11, 12], [1, 4, 7, 9, 10, 11, 12], [2, 5, 8, 9, 10, 11, 12]]),  # derivatives, pelvis
        (9, 3, [[0, 3, 6], [1, 4, 7], [2, 5, 8]]),  # derivatives
        (7, 3, [[0, 3, 4, 5, 6], [1, 3, 4, 5, 6], [2, 3, 4, 5, 6]]),  # raw, pelvis
        (3, 3, [[0], [1], [2]]),  # raw
        (6, 2, [[0, 2, 4], [1, 3, 5]]),  # an arm's derivatives, not a raw window with a pelvis
    ],
)
def test_each_joint_gets_its_own_columns_and_the_pelvis(features: int, joints: int, wanted: list[list[int]]) -> None:
    assert joint_columns(features, joints) == wanted


def test_columns_that_belong_to_no_view_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"8 features of 3 joints.*\[3, 7, 9, 13\]"):
        joint_columns(8, 3)


def test_a_single_joint_has_no_others() -> None:
    with pytest.raises(ConfigError, match="this model has one: train bigru-128"):
        JointCrossAttention(joint_columns(7, 1), joint=8, heads=2, integration=5)
