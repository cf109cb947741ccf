from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.signals import zero_phase
from edge.signals.experts import fallbacks, kalman_weights
from edge.signals.hindsight import Hindsight
from edge.signals.learner import MEMORY_S, REFIT_S, Blend, Learned, Learner
from edge.signals.movement_prior import BRISK, CALM, NormalEquations, normal_equations
from edge.signals.taps import Taps
from tests.edge.signals.made_up import NOISE_RAD, RATE_HZ, even, sampled, sensed, stride

TAPS = Taps(3, RATE_HZ, 0.05)
N = TAPS.n_joints
WALK = even(2600)
CLEAN = stride(WALK, N, (0.0, 0.9))[0]
SENSED = sensed(CLEAN)
TRUTH = np.stack(zero_phase.differentiate(WALK, CLEAN, WALK))


def learn(
    learner: Learner, times: np.ndarray, samples: np.ndarray, piece: int = 5, restarted: bool = True
) -> list[Blend]:
    blends = []
    for start in range(0, len(times), piece):
        part = slice(start, start + piece)
        blends.append(learner.learn(times[part], samples[part], restarted and start == 0))
    return blends


def errors(taps: Taps, blend: Blend, samples: np.ndarray, truth: np.ndarray, rows: slice) -> np.ndarray:
    """(2, 3, n): of the safe and of the full answer over the windows within `rows`, against `truth` (3, m, n)."""
    size, n = taps.samples, taps.n_joints
    windows = np.lib.stride_tricks.sliding_window_view(samples[rows], size, axis=0).transpose(0, 2, 1)
    said = windows.reshape(len(windows), -1) @ blend.weights[: 6 * n].T + blend.constant[: 6 * n]
    back = round(taps.age_s * taps.rate_hz)
    true = truth[:, rows][:, size - 1 - back : len(samples[rows]) - back]
    square = (said.reshape(-1, 2, 3, n).transpose(1, 2, 0, 3) - true) ** 2
    return np.asarray(np.sqrt(square.mean(axis=2)))


def test_before_anything_is_known_both_answers_are_the_kalman_smoothers() -> None:
    blend = Learner(TAPS).learn(np.zeros(0), np.zeros((0, N)), True)
    assert blend.weights.shape == (9 * N, TAPS.samples * N)
    assert blend.constant.shape == (9 * N,)
    assert np.isnan(blend.rmse).all()
    folded, _ = TAPS.sample_weights(kalman_weights(TAPS))
    for answer in (blend.weights[: 3 * N], blend.weights[3 * N : 6 * N]):
        np.testing.assert_array_equal(answer, folded[: 3 * N])
    # The samples ahead are foretold by the filter that learns, which knows nothing yet, and those for calm and brisk movement.
    ahead = [TAPS.sample_weights(normal_equations(TAPS, p).solve())[0][3 * N :] for p in (BRISK, CALM, BRISK)]
    np.testing.assert_allclose(blend.weights[6 * N :], np.vstack(ahead), atol=1e-7 * np.abs(ahead).max())


def test_it_learns_a_periodic_movement_far_better_than_the_fallbacks_know_it() -> None:
    """15 s of walking; then the next 8 s. The safe answer is no better than the best that it may be made of."""
    learner = Learner(TAPS)
    blend = learn(learner, WALK[:1500], SENSED[:1500])[-1]
    safe, full = errors(TAPS, blend, SENSED, TRUTH, slice(1600, 2400))
    others = []
    for weights in fallbacks(TAPS):
        folded, constant = TAPS.sample_weights(weights)
        alone = replace(blend, weights=np.tile(folded[: 3 * N], (2, 1)), constant=np.tile(constant[: 3 * N], 2))
        others.append(errors(TAPS, alone, SENSED, TRUTH, slice(1600, 2400))[0])
    assert (full < 0.4 * np.min(others, axis=0)).all()
    assert (safe < 1.05 * np.max(others[:2], axis=0)).all()
    np.testing.assert_allclose(learner.learned.movement_s, 15.0 - 0.4 - 0.6, atol=0.3)
    assert learner.refits == pytest.approx(learner.learned.movement_s / REFIT_S, abs=2)


