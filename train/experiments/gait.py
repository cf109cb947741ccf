"""`gait`: the second paper (Ma et al. 2025, arXiv 2511.10878) on walking: later strides, a speed left out, ablations, features.

The paper trains a bidirectional GRU behind an attention between joints for activations, with w_d L_d + w_p L_p + w_b L_b:
equation of motion, effort, bounds, weighted 3, 1000 and 500.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from train.experiments.cells import Cell, run_cells
from train.experiments.held_out import (
    ZERO_PHASE,
    HeldOut,
    Inputs,
    baselines,
    before_and_after,
    choice_of,
    chosen,
    live,
    rows,
    thinned,
    train_network,
    whole_number,
)
from train.experiments.people import somebody
from train.experiments.recordings import runs, walkers
from train.experiments.report import Report, Row, Settings, Value, mean_rows
from train.experiments.scoring import join
from train.experiments.similarity import (
    cycle_phase,
    hidden_features,
    lay_out,
    mean_step,
    procrustes_similarity,
    separation,
)
from train.experiments.smoothness import jerk_ratio
from train.learning import Answers
from train.material import Material
from train.recipe import Recipe

AGES_MS = (0.0, 50.0)
METHOD = "adaptive"  # of the differentiator, which learns the one person


@dataclass(frozen=True)
class Task:
    """What trains and what tests."""

    title: str
    subject: str = ""  # whose walk; empty for everybody's
    train_s: float = 0.0  # the first so many seconds train ...
    test_s: float | None = None  # ... and the last so many test; None: all that follow
    published: Mapping[str, float] | None = None  # the paper's own figures, for its own recordings of this kind


_OWN = {"activation_r2": 0.84, "force_r2": 0.82, "activation_nrmse": 0.08, "force_nrmse": 0.09}
TASKS: Mapping[str, Task] = {
    "gait10": Task("gait10_walk: the first second for the last 1.2 s", "gait10", 1.05, published=_OWN),
    "treadmill60": Task("treadmill_60s: the first 30 s for the last 20 s", "treadmill_60s", 30.0, 20.0, _OWN),
    "walk36": Task("walk36: the first 40 s for the rest", "treadmill_speeds", 40.0, published=_OWN),
    "speed": Task("walk_12: one speed of each person left out", published={"activation_r2": 0.80}),
}
ABLATED = ("gait10", "treadmill60")
"""Tasks with every architecture and loss; the others have `EVERYWHERE` alone."""
_STEADY, _OTHER = "walk_12", ("/C4_", "/C5_")
_MOST_OF_ONE = 1500  # windows of one person, where everybody trains

_PAPER: Mapping[str, Any] = {"architecture": "mjca-bigru", "head": "activation", "loss": "ma2025-gait"}
_SUPERVISED: Mapping[str, Any] = {**_PAPER, "loss": "supervised"}
PAPERS_OWN = "paper, mjca-bigru"
EVERYWHERE: Mapping[str, Mapping[str, Any]] = {
    "ours, residual head": {"head": "residual", "even_people": True},
    "ours, contact head": {"head": "contact", "signals": "segments", "even_people": True},
    "ours, torque head": {"head": "torque", "even_people": True},
    PAPERS_OWN: _PAPER,
}
"""Methods for all tasks and inputs, and what of their recipes differs from the default."""

BACKBONES = ("bigru-128", "cnn-bigru", "tcn", "bigru", "lstm")
TERMS = {"motion": "L_d", "effort": "L_p", "bounds": "L_b"}
ABLATION: Mapping[str, Mapping[str, Any]] = {
    "supervised, mjca-bigru": _SUPERVISED,
    **{f"paper, {name}": {**_PAPER, "architecture": name} for name in BACKBONES},
    **{f"paper, without {name}": {**_PAPER, "weights": {term: 0.0}} for term, name in TERMS.items()},
    **{f"paper, {name} weights": {**_PAPER, "balance": name} for name in ("uncertainty", "gradient")},
    "ours, dual head": {"head": "dual"},
    "ours, activation head": {"head": "activation"},
    **{f"ours, residual head, {name}": {"head": "residual", "architecture": name} for name in ("mjca-bigru", "tcn")},
}
"""The other methods, with the paper's own inputs alone."""

SEEN_ALIKE: Mapping[str, Mapping[str, Any]] = {
    "supervised": _SUPERVISED,
    "physics-informed": _PAPER,
    "ours, residual head": {"architecture": "mjca-bigru", "head": "residual"},
    "supervised, another seed": _SUPERVISED,
    "not trained": _SUPERVISED,
}
"""Networks whose hidden features are compared with the first one's. The last two say how alike two trainings can be at all, and
how alike are features that nothing was learned in."""
_CONTROL_SEED = 1000
_LAID_OUT = 700  # moments in a picture
_QUICK_STEPS = 4
OPTIONS = {"tasks": "", "model": "leg9", "steps": ""}


