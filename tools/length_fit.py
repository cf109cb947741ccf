"""Functions of the crossed angles fitted to a muscle's lengths and moment arms, chosen by their error on held-out states."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.msk.geometry import Geometry
from edge.msk.length_functions import (
    Length,
    LengthPolynomial,
    LengthSpline,
    PolynomialTable,
    b_splines,
    monomial_exponents,
    products,
    spline_shape,
)
from edge.msk.spline import FloatArray

MAX_DEGREE = {1: 12, 2: 10, 3: 8, 4: 6, 5: 5, 6: 4}  # by number of crossed angles
# By number of crossed angles: intervals in one of the angles, each in turn, and in the others. A via point comes and goes
# with one angle.
_SPLINES: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((8, 8), (16, 16), (32, 32)),
    2: ((6, 6), (10, 10), (14, 14), (32, 3)),
    3: ((16, 2),),
}
_ENOUGH_MM = 0.05  # RMS error of moment arms at which nothing finer is tried
_POLYNOMIAL_MM = 0.3  # RMS error of moment arms beyond which splines are tried
_WORTH = 0.85  # a spline is taken where it makes at most this part of the polynomial's error
_STEP = 0.97  # a finer function is taken where it makes at most this part of the coarser one's error
_ROUGH_DEGREE = 6  # of the function from which jumps are told
_JUMP_MM = 3.0
_MOST_JUMPS = 0.02  # of the states; where there are more, they are no exceptions
_RIDGE = 1e-7  # keeps splines still where no state was sampled
_SAMPLES = {1: 1500, 2: 1500, 3: 2500, 4: 3500, 5: 4500, 6: 5500}


def halton(count: int, dimensions: int) -> FloatArray:
    """Evenly spread points of the unit cube (Halton 1960), the same on every machine."""
    points = np.empty((count, dimensions))
    for d, prime in zip(range(dimensions), (2, 3, 5, 7, 11, 13), strict=False):
        for i in range(count):
            fraction, value, n = 1.0, 0.0, i + 1
            while n:
                fraction /= prime
                value += fraction * (n % prime)
                n //= prime
            points[i, d] = value
    return points


def sample_states(low: FloatArray, high: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """States (n, angles) between the ends of the ranges, and which of them to hold out (n,).

    The corners and edges of the range are among them: functions go astray there first. They always stay in the fit; held out,
    they would be extrapolated to.
    """
    count = _SAMPLES[len(low)]
    corners = np.array(list(itertools.product((0.0, 0.5, 1.0), repeat=len(low))))
    unit = np.concatenate([halton(count, len(low)), corners])
    # Every 11th point: a stride in step with the Halton bases 2, 3, 5 and 7 would hold out a whole corner of the range.
    index = np.arange(len(unit))
    return low + unit * (high - low), (index % 11 == 3) & (index < count)


def fit_errors(
    length: Length, q: FloatArray, true_length: FloatArray, true_arms: FloatArray, low: FloatArray, high: FloatArray
) -> dict[str, float]:
    """Errors in mm of a muscle's function at the states q (n, angles) of the angles that it crosses."""
    got_length, got_arms = Geometry.build(length.angles, [length], low, high).evaluate(q)
    dl, dr = got_length[:, 0] - true_length, got_arms[:, 0] - true_arms
    return {
        "length_rms_mm": float(np.sqrt((dl**2).mean()) * 1e3),
        "length_max_mm": float(np.abs(dl).max() * 1e3),
        "moment_arm_rms_mm": float(np.sqrt((dr**2).mean()) * 1e3),
        "moment_arm_max_mm": float(np.abs(dr).max() * 1e3),
    }


def fit_length(
    q: FloatArray, length: FloatArray, arms: FloatArray, unfitted: Length, low: FloatArray, high: FloatArray
) -> Length:
    """`unfitted` with the coefficients of least squares through lengths (n,) and moment arms (n, angles) together.

    Raises ValueError when the states are fewer than a polynomial's coefficients need.
    """
    # Angles of about one make the columns alike in size; the coefficients are brought back to plain angles behind.
    scale = np.maximum(np.maximum(np.abs(low), np.abs(high)), 1e-6)
    table = _terms(unfitted, q / scale, low / scale, high / scale)
    rows = np.concatenate([table[0], *(-slope / s for slope, s in zip(table[1:], scale, strict=True))])
    if isinstance(unfitted, LengthPolynomial):
        if rows.shape[0] < rows.shape[1]:
            raise ValueError(f"{len(q)} states are too few for a polynomial of degree {unfitted.degree}")
        solution = np.linalg.lstsq(rows, np.concatenate([length, *arms.T]), rcond=None)[0]
        solution = solution / np.prod(scale ** np.array(monomial_exponents(len(scale), unfitted.degree)), axis=1)
    else:
        # B-splines add up to one everywhere: what no state reaches stays at the mean length.
        mean, count = float(length.mean()), rows.shape[1]
        target = np.concatenate([length - mean, *arms.T, np.zeros(count)])
        solution = mean + np.linalg.lstsq(np.concatenate([rows, _RIDGE * np.eye(count)]), target, rcond=None)[0]
    return replace(unfitted, coefficients_m=tuple(solution.tolist()))


