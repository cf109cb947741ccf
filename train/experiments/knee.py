"""`knee`: the first paper's knee bending (Ma et al. 2025, arXiv 2412.05403) on seven people, and its electromyograms.

One network learns from everybody's first repetitions and is tested on everybody's last. All bodies are the same, because nobody
of `knee_emg` was measured. Muscles in `compat` mode: with the passive forces of `correct` mode the models' stretched vasti and
hamstrings outweigh a free shank, which people's do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfiltfilt

from edge.errors import TrialError
from train.angle_recordings import KNEE_EMG, KNEE_EMG_RATE_HZ, knee_emg
from train.experiments.cells import run_cells
from train.experiments.first_paper import SO, cells, plots, recipe
from train.experiments.recordings import Recorded, knee_bending, knee_file, seated_extension
from train.experiments.report import POOLED, Report, Row, Settings
from train.experiments.scoring import BASELINES, correlations, join, score
from train.learning import Answers, baseline, estimate, learn, truth
from train.material import Material
from train.metrics import ACTIVE_RANGE
from train.recipe import Recipe

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_FASTEST_REPETITION_S = 0.5
_EMG_BAND_HZ = (20.0, 450.0)
_ENVELOPE_HZ = 6.0
_FLEXION, _EXTENSION = "standing flexion, last repetition", "seated extension, not trained"
_WITH_EXTENSORS = "knee13"
_QUICK_PEOPLE = 2


def run(settings: Settings) -> Report:
    """The whole experiment. Raises FileError or TrialError for recordings that are not there or not as published."""
    models = ("knee5",) if settings.quick else ("knee5", "knee13")
    people = _QUICK_PEOPLE if settings.quick else None
    variants = [{"model": model, "people": people} for model in models]
    rows = run_cells("knee", cells(settings, without_network, with_network, variants), settings)
    notes = [
        "One network for seven people: trained on their first repetitions of standing knee flexion, tested on the last. "
        "Nobody's size is known: all have 75 kg and 1.75 m.",
        "The truth is our static optimisation in `compat` mode of contact-free inverse dynamics. The limb touches nothing, so "
        "that these need no network: with zero-phase inputs the residual head has nothing to learn.",
        "knee5 has flexors alone: where a braked movement asks for extension every method rests all muscles, and it cannot do "
        "seated extension.",
        "Whoever wears a knee's sensors alone sits unseen: the device takes the hip to be straight, so that in seated extension "
        "even exact torques are shared among muscles of wrong lengths (compare the torque's error with the activation's).",
        "`emg`: correlation of activation with the rectified electromyogram (band 20 to 450 Hz, envelope 6 Hz, 4th order), mean "
        "over those of rectus femoris, biceps femoris, vastus medialis and semitendinosus that static optimisation moves; no "
        "electromechanical delay is taken off.",
    ]
    return Report("knee", rows, plots("knee", rows, {f"{m}, {_FLEXION}": m for m in models}, settings.out), notes)


@dataclass(frozen=True)
class _Bending:
    """Windows of everybody, and which of them train, test, and are of the other movement."""

    flexion: Material
    train: BoolArray
    test: BoolArray
    extension: Material | None


@lru_cache(maxsize=2)
def _bending(data: Path, model: str, people: int | None, causal: bool, age_ms: float) -> _Bending:
    seen = recipe(causal, age_ms)
    trials = knee_bending(data, model=model, people=people)
    flexion = Material.of(trials, seen)
    train, test = last_repetition(flexion, trials, seen)
    extension = None
    if model == _WITH_EXTENSORS:
        extension = Material.of(seated_extension(data, model=model, people=people), seen)
    return _Bending(flexion, train, test, extension)


def last_repetition(material: Material, trials: Sequence[Recorded], recipe: Recipe) -> tuple[BoolArray, BoolArray]:
    """Masks of the windows of all but the last repetition of each trial, and of those of the last.

    A window belongs to a side with all its frames, so that no frame is on both.
    """
    boundary = {trial.name: repetitions(trial)[-1][0] for trial in trials}
    own = np.array([boundary[stretch.trial.name] for stretch in material.stretches])[material.windows.stretch]
    newest = material.windows.time_s + recipe.look_ahead / recipe.rate_hz
    return newest < own, newest - (recipe.window - 1) / recipe.rate_hz >= own


def repetitions(trial: Recorded) -> list[tuple[float, float]]:
    """Start and end in s of every bending of the knee, from the middle of one rest to the middle of the next.

    Raises TrialError for a trial with fewer than two.
    """
    bent = -trial.q[:, 0]
    above = bent > (bent.min() + bent.max()) / 2.0
    turns = np.flatnonzero(np.diff(above.astype(int)))
    bends = [
        (trial.time_s[first], trial.time_s[last])
        for first, last in pairwise(turns)
        if above[first + 1] and trial.time_s[last] - trial.time_s[first] > _FASTEST_REPETITION_S
    ]
    if len(bends) < 2:
        raise TrialError(
            f"{trial.name}: {len(bends)} bendings of the knee are found, and two are needed to train on one and test on another"
        )
    rests = [(end + start) / 2.0 for (_, end), (start, _) in pairwise(bends)]
    edges = [trial.start_s, *rests, trial.end_s]
    return list(pairwise(edges))


def without_network(data: Path, *, model: str, people: int | None, causal: bool, age_ms: float) -> list[Row]:
    """The baselines, and what static optimisation itself has in common with the electromyograms."""
    seen = recipe(causal, age_ms, head="torque")
    bending = _bending(data, model, people, causal, age_ms)
    train = bending.flexion.take(bending.train)
    rows = []
    for key, name in BASELINES.items():
        rows += _judged(data, bending, _Trained(name, model, seen, partial(baseline, key, train, recipe=seen)))
    if not causal:
        rows += _judged(data, bending, _Trained(SO, model, seen, partial(truth, mode=seen.mode)))
    return rows


def with_network(
    data: Path,
    *,
    model: str,
    people: int | None,
    causal: bool,
    age_ms: float,
    method: str,
    changes: Mapping[str, Any],
    seed: int,
    steps: int | None,
) -> list[Row]:
    """One network, tested on the last repetitions and, where the model can, on the other movement."""
    own = recipe(causal, age_ms, seed, steps, **changes)
    bending = _bending(data, model, people, causal, age_ms)
    begun = time.monotonic()
    learned = learn(bending.flexion.take(bending.train), own)
    seconds = time.monotonic() - begun
    return _judged(data, bending, _Trained(method, model, own, partial(estimate, learned), seed, round(seconds, 1)))


@dataclass(frozen=True)
class _Trained:
    """A method that can be asked."""

    name: str
    model: str
    recipe: Recipe
    answer: Callable[[Material], Answers]
    seed: int | None = None
    seconds: float | None = None


def _judged(data: Path, bending: _Bending, method: _Trained) -> list[Row]:
    rows = _by_person(data, bending.flexion.take(bending.test), f"{method.model}, {_FLEXION}", method)
    if bending.extension is not None:
        rows += _by_person(data, bending.extension, f"{method.model}, {_EXTENSION}", method)
    return rows


def _by_person(data: Path, test: Material, task: str, method: _Trained) -> list[Row]:
    """A row for each person, and one for all of them together."""
    keys: dict[str, Any] = {"task": task, "method": method.name, "seed": method.seed, "seconds": method.seconds}
    rows, references, answers, emg = [], [], [], []
    for person in np.unique(test.people):
        own = test.take(test.people == person)
        references.append(truth(own, method.recipe.mode))
        answers.append(method.answer(own))
        emg.append(emg_correlation(data, own, references[-1], answers[-1]))
        rows.append(score(references[-1], answers[-1], own, method.recipe, person=str(person), **keys, more=emg[-1]))
    keys_of_emg = dict.fromkeys(key for own in emg for key in own)
    mean = {key: float(np.mean([own[key] for own in emg if key in own])) for key in keys_of_emg}
    return [*rows, score(join(references), join(answers), test, method.recipe, person=POOLED, **keys, more=mean)]


def emg_correlation(data: Path, material: Material, reference: Answers, answers: Answers) -> dict[str, float]:
    """Correlation of one person's activations with the envelopes of their electromyograms, by muscle of the model.

    `emg` is the mean over the muscles that the reference moves; without any it is left out.
    """
    trial = material.stretches[int(material.windows.stretch[0])].trial
    assert isinstance(trial, Recorded)
    envelope = envelopes(*knee_emg(knee_file(data, trial)), answers.time_s)
    names = material.model.muscle_names
    known = [name for name in KNEE_EMG if name in names]
    columns = [names.index(name) for name in known]
    found = correlations(envelope[:, [KNEE_EMG.index(name) for name in known]], answers.activation[:, columns])
    moving = np.ptp(reference.activation[:, columns], axis=0) > ACTIVE_RANGE
    mean = {"emg": float(found[moving].mean())} if moving.any() else {}
    return {**mean, **{f"emg_{name}": value for name, value in zip(known, found.tolist(), strict=True)}}


def envelopes(time_s: FloatArray, emg: FloatArray, at_s: FloatArray) -> FloatArray:
    """Linear envelopes (len(at_s), channels) of raw electromyograms (rows, channels): band-pass, rectified, low-pass."""
    band = butter(4, _EMG_BAND_HZ, "bandpass", fs=KNEE_EMG_RATE_HZ, output="sos")
    low = butter(4, _ENVELOPE_HZ, fs=KNEE_EMG_RATE_HZ, output="sos")
    smooth = sosfiltfilt(low, np.abs(sosfiltfilt(band, emg, axis=0)), axis=0)
    return np.stack([np.interp(at_s, time_s, column) for column in smooth.T], axis=1)
