"""A solved trial beside its references: which panels there are, and how far apart the lines in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge.errors import TrialError
from edge.msk.spline import FloatArray
from tools.plots.series import Channel, Quantity, Series
from train.metrics import ACTIVE_RANGE, r2, rmse


@dataclass(frozen=True)
class Agreement:
    """How near channels are to their reference, at the moments of the sparsest of them within their common time."""

    r2: float | None  # None for a reference that is constant
    rmse: float  # Nm, N, or activation
    active: bool  # a reference that hardly moves has an R2 without meaning


@dataclass(frozen=True)
class Comparison:
    """What the figure shows."""

    solved: Series
    references: Sequence[Series]
    panels: Mapping[Quantity, Sequence[str]]  # rows and muscles, in the model's order
    period_s: tuple[float, float]
    each: Mapping[str, Mapping[Quantity, Mapping[str, Agreement]]]  # by label of the reference
    pooled: Mapping[str, Mapping[Quantity, Agreement]]
    lacking: Mapping[str, Mapping[Quantity, Sequence[str]]]  # panels of a quantity that a reference knows in part


def compare(
    solved: Series,
    references: Sequence[Series],
    quantities: Sequence[Quantity] | None,
    muscles: Sequence[str] | None,
    start_s: float | None,
    end_s: float | None,
) -> Comparison:
    """Choose the panels and compare them with every reference. None takes all that the solved trial has.

    Raises TrialError when the solved trial lacks what is asked for, when a reference has none of it, and when two files have
    no time in common.
    """
    panels = _panels(solved, quantities, muscles)
    shown = [solved.channels[quantity][name] for quantity, names in panels.items() for name in names]
    period = (
        max([min(float(c.time_s[0]) for c in shown)] + ([] if start_s is None else [start_s])),
        min([max(float(c.time_s[-1]) for c in shown)] + ([] if end_s is None else [end_s])),
    )
    if period[0] >= period[1]:
        c = shown[0]
        raise TrialError(
            f"{c.path}: runs from {c.time_s[0]:g} to {c.time_s[-1]:g} s, of which --start-s and --end-s leave nothing: "
            "choose them within it"
        )
    each: dict[str, dict[Quantity, Mapping[str, Agreement]]] = {}
    pooled: dict[str, dict[Quantity, Agreement]] = {}
    lacking: dict[str, dict[Quantity, Sequence[str]]] = {}
    for reference in references:
        each[reference.label], pooled[reference.label], lacking[reference.label] = {}, {}, {}
        for quantity, names in panels.items():
            common = [n for n in names if n in reference.channels[quantity]]
            if not common:
                continue
            ours = [solved.channels[quantity][n] for n in common]
            theirs = [reference.channels[quantity][n] for n in common]
            each[reference.label][quantity], pooled[reference.label][quantity] = _agreement(
                quantity, common, ours, theirs, period
            )
            if missing := [n for n in names if n not in common]:
                lacking[reference.label][quantity] = missing
        if not each[reference.label]:
            files = {c.path: None for channels in reference.channels.values() for c in channels.values()}
            raise TrialError(
                f"{', '.join(map(str, files))}: holds none of what is drawn ({_words(panels)}): draw something else, or leave "
                "this reference out"
            )
    return Comparison(solved, references, panels, period, each, pooled, lacking)


def _words(panels: Mapping[Quantity, Sequence[str]]) -> str:
    return "; ".join(f"{quantity.value} of {', '.join(names)}" for quantity, names in panels.items())


def _panels(
    solved: Series, quantities: Sequence[Quantity] | None, muscles: Sequence[str] | None
) -> dict[Quantity, Sequence[str]]:
    path = next(c.path for channels in solved.channels.values() for c in channels.values())
    panels: dict[Quantity, Sequence[str]] = {}
    for quantity in quantities or [q for q in Quantity if solved.channels[q]]:
        names = list(solved.channels[quantity])
        if not names:
            raise TrialError(
                f"{path}: holds no {quantity.value}: leave --{quantity.value} out, or solve the trial again"
            )
        if muscles is not None and quantity is not Quantity.TORQUE:
            missing = [m for m in muscles if m not in names]
            if missing:
                raise TrialError(
                    f"{path}: holds no {quantity.value} of '{missing[0]}': choose --muscles of {', '.join(names)}"
                )
            names = list(muscles)
        panels[quantity] = names
    return panels


def _agreement(
    quantity: Quantity,
    names: Sequence[str],
    solved: Sequence[Channel],
    reference: Sequence[Channel],
    period_s: tuple[float, float],
) -> tuple[dict[str, Agreement], Agreement]:
    """Of every channel, and of all together: each about its own mean, errors pooled."""
    times = common_times(solved, reference, period_s)
    true = np.stack([c.at(times) for c in reference], axis=1)
    mine = np.stack([c.at(times) for c in solved], axis=1)
    # A muscle's, as train.metrics has it; a small torque is none at rest.
    largest = {Quantity.TORQUE: 0.0, Quantity.ACTIVATION: 1.0, Quantity.FORCE: float(np.abs(true).max())}[quantity]
    active = np.ptp(true, axis=0) > ACTIVE_RANGE * largest
    each = {
        n: Agreement(r2(true[:, [i]], mine[:, [i]]), rmse(true[:, [i]], mine[:, [i]]), bool(active[i]))
        for i, n in enumerate(names)
    }
    return each, Agreement(r2(true, mine), rmse(true, mine), bool(active.any()))


def common_times(solved: Sequence[Channel], reference: Sequence[Channel], period_s: tuple[float, float]) -> FloatArray:
    """The moments of the sparsest channel within the time that all have in common, and within the period (s).

    Raises TrialError when there are less than two.
    """
    every = [*solved, *reference]
    low = max(period_s[0], *(float(c.time_s[0]) for c in every))
    high = min(period_s[1], *(float(c.time_s[-1]) for c in every))
    sparsest = min((c.time_s[(c.time_s >= low) & (c.time_s <= high)] for c in every), key=len)
    if len(sparsest) < 2:
        a, b = reference[0], solved[0]
        raise TrialError(
            f"{a.path}: runs from {a.time_s[0]:g} to {a.time_s[-1]:g} s, and of {b.path} {period_s[0]:g} to {period_s[1]:g} s "
            "are drawn: they have no time in common, give a reference of the same recording"
        )
    return sparsest


def figures_text(a: Agreement, quantity: Quantity) -> str:
    """R2 and RMSE in a few words. R2 is cut off, not rounded: 1 stands for nothing less."""
    error = f"RMSE {a.rmse:.2g}" if a.rmse < 10.0 else f"RMSE {a.rmse:.0f}"
    error += f" {quantity.unit}" if quantity.unit else ""
    if a.r2 is None:
        return f"constant, {error}"
    if not a.active:
        return f"at rest, {error}"
    if a.r2 < -10.0:
        return f"R2 below -10, {error}"
    decimals = 3 if a.r2 < 0.999 else 4
    return f"R2 {np.floor(a.r2 * 10.0**decimals) / 10.0**decimals:.{decimals}f}, {error}"
