from __future__ import annotations

import numpy as np
import pytest

from edge.signals.experts import fallbacks
from edge.signals.hindsight import Hindsight, Past
from edge.signals.judge import MEMORY_S, Judge
from edge.signals.taps import Taps
from tests.edge.signals.made_up import even, stride

SIZE = 2e-3  # rad of white noise
TAPS = Taps(2, 100.0, 0.05)
QUANTITIES = 3 * TAPS.n_joints


def walked(seconds: float, seed: int, size: float = SIZE) -> tuple[Past, np.ndarray]:
    """What hindsight gives of a noisy walk, and the true targets (m, 3 n), relative to the same noisy newest taps."""
    times = even(round(seconds * 100))
    clean = stride(times, 2, (0.0, 0.9))[0]
    noisy = clean + np.random.default_rng(seed).normal(0.0, size, clean.shape)
    past, true = (Hindsight(TAPS).take(times, samples, True) for samples in (noisy, clean))
    assert past is not None
    assert true is not None
    target = true.target[:, :QUANTITIES].copy()
    target[:, : TAPS.n_joints] += true.features[:, TAPS.newest] - past.features[:, TAPS.newest]
    return past, target


def judge_of(experts: list[np.ndarray]) -> Judge:
    return Judge(TAPS, Hindsight(TAPS), experts)


def answers_of(experts: list[np.ndarray], past: Past) -> np.ndarray:
    return np.stack([past.features @ w for w in experts])


def part_of(past: Past, start: int, end: int) -> Past:
    return Past(past.features[start:end], past.target[start:end], past.noise_square[start:end])


def in_pieces(judge: Judge, experts: list[np.ndarray], past: Past, size: int = 5) -> None:
    for start in range(0, len(past.target), size):
        piece = part_of(past, start, start + size)
        judge.hear(answers_of(experts, piece), piece)


def test_until_something_is_known_it_is_the_kalman_smoothers() -> None:
    judge = judge_of(fallbacks(TAPS))
    for share in judge.shares():
        np.testing.assert_array_equal(share, np.array([[1.0], [0.0], [0.0]]) * np.ones(QUANTITIES))
    assert np.isnan(judge.rmse()).all()
    assert judge.rmse().shape == (3, 2)
    np.testing.assert_array_equal(judge.noise_variance, np.inf)


@pytest.mark.parametrize("size", [5e-4, SIZE, 5e-3])
def test_the_reported_error_is_the_true_one(size: float) -> None:
    """Against derivatives without noise, although the judge has only those with it: means over draws of the noise."""
    experts = fallbacks(TAPS)
    reported, true = [], []
    for seed in range(6):
        past, target = walked(20.0, seed, size)
        judge = judge_of(experts)
        _, share = judge.shares()
        for start in range(0, len(target), 5):
            piece = part_of(past, start, start + 5)
            answers = answers_of(experts, piece)
            if start > 500:
                mixed = np.einsum("eo,emo->mo", share, answers[:, :, :QUANTITIES])
                true.append((mixed - target[start : start + 5]) ** 2)
            judge.hear(answers, piece)
            _, share = judge.shares()
            if start > 500:
                reported.append(judge.rmse() ** 2)
    wanted = np.sqrt(np.concatenate(true).mean(axis=0))
    np.testing.assert_allclose(np.sqrt(np.mean(reported, axis=0)), wanted.reshape(3, 2), rtol=0.04)


def test_the_noise_of_the_target_is_taken_out() -> None:
    """Of an expert that is nearly right, the difference from the noisy target tells the error wrongly: they share noise."""
    past, target = walked(60.0, 100)
    weights = np.zeros((TAPS.features, TAPS.outputs))
    weights[:, :QUANTITIES] = np.linalg.lstsq(past.features, target, rcond=1e-9)[0]
    reported, raw, true = [], [], []
    for seed in range(4):
        past, target = walked(15.0, seed)
        said = (past.features @ weights)[:, :QUANTITIES]
        raw.append(((said - past.target[:, :QUANTITIES]) ** 2).mean(axis=0))
        true.append(((said - target) ** 2).mean(axis=0))
        judge = judge_of([weights])
        for start in range(0, len(target), 5):
            in_pieces(judge, [weights], part_of(past, start, start + 5))
            if start > 300:
                reported.append(judge.rmse().reshape(-1) ** 2)
    wanted, got, seen = (np.sqrt(np.mean(squares, axis=0)) for squares in (true, reported, raw))
    np.testing.assert_allclose(got, wanted, rtol=0.1)
    assert (np.abs(seen / wanted - 1.0) > 0.12).all()