def run(settings: Settings) -> Report:
    """The whole experiment. Options: `tasks` (some of TASKS), `model` of a leg, `steps`.

    Raises FileError, TrialError, ConfigError.
    """
    options = chosen(settings, OPTIONS)
    tasks = choice_of(options, "tasks", ("gait10",) if settings.quick else tuple(TASKS))
    found = run_cells("gait", cells(settings, tasks, options["model"], whole_number(options, "steps")), settings)
    notes = [
        "`Ma et al. 2025` are the paper's own figures, of its own recordings: another person, another model.",
        "The truth is our static optimisation, in `correct` mode, of zero-phase inverse dynamics with the measured ground "
        "reaction. No frame is in a training and in a test window; zero-phase filters, as OpenSim's, run over whole recordings.",
        f"Live: sensors of usual quality, the `{METHOD}` differentiator, which begins as the people of `walk_12` taught it "
        "(with a speed left out: `fir`, from all people but the wearer).",
        "`jerk`: mean squared jerk of the activations over that of the truth: above 1 it trembles.",
        "Features: `similarity` is Procrustes' 1 - disparity with the supervised network's features, of the same moments "
        "(`similarity 2d` after t-SNE); `separation` the silhouette of eight equal phases of the stride; `step` how far the "
        "features move from one moment to the next, against the distance of any two.",
    ]
    pictures = [picture for task in tasks if (picture := _picture(settings, task)).exists()]
    made = [*published(tasks), *found]
    return Report("gait", made, [*_plots(made, settings.out), *pictures], notes)


def cells(settings: Settings, tasks: Sequence[str], model: str, steps: int | None) -> list[Cell]:
    """Every task, inputs, method and seed; what says most comes first."""
    everywhere, ablation = EVERYWHERE, ABLATION
    ages: Sequence[float] = AGES_MS
    if settings.quick:
        steps = steps or _QUICK_STEPS
        ages = AGES_MS[-1:]
        everywhere = {PAPERS_OWN: _PAPER}
        ablation = {}
    seeds = range(1 if settings.quick else settings.seeds)
    made = []
    for task in tasks:
        alive = "fir" if task == "speed" else METHOD
        for inputs in (ZERO_PHASE, *(live(age, alive) for age in ages)):
            same = {"task": task, "model": model, "inputs": inputs}
            made.append(Cell(without_network, f"{task}, {inputs.label}, baselines", same))
            methods = {**everywhere, **(ablation if task in ABLATED and not inputs.causal else {})}
            made += [
                Cell(
                    with_network,
                    f"{task}, {inputs.label}, {method}",
                    {**same, "method": method, "changes": changes, "seed": seed, "steps": steps},
                )
                for seed in seeds
                for method, changes in methods.items()
            ]
        if task in ABLATED:
            made += [
                Cell(
                    features,
                    f"{task}, features",
                    {
                        "task": task,
                        "model": model,
                        "seed": seed,
                        "steps": steps,
                        "picture": str(_picture(settings, task)) if seed == 0 else None,
                    },
                )
                for seed in seeds
            ]
    return made


def published(tasks: Sequence[str]) -> list[Row]:
    """What the paper reports, as rows."""
    return [
        Row(task.title, "Ma et al. 2025", "zero-phase", **task.published)  # type: ignore[arg-type]
        for task in map(TASKS.__getitem__, tasks)
        if task.published is not None
    ]


def held_out(data: Path, task: str, model: str, inputs: Inputs) -> Iterator[HeldOut]:
    """What trains and tests, a fold after the other. Raises FileError or TrialError."""
    known, recipe = TASKS[task], inputs.recipe()
    if known.subject:
        material = somebody(data, model, known.subject, inputs)
        own = material.people == known.subject
        train, test = before_and_after(material, recipe, known.train_s, known.test_s)
        yield HeldOut.of(material, train & own, test & own, recipe)
        return
    material = _walks_and_runs(data, model, inputs)
    names = material.of_stretches([stretch.trial.name for stretch in material.stretches])
    few = thinned(material, _MOST_OF_ONE)
    for fold in range(len(_OTHER)):
        test = np.isin(names, left_out([s.trial.name for s in material.stretches], fold))
        yield HeldOut.of(material, ~test & few, test, recipe)


def left_out(names: Sequence[str], fold: int) -> list[str]:
    """The trials of `walk_12` at the speed that a fold leaves out: the slow one of every second person, the other's fast one."""
    people = sorted({name.split("/")[1] for name in names if name.startswith(_STEADY)})
    speed = {person: _OTHER[(i + fold) % len(_OTHER)] for i, person in enumerate(people)}
    return [name for name in names if name.startswith(_STEADY) and speed[name.split("/")[1]] in name]


@lru_cache(maxsize=2)
def _walks_and_runs(data: Path, model: str, inputs: Inputs) -> Material:
    return Material.of([*walkers(data, model=model), *runs(data, model=model)], inputs.recipe())


