from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.progress import Progress, TaskID
from walking import CHEAP, run, write_moved_walk

from edge.bundle import Bundle
from edge.errors import BundleError, EngineError
from edge.msk.model import load_model
from edge.pipeline import Pipeline
from edge.trials import load_trials
from train import provenance, subject

ROOT = Path(__file__).resolve().parents[2]


def test_bundle_tells_what_it_is(trained: tuple[str, Path], trials: Path) -> None:
    head, path = trained
    bundle = Bundle.read(path)
    manifest = bundle.manifest
    assert manifest.network.head == head
    assert manifest.inputs == "causal"
    assert bundle.age_s == pytest.approx(0.05)
    assert manifest.subject == "demo"
    assert bundle.model.mass_kg == pytest.approx(75.0)  # the person of the trials, not the generic model
    (recipe,) = manifest.training["recipes"]
    assert recipe["trainer"]["seed"] == 0
    assert (recipe["head"], recipe["effort_weight"]) == (head, 1.0)
    assert {"activation_r2", "force_r2", "windows", "split"} <= set(manifest.validation)
    assert manifest.validation["split"].startswith("last 20% of every trial")
    loaded = load_trials(trials, load_model("leg9"))
    for said, trial in zip(manifest.training["trials"], loaded, strict=True):
        assert said == provenance.describe(trial)
        assert (said["side"], said["start_s"], said["mass_kg"]) == (trial.side, trial.start_s, 75.0)
        assert len(said["kinematics_sha256"]) == len(said["ground_reaction_sha256"]) == 64


def test_hashes_of_the_training_data_tell_recordings_apart(trials: Path, tmp_path: Path) -> None:
    model = load_model("leg9")
    right, left = load_trials(trials, model)
    (later, _) = load_trials(write_moved_walk(tmp_path, offset_s=1.0), model)
    hashes = [provenance.describe(t) for t in (right, left, later)]
    assert len({h["kinematics_sha256"] for h in hashes}) == 3
    assert len({h["ground_reaction_sha256"] for h in hashes}) == 3


def test_zero_phase_bundle_is_for_the_laboratory(trials: Path, tmp_path: Path) -> None:
    out = tmp_path / "offline.msk"
    code, _, stderr = run(
        *("train", "--trials", str(trials), "--inputs", "zero-phase", "--steps", "5", "--out", str(out), "--json"),
        *CHEAP,
    )
    assert code == 0, stderr
    bundle = Bundle.read(out)
    with pytest.raises(BundleError, match="look into the future"):
        Pipeline(bundle)
    code, stdout, stderr = run("evaluate", str(out), "--trials", str(trials), "--json")
    assert code == 0, stderr
    assert np.isfinite(json.loads(stdout)["pooled"]["activation_r2"])


@pytest.mark.parametrize(
    ("options", "age_ms"),
    [
        (("--window", "2", "--age-ms", "0", "--look-ahead", "1"), 10.0),
        ((*CHEAP, "--rate", "50", "--age-ms", "300", "--head", "activation"), 300.0),
        (
            (
                *CHEAP,
                "--rate",
                "130",
                "--look-ahead",
                "7",
                "--differentiator",
                "savgol",
                "--compat",
                "--age-ms",
                "33.3",
            ),
            33.3 + 7e3 / 130,
        ),
    ],
)
def test_unusual_settings_estimate_the_moments_they_were_trained_for(
    trials: Path, tmp_path: Path, options: tuple[str, ...], age_ms: float
) -> None:
    out = tmp_path / "odd.msk"
    code, _, stderr = run("train", "--trials", str(trials), "--steps", "2", "--out", str(out), *options)
    assert code == 0, stderr
    # The baselines' windows and the pipeline's estimates must describe the same moments, or evaluation refuses.
    code, stdout, stderr = run("evaluate", str(out), "--trials", str(trials), "--baselines", str(trials), "--json")
    assert code == 0, stderr
    figures = json.loads(stdout)
    assert figures["age_ms"] == pytest.approx(age_ms)
    assert figures["baselines"]["kernel_ridge"]["pooled"]["activation_r2"] > 0.8


