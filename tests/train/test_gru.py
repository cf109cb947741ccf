from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from train.gru import GRU, drop


@settings(max_examples=25, deadline=None)
@given(
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    frames=st.integers(1, 6),
    read=st.floats(0.0, 1.0),
    batch=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_answers_and_gradients_are_pytorchs(
    layers: int, bidirectional: bool, frames: int, read: float, batch: int, seed: int
) -> None:
    torch.manual_seed(seed)
    ours = GRU(3, 5, layers, batch_first=True, bidirectional=bidirectional).double()
    theirs = nn.GRU(3, 5, layers, batch_first=True, bidirectional=bidirectional).double()
    theirs.load_state_dict(ours.state_dict())
    window = torch.randn(batch, frames, 3, dtype=torch.float64, requires_grad=True)
    again = window.detach().clone().requires_grad_()
    frame = round(read * (frames - 1))
    answer, wanted = ours.at(window, frame), theirs(again)[0][:, frame]
    torch.testing.assert_close(answer, wanted)
    pull = torch.randn_like(answer)
    # Twice, as for the balancing of gradients: the first pass must leave what the second needs.
    for _ in range(2):
        answer.backward(pull, retain_graph=True)
        wanted.backward(pull, retain_graph=True)
    torch.testing.assert_close(window.grad, again.grad)
    for (name, own), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.5])
def test_dropout_keeps_the_mean(probability: float) -> None:
    torch.manual_seed(0)
    dropped = drop(torch.ones(301, 333), probability)
    values = dropped.unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 1.0 / (1.0 - probability)]))
    assert float((dropped == 0.0).float().mean()) == pytest.approx(probability, abs=0.006)  # four deviations
    # Neighbours, whose bits are of one draw, know nothing of each other.
    pairs = (dropped[:, :-1] == 0.0) & (dropped[:, 1:] == 0.0)
    assert float(pairs.float().mean()) == pytest.approx(probability**2, abs=0.006)


def test_dropout_lies_between_the_layers_in_training_alone() -> None:
    torch.manual_seed(0)
    gru = GRU(3, 5, 2, batch_first=True, dropout=0.5)
    window = torch.randn(4, 6, 3)
    assert not torch.equal(gru.at(window, 5), gru.at(window, 5))
    gru.eval()
    torch.testing.assert_close(gru.at(window, 5), gru(window)[0][:, 5])


def test_what_it_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_first"):
        GRU(3, 5)
