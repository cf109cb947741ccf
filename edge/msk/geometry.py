"""Muscle-tendon lengths and moment arms from one set of polynomial coefficients.

The moment arm is minus the derivative of the length, r = -d l_mt / d q (Delp & Loan 1995; An et al. 1984), taken from the
same coefficients, so that the work of a muscle's force equals the work of its joint torques exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class LengthPolynomial:
    """l_mt (m) = sum_k coefficients_m[k] * prod_j q_j ** exponents[k][j] over the joints that the muscle crosses (rad)."""

    joints: tuple[str, ...]
    exponents: tuple[tuple[int, ...], ...]
    coefficients_m: tuple[float, ...]


@dataclass(frozen=True)
class Geometry:
    """All muscles of a model over one common table of monomials, so that a state costs two small matrix products."""

    exponents: IntArray  # (n_monomials, n_joints)
    coefficients: FloatArray  # (n_monomials, n_muscles)
    _reduced: IntArray  # (n_joints, n_monomials, n_joints): exponents of d monomial / d q_j

    @classmethod
    def build(cls, joint_names: Sequence[str], lengths: Sequence[LengthPolynomial]) -> Geometry:
        table: dict[tuple[int, ...], int] = {}
        entries: list[tuple[int, int, float]] = []
        for muscle, poly in enumerate(lengths):
            places = [joint_names.index(j) for j in poly.joints]
            for exponent, coefficient in zip(poly.exponents, poly.coefficients_m, strict=True):
                full = [0] * len(joint_names)
                for place, e in zip(places, exponent, strict=True):
                    full[place] = e
                entries.append((table.setdefault(tuple(full), len(table)), muscle, coefficient))
        exponents = np.array(list(table), dtype=np.intp).reshape(len(table), len(joint_names))
        coefficients = np.zeros((len(table), len(lengths)))
        for monomial, muscle, coefficient in entries:
            coefficients[monomial, muscle] += coefficient
        reduced = np.repeat(exponents[None], len(joint_names), axis=0)
        for j in range(len(joint_names)):
            reduced[j, :, j] = np.maximum(reduced[j, :, j] - 1, 0)
        return cls(exponents, coefficients, reduced)

    def evaluate(self, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lengths (..., n_muscles) in m and moment arms (..., n_muscles, n_joints) in m at the angles q (..., n_joints)."""
        n_joints = q.shape[-1]
        powers = np.ones((*q.shape, int(self.exponents.max()) + 1))
        for e in range(1, powers.shape[-1]):
            powers[..., e] = powers[..., e - 1] * q
        monomials = powers[..., 0, self.exponents[:, 0]]
        for j in range(1, n_joints):
            monomials = monomials * powers[..., j, self.exponents[:, j]]
        length: FloatArray = _per_state(monomials, self.coefficients)
        arms = np.empty((*length.shape, n_joints))
        for k in range(n_joints):
            derivative = powers[..., 0, self._reduced[k, :, 0]] * self.exponents[:, k].astype(np.float64)
            for j in range(1, n_joints):
                derivative = derivative * powers[..., j, self._reduced[k, :, j]]
            arms[..., k] = -_per_state(derivative, self.coefficients)
        return length, arms


def _per_state(values: FloatArray, coefficients: FloatArray) -> FloatArray:
    """values @ coefficients, one state at a time: a product over all states at once rounds differently for each number of
    them, and a replay or an evaluation must give the bits of the live run."""
    product: FloatArray = np.matmul(values[..., None, :], coefficients)[..., 0, :]
    return product


def monomial_exponents(n_joints: int, degree: int) -> tuple[tuple[int, ...], ...]:
    """Exponents of all monomials in `n_joints` angles up to a total degree, lowest degree first."""
    if n_joints == 1:
        return tuple((e,) for e in range(degree + 1))
    found = [(first, *rest) for first in range(degree + 1) for rest in monomial_exponents(n_joints - 1, degree - first)]
    return tuple(sorted(found, key=lambda e: (sum(e), e)))
