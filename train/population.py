"""The bundle that comes with the program: everybody's walking, for people whom nobody has measured.

`python -m train.population DATA --out edge/data/population.msk` trains it anew on the recordings of DATA.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from edge.bundle import Bundle
from edge.msk.model import load_model
from train.experiments.recordings import walkers
from train.recipe import PEOPLE, Recipe
from train.subject import Plan, train_subject

AGES_MS = (50.0, 0.0, 20.0, 100.0)
"""Of which moments it can tell; the first is what it does when nothing is asked."""
SEEDS = (0, 1)


def people_recipe(age_ms: float | None, *, seed: int = 0) -> Recipe:
    """How a network is trained on many people. age_ms: of the estimate; None: zero-phase inputs."""
    causal = age_ms is not None
    return replace(
        PEOPLE,
        causal=causal,
        look_ahead=0 if causal else PEOPLE.window // 2,
        method="adaptive",
        age_s=0.05 if age_ms is None else age_ms * 1e-3,
        noise="usual" if causal else "none",
        trainer=replace(PEOPLE.trainer, seed=seed),
    )


def people_plan(age_ms: float | None, *, steps: int | None = None) -> Plan:
    """What a bundle of many people holds for one age: the same network from several starts."""
    recipes = [people_recipe(age_ms, seed=seed) for seed in SEEDS]
    if steps is not None:
        recipes = [replace(own, trainer=replace(own.trainer, steps=steps)) for own in recipes]
    return Plan(tuple(recipes), split="people")


def train_population(data: Path, out: Path, console: Console, *, steps: int | None = None) -> Bundle:
    """Train it on all walking of the data folder; not yet written. Raises FileError, TrialError."""
    model = load_model("leg9")
    trials = walkers(data)
    bundles = {}
    with Progress(console=console) as bars:
        for age_ms in (*AGES_MS, None):
            name = "zero-phase" if age_ms is None else f"{age_ms:g}ms"
            task = bars.add_task(name, total=None)

            def progress(what: str, step: int, total: int, terms: dict[str, float]) -> None:
                loss = "  ".join(f"{k} {v:.3f}" for k, v in terms.items())
                bars.update(task, completed=step, total=total, description=f"{name} {what}  {loss}")  # noqa: B023

            checkpoints = out.with_name(f"{out.name}.training") / name
            bundles[name] = train_subject(
                trials, model, people_plan(age_ms, steps=steps), out, progress, checkpoints=checkpoints
            )
    own = bundles.pop(f"{AGES_MS[0]:g}ms")
    return own.with_variants(bundles)


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle to write (.msk).")
@click.option("--steps", type=click.IntRange(1), help="Optimisation steps.  [default: the recipe's]")
def main(data: Path, out: Path, steps: int | None) -> None:
    """Train the population bundle on the recordings of DATA."""
    console = Console(stderr=True)
    bundle = train_population(data, out, console, steps=steps)
    bundle.write()
    for name, own in {"": bundle, **bundle.variants}.items():
        console.print(f"{name or 'own'}: {own.manifest.validation}")


if __name__ == "__main__":
    main()
