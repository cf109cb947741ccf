"""Evaluating a bundle on recordings: the estimates of the device's own pipeline against a reference, beside the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.bundle import Bundle
from edge.errors import TrialError
from edge.estimator import Estimate, Estimator
from edge.msk.hill import HillMuscles
from edge.msk.staticopt import share_torque
from edge.pipeline import Pipeline
from edge.sensors.frame import encode
from edge.storage import Table, read_table
from edge.trial import Trial
from train.answers import truth
from train.dataset import kinematic_states, sensor_frames, usable
from train.estimates import BASELINES, Baseline
from train.material import Material
from train.metrics import agreement
from train.provenance import trained_on
from train.recipe import Noise, Recipe

FloatArray = npt.NDArray[np.float64]

_SAME_TIME_S = 1e-6
_MARGIN_S = 0.5  # beyond an estimate's age, for the samples that wait for the next one
_LONGEST_ROW_S = 0.1
_EDGE_S = 1e-3  # by which a reference may miss the first or last moment, as OpenSim's rounding makes it


@dataclass(frozen=True)
class Series:
    """Results of one trial over time; None for what is not known."""

    time_s: FloatArray
    torque_nm: FloatArray | None  # (frames, rows)
    activation: FloatArray | None  # (frames, muscles)
    force_n: FloatArray | None  # (frames, muscles)


def estimate_trial(bundle: Bundle, trial: Trial, noise: Noise = "none") -> tuple[FloatArray, list[Estimate]]:
    """Estimates of the moments within the trial's range, and those moments in the trial's time.

    A causal bundle runs as on the device: the trial's sensor frames as bytes through the pipeline. What lies before the
    range has been seen, as on a device that has been running.
    """
    trial.frames_outside_model()
    own = replace(bundle, model=trial.model)
    if bundle.manifest.inputs == "causal":
        # What comes after the range cannot change an estimate within it.
        last_us = (trial.end_s - trial.time_s[0] + bundle.age_s + _MARGIN_S) * 1e6
        frames = sensor_frames(trial, recipe_of(bundle, noise).inputs())
        line = b"".join(encode(frame) for frame in frames if frame.time_us <= last_us)
        with closing(Pipeline(own)) as pipeline:
            estimates = pipeline.feed(line, 0)
    else:
        estimator = Estimator(own)
        states = kinematic_states(trial, recipe_of(bundle, noise).inputs())
        estimates = [e for state in states if (e := estimator.step(state)) is not None]
    times = trial.time_s[0] + np.array([e.time_s for e in estimates])
    inside = usable(trial, times)
    if not inside.any():
        raise TrialError(
            f"{trial.name}: gives no estimate between {trial.start_s:g} and {trial.end_s:g} s: the recording is too short, or "
            f"broken by gaps, for a window of {bundle.manifest.network.window} frames at {bundle.manifest.rate_hz:g} Hz: take a "
            "longer one"
        )
    return times[inside], [e for e, keep in zip(estimates, inside, strict=True) if keep]


def recipe_of(bundle: Bundle, noise: Noise = "none") -> Recipe:
    """What of the recipe of a bundle's first network decides its windows."""
    manifest, network = bundle.manifest, bundle.manifest.network
    return Recipe(
        architecture=network.architecture,
        head=network.head,
        signals=network.signals,
        pelvis=network.pelvis,
        causal=manifest.inputs == "causal",
        rate_hz=manifest.rate_hz,
        window=network.window,
        look_ahead=network.look_ahead,
        method=manifest.differentiator.method,
        age_s=manifest.differentiator.age_s,
        noise=noise,
        mode=manifest.muscle_mode,
    )


