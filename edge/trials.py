"""Recordings: the trials file (TOML) that every command takes, and a trial's kinematics and ground reaction in our terms."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import FileError, TrialError
from edge.ground_reaction import GroundReaction, read_ground_reaction
from edge.msk.dynamics import ExternalForce, Kinematics, inverse_dynamics
from edge.msk.model import Model
from edge.msk.scaling import scale_uniformly
from edge.signals import zero_phase
from edge.storage import Table, read_table, read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FloatArray = npt.NDArray[np.float64]

_MOST_RADIANS = 2.0 * math.pi  # no joint of a leg or arm turns further: a larger "radian" is a degree
_SHORTEST_ROWS = 8  # what a quintic spline through a padded recording needs
_LONGEST_HOLE_S = 0.1  # a movement of 6 Hz goes past half a cycle within it
_HIGHEST_BASE_M = 100.0
_FURTHEST_BASE_M = 1e5
_MOST_TORQUE_NM = 1e4  # ten times what a body gives in a jump: a unit is wrong, or a value is an outlier
_MOST_OUTSIDE = 0.5  # of a trial's frames


class TrialSpec(BaseModel):
    """One [[trial]] of a trials file. Paths are relative to the file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kinematics: Path
    ground_reaction: Path | None = None
    external_loads: Path | None = None
    osim: Path | None = None
    side: Literal["r", "l"] = "r"
    start_s: float | None = None
    end_s: float | None = None
    subject: str = "unnamed"
    speed_mps: float | None = Field(default=None, ge=0)
    # The limits catch grams, centimetres and millimetres.
    mass_kg: float | None = Field(default=None, gt=1, lt=500)
    height_m: float | None = Field(default=None, gt=0.3, lt=3)
    leg_length_m: float | None = Field(default=None, gt=0.1, lt=2)
    task: str | None = None
    base: Literal["measured", "fixed"] = "measured"


@dataclass(frozen=True)
class Trial:
    """One leg (or arm) of a recording, in the model's order, signs and radians, at the recording's own times."""

    name: str
    subject: str
    side: str
    model: Model  # scaled to the person
    time_s: FloatArray  # (rows,)
    q: FloatArray  # (rows, n_joints) rad, as recorded
    base: FloatArray  # (rows, 3): tilt rad, position x and y m, as recorded
    ground_reaction: GroundReaction | None
    start_s: float
    end_s: float

    def within(self, time_s: FloatArray) -> npt.NDArray[np.bool_]:
        return np.asarray((time_s >= self.start_s - 1e-9) & (time_s <= self.end_s + 1e-9))

    def times(self, rate_hz: float) -> FloatArray:
        """An even grid from the trial's start to its end."""
        count = math.floor((self.end_s - self.start_s) * rate_hz + 1e-6) + 1
        return self.start_s + np.arange(count) / rate_hz

    def own_times(self) -> FloatArray:
        """The recorded times from the trial's start to its end."""
        return self.time_s[self.within(self.time_s)]

    def frames_outside_model(self) -> int:
        """Number of recorded frames whose angles the model's geometry is not valid for.

        Raises TrialError when they are most of the trial: then a sign or a unit is wrong.
        """
        model, q = self.model, self.q[self.within(self.time_s)]
        outside = ~model.in_range(q)
        if outside.mean() > _MOST_OUTSIDE:
            joint = model.joints[int(np.argmax(np.maximum(model.lower_rad - q, q - model.upper_rad).max(axis=0)))]
            raise TrialError(
                f"{self.name}: '{joint.coordinate.format(side=self.side)}' leaves the model's valid range "
                f"({np.degrees(joint.range_rad[0]):.0f} to {np.degrees(joint.range_rad[1]):.0f} deg) in {outside.mean():.0%} of "
                "the frames: check the sign and unit of the column, or import a model with a wider range"
            )
        return int(outside.sum())

    def kinematics(self, at_s: FloatArray) -> Kinematics:
        """Zero-phase kinematics at the given times, filtered over the whole recording as OpenSim does."""
        n = self.q.shape[1]
        value, rate, acceleration = zero_phase.differentiate(self.time_s, np.hstack([self.q, self.base]), at_s)
        tilt, tilt_rate, tilt_acceleration = value[:, n], rate[:, n], acceleration[:, n]
        arm = _turned(tilt, self.model.base.joint_offset_m)
        across = np.stack([-arm[:, 1], arm[:, 0]], axis=1)
        joint_acceleration = (
            acceleration[:, n + 1 :] + tilt_acceleration[:, None] * across - tilt_rate[:, None] ** 2 * arm
        )
        return Kinematics(
            value[:, :n], rate[:, :n], acceleration[:, :n], tilt, tilt_rate, tilt_acceleration, joint_acceleration
        )

    def external_force(self, at_s: FloatArray) -> ExternalForce | None:
        """Ground reaction on this side's foot at the given times, seen from the first joint's centre; None if not recorded."""
        if self.ground_reaction is None:
            return None
        value, _, _ = zero_phase.differentiate(self.time_s, self.base, at_s)
        hip = value[:, 1:] + _turned(value[:, 0], self.model.base.joint_offset_m)
        return self.ground_reaction.seen_from(hip, at_s)

    def torque(self, at_s: FloatArray) -> FloatArray:
        """Joint torques (len(at_s), n_joints) in Nm by inverse dynamics with the recorded ground reaction.

        Raises TrialError when no ground reaction was recorded, without which the torques of a leg are not known, and when
        they come out as no body's.
        """
        external = self.external_force(at_s)
        if external is None:
            raise TrialError(
                f"{self.name}: the trial has no ground reaction, so its joint torques are not known: "
                "add `ground_reaction` and `external_loads` to its [[trial]]"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            torque = inverse_dynamics(self.model, self.kinematics(at_s), external)
        wrong = ~(np.abs(torque) <= _MOST_TORQUE_NM)  # NaN too
        if wrong.any():
            row, joint = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            raise TrialError(
                f"{self.name}: inverse dynamics gives {torque[row, joint]:.3g} Nm at the {self.model.row_names[joint]} at time "
                f"{at_s[row]:g} s, which is no body's: check the units of the ground reaction (N, m, Nm) and of the pelvis's "
                "position (m), and look for outliers"
            )
        return torque


def _turned(angle: FloatArray, offset: tuple[float, float]) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * offset[0] - s * offset[1], s * offset[0] + c * offset[1]], axis=1)