def test_it_looks_at_all_channels() -> None:
    """One channel is 60 ms behind the other, in a movement that never repeats itself: what it will do has been seen already."""
    taps, times = Taps(2, RATE_HZ, 0.0), even(3000)
    leading = sampled(BRISK, np.append(times, times[-1] + np.arange(1, 7) / RATE_HZ), 1, seed=3)[0]
    clean = np.hstack([leading[6:], leading[:-6]])
    samples = sensed(clean)
    blend = learn(Learner(taps), times[:2500], samples[:2500])[-1]
    rows = slice(2500, 2980)
    _, full = errors(taps, blend, samples, np.stack(zero_phase.differentiate(times, clean, times)), rows)
    assert (full[:, 1] < 0.5 * full[:, 0]).all()


def test_a_frozen_one_learns_nothing_and_still_judges() -> None:
    known = Learner(TAPS)
    learn(known, WALK[:1000], SENSED[:1000])
    frozen = Learner(TAPS, learned=known.learned, frozen=True)
    first = frozen.learn(np.zeros(0), np.zeros((0, N)), True)
    other = stride(WALK, N, (0.0, 1.4), seed=9)[0]
    last = learn(frozen, WALK, other)[-1]
    assert frozen.learned is known.learned
    assert frozen.refits == 0
    np.testing.assert_array_equal(last.weights[6 * N : 7 * N], first.weights[6 * N : 7 * N])
    assert not np.array_equal(last.weights[3 * N : 6 * N], first.weights[3 * N : 6 * N])
    assert np.isfinite(last.rmse).all()


def test_standing_still_forgets_nothing() -> None:
    learner = Learner(TAPS)
    learn(learner, WALK[:1000], SENSED[:1000])
    times = WALK[1000] + np.arange(9000) / RATE_HZ
    learn(learner, times[:200], sensed(np.repeat(CLEAN[1000:1001], 200, axis=0)), restarted=False)
    walked = learner.learned
    learn(learner, times[200:], sensed(np.repeat(CLEAN[1000:1001], 8800, axis=0), seed=2), 50, restarted=False)
    assert learner.learned is walked


def test_movement_fades_as_other_movement_comes() -> None:
    learner = Learner(TAPS)
    learn(learner, WALK[:1000], SENSED[:1000])
    before = learner.learned
    # What comes next moves so little, against its noise enough, that it adds next to nothing.
    small = 1e-3 * stride(WALK, N, (0.0, 0.9), seed=5)[0]
    learn(learner, WALK, small)
    after = learner.learned
    span = after.movement_s - before.movement_s
    assert span > 5.0
    for name in ("features", "targets"):
        old, new = getattr(before.sums, name), getattr(after.sums, name)
        rest = np.arange(TAPS.features - 1)  # the constant counts moments
        np.testing.assert_allclose(
            new[rest][:, : len(rest)],
            np.exp(-span / MEMORY_S) * old[rest][:, : len(rest)],
            atol=1e-2 * np.abs(old).max(),
        )


def test_the_noise_of_the_targets_is_not_learned() -> None:
    """What is missing in the sums with targets is what the sensor's noise adds to them, of the size that it has."""
    taps, times, size = Taps(2, RATE_HZ, 0.0), even(3000), np.array([4.0, 1.0]) * NOISE_RAD
    samples = sampled(BRISK, times, 2, seed=6)[0] + np.random.default_rng(7).normal(0.0, size, (3000, 2))
    learner, hindsight = Learner(taps), Hindsight(taps)
    learn(learner, times, samples)
    seen, count = np.zeros((taps.features, taps.outputs)), 0.0
    for start in range(0, 3000, 5):
        past = hindsight.take(times[start : start + 5], samples[start : start + 5], start == 0)
        if past is not None:
            fade = np.exp(-len(past.target) / RATE_HZ / MEMORY_S)
            seen = fade * seen + past.features.T @ past.target
            count = fade * count + len(past.target)
    expected = count * hindsight.noise_products(size**2)
    missing = seen - learner.learned.sums.targets
    off = np.sqrt(((missing - expected) ** 2).sum(axis=0)) / (np.sqrt((expected**2).sum(axis=0)) + 1e-300)
    assert (off[: 3 * 2] < 0.1).all()
    np.testing.assert_allclose(missing[:, 3 * 2 :], 0.0, atol=1e-9 * np.abs(seen).max())