def covered(trial: Trial, times: FloatArray, path: Path) -> npt.NDArray[np.bool_]:
    """Which of the times of a trial's estimates a reference file covers.

    It may lack less than one of its rows at either end: `solve` writes the recorded rows of a range, which begins between
    two of them. Raises TrialError when more is missing.
    """
    reference_s = read_table(path).time_s
    first, last = reference_s[0] - _EDGE_S, reference_s[-1] + _EDGE_S
    row_s = min(float(np.diff(reference_s).max()), _LONGEST_ROW_S)
    inside = np.asarray((times >= first) & (times <= last))
    if times[0] < first - row_s or times[-1] > last + row_s or not inside.any():
        raise TrialError(
            f"{path}: runs from {reference_s[0]:g} to {reference_s[-1]:g} s, the estimates of {trial.name} from "
            f"{times[0]:g} to {times[-1]:g} s: set start_s and end_s of the trial inside the reference"
        )
    return inside


def reference_from_file(
    bundle: Bundle, trial: Trial, times: FloatArray, path: Path, *, need_side: bool = False
) -> Series:
    """A .sto with `<joint>_moment` (Nm) and/or `<muscle>_activation`, `<muscle>_force` (N) columns, at the given times.

    The side may stand in the names (`hip_r_moment`), and must with `need_side`, where one file serves both legs. With
    moments alone, activations and forces follow by static optimisation. Raises TrialError for missing columns.
    """
    table = read_table(path)
    model = trial.model

    def columns(names: Sequence[str]) -> FloatArray | None:
        return _columns(table, names, trial.side, times, need_side=need_side)

    torque = columns([f"{row}_moment" for row in model.row_names])
    activation = columns([f"{m}_activation" for m in model.muscle_names])
    force = columns([f"{m}_force" for m in model.muscle_names])
    if torque is not None and activation is None and force is None:
        muscles = HillMuscles.of(model, bundle.manifest.muscle_mode)
        solution = share_torque(muscles, *trial.muscle_angles(times), torque)
        activation, force = solution.activation, solution.force_n
    if activation is None and force is None:
        raise TrialError(
            f"{path}: holds neither all of <joint>_moment ({', '.join(model.row_names)}) nor all of <muscle>_activation or "
            f"<muscle>_force ({', '.join(model.muscle_names)}): name the columns so"
            + (f", with the side, as the file serves both legs (hip_{trial.side}_moment)" if need_side else "")
        )
    return Series(times, torque, activation, force)


def _columns(table: Table, names: Sequence[str], side: str, times: FloatArray, *, need_side: bool) -> FloatArray | None:
    """Columns at the given times, those with the side in the name first (`soleus_r_activation`). None when none is there.

    Raises TrialError when some are there and others are not.
    """
    found = []
    for name in names:
        stem, _, kind = name.rpartition("_")
        known = [n for n in (f"{stem}_{side}_{kind}", *(() if need_side else (name,))) if n in table.columns]
        found.append(known[0] if known else None)
    if not any(found):
        return None
    if None in found:
        raise TrialError(
            f"{table.path}: has no column '{names[found.index(None)]}' although it has others of its kind: add it"
        )
    return np.stack([np.interp(times, table.time_s, table.column(str(name))) for name in found], axis=1)


