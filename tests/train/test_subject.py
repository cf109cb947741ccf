from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from demo_people import cut, people, walks

from edge.bundle import Bundle
from edge.errors import ConfigError, FileError, TrialError
from edge.msk.model import load_model
from train import export, subject
from train.recipe import Recipe
from train.splits import shared_frames
from train.subject import Plan, train_subject
from train.trainer_settings import TrainerSettings

MODEL = load_model("leg9")
SETTINGS = TrainerSettings(steps=4, batch=16, report_every=1, validate_every=2, device="cpu")
SIZES = {"channels_1": 4, "channels_2": 4, "dense_1": 8, "dense_2": 8}
TINY = Recipe(architecture="cnn", window=5, sizes=SIZES, trainer=SETTINGS)
MEMBER = replace(TINY, head="contact", signals="segments", window=8)


pytestmark = pytest.mark.usefixtures("quick_export")


def trained(tmp_path: Path, recipes: tuple[Recipe, ...] = (TINY,), names: str = "a", **options: Any) -> Bundle:
    plan = {k: options.pop(k) for k in ("split", "validation_fraction", "novelty") if k in options}
    trials = options.pop("trials", None) or people(names)
    return train_subject(trials, MODEL, Plan(recipes, **plan), tmp_path / "x.msk", **options)


def test_a_bundle_says_what_it_was_made_of(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    bundle = trained(tmp_path, progress=lambda what, step, total, terms: told.append((what, step, total)))
    manifest = bundle.manifest
    assert not bundle.path.exists()  # not yet written
    assert (manifest.subject, manifest.inputs, manifest.rate_hz) == ("a", "causal", 100.0)
    assert (manifest.network.head, manifest.network.architecture, manifest.network.window) == ("residual", "cnn", 5)
    assert manifest.differentiator.age_s == 0.05
    training = manifest.training
    (recipe,) = training["recipes"]
    assert recipe["trainer"]["seed"] == 0
    assert recipe["sizes"] == SIZES
    assert training["trials"][0]["subject"] == "a"
    assert training["windows"] > 90
    assert training["bank"] is None
    json.dumps(training, allow_nan=False)
    assert manifest.validation["split"].startswith("last 20% of every trial")
    assert 10 < manifest.validation["windows"] < 0.25 * training["windows"]
    assert told == [(what, step, 4) for what in ("validation", "final") for step in (1, 2, 3, 4)]
    bundle.write()
    assert Bundle.read(bundle.path).manifest == manifest


def test_members_are_trained_on_the_same_moments_and_judged_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[tuple[int, ...]] = []
    heads: list[Any] = []
    average = subject.average

    def listen(answers: Any, material: Any, mode: Any, **options: Any) -> Any:
        judged.append(tuple(len(own.time_s) for own in answers))
        heads.append(options["heads"])
        return average(answers, material, mode, **options)

    monkeypatch.setattr(subject, "average", listen)
    told: list[str] = []
    bundle = trained(tmp_path, (TINY, MEMBER), log_dir=tmp_path / "log", progress=lambda what, *_: told.append(what))
    first, second = bundle.manifest.networks
    assert (first.head, first.signals, first.window, first.outputs) == ("residual", "derivatives", 5, 3)
    assert (second.head, second.signals, second.window, second.outputs) == ("contact", "segments", 8, 6)
    assert judged == [(bundle.manifest.validation["windows"],) * 2]
    assert heads == [["residual", "contact"]]
    names = ["validation 1/2 (cnn, residual)", "validation 2/2 (cnn, contact)"]
    assert list(dict.fromkeys(told)) == [*names, *(n.replace("validation", "final") for n in names)]
    assert sorted(p.name for p in (tmp_path / "log").iterdir()) == [
        "final_1",
        "final_2",
        "validation_1",
        "validation_2",
    ]
    bundle.write()
    assert len(Bundle.read(bundle.path).networks) == 2


@pytest.mark.parametrize("split", ["time", "people"])
def test_what_judges_was_not_trained_on_and_the_bundle_s_networks_know_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    asked: list[tuple[Any, dict[str, Any]]] = []
    learn, judged = subject.learn, subject.estimate

    def listen(material: Any, recipe: Recipe, **options: Any) -> Any:
        asked.append((material, options))
        return learn(material, recipe, **options)

    parts: list[Any] = []
    monkeypatch.setattr(subject, "learn", listen)
    monkeypatch.setattr(subject, "estimate", lambda one, part: parts.append(part) or judged(one, part))
    trained(tmp_path, (TINY, MEMBER), trials=people("ab"), split=split)
    for (material, options), part in zip(asked[:2], parts, strict=True):
        train, judge, window = options["train"], options["judge"], material.windows.feature.shape[1]
        assert shared_frames(material, train, judge, window=window, look_ahead=0) == 0
        held = set(zip(part.windows.stretch, part.windows.frame, strict=True))
        own = material.take(judge).windows
        assert held <= set(zip(own.stretch, own.frame, strict=True))
        assert len(held) > 10
        assert set(material.people[judge]) == ({"a", "b"} if split == "time" else set(part.people))
    for _, options in asked[2:]:
        assert not {"train", "judge"} & set(options)


@pytest.mark.parametrize("change", [{"pelvis": False}, {"age_s": 0.1}, {"noise": "usual"}, {"look_ahead": 2}])
def test_members_are_fed_by_one_differentiator(change: dict[str, Any]) -> None:
    ((name, _),) = change.items()
    with pytest.raises(ConfigError, match=f"have the same inputs: `{name}` is"):
        Plan((TINY, replace(TINY, **change)))


def test_with_five_people_it_is_people_that_are_held_out(tmp_path: Path) -> None:
    """Each of whom has a body of their own: the bundle has nobody's."""
    bundle = trained(tmp_path, names="abcde", trials=people("abcde", seconds=0.6))
    assert bundle.manifest.validation["split"].startswith("2 of 5 people")
    assert bundle.manifest.subject == "5 people"
    assert bundle.of_many
    assert bundle.model.sha256 == MODEL.sha256
    fewer = trained(tmp_path, trials=people("abcd", seconds=0.6))
    assert fewer.manifest.validation["split"].startswith("last 20%")
    asked = trained(tmp_path, trials=people("abcd", seconds=0.6), split="people")
    assert asked.manifest.validation["split"].startswith("1 of 4 people")
    by_time = trained(tmp_path, trials=people("abcde", seconds=0.6), split="time", validation_fraction=0.3)
    assert by_time.manifest.validation["split"].startswith("last 30%")
    with pytest.raises(TrialError, match="people cannot be held out: the trials are of one"):
        trained(tmp_path, split="people")


def test_what_is_unlike_all_training_is_told_where_there_is_enough_to_tell_it_by(tmp_path: Path) -> None:
    one = trained(tmp_path)
    assert one.novelty is not None
    assert one.novelty.about.window == 5
    assert trained(tmp_path, novelty=False).novelty is None
    one.write()
    assert Bundle.read(one.path).novelty is not None


def test_zero_phase_inputs_have_no_age(tmp_path: Path) -> None:
    bundle = trained(tmp_path, (replace(TINY, causal=False, look_ahead=2),))
    assert bundle.manifest.inputs == "zero-phase"
    assert bundle.age_s == pytest.approx(0.02)


def test_a_bank_of_everybody_goes_along(tmp_path: Path) -> None:
    bundle = trained(tmp_path, (replace(TINY, method="fir"),), trials=people("ab", seconds=2.0))
    assert bundle.bank is not None
    assert bundle.bank.people == 2
    assert bundle.manifest.training["bank"]["people"] == 2


class _Stop:
    """Interrupts at a report of a training, as Ctrl-C would."""

    def __init__(self, what: str, step: int) -> None:
        self.what, self.step = what, step
        self.steps: list[tuple[str, int]] = []

    def __call__(self, what: str, step: int, *_: object) -> None:
        self.steps.append((what, step))
        if (what, step) == (self.what, self.step):
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [("validation 1/2 (cnn, residual)", 2), ("final 2/2 (cnn, contact)", 3)])
def test_an_interrupted_training_goes_on_to_the_same_networks(
    tmp_path: Path, quick_export: list[bytes], at: tuple[str, int]
) -> None:
    recipes = (TINY, MEMBER)
    trained(tmp_path, recipes)
    expected = list(quick_export)
    folder = tmp_path / "x.msk.training"
    with pytest.raises(KeyboardInterrupt, match=r"stopped by the user after step \d of 4: .*goes on from there"):
        trained(tmp_path, recipes, checkpoints=folder, progress=_Stop(*at))
    quick_export.clear()
    again = _Stop("", 0)
    trained(tmp_path, recipes, checkpoints=folder, progress=again)
    assert quick_export == expected
    # Nothing that was done is done again.
    assert again.steps[0] == (at[0], at[1] + 1)


