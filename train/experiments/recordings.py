"""Everyone of the data folder as trials, and what is known of them: who, how large, which task, how fast.

Signs, sides and sizes are those of the recordings; nothing of OpenSim is needed unless a person's own model is asked for.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from edge.errors import FileError
from edge.msk.model import Model, load_model
from edge.msk.scaling import scale_uniformly
from edge.storage import read_text, write_text
from edge.trial import FloatArray, Side, Trial
from edge.trials import TrialSpec, load_trial
from train.angle_recordings import knee_angle

WALKING, RUNNING, SQUATS, SIT_TO_STAND = "walking", "running", "squats", "sit-to-stand"
KNEE_FLEXION, KNEE_EXTENSION, ELBOW = "standing knee flexion", "seated knee extension", "elbow flexion"
SIDES: tuple[Side, ...] = ("r", "l")

_TAPE_TO_JOINTS = 1.04  # `walk_12`'s tape runs from the trochanter to the ankle's knob: 4 % less than joint to joint
_STANCE_N = 200.0
_FLAT = 75.0  # percent: the ankle stands still for the fastest quarter of a stance and rolls forwards for the rest
_KNEE_MASS_KG, _KNEE_HEIGHT_M = 75.0, 1.75  # nobody of `knee_emg` was measured: adult men
_SEATED_HIP_RAD = np.pi / 2.0


@dataclass(frozen=True)
class Recorded(Trial):
    """A trial of the data folder."""

    task: str = ""
    speed_mps: float | None = None  # over the ground or the belt, of walking and running


@dataclass(frozen=True)
class _Source:
    """One recording of a leg with ground reaction. Forces are given to feet by place: the published external loads put both
    plates under one foot (`squats`), or miss steps on the other belt (`overground_s04`)."""

    name: str
    subject: str
    task: str
    kinematics: Path
    forces: Path
    mass_kg: float
    leg_length_m: float  # hip to knee to ankle, the mean of both sides: one body a person
    osim: Path | None  # the person's own model, where there is one
    flexes: float  # sign of the file's knee angle in flexion
    speed_mps: float | None = None  # as the source states it


def walkers(
    data: Path,
    *,
    model: str = "leg9",
    osim: bool = False,
    sides: Sequence[Side] = SIDES,
    speeds: bool = True,
    subjects: Collection[str] | None = None,
) -> list[Recorded]:
    """All walking with ground reaction: 17 people, 18 with the one of `squats`.

    model: of a leg, whose muscles everybody gets. osim: the people's own segments (needs OpenSim; the walker of
    `treadmill_speeds` has no own model and stays scaled). speeds: `walk_12`'s fast trials too. subjects: these people alone.
    Raises FileError or TrialError.
    """
    found = [s for s in _sources(data) if s.task == WALKING and (speeds or "/C5_" not in s.name)]
    if subjects is not None:
        found = [s for s in found if s.subject in subjects]
    return _load(found, model, osim, sides)


def runs(data: Path, *, model: str = "leg9", osim: bool = False, sides: Sequence[Side] = SIDES) -> list[Recorded]:
    """Running at 8.1 km/h, by the walker of `treadmill_speeds/walk36`."""
    return _load([s for s in _sources(data) if s.task == RUNNING], model, osim, sides)


def squats(data: Path, *, model: str = "leg9", osim: bool = False, sides: Sequence[Side] = SIDES) -> list[Recorded]:
    """Squats, even and uneven, of one person."""
    return _load([s for s in _sources(data) if s.task == SQUATS], model, osim, sides)


def sit_to_stands(
    data: Path, *, model: str = "leg9", osim: bool = False, sides: Sequence[Side] = SIDES
) -> list[Recorded]:
    """The same person rising from a chair. The chair's force is not recorded: while seated, the hip's torque is not true."""
    return _load([s for s in _sources(data) if s.task == SIT_TO_STAND], model, osim, sides)


def knee_bending(data: Path, *, model: str = "knee13", people: int | None = None) -> list[Recorded]:
    """Seven people who stand on one leg and bend the other knee: the shank swings free below a vertical thigh.

    model: of a knee. people: the first so many alone. Nobody's size is known: all get 75 kg and 1.75 m. The person's straightest
    knee is taken as 0, since the goniometers' own zero differs by 20 deg between people. Some bend further than the models' valid
    range (`Trial.frames_outside_model`).
    """
    return [_knee(data, person, model, KNEE_FLEXION, 0.0) for person in _knee_people(data)[:people]]


def seated_extension(data: Path, *, model: str = "knee13", people: int | None = None) -> list[Recorded]:
    """The same people, seated with a level thigh, straighten the knee."""
    return [_knee(data, person, model, KNEE_EXTENSION, _SEATED_HIP_RAD) for person in _knee_people(data)[:people]]


def knee_file(data: Path, trial: Recorded) -> Path:
    """The file of a trial of `knee_bending` or `seated_extension`, with its electromyograms."""
    return data / "knee_emg" / f"{trial.subject}_{_KNEE_FILES[trial.task]}.txt"


def elbow(data: Path, *, model: str = "elbow6") -> list[Recorded]:
    """The elbow flexion of OpenSim's arm tutorial, which touches nothing."""
    spec = TrialSpec(kinematics=data / "arm26_elbow" / "ik.mot", subject="arm26")
    return [recorded(load_trial(spec, load_model(model), name="arm26_elbow"), task=ELBOW)]


