from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from recorded_people import FLEXION_POSITIVE

from edge.errors import TrialError
from edge.msk.hill import MuscleMode
from edge.novelty import HeldScore, Novelty
from edge.trials import TrialSpec, load_trial
from train.dataset import InputSettings, Windows, make_stretches, make_windows
from train.novelty import NoveltySettings, fit, groups_of

RATE_HZ = 100.0
WINDOW = 12
SMALL = NoveltySettings(components=8, prototypes=60, windows=600)


def steps(person: int, *, seconds: float = 2.0, knee: float = 1.0) -> np.ndarray:
    """Windows (n, WINDOW, 4) of a made-up gait: hip and knee and their rates, a little different in every person."""
    rng = np.random.default_rng(person)
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    turn = 2.0 * np.pi * rng.uniform(0.9, 1.1)
    size = rng.uniform(0.9, 1.1, 2) * (0.4, 0.5 * knee)
    phase = turn * time[:, None] + rng.uniform(0, 6) + (0.0, 1.2 + rng.uniform(-0.1, 0.1))
    angles = size * np.sin(phase) + 0.05 * rng.normal(size=2)
    table = np.hstack([angles, size * turn * np.cos(phase)])
    return np.lib.stride_tricks.sliding_window_view(table, WINDOW, axis=0).swapaxes(1, 2).copy()


def people(numbers: range) -> tuple[np.ndarray, np.ndarray]:
    parts = [steps(number) for number in numbers]
    return np.concatenate(parts), np.repeat(list(numbers), [len(part) for part in parts])


@pytest.fixture(scope="module")
def walkers() -> Novelty:
    return fit(*people(range(12)), SMALL)


def test_other_people_are_let_through_and_another_movement_is_not(walkers: Novelty) -> None:
    others, _ = people(range(100, 130))
    assert (walkers.scores(others) > 1.0).mean() <= 0.02
    assert walkers.about.groups == 12
    assert walkers.about.flagged <= 0.02
    still = np.zeros((1, WINDOW, 4))
    backwards = others[:, ::-1]
    for unlike in (still, backwards, 2.0 * others, np.concatenate([steps(k, knee=-1.0) for k in range(5)])):
        assert (walkers.scores(unlike) > 1.0).mean() >= 0.95


def test_a_way_of_moving_that_never_varied_is_not_left_open(walkers: Novelty) -> None:
    """Rates that do not belong to the angles lie outside all components; so does a jolt in one frame."""
    own = steps(3)
    wrong, jolt = own.copy(), own.copy()
    wrong[:, :, 2] += 2.0
    jolt[:, 5, 0] += 0.5
    assert (walkers.scores(wrong) > 1.0).all()
    assert (walkers.scores(jolt) > 1.0).all()


def test_it_needs_no_units_and_repeats_exactly(walkers: Novelty) -> None:
    windows, group = people(range(12))
    assert fit(windows, group, SMALL).to_bytes() == walkers.to_bytes()
    unit, zero = np.array([57.3, 0.01, 1e3, 1.0]), np.array([3.0, 0.0, -50.0, 1.0])
    scaled = fit(unit * windows + zero, np.array([f"person {k:02d}" for k in group]), SMALL)
    others, _ = people(range(100, 103))
    np.testing.assert_allclose(scaled.scores(unit * others + zero), walkers.scores(others), rtol=0.02)


def test_a_feature_that_stood_still_says_nothing_and_a_large_recording_does_not_drown_the_small_ones() -> None:
    windows, group = people(range(6))
    extra = np.repeat(steps(0), 20, axis=0)
    windows, group = np.concatenate([windows, extra]), np.concatenate([group, np.zeros(len(extra), dtype=int)])
    windows = np.concatenate([windows, np.full((*windows.shape[:2], 1), 0.1)], axis=2)
    windows[:, :, -1] += 1e-12 * np.random.default_rng(0).normal(size=windows.shape[:2])
    own = fit(windows, group, SMALL)
    for person in range(6):
        assert (own.scores(windows[group == person]) > 1.0).mean() <= 0.02
    moved = windows.copy()
    moved[:, :, -1] += 1e-6
    np.testing.assert_allclose(own.scores(moved), own.scores(windows), rtol=1e-2, atol=1e-3)


