"""Every movement of the data folder as joint angles at 100 Hz, what a cheap sensor makes of it, and what it truly was.

Angles are raw inverse kinematics as published, in the project's signs; recordings at other rates are brought to 100 Hz by a
cubic spline. Movements that nobody recorded (a start, a stop, one task after another) are made of recorded parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.interpolate import make_interp_spline

from edge.msk.model import Model, load_model
from edge.signals import zero_phase
from edge.storage import read_table
from edge.trial_columns import recorded_angles
from train.angle_recordings import elbow_angle, knee_angle, wrist_angles

FloatArray = npt.NDArray[np.float64]

RATE_HZ = 100.0
ENCODER_STEPS = 4096  # a full turn in 12 bits
NOISE_DEG = 0.1
JITTER_S = 1e-3
DROPPED = 0.01

Jitter = Literal["hidden", "stamps", "true"]
"""`hidden`: samples are taken at jittered moments and stamped with the even times at which they were due. `stamps`: samples are
taken at even times and the stamps jitter. `true`: samples are taken at jittered moments and stamped with them."""

_OVERLAP_S = 0.6  # over which one movement passes into the next: a step of walking
_SEARCH_S = 1.5  # of the next movement, for a moment that is like the present one: a stride
_RATE_WEIGHT_S = 0.1  # a difference of 1 rad/s counts as one of so many rad


@dataclass(frozen=True)
class Part:
    """A stretch of a movement with a task of its own."""

    task: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Movement:
    """One recording, or several joined. Times start at 0 and are even."""

    name: str
    person: str  # recordings of one person are never split between fitting and testing
    task: str
    time_s: FloatArray  # (frames,)
    q: FloatArray  # (frames, channels) rad
    channel_names: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def duration_s(self) -> float:
        return float(self.time_s[-1])

    def until(self, end_s: float) -> Movement:
        """The beginning of it."""
        count = int(np.searchsorted(self.time_s, end_s + 1e-9))
        parts = tuple(Part(p.task, p.start_s, min(p.end_s, end_s)) for p in self.parts if p.start_s < end_s)
        return Movement(
            self.name, self.person, self.task, self.time_s[:count], self.q[:count], self.channel_names, parts
        )


def reference(movement: Movement, at_s: FloatArray) -> FloatArray:
    """OpenSim's offline kinematics of the undisturbed recording: value, rate, acceleration (3, len(at_s), channels)."""
    return np.stack(zero_phase.differentiate(movement.time_s, movement.q, at_s))


def disturbed(movement: Movement, seed: int, *, jitter: Jitter = "hidden") -> tuple[FloatArray, FloatArray]:
    """What the sensor gives: stamps (k,) in s and angles (k, channels) in rad.

    White noise of 0.1 deg, then 12 bits to the turn; 1 ms of jitter (normal); one sample in a hundred is lost.
    """
    draw = np.random.default_rng(seed)
    frames = len(movement.time_s)
    shift = draw.normal(0.0, JITTER_S, frames)
    noise = draw.normal(0.0, np.radians(NOISE_DEG), movement.q.shape)
    kept = draw.random(frames) >= DROPPED
    moved = np.maximum.accumulate(movement.time_s + shift)  # samples do not overtake each other
    moved[1:] += 1e-9 * np.arange(1, frames)
    taken = movement.time_s if jitter == "stamps" else np.clip(moved, 0.0, movement.duration_s)
    stamps = movement.time_s if jitter == "hidden" else moved
    step = 2.0 * np.pi / ENCODER_STEPS
    angles = make_interp_spline(movement.time_s, movement.q, k=3)(taken)
    return stamps[kept], np.round((angles + noise) / step)[kept] * step


def movement(data: Path, name: str) -> Movement:
    """One by name; raises KeyError for a name that `catalogue` does not have."""
    return catalogue(data)[name]()


def all_movements(data: Path) -> Iterator[Movement]:
    for make in catalogue(data).values():
        yield make()


def catalogue(data: Path) -> Mapping[str, Callable[[], Movement]]:
    """All movements by name, each read when it is asked for."""
    return {**recordings(data), **made_of_parts(data)}