def test_what_was_learned_is_known_at_once_by_a_fresh_one() -> None:
    known = Learner(TAPS)
    learn(known, WALK[:1500], SENSED[:1500])
    fresh = Learner(TAPS, learned=known.learned)
    blends = learn(fresh, WALK[1500:], SENSED[1500:])
    stranger = learn(Learner(TAPS), WALK[1500:], SENSED[1500:])
    at = 30  # pieces: 1.5 s, half a second after the first moment's truth
    rows = slice(1650, 2400)
    _, own = errors(TAPS, blends[at], SENSED, TRUTH, rows)
    _, other = errors(TAPS, stranger[at], SENSED, TRUTH, rows)
    assert (own < 0.5 * other).all()
    assert fresh.learned.movement_s > known.learned.movement_s


def test_a_bank_of_other_people_is_an_expert_of_its_own_and_what_learning_starts_from() -> None:
    people = []
    for seed in range(3):  # walks that are alike: the same stride at other paces
        angles = sensed(stride(WALK, N, (0.0, 0.8 + 0.1 * seed))[0], seed)
        past = Hindsight(TAPS).take(WALK, angles, True)
        assert past is not None
        people.append((past.features.T @ past.features, past.features.T @ past.target, len(past.target)))
    count = sum(m for _, _, m in people)
    prior = normal_equations(TAPS, BRISK)
    bank = NormalEquations(
        sum(f for f, _, _ in people) / count + 1e-3 * prior.features,
        sum(t for _, t, _ in people) / count + 1e-3 * prior.targets,
    )
    clean = stride(WALK, N, (0.0, 0.95))[0]
    angles, wearer = sensed(clean, 7), np.stack(zero_phase.differentiate(WALK, clean, WALK))
    helped = learn(Learner(TAPS, bank=bank), WALK[:150], angles[:150])[-1]
    alone = learn(Learner(TAPS), WALK[:150], angles[:150])[-1]
    rows = slice(200, 1000)
    safe, full = errors(TAPS, helped, angles, wearer, rows)
    _, other = errors(TAPS, alone, angles, wearer, rows)
    assert (full < 0.6 * other).all()
    # It is none of the safe two, and foretells nothing before anything was seen but by what is learned.
    np.testing.assert_allclose(safe, errors(TAPS, alone, angles, wearer, rows)[0], rtol=1e-9)
    first = Learner(TAPS, bank=bank).learn(np.zeros(0), np.zeros((0, N)), True)
    folded, _ = TAPS.sample_weights(bank.solve())
    np.testing.assert_allclose(first.weights[6 * N : 7 * N], folded[3 * N :], atol=1e-6 * np.abs(folded).max())


def test_nothing_learned_is_nothing() -> None:
    nothing = Learned.nothing(TAPS)
    assert nothing.movement_s == 0.0
    assert nothing.sums.features.shape == (TAPS.features, TAPS.features)
    assert nothing.sums.targets.shape == (TAPS.features, TAPS.outputs)
    assert not nothing.sums.features.any()


