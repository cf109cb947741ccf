"""Torques, activations and forces of result files, ours or OpenSim's, under the names of our model."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.errors import TrialError
from edge.msk.anatomy import Joint, OutsideAngle
from edge.msk.model import Model
from edge.msk.spline import FloatArray
from edge.storage import Table, read_table

# Columns that bear a muscle's name and no more hold activations where no value is above this, forces in N otherwise.
LARGEST_ACTIVATION = 1.5


class Quantity(str, enum.Enum):
    """What is drawn; the value is the word on the command line and in the results."""

    TORQUE = "torque"
    ACTIVATION = "activation"
    FORCE = "force"

    @property
    def unit(self) -> str:
        return {Quantity.TORQUE: "Nm", Quantity.ACTIVATION: "", Quantity.FORCE: "N"}[self]


@dataclass(frozen=True)
class Channel:
    """One torque row or muscle over time, with our sign."""

    path: Path
    time_s: FloatArray  # (n,)
    values: FloatArray  # (n,) Nm, N, or activation

    def at(self, times: FloatArray) -> FloatArray:
        """Values at other moments, linearly between the rows."""
        return np.interp(times, self.time_s, self.values)


@dataclass(frozen=True)
class Series:
    """Results under one label: from one file, or from several that complete each other."""

    label: str
    channels: Mapping[Quantity, Mapping[str, Channel]]  # quantity -> row or muscle -> values
    reserve_nm: Mapping[str, Channel]  # row -> torque that the muscles could not carry


def read_series(label: str, paths: Sequence[Path], model: Model, side: str) -> Series:
    """The channels of a model that the files hold.

    Torques are `<row>_moment`, `<row>_<side>_moment` or OpenSim's `<coordinate>_moment` (turned to our sign). Muscles are
    `<muscle>_activation` and `<muscle>_force`, with or without the side behind the muscle, OpenSim's state
    `/forceset/<muscle>_<side>/activation`, or as static optimisation and computed muscle control write them
    `<muscle>_<side>` alone, in files of activations or of forces. Raises FileError for what is no table, TrialError for
    a file that holds nothing of the model, or what another one holds already.
    """
    channels: dict[Quantity, dict[str, Channel]] = {quantity: {} for quantity in Quantity}
    reserves: dict[str, Channel] = {}
    for path in paths:
        table = read_table(path)
        found = _channels(table, model, side)
        if not any(found.values()):
            raise TrialError(
                f"{path}: holds no torque, activation or force of the model '{model.name}', side '{side}' (such as "
                f"{model.row_names[0]}_moment, {model.muscle_names[0]}_activation, {model.muscle_names[0]}_{side}): give "
                "another file, --model or --side"
            )
        for quantity, named in found.items():
            twice = sorted(set(named) & set(channels[quantity]))
            if twice:
                raise TrialError(
                    f"{path}: holds the {quantity.value} of {twice[0]}, and so does "
                    f"{channels[quantity][twice[0]].path} under the same label '{label}': give them different labels"
                )
            channels[quantity].update(named)
        reserves.update(_reserves(table, model))
    return Series(label, channels, reserves)


def _channels(table: Table, model: Model, side: str) -> dict[Quantity, dict[str, Channel]]:
    found: dict[Quantity, dict[str, Channel]] = {quantity: {} for quantity in Quantity}
    angles: tuple[Joint | OutsideAngle, ...] = (*model.joints, *model.outside)
    for angle in angles:
        candidates = [
            (f"{angle.name}_moment", 1.0),
            (f"{angle.coordinate.format(side=side)}_moment", angle.sign),
            (f"{angle.name}_{side}_moment", 1.0),
        ]
        name, sign = next(((n, s) for n, s in candidates if n in table.columns), ("", 0.0))
        if name:
            found[Quantity.TORQUE][angle.name] = Channel(table.path, table.time_s, sign * table.column(name))
    alone: dict[str, FloatArray] = {}
    for muscle in model.muscle_names:
        with_side = f"{muscle}_{side}"
        for quantity in (Quantity.ACTIVATION, Quantity.FORCE):
            stems = [f"{with_side}_{quantity.value}", f"{muscle}_{quantity.value}"]
            if quantity is Quantity.ACTIVATION:
                stems += [f"/forceset/{with_side}/activation", f"/forceset/{muscle}/activation"]
            for name in stems:
                if name in table.columns:
                    found[quantity][muscle] = Channel(table.path, table.time_s, table.column(name))
                    break
        for name in (with_side, muscle):
            if name in table.columns:
                alone[muscle] = table.column(name)
                break
    if alone:
        largest = max(float(values.max()) for values in alone.values())
        quantity = Quantity.ACTIVATION if largest <= LARGEST_ACTIVATION else Quantity.FORCE
        for muscle, values in alone.items():
            found[quantity].setdefault(muscle, Channel(table.path, table.time_s, values))
    return found


def _reserves(table: Table, model: Model) -> dict[str, Channel]:
    return {
        row: Channel(table.path, table.time_s, table.column(f"{row}_reserve"))
        for row in model.coordinate_names
        if f"{row}_reserve" in table.columns
    }
