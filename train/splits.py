"""Which windows train and which judge: by time, stride, repetition, person, speed. Never by frame.

Neighbouring frames are almost the same: a network that has seen one of them has seen the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.signal import find_peaks

from edge.errors import TrialError
from edge.signals import zero_phase
from edge.trial import Trial
from train.material import Material

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

FEWEST_PEOPLE = 5
"""With so many, it is people that are held out, not the end of their recordings."""
PEOPLE_FOLDS = 4
_FEWEST_WINDOWS = 10  # fewer have no deviation worth the name
_SHORTEST_CYCLE_S = 0.5
_PROMINENT = 0.5  # of the angle's range: a peak that counts as a cycle's


def split_by_time(material: Material, fraction: float) -> tuple[BoolArray, BoolArray]:
    """Masks of the training and validation windows: the last `fraction` of each stretch validates.

    Raises TrialError when too few are left.
    """
    judge = np.zeros(len(material), dtype=bool)
    for s in range(len(material.stretches)):
        own = np.flatnonzero(material.windows.stretch == s)
        if len(own):
            judge[own[len(own) - max(round(fraction * len(own)), 1) :]] = True
    return _apart(material, judge)


def split_by_cycle(material: Material, *, every: int = 5, first: int = 0) -> tuple[BoolArray, BoolArray]:
    """Each `every`-th stride or repetition validates, beginning with the number `first`. Raises TrialError."""
    numbers = cycle_numbers(material)
    return _apart(material, numbers % every == first % every)


def split_last_cycle(material: Material) -> tuple[BoolArray, BoolArray]:
    """The last whole cycle of each recording, and what follows it, validates. Raises TrialError."""
    numbers = cycle_numbers(material)
    last: dict[int, int] = {}
    recordings = [id(material.stretches[s].trial) for s in material.windows.stretch]
    for recording, number in zip(recordings, numbers.tolist(), strict=True):
        last[recording] = max(number, last.get(recording, 0))
    # What follows the last peak is no whole cycle.
    return _apart(material, numbers >= np.array([max(last[recording] - 1, 1) for recording in recordings]))


def folds(groups: npt.NDArray[np.str_], count: int | None = None) -> Iterator[tuple[tuple[str, ...], BoolArray]]:
    """Folds by person (or speed, ...): the groups that are held out, and the mask of their windows.

    count: how many folds; default one for each group. Groups with many windows are spread evenly.
    """
    names, sizes = np.unique(groups, return_counts=True)
    most_first = [str(names[i]) for i in np.argsort(-sizes, kind="stable")]
    number = len(most_first) if count is None else min(count, len(most_first))
    for fold in range(number):
        held = tuple(most_first[fold::number])
        yield held, np.isin(groups, held)


def evenly(groups: npt.NDArray[np.str_], which: npt.NDArray[np.intp], seed: int) -> npt.NDArray[np.intp]:
    """As many of the windows `which`, some of them several times, such that every group counts by the root of its windows.

    A minute of one person says less about people than two seconds each of thirty.
    """
    own = groups[which]
    names, counts = np.unique(own, return_counts=True)
    share = np.sqrt(counts) / np.sqrt(counts).sum()
    draw = np.random.default_rng(seed)
    chosen = []
    for name, part in zip(names, share, strict=True):
        there = which[own == name]
        wanted = max(round(part * len(which)), 1)
        whole = np.tile(there, wanted // len(there))
        chosen.append(np.concatenate([whole, draw.choice(there, wanted - len(whole), replace=False)]))
    return np.concatenate(chosen)


def cycle_numbers(material: Material) -> npt.NDArray[np.intp]:
    """The number of the stride or repetition that each window's moment belongs to, from 0 in each recording."""
    numbers = np.zeros(len(material), dtype=np.intp)
    known: dict[int, FloatArray] = {}
    for s, stretch in enumerate(material.stretches):
        starts = known.setdefault(id(stretch.trial), cycle_starts(stretch.trial))
        own = material.windows.stretch == s
        numbers[own] = np.searchsorted(starts, material.windows.time_s[own], side="right")
    return numbers


def cycle_starts(trial: Trial) -> FloatArray:
    """Times in s at which the joint that moves most turns back from its highest angle."""
    q = zero_phase.differentiate(trial.time_s, trial.q, trial.time_s)[0]
    leading = q[:, int(np.argmax(np.ptp(q, axis=0)))]
    # The knee's two waves in a stride differ in height; the higher counts.
    spacing = max(round(_SHORTEST_CYCLE_S / float(np.median(np.diff(trial.time_s)))), 1)
    sides = [
        find_peaks(sign * leading, prominence=_PROMINENT * np.ptp(leading), distance=spacing)[0] for sign in (1, -1)
    ]
    peaks = max(sides, key=len)
    return np.asarray(trial.time_s[peaks])


def shared_frames(material: Material, one: BoolArray, other: BoolArray, *, window: int, look_ahead: int) -> int:
    """How many frames are in windows of both masks: more than none, and a test's neighbourhood was trained on."""
    count = 0
    for s, stretch in enumerate(material.stretches):
        seen = np.zeros((2, len(stretch.time_s)), dtype=bool)
        for side, mask in enumerate((one, other)):
            for frame in material.windows.frame[mask & (material.windows.stretch == s)]:
                last = frame + look_ahead
                seen[side, max(last - window + 1, 0) : last + 1] = True
        count += int(seen.all(axis=0).sum())
    return count


def _apart(material: Material, judge: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Training windows that share no frame with those that judge. Raises TrialError when too few are left."""
    window = material.windows.feature.shape[1]
    train = ~judge
    for s in range(len(material.stretches)):
        own = material.windows.stretch == s
        frames = material.windows.frame
        held = np.sort(frames[own & judge])
        if len(held) == 0:
            continue
        asked = frames[own]
        after = np.searchsorted(held, asked)
        nearest = np.minimum(
            np.abs(asked - held[np.minimum(after, len(held) - 1)]), np.abs(asked - held[np.maximum(after - 1, 0)])
        )
        train[own] &= nearest >= window
    if train.sum() < _FEWEST_WINDOWS or not judge.any():
        raise TrialError(
            f"{train.sum()} windows are left to train on beside the {judge.sum()} that validate, at least "
            f"{_FEWEST_WINDOWS} are needed: give longer trials or a smaller --window"
        )
    return train, judge


def require_people(names: Sequence[str], fewest: int, purpose: str) -> None:
    """Raise TrialError when the trials are of too few people for what is to be done."""
    if len(set(names)) < fewest:
        raise TrialError(
            f"{purpose} needs at least {fewest} people, the trials are of {len(set(names))} ({', '.join(sorted(set(names)))}): "
            "give each [[trial]] its `subject`"
        )
