"""What the derivatives of several methods are worth on people who walk and run: each function makes the rows of one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from tools.bench.derivative_runs import OPENSIMRT, WARM_UP_S, Build, FloatArray, Run, build, run
from tools.bench.movements import RATE_HZ, Jitter, Movement

Row = dict[str, Any]
T = TypeVar("T")

ANCHOR = (0.22, 4.0, 98.0)  # deg, deg/s, deg/s2: OpenSimRT's filter, 140 ms late, on walk36
QUANTITIES = ("q", "qd", "qdd")
_COLUMNS = ("q_deg", "qd_deg_s", "qdd_deg_s2")
LAST_S = 30.0
ADAPTATION_AGE_S = 0.05
END_S = 0.2  # the offline filter's own end, which is bent by its padding

_RUNNING_S = 1.0
_SETTLED_S = 20.0
_STAYS_S = 5.0
_SETTLED_WITHIN = 1.15
_FEWEST_OPENSIMRT = 2  # samples of delay that it allows


class Progress(Protocol):
    """Goes through jobs and shows how far it has come."""

    def __call__(self, jobs: Sequence[T], description: str) -> Iterable[T]: ...


def silent(jobs: Sequence[T], description: str) -> Iterable[T]:
    del description
    return jobs


def usable_ages(method: str, ages_s: Sequence[float]) -> list[float]:
    """Those that a method can give."""
    return [a for a in ages_s if method != OPENSIMRT or round(a * RATE_HZ) >= _FEWEST_OPENSIMRT]


def by_age(
    walk: Movement,
    methods: Sequence[str],
    ages_s: Sequence[float],
    *,
    seed: int = 0,
    jitter: Jitter = "hidden",
    last_s: float = LAST_S,
    progress: Progress = silent,
) -> list[Row]:
    """Errors over the last seconds of a recording, after the filter has run over all that came before."""
    jobs = [(method, age) for method in methods for age in usable_ages(method, ages_s)]
    rows = []
    for method, age in progress(jobs, "walk36"):
        error = run(method, walk, age, seed=seed, jitter=jitter).rmse(walk.duration_s - last_s)
        rows.append({"method": method, "age_ms": round(age * 1e3), **_errors(error)})
    return rows


def anchor_ages(rows: Sequence[Row], anchor: Sequence[float] = ANCHOR) -> list[Row]:
    """The youngest ages in ms at which each method of `by_age` is as good as the anchor; None where it never is."""
    found = []
    for method in dict.fromkeys(row["method"] for row in rows if row["method"] != OPENSIMRT):
        own = sorted((row for row in rows if row["method"] == method), key=lambda row: row["age_ms"])
        ages = np.array([row["age_ms"] for row in own], dtype=float)
        reached = {
            f"{quantity}_ms": _reaches(ages, np.array([row[column] for row in own]), wanted)
            for quantity, column, wanted in zip(QUANTITIES, _COLUMNS, anchor, strict=True)
        }
        found.append({"method": method, **reached})
    return found


def _reaches(ages_ms: FloatArray, errors: FloatArray, wanted: float) -> float | None:
    """Where the errors, drawn as straight lines in the logarithm, come down to what is wanted."""
    below = np.flatnonzero(errors <= wanted)
    if len(below) == 0:
        return None
    i = int(below[0])
    if i == 0:
        return float(ages_ms[0])
    share = np.log(errors[i - 1] / wanted) / np.log(errors[i - 1] / errors[i])
    return round(float(ages_ms[i - 1] + share * (ages_ms[i] - ages_ms[i - 1])), 1)


def by_person(
    walks: Sequence[Movement],
    methods: Sequence[str],
    ages_s: Sequence[float],
    *,
    seed: int = 0,
    jitter: Jitter = "hidden",
    make: Mapping[str, Build] | None = None,
    progress: Progress = silent,
) -> list[Row]:
    """Errors of each person's recordings of a task from the beginning on, and of all people alike.

    make: how a method's differentiator is made for a movement, where that is not as it comes out of the box.
    """
    jobs = [(method, age, walk) for method in methods for age in usable_ages(method, ages_s) for walk in walks]
    squares: dict[tuple[str, float, str], dict[str, list[FloatArray]]] = {}
    for method, age, walk in progress(jobs, "people"):
        own = (make or {}).get(method, build)
        error = run(method, walk, age, seed=seed, jitter=jitter, make=own).rmse(WARM_UP_S, walk.duration_s - END_S)
        squares.setdefault((method, age, walk.task), {}).setdefault(walk.person, []).append(error**2)
    rows = []
    for (method, age, task), people in squares.items():
        means = {person: np.mean(values, axis=0) for person, values in people.items()}
        if len(means) > 1:
            means["everyone"] = np.mean(list(means.values()), axis=0)
        rows += [
            {"method": method, "age_ms": round(age * 1e3), "person": person, "task": task, **_errors(np.sqrt(square))}
            for person, square in means.items()
        ]
    return rows


def adaptation(
    change: Movement,
    methods: Sequence[str],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    jitter: Jitter = "hidden",
    make: Mapping[str, Build] | None = None,
    progress: Progress = silent,
) -> list[Row]:
    """How long after each part of a movement has begun its accelerations are as good as they become.

    The error is the RMSE of all joints' accelerations over the second before, 50 ms old. It has settled at the moment from which
    it is, then and over the 5 s that follow as a whole, within 15 % of the part's last 20 s. Time counts from the first sample of
    the part to when the output leaves. The median of several draws of the noise. make: as in `by_person`.
    """
    rows = []
    jobs = [(method, seed) for method in methods for seed in seeds]
    found: dict[tuple[str, int], list[Row]] = {}
    for method, seed in progress(jobs, "adaptation"):
        maker = (make or {}).get(method, build)
        own = run(method, change, ADAPTATION_AGE_S, seed=seed, jitter=jitter, make=maker)
        for i, part in enumerate(change.parts):
            end = min(part.end_s, change.duration_s - END_S)
            found.setdefault((method, i), []).append(settling(own, part.start_s, end))
    for (method, i), draws in found.items():
        medians = {
            key: None if any(d[key] is None for d in draws) else round(float(np.median([d[key] for d in draws])), 2)
            for key in draws[0]
        }
        rows.append({"method": method, "part": change.parts[i].task, **medians})
    return rows


def settling(own: Run, start_s: float, end_s: float) -> Row:
    """Of one run in one stretch: its errors at first and at last in deg/s2, and the seconds between, None if it never settles."""
    square = np.degrees(1.0) ** 2 * ((own.said[2] - own.true[2]) ** 2).mean(axis=1)

    def error(first: float, last: float) -> float:
        within = (own.time_s > first - 1e-9) & (own.time_s <= last + 1e-9)
        return float(np.sqrt(square[within].mean())) if within.any() else np.inf

    settled = error(max(end_s - _SETTLED_S, start_s), end_s)
    most = _SETTLED_WITHIN * settled
    moments = own.time_s[(own.time_s > start_s) & (own.time_s <= end_s - _STAYS_S)]
    seconds = None
    for moment in moments.tolist():
        running = error(max(moment - _RUNNING_S, start_s), moment)
        if running <= most and error(moment, moment + _STAYS_S) <= most:
            seconds = moment + own.age_s - start_s
            break
    return {
        "first_2_s_qdd_deg_s2": error(start_s, start_s + 2.0),
        "settled_qdd_deg_s2": settled,
        "seconds": seconds,
    }


def _errors(error: FloatArray) -> Row:
    return {column: float(value) for column, value in zip(_COLUMNS, error, strict=True)}


def markdown(rows: Sequence[Row], digits: Callable[[float], str] = lambda value: f"{value:.3g}") -> str:
    """Rows with the same keys as a table."""
    keys = list(rows[0])

    def cell(value: Any) -> str:
        if value is None:
            return "-"
        return digits(value) if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(key.replace("_", " ") for key in keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join([*lines, *("| " + " | ".join(cell(row[key]) for key in keys) + " |" for row in rows)])
