"""Kernel ridge regression as a network: the baseline's answers, exported like any other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from demo_people import ZERO_PHASE, material_of

from edge.errors import ConfigError
from train.answers import wanted_answer
from train.baselines import KernelRidge
from train.estimates import tuning
from train.export import check_parity, to_onnx
from train.kernel import LEAST_RIDGE
from train.learning import learn
from train.material import Material

KERNEL = replace(ZERO_PHASE, architecture="kernel", sizes={"points": 150})


@pytest.mark.parametrize("points", [150, 5000], ids=["some of the windows", "all of them"])
def test_it_is_the_baseline(points: int) -> None:
    material = material_of("ab")
    learned = learn(material, replace(KERNEL, sizes={"points": points}))
    wanted = wanted_answer("residual", material.stretches, material.windows)
    baseline = KernelRidge(
        material.windows.feature, wanted, tune=tuning(material), most=points, least_ridge=LEAST_RIDGE
    )
    np.testing.assert_allclose(learned.answer(material), baseline.predict(material.windows.feature), atol=2e-4)
    assert learned.history.best_step == 0


def test_it_is_exported() -> None:
    recipe = replace(KERNEL, head="contact", signals="segments")
    material = material_of("a").seen(recipe)
    learned = learn(material, recipe)
    feature = material.windows.feature
    outputs = learned.network.outputs
    file = to_onnx(learned.network, window=feature.shape[1], features=feature.shape[2], outputs=outputs)
    assert check_parity(learned.network, file, feature[:20], outputs) < 1e-4


@pytest.mark.parametrize(
    ("head", "loss"), [("dual", "normalised"), ("activation", "ma2025-gait"), ("torque", "muscles")]
)
def test_what_it_cannot_answer_is_refused(head: str, loss: str) -> None:
    with pytest.raises(ConfigError, match="kernel ridge regression"):
        learn(material_of("a"), replace(KERNEL, head=head, loss=loss))  # type: ignore[arg-type]


def test_a_force_that_is_not_known_is_refused() -> None:
    known = material_of("a")
    unknown = tuple(replace(s, contact=np.full_like(s.contact, np.nan)) for s in known.stretches)
    with pytest.raises(ConfigError, match="known"):
        learn(Material(unknown, known.windows, known.banks), replace(KERNEL, head="contact"))