def test_the_same_seed_gives_the_same_bundle_on_any_number_of_threads(trials: Path, tmp_path: Path) -> None:
    hashes = []
    for threads in ("1", "2"):
        out = tmp_path / f"{threads}.msk"
        arguments = [
            "train",
            "--trials",
            str(trials),
            "--steps",
            "2",
            "--seed",
            "3",
            "--window",
            "5",
            "--out",
            str(out),
        ]
        if threads == "1":
            environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
            command = [sys.executable, "-m", "edge.cli", *arguments]
            subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120, check=True)
        else:
            assert run(*arguments)[0] == 0
        hashes.append(Bundle.read(out).manifest.network_sha256)
    assert hashes[0] == hashes[1]


def test_people_keep_their_own_bodies(trials: Path, tmp_path: Path) -> None:
    """Two people: a generic model in the bundle, and each judged with their own."""
    both = _edited(
        trials,
        tmp_path,
        lambda s: s.replace("mass_kg = 75", "mass_kg = 60\nleg_length_m = 0.8", 1).replace('"demo"', '"other"', 1),
    )
    out = tmp_path / "people.msk"
    code, _, stderr = run("train", "--trials", str(both), "--steps", "3", "--out", str(out), *CHEAP)
    assert code == 0, stderr
    assert "activation R2" in stderr
    bundle = Bundle.read(out)
    assert bundle.manifest.subject == "2 people"
    assert bundle.model.sha256 == load_model("leg9").sha256
    assert [t["mass_kg"] for t in bundle.manifest.training["trials"]] == pytest.approx([60.0, 75.0])
    reference = tmp_path / "solved.sto"
    assert run("solve", "--trials", str(both), "--out", str(reference))[0] == 0
    files = [a for i in (1, 2) for a in ("--reference", str(tmp_path / f"solved_{i}.sto"))]
    figures = [
        json.loads(run("evaluate", str(out), "--trials", str(both), *options, "--json")[1])
        for options in ((), tuple(files))
    ]
    # Physics with each one's body inside `evaluate` is the same as `solve` makes of the trials.
    assert figures[1]["pooled"]["force_rmse"] == pytest.approx(figures[0]["pooled"]["force_rmse"], rel=1e-3)


def test_a_subject_with_two_bodies_is_refused(trials: Path, tmp_path: Path) -> None:
    both = _edited(trials, tmp_path, lambda s: s.replace("mass_kg = 75", "mass_kg = 60", 1))
    code, _, stderr = run("train", "--trials", str(both), "--steps", "3", "--out", str(tmp_path / "x.msk"))
    assert code == 1
    assert "trial 2: subject 'demo' has 75 kg" in stderr
    assert stderr.count("\n") == 1


