"""Recurrent layers read at one step of the window, of which no more is computed than that step needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from train.gru import GRU

_CELLS = {"gru": GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


class Recurrent(nn.Module):
    """Stacked GRU, LSTM or tanh layers: (batch, window, features) -> (batch, width), their output at step `read`.

    The last layer's forward direction ends at that step and its backward direction begins at the window's end, so with no
    look-ahead the latter is a single step, in training and in the exported graph alike.
    """

    def __init__(
        self,
        cell: str,
        features: int,
        *,
        hidden: int,
        layers: int,
        dropout: float,
        read: int,
        bidirectional: bool = True,
    ) -> None:
        """cell: gru, lstm or rnn; dropout: between layers; read: step of the window, from 0."""
        super().__init__()
        self.read = read
        self.width = (2 if bidirectional else 1) * hidden
        self.cells = _CELLS[cell](
            features,
            hidden,
            layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.register_buffer("rest", torch.zeros(1, 1, 1), persistent=False)

    rest: Tensor

    def forward(self, window: Tensor) -> Tensor:
        if window.is_cuda:  # cuDNN is fastest with its packed weights, all layers and steps at once
            whole: Tensor = self.cells(window)[0]
            return whole[:, self.read]
        if isinstance(self.cells, GRU) and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return self.cells.at(window, self.read)
        step = window.transpose(0, 1)
        for layer in range(self.cells.num_layers - 1):
            step = self._run(step, layer, ["", "_reverse"] if self.cells.bidirectional else [""])
            step = nn.functional.dropout(step, self.cells.dropout, self.training)
        top = self.cells.num_layers - 1
        read = [self._run(step[: self.read + 1], top, [""])[-1]]
        if self.cells.bidirectional:
            read.append(self._run(step[self.read :].flip(0), top, ["_reverse"])[-1])
        return torch.cat(read, dim=-1)

    def _run(self, step: Tensor, layer: int, directions: list[str]) -> Tensor:
        """One layer's output (steps, batch, directions x hidden) from a zero state."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [getattr(self.cells, f"{name}_l{layer}{way}") for way in directions for name in names]
        # Expanded from a buffer, it is a constant in the exported graph.
        state = self.rest.expand(len(directions), step.shape[1], self.cells.hidden_size).contiguous()
        # has biases, layers, dropout, training, bidirectional, batch first
        how = (True, 1, 0.0, self.training, len(directions) == 2, False)
        if isinstance(self.cells, nn.LSTM):
            output: Tensor = torch.lstm(step, (state, state), weights, *how)[0]
        elif isinstance(self.cells, nn.GRU):
            output = torch.gru(step, state, weights, *how)[0]
        else:
            output = torch.rnn_tanh(step, state, weights, *how)[0]
        return output
