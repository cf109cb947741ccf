"""Muscle-tendon lengths and moment arms from one set of coefficients.

The moment arm is minus the derivative of the length, r = -d l_mt / d q (An et al. 1984; Delp & Loan 1995), taken from the
same coefficients, so that the work of a muscle's force equals the work of its joint torques exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.msk.length_functions import FloatArray, IntArray, Length, LengthPolynomial, PolynomialTable, SplineTable

_BLOCK = 128  # states at a time: the tables of so many stay in the processor's cache, which halves the time


@dataclass(frozen=True)
class Geometry:
    """The lengths of all muscles of a model.

    Outside an angle's range a muscle goes on straight: its moment arms stay those at the range's end, where a polynomial
    would explode.
    """

    lower_rad: FloatArray  # (n_angles,)
    upper_rad: FloatArray  # (n_angles,)
    n_muscles: int
    polynomials: PolynomialTable
    polynomial_muscles: IntArray  # (n_polynomials,): places among all muscles
    splines: tuple[tuple[SplineTable, IntArray], ...]  # with the places of their muscles

    @classmethod
    def build(
        cls, angle_names: Sequence[str], lengths: Sequence[Length], lower_rad: FloatArray, upper_rad: FloatArray
    ) -> Geometry:
        """Lengths of the muscles over the angles `angle_names` with their ranges (n_angles,)."""
        polynomials = {i: length for i, length in enumerate(lengths) if isinstance(length, LengthPolynomial)}
        families: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
        for i, length in enumerate(lengths):
            if not isinstance(length, LengthPolynomial):
                angles = tuple(angle_names.index(a) for a in length.angles)
                families.setdefault((angles, length.intervals), []).append(i)
        return cls(
            np.asarray(lower_rad, dtype=np.float64),
            np.asarray(upper_rad, dtype=np.float64),
            len(lengths),
            PolynomialTable.build(angle_names, list(polynomials.values())),
            np.array(list(polynomials), dtype=np.intp),
            tuple(
                (
                    SplineTable.build(
                        angles, [s for i in members if not isinstance(s := lengths[i], LengthPolynomial)]
                    ),
                    np.array(members, dtype=np.intp),
                )
                for (angles, _), members in families.items()
            ),
        )

    def evaluate(self, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lengths (..., n_muscles) in m and moment arms (..., n_muscles, n_angles) in m at the angles q (..., n_angles)."""
        if q.ndim == 2 and len(q) > _BLOCK:
            blocks = [self.evaluate(q[start : start + _BLOCK]) for start in range(0, len(q), _BLOCK)]
            return np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])
        inside = np.clip(q, self.lower_rad, self.upper_rad)
        length = np.empty((*q.shape[:-1], self.n_muscles))
        arms = np.zeros((*length.shape, q.shape[-1]))
        if len(self.polynomial_muscles):
            values, *slopes = self.polynomials.evaluate(inside)
            length[..., self.polynomial_muscles] = values
            for j, slope in enumerate(slopes):
                arms[..., self.polynomial_muscles, j] = -slope
        for table, muscles in self.splines:
            values, *slopes = table.evaluate(inside, self.lower_rad, self.upper_rad)
            length[..., muscles] = values
            for j, slope in zip(table.angles, slopes, strict=True):
                arms[..., muscles, j] = -slope
        return length - np.matmul(arms, (q - inside)[..., None])[..., 0], arms
