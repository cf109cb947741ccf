from __future__ import annotations

import numpy as np

from train.baselines import NEIGHBOURS, KernelRidge, NearestNeighbours


def _problem(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, n)
    steps = phase[:, None] + np.linspace(0, 0.5, 6)
    feature = np.stack([np.sin(steps), np.cos(steps) * 100.0], axis=2)
    return feature, np.stack([np.sin(2 * phase), np.cos(phase) * 10.0], axis=1)


def test_nearest_neighbours_is_the_mean_of_the_nearest() -> None:
    feature, wanted = _problem(200, 0)
    answer = NearestNeighbours(feature, wanted).predict(feature[:3])
    spread = feature.reshape(-1, 2).std(axis=0)
    scaled = (feature / spread).reshape(200, -1)
    for i in range(3):
        nearest = np.argsort(((scaled - scaled[i]) ** 2).sum(axis=1))[:NEIGHBOURS]
        np.testing.assert_allclose(answer[i], wanted[nearest].mean(axis=0))


def test_kernel_ridge_learns_a_smooth_relation() -> None:
    feature, wanted = _problem(300, 0)
    test, truth = _problem(100, 1)
    half = np.arange(300) < 240
    answer = KernelRidge(feature, wanted, tune=(half, ~half)).predict(test)
    error = np.sqrt(((answer - truth) ** 2).mean(axis=0)) / truth.std(axis=0)
    assert error.max() < 0.01


def test_kernel_ridge_chooses_by_its_judge_and_sees_no_test() -> None:
    """Its weights are those of plain ridge regression in the kernel that the judging windows liked best."""
    feature, wanted = _problem(60, 0)
    wanted = wanted + np.random.default_rng(2).normal(size=wanted.shape)
    half = np.arange(60) < 40
    fitted = KernelRidge(feature, wanted, tune=(half, ~half))
    x = ((feature - feature.reshape(-1, 2).mean(axis=0)) / feature.reshape(-1, 2).std(axis=0)).reshape(60, -1)
    square = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    y = (wanted - wanted.mean(axis=0)) / wanted.std(axis=0)
    tried = {}
    for width in (0.25, 1.0, 4.0):
        kernel = np.exp(-square / (width * np.median(square)))
        for ridge in (1e-4, 1e-3, 1e-2, 1e-1):
            weights = np.linalg.solve(kernel[:40, :40] + ridge * np.eye(40), y[:40])
            whole = kernel @ np.linalg.solve(kernel + ridge * np.eye(60), y) * wanted.std(axis=0) + wanted.mean(axis=0)
            tried[float(((kernel[40:, :40] @ weights - y[40:]) ** 2).mean())] = whole
    np.testing.assert_allclose(fitted.predict(feature), tried[min(tried)], atol=1e-8)


def test_identical_windows_and_resting_features_do_no_harm() -> None:
    feature, wanted = np.ones((30, 6, 2)), np.ones((30, 2))
    half = np.arange(30) < 20
    for method in (NearestNeighbours(feature, wanted), KernelRidge(feature, wanted, tune=(half, ~half))):
        np.testing.assert_allclose(method.predict(feature[:2] + 0.1), 1.0)


def test_many_windows_are_taken_in_parts() -> None:
    feature, wanted = _problem(300, 0)
    test, _ = _problem(1100, 1)
    half = np.arange(300) < 240
    for method in (NearestNeighbours(feature, wanted), KernelRidge(feature, wanted, tune=(half, ~half))):
        whole = method.predict(test)
        assert whole.shape == (1100, 2)
        np.testing.assert_allclose(whole[700:703], method.predict(test[700:703]), atol=1e-9)


def test_fewer_windows_than_neighbours() -> None:
    feature, wanted = _problem(2, 0)
    np.testing.assert_allclose(NearestNeighbours(feature, wanted).predict(feature), [wanted.mean(axis=0)] * 2)
