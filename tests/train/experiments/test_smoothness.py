"""What is smooth and what trembles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from demo_material import demo_material

from edge.msk.hill import MuscleMode
from train.experiments.smoothness import jerk_ratio, pieces
from train.learning import truth


def test_the_truth_is_as_smooth_as_itself_a_tremble_is_not_and_half_of_it_is_smoother() -> None:
    material = demo_material()
    true = truth(material, MuscleMode.CORRECT)
    assert jerk_ratio(true, true, material) == pytest.approx(1.0)
    assert jerk_ratio(true, replace(true, activation=0.5 * true.activation + 0.1), material) == pytest.approx(0.25)
    noise = np.random.default_rng(0).normal(0.0, 0.02, true.activation.shape)
    assert jerk_ratio(true, replace(true, activation=true.activation + noise), material) > 10.0  # type: ignore[operator]


def test_a_gap_is_no_jerk() -> None:
    material = demo_material()
    kept = np.ones(len(material), dtype=bool)
    kept[40:45] = False
    part = material.take(np.flatnonzero(kept)[::-1])  # in whatever order
    found = list(pieces(part))
    assert [len(piece) for piece in found] == [40, len(material) - 45]
    assert all((np.diff(part.windows.frame[piece]) == 1).all() for piece in found)
    true = truth(part, MuscleMode.CORRECT)
    later = part.windows.frame > 42 + part.windows.frame.min()
    stepping = replace(true, activation=true.activation + later[:, None])
    assert jerk_ratio(true, stepping, part) == pytest.approx(1.0)
    every_other = material.take(np.arange(0, len(material), 2))
    assert jerk_ratio(true, true, every_other) is None
