"""Between a network's answer and muscles: what a torque-speaking network is asked for, and what its answer means.

Every window belongs to a person, and is resolved with that person's mass, lengths and muscles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edge.manifest import Head
from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.staticopt import share_torque
from edge.trial import Trial
from train.dataset import Stretch, Windows, described_motion, gather, scales

FloatArray = npt.NDArray[np.float64]


def wanted_answer(head: Head, stretches: Sequence[Stretch], windows: Windows) -> FloatArray:
    """What the equation of motion leaves to a torque-speaking network, (windows, rows), in mass x gravity x leg length.

    Of the head `contact`: the measured contact and what is missing beside it, (windows, 3 + rows).
    """
    if head == "contact":
        return gather(stretches, windows, "contact")
    torque = gather(stretches, windows, "torque")
    if head == "residual":
        torque = torque - gather(stretches, windows, "contact_free")
    return torque / scales(stretches, windows)


def answer_to_torque(head: Head, answer: FloatArray, stretches: Sequence[Stretch], windows: Windows) -> FloatArray:
    """The inverse of `wanted_answer`: joint torques in Nm."""
    if head == "contact":
        answer = np.einsum("wra,wa->wr", gather(stretches, windows, "contact_map"), answer)
    torque = answer * scales(stretches, windows)
    if head in ("residual", "contact"):
        torque = torque + gather(stretches, windows, "contact_free")
    return torque


def share_by_person(
    stretches: Sequence[Stretch], windows: Windows, torque_nm: FloatArray, mode: MuscleMode
) -> tuple[FloatArray, FloatArray]:
    """Activations and forces (windows, muscles) of torques, each window with its own person's muscles."""
    motion = described_motion(stretches, windows)
    activation = np.empty((len(windows), len(stretches[0].trial.model.muscles)))
    force = np.empty_like(activation)
    for own, stretch in _people(stretches, windows):
        muscles = HillMuscles.of(stretch.trial.model, mode)
        solution = share_torque(muscles, motion.q[own], motion.qd[own], torque_nm[own])
        activation[own], force[own] = solution.activation, solution.force_n
    return activation, force


def forces_by_person(
    stretches: Sequence[Stretch], windows: Windows, activation: FloatArray, mode: MuscleMode
) -> FloatArray:
    """Hill forces (windows, muscles) of activations, each window with its own person's muscles."""
    motion = described_motion(stretches, windows)
    force = np.empty_like(activation)
    for own, stretch in _people(stretches, windows):
        state = HillMuscles.of(stretch.trial.model, mode).evaluate(motion.q[own], motion.qd[own])
        force[own] = activation[own] * state.optimal_force_n + state.passive_force_n
    return force


def truth_by_person(stretches: Sequence[Stretch], windows: Windows, mode: MuscleMode) -> tuple[FloatArray, FloatArray]:
    """Activations and forces (windows, muscles) of `truth` at the windows' moments."""
    activation = np.empty((len(windows), len(stretches[0].trial.model.muscles)))
    force = np.empty_like(activation)
    for own, stretch in _people(stretches, windows):
        _, activation[own], force[own] = truth(stretch.trial, windows.time_s[own], mode)
    return activation, force


def truth(trial: Trial, times: FloatArray, mode: MuscleMode) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Torques (n, rows), activations and forces (n, muscles) at the given times, by physics alone.

    Zero-phase inverse dynamics with the recorded ground reaction, then static optimisation at the zero-phase state of the
    muscles: nothing of the device's kinematics, whose errors would otherwise be in the estimate and in its reference
    alike. Raises TrialError when the trial has no ground reaction.
    """
    torque = trial.torque(times)
    solution = share_torque(HillMuscles.of(trial.model, mode), *trial.muscle_angles(times), torque)
    return torque, solution.activation, solution.force_n


def _people(stretches: Sequence[Stretch], windows: Windows) -> Iterator[tuple[npt.NDArray[np.bool_], Stretch]]:
    """Which windows belong to each stretch that has any, and the stretch."""
    for s, stretch in enumerate(stretches):
        own = windows.stretch == s
        if own.any():
            yield own, stretch
