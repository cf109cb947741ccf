"""The regression against what can be written down."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adaptation.readout import Lesson, Prior, Sums


def made(seed: int, *, windows: int = 200, taps: int = 6, rows: int = 3) -> tuple[np.ndarray, np.ndarray, Prior]:
    draw = np.random.default_rng(seed)
    values = np.column_stack([draw.normal(size=(windows, taps - 1)), np.ones(windows)])
    correction = draw.normal(size=(taps, rows))
    return values, correction, Prior(values.T @ values / windows, np.ones(rows))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_a_linear_lack_is_found(seed: int) -> None:
    taps, correction, prior = made(seed)
    sums = Sums(prior)
    sums.add(Lesson(taps[:90], taps[:90] @ correction))
    sums.add(Lesson(taps[90:], taps[90:] @ correction))
    np.testing.assert_allclose(sums.solve(1e-6), correction, atol=1e-5)


def test_other_people_hold_it_back_by_as_many_windows_as_are_said() -> None:
    taps, correction, prior = made(1)
    sums = Sums(prior)
    sums.add(Lesson(taps, taps @ correction))
    np.testing.assert_allclose(sums.solve(200.0), correction / 2.0, rtol=1e-3)
    assert np.abs(sums.solve(1e9)).max() < 1e-5


def test_the_inner_scale_of_a_network_does_not_matter() -> None:
    taps, correction, prior = made(2)
    scale = np.array([1.0, 0.3, 3.0, 1.0, 1.0, 1.0])
    one, other = Sums(prior), Sums(Prior(prior.gram * np.outer(scale, scale), prior.row_deviation))
    one.add(Lesson(taps[:50], taps[:50] @ correction))
    other.add(Lesson(taps[:50] * scale, taps[:50] @ correction))
    np.testing.assert_allclose((taps * scale) @ other.solve(50.0), taps @ one.solve(50.0), atol=0.01)


def test_what_is_not_known_of_a_row_does_not_reach_the_others() -> None:
    taps, correction, prior = made(3)
    missing = taps @ correction
    known = Sums(prior)
    known.add(Lesson(taps, missing))
    missing = missing.copy()
    missing[::2, 1] = np.nan
    missing[:, 2] = np.nan
    partly = Sums(prior)
    partly.add(Lesson(taps, missing))
    np.testing.assert_allclose(partly.solve(100.0)[:, 0], known.solve(100.0)[:, 0])
    np.testing.assert_allclose(partly.solve(1e-6)[:, 1], correction[:, 1], atol=1e-4)
    assert (partly.solve(100.0)[:, 2] == 0.0).all()


def test_what_fades_counts_less() -> None:
    taps, correction, prior = made(7)
    sums = Sums(prior)
    sums.add(Lesson(taps, taps @ correction))
    sums.fade(1e-6)
    sums.add(Lesson(taps, -taps @ correction))
    np.testing.assert_allclose(sums.solve(1e-6), -correction, atol=1e-4)


def test_an_error_is_in_units_of_its_row() -> None:
    prior = Prior(np.eye(1), np.array([1.0, 10.0]))
    assert Lesson(np.ones((1, 1)), np.array([[1.0, 10.0]])).error(prior, None) == 1.0
    assert Lesson(np.ones((1, 1)), np.array([[2.0, np.nan]])).error(prior, None) == 4.0
    assert np.isnan(Lesson(np.ones((1, 1)), np.full((1, 2), np.nan)).error(prior, None))
