"""The trials file (TOML) that every command takes, and the trials that it names."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.desktop import desktop
from edge.errors import FileError, ModelError, TrialError
from edge.ground_reaction import read_ground_reaction
from edge.msk.loads import with_load
from edge.msk.model import Model
from edge.msk.scaling import scale_uniformly
from edge.recorded_feet import recorded_feet, require_degrees
from edge.storage import Table, read_table, read_text
from edge.trial import Adduction, FloatArray, Trial
from edge.trial_columns import base_motion, in_radians, recorded_angles, require_sampling

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TRIAL_PATHS = ("kinematics", "ground_reaction", "external_loads", "osim", "ik_setup", "torque")


class TrialSpec(BaseModel):
    """One [[trial]] of a trials file. Paths are relative to the file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kinematics: Path
    ground_reaction: Path | None = None
    external_loads: Path | None = None
    forward: Literal["+x", "-x", "+y", "-y", "+z", "-z"] | None = None  # of a C3D's axes, where its markers do not tell
    up: Literal["+x", "-x", "+y", "-y", "+z", "-z"] | None = None
    osim: Path | None = None
    ik_setup: Path | None = None  # OpenSim's, with the markers' weights, where `kinematics` is a C3D
    torque: Path | None = None  # OpenSim's inverse dynamics: the rows that it holds are taken from it
    hip_adduction: Adduction | None = None
    contact: Literal["none"] | None = None  # the limb touches nothing
    load_kg: float | None = Field(default=None, gt=0, lt=200)  # carried by the last segment
    load_at_m: tuple[float, float] | None = None  # in its frame
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
                update={key: folder / value for key in TRIAL_PATHS if (value := getattr(spec, key)) is not None}
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
    """One trial with the model made the person's. Raises FileError, TrialError or ModelError naming `name` and the file."""
    _require_use(spec, model, name)
    table = _kinematics(spec, name)
    require_sampling(table)
    person = _person(spec, model, name)
    angles = recorded_angles(table, person, spec.side)
    fixed = np.zeros((len(angles), len(person.base.links) + 2))
    base = fixed if spec.base == "fixed" else base_motion(table, person.base, spec.side)
    start, end = _range(spec, table, name)
    trial = Trial(
        name=name,
        subject=spec.subject,
        side=spec.side,
        model=person,
        time_s=table.time_s,
        angles=angles,
        base=base,
        ground_reaction=None,
        start_s=start,
        end_s=end,
        touches_nothing=spec.contact == "none" or person.base.position is None,
        adduction=spec.hip_adduction,
        torques={} if spec.torque is None else _given_torques(spec, person),
    )
    if spec.osim is not None and spec.base == "measured":
        trial = replace(
            trial, spatial=desktop("tools.person:spatial_motion")(spec.osim, person, in_radians(table), spec.side)
        )
    for row, (time, _) in trial.torques.items():
        trial = _overlapping(trial, spec, f"the torque of '{row}'", float(time[0]), float(time[-1]))
    if spec.ground_reaction is None and spec.external_loads is None:
        return trial
    return _with_ground_reaction(trial, spec, table)


def _overlapping(trial: Trial, spec: TrialSpec, what: str, first_s: float, last_s: float) -> Trial:
    """The trial where another recording overlaps it; a range that was asked for must be there."""
    start = max(trial.start_s, first_s) if spec.start_s is None else trial.start_s
    end = min(trial.end_s, last_s) if spec.end_s is None else trial.end_s
    if start < first_s - 1e-6 or end > last_s + 1e-6 or start >= end:
        raise TrialError(
            f"{trial.name}: {what} is recorded from {first_s:g} to {last_s:g} s, the trial runs from {trial.start_s:g} to "
            f"{trial.end_s:g} s: set start_s and end_s inside both"
        )
    return replace(trial, start_s=start, end_s=end)


