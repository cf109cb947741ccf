"""How a limb changes with the sizes of its parts: what a model holds for scaling it to a person, and its JSON form.

The parts of a limb are its segments and those that it hangs on: a leg's are pelvis, thigh, shank and foot. Each is scaled
along the axes of its own body, x forward, y up and z outward when all angles are zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from edge.msk.json_reader import Reader
from edge.msk.length_functions import monomial_exponents
from edge.msk.spline import FloatArray

HIGHEST_SHARE_DEGREE = 3  # that of the splines of `LengthSpline`, to which a share must be added exactly

_LINEAGES = (("pelvis", "thigh", "shank", "foot"), ("trunk", "upper_arm", "forearm", "hand"))


def part_names(segments: Sequence[str]) -> tuple[str, ...]:
    """The parts of a limb with these segments, from the trunk outwards; the segments are the last of them.

    A chain whose segments are not those of a leg or an arm hangs on one part, `base`.
    """
    for lineage in _LINEAGES:
        for start in range(1, len(lineage)):
            if tuple(segments) == lineage[start : start + len(segments)]:
                return lineage[: start + len(segments)]
    return ("base", *segments)


@dataclass(frozen=True)
class LengthShares:
    """What each part and axis contributes to a muscle's length: l_b(q) = d l_mt / d s_b at all factors of size s = 1.

    Lengths grow with the body, l_mt(q; k s) = k l_mt(q; s), so that the shares add up to the length (Euler) and
    sum_b s_b l_b(q) is the length of the scaled muscle to first order about every uniform size.

    Each share is a polynomial in the angles that the muscle crosses, in the order of `monomial_exponents(n, degree)`.
    """

    degree: int  # at most HIGHEST_SHARE_DEGREE
    coefficients_m: Mapping[str, tuple[tuple[float, ...], ...]]  # by part: of its x, y and z

    def to_dict(self) -> dict[str, Any]:
        return {
            "degree": self.degree,
            "coefficients_m": {part: [list(axis) for axis in axes] for part, axes in self.coefficients_m.items()},
        }

    def array(self, parts: Sequence[str]) -> FloatArray:
        """Coefficients of the given parts, zero for those without a share: (n_parts, 3, n_terms)."""
        terms = len(next(iter(self.coefficients_m.values()))[0])
        return np.array([self.coefficients_m.get(part, ((0.0,) * terms,) * 3) for part in parts])

    @classmethod
    def of_array(cls, degree: int, parts: Sequence[str], coefficients_m: FloatArray) -> LengthShares:
        """The shares with these coefficients (n_parts, 3, n_terms); parts without any are left out."""
        return cls(
            degree,
            {
                part: tuple(tuple(axis) for axis in axes.tolist())
                for part, axes in zip(parts, coefficients_m, strict=True)
                if axes.any()
            },
        )


def read_shares(r: Reader, n_angles: int, parts: Sequence[str]) -> LengthShares:
    """The shares of a muscle that crosses so many angles, in a limb of these parts. Raises ModelError."""
    degree = int(r.number("degree", low=0, high=HIGHEST_SHARE_DEGREE))
    if degree != r.number("degree"):
        raise r.fail("degree", f"must be a whole number, found {r.number('degree'):g}")
    c = r.child("coefficients_m")
    unknown = [part for part in c.data if part not in parts]
    if unknown or not c.data:
        raise r.fail("coefficients_m", f"must name parts of the limb {list(parts)}, found {list(c.data)}")
    shape = (3, len(monomial_exponents(n_angles, degree)))
    shares = LengthShares(
        degree, {part: tuple(tuple(axis) for axis in c.array(part, shape).tolist()) for part in c.data}
    )
    if shares.array(parts)[..., 0].sum() <= 0.0:
        raise r.fail(
            "coefficients_m", "must add up to the length of the muscle: their sum at zero angles is not above 0"
        )
    return shares


@dataclass(frozen=True)
class InertiaTerms:
    """Moment of inertia (kg m^2) of a segment of the same mass stretched by the factors x, y, z along its axes.

    xx x^2 + yy y^2 + xy x y + xz x z + yz y z: OpenSim takes each body as a cylinder along the axis of its smallest moment.
    """

    xx: float
    yy: float
    xy: float
    xz: float
    yz: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    def scaled(self, factors: FloatArray, gained: float) -> InertiaTerms:
        """Those of the segment stretched by the factors (3,), its mass `gained` times as large."""
        x, y, z = factors.tolist()
        return InertiaTerms(
            self.xx * x * x * gained,
            self.yy * y * y * gained,
            self.xy * x * y * gained,
            self.xz * x * z * gained,
            self.yz * y * z * gained,
        )

    @property
    def total_kg_m2(self) -> float:
        return self.xx + self.yy + self.xy + self.xz + self.yz


def read_inertia_terms(r: Reader) -> InertiaTerms:
    """The terms of a segment's moment of inertia. Raises ModelError."""
    terms = InertiaTerms(**{f.name: r.number(f.name, low=0.0) for f in fields(InertiaTerms)})
    if terms.total_kg_m2 <= 0.0:
        raise r.fail("xx", "and the other terms must add up to more than 0")
    return terms
