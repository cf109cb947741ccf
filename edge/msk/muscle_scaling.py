"""A muscle of a person whose parts are of other sizes: its length by the shares of the parts, fibres and tendon with it.

The scaled length, with f_b the factor of part and axis b and l_b its share (`LengthShares`), is

    l(q; f) = f_0 l(q) + sum_b (f_b - f_0) l_b(q),    f_0 = sum_b f_b l_b(0) / sum_b l_b(0)

For equal factors that is f l(q) exactly; scaling twice is scaling by the products.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edge.errors import ModelError
from edge.msk.anatomy import Muscle
from edge.msk.growth import LengthShares
from edge.msk.length_functions import Length, LengthPolynomial, LengthSpline, monomial_exponents, spline_shape
from edge.msk.spline import FloatArray


def scale_muscle(
    muscle: Muscle,
    parts: Sequence[str],
    factors: FloatArray,
    without_shares: float,
    ranges_rad: Mapping[str, tuple[float, float]],
) -> Muscle:
    """The muscle where the parts have grown by the factors (n_parts, 3).

    Optimal fibre length and tendon slack length grow as the length does at zero angles, which is OpenSim's rule. A muscle
    without shares grows as a whole by the factor `without_shares`. Raises ModelError where nothing would be left of it.
    """
    shares = muscle.shares
    if np.ptp(factors) == 0.0:
        ratio, unlike = float(factors[0, 0]), None
    elif shares is None:
        ratio, unlike = without_shares, None
    else:
        table = shares.array(parts)
        ratio = float((factors * table[..., 0]).sum() / table[..., 0].sum())
        unlike = np.einsum("pa,pak->k", factors - ratio, table)
    if not ratio > 0.0:
        raise ModelError(
            f"muscle '{muscle.name}' would have no length where the parts are scaled so differently: check the factors"
        )
    length = replace(muscle.length, coefficients_m=tuple(c * ratio for c in muscle.length.coefficients_m))
    return replace(
        muscle,
        optimal_fiber_length_m=muscle.optimal_fiber_length_m * ratio,
        tendon_slack_length_m=muscle.tendon_slack_length_m * ratio,
        length=length
        if unlike is None or shares is None
        else add_polynomial(length, shares.degree, unlike, ranges_rad),
        shares=None
        if shares is None
        else LengthShares.of_array(shares.degree, parts, shares.array(parts) * factors[..., None]),
    )


def add_polynomial(
    length: Length, degree: int, coefficients_m: FloatArray, ranges_rad: Mapping[str, tuple[float, float]]
) -> Length:
    """The same kind of length with a polynomial of its angles added, of a degree of at most three.

    coefficients_m (n_terms,) in the order of `monomial_exponents`. Exact for a spline too: cubic splines hold every polynomial
    of degree three.
    """
    own = np.array(length.coefficients_m)
    if isinstance(length, LengthPolynomial):
        highest = max(length.degree, degree)
        place = {e: i for i, e in enumerate(monomial_exponents(len(length.angles), highest))}
        total = np.zeros(len(place))
        total[: len(own)] = own  # lowest degree first: a polynomial's terms lead those of a higher degree
        for exponent, coefficient in zip(
            monomial_exponents(len(length.angles), degree), coefficients_m.tolist(), strict=True
        ):
            total[place[exponent]] += coefficient
        return replace(length, degree=highest, coefficients_m=tuple(total.tolist()))
    return replace(
        length, coefficients_m=tuple((own + _as_spline(length, degree, coefficients_m, ranges_rad)).tolist())
    )


def _as_spline(
    length: LengthSpline, degree: int, coefficients_m: FloatArray, ranges_rad: Mapping[str, tuple[float, float]]
) -> FloatArray:
    """Coefficients of a polynomial on the grid of a spline (n,).

    Marsden's identity: the coefficient of the power x^e is the mean of all products of e of the three knots within a B-spline's
    support (de Boor 1978).
    """
    powers = []
    for angle, intervals in zip(length.angles, length.intervals, strict=True):
        low, high = ranges_rad[angle]
        width = (high - low) / intervals
        inner = low + width * (np.arange(intervals + 3)[:, None] - np.array([2.0, 1.0, 0.0]))
        powers.append(
            [
                sum(inner[:, list(some)].prod(axis=1) for some in itertools.combinations(range(3), e)) / math.comb(3, e)
                for e in range(degree + 1)
            ]
        )
    table = np.zeros(spline_shape(length.intervals))
    for exponent, coefficient in zip(monomial_exponents(len(powers), degree), coefficients_m.tolist(), strict=True):
        term = np.array(coefficient)
        for angle_powers, e in zip(powers, exponent, strict=True):
            term = term[..., None] * angle_powers[e]
        table += term
    return table.ravel()