def test_bad_input_is_one_line_and_leaves_nothing(trials: Path, tmp_path: Path) -> None:
    out = tmp_path / "subject.msk"
    without_force = tmp_path / "motion_only.toml"
    without_force.write_text(f'[[trial]]\nkinematics = "{trials.parent / "walk.mot"}"\n')
    short = tmp_path / "short.toml"
    text = trials.read_text().replace('= "walk', f'= "{trials.parent}/walk')
    short.write_text(text.replace("end_s = 2.0", "end_s = 0.7"))
    (tmp_path / "file").write_text("")
    for arguments in (
        ("train", "--trials", str(tmp_path / "missing.toml"), "--out", str(out)),
        ("train", "--trials", str(without_force), "--out", str(out)),
        ("train", "--trials", str(short), "--out", str(out)),
        ("train", "--trials", str(trials), "--out", str(tmp_path / "subject.zip")),
        ("train", "--trials", str(trials), "--out", str(tmp_path / "file" / "subject.msk")),
        ("train", "--trials", str(trials), "--model", "leg99", "--out", str(out)),
        ("train", "--trials", str(trials), "--network", "perceptron", "--out", str(out)),
        ("train", "--trials", str(trials), "--loss", "ma2025-gait", "--out", str(out)),
        ("train", "--trials", str(trials), "--weight", "effort=3", "--out", str(out)),
        ("train", "--trials", str(trials), "--weight", "motion=-3", "--out", str(out)),
        ("train", "--trials", str(trials), "--size", "width=3", "--out", str(out)),
        ("train", "--trials", str(trials), "--split", "people", "--out", str(out)),
        ("evaluate", str(out), "--trials", str(trials)),
    ):
        code, _, stderr = run(*arguments)
        assert code == 1
        assert stderr.startswith("error: ")
        assert stderr.count("\n") == 1
    for options in (
        ("--look-ahead", "20"),
        ("--seed", "-1"),
        ("--rate", "nan"),
        ("--age-ms", "nan"),
        ("--effort-weight", "inf"),
        ("--age-ms", "50", "--age-ms", "50.9"),
        ("--inputs", "zero-phase", "--age-ms", "50"),
        ("--inputs", "zero-phase", "--sensors", "usual"),
        ("--inputs", "zero-phase", "--with-zero-phase"),
        ("--member", "bigru/contact"),
        ("--member", "bigru/contacts/raw"),
        ("--member", "bigru/contact/cooked"),
        ("--member", "bigru/contact/raw") * 17,
        [part for age in range(18) for part in ("--age-ms", str(2 * age))],
        ("--weight", "motion"),
        ("--size", "hidden=many"),
        ("--head", "arm"),
    ):
        code, _, stderr = run("train", "--trials", str(trials), "--out", str(out), *options)
        assert code == 2
        assert "Error: " in stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "motion_only.toml", "short.toml"]


