"""Features laid over each other and told apart by phase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from demo_material import demo_material
from hypothesis import given, settings
from hypothesis import strategies as st

from train.experiments.recordings import walkers
from train.experiments.similarity import (
    cycle_phase,
    hidden_features,
    lay_out,
    mean_step,
    procrustes_similarity,
    separation,
)
from train.material import Material
from train.networks import create
from train.recipe import Recipe


def ring(points: int = 160, noise: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    phase = np.arange(points) / points
    draw = np.random.default_rng(0)
    around = np.stack([np.cos(2 * np.pi * phase), np.sin(2 * np.pi * phase), 0.0 * phase], axis=1)
    return around + draw.normal(0.0, noise, around.shape), phase


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(0.1, 50.0), st.integers(3, 6))
def test_place_size_rotation_and_empty_columns_do_not_count(seed: int, size: float, width: int) -> None:
    draw = np.random.default_rng(seed)
    cloud, _ = ring()
    turn = np.linalg.qr(draw.normal(size=(width, width)))[0]
    other = size * np.pad(cloud, ((0, 0), (0, width - 3))) @ turn + draw.normal(size=width)
    assert procrustes_similarity(cloud, other) == pytest.approx(1.0)
    assert procrustes_similarity(other, cloud) == pytest.approx(1.0)
    assert procrustes_similarity(cloud, draw.permutation(other)) < 0.3


def test_phases_are_told_apart_on_a_ring_and_not_in_noise() -> None:
    cloud, phase = ring()
    assert separation(cloud, phase) > 0.3
    assert separation(np.random.default_rng(1).normal(size=cloud.shape), phase) < 0.05


def test_what_lies_together_is_laid_out_together_the_same_every_time() -> None:
    near, far = (np.random.default_rng(k).normal(10.0 * k, 0.1, (12, 5)) for k in (0, 1))
    flat = lay_out(np.concatenate([near, far]), seed=3)
    assert flat.shape == (24, 2)
    assert np.ptp(flat[:12], axis=0).max() < np.linalg.norm(flat[:12].mean(axis=0) - flat[12:].mean(axis=0))
    np.testing.assert_array_equal(flat, lay_out(np.concatenate([near, far]), seed=3))


def test_features_are_those_of_the_windows_in_order() -> None:
    material = demo_material()
    network = create("bigru", features=material.windows.feature.shape[2], outputs=4, window=20, joints=3)
    features = hidden_features(network, material)
    assert features.shape == (len(material), 128)
    np.testing.assert_allclose(features.mean(axis=0), 0.0, atol=1e-9)
    assert (features**2).sum(axis=1).mean() == pytest.approx(1.0)
    step = mean_step(features, material)
    assert 0.0 < step < 0.2
    shuffled = features[np.random.default_rng(0).permutation(len(features))]
    assert mean_step(shuffled, material) == pytest.approx(1.0, abs=0.15)


def test_the_stride_runs_from_0_to_1(data: Path) -> None:
    material = Material.of(walkers(data, sides=("r",), subjects=("overground_s01",)), Recipe(causal=False))
    phase = cycle_phase(material)
    known = np.isfinite(phase)
    assert 0.4 < known.mean() < 0.95  # not before the first whole stride, not after the last
    assert phase[known].min() >= 0.0
    assert phase[known].max() < 1.0
    steps = np.diff(phase[known])
    assert np.median(steps) == pytest.approx(0.01 / 1.1, rel=0.2)  # of a stride of about 1.1 s
    assert 2 <= (steps < -0.5).sum() <= 5
