"""`edge-msk train`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from edge.bundle import Bundle
from edge.commands.options import FiniteRange
from edge.errors import EngineError, FileError
from edge.msk.model import Model, load_model
from edge.signals.differentiate import METHODS
from edge.trial import Trial
from edge.trials import load_trials
from train.banks import BANKED
from train.evaluate import require_torques
from train.figure import shown
from train.recipe import PEOPLE, PERSON, Recipe
from train.recipe_options import HEADS, OWN_AGE_MS, SIGNALS, plans_of
from train.splits import FEWEST_PEOPLE
from train.writable import require_writable

_EXAMPLES = """\b
Examples:
  edge-msk train --model leg9 --trials walk.toml --out subject.msk
  edge-msk train --trials walk.toml --age-ms 50 --age-ms 0 --sensors usual --out subject.msk
  edge-msk train --trials people.toml --member bigru/contact/segments --member tcn-stream/torque/raw --out people.msk
  edge-msk train --trials walk.toml --head activation --loss ma2025-gait --network mjca-bigru --inputs zero-phase --out p.msk"""


def _usual(path: str) -> str:
    """What a field is when nothing is said of it, for a person and for people."""
    person, people = (attrgetter(path)(preset) for preset in (PERSON, PEOPLE))
    return f"[default: {person}; for people {people}]"


@click.command("train", epilog=_EXAMPLES)
@click.option("--model", "model_name", default="leg9", show_default=True, help="A packaged model or a model file.")
@click.option("--trials", "trials_file", type=click.Path(path_type=Path), required=True, help="Trials file (.toml).")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The bundle to write (.msk).")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["auto", "person", "people"]),
    default="auto",
    show_default=True,
    help="Whose estimates it is for, which decides what is not said below: the person trained on, or others; auto: others where "
    "the trials are of five people.",
)
@click.option(
    "--network", "architecture", help=f"Architecture; see docs/training.md for all.  {_usual('architecture')}"
)
@click.option(
    "--head",
    type=click.Choice(HEADS),
    help="What the network gives: the torques of the unknown contact, its force and moment, all torques, the multipliers of "
    f"static optimisation, or activations.  {_usual('head')}",
)
@click.option(
    "--signals",
    type=click.Choice(SIGNALS),
    help="What it is shown: joint kinematics, motion of the segments in the world, or what the sensors say.  "
    f"{_usual('signals')}",
)
@click.option(
    "--member",
    "members",
    multiple=True,
    metavar="NETWORK/HEAD/SIGNALS",
    help="A network of several whose torques are averaged; instead of --network, --head and --signals.",
)
@click.option("--loss", default="normalised", show_default=True, help="Which loss; see docs/training.md.")
@click.option("--weight", "weights", multiple=True, metavar="TERM=VALUE", help="Weight of a term of the loss.")
@click.option("--size", "sizes", multiple=True, metavar="NAME=VALUE", help="A size of the network, such as hidden=32.")
@click.option(
    "--balance",
    type=click.Choice(["fixed", "uncertainty", "gradient"]),
    default="fixed",
    show_default=True,
    help="How the loss's terms are weighed against each other.",
)
@click.option(
    "--inputs",
    type=click.Choice(["causal", "zero-phase"]),
    default="causal",
    show_default=True,
    help="causal: as on the device. zero-phase: as in a laboratory; such a bundle cannot run live.",
)
@click.option(
    "--age-ms",
    "ages_ms",
    type=FiniteRange(0.0, 300.0),
    multiple=True,
    help="How long before the newest sample the described moment lies (causal inputs). Several: the bundle can do each.  "
    f"[default: {OWN_AGE_MS:g}]",
)
@click.option("--with-zero-phase", is_flag=True, help="Also put networks for zero-phase inputs into the bundle.")
@click.option(
    "--sensors",
    type=click.Choice(["ideal", "usual"]),
    default="ideal",
    show_default=True,
    help="usual: train with the noise, jitter, drift and losses of usual encoders and IMUs.",
)
@click.option("--pelvis/--no-pelvis", default=True, show_default=True, help="Whether there is a pelvis IMU.")
@click.option(
    "--window", type=click.IntRange(2, 1000), default=20, show_default=True, help="Frames that the network sees."
)
@click.option(
    "--look-ahead",
    type=click.IntRange(0),
    help="Frames of the window after the described one.  [default: 0; half the window with zero-phase inputs]",
)
@click.option(
    "--rate",
    "rate_hz",
    type=FiniteRange(20.0, 2000.0),
    default=100.0,
    show_default=True,
    help="Frames per second in Hz, in training and on the device.",
)
@click.option("--differentiator", type=click.Choice(METHODS), default="kalman", show_default=True)
@click.option("--compat", is_flag=True, help="Copy OpenSim's muscle choices, for comparison with it.")
@click.option(
    "--effort-weight",
    type=FiniteRange(0.0),
    default=1.0,
    show_default=True,
    help="Weight of the least effort in the loss of the activation head.",
)
@click.option(
    "--split",
    type=click.Choice(["auto", "time", "people"]),
    default="auto",
    show_default=True,
    help="What judges: the end of every trial, or other people; auto: people where there are five.",
)
@click.option(
    "--even-people/--all-alike",
    default=None,
    help="See people of whom there is little more often.  [default: where it is for other people]",
)
@click.option("--steps", type=click.IntRange(1), help=f"Optimisation steps.  {_usual('trainer.steps')}")
@click.option("--batch", type=click.IntRange(1), help=f"Windows a step.  {_usual('trainer.batch')}")
@click.option("--learning-rate", type=FiniteRange(1e-7, 1.0), help=_usual("trainer.learning_rate"))
@click.option(
    "--patience", type=click.IntRange(1), help="Validations without a better one that end the first training."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--log-dir", type=click.Path(path_type=Path), help="Write the loss's curves for TensorBoard.")
@click.option("--novelty/--no-novelty", default=True, show_default=True, help="Tell movements that were not trained.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="The same seed on the same machine gives the same network.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def train_command(model_name: str, trials_file: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Train a subject bundle without labels: the physics of the recorded movement is the loss.

    Every trial needs its torques: by its ground reaction, or because the limb touches nothing, or given. A first training
    without the last fifth of each trial (or without some of the people) judges; the networks in the bundle are then trained on
    everything. An interrupted training goes on when the same command is given again.
    """
    if out.suffix != ".msk":
        raise FileError(f"{out}: a bundle ends in .msk: name it so")
    require_writable(out)
    plans = plans_of(options, PERSON)  # wrong usage is said before the recordings are read
    model = load_model(model_name)
    trials = load_trials(trials_file, model)
    require_torques(trials, "training")
    many = len({trial.subject for trial in trials}) >= FEWEST_PEOPLE
    if options["purpose"] == "people" or (many and options["purpose"] == "auto"):
        plans = plans_of(options, PEOPLE)
    console = Console(stderr=True)
    checkpoints = out.with_name(f"{out.name}.training")
    bundle = _trained(trials, model, plans, options, out, checkpoints, console)
    bundle.write()
    shutil.rmtree(checkpoints, ignore_errors=True)
    first, training = plans[0][1][0], bundle.manifest.training
    summary = {
        "bundle": str(out),
        "seconds": training["seconds"],
        "windows": training["windows"],
        "bank": training["bank"],
        "head": first.head,
        "members": len(bundle.networks),
        "inputs": bundle.manifest.inputs,
        "age_ms": bundle.age_s * 1e3,
        "variants": {name: own.manifest.validation for name, own in bundle.variants.items()},
        "validation": bundle.manifest.validation,
    }
    if as_json:
        click.echo(json.dumps(summary, allow_nan=False))
    else:
        _tell(console, bundle, first, summary)


