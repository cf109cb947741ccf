"""Training a subject bundle: trials in, a verified bundle out.

A bundle may hold several small networks whose torques are averaged (members), and the same for other ages (variants).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from edge import __version__
from edge.bundle import Bundle, DifferentiatorSettings, Manifest, NetworkSettings, content_hashes
from edge.bundle_fit import answer_width
from edge.errors import ConfigError, TrialError
from edge.msk.model import Model
from edge.trial import Trial
from train import novelty
from train.export import check_parity, to_onnx
from train.learning import Learned, average, estimate, figures, learn, truth
from train.material import Material, same_moments
from train.provenance import describe
from train.recipe import Recipe
from train.splits import FEWEST_PEOPLE, PEOPLE_FOLDS, folds, split_by_time

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Progress = Callable[[str, int, int, dict[str, float]], None]
Split = Literal["auto", "time", "people"]

UNNAMED = "unnamed"  # subject of trials that name none


@dataclass(frozen=True)
class Plan:
    """What a bundle is made of.

    recipes: of its members, the first of which is the bundle's `network`; they differ in the network alone, not in where the
    inputs come from. split: what judges a first training: `time`: the last `validation_fraction` of every trial, `people`: a
    fourth of the people; `auto`: people where there are five. novelty: whether the bundle tells movements that it was not trained
    on.
    """

    recipes: tuple[Recipe, ...]
    split: Split = "auto"
    validation_fraction: float = 0.2
    novelty: bool = True

    def __post_init__(self) -> None:
        first = self.recipes[0]
        for other in self.recipes[1:]:
            for name in ("causal", "rate_hz", "look_ahead", "method", "age_s", "pelvis", "noise", "noise_seed", "mode"):
                if getattr(first, name) != getattr(other, name):
                    own, wanted = getattr(other, name), getattr(first, name)
                    raise ConfigError(f"members of one bundle have the same inputs: `{name}` is {wanted} and {own}")


def train_subject(
    trials: Sequence[Trial],
    base_model: Model,
    plan: Plan,
    out: Path,
    progress: Progress | None = None,
    *,
    checkpoints: Path | None = None,
    log_dir: Path | None = None,
) -> Bundle:
    """Train on trials and return the bundle (not yet written).

    Every member is trained twice: without a part that judges it, and then on everything. checkpoints: a folder from which an
    interrupted training goes on. progress: is told what is trained, the step, how many there are, and the loss's terms. Raises
    ConfigError, TrialError, EngineError.
    """
    started = time.monotonic()
    _require_one_body_each(trials)
    first = plan.recipes[0]
    whole = Material.of(trials, first)
    materials = [whole if recipe == first else whole.seen(recipe) for recipe in plan.recipes]
    split = _split_of(plan, whole)

    def trained(i: int, what: str, **masks: BoolArray) -> Learned:
        recipe = plan.recipes[i]
        name = (
            what
            if len(plan.recipes) == 1
            else f"{what} {i + 1}/{len(plan.recipes)} ({recipe.architecture}, {recipe.head})"
        )

        def report(step: int, terms: dict[str, float]) -> None:
            if progress is not None:
                progress(name, step, recipe.trainer.steps, terms)

        return learn(
            materials[i],
            recipe,
            progress=report,
            checkpoint=None if checkpoints is None else checkpoints / f"{what}_{i + 1}.ckpt",
            log_dir=None if log_dir is None else log_dir / f"{what}_{i + 1}",
            **masks,
        )

    masks = [_masks(plan, material, split) for material in materials]
    probes = [trained(i, "validation", train=train, judge=judge) for i, (train, judge) in enumerate(masks)]
    validation = _judge(probes, [m.take(judge) for m, (_, judge) in zip(materials, masks, strict=True)])
    validation["split"] = (
        f"last {plan.validation_fraction:.0%} of every trial, judged on networks trained without it"
        if split == "time"
        else f"{len(set(whole.people[masks[0][1]]))} of {len(set(whole.people))} people, judged on networks trained without them"
    )
    finals = [trained(i, "final") for i in range(len(plan.recipes))]
    networks = [_export(learned, material) for learned, material in zip(finals, materials, strict=True)]
    validation["export_parity"] = max(parity for _, _, parity in networks)
    bodies = {_body(trial.model): trial.model for trial in sorted(trials, key=_limb_mass_kg, reverse=True)}
    # The body as it carries least, without a load where it was recorded so.
    model = next(iter(bodies.values())) if len(bodies) == 1 else base_model
    settings, network, _ = networks[0]
    model_hash, network_hash = content_hashes(model, network)
    bank = whole.banks.everyone
    bank_part = None if bank is None else bank.to_bytes()
    unknown = _novelty_part(plan, whole)
    subjects = sorted({trial.subject for trial in trials})
    manifest = Manifest(
        program=f"edge-msk {__version__}",
        subject=subjects[0] if len(subjects) == len(bodies) == 1 else f"{max(len(subjects), len(bodies))} people",
        model_sha256=model_hash,
        network_sha256=network_hash,
        bank_sha256=_hash(bank_part),
        novelty_sha256=_hash(unknown),
        rate_hz=first.rate_hz,
        inputs="causal" if first.causal else "zero-phase",
        muscle_mode=first.mode,
        differentiator=DifferentiatorSettings(method=first.method, age_s=first.inputs().age_s),
        network=settings,
        training={
            "trials": [describe(trial) for trial in trials],
            "windows": len(whole),
            "bank": None if bank is None else {"people": bank.people, "seconds": round(bank.seconds, 1)},
            "recipes": [_told(recipe) for recipe in plan.recipes],
            "validation_fraction": plan.validation_fraction,
            "torch": torch.__version__,
            "seconds": round(time.monotonic() - started, 1),
        },
        validation=validation,
    )
    bundle = Bundle(out, manifest, model, network, bank_part, novelty_part=unknown)
    for member, content, _ in networks[1:]:
        bundle = bundle.with_member(member, content)
    return bundle


def _split_of(plan: Plan, material: Material) -> Literal["time", "people"]:
    if plan.split != "auto":
        return plan.split
    return "people" if len(set(material.people)) >= FEWEST_PEOPLE else "time"


def _masks(plan: Plan, material: Material, split: Literal["time", "people"]) -> tuple[BoolArray, BoolArray]:
    if split == "time":
        return split_by_time(material, plan.validation_fraction)
    if len(set(material.people)) < 2:
        raise TrialError("people cannot be held out: the trials are of one: give each [[trial]] its `subject`")
    _, judge = next(folds(material.people, PEOPLE_FOLDS))
    return ~judge, judge


def _judge(probes: Sequence[Learned], parts: Sequence[Material]) -> dict[str, Any]:
    """Agreement with physics alone on windows that were not trained on, of all members together."""
    mode = probes[0].recipe.mode
    common = same_moments(parts)
    answers = [estimate(probe, part) for probe, part in zip(probes, common, strict=True)]
    together = average(answers, common[0], mode, heads=[probe.recipe.head for probe in probes])
    found = figures(truth(common[0], mode), together, common[0])
    return {**found["pooled"], "windows": len(common[0])}


def _export(learned: Learned, material: Material) -> tuple[NetworkSettings, bytes, float]:
    recipe, network = learned.recipe, learned.network
    features = material.windows.feature.shape[2]
    outputs = answer_width(recipe.head, material.model)
    exported = to_onnx(network, window=recipe.window, features=features, outputs=outputs)
    spread = np.linspace(0, len(material) - 1, min(len(material), 64)).astype(int)
    parity = check_parity(network, exported, material.windows.feature[spread], outputs)
    settings = NetworkSettings(
        head=recipe.head,
        architecture=recipe.architecture,
        window=recipe.window,
        look_ahead=recipe.look_ahead,
        features=features,
        outputs=outputs,
        signals=recipe.signals,
        pelvis=recipe.pelvis,
    )
    return settings, exported, parity


def _novelty_part(plan: Plan, material: Material) -> bytes | None:
    groups = novelty.groups_of(material.windows, material.stretches)
    if not plan.novelty or len(np.unique(groups)) < novelty.FEWEST_GROUPS:
        return None
    return novelty.fit(material.windows.feature, groups).to_bytes()


def _told(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the manifest holds it."""
    told = asdict(replace(recipe, weights=dict(recipe.weights), sizes=dict(recipe.sizes)))
    return {**told, "mode": recipe.mode.value}


def _hash(part: bytes | None) -> str | None:
    return None if part is None else hashlib.sha256(part).hexdigest()


def _require_one_body_each(trials: Sequence[Trial]) -> None:
    """Raise TrialError when a subject's trials differ in mass or lengths: whose body would the bundle have?

    What the limb carries makes no other body.
    """
    first: dict[str, Trial] = {}
    for trial in trials:
        other = first.setdefault(trial.subject, trial)
        if _body(trial.model) != _body(other.model) and trial.subject != UNNAMED:
            raise TrialError(
                f"{trial.name}: subject '{trial.subject}' has {trial.model.mass_kg:.4g} kg and a limb of "
                f"{trial.model.leg_length_m:.4g} m here, {other.model.mass_kg:.4g} kg and {other.model.leg_length_m:.4g} m in "
                f"{other.name}: give all of a subject's trials the same mass_kg and the same height_m or leg_length_m (or `osim`)"
            )


def _body(model: Model) -> str:
    """What tells bodies apart: all but the segments, whose masses and inertias a load changes and nothing else."""
    return json.dumps({key: value for key, value in model.to_dict().items() if key != "segments"})


def _limb_mass_kg(trial: Trial) -> float:
    return sum(segment.mass_kg for segment in trial.model.segments)