_KNEE_FILES = {KNEE_FLEXION: "standing_flexion", KNEE_EXTENSION: "seated_extension"}


def _knee_people(data: Path) -> list[str]:
    names = sorted(p.name.partition("_")[0] for p in (data / "knee_emg").glob("*_standing_flexion.txt"))
    if not names:
        raise FileError(
            f"{data / 'knee_emg'}: holds no *_standing_flexion.txt: give the folder of recordings with --data"
        )
    return names


def _knee(data: Path, person: str, model_name: str, task: str, hip_rad: float) -> Recorded:
    body = scale_uniformly(load_model(model_name), mass_kg=_KNEE_MASS_KG, height_m=_KNEE_HEIGHT_M)
    files = {t: knee_angle(data / "knee_emg" / f"{person}_{stem}.txt") for t, stem in _KNEE_FILES.items()}
    # The file's sign differs between people; in both movements the knee is bent half of the time.
    flexion = {t: np.sign(np.median(q)) * q[:, 0] for t, (_, q) in files.items()}
    straightest = min(float(angle.min()) for angle in flexion.values())
    time, knee = files[task][0], straightest - flexion[task]
    angles = np.zeros((len(time), len(body.coordinates)))
    angles[:, 0] = knee
    angles[:, body.coordinate_names.index("hip")] = hip_rad
    base = np.zeros((len(time), len(body.base.links) + 2))
    base[:, len(body.base.links) - 1] = hip_rad
    return Recorded(
        name=f"knee_emg/{person} {task}",
        subject=person,
        side="r",
        model=body,
        time_s=time,
        angles=angles,
        base=base,
        ground_reaction=None,
        start_s=float(time[0]),
        end_s=float(time[-1]),
        touches_nothing=True,
        task=task,
    )


def _sources(data: Path) -> Iterator[_Source]:
    """Sizes are those of the people's own models, but for `walk_12`, whose anthropometry was taken."""
    gait10 = data / "gait10_walk"
    yield _Source(
        "gait10_walk", "gait10", WALKING, gait10 / "ik.mot", gait10 / "subject01_walk_grf.mot", 72.6, 0.879,
        gait10 / "model.osim", -1.0,
    )  # fmt: skip
    place = data / "treadmill_60s"
    yield _Source(
        place.name, place.name, WALKING, place / "ik.sto", place / "grf.mot", 86.04, 0.917, place / "model.osim", 1.0
    )
    for person, mass, length in (("s01", 72.84, 0.893), ("s04", 80.3, 0.878)):
        place = data / f"overground_{person}"
        yield _Source(
            place.name,
            place.name,
            WALKING,
            place / "ik.mot",
            place / "grf.mot",
            mass,
            length,
            place / "model.osim",
            1.0,
        )
    for name, task, speed in (("walk36", WALKING, 1.0), ("run81", RUNNING, 2.25)):
        place = data / "treadmill_speeds" / name
        # Their model is the generic one of 75.2 kg: the mass is from the forces, the length the model's.
        yield _Source(
            f"treadmill_speeds/{name}", "treadmill_speeds", task, place / "ik.sto", place / "XLD.mot", 57.0, 0.826,
            None, -1.0, speed,
        )  # fmt: skip
    for path in sorted((data / "squats").glob("*_ik.mot")):
        stem = path.name.removesuffix("_ik.mot")
        task = WALKING if stem.startswith("walking") else SIT_TO_STAND if stem.startswith("STS") else SQUATS
        forces, osim = path.with_name(f"{stem}_grf.mot"), path.with_name("model.osim")
        yield _Source(f"squats/{stem}", "squats", task, path, forces, 62.6, 0.798, osim, 1.0)
    people = _anthropometry(data / "walk_12" / "anthropometrics.csv")
    for path in sorted((data / "walk_12").glob("*/*_ik_full.mot")):
        person, stem = path.parent.name, path.name.removesuffix("_ik_full.mot")
        mass, length = people[person]
        forces, osim = path.with_name(f"{stem}_grf.mot"), path.with_name("model_without_muscles.osim")
        yield _Source(f"walk_12/{person}/{stem}", f"walk_12/{person}", WALKING, path, forces, mass, length, osim, 1.0)


