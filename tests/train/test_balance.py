"""Adding up a loss: what is left out is left out, and what training finds by itself balances."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edge.errors import ConfigError
from train.balance import BALANCES, Gradient, create

SIZES = {"motion": 1e5, "force": 1e-3, "gap": 2.0}
ONES = dict.fromkeys(SIZES, 1.0)


def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 1, bias=False)


def terms_of(linear: nn.Linear) -> dict[str, Tensor]:
    """Terms of very different sizes, each with a gradient of its own."""
    return {name: size * (linear.weight[0, i] - 1.0) ** 2 for i, (name, size) in enumerate(SIZES.items())}


def test_fixed_weights_weigh() -> None:
    weights = {"motion": 3.0, "effort": 1000.0, "bounds": 500.0}
    terms = {"motion": torch.tensor(2.0), "effort": torch.tensor(0.5), "bounds": torch.tensor(0.1)}
    assert create("fixed", list(terms)).total(terms, weights, network()).item() == pytest.approx(556.0)


@pytest.mark.parametrize("name", BALANCES)
def test_a_term_without_weight_is_left_out(name: str) -> None:
    linear = network()
    terms = terms_of(linear) | {"force": torch.tensor(torch.nan)}
    total = create(name, list(SIZES)).total(terms, ONES | {"force": 0.0}, linear)
    total.backward()  # type: ignore[no-untyped-call]
    assert total.isfinite()
    assert linear.weight.grad is not None
    assert (linear.weight.grad[0, [0, 2]] != 0.0).all()
    assert linear.weight.grad[0, 1] == 0.0


@pytest.mark.parametrize("name", BALANCES)
def test_a_checkpoint_goes_on_as_if_nothing_had_been(name: str) -> None:
    linear, first, second = network(), create(name, list(SIZES)), create(name, list(SIZES))
    optimiser = torch.optim.Adam([*linear.parameters(), *first.parameters()], lr=0.05)
    for _ in range(12):
        optimiser.zero_grad()
        first.total(terms_of(linear), ONES, linear).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    second.load_state_dict(first.state_dict())
    for _ in range(9):
        assert first.total(terms_of(linear), ONES, linear) == second.total(terms_of(linear), ONES, linear)


def test_uncertainty_gives_each_term_the_weight_of_one_over_its_size() -> None:
    balance = create("uncertainty", list(SIZES))
    optimiser = torch.optim.Adam(balance.parameters(), lr=0.02)
    balance.total({name: torch.tensor(1.0) for name in SIZES}, ONES, network())  # the first batch's sizes tell nothing
    loss = {"motion": torch.tensor(30.0), "force": torch.tensor(1e-3), "gap": torch.tensor(0.0)}
    pulls = []
    for _ in range(200):
        optimiser.zero_grad()
        leaves = {name: term.clone().requires_grad_() for name, term in loss.items()}
        total = balance.total(leaves, ONES, network())
        total.backward()  # type: ignore[no-untyped-call]
        pulls = [
            leaf.grad * term for leaf, term in zip(leaves.values(), loss.values(), strict=True) if leaf.grad is not None
        ]
        optimiser.step()
    # Half of each, and of a term that is zero no more than a weight of ten thousand.
    assert [pull.item() for pull in pulls] == pytest.approx([0.5, 0.5, 0.0], abs=0.02)
    assert total.isfinite()


def test_uncertainty_starts_at_the_first_batch() -> None:
    linear = network()
    total = create("uncertainty", list(SIZES)).total(terms_of(linear), ONES, linear)
    total.backward()  # type: ignore[no-untyped-call]
    assert linear.weight.grad is not None
    wanted = [0.5 * 2.0 / (w - 1.0) for w in linear.weight[0, :3].tolist()]
    assert linear.weight.grad[0, :3].tolist() == pytest.approx(wanted, rel=1e-4)


def test_uncertainty_leaves_alone_what_is_known_beforehand() -> None:
    """With a variance of its own the effort would only shrink."""
    balance = create("uncertainty", ["motion", "effort"])
    optimiser = torch.optim.Adam(balance.parameters(), lr=0.02)
    effort = torch.tensor(0.2, requires_grad=True)
    for _ in range(50):
        optimiser.zero_grad()
        effort.grad = None
        weights = {"motion": 3.0, "effort": 1000.0}
        balance.total({"motion": torch.tensor(4.0), "effort": effort}, weights, network()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert effort.grad is not None
    assert effort.grad.item() == 0.5


def test_balanced_gradients_are_of_one_size() -> None:
    linear, balance = network(), create("gradient", list(SIZES))
    balance.total(terms_of(linear), ONES, linear).backward()  # type: ignore[no-untyped-call]
    assert linear.weight.grad is not None
    pull = linear.weight.grad[0, :3].abs()
    torch.testing.assert_close(pull, pull.mean().expand(3), rtol=1e-3, atol=0.0)
    assert isinstance(balance, Gradient)
    assert balance.found(ONES)[0] == 1.0


def test_a_term_that_does_not_pull_keeps_its_weight() -> None:
    linear, balance = network(), create("gradient", list(SIZES))
    idle = terms_of(linear) | {"gap": 0.0 * linear.weight.sum()}
    assert isinstance(balance, Gradient)
    assert balance.total(idle, ONES, linear).isfinite()
    assert balance.found(ONES | {"gap": 7.0})[2] == 7.0


def test_effort_and_bounds_are_not_balanced_but_weighed() -> None:
    linear, balance = network(), create("gradient", ["motion", "force", "effort", "bounds"])
    assert isinstance(balance, Gradient)
    weights = {"motion": 2.0, "force": 1.0, "effort": 100.0, "bounds": 50.0}
    size = linear.weight[0]
    balance.total({"motion": size[0], "force": 1e6 * size[1], "effort": size[2], "bounds": size[3]}, weights, linear)
    assert balance.found(weights) == pytest.approx([2.0, 2e-6, 100.0, 50.0], rel=1e-4)


def test_nothing_is_learned_where_nothing_is_trained() -> None:
    linear, balance = network(), create("gradient", list(SIZES))
    before = {name: value.clone() for name, value in balance.state_dict().items()}
    with torch.no_grad():
        balance.total(terms_of(linear), ONES, linear)
    assert all(torch.equal(before[name], value) for name, value in balance.state_dict().items())


def test_an_unknown_balance_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of fixed, uncertainty, gradient"):
        create("by hand", ["motion"])
