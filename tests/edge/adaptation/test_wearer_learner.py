"""What is learned of teachers, when it is used, and when it is taken back."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_adaptable import FEATURES, RATE_HZ, ROWS, TAPS, WINDOW, prior, taps_of, walking

from edge.adaptation.learner import JUDGE_S, OWN_SHARE, Learner, Taught, Verdict

CORRECTION = np.random.default_rng(7).normal(0.0, 0.5, (TAPS, ROWS))


def learner() -> Learner:
    return Learner(prior(), window=WINDOW, rate_hz=RATE_HZ, moving_deviation=np.full(FEATURES, 0.7))


def taught(
    seconds: float,
    *,
    start_s: float = 0.0,
    correction: np.ndarray = CORRECTION,
    apart: float = 0.0,
    size: float = 1.0,
    offset: float = 0.0,
) -> Taught:
    """apart: of the two teachers, in rows' deviations."""
    time, windows = walking(seconds, start_s=start_s, size=size, offset=offset)
    taps = taps_of(windows)
    missing = taps @ correction
    return Taught(time, windows[:, -1], taps, np.stack([missing - apart / 2.0, missing + apart / 2.0]))


def run(one: Learner, everything: Taught, piece: int = 25) -> list[tuple[float, Verdict]]:
    """Verdicts and when they came."""
    found = []
    for i in range(0, len(everything.time_s), piece):
        which = np.zeros(len(everything.time_s), dtype=bool)
        which[i : i + piece] = True
        verdict = one.take(everything.take(which))
        if verdict is not None:
            found.append((float(everything.time_s[which][-1]), verdict))
    return found


def test_a_lasting_lack_is_corrected_within_four_seconds_and_measured() -> None:
    one = learner()
    (at_s, first), *later = run(one, taught(6.0))
    assert at_s < 3.8
    assert first.outcome == "adapted"
    assert first.before == first.uncorrected > first.after
    assert later[-1][1].learned_s == pytest.approx(6.0 - JUDGE_S - WINDOW / RATE_HZ, abs=0.51)
    assert one.correction is not None
    answer = taps_of(walking(1.0)[1])
    taught_part = (1.0 - OWN_SHARE) * (answer @ CORRECTION)
    assert ((answer @ one.correction - taught_part) ** 2).mean() < 0.5 * (taught_part**2).mean()


def test_pieces_may_be_of_any_size() -> None:
    single, many = run(learner(), taught(4.5), 1), run(learner(), taught(4.5), 50)
    assert [at for at, _ in single] == [at for at, _ in many]
    for (_, one), (_, other) in zip(single, many, strict=True):
        assert one.outcome == other.outcome
        assert one.after == pytest.approx(other.after)


def test_the_newest_seconds_judge_and_were_not_learned() -> None:
    """The teachers turn round just before the verdict: what was learned before is right no more."""
    before, after = taught(1.5), taught(2.5, start_s=1.5, correction=-CORRECTION)
    one = learner()
    verdicts = run(one, before.then(after))
    assert [v.outcome for _, v in verdicts] == ["kept"] * len(verdicts) != []
    assert all(v.after > v.uncorrected for _, v in verdicts)
    assert one.correction is None


def test_what_later_seconds_show_to_be_worse_is_taken_back() -> None:
    one = learner()
    run(one, taught(4.0))
    assert one.correction is not None
    outcomes = [v.outcome for _, v in run(one, taught(2.5, start_s=4.0, correction=-CORRECTION))]
    assert "taken back" in outcomes
    assert one.correction is None


def test_teachers_who_disagree_do_not_teach() -> None:
    gap = float(np.sqrt(((taps_of(walking(4.0)[1]) @ CORRECTION) ** 2).mean()))
    agreeing, disagreeing = learner(), learner()
    run(agreeing, taught(5.0, apart=0.6 * gap))
    verdicts = run(disagreeing, taught(5.0, apart=0.8 * gap))
    assert agreeing.correction is not None
    assert disagreeing.correction is None
    assert {v.outcome for _, v in verdicts} == {"teachers disagree"}


@pytest.mark.parametrize(("size", "offset"), [(2.0, 0.0), (1.0, 0.8), (0.1, 0.0)])
def test_nothing_is_carried_into_another_movement(size: float, offset: float) -> None:
    one = learner()
    run(one, taught(4.0))
    verdicts = run(one, taught(2.0, start_s=4.0, size=size, offset=offset))
    assert [v.outcome for _, v in verdicts][-1] == "movement changed" or "movement changed" in {
        v.outcome for _, v in verdicts
    }
    assert one.correction is None
    fresh = learner()
    run(fresh, taught(6.0, start_s=6.0, size=size, offset=offset))
    run(one, taught(6.0, start_s=6.0, size=size, offset=offset))
    assert (one.correction is None) == (fresh.correction is None)


def test_steady_walking_is_no_other_movement() -> None:
    assert "movement changed" not in {v.outcome for _, v in run(learner(), taught(20.0))}


def test_older_moments_begin_anew() -> None:
    one = learner()
    run(one, taught(5.0))
    assert one.correction is not None
    assert one.take(taught(0.5)) is None
    assert one.correction is None


def test_a_roll_back_forgets() -> None:
    one = learner()
    run(one, taught(5.0))
    one.roll_back()
    assert one.correction is None
    assert [at for at, _ in run(one, taught(3.3, start_s=5.0))] == []


def test_after_a_gap_it_waits_for_enough_to_judge() -> None:
    one = learner()
    run(one, taught(3.2))
    assert run(one, taught(1.0, start_s=30.0)) == []
    assert run(one, taught(1.5, start_s=31.0))[0][1].outcome == "adapted"


def test_a_silent_teacher_changes_nothing() -> None:
    silent = taught(6.0)
    silent.missing[:] = np.nan
    one = learner()
    assert {v.outcome for _, v in run(one, silent)} == {"kept"}
    assert one.correction is None
