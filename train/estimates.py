"""What is said of the moments of a material: by a network's answers, by the baselines, and by physics alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.manifest import Head
from edge.msk.hill import MuscleMode
from edge.msk.staticopt import LOWER_ACTIVATION, UPPER_ACTIVATION
from train.answers import answer_to_torque, forces_by_person, share_by_person, truth_by_person, wanted_answer
from train.baselines import KernelRidge, NearestNeighbours
from train.material import Material
from train.metrics import agreement
from train.recipe import Recipe
from train.splits import FEWEST_PEOPLE, PEOPLE_FOLDS, evenly, folds, split_by_time

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

BASELINES = ("nearest_neighbours", "kernel_ridge")
OF_TORQUE = ("residual", "contact", "torque")
_TUNE = 0.2  # of each stretch, on which kernel ridge chooses its width


@dataclass(frozen=True)
class Answers:
    """What is said of each window's moment."""

    time_s: FloatArray  # (windows,)
    torque_nm: FloatArray  # (windows, rows)
    activation: FloatArray  # (windows, muscles)
    force_n: FloatArray  # (windows, muscles)


def resolve(head: Head, answer: FloatArray, material: Material, mode: MuscleMode) -> Answers:
    """What a head's answers (windows, outputs) mean, each with its own person's muscles."""
    if head in OF_TORQUE:
        torque = answer_to_torque(head, answer, material.stretches, material.windows)
        return from_torque(torque, material, mode)
    if head == "dual":
        drive = np.einsum("wrm,wr->wm", material.gather("torque_per_activation"), answer / material.scale_nm)
        return from_activation(np.clip(drive, LOWER_ACTIVATION, UPPER_ACTIVATION), material, mode)
    return from_activation(np.clip(answer[:, : len(material.model.muscles)], 0.0, 1.0), material, mode)


def from_torque(torque_nm: FloatArray, material: Material, mode: MuscleMode) -> Answers:
    """Static optimisation of torques (windows, rows)."""
    activation, force = share_by_person(material.stretches, material.windows, torque_nm, mode)
    return Answers(material.windows.time_s, torque_nm, activation, force)


def from_activation(activation: FloatArray, material: Material, mode: MuscleMode) -> Answers:
    """Hill forces of activations (windows, muscles), and the torques that they add up to."""
    torque = np.einsum("wrm,wm->wr", material.gather("torque_per_activation"), activation)
    force = forces_by_person(material.stretches, material.windows, activation, mode)
    return Answers(material.windows.time_s, torque + material.gather("passive_torque"), activation, force)


def truth(material: Material, mode: MuscleMode) -> Answers:
    """What physics alone says: zero-phase inverse dynamics with the recorded forces, then static optimisation."""
    activation, force = truth_by_person(material.stretches, material.windows, mode)
    return Answers(material.windows.time_s, material.gather("torque"), activation, force)


def average(
    answers: Sequence[Answers], material: Material, mode: MuscleMode, *, heads: Sequence[Head] | None = None
) -> Answers:
    """What several networks say of the same moments together, as `edge.estimator.Estimator` has it.

    The mean torque of those that answer with torques is shared among the muscles, once; that counts for all of them in the mean
    with the activations of the others. heads: of each; None: all answer with torques.
    """
    if len(answers) == 1:
        return answers[0]
    by_torque = [heads is None or heads[i] in OF_TORQUE for i in range(len(answers))]
    torques = [own.torque_nm for own, which in zip(answers, by_torque, strict=True) if which]
    shared = from_torque(np.mean(torques, axis=0), material, mode) if torques else None
    if shared is not None and len(torques) == len(answers):
        return shared
    total = sum(own.activation for own, which in zip(answers, by_torque, strict=True) if not which)
    if shared is not None:
        total = total + len(torques) * shared.activation
    return from_activation(np.asarray(total) / len(answers), material, mode)


class Baseline:
    """One of BASELINES, from the recipe's own windows to what its head answers, then static optimisation."""

    def __init__(self, name: str, train: Material, recipe: Recipe) -> None:
        self._mode = recipe.mode
        if recipe.even_people:
            train = train.take(evenly(train.people, np.arange(len(train)), recipe.trainer.seed))
        self._head: Head = recipe.head if recipe.head in OF_TORQUE else "torque"
        feature, wanted = train.windows.feature, wanted_answer(self._head, train.stretches, train.windows)
        if self._head == "contact" and np.isnan(wanted).any():
            # Where the torques were given there is no measured contact to learn from.
            self._head = "residual"
            wanted = wanted_answer(self._head, train.stretches, train.windows)
        self._method: NearestNeighbours | KernelRidge
        if name == "nearest_neighbours":
            self._method = NearestNeighbours(feature, wanted)
        elif name == "kernel_ridge":
            self._method = KernelRidge(feature, wanted, tune=tuning(train))
        else:
            raise ValueError(f"baseline must be one of {BASELINES}, not '{name}'")

    def answers(self, test: Material) -> Answers:
        """What it says of other windows."""
        return resolve(self._head, self._method.predict(test.windows.feature), test, self._mode)


def tuning(train: Material) -> tuple[BoolArray, BoolArray]:
    """What kernel ridge chooses its width on: other people where there are enough, or it would know everyone too well."""
    people = train.people
    if len(set(people)) < FEWEST_PEOPLE:
        return split_by_time(train, _TUNE)
    _, judge = next(folds(people, PEOPLE_FOLDS))
    return ~judge, judge


def baseline(name: str, train: Material, test: Material, recipe: Recipe) -> Answers:
    """A baseline's answers to one material."""
    return Baseline(name, train, recipe).answers(test)


def figures(reference: Answers, answers: Answers, material: Material) -> dict[str, Any]:
    """`train.metrics.agreement` of activations and forces, and `torque_rmse_nm` by row."""
    names = material.model.muscle_names
    found = agreement((reference.activation, answers.activation), (reference.force_n, answers.force_n), names)
    error = np.sqrt(((reference.torque_nm - answers.torque_nm) ** 2).mean(axis=0))
    found["torque_rmse_nm"] = dict(zip(material.model.row_names, error.tolist(), strict=True))
    return found
