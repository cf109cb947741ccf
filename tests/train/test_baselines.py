from __future__ import annotations

import numpy as np

from train.baselines import NEIGHBOURS, kernel_ridge, nearest_neighbours


def _problem(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, n)
    steps = phase[:, None] + np.linspace(0, 0.5, 6)
    feature = np.stack([np.sin(steps), np.cos(steps) * 100.0], axis=2)
    return feature, np.stack([np.sin(2 * phase), np.cos(phase) * 10.0], axis=1)


def test_nearest_neighbours_is_the_mean_of_the_nearest() -> None:
    feature, wanted = _problem(200, 0)
    answer = nearest_neighbours(feature, wanted, feature[:3])
    spread = feature.reshape(-1, 2).std(axis=0)
    scaled = (feature / spread).reshape(200, -1)
    for i in range(3):
        nearest = np.argsort(((scaled - scaled[i]) ** 2).sum(axis=1))[:NEIGHBOURS]
        np.testing.assert_allclose(answer[i], wanted[nearest].mean(axis=0))


def test_kernel_ridge_learns_a_smooth_relation() -> None:
    feature, wanted = _problem(300, 0)
    test, truth = _problem(100, 1)
    half = np.arange(300) < 240
    answer = kernel_ridge(feature, wanted, test, tune=(half, ~half))
    error = np.sqrt(((answer - truth) ** 2).mean(axis=0)) / truth.std(axis=0)
    assert error.max() < 0.01
