"""What every loss must be: zero where static optimisation is, smaller after training, blind to what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from demo_material import demo_material, without_row
from torch import Tensor, nn

from edge.bundle import Head
from edge.msk.hill import HillMuscles
from edge.msk.staticopt import share_torque
from train.balance import create
from train.losses import PapersTarget, Target
from train.material import Material
from train.recipe import Recipe
from train.targets import LOSSES, target_of

CASES = [(head, loss) for head, losses in LOSSES.items() for loss in losses]
TERMS = [(head, loss, term) for head, losses in LOSSES.items() for loss, terms in losses.items() for term in terms]


def recipe(head: Head, loss: str, **weights: float) -> Recipe:
    return Recipe(head=head, loss=loss, weights=weights, causal=False)


def some(material: Material) -> Tensor:
    return torch.arange(0, len(material), 3)


def gradients(target: Target, answer: Tensor, which: Tensor, weights: dict[str, float] | None = None) -> Tensor:
    answer = answer.clone().requires_grad_()
    terms = target.loss(answer, which)
    balance = create("fixed", list(terms))
    balance.total(terms, target.weights if weights is None else weights, nn.Identity()).backward()  # type: ignore[no-untyped-call]
    assert answer.grad is not None
    return answer.grad


def solution(head: Head, material: Material) -> Tensor:
    """What a network should answer, by static optimisation."""
    stretch, frame = material.stretches[0], material.windows.frame
    torque = stretch.torque[frame]
    muscles = HillMuscles.of(stretch.trial.model)
    found = share_torque(muscles, stretch.motion.q[frame], stretch.motion.qd[frame], torque)
    scale = stretch.trial.model.torque_scale_nm
    answers = {
        "torque": torque / scale,
        "residual": (torque - stretch.contact_free[frame]) / scale,
        "contact": stretch.contact[frame],
        "dual": found.multiplier * scale,
        "activation": np.hstack([found.activation, found.force_n / muscles.max_force_n]),
    }
    return torch.from_numpy(answers[head].astype(np.float32))


def light_knee() -> Material:
    """A knee whose torque all muscles at a fifth would give: walking's is more than five muscles can carry."""
    material = demo_material("knee5")
    light = [
        replace(s, torque=s.passive_torque + 0.2 * s.torque_per_activation.sum(axis=2)) for s in material.stretches
    ]
    return replace(material, stretches=tuple(light))


# A knee's labels know the hip, which the device does not; its light torque is not what the measured contact makes.
@pytest.mark.parametrize(
    ("head", "loss", "model"),
    [(*case, "leg9") for case in CASES]
    + [(*case, "knee5") for case in CASES if case[0] != "contact" and case[1] != "supervised"],
)
def test_the_physics_are_fulfilled_where_static_optimisation_is(head: Head, loss: str, model: str) -> None:
    material = light_knee() if model == "knee5" else demo_material()
    target, _ = target_of(material, recipe(head, loss))
    terms = target.loss(solution(head, material)[:, : target.outputs], torch.arange(len(material)))
    assert set(terms) == set(LOSSES[head][loss]) == set(target.weights)
    for name in set(terms) - {"effort"}:
        # Single precision, and the reserves of up to a few hundredths of a Nm.
        assert abs(terms[name].item()) < (1e-2 if loss.startswith("ma2025") else 1e-5), name


@pytest.mark.parametrize(("head", "loss"), CASES)
def test_gradients_are_finite_everywhere(head: Head, loss: str) -> None:
    material = demo_material()
    target, _ = target_of(material, recipe(head, loss))
    which = some(material)
    shape = (len(which), target.outputs)
    bounded = [torch.zeros(shape), torch.ones(shape)]
    for answer in bounded if head == "activation" else [*bounded, torch.full(shape, -30.0)]:
        gradient = gradients(target, answer, which)
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0.0