def _anthropometry(path: Path) -> dict[str, tuple[float, float]]:
    """Mass in kg and leg length in m of each person."""
    rows = csv.DictReader(read_text(path).splitlines())
    try:
        return {
            row["subjectID"]: (
                float(row["mass"]),
                _TAPE_TO_JOINTS * (float(row["rightLegLength"]) + float(row["leftLegLength"])) / 2.0,
            )
            for row in rows
        }
    except (KeyError, ValueError) as error:
        raise FileError(
            f"{path}: no table of subjectID, mass and leg lengths ({error}): take the published one"
        ) from None


def _load(sources: Sequence[_Source], model_name: str, osim: bool, sides: Sequence[Side]) -> list[Recorded]:
    model = load_model(model_name)
    trials = []
    with tempfile.TemporaryDirectory(prefix="edge-msk-") as folder:
        for source in sources:
            own = osim and source.osim is not None
            forces = source.forces
            if source.subject == "treadmill_60s":
                forces = _with_rows_counted(forces, Path(folder) / "grf.mot")
            legs = []
            for side in sides:
                spec = TrialSpec(
                    kinematics=source.kinematics,
                    ground_reaction=forces,
                    side=side,
                    subject=source.subject,
                    osim=source.osim if own else None,
                    mass_kg=None if own else source.mass_kg,
                    leg_length_m=None if own else source.leg_length_m,
                    task=source.task,
                )
                legs.append(load_trial(spec, with_knee_sign(model, source.flexes), name=f"{source.name} {side}"))
            speed = source.speed_mps
            if speed is None and source.task in (WALKING, RUNNING):
                speed = round(float(np.mean([_speed_mps(leg) for leg in legs])), 2)
            trials += [recorded(leg, task=source.task, speed_mps=speed) for leg in legs]
    return trials


def recorded(trial: Trial, *, task: str, speed_mps: float | None = None) -> Recorded:
    """The trial with what is known of it."""
    own = {f.name: getattr(trial, f.name) for f in fields(Trial)}
    return Recorded(**{**own, "task": task, "speed_mps": speed_mps})


def with_knee_sign(model: Model, flexion: float) -> Model:
    """The model for files whose knee angle has this sign in flexion: ours is negative, the Rajagopal family's positive."""
    joints = tuple(replace(j, sign=-flexion) if j.name == "knee" else j for j in model.joints)
    return replace(model, joints=joints)


def _with_rows_counted(path: Path, copy: Path) -> Path:
    """A copy whose header has the number of rows that there are: the published one counts those before it was thinned out."""
    if not copy.exists():
        text = read_text(path)
        rows = len(text.partition("endheader")[2].strip().splitlines()) - 1
        lines = [f"nRows={rows}" if line.startswith("nRows=") else line for line in text.splitlines()]
        write_text(copy, "\n".join(lines) + "\n")
    return copy


def _speed_mps(trial: Trial) -> float:
    """How fast the hip moves over the foot that stands: over the ground, or the belt."""
    assert trial.ground_reaction is not None
    turn = trial.base[:, : len(trial.model.base.links)].sum(axis=1)
    place = np.zeros((len(trial.time_s), 2))
    for i, joint in enumerate(trial.model.joints):
        place += _turned(joint.center.evaluate(trial.q[:, i])[0], turn)
        turn = turn + trial.q[:, i]
    own = trial.within(trial.time_s)
    time = trial.time_s[own]
    stands = trial.ground_reaction.at(time)[0][..., 1].sum(axis=1) > _STANCE_N
    backwards = -np.gradient(place[own, 0], time)
    return float(np.percentile(backwards[stands], _FLAT))


def _turned(vector: FloatArray, angle: FloatArray) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * vector[:, 0] - s * vector[:, 1], s * vector[:, 0] + c * vector[:, 1]], axis=1)