def test_windows_that_are_all_alike_are_no_error() -> None:
    own = fit(np.ones((30, WINDOW, 4)), np.arange(30) % 3, SMALL)
    assert own.score(np.ones((WINDOW, 4))) <= 1.0
    assert own.score(np.zeros((WINDOW, 4))) > 1.0


def test_two_groups_are_too_few() -> None:
    with pytest.raises(TrialError, match=r"at least 3 people or repetitions, there is 2: give more trials"):
        fit(*people(range(2)), SMALL)


def test_a_file_is_small() -> None:
    """The defaults, with as many windows as they look at, of the size of a leg's."""
    windows = np.random.default_rng(0).normal(size=(1200, 20, 13))
    own = fit(windows, np.arange(1200) % 3, replace(NoveltySettings(), folds=3))
    assert own.about.prototypes == 800
    assert len(own.to_bytes()) <= 100_000


def recording(subject: str, start_s: float, base: float) -> Any:
    """A stretch of five seconds, as far as it tells recordings apart."""
    time = start_s + np.arange(500) / RATE_HZ
    return SimpleNamespace(trial=SimpleNamespace(subject=subject, time_s=time, base=np.full((500, 3), base)))


def windows_of(stretches: list[Any]) -> Windows:
    frames = np.tile(np.arange(500), len(stretches))
    time = np.concatenate([own.trial.time_s for own in stretches])
    return Windows(np.zeros((len(time), 1, 1)), np.repeat(np.arange(len(stretches)), 500), frames, time)


def test_four_people_are_told_apart_as_people_and_fewer_by_parts_of_their_recordings() -> None:
    four = [recording(subject, 0.0, 0.1 * k) for k, subject in enumerate("abcda")]
    windows = windows_of(four)
    np.testing.assert_array_equal(groups_of(windows, four), np.array([0, 1, 2, 3, 0])[windows.stretch])
    # Both legs of one recording, and another one: three parts of each, the same moments of both legs in the same part.
    few = [recording("a", 0.0, 0.1), recording("a", 0.0, 0.1), recording("a", 2.0, 0.3)]
    windows = windows_of(few)
    group = groups_of(windows, few)
    assert len(np.unique(group)) == 6
    np.testing.assert_array_equal(group[windows.stretch == 0], group[windows.stretch == 1])
    assert not set(group[windows.stretch == 0]) & set(group[windows.stretch == 2])
    for g in np.unique(group):
        assert 1.5 < np.ptp(windows.time_s[group == g]) < 1.75


def squat_windows(data: Path, name: str, start_s: float | None = None, end_s: float | None = None) -> Windows:
    spec = TrialSpec(
        kinematics=data / "squats" / f"{name}_ik.mot",
        contact="none",
        subject="s",
        leg_length_m=0.796,
        start_s=start_s,
        end_s=end_s,
    )
    trial = load_trial(spec, FLEXION_POSITIVE, name=name)
    inputs = InputSettings(RATE_HZ, causal=True, method="kalman", age_s=0.05)
    stretches = make_stretches(trial, inputs, MuscleMode.CORRECT, targets=False)
    return make_windows(stretches, window=20, look_ahead=0, history=False)


def test_trained_on_squats_sit_to_stand_is_refused_and_later_squats_are_not(data: Path) -> None:
    first = [squat_windows(data, name, end_s=8.0) for name in ("squats1", "squatsAsym1")]
    groups = [1000 * k + np.digitize(own.time_s, [2.7, 5.3]) for k, own in enumerate(first)]
    novelty = fit(np.concatenate([own.feature for own in first]), np.concatenate(groups))

    def refused(name: str, start_s: float | None = None) -> float:
        own = HeldScore(novelty.about, RATE_HZ)
        windows = squat_windows(data, name, start_s)
        return float(np.mean([own.step(novelty.score(window)) > 1.0 for window in windows.feature]))

    for name in ("squats1", "squatsAsym1"):
        assert refused(name, 8.2) <= 0.02
    for name in ("STS1", "STSweakLegs1", "walking1"):
        assert refused(name) >= 0.95
