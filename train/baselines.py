"""What a network must beat: nearest neighbours and kernel ridge on the same windows, followed by the same physics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NEIGHBOURS = 3
MOST_WINDOWS = 4000  # kernel ridge solves a system of this size; more are thinned evenly
_AT_ONCE = 512  # test windows compared with all training windows in one go, to bound the memory
_WIDTHS = (0.25, 1.0, 4.0)  # of the kernel, in median squared distances
_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Scaler:
    """Features in units of their own deviation over the training windows."""

    mean: FloatArray
    deviation: FloatArray

    @classmethod
    def of(cls, feature: FloatArray) -> Scaler:
        flat = feature.reshape(-1, feature.shape[-1])
        deviation = flat.std(axis=0)
        # A feature that stands still in training says nothing; in units of its rounding errors it would say everything.
        return cls(flat.mean(axis=0), np.where(deviation > 1e-9, deviation, 1.0))

    def flatten(self, feature: FloatArray) -> FloatArray:
        return np.asarray(((feature - self.mean) / self.deviation).reshape(len(feature), -1))


class NearestNeighbours:
    """Mean answer of the NEIGHBOURS nearest training windows. feature: (n, window, features); wanted: (n, outputs)."""

    def __init__(self, feature: FloatArray, wanted: FloatArray) -> None:
        self._scaler = Scaler.of(feature)
        self._known = self._scaler.flatten(feature)
        self._wanted = wanted

    def predict(self, feature: FloatArray) -> FloatArray:
        """Answers (n, outputs) to windows (n, window, features)."""
        count = min(NEIGHBOURS, len(self._known))

        def answer(part: FloatArray) -> FloatArray:
            square = _square_distances(self._scaler.flatten(part), self._known)
            nearest = np.argpartition(square, count - 1, axis=1)[:, :count]
            return np.asarray(self._wanted[nearest].mean(axis=1))

        return _in_parts(answer, feature)


class KernelRidge:
    """Gaussian kernel ridge regression; width and ridge chosen on the training windows by `tune` = (fit, judge) masks.

    most: so many windows it remembers; of more it takes some evenly. least_ridge: what rounding at its use allows.
    """

    def __init__(
        self,
        feature: FloatArray,
        wanted: FloatArray,
        *,
        tune: tuple[Mask, Mask],
        most: int = MOST_WINDOWS,
        least_ridge: float = 0.0,
    ) -> None:
        thin = np.linspace(0, len(feature) - 1, min(len(feature), most)).astype(int)
        fit, judge = (np.flatnonzero(mask[thin]) for mask in tune)
        self.scaler = Scaler.of(feature[thin])
        self.known = self.scaler.flatten(feature[thin])
        self.mean = wanted[thin].mean(axis=0)
        self.deviation = np.maximum(wanted[thin].std(axis=0), 1e-12)
        y = (wanted[thin] - self.mean) / self.deviation
        square = _square_distances(self.known, self.known)
        typical = max(float(np.median(square)), 1e-12)
        best: tuple[float, float, float] | None = None
        for width in _WIDTHS:
            inner = np.exp(-square[np.ix_(fit, fit)] / (width * typical))
            across = np.exp(-square[np.ix_(judge, fit)] / (width * typical))
            for ridge in (own for own in _RIDGES if own >= least_ridge):
                error = float(((across @ _ridge_weights(inner, ridge, y[fit]) - y[judge]) ** 2).mean())
                if best is None or error < best[0]:
                    best = (error, width, ridge)
        assert best is not None
        self.scale = best[1] * typical
        self.weights = _ridge_weights(np.exp(-square / self.scale), best[2], y)

    def predict(self, feature: FloatArray) -> FloatArray:
        """Answers (n, outputs) to windows (n, window, features)."""

        def answer(part: FloatArray) -> FloatArray:
            square = _square_distances(self.scaler.flatten(part), self.known)
            return np.asarray(np.exp(-square / self.scale) @ self.weights * self.deviation + self.mean)

        return _in_parts(answer, feature)


def _ridge_weights(kernel: FloatArray, ridge: float, y: FloatArray) -> FloatArray:
    """(K + ridge I)^-1 y. The kernel's diagonal is 1, so that the least ridge is far above rounding."""
    system = kernel.copy()
    system[np.diag_indices_from(system)] += ridge
    return np.asarray(cho_solve(cho_factor(system, overwrite_a=True, check_finite=False), y))


def _square_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """Squared distances (len(a), len(b)) by one matrix product, many times faster than pair by pair."""
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * (a @ b.T)
    return np.asarray(np.maximum(square, 0.0))


def _in_parts(answer: Callable[[FloatArray], FloatArray], feature: FloatArray) -> FloatArray:
    return np.concatenate([answer(feature[i : i + _AT_ONCE]) for i in range(0, len(feature), _AT_ONCE)])
