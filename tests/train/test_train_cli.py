from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from walking import write_walk

from edge.bundle import Bundle
from edge.cli import cli
from edge.errors import BundleError
from edge.pipeline import Pipeline
from edge.storage import read_table

STEPS = "60"


def _run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, list(arguments))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walk(tmp_path_factory.mktemp("walk"), seconds=6.0)


@pytest.fixture(scope="module", params=["residual", "torque", "activation"])
def trained(request: pytest.FixtureRequest, trials: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("bundle") / "subject.msk"
    code, stdout, stderr = _run(
        "train", "--trials", str(trials), "--head", request.param, "--steps", STEPS, "--out", str(out), "--json"
    )
    assert code == 0, stderr
    summary = json.loads(stdout)
    assert summary["bundle"] == str(out)
    assert summary["seconds"] > 0
    assert {"activation_r2", "force_r2"} <= set(summary["validation"])
    return request.param, out


def test_bundle_tells_what_it_is(trained: tuple[str, Path]) -> None:
    head, path = trained
    bundle = Bundle.read(path)
    assert bundle.manifest.network.head == head
    assert bundle.manifest.inputs == "causal"
    assert bundle.age_s == pytest.approx(0.05)
    assert bundle.manifest.subject == "demo"
    assert bundle.model.mass_kg == pytest.approx(75.0)  # the person of the trials, not the generic model
    assert len(bundle.manifest.training["trials"]) == 2


def test_evaluate_gives_the_figures_and_the_baselines(trained: tuple[str, Path], trials: Path, tmp_path: Path) -> None:
    _, path = trained
    out = tmp_path / "estimates.sto"
    code, stdout, stderr = _run(
        "evaluate", str(path), "--trials", str(trials), "--baselines", str(trials), "--out", str(out), "--json"
    )
    assert code == 0, stderr
    figures = json.loads(stdout)
    keys = {"activation_r2", "force_r2", "activation_nrmse", "force_nrmse"}
    assert keys <= set(figures["pooled"])
    assert keys <= set(figures["active_muscles"])
    assert set(figures["torque_rmse_nm"]) == {"hip", "knee", "ankle"}
    assert keys <= set(figures["baselines"]["nearest_neighbours"]["pooled"])
    assert keys <= set(figures["baselines"]["kernel_ridge"]["pooled"])
    assert figures["pooled"]["activation_r2"] > 0.3  # sixty steps teach something
    table = read_table(Path(figures["out"][0]))
    assert "soleus_activation" in table.columns
    assert "knee_moment" in table.columns


def test_evaluate_against_a_file(trained: tuple[str, Path], trials: Path, tmp_path: Path) -> None:
    """Its own estimates as the reference: everything agrees exactly, up to the digits of the file."""
    _, path = trained
    out = tmp_path / "estimates.sto"
    assert _run("evaluate", str(path), "--trials", str(trials), "--out", str(out), "--json")[0] == 0
    files = [str(out.with_name(f"estimates_{i}.sto")) for i in (1, 2)]
    code, stdout, stderr = _run(
        "evaluate", str(path), "--trials", str(trials), "--reference", files[0], "--reference", files[1], "--json"
    )
    assert code == 0, stderr
    figures = json.loads(stdout)
    assert figures["pooled"]["activation_r2"] == pytest.approx(1.0, abs=1e-6)
    assert max(figures["torque_rmse_nm"].values()) < 1e-3


def test_a_reference_that_lacks_columns_or_time_is_refused(
    trained: tuple[str, Path], trials: Path, tmp_path: Path
) -> None:
    _, path = trained
    short = tmp_path / "short.sto"
    short.write_text("x\nversion=1\ninDegrees=no\nendheader\ntime\thip_moment\n1\t0\n2\t0\n")
    code, _, stderr = _run("evaluate", str(path), "--trials", str(trials), "--reference", str(short))
    assert code == 1
    assert "runs from" in stderr
    wrong = tmp_path / "wrong.sto"
    wrong.write_text("x\nversion=1\ninDegrees=no\nendheader\ntime\thip_moment\n0\t0\n9\t0\n")
    code, _, stderr = _run("evaluate", str(path), "--trials", str(trials), "--reference", str(wrong))
    assert code == 1
    assert "knee_moment" in stderr
    assert stderr.count("\n") == 1


def test_zero_phase_bundle_is_for_the_laboratory(trials: Path, tmp_path: Path) -> None:
    out = tmp_path / "offline.msk"
    arguments = ("train", "--trials", str(trials), "--inputs", "zero-phase", "--look-ahead", "10", "--steps", STEPS)
    code, _, stderr = _run(*arguments, "--out", str(out), "--json")
    assert code == 0, stderr
    bundle = Bundle.read(out)
    with pytest.raises(BundleError, match="look into the future"):
        Pipeline(bundle)
    code, stdout, stderr = _run("evaluate", str(out), "--trials", str(trials), "--json")
    assert code == 0, stderr
    assert np.isfinite(json.loads(stdout)["pooled"]["activation_r2"])


def test_the_same_seed_gives_the_same_bundle(trials: Path, tmp_path: Path) -> None:
    hashes = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.msk"
        assert _run("train", "--trials", str(trials), "--steps", "20", "--out", str(out), "--json")[0] == 0
        hashes.append(Bundle.read(out).manifest.network_sha256)
    assert hashes[0] == hashes[1]


def test_bad_input_is_one_line_and_leaves_nothing(trials: Path, tmp_path: Path) -> None:
    out = tmp_path / "subject.msk"
    without_force = tmp_path / "motion_only.toml"
    without_force.write_text(f'[[trial]]\nkinematics = "{trials.parent / "walk.mot"}"\n')
    for arguments in (
        ("train", "--trials", str(tmp_path / "missing.toml"), "--out", str(out)),
        ("train", "--trials", str(without_force), "--out", str(out)),
        ("train", "--trials", str(trials), "--out", str(tmp_path / "subject.zip")),
        ("train", "--trials", str(trials), "--model", "leg99", "--out", str(out)),
        ("evaluate", str(out), "--trials", str(trials)),
    ):
        code, _, stderr = _run(*arguments)
        assert code == 1
        assert stderr.startswith("error: ")
        assert stderr.count("\n") == 1
    assert _run("train", "--trials", str(trials), "--out", str(out), "--look-ahead", "20")[0] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["motion_only.toml"]