def test_the_same_samples_give_the_same_bits() -> None:
    one, other = (learn(Learner(TAPS), WALK[:600], SENSED[:600]) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        for name in ("weights", "constant", "rmse"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()


def test_what_was_handed_out_is_not_changed_later() -> None:
    learner = Learner(TAPS)
    blends = learn(learner, WALK[:400], SENSED[:400])
    kept = [(b.weights.copy(), b.constant.copy(), b.rmse.copy()) for b in blends]
    before = learner.learned.sums.features.copy(), learner.learned
    learn(learner, WALK[400:800], SENSED[400:800], restarted=False)
    for blend, (weights, constant, rmse) in zip(blends, kept, strict=True):
        np.testing.assert_array_equal(blend.weights, weights)
        np.testing.assert_array_equal(blend.constant, constant)
        np.testing.assert_array_equal(blend.rmse, rmse)
    np.testing.assert_array_equal(before[1].sums.features, before[0])


def test_nothing_is_learned_while_a_doubtful_sample_is_in_sight_and_what_was_before_it_is_forgotten() -> None:
    taps = Taps(2, 100.0, 0.05)
    learner = Learner(taps)
    times = np.arange(1500) / 100.0
    values = 0.3 * np.sin(2.0 * np.pi * np.outer(times, [0.9, 1.8]))
    learned = []
    for start in range(0, 1500, 5):
        learner.learn(times[start : start + 5], values[start : start + 5], False, start == 700)
        learned.append(learner.learned.movement_s)
    gained = np.diff(learned)
    first = 700 // 5
    # A sensor may be wrong for a while before it is doubted.
    assert -2.3 < gained[first - 1] < -1.2
    # 0.6 s of window, 0.05 s of age, 0.8 s of hindsight.
    assert (gained[first : first + 28] == 0.0).all()
    assert (gained[first - 20 : first - 2] > 0.0).all()
    assert (gained[first + 32 :] > 0.0).all()


def test_one_sample_far_off_teaches_nothing() -> None:
    taps = Taps(2, 100.0, 0.05)
    noise = np.random.default_rng(4).normal(0.0, 2e-3, (2500, 2))
    times = np.arange(2500) / 100.0
    clean = 0.3 * np.sin(2.0 * np.pi * np.outer(times, [0.9, 1.8])) + noise
    spoiled = clean.copy()
    spoiled[1200, 0] += 1.0
    sums = []
    for values in (clean, spoiled):
        learner = Learner(taps)
        for start in range(0, 2500, 5):
            learner.learn(times[start : start + 5], values[start : start + 5], False)
        sums.append(np.diag(learner.learned.sums.features))
    # No window that holds it is learned from: 60 of them would add half as much again.
    assert (sums[1] < 1.05 * sums[0]).all()
    assert (sums[1] > 0.8 * sums[0]).all()


def test_a_value_that_is_no_number_spoils_nothing_for_ever() -> None:
    taps = Taps(2, 100.0, 0.05)
    learner = Learner(taps)
    times = np.arange(1500) / 100.0
    values = 0.3 * np.sin(2.0 * np.pi * np.outer(times, [0.9, 1.8]))
    values[700, 1] = np.nan
    for start in range(0, 1500, 5):
        blend = learner.learn(times[start : start + 5], values[start : start + 5], False)
    assert np.isfinite(learner.learned.sums.features).all()
    assert np.isfinite(blend.weights).all()
    assert np.isfinite(blend.rmse).all()
    assert learner.learned.movement_s > 10.0


def test_sums_without_a_solution_change_nothing() -> None:
    taps = Taps(1, 100.0, 0.05)
    bad = NormalEquations(np.full((taps.features, taps.features), np.inf), np.zeros((taps.features, taps.outputs)))
    learner = Learner(taps)
    known = learner.learned
    learner.learned = Learned(bad, 1.0)
    times = np.arange(300) / 100.0
    values = 0.3 * np.sin(2.0 * np.pi * times[:, None])
    for start in range(0, 300, 5):
        blend = learner.learn(times[start : start + 5], values[start : start + 5], False)
    assert learner.failed_refits == 1
    assert np.isfinite(learner.learned.sums.features).all()  # it went back to what was known before
    assert learner.learned is not known
    assert np.isfinite(blend.weights).all()
