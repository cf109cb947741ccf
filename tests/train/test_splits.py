from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from demo_people import material_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.errors import TrialError
from train import splits
from train.banks import Banks
from train.dataset import Windows
from train.material import Material

RATE_HZ = 100.0


@dataclass(frozen=True)
class Drawn:
    """Windows of made-up recordings, in which cycles follow one another."""

    material: Material
    window: int
    look_ahead: int

    def shared(self, one: np.ndarray, other: np.ndarray) -> int:
        return splits.shared_frames(self.material, one, other, window=self.window, look_ahead=self.look_ahead)


def recording(frames: int, cycle_s: float, *, subject: str = "a") -> Any:
    """A trial with one joint that does most: as far as a split looks at one."""
    time = 3.0 + np.arange(frames) / RATE_HZ
    phase = 2.0 * np.pi * (time - 3.0) / cycle_s
    q = np.stack([0.1 * np.sin(phase), 0.6 * np.sin(phase) + 0.2 * np.sin(2.0 * phase)], axis=1)
    return SimpleNamespace(time_s=time, q=q, subject=subject)


def material_of_frames(pieces: list[tuple[Any, np.ndarray, np.ndarray]], window: int, look_ahead: int) -> Material:
    """pieces: of each stretch its trial, which of the trial's frames it has, and which of them windows describe."""
    stretches, stretch, frame, time = [], [], [], []
    for s, (trial, own, described) in enumerate(pieces):
        stretches.append(SimpleNamespace(trial=trial, time_s=trial.time_s[own]))
        stretch += [s] * len(described)
        frame += described.tolist()
        time += trial.time_s[own][described].tolist()
    windows = Windows(
        np.zeros((len(frame), window, 1)),
        np.array(stretch, dtype=int),
        np.array(frame, dtype=int),
        np.array(time, dtype=float),
    )
    return Material(tuple(stretches), windows, Banks(None, {}))  # type: ignore[arg-type]


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    window = draw(st.integers(2, 30))
    look_ahead = draw(st.integers(0, window - 1))
    pieces = []
    for _ in range(draw(st.integers(1, 3))):
        frames = draw(st.integers(60, 500))
        trial = recording(frames, draw(st.floats(0.6, 1.5)))
        cut = draw(st.integers(0, frames - 1))
        for own in (slice(0, cut), slice(cut, frames)):  # a gap, here of no frames
            length = len(trial.time_s[own])
            every = np.arange(window - 1 - look_ahead, length - look_ahead)
            if draw(st.booleans()):
                every = every[every % 37 > 2]  # frames in doubt are described by no window
            pieces.append((trial, own, every))
    assume(sum(len(described) for _, _, described in pieces) > 0)
    return Drawn(material_of_frames(pieces, window, look_ahead), window, look_ahead)


SPLITS = {
    "time": lambda m: splits.split_by_time(m, 0.2),
    "half": lambda m: splits.split_by_time(m, 0.5),
    "cycle": lambda m: splits.split_by_cycle(m, every=3, first=1),
    "last cycle": splits.split_last_cycle,
}


@pytest.mark.parametrize("name", SPLITS)
@settings(max_examples=60, deadline=None)
@given(made=drawn())
def test_no_frame_is_in_windows_of_both_sides(name: str, made: Drawn) -> None:
    try:
        train, judge = SPLITS[name](made.material)
    except TrialError as error:
        assert "windows are left to train on" in str(error)  # noqa: PT017 - that it is raised is not what is tested
        return
    assert not (train & judge).any()
    assert judge.any()
    assert made.shared(train, judge) == 0


@settings(max_examples=60, deadline=None)
@given(made=drawn(), seed=st.integers(0, 1000))
def test_shared_frames_are_counted(made: Drawn, seed: int) -> None:
    """Against the sets of the frames themselves."""
    draw = np.random.default_rng(seed)
    one, other = draw.random((2, len(made.material))) < 0.02

    def frames(mask: np.ndarray) -> set[tuple[int, int]]:
        windows, last = made.material.windows, made.look_ahead
        chosen = zip(windows.stretch[mask], windows.frame[mask], strict=True)
        return {(s, f) for s, k in chosen for f in range(k + last - made.window + 1, k + last + 1)}

    assert made.shared(one, other) == len(frames(one) & frames(other))


def test_a_random_split_of_frames_is_caught() -> None:
    """What must never be done: the frames beside a tested one were trained on."""
    material = material_of("a", seconds=4.0)
    judge = np.random.default_rng(0).random(len(material)) < 0.2
    assert splits.shared_frames(material, ~judge, judge, window=8, look_ahead=0) > 0.7 * len(material)
    for train, held in (splits.split_by_time(material, 0.2), splits.split_by_cycle(material, every=3, first=1)):
        assert splits.shared_frames(material, train, held, window=8, look_ahead=0) == 0
        # Not one window more could be trained on.
        more = train.copy()
        more[np.flatnonzero(held)[0] - 7] = True
        assert splits.shared_frames(material, more, held, window=8, look_ahead=0) == 1


def test_the_end_of_every_stretch_validates() -> None:
    material = material_of("ab")
    train, judge = splits.split_by_time(material, 0.25)
    for s in (0, 1):
        own = np.flatnonzero(material.windows.stretch == s)
        held = own[judge[own]]
        np.testing.assert_array_equal(held, own[-round(0.25 * len(own)) :])
        assert material.windows.time_s[own[train[own]]].max() < material.windows.time_s[held].min()
        assert (~train[own] & ~judge[own]).sum() == material.windows.feature.shape[1] - 1


