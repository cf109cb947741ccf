"""What the options of `edge-msk train` ask for, as recipes: one for each member, for the bundle itself and for each variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, get_args

import click

from edge.bundle_fit import SAME_AGE_MS
from edge.manifest import MOST_MEMBERS, MOST_VARIANTS, Head
from edge.msk.hill import MuscleMode
from edge.signals.features import Signals
from train.recipe import Recipe

HEADS: tuple[str, ...] = get_args(Head)
SIGNALS: tuple[str, ...] = get_args(Signals)
OWN_AGE_MS = 50.0
_OF_THE_NETWORK = ("architecture", "head", "signals", "even_people")
_OF_THE_TRAINING = ("steps", "batch", "learning_rate")


def plans_of(options: dict[str, Any], preset: Recipe) -> list[tuple[str, list[Recipe]]]:
    """For the bundle itself and then each variant, its name and its members' recipes.

    preset: what holds where an option was not given. Raises click.UsageError.
    """
    zero_phase = options["inputs"] == "zero-phase"
    ages = options["ages_ms"] or (OWN_AGE_MS,)
    if any(abs(one - other) <= 2.0 * SAME_AGE_MS for one, other in combinations(ages, 2)):
        raise click.UsageError(f"--age-ms: ages must lie more than {2.0 * SAME_AGE_MS:g} ms apart")
    if zero_phase and (options["ages_ms"] or options["with_zero_phase"] or options["sensors"] == "usual"):
        raise click.UsageError("--inputs zero-phase has no --age-ms, no --sensors and no --with-zero-phase")
    first = _recipes(options, preset, causal=not zero_phase, age_ms=ages[0])
    plans = [("", first)]
    plans += [(f"{age:g}ms".replace(".", "-"), _recipes(options, preset, causal=True, age_ms=age)) for age in ages[1:]]
    if options["with_zero_phase"]:
        plans.append(("zero-phase", _recipes(options, preset, causal=False, age_ms=0.0)))
    if len(first) > MOST_MEMBERS or len(plans) - 1 > MOST_VARIANTS:
        raise click.UsageError(f"a bundle has at most {MOST_MEMBERS} members and {MOST_VARIANTS} ages beside its first")
    return plans


def _recipes(options: dict[str, Any], preset: Recipe, *, causal: bool, age_ms: float) -> list[Recipe]:
    window, look_ahead = options["window"], options["look_ahead"]
    if look_ahead is None:
        # Causal inputs have their delay in the differentiator, which uses it better than the network does.
        look_ahead = 0 if causal else window // 2
    if look_ahead >= window:
        raise click.UsageError(f"--look-ahead {look_ahead} must be smaller than --window {window}")
    given = {name: options[name] for name in _OF_THE_NETWORK if options[name] is not None}
    training = {name: options[name] for name in _OF_THE_TRAINING if options[name] is not None}
    base = replace(
        preset,
        **given,
        loss=options["loss"],
        weights=_numbers("--weight", options["weights"]),
        balance=options["balance"],
        pelvis=options["pelvis"],
        sizes=_numbers("--size", options["sizes"]),
        causal=causal,
        rate_hz=options["rate_hz"],
        window=window,
        look_ahead=look_ahead,
        method=options["differentiator"],
        age_s=age_ms * 1e-3,
        noise="usual" if causal and options["sensors"] == "usual" else "none",
        mode=MuscleMode.COMPAT if options["compat"] else MuscleMode.CORRECT,
        effort_weight=options["effort_weight"],
        trainer=replace(
            preset.trainer,
            **training,
            patience=options["patience"],
            device=options["device"],
            seed=options["seed"],
        ),
    )
    return [_member(base, text) for text in options["members"]] or [base]


def _member(base: Recipe, text: str) -> Recipe:
    parts = text.split("/")
    if len(parts) != 3 or parts[1] not in HEADS or parts[2] not in SIGNALS:
        raise click.UsageError(
            f"--member {text}: write NETWORK/HEAD/SIGNALS, as in bigru/contact/segments: heads are {', '.join(HEADS)}, signals "
            f"{', '.join(SIGNALS)}"
        )
    architecture, head, signals = parts
    return replace(base, architecture=architecture, head=head, signals=signals)  # type: ignore[arg-type]


def _numbers(option: str, given: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise click.UsageError(f"{option} {text}: write NAME=NUMBER") from None
    return found