@pytest.mark.usefixtures("quick_export")
def test_a_bundle_of_members_for_several_ages(trials: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.msk"
    code, stdout, stderr = run(
        *("train", "--trials", str(trials), "--out", str(out), "--json", "--steps", "2", "--window", "6"),
        *("--member", "cnn/contact/segments", "--member", "tcn-stream/torque/raw", "--no-pelvis", "--sensors", "usual"),
        *("--age-ms", "50", "--age-ms", "0", "--age-ms", "33.3", "--with-zero-phase"),
    )
    assert code == 0, stderr
    bundle, summary = Bundle.read(out), json.loads(stdout)
    assert [p.name for p in tmp_path.iterdir()] == ["all.msk"]
    assert (summary["members"], summary["age_ms"], summary["head"]) == (2, 50.0, "contact")
    assert bundle.variant_names == tuple(summary["variants"]) == ("0ms", "33-3ms", "zero-phase")
    whole = {"own": bundle, **bundle.variants}
    for name, own in whole.items():
        manifest = own.manifest
        assert [(n.architecture, n.head, n.signals, n.pelvis) for n in manifest.networks] == [
            ("cnn", "contact", "segments", False),
            ("tcn-stream", "torque", "raw", False),
        ]
        lab = name == "zero-phase"
        assert manifest.inputs == ("zero-phase" if lab else "causal")
        assert manifest.network.look_ahead == (3 if lab else 0)
        assert [r["noise"] for r in manifest.training["recipes"]] == ["none" if lab else "usual"] * 2
        assert {"activation_r2", "split", "windows"} <= set(manifest.validation)
    assert [round(own.age_s * 1e3, 6) for own in whole.values()] == [50.0, 0.0, 33.3, 30.0]
    for options, age_ms in ((("--age-ms", "33.3"), 33.3), (("--inputs", "zero-phase"), 30.0)):
        code, stdout, stderr = run("evaluate", str(out), "--trials", str(trials), *options, "--json")
        assert code == 0, stderr
        assert json.loads(stdout)["age_ms"] == pytest.approx(age_ms)


@pytest.mark.usefixtures("quick_export")
def test_the_papers_network_and_loss(trials: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "gait.msk", tmp_path / "log"
    sizes = [o for s in ("joint=4", "integration=6", "hidden=6", "dense_1=8", "dense_2=8") for o in ("--size", s)]
    code, _, stderr = run(
        *("train", "--trials", str(trials), "--out", str(out), "--steps", "2", "--window", "5", "--log-dir", str(log)),
        *("--network", "mjca-bigru", *sizes, "--head", "activation", "--loss", "ma2025-gait", "--balance", "gradient"),
        *("--weight", "effort=10", "--inputs", "zero-phase", "--even-people", "--no-novelty", "--patience", "3"),
        *("--batch", "8", "--learning-rate", "0.01", "--device", "cpu"),
    )
    assert code == 0, stderr
    bundle = Bundle.read(out)
    (recipe,) = bundle.manifest.training["recipes"]
    assert (recipe["architecture"], recipe["loss"], recipe["balance"]) == ("mjca-bigru", "ma2025-gait", "gradient")
    assert recipe["weights"] == {"effort": 10.0}
    assert recipe["sizes"]["integration"] == 6
    assert recipe["even_people"]
    trainer = recipe["trainer"]
    assert (trainer["batch"], trainer["learning_rate"], trainer["patience"]) == (8, 0.01, 3)
    assert bundle.manifest.network.look_ahead == 2  # half the window
    assert bundle.novelty is None
    assert {p.name for p in (log / "own").iterdir()} == {"validation_1", "final_1"}
    assert any(p.name.startswith("events") for p in (log / "own" / "final_1").iterdir())


@pytest.mark.usefixtures("quick_export")
def test_a_network_for_others_is_not_that_for_the_person_trained_on(trials: Path, tmp_path: Path) -> None:
    """What is not said depends on whose estimates it is for; what is said holds."""
    piece = trials.read_text().split("[[trial]]")[1].replace('= "walk', f'= "{trials.parent}/walk')
    five = tmp_path / "five.toml"
    moved = [piece.replace("start_s = 0.5", f"start_s = {0.5 + 0.3 * i:.1f}") for i in range(5)]
    assert len({*moved}) == 5
    moved = [text.replace("end_s = 2.0", f"end_s = {1.0 + 0.3 * i:.1f}") for i, text in enumerate(moved)]
    five.write_text("".join("[[trial]]" + text.replace('"demo"', f'"p{i}"') for i, text in enumerate(moved)))

    def recipe(file: Path, *options: str) -> dict[str, Any]:
        out = tmp_path / "x.msk"
        arguments = ("train", "--trials", str(file), "--steps", "2", "--window", "5", "--out", str(out), *options)
        code, _, stderr = run(*arguments)
        assert code == 0, stderr
        (found,) = Bundle.read(out).manifest.training["recipes"]
        return {**found, "members": (found["architecture"], found["head"], found["signals"], found["even_people"])}

    others, own = ("tcn", "contact", "segments", True), ("bigru", "residual", "derivatives", False)
    assert recipe(five)["members"] == others
    assert recipe(trials, "--for", "people")["members"] == others
    assert recipe(five, "--for", "person", "--size", "hidden=4")["members"] == own
    said = recipe(five, "--head", "torque", "--all-alike", "--batch", "7")
    assert said["members"] == ("tcn", "torque", "segments", False)
    assert (said["trainer"]["batch"], said["trainer"]["input_noise"]) == (7, 0.1)
    assert said["trainer"]["steps"] == 2


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Interrupts the next training as soon as something is told of what has this name."""

    def at(what: str) -> None:
        update = Progress.update

        def stop(bars: Progress, task: TaskID, **values: Any) -> None:
            update(bars, task, **values)
            if bars.tasks[task].description == what:
                monkeypatch.setattr(Progress, "update", update)
                raise KeyboardInterrupt

        monkeypatch.setattr(Progress, "update", stop)

    return at


def test_an_interrupted_training_goes_on_when_the_same_command_is_given(
    trials: Path, tmp_path: Path, interrupted: Callable[[str], None], quick_export: list[bytes]
) -> None:
    whole, out = tmp_path / "whole.msk", tmp_path / "out" / "subject.msk"
    out.parent.mkdir()
    out.write_bytes(b"the one before")

    def train(path: Path, *options: str) -> tuple[int, str, str]:
        return run("train", "--trials", str(trials), "--steps", "40", "--out", str(path), *CHEAP, "--json", *options)

    assert train(whole, "--age-ms", "50", "--age-ms", "0")[0] == 0
    expected = list(quick_export)
    quick_export.clear()
    ages = ("--age-ms", "50", "--age-ms", "0")
    for what in ("validation", "0ms final"):
        interrupted(what)
        code, stdout, stderr = train(out, *ages)
        assert (code, stdout) == (1, "")
        last = stderr.splitlines()[-1]
        assert last.startswith("error: stopped by the user after step 20 of 40: the same training with the checkpoint ")
        assert last.endswith("goes on from there")
        assert out.read_bytes() == b"the one before"
        assert sorted(p.name for p in out.parent.iterdir()) == ["subject.msk", "subject.msk.training"]
    code, _, stderr = train(out, *ages, "--seed", "1")
    assert code == 1
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert (
        "subject.msk.training: holds an interrupted training that was another: trainer.seed is 0 there and 1 here"
        in line
    )
    assert "or remove the folder" in line
    code, _, stderr = train(out, *ages)
    assert code == 0, stderr
    assert quick_export[-2:] == expected
    assert [p.name for p in out.parent.iterdir()] == ["subject.msk"]
    assert Bundle.read(out).variant_names == ("0ms",)


def test_what_diverged_is_not_gone_on_with(trials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverged(*_: Any, checkpoint: Path, **__: Any) -> None:
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_bytes(b"")
        raise EngineError("training diverged within 3 steps")

    monkeypatch.setattr(subject, "learn", diverged)
    code, _, stderr = run("train", "--trials", str(trials), "--out", str(tmp_path / "subject.msk"))
    assert (code, stderr) == (1, "error: training diverged within 3 steps\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick_export")
def test_what_was_trained_is_told_in_words(trials: Path, tmp_path: Path) -> None:
    out = tmp_path / "two.msk"
    code, stdout, stderr = run(
        *(
            "train",
            "--trials",
            str(trials),
            "--steps",
            "2",
            "--out",
            str(out),
            *CHEAP,
            "--age-ms",
            "50",
            "--age-ms",
            "0",
        )
    )
    assert (code, stdout) == (0, "")
    told = " ".join(stderr.split())
    assert "validation (last 20% of every trial, judged on networks trained without it): activation R2 " in told
    assert "0ms validation (last 20%" in told
    assert f"wrote {out}" in "".join(stderr.splitlines())


WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "onnxscript"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Absent())
from edge.cli import main
main(sys.argv[1:])
"""


def test_a_device_without_pytorch_evaluates_and_says_what_training_needs(
    bundle: Path, trials: Path, tmp_path: Path
) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_TORCH, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    trained = call("train", "--trials", str(trials), "--out", str(tmp_path / "x.msk"))
    assert trained.returncode == 1
    assert trained.stderr.count("\n") == 1
    assert "needs the package 'torch': install it with  pip install 'edge-msk[train]'" in trained.stderr
    assert call("train", "--help").returncode == 0
    evaluated = call("evaluate", str(bundle), "--trials", str(trials), "--baselines", str(trials), "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["pooled"]["activation_r2"] > 0.3


def _edited(trials: Path, folder: Path, edit: Callable[[str], str]) -> Path:
    """A copy of a trials file in another folder, its paths made absolute and its text edited."""
    path = folder / "edited.toml"
    path.write_text(edit(trials.read_text().replace('= "walk', f'= "{trials.parent}/walk')))
    return path
