"""Recordings of many people as one set of windows, with everything that physics says of the moments that they describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edge.msk.dynamics import Kinematics
from edge.msk.model import Model
from edge.signals.bank import Bank
from edge.trial import Trial
from train.banks import Banks, fit_banks
from train.dataset import Stretch, Windows, described_motion, gather, make_stretches, make_windows, scales
from train.recipe import Recipe

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Material:
    """Stretches of recordings, and windows into them. A part of the windows is a material too."""

    stretches: tuple[Stretch, ...]
    windows: Windows
    banks: Banks

    @classmethod
    def of(
        cls,
        trials: Sequence[Trial],
        recipe: Recipe,
        *,
        history: bool = False,
        targets: bool = True,
        bank: Bank | None = None,
    ) -> Material:
        """Everything that the trials hold, as the recipe sees it.

        history: whether windows may reach back before a trial's range. targets: whether the torques are needed. bank: what the
        differentiator knows of other people; None: each person's inputs are made with a bank of all others of these. Raises
        TrialError.
        """
        banks = Banks.given(bank, trials) if bank is not None else fit_banks(trials, recipe.inputs())
        stretches = [
            stretch
            for trial in trials
            for stretch in make_stretches(
                trial, recipe.inputs(banks.others[trial.subject]), recipe.mode, targets=targets
            )
        ]
        return cls(tuple(stretches), _windows(stretches, recipe, history=history), banks)

    def seen(self, recipe: Recipe, *, history: bool = False) -> Material:
        """The same stretches through another network's window and view; all else of the recipe must be the same."""
        return replace(self, windows=_windows(self.stretches, recipe, history=history))

    def take(self, which: BoolArray | IntArray) -> Material:
        """Some of the windows."""
        return replace(self, windows=self.windows.take(which))

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def model(self) -> Model:
        """Of the first person: names and numbers of joints, rows and muscles are everybody's."""
        return self.stretches[0].trial.model

    def of_stretches(self, values: Sequence[str]) -> npt.NDArray[np.str_]:
        """For each window what stands for its stretch in `values`."""
        return np.asarray(np.array(values)[self.windows.stretch])

    @property
    def people(self) -> npt.NDArray[np.str_]:
        """Whose each window is."""
        return self.of_stretches([stretch.trial.subject for stretch in self.stretches])

    def gather(self, attribute: str) -> FloatArray:
        """An array of the stretches at the described moments, (windows, ...)."""
        return gather(self.stretches, self.windows, attribute)

    @cached_property
    def scale_nm(self) -> FloatArray:
        """Mass x gravity x leg length of each window's person, (windows, 1)."""
        return scales(self.stretches, self.windows)

    @cached_property
    def motion(self) -> Kinematics:
        """Kinematics of the described moments, as the device knows them."""
        return described_motion(self.stretches, self.windows)


def _windows(stretches: Sequence[Stretch], recipe: Recipe, *, history: bool) -> Windows:
    return make_windows(
        stretches, window=recipe.window, look_ahead=recipe.look_ahead, history=history, view=recipe.view
    )


def same_moments(materials: Sequence[Material]) -> list[Material]:
    """The windows of each that describe the moments which all describe, in the same order.

    Members of a bundle differ in the length of their windows. The materials must be of the same stretches.
    """

    def moments(material: Material) -> IntArray:
        longest = max(len(stretch.time_s) for stretch in material.stretches)
        return np.asarray(material.windows.stretch * longest + material.windows.frame)

    found = [moments(material) for material in materials]
    common = found[0]
    for other in found[1:]:
        common = np.intersect1d(common, other)
    return [material.take(np.flatnonzero(np.isin(own, common))) for material, own in zip(materials, found, strict=True)]
