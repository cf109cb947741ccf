"""A cubic spline with two derivatives: how a joint centre moves with the joint angle."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def _knot_slopes(x: FloatArray, y: FloatArray) -> FloatArray:
    """Slopes at the knots of the natural cubic spline through (x, y): continuous second derivative, zero at both ends."""
    n = len(x)
    h = np.diff(x)
    secant = np.diff(y, axis=0) / h[:, None]
    matrix = np.zeros((n, n))
    right = np.zeros((n, y.shape[1]))
    matrix[0, :2] = (2.0, 1.0)
    right[0] = 3.0 * secant[0]
    matrix[-1, -2:] = (1.0, 2.0)
    right[-1] = 3.0 * secant[-1]
    for i in range(1, n - 1):
        matrix[i, i - 1 : i + 2] = (h[i], 2.0 * (h[i - 1] + h[i]), h[i - 1])
        right[i] = 3.0 * (h[i] * secant[i - 1] + h[i - 1] * secant[i])
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Spline:
    """Natural cubic spline through `values` at `knots`, continued as a straight line outside them.

    knots: (k,) increasing; values: (k, d). One knot means a constant.
    """

    knots: FloatArray
    values: FloatArray
    _coefficients: FloatArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (
            self.knots.ndim != 1
            or len(self.knots) == 0
            or self.values.shape[:1] != self.knots.shape
            or self.values.ndim != 2
        ):
            raise ValueError("knots must be (k,) and values (k, d), k at least 1")
        if not (np.all(np.isfinite(self.knots)) and np.all(np.isfinite(self.values))):
            raise ValueError("knots and values must be finite")
        if np.any(np.diff(self.knots) <= 0):
            raise ValueError("knots must increase")
        # One row of (c0, c1, c2, c3) per interval, with a straight interval before and one after the knots, so that
        # an evaluation is one table look-up without special cases.
        x, y = self.knots, self.values
        k, d = y.shape
        table = np.zeros((k + 1, 4, d))
        if k == 1:
            table[:, 0] = y[0]
        else:
            slopes = _knot_slopes(x, y)
            h = np.diff(x)[:, None]
            secant = np.diff(y, axis=0) / h
            table[0, 0], table[0, 1] = y[0], slopes[0]
            table[1:k, 0] = y[:-1]
            table[1:k, 1] = slopes[:-1]
            table[1:k, 2] = (3.0 * secant - 2.0 * slopes[:-1] - slopes[1:]) / h
            table[1:k, 3] = (slopes[:-1] + slopes[1:] - 2.0 * secant) / h**2
            table[k, 0], table[k, 1] = y[-1], slopes[-1]
        object.__setattr__(self, "_coefficients", table)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spline):
            return NotImplemented
        return np.array_equal(self.knots, other.knots) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.knots.tobytes(), self.values.tobytes()))

    def evaluate(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Value, first and second derivative at `x` of shape (...); each of shape (..., d)."""
        interval = np.searchsorted(self.knots, x, side="right")
        start = self.knots[np.maximum(interval - 1, 0)]
        u = (x - start)[..., None]
        c = self._coefficients[interval]
        c0, c1, c2, c3 = c[..., 0, :], c[..., 1, :], c[..., 2, :], c[..., 3, :]
        return c0 + u * (c1 + u * (c2 + u * c3)), c1 + u * (2.0 * c2 + 3.0 * u * c3), 2.0 * c2 + 6.0 * u * c3