def without_network(data: Path, *, task: str, model: str, inputs: Inputs) -> list[Row]:
    """The baselines."""
    recipes = {
        "": inputs.recipe(head="torque"),
        "residual": inputs.recipe(head="residual"),
        "contact": inputs.recipe(head="contact", signals="segments"),
    }
    answers: dict[str, list[Answers]] = {}
    folds = list(held_out(data, task, model, inputs))
    for held in folds:
        for name, _, own in baselines(held, recipes):
            answers.setdefault(name, []).append(own)
    return [
        row for name, own in answers.items() for row in _judged(folds, own, inputs.recipe(), task=task, method=name)
    ]


def with_network(
    data: Path,
    *,
    task: str,
    model: str,
    inputs: Inputs,
    method: str,
    changes: Mapping[str, Any],
    seed: int,
    steps: int | None,
) -> list[Row]:
    """One network, or one for each fold."""
    recipe = inputs.recipe(seed=seed, steps=steps, **changes)
    folds = list(held_out(data, task, model, inputs))
    trained = [train_network(held, recipe) for held in folds]
    seconds = float(np.mean([own.seconds for own in trained]))
    answers = [own.answers for own in trained]
    return _judged(folds, answers, recipe, task=task, method=method, seed=seed, seconds=seconds)


def _judged(
    folds: Sequence[HeldOut], answers: Sequence[Answers], recipe: Recipe, *, task: str, **keys: Any
) -> list[Row]:
    reference = join([held.reference for held in folds])
    where = np.concatenate([np.flatnonzero(held.test) for held in folds])
    tested, own = folds[0].whole.take(where), join(answers)
    more: dict[str, Value] = {"jerk": jerk_ratio(reference, own, tested)}
    people = not TASKS[task].subject
    return rows(reference, own, tested, recipe, people=people, task=TASKS[task].title, more=more, **keys)


def features(data: Path, *, task: str, model: str, seed: int, steps: int | None, picture: str | None) -> list[Row]:
    """How alike networks see the windows that test, and how well they tell its phases apart. picture: of the t-SNE."""
    (held,) = held_out(data, task, model, ZERO_PHASE)
    phase = cycle_phase(held.tested)
    known = np.flatnonzero(np.isfinite(phase))
    shown = known[np.unique(np.linspace(0, len(known) - 1, min(_LAID_OUT, len(known))).astype(int))]
    found: dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = {}
    made = []
    for name, changes in SEEN_ALIKE.items():
        control = name in ("supervised, another seed", "not trained")
        recipe = ZERO_PHASE.recipe(
            seed=seed + _CONTROL_SEED if control else seed, steps=1 if name == "not trained" else steps, **changes
        )
        trained = train_network(held, recipe)
        own = hidden_features(trained.learned.network, held.tested)
        flat = lay_out(own[shown], seed)
        found[name] = own, flat
        first, first_flat = next(iter(found.values()))
        more: dict[str, Value] = {
            "similarity": procrustes_similarity(first[known], own[known]),
            "similarity_2d": procrustes_similarity(first_flat, flat),
            "separation": separation(own[known], phase[known]),
            "separation_2d": separation(flat, phase[shown]),
            "step": mean_step(own, held.tested),
        }
        title = f"{TASKS[task].title}: hidden features"
        made.append(Row(title, name, "zero-phase", seed=seed, windows=len(known), seconds=trained.seconds, more=more))
    if picture is not None:
        from train.experiments.plots import scatter

        panels = {name: (flat, phase[shown]) for name, (_, flat) in found.items()}
        scatter(Path(picture), panels, colour_label="share of the stride", cyclic=True)
    return made


def _picture(settings: Settings, task: str) -> Path:
    return settings.out / f"gait_features_{task}.png"


def _plots(found: Sequence[Row], out: Path) -> list[Path]:
    """The methods of each task with zero-phase inputs; what was ablated."""
    from train.experiments.plots import bars

    means = {
        (row.task, row.method): figures["activation_r2"][0]
        for row, figures in mean_rows(found)
        if row.inputs == "zero-phase" and "activation_r2" in figures
    }
    titles = {task.title: name for name, task in TASKS.items() if any(key[0] == task.title for key in means)}
    methods = list(dict.fromkeys(method for _, method in means))
    common = [method for method in methods if method not in ABLATION]
    made = [_bars(bars, out / "gait_methods.png", common, titles, means)]
    ablated = {title: name for title, name in titles.items() if name in ABLATED}
    compared = [method for method in methods if method in ABLATION or method == PAPERS_OWN]
    if ablated and len(compared) > 1:
        made.append(_bars(bars, out / "gait_ablation.png", compared, ablated, means))
    return made


def _bars(
    bars: Any, path: Path, methods: Sequence[str], titles: Mapping[str, str], means: Mapping[tuple[str, str], float]
) -> Path:
    series = {name: [means.get((title, method)) for method in methods] for title, name in titles.items()}
    made: Path = bars(path, methods, series, y_label="activation R2, zero-phase inputs", y_from=0.0)
    return made
