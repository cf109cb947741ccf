"""How the terms of a loss are added up: with fixed weights, or with weights that training finds by itself.

A term whose given weight is zero is left out in every way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from edge.errors import ConfigError

_HASTE = 10.0  # of the uncertainties beside the network: at its pace they would not get anywhere
_FARTHEST = math.log(1e4)  # an uncertainty moves from its start: a term that is exactly zero would never let go
_KNOWN_BEFOREHAND = ("effort", "bounds")
_EVERY = 10  # totals between two looks at the gradients: each look costs a backward pass per term
_INERTIA = 0.9
_WIDEST = math.log(1e12)  # a found weight over the first, for gradients that are next to nothing


class Balance(nn.Module):
    """Adds up a loss. Its parameters are trained with the network's, without weight decay; its state belongs to a checkpoint."""

    def __init__(self, term_names: Sequence[str]) -> None:
        super().__init__()
        self.term_names = tuple(term_names)

    def total(self, terms: Mapping[str, Tensor], weights: Mapping[str, float], network: nn.Module) -> Tensor:
        """What to minimise. weights: of every term, as the loss gives them; network: whose gradients are to be balanced."""
        raise NotImplementedError

    def _present(self, weights: Mapping[str, float]) -> list[int]:
        return [i for i, name in enumerate(self.term_names) if weights[name] > 0.0]

    def _stacked(self, terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
        """All terms, zeros for those left out."""
        zero = torch.zeros_like(next(iter(terms.values())))
        return torch.stack([terms[name] if weights[name] > 0.0 else zero for name in self.term_names])


class Fixed(Balance):
    """The weights that the loss gives."""

    def total(self, terms: Mapping[str, Tensor], weights: Mapping[str, float], network: nn.Module) -> Tensor:
        return torch.stack(
            [weights[self.term_names[i]] * terms[self.term_names[i]] for i in self._present(weights)]
        ).sum()


class Uncertainty(Balance):
    """Each residual divided by a variance that is learned: sum (exp(-s) L + s) / 2, s = log sigma^2.

    Kendall, Gal & Cipolla 2018 (CVPR, Multi-task learning using uncertainty to weigh losses).
    At rest a residual's weight is one over its own size; training starts with that of the first batch. Effort and bounds are
    no residuals but what is known beforehand, of activations that are between 0 and 1: they count L / 2. With a variance of
    its own the effort would shrink without end, and the muscles rest. The given weights only say what is left out.
    """

    first: Tensor
    started: Tensor

    def __init__(self, term_names: Sequence[str]) -> None:
        super().__init__(term_names)
        self.change = nn.Parameter(torch.zeros(len(self.term_names)))
        self.register_buffer("first", torch.zeros(len(self.term_names)))
        self.register_buffer("started", torch.tensor(False))

    def total(self, terms: Mapping[str, Tensor], weights: Mapping[str, float], network: nn.Module) -> Tensor:
        loss = self._stacked(terms, weights)
        with torch.no_grad():
            if not self.started:
                self.first.copy_(torch.where(loss > 0.0, loss, 1.0).log())
                self.started.fill_(True)
            self.change.clamp_(-_FARTHEST / _HASTE, _FARTHEST / _HASTE)
        log_variance = self.first + _HASTE * self.change
        learned = torch.exp(-log_variance) * loss + log_variance
        return (
            0.5
            * torch.stack(
                [loss[i] if self.term_names[i] in _KNOWN_BEFOREHAND else learned[i] for i in self._present(weights)]
            ).sum()
        )


class Gradient(Balance):
    """All residuals pull on the network alike: as the first one does, each divided by the moving average of its gradient's norm.

    The inverse-norm annealing of Wang, Teng & Perdikaris 2021 (SIAM J. Sci. Comput. 43:A3055), like GradNorm (Chen et al.
    2018) without its rates of training. The first residual, effort and bounds keep their given weights: effort pulls against
    the residuals, and two that pull alike against each other rest wherever they meet. Of the others the given weights only
    say what is left out.
    """

    log_norm: Tensor
    seen: Tensor
    totals: Tensor

    def __init__(self, term_names: Sequence[str]) -> None:
        super().__init__(term_names)
        self.register_buffer("log_norm", torch.zeros(len(self.term_names)))
        self.register_buffer("seen", torch.zeros(len(self.term_names), dtype=torch.bool))
        self.register_buffer("totals", torch.tensor(0))

    def total(self, terms: Mapping[str, Tensor], weights: Mapping[str, float], network: nn.Module) -> Tensor:
        loss = self._stacked(terms, weights)
        if loss.requires_grad:
            if self.totals % _EVERY == 0:
                self._look(loss, self._residuals(weights), network)
            self.totals += 1
        found = self.found(weights)
        return torch.stack([found[i] * loss[i] for i in self._present(weights)]).sum()

    def found(self, weights: Mapping[str, float]) -> list[float]:
        """The weight of every term."""
        found = [weights[name] for name in self.term_names]
        residuals = self._residuals(weights)
        for i in residuals[1:]:
            if self.seen[residuals[0]] and self.seen[i]:
                times = float((self.log_norm[residuals[0]] - self.log_norm[i]).clamp(-_WIDEST, _WIDEST).exp())
                found[i] = found[residuals[0]] * times
        return found

    def _residuals(self, weights: Mapping[str, float]) -> list[int]:
        return [i for i in self._present(weights) if self.term_names[i] not in _KNOWN_BEFOREHAND]

    def _look(self, loss: Tensor, residuals: Sequence[int], network: nn.Module) -> None:
        if len(residuals) < 2:
            return
        parameters = [p for p in network.parameters() if p.requires_grad]
        for i in residuals:
            gradients = torch.autograd.grad(loss[i], parameters, retain_graph=True, allow_unused=True)
            norm = torch.stack([g.norm() for g in gradients if g is not None]).norm()
            if not (norm > 0.0 and norm.isfinite()):
                continue
            inertia = _INERTIA if self.seen[i] else 0.0
            self.log_norm[i] = inertia * self.log_norm[i] + (1.0 - inertia) * norm.log()
            self.seen[i] = True


_KINDS: Mapping[str, type[Balance]] = {"fixed": Fixed, "uncertainty": Uncertainty, "gradient": Gradient}
BALANCES = tuple(_KINDS)


def create(name: str, term_names: Sequence[str]) -> Balance:
    """One of BALANCES for terms of these names. Raises ConfigError."""
    if name not in _KINDS:
        raise ConfigError(f"there is no balance of losses '{name}': choose one of {', '.join(BALANCES)}")
    return _KINDS[name](term_names)