def test_the_better_expert_gets_the_share_and_the_safe_answer_is_the_first_twos() -> None:
    past, _ = walked(10.0, 2)
    good, _, best = fallbacks(TAPS)
    experts = [good, np.zeros_like(good), best]
    judge = judge_of(experts)
    in_pieces(judge, experts, past)
    safe, full = judge.shares()
    for share in (safe, full):
        np.testing.assert_allclose(share.sum(axis=0), 1.0)
        assert (share >= 0.0).all()
    assert (safe[2] == 0.0).all()
    assert (safe[0] > 0.99).all()
    assert (full[1] < 0.01).all()
    assert (full[2] > full[0]).all()  # what is best for such movement, which the safe answer may not be made of


def test_shares_go_by_output() -> None:
    """An expert that is good for one joint's rate alone gets that alone."""
    past, _ = walked(10.0, 2)
    good = fallbacks(TAPS)[2]
    one, other = good.copy(), good.copy()
    one[:, 2] = 0.0  # the first joint's rate
    rest = np.delete(np.arange(QUANTITIES), 2)
    other[:, rest] = 0.0
    judge = judge_of([one, other])
    in_pieces(judge, [one, other], past)
    _, full = judge.shares()
    assert full[1, 2] > 0.99
    assert (full[0, rest] > 0.99).all()


def test_of_equal_experts_each_has_its_part() -> None:
    past, _ = walked(5.0, 2)
    experts = [fallbacks(TAPS)[0]] * 4
    judge = judge_of(experts)
    in_pieces(judge, experts, past)
    safe, full = judge.shares()
    np.testing.assert_allclose(full, 0.25, rtol=1e-9)
    np.testing.assert_allclose(safe, np.array([[0.5], [0.5], [0.0], [0.0]]) * np.ones(QUANTITIES), rtol=1e-9)


def test_a_change_is_believed_within_a_second() -> None:
    """The error that decides is that of the last 0.7 s; what is reported, of the last 2 s."""
    past, _ = walked(20.0, 4)
    good = fallbacks(TAPS)[2]
    bad = np.zeros_like(good)
    judge = judge_of([good, bad])
    first, second = part_of(past, 0, 900), part_of(past, 900, 1000)
    in_pieces(judge, [good, bad], first)
    before = judge.rmse()
    assert (judge.shares()[1][0] > 0.99).all()
    in_pieces(judge, [bad, good], second)  # from here on the other one is right
    _, full = judge.shares()
    assert (full[1] > 0.5).all()
    assert (judge.rmse() > 2.0 * before).all()
    in_pieces(judge, [bad, good], part_of(past, 1000, 1000 + round(5 * MEMORY_S * 100)))
    assert (judge.rmse() < 2.0 * before).all()


def test_the_sensors_noise_is_measured() -> None:
    for size in (1e-4, SIZE):
        past, _ = walked(20.0, 5, size)
        judge = judge_of(fallbacks(TAPS))
        in_pieces(judge, fallbacks(TAPS), past)
        np.testing.assert_allclose(np.sqrt(judge.noise_variance), size, rtol=0.2)


def test_pieces_weigh_as_their_moments_do() -> None:
    """However long the pieces, old moments fade alike."""
    past, _ = walked(8.0, 6)
    experts = fallbacks(TAPS)
    shares, alone = [], []
    for size in (1, 5, 50, len(past.target)):
        judge = judge_of(experts)
        in_pieces(judge, experts, past, size)
        shares.append(np.stack(judge.shares()))
        judge = judge_of(experts[:1])  # of several, the error of the whole depends on the shares on the way
        in_pieces(judge, experts[:1], past, size)
        alone.append(np.append(judge.noise_variance, judge.rmse().reshape(-1)))
    for found in (shares, alone):
        for other in found[1:]:
            np.testing.assert_allclose(other, found[0], rtol=1e-6)


def test_an_expert_may_get_other_weights() -> None:
    """What noise it has in common with the target is then another."""
    past, _ = walked(20.0, 7)
    experts = fallbacks(TAPS)
    told, untold = judge_of([experts[0]] * 2), judge_of([experts[0]] * 2)
    told.changed(0, experts[2])
    told.changed(1, experts[2])
    fresh = judge_of([experts[2]] * 2)
    for judge in (told, untold, fresh):
        in_pieces(judge, [experts[2]] * 2, past)
    np.testing.assert_array_equal(told.rmse(), fresh.rmse())
    assert not np.allclose(told.rmse(), untold.rmse(), rtol=1e-3)


def test_nothing_is_ever_perfect() -> None:
    """Estimates of an error that noise has made negative are small, not negative, and shares are finite."""
    past, _ = walked(5.0, 8)
    perfect = np.zeros((1, len(past.target), TAPS.outputs))
    perfect[0] = past.target
    judge = judge_of([np.zeros((TAPS.features, TAPS.outputs))])
    judge.hear(perfect, past)
    assert (judge.rmse() > 0.0).all()
    assert (judge.rmse() < 1e-6).all()
    np.testing.assert_array_equal(judge.shares()[1], 1.0)