def evaluate(
    bundle: Bundle,
    trials: Sequence[Trial],
    references: Sequence[Path] | None,
    training: Sequence[Trial] | None,
    noise: Noise = "none",
) -> tuple[dict[str, Any], list[Series]]:
    """The figures of `edge-msk evaluate` and the estimates of each trial.

    references: None for static optimisation on the trial's own inverse dynamics, one file for all trials, or one for each.
    training: what the baselines learn from, or None for no baselines. noise: of the sensors, see `train.sensor_quality`.
    """
    if references is not None and len(references) not in (1, len(trials)):
        raise TrialError(
            f"{len(references)} reference files for {len(trials)} trials: give one for all, or one for each"
        )
    need_side = references is not None and len(references) == 1 and len({trial.side for trial in trials}) > 1
    mode = bundle.manifest.muscle_mode
    estimated, truths, seen = [], [], 0
    for i, trial in enumerate(trials):
        times, estimates = estimate_trial(bundle, trial, noise)
        path = None if references is None else references[0] if len(references) == 1 else references[i]
        if path is not None:
            inside = covered(trial, times, path)
            times, estimates = times[inside], [e for e, keep in zip(estimates, inside, strict=True) if keep]
        estimated.append(
            Series(
                times,
                np.array([e.torque_nm for e in estimates]),
                np.array([e.activation for e in estimates]),
                np.array([e.force_n for e in estimates]),
            )
        )
        seen += int(trained_on(bundle, trial, times).sum())
        if path is None:
            truths.append(Series(times, *truth(trial, times, mode)))
        else:
            truths.append(reference_from_file(bundle, trial, times, path, need_side=need_side))
    figures = _figures(bundle, truths, estimated)
    figures["frames"] = sum(len(s.time_s) for s in estimated)
    figures["frames_trained_on"] = seen
    figures["age_ms"] = bundle.age_s * 1e3
    figures["baselines"] = {}
    if training is not None:
        for name, series in _baselines(bundle, trials, training, estimated, noise).items():
            figures["baselines"][name] = _figures(bundle, truths, series)
    return figures, estimated


def _figures(bundle: Bundle, truths: Sequence[Series], estimates: Sequence[Series]) -> dict[str, Any]:
    def pair(attribute: str) -> tuple[FloatArray, FloatArray] | None:
        known = [getattr(t, attribute) for t in truths]
        if any(k is None for k in known):
            return None
        return np.concatenate(known), np.concatenate([getattr(e, attribute) for e in estimates])

    activation, force = pair("activation"), pair("force_n")
    if activation is None and force is None:
        raise TrialError(
            "the references have nothing in common: one gives activations alone, another forces alone: add the columns that lack"
        )
    figures = agreement(activation, force, bundle.model.muscle_names)
    torque = pair("torque_nm")
    if torque is not None:
        error = np.sqrt(((torque[0] - torque[1]) ** 2).mean(axis=0))
        figures["torque_rmse_nm"] = dict(zip(bundle.model.row_names, error.tolist(), strict=True))
    return figures


def _baselines(
    bundle: Bundle, trials: Sequence[Trial], training: Sequence[Trial], estimated: Sequence[Series], noise: Noise
) -> dict[str, list[Series]]:
    """Nearest neighbours and kernel ridge from the first network's own windows to torques, then static optimisation."""
    recipe = recipe_of(bundle, noise)
    known = Material.of(training, recipe)
    asked = [
        _same_moments(Material.of([trial], recipe, history=True, targets=False, bank=bundle.bank), series.time_s, trial)
        for trial, series in zip(trials, estimated, strict=True)
    ]
    results: dict[str, list[Series]] = {}
    for name in BASELINES:
        method = Baseline(name, known, recipe)
        answers = [method.answers(material) for material in asked]
        results[name] = [Series(own.time_s, own.torque_nm, own.activation, own.force_n) for own in answers]
    return results


def _same_moments(material: Material, times: FloatArray, trial: Trial) -> Material:
    """The windows that describe exactly the estimates' moments, so that everything is judged on the same frames."""
    described = material.windows.time_s
    nearest = np.searchsorted(described, times - _SAME_TIME_S)
    if np.any(nearest >= len(described)) or np.abs(described[nearest] - times).max() > _SAME_TIME_S:
        raise TrialError(
            f"{trial.name}: baselines and estimates describe different moments: cut the trial where it has gaps"
        )
    return material.take(nearest)


def require_torques(trials: Sequence[Trial], purpose: str) -> None:
    """Raises TrialError naming the first trial whose joint torques are not known."""
    for trial in trials:
        given = all(joint in trial.torques for joint in trial.model.joint_names)
        if trial.ground_reaction is None and not trial.touches_nothing and not given:
            raise TrialError(
                f"{trial.name}: its joint torques, which {purpose} needs, are not known without the ground reaction: add "
                '`ground_reaction`, `torque`, or contact = "none" if the limb touches nothing'
            )
