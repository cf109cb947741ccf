"""The bundle that comes with the program: what it is made of, and what it is once it is there."""

from __future__ import annotations

import pytest

from edge.bundle import Bundle, packaged_bundles
from train.population import AGES_MS, SEEDS, people_plan, people_recipe


@pytest.mark.parametrize("age_ms", [*AGES_MS, None])
def test_every_variant_has_the_same_networks_from_several_starts(age_ms: float | None) -> None:
    plan = people_plan(age_ms, steps=5)
    assert plan.split == "people"
    assert [recipe.trainer.seed for recipe in plan.recipes] == list(SEEDS)
    assert {recipe.trainer.steps for recipe in plan.recipes} == {5}
    assert people_recipe(age_ms).causal is (age_ms is not None)


def test_the_packaged_bundle_can_do_every_age_and_zero_phase_inputs() -> None:
    assert "population" in packaged_bundles()
    bundle = Bundle.read("population")
    assert bundle.of_many
    assert bundle.novelty is not None
    for age_ms in AGES_MS:
        own = bundle.at(age_ms)
        assert own.age_s == pytest.approx(age_ms * 1e-3)
        assert own.bank is not None
        # Other people's, none of whom it was trained on.
        assert own.manifest.validation["activation_r2"] > 0.8
    assert bundle.at(zero_phase=True).manifest.validation["activation_r2"] > 0.85