def recordings(data: Path) -> dict[str, Callable[[], Movement]]:
    """What was recorded."""
    found: dict[str, Callable[[], Movement]] = {}

    def legs(name: str, person: str, task: str, path: Path, model: str) -> None:
        found[name] = partial(_legs, name, person, task, path, model)

    speeds = data / "treadmill_speeds"
    legs("walk36", "treadmill_speeds", "walking", speeds / "walk36" / "ik.sto", "leg9")
    legs("run81", "treadmill_speeds", "running", speeds / "run81" / "ik.sto", "leg9")
    legs("treadmill_60s", "treadmill_60s", "walking", data / "treadmill_60s" / "ik.sto", "leg32_rajagopal")
    for name in ("gait2392_walk", "opensimrt_gait"):
        legs(name, "gait2392", "walking", data / name / "ik.mot", "leg9")
    for name in ("overground_s01", "overground_s04"):
        legs(name, name, "walking", data / name / "ik.mot", "leg32_rajagopal")
    for path in sorted((data / "walk_12").glob("*/*_ik_full.mot")):
        person = f"walk_12/{path.parent.name}"
        trial = path.name.removesuffix("_ik_full.mot")
        legs(f"{person}/{trial}", person, "walking", path, "leg32_rajagopal")
    for path in sorted((data / "squats").glob("*_ik.mot")):
        trial = path.name.removesuffix("_ik.mot")
        task = "walking" if trial.startswith("walking") else "sit-to-stand" if trial.startswith("STS") else "squats"
        legs(f"squats/{trial}", "squats", task, path, "leg32_rajagopal")
    found["arm26_elbow"] = partial(_arm, "arm26_elbow", data / "arm26_elbow" / "ik.mot")
    for path in sorted((data / "knee_emg").glob("subject*.txt")):
        subject, task = path.stem.split("_", 1)
        name, person = f"knee_emg/{path.stem}", f"knee_emg/{subject}"
        found[name] = partial(_angles, name, person, f"knee, {task.replace('_', ' ')}", path, knee_angle, ("knee",))
    elbow = data / "elbow_emg" / "elbow_curl.txt"
    found["elbow_emg"] = partial(_angles, "elbow_emg", "elbow_emg", "curls", elbow, elbow_angle, ("elbow",))
    for path in sorted((data / "wrist_emg").glob("*.csv")):
        name = f"wrist_emg/{path.stem}"
        channels = ("wrist", "wrist, across")
        found[name] = partial(_angles, name, "wrist_emg", "wrist", path, wrist_angles, channels)
    return found


def made_of_parts(data: Path) -> dict[str, Callable[[], Movement]]:
    """Changes from one task to another, starts and stops: what a filter that has learnt one movement may do badly."""

    def joined(name: str, *pieces: tuple[str, float, float]) -> Callable[[], Movement]:
        def make() -> Movement:
            own = recordings(data)
            return join(name, *(_cut(own[piece](), start, end) for piece, start, end in pieces))

        return make

    def stopping(name: str, recording: str) -> Callable[[], Movement]:
        return lambda: with_stops(name, recordings(data)[recording]().until(30.0))

    return {
        "walk to run": joined("walk to run", ("walk36", 0.0, 60.0), ("run81", 0.0, 58.0)),
        "walk, run, walk": joined("walk, run, walk", ("walk36", 0, 25), ("run81", 0, 20), ("walk36", 30, 50)),
        "walk to squats": joined("walk to squats", ("walk36", 0, 30), ("squats/squats1", 0, 13.4)),
        "walk to uneven squats": joined("walk to uneven squats", ("walk36", 0, 30), ("squats/squatsAsym1", 0, 13.3)),
        "walk to sit-to-stand": joined("walk to sit-to-stand", ("walk36", 0, 30), ("squats/STS1", 0, 13.9)),
        "run to squats": joined("run to squats", ("run81", 0, 30), ("squats/squats1", 0, 13.4)),
        "squats to walk": joined("squats to walk", ("squats/squats1", 0, 13.4), ("walk36", 0, 20)),
        "one walker to another": joined("one walker to another", ("walk36", 0, 30), ("treadmill_60s", 0, 20)),
        "walk with stops": stopping("walk with stops", "walk36"),
        "walk with stops, treadmill_60s": stopping("walk with stops, treadmill_60s", "treadmill_60s"),
        "run with stops": stopping("run with stops", "run81"),
    }


def join(name: str, *pieces: Movement) -> Movement:
    """One movement after the other, each passing smoothly into the next.

    Both go on for 0.6 s while the weight moves from one to the other by a fifth-order smooth step, which leaves value, rate and
    acceleration continuous. The next one starts where, in its first stride, it is most like what it follows.
    """
    overlap = round(_OVERLAP_S * RATE_HZ)
    weight = _smooth_step(overlap)[:, None]
    q, parts = pieces[0].q, [Part(pieces[0].task, 0.0, 0.0)]
    for piece in pieces[1:]:
        following = piece.q[_most_alike(q[-overlap:], piece.q) :]
        blend = (1.0 - weight) * q[-overlap:] + weight * following[:overlap]
        start_s = (len(q) - overlap) / RATE_HZ
        parts = [*parts[:-1], Part(parts[-1].task, parts[-1].start_s, start_s), Part(piece.task, start_s, 0.0)]
        q = np.concatenate([q[:-overlap], blend, following[overlap:]])
    time = np.arange(len(q)) / RATE_HZ
    parts[-1] = Part(parts[-1].task, parts[-1].start_s, float(time[-1]))
    first = pieces[0]
    return Movement(name, first.person, name, time, q, first.channel_names, tuple(parts))