def load_trials(path: Path, model: Model) -> list[Trial]:
    """All trials of a trials file, or the one of a kinematics file. Raises FileError or TrialError."""
    if path.suffix.lower() != ".toml":
        return [load_trial(TrialSpec(kinematics=path), model, name=path.name)]
    specs = read_trials_file(path)
    return [load_trial(spec, model, name=f"{path}: trial {i + 1}") for i, spec in enumerate(specs)]


def read_trials_file(path: Path) -> list[TrialSpec]:
    """The [[trial]] entries of a trials file with their paths made absolute. Raises FileError or TrialError."""
    text = read_text(path)
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{path}: not valid TOML ({error}): mend the line") from None
    unknown = sorted(set(data) - {"trial"})
    if unknown:
        raise TrialError(f"{path}: unknown key `{unknown[0]}`: a trials file holds [[trial]] entries only")
    entries = data.get("trial")
    if not isinstance(entries, list) or not entries:
        raise TrialError(f'{path}: holds no [[trial]]: add one with at least `kinematics = "FILE.mot"`')
    specs = []
    for i, entry in enumerate(entries):
        try:
            spec = TrialSpec.model_validate(entry)
        except ValidationError as error:
            raise TrialError(f"{path}: trial {i + 1}: {_explained(error)}") from None
        folder = path.resolve().parent
        specs.append(
            spec.model_copy(
                update={
                    key: folder / value
                    for key in ("kinematics", "ground_reaction", "external_loads", "osim")
                    if (value := getattr(spec, key)) is not None
                }
            )
        )
    return specs


def _explained(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(p) for p in first["loc"]) or "trial"
    if first["type"] == "missing":
        return f'`{key}` is missing: add it, for example {key} = "ik.mot"'
    if first["type"] == "extra_forbidden":
        known = ", ".join(TrialSpec.model_fields)
        return f"`{key}` is not known: mend or remove the key (known are {known})"
    if first["type"] == "path_type":
        return f'`{key}`: should be the name of a file in quotes: write {key} = "FILE"'
    said = first["msg"][:1].lower() + first["msg"][1:]
    return f"`{key}`: {said}: mend or remove the key"


