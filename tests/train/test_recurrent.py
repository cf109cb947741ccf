from __future__ import annotations

import pytest
import torch
from torch import nn

from train.recurrent import Recurrent


def _recurrent(cell: str, *, read: int, layers: int = 2, bidirectional: bool = True, dropout: float = 0.0) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(cell, 3, hidden=4, layers=layers, dropout=dropout, read=read, bidirectional=bidirectional)


@pytest.mark.parametrize("read", [0, 3, 6])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("cell", "reference"), [("gru", nn.GRU), ("lstm", nn.LSTM), ("rnn", nn.RNN)])
def test_one_step_is_as_of_the_whole_sequence(
    cell: str, reference: type[nn.RNNBase], bidirectional: bool, layers: int, read: int
) -> None:
    ours = _recurrent(cell, read=read, layers=layers, bidirectional=bidirectional)
    whole = reference(3, 4, layers, batch_first=True, bidirectional=bidirectional)
    whole.load_state_dict(ours.cells.state_dict())
    window = torch.randn(5, 7, 3)
    wanted = whole(window)[0][:, read]
    torch.testing.assert_close(ours(window), wanted)
    with torch.no_grad():  # not written by hand then
        torch.testing.assert_close(ours(window), wanted)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_dropout_between_layers_in_training_alone(cell: str) -> None:
    window = torch.randn(5, 7, 3)
    ours = _recurrent(cell, read=6, dropout=0.5)
    assert not torch.equal(ours(window), ours(window))
    ours.eval()
    torch.testing.assert_close(ours(window), ours(window), rtol=0, atol=0)
    torch.testing.assert_close(ours(window), _recurrent(cell, read=6)(window))