def _terms(unfitted: Length, q: FloatArray, low: FloatArray, high: FloatArray) -> list[FloatArray]:
    """The terms of a function at the states q (n, angles), and their derivatives by each angle: each (n, n_terms)."""
    if isinstance(unfitted, LengthPolynomial):
        exponents = np.array(monomial_exponents(q.shape[1], unfitted.degree), dtype=np.intp)
        return PolynomialTable(exponents, np.eye(len(exponents))).evaluate(q)
    shape = spline_shape(unfitted.intervals)
    factors, slopes = [], []
    for j, functions in enumerate(shape):
        index, some, some_slopes = b_splines(q[:, j], low[j], high[j], unfitted.intervals[j])
        every = np.zeros((2, len(q), functions))
        np.put_along_axis(every[0], index, some, axis=1)
        np.put_along_axis(every[1], index, some_slopes, axis=1)
        axes = (slice(None), *(slice(None) if k == j else None for k in range(len(shape))))
        factors.append(every[0][axes])
        slopes.append(every[1][axes])
    return [np.broadcast_to(term, (len(q), *shape)).reshape(len(q), -1) for term in products(factors, slopes)]


def jumps(
    q: FloatArray, length: FloatArray, arms: FloatArray, low: FloatArray, high: FloatArray
) -> npt.NDArray[np.bool_]:
    """States (n,) at which a muscle's path has jumped to another side of a wrapping surface.

    OpenSim's wrapping sometimes takes the wrong way round at single states, centimetres off: no muscle does, and a function
    through them would be wrong all about. They are found as lengths far from what the others say, and are few.
    """
    names = tuple(str(j) for j in range(len(low)))
    jumped = np.zeros(len(q), dtype=np.bool_)
    for _ in range(3):
        kept = ~jumped
        rough = fit_length(q[kept], length[kept], arms[kept], LengthPolynomial(names, _ROUGH_DEGREE, ()), low, high)
        error = np.abs(Geometry.build(names, [rough], low, high).evaluate(q)[0][:, 0] - length)
        found = error > max(_JUMP_MM * 1e-3, 8.0 * float(np.median(error[kept])))
        if (found == jumped).all():
            break
        jumped = found
    return jumped if jumped.mean() <= _MOST_JUMPS else np.zeros_like(jumped)


def _spline_intervals(n_angles: int) -> list[tuple[int, ...]]:
    """Numbers of intervals to try, coarse ones first."""
    tried = dict.fromkeys(
        tuple(fine if k == j else other for k in range(n_angles))
        for fine, other in _SPLINES.get(n_angles, ())
        for j in range(n_angles)
    )
    return sorted(tried, key=lambda intervals: math.prod(spline_shape(intervals)))


def choose_length(
    angles: tuple[str, ...],
    q: FloatArray,
    length: FloatArray,
    arms: FloatArray,
    low: FloatArray,
    high: FloatArray,
    held_out: npt.NDArray[np.bool_],
) -> tuple[Length, dict[str, float]]:
    """The coarsest function of the angles whose error on the held-out states is about the least, fitted to all states.

    Polynomials first; where the best of them is off by more than 0.3 mm, splines. Returns the function and its errors.
    """

    def error_of(candidate: Length) -> float:
        fitted = fit_length(q[~held_out], length[~held_out], arms[~held_out], candidate, low, high)
        return fit_errors(fitted, q[held_out], length[held_out], arms[held_out], low, high)["moment_arm_rms_mm"]

    best: Length | None = None
    least = np.inf
    for degree in range(2, MAX_DEGREE[len(angles)] + 1):
        candidate: Length = LengthPolynomial(angles, degree, ())
        error = error_of(candidate)
        if error < _STEP * least:
            best, least = candidate, error
        if error < _ENOUGH_MM:
            break
    if least > _POLYNOMIAL_MM:
        least *= _WORTH / _STEP
        for intervals in _spline_intervals(len(angles)):
            candidate = LengthSpline(angles, intervals, ())
            error = error_of(candidate)
            if error < _STEP * least:
                best, least = candidate, error
    assert best is not None
    fitted = fit_length(q, length, arms, best, low, high)
    held = fit_errors(
        fit_length(q[~held_out], length[~held_out], arms[~held_out], best, low, high),
        q[held_out],
        length[held_out],
        arms[held_out],
        low,
        high,
    )
    return fitted, {
        "held_out_length_rms_mm": held["length_rms_mm"],
        "held_out_moment_arm_rms_mm": held["moment_arm_rms_mm"],
        **fit_errors(fitted, q, length, arms, low, high),
    }
