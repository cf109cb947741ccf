"""Training a subject bundle: trials in, a verified bundle out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge import __version__
from edge.bundle import Bundle, DifferentiatorSettings, Manifest, NetworkSettings, content_hashes
from edge.errors import TrialError
from edge.msk.hill import MuscleMode
from edge.msk.model import Model
from edge.msk.staticopt import LOWER_ACTIVATION
from edge.trial import Trial
from train.answers import Head, answer_to_torque, forces_by_person, share_by_person, truth_by_person, wanted_answer
from train.banks import fit_banks
from train.dataset import InputSettings, Stretch, Windows, gather, make_stretches, make_windows, split_by_time
from train.export import check_parity, to_onnx
from train.losses import ActivationTarget, Target, TorqueTarget
from train.metrics import agreement
from train.networks import BiGRU
from train.provenance import describe
from train.trainer import TrainerSettings, fit

FloatArray = npt.NDArray[np.float64]
Progress = Callable[[str, int, int, dict[str, float]], None]

UNNAMED = "unnamed"  # subject of trials that name none
_SPLIT = "last {:.0%} of every trial, judged on a network trained without it"


@dataclass(frozen=True)
class SubjectSettings:
    """Everything that decides what is trained."""

    head: Head = "residual"
    causal: bool = True
    rate_hz: float = 100.0
    window: int = 20
    look_ahead: int = 0
    method: str = "kalman"
    age_s: float = 0.05
    mode: MuscleMode = MuscleMode.CORRECT
    effort_weight: float = 1.0
    validation_fraction: float = 0.2
    trainer: TrainerSettings = field(default_factory=TrainerSettings)

    @property
    def inputs(self) -> InputSettings:
        return InputSettings(self.rate_hz, self.causal, self.method, self.age_s if self.causal else 0.0)


def train_subject(
    trials: Sequence[Trial], base_model: Model, settings: SubjectSettings, out: Path, progress: Progress | None = None
) -> Bundle:
    """Train on trials and return the bundle (not yet written).

    Two runs with the same settings: one without the last part of every trial, judged on that part, and the final one on
    everything. Raises TrialError or EngineError.
    """
    started = time.monotonic()
    _require_one_body_each(trials)
    torch.set_num_threads(1)  # a GRU this small is slower on several threads, and one thread is reproducible
    banks = fit_banks(trials, settings.inputs)
    stretches = [
        stretch
        for trial in trials
        for stretch in make_stretches(trial, replace(settings.inputs, bank=banks.others[trial.subject]), settings.mode)
    ]
    windows = make_windows(stretches, window=settings.window, look_ahead=settings.look_ahead, history=False)
    train, judge = split_by_time(windows, stretches, fraction=settings.validation_fraction, window=settings.window)
    probe = _train_network(stretches, windows.take(train), settings, "validation", progress)
    validation = _judge(probe, stretches, windows.take(judge), settings)
    network = _train_network(stretches, windows, settings, "final", progress)
    features, outputs = windows.feature.shape[2], _outputs(settings.head, base_model)
    exported = to_onnx(network, window=settings.window, features=features)
    spread = np.linspace(0, len(windows) - 1, min(len(windows), 64)).astype(int)
    validation["export_parity"] = check_parity(network, exported, windows.feature[spread], outputs)
    bodies = {_body(trial.model): trial.model for trial in sorted(trials, key=_limb_mass_kg, reverse=True)}
    # The body as it carries least, without a load where it was recorded so.
    model = next(iter(bodies.values())) if len(bodies) == 1 else base_model
    model_hash, network_hash = content_hashes(model, exported)
    bank_part = None if banks.everyone is None else banks.everyone.to_bytes()
    subjects = sorted({trial.subject for trial in trials})
    manifest = Manifest(
        program=f"edge-msk {__version__}",
        subject=subjects[0] if len(subjects) == len(bodies) == 1 else f"{max(len(subjects), len(bodies))} people",
        model_sha256=model_hash,
        network_sha256=network_hash,
        bank_sha256=None if bank_part is None else hashlib.sha256(bank_part).hexdigest(),
        rate_hz=settings.rate_hz,
        inputs="causal" if settings.causal else "zero-phase",
        muscle_mode=settings.mode,
        differentiator=DifferentiatorSettings(method=settings.method, age_s=settings.inputs.age_s),
        network=NetworkSettings(
            head=settings.head,
            architecture="bigru-2x64",
            window=settings.window,
            look_ahead=settings.look_ahead,
            features=features,
            outputs=outputs,
        ),
        training={
            "trials": [describe(trial) for trial in trials],
            "windows": len(windows),
            "bank": None
            if banks.everyone is None
            else {"people": banks.everyone.people, "seconds": round(banks.everyone.seconds, 1)},
            "trainer": asdict(settings.trainer),
            "effort_weight": settings.effort_weight,
            "validation_fraction": settings.validation_fraction,
            "torch": torch.__version__,
            "seconds": round(time.monotonic() - started, 1),
        },
        validation=validation,
    )
    return Bundle(out, manifest, model, exported, bank_part)


def _require_one_body_each(trials: Sequence[Trial]) -> None:
    """Raise TrialError when a subject's trials differ in mass or lengths: whose body would the bundle have?

    What the limb carries makes no other body.
    """
    first: dict[str, Trial] = {}
    for trial in trials:
        other = first.setdefault(trial.subject, trial)
        if _body(trial.model) != _body(other.model) and trial.subject != UNNAMED:
            raise TrialError(
                f"{trial.name}: subject '{trial.subject}' has {trial.model.mass_kg:.4g} kg and a limb of "
                f"{trial.model.leg_length_m:.4g} m here, {other.model.mass_kg:.4g} kg and {other.model.leg_length_m:.4g} m in "
                f"{other.name}: give all of a subject's trials the same mass_kg and the same height_m or leg_length_m (or `osim`)"
            )


def _body(model: Model) -> str:
    """What tells bodies apart: all but the segments, whose masses and inertias a load changes and nothing else."""
    return json.dumps({key: value for key, value in model.to_dict().items() if key != "segments"})


def _limb_mass_kg(trial: Trial) -> float:
    return sum(segment.mass_kg for segment in trial.model.segments)


def _outputs(head: Head, model: Model) -> int:
    return len(model.muscles) if head == "activation" else len(model.row_names)


def _train_network(
    stretches: Sequence[Stretch], windows: Windows, settings: SubjectSettings, what: str, progress: Progress | None
) -> BiGRU:
    torch.manual_seed(settings.trainer.seed)
    network = BiGRU(
        features=windows.feature.shape[2],
        outputs=_outputs(settings.head, stretches[0].trial.model),
        window=settings.window,
        look_ahead=settings.look_ahead,
        bounded=settings.head == "activation",
    )
    inputs = _tensor(windows.feature)
    target, answers = _target(stretches, windows, settings)
    network.normalise(inputs, answers)

    def report(step: int, terms: dict[str, float]) -> None:
        if progress is not None:
            progress(what, step, settings.trainer.steps, terms)

    fit(network, inputs, target, settings.trainer, report)
    return network


def _target(
    stretches: Sequence[Stretch], windows: Windows, settings: SubjectSettings
) -> tuple[Target, torch.Tensor | None]:
    if settings.head == "activation":
        torque = gather(stretches, windows, "torque")
        return (
            ActivationTarget(
                torque_per_activation=_tensor(gather(stretches, windows, "torque_per_activation")),
                wanted=_tensor(torque - gather(stretches, windows, "passive_torque")),
                deviation=_tensor(np.maximum(torque.std(axis=0), 1e-6)),
                effort_weight=settings.effort_weight,
                bound_weight=1.0,
                lower=LOWER_ACTIVATION,
            ),
            None,
        )
    wanted = _tensor(wanted_answer(settings.head, stretches, windows))
    return TorqueTarget(wanted, wanted.std(dim=0).clamp_min(1e-9)), wanted


def _judge(network: BiGRU, stretches: Sequence[Stretch], windows: Windows, settings: SubjectSettings) -> dict[str, Any]:
    """Agreement with physics alone on windows that were not trained on."""
    with torch.no_grad():
        answer = network(_tensor(windows.feature)).numpy().astype(np.float64)
    if settings.head == "activation":
        activation, force = answer, forces_by_person(stretches, windows, answer, settings.mode)
    else:
        torque = answer_to_torque(settings.head, answer, stretches, windows)
        activation, force = share_by_person(stretches, windows, torque, settings.mode)
    truth = truth_by_person(stretches, windows, settings.mode)
    names = stretches[0].trial.model.muscle_names
    result = agreement((truth[0], activation), (truth[1], force), names)
    return {**result["pooled"], "windows": len(windows), "split": _SPLIT.format(settings.validation_fraction)}


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
