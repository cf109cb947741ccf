"""Functions of a few angles that give a muscle's length, and tables that evaluate those of many muscles at once.

A length is a polynomial in the angles that the muscle crosses, or, where via points and wrapping surfaces make kinks that
no polynomial follows, a tensor product of uniform cubic B-splines (de Boor 1978).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_ORDER = 4  # of a cubic B-spline: functions that are not zero within one interval


@dataclass(frozen=True)
class LengthPolynomial:
    """l_mt (m) as a sum over all monomials of the crossed angles (rad) up to a total degree.

    `coefficients_m` follow `monomial_exponents(len(angles), degree)`.
    """

    angles: tuple[str, ...]
    degree: int
    coefficients_m: tuple[float, ...]


@dataclass(frozen=True)
class LengthSpline:
    """l_mt (m) as a tensor product of uniform cubic B-splines over the ranges of the crossed angles.

    Angle j has `intervals[j]` intervals and intervals[j] + 3 functions; `coefficients_m` is the table of their products,
    last angle fastest.
    """

    angles: tuple[str, ...]
    intervals: tuple[int, ...]
    coefficients_m: tuple[float, ...]


Length = LengthPolynomial | LengthSpline


def monomial_exponents(n_angles: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """Exponents of all monomials in `n_angles` angles up to a total degree, lowest degree first."""
    if n_angles == 1:
        return tuple((e,) for e in range(degree + 1))
    found = [(first, *rest) for first in range(degree + 1) for rest in monomial_exponents(n_angles - 1, degree - first)]
    return tuple(sorted(found, key=lambda e: (sum(e), e)))


def spline_shape(intervals: Sequence[int]) -> tuple[int, ...]:
    """Number of cubic B-splines over so many intervals of each angle."""
    return tuple(n + _ORDER - 1 for n in intervals)


def b_splines(x: FloatArray, low: float, high: float, intervals: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """The four cubic B-splines of a uniform grid that are not zero at x (...) within it.

    Returns their indices, values and derivatives, each (..., 4).
    """
    width = (high - low) / intervals
    place = (x - low) / width
    first = np.clip(np.floor(place), 0, intervals - 1)
    u = place - first
    v = 1.0 - u
    # Products, not powers: the power function rounds differently for one number and for many.
    u2, v2 = u * u, v * v
    values = np.stack([v2 * v, 3.0 * u2 * u - 6.0 * u2 + 4.0, 3.0 * v2 * v - 6.0 * v2 + 4.0, u2 * u], axis=-1)
    slopes = np.stack([-v2, 3.0 * u2 - 4.0 * u, 4.0 * v - 3.0 * v2, u2], axis=-1)
    return first.astype(np.intp)[..., None] + np.arange(_ORDER), values / 6.0, slopes / (2.0 * width)


def _per_state(values: FloatArray, coefficients: FloatArray) -> FloatArray:
    """values (..., n_terms) @ coefficients, one state at a time and always by the same routine: a product over all states at
    once rounds differently for each number of them, and a replay or an evaluation must give the bits of the live run."""
    product: FloatArray = np.matmul(np.ascontiguousarray(values)[..., None, :], coefficients)[..., 0, :]
    return product


def products(factors: Sequence[FloatArray], slopes: Sequence[FloatArray]) -> list[FloatArray]:
    """The product of all factors, and for each of them the product with its slope in its place."""
    behind = [factors[-1]]
    for factor in factors[-2:0:-1]:
        behind.append(factor * behind[-1])
    behind.reverse()  # behind[j] is the product of the factors j + 1 and later
    found = [factors[0] * behind[0]] if len(factors) > 1 else [factors[0]]
    before: FloatArray | None = None
    for j, slope in enumerate(slopes):
        term = slope if before is None else before * slope
        found.append(term * behind[j] if j + 1 < len(factors) else term)
        before = factors[j] if before is None else before * factors[j]
    return found


@dataclass(frozen=True)
class PolynomialTable:
    """Polynomials of many muscles over one common table of monomials."""

    exponents: IntArray  # (n_terms, n_angles)
    coefficients: FloatArray  # (n_terms, n_muscles)

    @classmethod
    def build(cls, angle_names: Sequence[str], lengths: Sequence[LengthPolynomial]) -> PolynomialTable:
        table: dict[tuple[int, ...], int] = {}
        entries: list[tuple[int, int, float]] = []
        for muscle, length in enumerate(lengths):
            places = [angle_names.index(a) for a in length.angles]
            exponents = monomial_exponents(len(places), length.degree)
            for exponent, coefficient in zip(exponents, length.coefficients_m, strict=True):
                term = [0] * len(angle_names)
                for place, e in zip(places, exponent, strict=True):
                    term[place] = e
                entries.append((table.setdefault(tuple(term), len(table)), muscle, coefficient))
        coefficients = np.zeros((len(table), len(lengths)))
        for row, muscle, coefficient in entries:
            coefficients[row, muscle] += coefficient
        return cls(np.array(list(table), dtype=np.intp).reshape(len(table), len(angle_names)), coefficients)

    def evaluate(self, q: FloatArray) -> list[FloatArray]:
        """Lengths (..., n_muscles), then their derivative by each angle of q (..., n_angles)."""
        highest = int(self.exponents.max(initial=0))
        powers = np.ones((*q.shape, highest + 1))
        for e in range(1, highest + 1):
            powers[..., e] = powers[..., e - 1] * q
        factors, slopes = [], []
        for j in range(q.shape[-1]):
            column = self.exponents[:, j]
            factors.append(powers[..., j, column])
            slopes.append(powers[..., j, np.maximum(column - 1, 0)] * column.astype(np.float64))
        return [_per_state(term, self.coefficients) for term in products(factors, slopes)]


@dataclass(frozen=True)
class SplineTable:
    """Tensor-product splines of the muscles that cross the same angles on the same grid."""

    angles: tuple[int, ...]  # indices of the crossed angles
    intervals: tuple[int, ...]
    coefficients: FloatArray  # (n_terms, n_muscles)

    @classmethod
    def build(cls, angles: tuple[int, ...], lengths: Sequence[LengthSpline]) -> SplineTable:
        return cls(angles, lengths[0].intervals, np.stack([length.coefficients_m for length in lengths], axis=1))

    def evaluate(self, q: FloatArray, low: FloatArray, high: FloatArray) -> list[FloatArray]:
        """Lengths (..., n_muscles), then their derivative by each crossed angle; q (..., n_angles) within low and high."""
        shape, dimensions = spline_shape(self.intervals), len(self.angles)
        place: IntArray = np.zeros((*q.shape[:-1], *(1,) * dimensions), dtype=np.intp)
        factors, slopes = [], []
        for k, j in enumerate(self.angles):
            index, value, slope = b_splines(q[..., j], low[j], high[j], self.intervals[k])
            # One axis of four for each angle, so that products of them are all products.
            axes = (..., *(slice(None) if i == k else None for i in range(dimensions)))
            place = place + index[axes] * math.prod(shape[k + 1 :])
            factors.append(value[axes])
            slopes.append(slope[axes])
        flat = (*q.shape[:-1], _ORDER**dimensions)
        some = self.coefficients[place.reshape(flat)]
        full = (*q.shape[:-1], *(_ORDER,) * dimensions)
        return [_per_state(np.broadcast_to(term, full).reshape(flat), some) for term in products(factors, slopes)]
