"""What a network must beat: nearest neighbours and kernel ridge on the same windows, followed by the same physics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

FloatArray = npt.NDArray[np.float64]

NEIGHBOURS = 3
_MOST_WINDOWS = 4000  # kernel ridge solves a system of this size; more are thinned evenly


@dataclass(frozen=True)
class Scaler:
    mean: FloatArray
    deviation: FloatArray

    @classmethod
    def of(cls, feature: FloatArray) -> Scaler:
        flat = feature.reshape(-1, feature.shape[-1])
        return cls(flat.mean(axis=0), np.maximum(flat.std(axis=0), 1e-9))

    def flatten(self, feature: FloatArray) -> FloatArray:
        return np.asarray(((feature - self.mean) / self.deviation).reshape(len(feature), -1))


def nearest_neighbours(train: FloatArray, wanted: FloatArray, test: FloatArray) -> FloatArray:
    """Mean answer of the NEIGHBOURS nearest training windows. train, test: (n, window, features); wanted: (n, outputs)."""
    scaler = Scaler.of(train)
    distance = cdist(scaler.flatten(test), scaler.flatten(train))
    nearest = np.argsort(distance, axis=1)[:, :NEIGHBOURS]
    return np.asarray(wanted[nearest].mean(axis=1))


def kernel_ridge(
    train: FloatArray,
    wanted: FloatArray,
    test: FloatArray,
    *,
    tune: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
) -> FloatArray:
    """Gaussian kernel ridge regression; width and ridge chosen on the training windows by `tune` = (fit, judge) masks."""
    thin = np.arange(0, len(train), max(-(-len(train) // _MOST_WINDOWS), 1))
    fit_mask, judge_mask = tune[0][thin], tune[1][thin]
    train, wanted = train[thin], wanted[thin]
    scaler = Scaler.of(train)
    x = scaler.flatten(train)
    mean, deviation = wanted.mean(axis=0), np.maximum(wanted.std(axis=0), 1e-12)
    y = (wanted - mean) / deviation
    square = cdist(x, x, "sqeuclidean")
    typical = float(np.median(square))
    best: tuple[float, float, float] | None = None
    for width in (0.25, 1.0, 4.0):
        kernel = np.exp(-square / (width * typical))
        for ridge in (1e-4, 1e-3, 1e-2, 1e-1):
            inner = kernel[np.ix_(fit_mask, fit_mask)]
            weights = np.linalg.solve(inner + ridge * np.eye(len(inner)), y[fit_mask])
            error = float(((kernel[np.ix_(judge_mask, fit_mask)] @ weights - y[judge_mask]) ** 2).mean())
            if best is None or error < best[0]:
                best = (error, width, ridge)
    assert best is not None
    _, width, ridge = best
    weights = np.linalg.solve(np.exp(-square / (width * typical)) + ridge * np.eye(len(x)), y)
    answer = np.exp(-cdist(scaler.flatten(test), x, "sqeuclidean") / (width * typical)) @ weights
    return np.asarray(answer * deviation + mean)