def _trained(
    trials: Sequence[Trial],
    model: Model,
    plans: Sequence[tuple[str, list[Recipe]]],
    options: dict[str, Any],
    out: Path,
    checkpoints: Path,
    console: Console,
) -> Bundle:
    from train.checkpoint import OtherTrainingError
    from train.subject import Plan, train_subject

    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[terms]}"),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def bundle_of(variant: str, recipes: Sequence[Recipe]) -> Bundle:
        def progress(what: str, step: int, total: int, terms: dict[str, float]) -> None:
            bars.start()  # not before there is something to show: an error before that is one line alone
            name = f"{variant} {what}".strip()
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total, terms="")
            bars.update(tasks[name], completed=step, terms="  ".join(f"{k} {v:.3f}" for k, v in terms.items()))

        return train_subject(
            trials,
            model,
            Plan(tuple(recipes), split=options["split"], novelty=options["novelty"]),
            out,
            progress,
            checkpoints=checkpoints / (variant or "own"),
            log_dir=None if options["log_dir"] is None else options["log_dir"] / (variant or "own"),
        )

    try:
        (_, own), *others = plans
        bundle = bundle_of("", own)
        variants = {name: bundle_of(name, recipes) for name, recipes in others}
        return bundle.with_variants(variants) if variants else bundle
    except OtherTrainingError as error:
        raise FileError(
            f"{checkpoints}: holds an interrupted training that was another: {error.differing}: give the command of then to go "
            "on with it, or remove the folder"
        ) from None
    except EngineError:
        # What diverged would do so again from where it was.
        shutil.rmtree(checkpoints, ignore_errors=True)
        raise
    finally:
        if tasks:
            bars.stop()


def _tell(console: Console, bundle: Bundle, first: Recipe, summary: dict[str, Any]) -> None:
    if first.method in BANKED and first.causal:
        bank = summary["bank"]
        console.print(
            "bank of the differentiator: none, as the trials hold no two people (`subject`) long enough: it begins with "
            "movement in general"
            if bank is None
            else f"bank of the differentiator: {bank['people']} people, {bank['seconds']:g} s; each person's inputs were made "
            "with the others' alone"
        )
    for name, validation in (("", bundle.manifest.validation), *summary["variants"].items()):
        console.print(
            f"{name} validation ({validation['split']}): activation R2 {shown(validation, 'activation_r2')}, "
            f"force R2 {shown(validation, 'force_r2')}".strip()
        )
    console.print(f"wrote {summary['bundle']} ({summary['windows']} windows, {summary['seconds']} s)")