def with_stops(name: str, walk: Movement, *, walking_s: float = 7.0, standing_s: float = 4.0) -> Movement:
    """Standing, then walking and standing still in turn.

    One stands in the posture of the moment at which the recording is cut, which is held; over 0.6 s the walk is blended into it
    and out of it by a fifth-order smooth step.
    """
    cuts = np.arange(0.0, walk.duration_s - walking_s + 1e-6, walking_s)
    standing, blend = round(standing_s * RATE_HZ), round(_OVERLAP_S * RATE_HZ)
    rising = _smooth_step(blend)[:, None]
    rows: list[FloatArray] = []
    parts: list[Part] = []

    def add(task: str, values: FloatArray) -> None:
        start = sum(map(len, rows))
        rows.append(values)
        parts.append(Part(task, start / RATE_HZ, (start + len(values)) / RATE_HZ))

    for cut in cuts:
        first = round(cut * RATE_HZ)
        # The frame at which it ends is the one at which the next begins: standing, nothing jumps.
        piece = walk.q[first : first + round(walking_s * RATE_HZ) + 1].copy()
        begin, end = piece[0].copy(), piece[-1].copy()
        piece[:blend] = begin + rising * (piece[:blend] - begin)
        piece[-blend:] = end + rising[::-1] * (piece[-blend:] - end)
        add("standing", np.repeat(begin[None], standing, axis=0))
        add(walk.task, piece)
    add("standing", np.repeat(rows[-1][-1:], standing, axis=0))
    q = np.concatenate(rows)
    time = np.arange(len(q)) / RATE_HZ
    return Movement(name, walk.person, f"{walk.task} with stops", time, q, walk.channel_names, tuple(parts))


def _smooth_step(count: int) -> FloatArray:
    """From 0 to 1 with no rate and no acceleration at either end."""
    x = np.linspace(0.0, 1.0, count)
    return np.asarray(x**3 * (10.0 + x * (6.0 * x - 15.0)))


def _most_alike(ending: FloatArray, following: FloatArray) -> int:
    """Where `following` is most like `ending` in angles and rates."""
    rates = _RATE_WEIGHT_S * RATE_HZ * np.diff(ending, axis=0)
    count = len(ending)
    starts = range(min(round(_SEARCH_S * RATE_HZ), len(following) - 2 * count))

    def distance(start: int) -> float:
        candidate = following[start : start + count]
        difference = _RATE_WEIGHT_S * RATE_HZ * np.diff(candidate, axis=0) - rates
        return float(((candidate - ending) ** 2).sum() + (difference**2).sum())

    return min(starts, key=distance)


def _cut(whole: Movement, start_s: float, end_s: float) -> Movement:
    first, last = round(start_s * RATE_HZ), round(end_s * RATE_HZ)
    return _movement(whole.name, whole.person, whole.task, whole.q[first:last], whole.channel_names)


def _movement(name: str, person: str, task: str, q: FloatArray, channel_names: tuple[str, ...]) -> Movement:
    time = np.arange(len(q)) / RATE_HZ
    return Movement(name, person, task, time, q, channel_names, (Part(task, 0.0, float(time[-1])),))


def _legs(name: str, person: str, task: str, path: Path, model_name: str) -> Movement:
    """Hip, knee and ankle of the right leg, then of the left."""
    table, model = read_table(path), load_model(model_name)
    q = np.hstack([recorded_angles(table, model, side)[:, : len(model.joints)] for side in "rl"])
    return _movement(name, person, task, _at_rate(table.time_s, q), _channel_names(model))


def _channel_names(model: Model) -> tuple[str, ...]:
    return tuple(f"{joint}_{side}" for side in "rl" for joint in model.joint_names)


def _arm(name: str, path: Path) -> Movement:
    model = load_model("elbow6")
    table = read_table(path)
    return _movement(
        name, name, "elbow", _at_rate(table.time_s, recorded_angles(table, model, "r")), model.coordinate_names
    )


def _angles(
    name: str,
    person: str,
    task: str,
    path: Path,
    read: Callable[[Path], tuple[FloatArray, FloatArray]],
    channel_names: tuple[str, ...],
) -> Movement:
    return _movement(name, person, task, _at_rate(*read(path)), channel_names)


def _at_rate(time_s: FloatArray, q: FloatArray) -> FloatArray:
    """Values on an even grid of `RATE_HZ` from the first row on."""
    grid, even = zero_phase.evenly(time_s, q)
    wanted = grid[0] + np.arange(int((grid[-1] - grid[0]) * RATE_HZ + 1e-6) + 1) / RATE_HZ
    if len(wanted) == len(grid) and np.abs(wanted - grid).max() < 1e-6:
        return even
    return np.asarray(make_interp_spline(grid, even, k=3)(wanted))
