"""From a material and a recipe to what is asked for: which losses and weights there are, whose body counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from demo_material import demo_material, without_row

from edge.bundle import Head
from edge.errors import ConfigError
from train.answers import truth_by_person
from train.losses import ActivationTarget, DualTarget, SupervisedTarget, TorqueTarget
from train.recipe import Recipe
from train.targets import LOSSES, loss_weights, target_of


def recipe(head: Head = "activation", loss: str = "normalised", effort_weight: float = 1.0, **weights: float) -> Recipe:
    return Recipe(head=head, loss=loss, weights=weights, effort_weight=effort_weight, causal=False)


def test_the_papers_weights() -> None:
    assert loss_weights(recipe(loss="ma2025-knee")) == {"motion": 1.0, "force": 1.0, "effort": 100.0, "bounds": 100.0}
    assert loss_weights(recipe(loss="ma2025-gait")) == {"motion": 3.0, "effort": 1000.0, "bounds": 500.0}


def test_every_weight_can_be_another() -> None:
    assert loss_weights(recipe(loss="ma2025-knee", effort=0.01, force=0.0)) == {
        "motion": 1.0,
        "force": 0.0,
        "effort": 0.01,
        "bounds": 100.0,
    }
    assert loss_weights(recipe(effort_weight=0.3))["effort"] == 0.3
    assert loss_weights(recipe(effort_weight=0.3, effort=0.2))["effort"] == 0.2
    assert LOSSES["activation"]["ma2025-knee"]["effort"] == 100.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (recipe("dual", "supervised"), "the head 'dual' has no loss 'supervised': choose one of normalised"),
        (recipe(loss="ma2025-gait", force=1.0), "no term 'force' to weigh: it has motion, effort, bounds"),
        (recipe(effort=-1.0), "must be zero or a positive number"),
        (recipe(effort=np.nan), "must be zero or a positive number"),
        (recipe("torque", motion=0.0), "every term .* has the weight zero"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Recipe, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        target_of(demo_material(), wrong)


def test_an_effort_below_the_first_power_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        target_of(demo_material(), recipe(loss="ma2025-knee"), exponent=0.5)


def test_torques_are_in_each_persons_own_unit() -> None:
    material = demo_material(mass_kg=(75.0, 150.0))
    halves = [torch.from_numpy(np.flatnonzero(material.people == name)) for name in ("75 kg", "150 kg")]
    torque, _ = target_of(material, recipe("torque"))
    dual, _ = target_of(material, recipe("dual"))
    assert isinstance(torque, TorqueTarget)
    assert isinstance(dual, DualTarget)
    assert all(len(own) > 50 for own in halves)
    scale = [dual.scale_nm[own].unique().item() for own in halves]
    assert scale[1] == pytest.approx(2.0 * scale[0])
    # Only the mass was doubled, not the limb: the same torque is half as large in the heavier person's unit.
    torch.testing.assert_close(torque.wanted[halves[0]], 2.0 * torque.wanted[halves[1]])


def test_residual_is_torque_without_the_contact_free_part() -> None:
    material = demo_material()
    torque, _ = target_of(material, recipe("torque"))
    residual, answers = target_of(material, recipe("residual"))
    assert isinstance(torque, TorqueTarget)
    assert isinstance(residual, TorqueTarget)
    assert answers is not None
    without = material.gather("contact_free") / material.scale_nm
    np.testing.assert_allclose((torque.wanted - residual.wanted).numpy(), without, atol=1e-6)
    torch.testing.assert_close(answers, residual.wanted)


def test_labels_are_the_reference() -> None:
    material = demo_material()
    target, _ = target_of(material, recipe(loss="supervised"))
    assert isinstance(target, SupervisedTarget)
    activation, force = truth_by_person(material.stretches, material.windows, recipe().mode)
    np.testing.assert_allclose(target.activation.numpy(), activation, atol=1e-6)
    strength = material.model.muscle_parameter("max_isometric_force_n")
    np.testing.assert_allclose(target.force.numpy(), force / strength, atol=1e-5)


def test_a_row_that_is_never_known_is_asked_nothing() -> None:
    material = without_row(demo_material(), 1)
    target, answers = target_of(material, recipe("torque"))
    assert isinstance(target, TorqueTarget)
    assert answers is not None
    assert (answers[:, 1] == 0.0).all()
    assert target.deviation.isfinite().all()
    assert (target.deviation > 0.0).all()


def test_half_known_rows_have_the_deviation_of_what_is_known() -> None:
    material = without_row(demo_material(), 1, every=2)
    target, answers = target_of(material, recipe("torque"))
    assert isinstance(target, TorqueTarget)
    assert answers is not None
    wanted = material.gather("torque")[:, 1] / material.scale_nm[:, 0]
    assert target.deviation[1].item() == pytest.approx(np.nanstd(wanted), rel=1e-4)
    assert answers[:, 1].mean().item() == pytest.approx(np.nanmean(wanted), rel=1e-4)


def test_a_row_that_hardly_changes_does_not_drown_the_others() -> None:
    material = demo_material()

    def held(torque: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.where(np.arange(torque.shape[1]) == 1, 5.0, torque)

    still = replace(material, stretches=tuple(replace(s, torque=held(s.torque)) for s in material.stretches))
    target, _ = target_of(still, recipe())
    assert isinstance(target, ActivationTarget)
    assert target.deviation_nm[1].item() == pytest.approx(1e-3 * target.deviation_nm.max().item())