class Small(nn.Module):
    """From the last frame of a window."""

    def __init__(self, features: Tensor, outputs: int, answers: Tensor | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.bounded = answers is None
        self.mean, self.deviation = features.mean(dim=0), features.std(dim=0) + 1e-6
        self.answer_mean = torch.zeros(outputs) if answers is None else answers.mean(dim=0)
        self.answer_deviation = torch.ones(outputs) if answers is None else answers.std(dim=0)
        self.layers = nn.Sequential(nn.Linear(features.shape[1], 16), nn.Tanh(), nn.Linear(16, outputs))

    def forward(self, features: Tensor) -> Tensor:
        raw: Tensor = self.layers((features - self.mean) / self.deviation)
        return torch.sigmoid(raw) if self.bounded else raw * self.answer_deviation + self.answer_mean


def train(head: Head, loss: str, weights: dict[str, float], balance: str = "fixed") -> Iterator[dict[str, float]]:
    """The terms, step by step."""
    material = demo_material()
    target, answers = target_of(material, recipe(head, loss, **weights))
    features = torch.from_numpy(material.windows.feature[:, -1].astype(np.float32))
    network = Small(features, target.outputs, answers)
    adding_up = create(balance, list(target.weights))
    optimiser = torch.optim.Adam([*network.parameters(), *adding_up.parameters()], lr=0.02)
    which = torch.arange(len(material))
    for _ in range(40):
        terms = target.loss(network(features), which)
        optimiser.zero_grad()
        adding_up.total(terms, target.weights, network).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        yield {name: term.item() for name, term in terms.items()}


@pytest.mark.parametrize(("head", "loss", "term"), [t for t in TERMS if t[2] != "bounds"])
def test_training_makes_each_term_smaller(head: Head, loss: str, term: str) -> None:
    alone = {other: float(other == term) for other in LOSSES[head][loss]}
    steps = list(train(head, loss, alone))
    assert steps[-1][term] < 0.5 * steps[0][term]


@pytest.mark.parametrize("balance", ["uncertainty", "gradient"])
def test_training_with_a_balance_fulfils_the_physics(balance: str) -> None:
    steps = list(train("activation", "ma2025-knee", {}, balance))
    assert steps[-1]["motion"] < 0.5 * steps[0]["motion"]
    assert steps[-1]["force"] < 0.5 * steps[0]["force"]


def test_bounds_pull_back_what_leaves_them() -> None:
    material = demo_material()
    target, _ = target_of(material, recipe("activation", "normalised", motion=0.0, effort=0.0))
    answer = torch.full((1, target.outputs), 0.5)
    answer[0, :3] = torch.tensor([0.0, 0.01, 1.2])
    gradient = gradients(target, answer, torch.tensor([0]))[0]
    assert gradient[0] < 0.0 < gradient[2]
    assert (gradient[[1, *range(3, len(gradient))]] == 0.0).all()


def test_the_papers_loss_with_a_reserve_of_one_newtonmetre_is_static_optimisation() -> None:
    """Terms in Nm^2 and summed over the muscles: with equal weights the least loss is the QP's solution with rho = 1 Nm."""
    material = demo_material()
    target, _ = target_of(material, recipe("activation", "ma2025-gait", motion=1.0, effort=1.0, bounds=0.0))
    answer = solution("activation", material)[:, : target.outputs]
    slope = gradients(target, answer, torch.arange(len(material))) * len(material)
    free = answer > 0.0101
    assert free.float().mean() > 0.2
    assert slope[free].abs().max() < 0.05
    assert slope[~free].min() > -0.05
    # The least torque error or effort beside it is felt.
    assert gradients(target, answer + 0.01, torch.arange(len(material))).abs().max() * len(material) > 1.0


@pytest.mark.parametrize(("head", "loss", "term"), TERMS)
def test_a_term_without_weight_does_not_pull(head: Head, loss: str, term: str) -> None:
    material = demo_material()
    target, _ = target_of(material, recipe(head, loss))
    which = some(material)
    torch.manual_seed(1)
    answer = 1.2 * torch.rand(len(which), target.outputs) - 0.1
    alone = {other: float(other == term) for other in target.weights}
    pull = gradients(target, answer, which, alone)
    assert pull.abs().max() > 0.0
    if len(alone) > 1:
        without = {**target.weights, term: 0.0}
        both = gradients(target, answer, which)
        rest = gradients(target, answer, which, without)
        torch.testing.assert_close(
            both - target.weights[term] * pull, rest, rtol=1e-3, atol=1e-3 * float(both.abs().max())
        )


@pytest.mark.parametrize(("head", "loss"), [c for c in CASES if c[1] != "supervised"])
@pytest.mark.parametrize("every", [1, 2])
def test_a_torque_that_is_not_known_counts_for_nothing(head: Head, loss: str, every: int) -> None:
    material = without_row(demo_material(), 0, every)
    target, answers = target_of(material, recipe(head, loss))
    assert answers is None or answers.isfinite().all()
    unknown = torch.from_numpy(np.flatnonzero(np.isnan(material.gather("torque")[:, 0])))
    assert len(unknown) == pytest.approx(len(material) / every, abs=1)
    torch.manual_seed(0)
    answer = torch.rand(len(unknown), target.outputs)
    terms = target.loss(answer, unknown)
    assert all(term.isfinite() for term in terms.values())
    gradient = gradients(target, answer, unknown)
    assert gradient.isfinite().all()
    if head in ("torque", "residual"):
        assert (gradient[:, 0] == 0.0).all()
        assert (gradient[:, 1:].abs().max(dim=0).values > 0.0).all()
    if loss == "fenchel-young":  # the row's multiplier is to be zero, as in static optimisation without the row
        assert (gradient[:, 0] > 0.0).all()


@pytest.mark.parametrize("head", ["torque", "dual", "activation"])
def test_known_rows_count_as_if_the_others_were_not_there(head: Head) -> None:
    material, whole = without_row(demo_material(), 1), demo_material()
    loss = "ma2025-gait" if head == "activation" else "normalised"
    some_rows, _ = target_of(material, recipe(head, loss))
    all_rows, _ = target_of(whole, recipe(head, loss))
    answer = solution(head, whole)[:, : all_rows.outputs] + 0.1
    which = torch.arange(len(whole))
    missing = some_rows.loss(answer, which)["motion"].item()
    assert missing > 0.0
    assert missing != pytest.approx(all_rows.loss(answer, which)["motion"].item(), rel=1e-3)


def test_labels_do_without_the_rows_that_are_not_known() -> None:
    material = without_row(demo_material(), 2)
    target, _ = target_of(material, recipe("activation", "supervised"))
    terms = target.loss(torch.rand(len(material), target.outputs), torch.arange(len(material)))
    assert all(term.isfinite() for term in terms.values())


@pytest.mark.parametrize(("head", "loss"), CASES)
def test_a_target_moves_to_another_device_whole(head: Head, loss: str) -> None:
    target, _ = target_of(demo_material(), recipe(head, loss))
    moved = target.to("meta")
    answer = torch.zeros(2, target.outputs, device="meta")
    if loss != "muscles":  # the layer computes
        assert all(term.is_meta for term in moved.loss(answer, torch.tensor([0, 1], device="meta")).values())
    assert moved.outputs == target.outputs
    assert moved.weights == target.weights


def test_the_exponent_of_the_effort_is_the_papers_beta() -> None:
    material = demo_material()
    target, _ = target_of(material, recipe("activation", "ma2025-gait"), exponent=3.0)
    assert isinstance(target, PapersTarget)
    effort = target.loss(torch.full((4, target.outputs), 0.5), torch.arange(4))["effort"]
    assert effort.item() == pytest.approx(target.outputs * 0.125)
    assert replace(target, exponent=2.0).loss(torch.full((1, 9), 0.5), torch.tensor([0]))["effort"].item() == 2.25
