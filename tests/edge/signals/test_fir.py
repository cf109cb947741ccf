from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.signals.adaptive import AdaptiveDifferentiator
from edge.signals.differentiate import create
from edge.signals.differentiator import Derivatives
from edge.signals.fir import FirDifferentiator
from edge.signals.movement_prior import (
    ANY_DRIFT_RAD_S,
    BRISK,
    NOISE_RAD,
    RATE_NOISE_RAD_S,
    NormalEquations,
    normal_equations,
)
from edge.signals.taps import Taps
from tests.edge.signals.made_up import RATE_HZ, even, feed, sampled, sensed, squares, stride, table, uneven
from tools.bench.derivative_runs import run
from tools.bench.movements import movement

TWO = FirDifferentiator(Taps(2, RATE_HZ, 0.05, (0,)))  # made once: tests restart it
LAYOUTS = [Taps(1, 60.0, 0.0), Taps(2, 100.0, 0.05, (1,)), Taps(3, 100.0, 0.083), Taps(2, 200.0, 0.1, (1, 0))]


def random_bank(taps: Taps, seed: int = 0) -> NormalEquations:
    weights = np.random.default_rng(seed).normal(size=(taps.features, taps.outputs))
    return NormalEquations(np.eye(taps.features), weights)


def same(one: list[Derivatives | None], other: list[Derivatives | None], tolerance: float = 0.0) -> None:
    assert [a is None for a in one] == [b is None for b in other]
    (times, said), (moments, expected) = table(one), table(other)
    np.testing.assert_allclose(times, moments, rtol=1e-12)
    np.testing.assert_allclose(said, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("taps", LAYOUTS)
def test_it_is_the_features_of_the_last_window_times_the_banks_weights(taps: Taps) -> None:
    bank, rng = random_bank(taps), np.random.default_rng(1)
    count = taps.samples + 50
    times = even(count, taps.rate_hz)
    values, rates = rng.normal(size=(count, taps.n_joints)), rng.normal(size=(count, taps.n_joints))
    outputs = feed(FirDifferentiator(taps, bank), times, values, rates)
    tapped = taps.tapped(np.hstack([values, rates[:, list(taps.gyroscopes)]]))
    rows = np.arange(taps.samples - 1, count)
    features, newest = taps.design(tapped, rows)
    expected = (features @ bank.targets).reshape(-1, 4, taps.n_joints)
    expected[:, 0] += newest
    for row, answer in zip(rows, expected, strict=True):
        out = outputs[row]
        assert out is not None
        assert out.t_s == times[row] - taps.age_s
        np.testing.assert_allclose([out.q, out.qd, out.qdd], answer[:3], rtol=1e-8, atol=1e-8)


def test_without_a_bank_it_is_best_for_brisk_movement_on_any_drift() -> None:
    taps = Taps(2, RATE_HZ, 0.05)
    times = even(150)
    values = sensed(stride(times, 2, (0.0, 1.0))[0])
    own, banked = FirDifferentiator(taps), FirDifferentiator(taps, normal_equations(taps, BRISK, ANY_DRIFT_RAD_S))
    same(feed(own, times, values), feed(banked, times, values))


@pytest.mark.parametrize("rate_hz", [60.0, 100.0, 1000.0])
def test_a_steady_turning_is_followed_without_error(rate_hz: float) -> None:
    """At 10 rad/s, from a full window on; on the way there as nearly as the prior says that it is rare."""
    times = even(round(1.5 * rate_hz), rate_hz)
    for out in feed(FirDifferentiator(Taps(1, rate_hz, 0.05)), times, 10.0 * times[:, None]):
        if out is None:
            continue
        full = out.t_s + 0.05 - times[0] > 0.62
        assert out.q[0] == pytest.approx(10.0 * out.t_s, abs=1e-5 if full else 4e-3)
        assert out.qd[0] == pytest.approx(10.0, abs=1e-4 if full else 0.15)
        assert out.qdd[0] == pytest.approx(0.0, abs=5e-3 if full else 4.0)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), max_size=12))
@settings(max_examples=30, deadline=None)
def test_a_few_missing_samples_lie_on_a_line_between_their_neighbours(gaps: list[tuple[int, int]]) -> None:
    """As if somebody had put them in before; none of the others moves."""
    kept, at = [0], 0
    for between, missing in gaps:  # runs of samples that came, and gaps of up to five between them
        kept.extend(range(at + 1, at + 2 + between))
        at = kept[-1] + missing
    kept.extend(range(at + 1, at + 100))
    rng, count = np.random.default_rng(2), kept[-1] + 1
    times, values, rates = even(count), rng.normal(size=(count, 2)), rng.normal(size=(count, 2))
    held = np.array(kept)
    filled = np.stack([np.interp(times, times[held], column[held]) for column in values.T], axis=1)
    turned = np.stack([np.interp(times, times[held], column[held]) for column in rates.T], axis=1)
    TWO.restart()
    whole = feed(TWO, times, filled, turned)
    TWO.restart()
    same(feed(TWO, times[held], values[held], rates[held]), [whole[k] for k in kept], 1e-7)


