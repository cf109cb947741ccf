"""Training a subject bundle: trials in, a verified bundle out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from edge import __version__
from edge.bundle import Bundle, DifferentiatorSettings, Manifest, NetworkSettings, content_hashes
from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import Model
from edge.msk.staticopt import LOWER_ACTIVATION, share_torque
from edge.trials import Trial
from train.dataset import (
    InputSettings,
    Stretch,
    Windows,
    described_motion,
    gather,
    make_stretches,
    make_windows,
    scales,
    split_by_time,
)
from train.export import check_parity, to_onnx
from train.losses import ActivationTarget, Target, TorqueTarget
from train.metrics import agreement
from train.networks import BiGRU
from train.trainer import TrainerSettings, fit

FloatArray = npt.NDArray[np.float64]
Head = Literal["residual", "torque", "activation"]
Progress = Callable[[str, int, int, dict[str, float]], None]


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
    effort_weight: float = 0.05
    validation_fraction: float = 0.2
    trainer: TrainerSettings = field(default_factory=TrainerSettings)

    @property
    def inputs(self) -> InputSettings:
        return InputSettings(self.rate_hz, self.causal, self.method, self.age_s if self.causal else 0.0)


def wanted_answer(head: Head, stretches: Sequence[Stretch], windows: Windows) -> FloatArray:
    """What the equation of motion leaves to a torque-speaking network, (windows, rows), in mass x gravity x leg length."""
    torque = gather(stretches, windows, "torque")
    if head == "residual":
        torque = torque - gather(stretches, windows, "contact_free")
    return torque / scales(stretches, windows)


def answer_to_torque(head: Head, answer: FloatArray, stretches: Sequence[Stretch], windows: Windows) -> FloatArray:
    """The inverse of `wanted_answer`: joint torques in Nm."""
    torque = answer * scales(stretches, windows)
    if head == "residual":
        torque = torque + gather(stretches, windows, "contact_free")
    return torque


def share_by_person(
    stretches: Sequence[Stretch], windows: Windows, torque_nm: FloatArray, mode: MuscleMode
) -> tuple[FloatArray, FloatArray]:
    """Activations and forces (windows, muscles) of torques, each window with its own person's muscles."""
    motion = described_motion(stretches, windows)
    activation = np.empty((len(windows), len(stretches[0].trial.model.muscles)))
    force = np.empty_like(activation)
    for own, muscles in _people(stretches, windows, mode):
        solution = share_torque(muscles, motion.q[own], motion.qd[own], torque_nm[own])
        activation[own], force[own] = solution.activation, solution.force_n
    return activation, force


def forces_by_person(
    stretches: Sequence[Stretch], windows: Windows, activation: FloatArray, mode: MuscleMode
) -> FloatArray:
    """Hill forces (windows, muscles) of activations, each window with its own person's muscles."""
    motion = described_motion(stretches, windows)
    force = np.empty_like(activation)
    for own, muscles in _people(stretches, windows, mode):
        state = muscles.evaluate(motion.q[own], motion.qd[own])
        force[own] = activation[own] * state.optimal_force_n + state.passive_force_n
    return force


def _people(
    stretches: Sequence[Stretch], windows: Windows, mode: MuscleMode
) -> Iterator[tuple[npt.NDArray[np.bool_], HillMuscles]]:
    """Which windows belong to each stretch that has any, and its person's muscles."""
    for s, stretch in enumerate(stretches):
        own = windows.stretch == s
        if own.any():
            yield own, HillMuscles.of(stretch.trial.model, mode)


def train_subject(
    trials: Sequence[Trial], base_model: Model, settings: SubjectSettings, out: Path, progress: Progress | None = None
) -> Bundle:
    """Train on trials and return the bundle (not yet written).

    Two runs with the same settings: one without the last part of every trial, judged on that part, and the final one on
    everything. Raises TrialError or EngineError.
    """
    started = time.monotonic()
    torch.set_num_threads(1)  # a GRU this small is slower on several threads, and one thread is reproducible
    stretches = [s for trial in trials for s in make_stretches(trial, settings.inputs, settings.mode)]
    windows = make_windows(stretches, window=settings.window, look_ahead=settings.look_ahead, history=False)
    train, judge = split_by_time(windows, stretches, fraction=settings.validation_fraction, window=settings.window)
    probe = _train_network(stretches, train, settings, "validation", progress)
    validation = _judge(probe, stretches, judge, settings)
    network = _train_network(stretches, windows, settings, "final", progress)
    features, outputs = windows.feature.shape[2], _outputs(settings.head, base_model)
    exported = to_onnx(network, window=settings.window, features=features)
    spread = np.linspace(0, len(windows) - 1, min(len(windows), 64)).astype(int)
    validation["export_parity"] = check_parity(network, exported, windows.feature[spread], outputs)
    models = {trial.model.sha256: trial.model for trial in trials}
    model = next(iter(models.values())) if len(models) == 1 else base_model
    model_hash, network_hash = content_hashes(model, exported)
    subjects = sorted({trial.subject for trial in trials})
    manifest = Manifest(
        program=f"edge-msk {__version__}",
        subject=subjects[0] if len(subjects) == 1 else f"{len(subjects)} people",
        model_sha256=model_hash,
        network_sha256=network_hash,
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
            "trials": [_provenance(trial) for trial in trials],
            "windows": len(windows),
            "trainer": asdict(settings.trainer),
            "torch": torch.__version__,
            "seconds": round(time.monotonic() - started, 1),
        },
        validation=validation,
    )
    return Bundle(out, manifest, model, exported)


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
                deviation=_tensor(torque.std(axis=0)),
                effort_weight=settings.effort_weight,
                bound_weight=1.0,
                lower=LOWER_ACTIVATION,
            ),
            None,
        )
    wanted = _tensor(wanted_answer(settings.head, stretches, windows))
    return TorqueTarget(wanted, wanted.std(dim=0).clamp_min(1e-9)), wanted


def _judge(network: BiGRU, stretches: Sequence[Stretch], windows: Windows, settings: SubjectSettings) -> dict[str, Any]:
    """Agreement with static optimisation on the torques of inverse dynamics, on windows that were not trained on."""
    with torch.no_grad():
        answer = network(_tensor(windows.feature)).numpy().astype(np.float64)
    if settings.head == "activation":
        activation, force = answer, forces_by_person(stretches, windows, answer, settings.mode)
    else:
        torque = answer_to_torque(settings.head, answer, stretches, windows)
        activation, force = share_by_person(stretches, windows, torque, settings.mode)
    truth = share_by_person(stretches, windows, gather(stretches, windows, "torque"), settings.mode)
    names = stretches[0].trial.model.muscle_names
    result = agreement((truth[0], activation), (truth[1], force), names)
    return {**result["pooled"], "windows": len(windows), "split": "last part of every trial"}


def _provenance(trial: Trial) -> dict[str, Any]:
    return {
        "subject": trial.subject,
        "side": trial.side,
        "start_s": trial.start_s,
        "end_s": trial.end_s,
        "kinematics_sha256": hashlib.sha256(
            np.ascontiguousarray(np.hstack([trial.time_s[:, None], trial.q, trial.base])).tobytes()
        ).hexdigest(),
    }


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
