"""What `knee` and `elbow` have in common: the methods of the first paper (Ma et al. 2025, arXiv 2412.05403) and ours beside them.

The paper trains a network for activations and forces with L_m + L_f + w (L_p + L_b): equation of motion, Hill force, effort,
bounds; with w = 100 and a bidirectional GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.msk.hill import MuscleMode
from train.experiments.cells import Cell
from train.experiments.report import Row, Settings, mean_rows
from train.recipe import Recipe
from train.trainer import TrainerSettings

BACKBONES = ("rnn", "lstm", "cnn", "bigru")
TERMS = {"motion": "L_m", "force": "L_f", "effort": "L_p", "bounds": "L_b"}
WEIGHTS = (0.01, 0.1, 1.0, 10.0, 100.0, 200.0)
AGES_MS = (0.0, 50.0)

_PAPER: Mapping[str, Any] = {"head": "activation", "loss": "ma2025-knee"}
_PAPERS_OWN, _PAPERS_WEIGHT = "paper, bigru", 100.0
_QUICK_STEPS = 30

EVERYWHERE: Mapping[str, Mapping[str, Any]] = {
    "ours, residual head": {"head": "residual"},
    "ours, torque head": {"head": "torque"},
    _PAPERS_OWN: _PAPER,
}
"""Methods for all inputs, and what of their recipes differs from the default."""


def of_weight(weight: float) -> str:
    """The method with this w."""
    return _PAPERS_OWN if weight == _PAPERS_WEIGHT else f"paper, w = {weight:g}"


ZERO_PHASE: Mapping[str, Mapping[str, Any]] = {
    "ours, dual head": {"head": "dual"},
    "ours, activation head": {"head": "activation"},
    "supervised, bigru": {"head": "activation", "loss": "supervised"},
    **{f"paper, {name}": {**_PAPER, "architecture": name} for name in BACKBONES if name != "bigru"},
    **{f"paper, without {name}": {**_PAPER, "weights": {term: 0.0}} for term, name in TERMS.items()},
    **{of_weight(w): {**_PAPER, "weights": {"effort": w, "bounds": w}} for w in WEIGHTS if w != _PAPERS_WEIGHT},
}
"""The other methods, with the paper's own inputs alone."""


def recipe(causal: bool, age_ms: float, seed: int = 0, steps: int | None = None, **more: Any) -> Recipe:
    """The recipe of a method; muscles in `compat` mode, as in the paper's OpenSim. steps: None for the usual number."""
    trainer = replace(TrainerSettings(), seed=seed)
    if steps is not None:
        trainer = replace(trainer, steps=steps)
    return Recipe(causal=causal, age_s=age_ms * 1e-3, mode=MuscleMode.COMPAT, trainer=trainer, **more)


def cells(
    settings: Settings,
    without_network: Callable[..., Sequence[Row]],
    with_network: Callable[..., Sequence[Row]],
    variants: Iterable[Mapping[str, Any]],
) -> list[Cell]:
    """Every method with every variant (arguments of both functions) and inputs; what says most comes first.

    Both functions get `causal` and `age_ms`; the second also `method`, `changes` of the recipe, `seed` and `steps`.
    """
    inputs = [(False, 0.0), *((True, age) for age in AGES_MS)]
    everywhere = EVERYWHERE
    if settings.quick:
        inputs, everywhere = (
            [inputs[0], inputs[-1]],
            {n: r for n, r in EVERYWHERE.items() if n != "ours, residual head"},
        )
    seeds = range(1 if settings.quick else settings.seeds)
    steps = _QUICK_STEPS if settings.quick else None
    made = []

    def add(arguments: Mapping[str, Any], methods: Mapping[str, Mapping[str, Any]]) -> None:
        for seed in seeds:
            for method, changes in methods.items():
                more = {"method": method, "changes": changes, "seed": seed, "steps": steps}
                made.append(Cell(with_network, f"{_label(arguments)}, {method}", {**arguments, **more}))

    own = list(variants)
    for causal, age_ms in inputs:
        for variant in own:
            arguments = {**variant, "causal": causal, "age_ms": age_ms}
            made.append(Cell(without_network, f"{_label(arguments)}, baselines", arguments))
            add(arguments, everywhere)
    if not settings.quick:
        for variant in own:
            add({**variant, "causal": False, "age_ms": 0.0}, ZERO_PHASE)
    return made


def _label(arguments: Mapping[str, Any]) -> str:
    model = [str(arguments["model"])] if "model" in arguments else []
    return ", ".join([*model, f"{arguments['age_ms']:g} ms" if arguments["causal"] else "zero-phase"])


def plots(name: str, rows: Sequence[Row], tasks: Mapping[str, str], out: Path) -> list[Path]:
    """The methods side by side, and accuracy against w, with zero-phase inputs. tasks: task -> what the legend calls it."""
    from train.experiments.plots import bars, lines

    found = [(row, figures) for row, figures in mean_rows(rows) if row.inputs == "zero-phase" and row.task in tasks]
    r2 = {(row.task, row.method): figures["activation_r2"][0] for row, figures in found}
    swept = {of_weight(w) for w in WEIGHTS} - {_PAPERS_OWN}
    methods = [m for m in dict.fromkeys(row.method for row, _ in found) if m not in swept and m != SO]
    made = [
        bars(
            out / f"{name}_methods.png",
            methods,
            {title: [r2.get((task, method)) for method in methods] for task, title in tasks.items()},
            y_label="activation R2, zero-phase inputs",
            y_from=0.0,
        )
    ]
    curves = {}
    for task, title in tasks.items():
        points = [(w, r2[task, of_weight(w)]) for w in WEIGHTS if (task, of_weight(w)) in r2]
        if len(points) > 1:
            curves[title] = ([w for w, _ in points], [value for _, value in points])
    if curves:
        path = out / f"{name}_weights.png"
        made.append(lines(path, curves, x_label="weight w of L_p + L_b", y_label="activation R2", log_x=True))
    return made


SO = "static optimisation"
"""The method of the truth itself, which has figures of its own where there are electromyograms."""