def test_too_little_is_told() -> None:
    material = material_of("a").take(np.arange(15))
    with pytest.raises(
        TrialError, match=r"^\d windows are left to train on beside the \d that validate.*longer trials"
    ):
        splits.split_by_time(material, 0.5)


@pytest.mark.parametrize("cycle_s", [0.7, 1.0, 1.3])
def test_cycles_are_counted_from_peak_to_peak(cycle_s: float) -> None:
    trial = recording(1000, cycle_s)
    starts = splits.cycle_starts(trial)
    np.testing.assert_allclose(np.diff(starts), cycle_s, atol=0.011)
    assert 10.0 / cycle_s - 1.5 < len(starts) < 10.0 / cycle_s + 0.5
    material = material_of_frames([(trial, slice(None), np.arange(1000))], 1, 0)
    numbers = splits.cycle_numbers(material)
    assert (np.diff(numbers) >= 0).all()
    assert numbers.max() == len(starts)
    for k, start in enumerate(starts, 1):
        assert material.windows.time_s[numbers == k].min() == pytest.approx(start, abs=1e-9)


def test_strides_of_the_demonstration_are_strides() -> None:
    """Steps of walking at 1.3 m/s take about half a second; the knee bends twice in each stride, once much."""
    starts = splits.cycle_starts(material_of("a", seconds=8.0).stretches[0].trial)
    assert 0.9 < np.diff(starts).min() <= np.diff(starts).max() < 1.3


def test_each_so_manieth_cycle_validates() -> None:
    trial = recording(1000, 1.0)
    material = material_of_frames([(trial, slice(None), np.arange(4, 1000))], 5, 0)
    numbers = splits.cycle_numbers(material)
    for first in (0, 2, 7):
        _, judge = splits.split_by_cycle(material, every=5, first=first)
        np.testing.assert_array_equal(judge, numbers % 5 == first % 5)
    covered = sum(splits.split_by_cycle(material, every=3, first=k)[1].astype(int) for k in range(3))
    np.testing.assert_array_equal(covered, 1)


def test_the_last_whole_cycle_of_a_recording_validates_wherever_it_has_gaps() -> None:
    trial = recording(1000, 1.0)
    whole = material_of_frames([(trial, slice(None), np.arange(4, 1000))], 5, 0)
    _, judge = splits.split_last_cycle(whole)
    starts = splits.cycle_starts(trial)
    np.testing.assert_array_equal(judge, whole.windows.time_s >= starts[-2] - 1e-9)
    # An earlier part that a gap cuts off is trained on entirely.
    parts = [(trial, slice(0, 400), np.arange(4, 400)), (trial, slice(400, 1000), np.arange(4, 600))]
    torn = material_of_frames(parts, 5, 0)
    train, judge = splits.split_last_cycle(torn)
    np.testing.assert_array_equal(judge, torn.windows.time_s >= starts[-2] - 1e-9)
    assert train[torn.windows.stretch == 0].all()


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12), count=st.none() | st.integers(1, 15))
def test_folds_hold_everybody_out_once(sizes: list[int], count: int | None) -> None:
    groups = np.repeat([f"p{i}" for i in range(len(sizes))], sizes)
    np.random.default_rng(0).shuffle(groups)
    found = list(splits.folds(groups, count))
    assert len(found) == (len(sizes) if count is None else min(count, len(sizes)))
    held = [name for names, _ in found for name in names]
    assert sorted(held) == sorted(set(groups))
    np.testing.assert_array_equal(sum(mask.astype(int) for _, mask in found), 1)
    for names, mask in found:
        assert set(groups[mask]) == set(names)  # nobody is on both sides
        assert not set(groups[~mask]) & set(names)


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=8), seed=st.integers(0, 100))
def test_people_count_by_the_root_of_their_windows(sizes: list[int], seed: int) -> None:
    groups = np.repeat([f"p{i}" for i in range(len(sizes))], sizes)
    which = np.flatnonzero(np.arange(len(groups)) % 7 != 6)
    chosen = splits.evenly(groups, which, seed)
    assert set(chosen) <= set(which)
    assert set(groups[chosen]) == set(groups[which])
    own = {name: int((groups[which] == name).sum()) for name in set(groups[which])}
    root = {name: np.sqrt(count) for name, count in own.items()}
    for name, count in own.items():
        times = np.bincount(chosen[groups[chosen] == name], minlength=len(groups))[which[groups[which] == name]]
        assert times.max() - times.min() <= 1  # nobody's window is seen twice before each is seen once
        wanted = root[name] / sum(root.values()) * len(which)
        assert times.sum() == pytest.approx(max(wanted, 1), abs=0.51)
        assert count >= 1
    np.testing.assert_array_equal(chosen, splits.evenly(groups, which, seed))


def test_too_few_people_are_told() -> None:
    splits.require_people(["a", "b", "a"], 2, "holding people out")
    with pytest.raises(TrialError, match=r"holding people out needs at least 3 people, the trials are of 2 \(a, b\)"):
        splits.require_people(["a", "b", "a"], 3, "holding people out")
