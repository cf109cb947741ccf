"""Rows from estimates: how far they agree with physics alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from train.experiments.report import Row, Value
from train.learning import Answers, figures
from train.material import Material
from train.metrics import ACTIVE_RANGE
from train.recipe import Recipe

FloatArray = npt.NDArray[np.float64]

BASELINES = {"nearest_neighbours": "nearest neighbours + SO", "kernel_ridge": "kernel ridge + SO"}
"""The baselines of `train.learning` and what tables call them."""


def score(
    reference: Answers,
    answers: Answers,
    material: Material,
    recipe: Recipe,
    *,
    task: str,
    method: str,
    person: str = "",
    seed: int | None = None,
    seconds: float | None = None,
    more: Mapping[str, Value] | None = None,
) -> Row:
    """The row of an estimate of a material's windows. seconds: of training. more: columns of the experiment's own."""
    found = figures(reference, answers, material)
    pooled = found["pooled"]
    return Row(
        task=task,
        method=method,
        inputs="zero-phase" if not recipe.causal else "causal" if recipe.noise == "none" else "live",
        age_ms=round((recipe.age_s + recipe.look_ahead / recipe.rate_hz) * 1e3, 3) if recipe.causal else None,
        person=person,
        seed=seed,
        activation_r2=pooled["activation_r2"],
        active_r2=found["active_muscles"]["activation_r2"],
        activation_nrmse=pooled["activation_nrmse"],
        force_r2=pooled["force_r2"],
        force_nrmse=pooled["force_nrmse"],
        rmse=pooled["activation_rmse"],
        cc=correlation(reference.activation, answers.activation),
        torque_rmse_nm=float(np.sqrt(np.nanmean((reference.torque_nm - answers.torque_nm) ** 2))),
        windows=len(material),
        seconds=seconds,
        more={} if more is None else more,
    )


def correlation(reference: FloatArray, estimate: FloatArray) -> float | None:
    """Mean of the columns' correlations (frames, columns), over those of the reference that move; None where none does.

    A column that the estimate leaves still has the correlation 0.
    """
    moving = np.ptp(reference, axis=0) > ACTIVE_RANGE
    return float(np.mean(correlations(reference[:, moving], estimate[:, moving]))) if moving.any() else None


def correlations(one: FloatArray, other: FloatArray) -> FloatArray:
    """Correlation of each column with its like, 0 where either does not move."""
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    spread = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.asarray((a * b).sum(axis=0) / np.where(spread > 1e-12, spread, np.inf))


def join(parts: Sequence[Answers]) -> Answers:
    """The answers to several materials, one after the other: to be judged together."""
    return Answers(
        np.concatenate([p.time_s for p in parts]),
        np.concatenate([p.torque_nm for p in parts]),
        np.concatenate([p.activation for p in parts]),
        np.concatenate([p.force_n for p in parts]),
    )