def test_nothing_is_left_of_trials_that_cannot_be_trained_on(tmp_path: Path) -> None:
    folder = tmp_path / "x.msk.training"
    for options, error in (
        ({"trials": [cut(walks()[0], 1.0, 1.05)]}, TrialError),
        ({"trials": people(seconds=0.3)}, TrialError),
        ({"recipes": (replace(TINY, loss="ma2025-gait"),)}, ConfigError),
        ({"recipes": (replace(TINY, architecture="perceptron"),)}, ConfigError),
    ):
        with pytest.raises(error):
            trained(tmp_path, checkpoints=folder, **options)
        assert not folder.exists()


def test_checkpoints_of_another_training_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "x.msk.training"
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, checkpoints=folder, progress=_Stop("validation", 2))
    for other in (
        {"recipes": (replace(TINY, trainer=replace(SETTINGS, seed=1)),)},
        {"trials": people("b")},
        {"validation_fraction": 0.4},
    ):
        with pytest.raises(FileError, match=r"validation_1\.ckpt: is the checkpoint of another training"):
            trained(tmp_path, checkpoints=folder, **other)


def test_a_subject_has_one_body(tmp_path: Path) -> None:
    one, other = people("ab")
    with pytest.raises(TrialError, match=r"trial 2: subject 'a' has 80 kg .*75 kg .*in trial 1"):
        trained(tmp_path, trials=[one, replace(other, subject="a")])


def test_what_is_exported_is_what_was_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("to_onnx", "check_parity"):
        monkeypatch.setattr(subject, name, getattr(export, name))
    bundle = trained(tmp_path, (replace(TINY, head="activation", loss="ma2025-knee"),))
    assert bundle.manifest.network.outputs == 9  # the forces are of training alone
    assert bundle.manifest.validation["export_parity"] < 1e-4