@pytest.mark.parametrize("missing", [6, 20])
def test_a_longer_gap_is_bridged_by_the_samples_own_times(missing: int) -> None:
    taps = Taps(1, RATE_HZ, 0.05)
    times = even(400)
    kept = np.concatenate([np.arange(150), np.arange(150 + missing, 400)])
    slow = stride(times, 1, (0.0, 0.15))[0]
    outputs = dict(zip(kept.tolist(), feed(FirDifferentiator(taps), times[kept], slow[kept]), strict=True))
    whole = feed(FirDifferentiator(taps), times, slow)
    for k, out in outputs.items():
        assert (out is None) == (whole[k] is None)
        if out is None:
            continue
        expected = whole[k]
        assert expected is not None
        window_is_whole = k < 150 or k >= 150 + missing + taps.samples - 1
        np.testing.assert_allclose(out.q, expected.q, atol=1e-9 if window_is_whole else 0.1)
        np.testing.assert_allclose(out.qdd, expected.qdd, atol=1e-7 if window_is_whole else 10.0)


def test_uneven_samples_are_put_on_the_even_grid_that_ends_at_the_newest() -> None:
    taps = Taps(2, RATE_HZ, 0.05)
    times, rng = uneven(300), np.random.default_rng(3)
    values = rng.normal(size=(300, 2))
    outputs = feed(FirDifferentiator(taps), times, values)
    folded, constant = taps.sample_weights(normal_equations(taps, BRISK, ANY_DRIFT_RAD_S).solve())
    for k in range(150, 300):
        at = times[k] - np.arange(taps.samples)[::-1] / RATE_HZ
        window = np.stack([np.interp(at, times, column) for column in values.T], axis=1)
        expected = (folded @ window.reshape(-1) + constant)[:6].reshape(3, 2)
        out = outputs[k]
        assert out is not None
        np.testing.assert_allclose([out.q, out.qd, out.qdd], expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_stamps_may_be_off_by_a_thousandth_of_an_interval(seed: int) -> None:
    rng, times = np.random.default_rng(seed), even(120)
    values, rates = rng.normal(size=(2, 120, 2))
    found = []
    for stamps in (times, times + rng.uniform(-4e-6, 4e-6, 120)):
        TWO.restart()
        found.append([out for out in feed(TWO, stamps, values, rates)[60:] if out is not None])
    assert len(found[0]) == len(found[1]) == 60
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal([a.q, a.qd, a.qdd], [b.q, b.qd, b.qdd])


@pytest.mark.parametrize(
    ("rate_hz", "age_s", "first"),
    [(100.0, 0.0, 14), (100.0, 0.05, 14), (100.0, 0.3, 34), (60.0, 0.0, 9), (200.0, 0.05, 29), (1000.0, 0.05, 151)],
)
def test_it_warms_up_for_150_ms_and_as_long_as_its_age(rate_hz: float, age_s: float, first: int) -> None:
    outputs = feed(FirDifferentiator(Taps(1, rate_hz, age_s)), even(200, rate_hz), np.zeros((200, 1)))
    assert [out is None for out in outputs] == [k < first for k in range(200)]
    assert outputs[first] is not None
    assert np.isnan(outputs[first].rmse).all()


@pytest.mark.parametrize("rate_hz", [100.0, 1000.0])
def test_it_is_right_from_the_first_output_on(rate_hz: float) -> None:
    """Until the window is full it makes do with what there is, and the error does not jump when it is."""
    times, count = even(round(8.0 * rate_hz), rate_hz), round(1.2 * rate_hz)
    clean = sampled(BRISK, times, 3, seed=4)[0]
    noisy = clean + np.random.default_rng(5).normal(0.0, NOISE_RAD * np.sqrt(rate_hz / 100.0), clean.shape)
    fir = FirDifferentiator(Taps(3, rate_hz, 0.05))
    early, late = [], []
    for start in range(0, len(times) - count, round(0.5 * rate_hz)):
        fir.restart()
        part = slice(start, start + count)
        moments, said = table(feed(fir, times[part], noisy[part]))
        size = (said[:2] - sampled(BRISK, moments, 3, seed=4)) ** 2
        waited = moments + 0.05 - times[start]
        early.append(size[:, waited < 0.3].mean(axis=(1, 2)))
        late.append(size[:, waited > 0.65].mean(axis=(1, 2)))
    assert (np.mean(early, axis=0) < 1.2**2 * np.mean(late, axis=0)).all()


@pytest.mark.parametrize("taps", LAYOUTS)
@pytest.mark.parametrize("earlier_s", [0.0, 100.0])
def test_after_a_restart_it_is_as_new(taps: Taps, earlier_s: float) -> None:
    rng = np.random.default_rng(6)
    times = even(150, taps.rate_hz)
    used, fresh = FirDifferentiator(taps), FirDifferentiator(taps)
    feed(used, times, rng.normal(size=(150, taps.n_joints)), rng.normal(size=(150, taps.n_joints)))
    used.restart()
    values, rates = rng.normal(size=(150, taps.n_joints)), rng.normal(size=(150, taps.n_joints))
    same(feed(used, times - earlier_s, values, rates), feed(fresh, times - earlier_s, values, rates))


def test_a_gyroscope_makes_it_better() -> None:
    times, rng = even(1500), np.random.default_rng(7)
    clean, turning, _ = stride(times, 2, (0.0, 1.0))
    rates = turning + rng.normal(0.0, RATE_NOISE_RAD_S, turning.shape)
    rates[:, 0] = np.nan  # a channel without one
    values = sensed(clean)
    plain, helped = (
        feed(create("fir", n_joints=2, rate_hz=RATE_HZ, age_s=0.0, gyroscopes=own), times, values, rates)
        for own in ((), (1,))
    )
    without, with_one = (np.sqrt(squares(outputs, times, clean, 1.0)) for outputs in (plain, helped))
    np.testing.assert_allclose(with_one[:, 0], without[:, 0], rtol=1e-6)
    assert (with_one[:, 1] < 0.8 * without[:, 1]).all()


def test_rates_that_are_missing() -> None:
    taps = Taps(2, RATE_HZ, 0.0, (1,))
    rng, times = np.random.default_rng(8), even(100)
    values, rates = rng.normal(size=(100, 2)), rng.normal(size=(100, 2))
    with pytest.raises(ValueError, match=r"rates of the channels \(1,\) are missing"):
        FirDifferentiator(taps).push(0.0, np.zeros(2))
    holes, held = rates.copy(), rates.copy()
    holes[40:43, 1] = np.nan  # one sample of a gyroscope is late: the last one stands
    held[40:43, 1] = rates[39, 1]
    held[:, 0] = np.nan  # has none
    same(feed(FirDifferentiator(taps), times, values, holes), feed(FirDifferentiator(taps), times, values, held))


def test_what_was_given_out_stays_as_it_was() -> None:
    rng, times = np.random.default_rng(9), even(200)
    outputs = feed(FirDifferentiator(Taps(2, RATE_HZ, 0.05)), times, rng.normal(size=(200, 2)))
    fir = FirDifferentiator(Taps(2, RATE_HZ, 0.05))
    rng = np.random.default_rng(9)
    for out, t, q in zip(outputs, times, rng.normal(size=(200, 2)), strict=True):
        now = fir.push(float(t), q)
        assert (now is None) == (out is None)
        if now is not None and out is not None:
            for name in ("q", "qd", "qdd", "rmse"):
                assert getattr(now, name).tobytes() == getattr(out, name).tobytes()


def test_a_walk_at_70_ms(data: Path) -> None:
    """12 bits, 0.1 degree of noise, jitter and lost samples; fitted on nobody."""
    walk = movement(data, "walk36")
    q, qd, qdd = run("fir", walk, 0.07).rmse(walk.duration_s - 30.0)
    assert q <= 0.13
    assert qd <= 4.6
    assert qdd <= 120.0


@pytest.mark.parametrize("method", ["fir", "adaptive"])
def test_after_a_pause_it_starts_anew(method: str) -> None:
    taps = Taps(1, RATE_HZ, 0.05)
    made = {
        "fir": lambda: FirDifferentiator(taps),
        "adaptive": lambda: AdaptiveDifferentiator(taps, background=False),
    }[method]
    times = even(400)
    slow = stride(times, 1, (0.0, 0.15))[0]
    # A clock that jumps by days must not be filled with samples.
    later = times + 1e6
    paused, fresh = made(), made()
    feed(paused, times[:100], slow[:100])
    after, alone = feed(paused, later[200:280], slow[200:280]), feed(fresh, later[200:280], slow[200:280])
    for a, b in zip(after, alone, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            np.testing.assert_allclose(a.q, b.q, atol=1e-3 if method == "adaptive" else 1e-9)  # what was learned stays
    assert after[0] is None
    assert after[-1] is not None