def _with_ground_reaction(trial: Trial, spec: TrialSpec, table: Table) -> Trial:
    name, person = trial.name, trial.model
    if spec.contact == "none":
        raise TrialError(f'{name}: contact = "none" says that there is no ground reaction: remove one of them')
    if spec.base == "fixed":
        raise TrialError(f'{name}: base = "fixed" has no place in the world for a ground reaction: remove one of them')
    if person.base.position is None:
        raise TrialError(f"{name}: the model '{person.name}' stands on no ground: remove the ground reaction")
    reaction = read_ground_reaction(
        spec.ground_reaction,
        spec.external_loads,
        side=spec.side,
        name=name,
        feet=recorded_feet(table, person, spec.side, trial.q, trial.base),
        forward=spec.forward,
        up=spec.up,
    )
    require_degrees(table, person, spec.side, trial.q, trial.base, reaction)
    first, last = float(reaction.time_s[0]), float(reaction.time_s[-1])
    return replace(_overlapping(trial, spec, "ground reaction", first, last), ground_reaction=reaction)


def _require_use(spec: TrialSpec, model: Model, name: str) -> None:
    """Raise TrialError for a key that would do nothing: whoever wrote it expects something of it."""
    markers = spec.kinematics.suffix.lower() == ".c3d"
    plates = spec.ground_reaction is not None and spec.ground_reaction.suffix.lower() == ".c3d"
    for key, used, needs in (
        ("load_at_m", spec.load_kg is not None, "`load_kg`"),
        ("ik_setup", markers, "a .c3d as `kinematics`"),
        ("forward", markers or plates, "a .c3d"),
        ("up", markers or plates, "a .c3d"),
    ):
        if getattr(spec, key) is not None and not used:
            raise TrialError(f"{name}: `{key}` needs {needs}: add that, or remove the key")
    own_side = model.source.get("side")
    if own_side is not None and own_side != spec.side and not any("{side}" in j.coordinate for j in model.joints):
        raise TrialError(f"{name}: the model '{model.name}' is of the side '{own_side}': set side = \"{own_side}\"")


def _kinematics(spec: TrialSpec, name: str) -> Table:
    """The recorded coordinates; those of a C3D's markers by OpenSim's inverse kinematics."""
    if spec.kinematics.suffix.lower() != ".c3d":
        return read_table(spec.kinematics)
    if spec.osim is None:
        raise TrialError(
            f"{name}: the markers of {spec.kinematics.name} are no joint angles: name the person's OpenSim model with `osim`, or "
            "give the angles of your inverse kinematics (.mot) as `kinematics`"
        )
    table: Table = desktop("tools.inverse_kinematics:from_c3d")(
        spec.kinematics, spec.osim, setup=spec.ik_setup, forward=spec.forward, up=spec.up
    )
    return table


def _person(spec: TrialSpec, model: Model, name: str) -> Model:
    """The model with the person's segments and masses, and what they carry."""
    if spec.osim is not None:
        if spec.mass_kg is not None or spec.leg_length_m is not None or spec.height_m is not None:
            raise TrialError(f"{name}: `osim` says how large the person is: remove mass_kg, leg_length_m and height_m")
        person: Model = desktop("tools.person:person_model")(spec.osim, model, spec.side)
    else:
        try:
            person = scale_uniformly(
                model, mass_kg=spec.mass_kg, leg_length_m=spec.leg_length_m, height_m=spec.height_m
            )
        except ModelError as error:
            raise TrialError(f"{name}: {error}") from None
    if spec.load_kg is None:
        return person
    if spec.load_at_m is None:
        raise TrialError(
            f"{name}: `load_kg` needs `load_at_m`, its place in the {person.segments[-1].name}'s frame: add it"
        )
    return with_load(person, person.segments[-1].name, spec.load_kg, spec.load_at_m)


def _given_torques(spec: TrialSpec, model: Model) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Torques of the model's rows that the trial's file holds, in our signs."""
    assert spec.torque is not None
    table = read_table(spec.torque)
    found = {}
    for angle in model.coordinates:
        for column, sign in (
            (f"{angle.name}_moment", 1.0),
            (f"{angle.coordinate.format(side=spec.side)}_moment", angle.sign),
        ):
            if column in table.columns:
                found[angle.name] = (table.time_s, sign * table.column(column))
    if not found:
        raise TrialError(
            f"{table.path}: holds no torque of {', '.join(model.coordinate_names)}: columns are named like "
            f"'{model.joints[0].coordinate.format(side=spec.side)}_moment'"
        )
    return found


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
