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
from walking import run, write_moved_walk

from edge.bundle import Bundle
from edge.errors import BundleError
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
    assert manifest.training["trainer"]["seed"] == 0
    assert manifest.training["effort_weight"] == 1.0
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
        "train", "--trials", str(trials), "--inputs", "zero-phase", "--steps", "5", "--out", str(out), "--json"
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
        (("--rate", "50", "--age-ms", "300", "--head", "activation"), 300.0),
        (
            ("--rate", "130", "--look-ahead", "19", "--differentiator", "savgol", "--compat", "--age-ms", "33.3"),
            33.3 + 19e3 / 130,
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
        arguments = ["train", "--trials", str(trials), "--steps", "2", "--seed", "3", "--out", str(out)]
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
    code, _, stderr = run("train", "--trials", str(both), "--steps", "3", "--out", str(out))
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
    short.write_text(text.replace("end_s = 2.5", "end_s = 0.7"))
    (tmp_path / "file").write_text("")
    for arguments in (
        ("train", "--trials", str(tmp_path / "missing.toml"), "--out", str(out)),
        ("train", "--trials", str(without_force), "--out", str(out)),
        ("train", "--trials", str(short), "--out", str(out)),
        ("train", "--trials", str(trials), "--out", str(tmp_path / "subject.zip")),
        ("train", "--trials", str(trials), "--out", str(tmp_path / "file" / "subject.msk")),
        ("train", "--trials", str(trials), "--model", "leg99", "--out", str(out)),
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
    ):
        assert run("train", "--trials", str(trials), "--out", str(out), *options)[0] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "motion_only.toml", "short.toml"]


def test_an_interrupt_leaves_no_bundle(trials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> None:
        arguments[-1](1, {"motion": 1.0})
        raise KeyboardInterrupt

    monkeypatch.setattr(subject, "fit", interrupted)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "subject.msk").write_bytes(b"the one before")
    code, stdout, stderr = run("train", "--trials", str(trials), "--out", str(folder / "subject.msk"), "--json")
    assert code == 1
    assert stdout == ""
    assert stderr.endswith("error: stopped by the user\n")
    assert (folder / "subject.msk").read_bytes() == b"the one before"
    assert len(list(folder.iterdir())) == 1


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