def load_trial(spec: TrialSpec, model: Model, *, name: str) -> Trial:
    """One trial with the model scaled to its person. Raises FileError or TrialError naming `name` and the file."""
    if spec.osim is not None:
        raise TrialError(
            f"{name}: `osim` cannot be used here yet: make the person's model with "
            f"`edge-msk import-model {spec.osim.name} --out person.json`, give it with --model, or set mass_kg and leg_length_m"
        )
    table = read_table(spec.kinematics)
    if len(table.time_s) < _SHORTEST_ROWS:
        raise TrialError(f"{spec.kinematics}: holds {len(table.time_s)} rows: a trial needs at least {_SHORTEST_ROWS}")
    _require_sampling(table)
    person = scale_uniformly(model, mass_kg=spec.mass_kg, leg_length_m=spec.leg_length_m, height_m=spec.height_m)
    q = np.stack([_angle(table, j.coordinate.format(side=spec.side), j.name) * j.sign for j in person.joints], axis=1)
    if spec.base == "fixed":
        base = np.zeros((len(q), 3))
    else:
        x, y = person.base.position
        base = np.stack(
            [_angle(table, person.base.tilt, "tilt"), _base_column(table, x), _base_column(table, y)], axis=1
        )
        for column, name_of, most in ((1, x, _FURTHEST_BASE_M), (2, y, _HIGHEST_BASE_M)):
            furthest = float(np.abs(base[:, column]).max())
            if furthest > most:
                raise TrialError(
                    f"{table.path}: column '{name_of}' reaches {furthest:.4g} m: the values look like millimetres, or one of "
                    "them is an outlier: convert them to metres, or mend it"
                )
    start, end = _range(spec, table, name)
    trial = Trial(name, spec.subject, spec.side, person, table.time_s, q, base, None, start, end)
    if spec.ground_reaction is None and spec.external_loads is None:
        return trial
    if spec.base == "fixed":
        raise TrialError(f'{name}: base = "fixed" has no place in the world for a ground reaction: remove one of them')
    reaction = read_ground_reaction(spec.ground_reaction, spec.external_loads, side=spec.side, name=name)
    first, last = float(reaction.time_s[0]), float(reaction.time_s[-1])
    # A range that was not asked for is where both recordings overlap; one that was must be there.
    start = max(start, first) if spec.start_s is None else start
    end = min(end, last) if spec.end_s is None else end
    if start < first - 1e-6 or end > last + 1e-6 or start >= end:
        raise TrialError(
            f"{name}: ground reaction is recorded from {first:g} to {last:g} s, the trial runs from {trial.start_s:g} to "
            f"{trial.end_s:g} s: set start_s and end_s inside both"
        )
    return replace(trial, ground_reaction=reaction, start_s=start, end_s=end)


def _require_sampling(table: Table) -> None:
    """Raise TrialError unless the rows are close enough to each other to differentiate a movement."""
    rate = (len(table.time_s) - 1) / (table.time_s[-1] - table.time_s[0])
    if rate <= 2.0 * zero_phase.CUTOFF_HZ:
        raise TrialError(
            f"{table.path}: sampled at {rate:.3g} Hz: more than {2 * zero_phase.CUTOFF_HZ:g} Hz are needed to "
            "differentiate a movement; is the time column in seconds?"
        )
    steps = np.diff(table.time_s)
    longest = int(np.argmax(steps))
    if steps[longest] > _LONGEST_HOLE_S:
        raise TrialError(
            f"{table.path}: no rows for {steps[longest]:.3g} s after {table.time_s[longest]:g} s: a hole of more than "
            f"{_LONGEST_HOLE_S:g} s cannot be differentiated across: fill it or cut the file there"
        )


def _range(spec: TrialSpec, table: Table, name: str) -> tuple[float, float]:
    first, last = float(table.time_s[0]), float(table.time_s[-1])
    start = first if spec.start_s is None else spec.start_s
    end = last if spec.end_s is None else spec.end_s
    if not (first - 1e-6 <= start < end <= last + 1e-6):
        raise TrialError(
            f"{name}: start_s {start:g} and end_s {end:g} do not lie in order within the recording, "
            f"which runs from {first:g} to {last:g} s: set them inside it"
        )
    start, end = max(start, first), min(end, last)
    if not np.any((table.time_s >= start - 1e-9) & (table.time_s <= end + 1e-9)):
        raise TrialError(f"{name}: no row lies between start_s {start:g} and end_s {end:g}: widen the range")
    return start, end


def _angle(table: Table, coordinate: str, joint: str) -> FloatArray:
    """An angle column in rad. A .csv names its unit in the column: `hip_deg`, `hip_rad`."""
    if table.in_degrees is None:
        for unit, factor in (("deg", math.pi / 180.0), ("rad", 1.0)):
            for stem in (coordinate, joint):
                if f"{stem}_{unit}" in table.columns:
                    return _plausible(table, f"{stem}_{unit}", table.column(f"{stem}_{unit}") * factor)
        if table.path.suffix.lower() == ".csv":
            raise TrialError(
                f"{table.path}: has no column '{joint}_deg' or '{joint}_rad' (nor '{coordinate}_deg' or '{coordinate}_rad'): "
                "a .csv names the unit of every angle in its header"
            )
        raise TrialError(f"{table.path}: header does not say inDegrees=yes or inDegrees=no: add the line")
    values = table.column(coordinate)
    return _plausible(table, coordinate, np.radians(values) if table.in_degrees else values)


def _plausible(table: Table, column: str, radians: FloatArray) -> FloatArray:
    largest = float(np.abs(radians).max())
    if largest > _MOST_RADIANS:
        said = "inDegrees=no" if table.in_degrees is False else "the header"
        raise TrialError(
            f"{table.path}: column '{column}' reaches {largest:.3g} rad, more than a full turn: "
            f"the values look like degrees although {said} calls them radians: correct the header"
        )
    return radians


def _base_column(table: Table, name: str) -> FloatArray:
    if name not in table.columns:
        raise TrialError(
            f"{table.path}: has no column '{name}', the place of the base: add it, or set base = \"fixed\" in the "
            "[[trial]] to take a base at rest (hip torques then carry the error of that assumption)"
        )
    return table.column(name)
