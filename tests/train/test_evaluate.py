from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import tiny_bundle
from walking import run, write_walk

from edge.bundle import Bundle
from edge.storage import Table, read_table, write_sto
from edge.trials import load_trials
from train import evaluate

KEYS = {"activation_r2", "force_r2", "activation_nrmse", "force_nrmse"}


def _figures(bundle: Path, trials: Path, *options: str) -> dict[str, Any]:
    code, stdout, stderr = run("evaluate", str(bundle), "--trials", str(trials), *options, "--json")
    assert code == 0, stderr
    figures: dict[str, Any] = json.loads(stdout, parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    return figures


def _refused(bundle: Path, trials: Path, *options: str) -> str:
    code, stdout, stderr = run("evaluate", str(bundle), "--trials", str(trials), *options, "--json")
    assert code == 1
    assert stdout == ""
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    return stderr


@pytest.fixture(scope="module")
def solved(trials: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    """What `edge-msk solve` says of both legs: the truth by physics."""
    out = tmp_path_factory.mktemp("solved") / "solved.sto"
    assert run("solve", "--trials", str(trials), "--out", str(out))[0] == 0
    return [read_table(out.with_name(f"solved_{i}.sto")) for i in (1, 2)]


def _write(path: Path, table: Table, *kinds: str, side: str = "") -> Path:
    """The columns of some kinds, with the side in their names when given."""
    return _write_all(path, [(table, side)], *kinds)


def _write_all(path: Path, tables: list[tuple[Table, str]], *kinds: str) -> Path:
    columns, data = [], []
    for table, side in tables:
        for name in table.columns:
            stem, _, kind = name.rpartition("_")
            if kind in kinds:
                columns.append(f"{stem}_{side}_{kind}" if side else name)
                data.append(table.column(name))
    write_sto(path, "reference", columns, tables[0][0].time_s, np.stack(data, axis=1))
    return path


@pytest.fixture
def right(trials: Path, tmp_path: Path) -> Path:
    """The right leg's trial alone."""
    path = tmp_path / "right.toml"
    text = trials.read_text().replace('= "walk', f'= "{trials.parent}/walk')
    path.write_text("[[trial]]".join(text.split("[[trial]]")[:2]))
    return path


def test_figures_and_baselines(trained: tuple[str, Path], trials: Path, tmp_path: Path) -> None:
    head, path = trained
    out = tmp_path / "estimates.sto"
    figures = _figures(path, trials, "--baselines", str(trials), "--out", str(out))
    assert set(figures["pooled"]) >= KEYS
    assert set(figures["active_muscles"]) >= KEYS
    assert set(figures["torque_rmse_nm"]) == {"hip", "knee", "ankle"}
    for name in ("nearest_neighbours", "kernel_ridge"):
        assert set(figures["baselines"][name]["pooled"]) >= KEYS
        assert figures["baselines"][name]["pooled"]["activation_r2"] > 0.9  # it was trained on these frames
    if head in ("residual", "torque"):  # for the others so few steps are too few
        assert figures["pooled"]["activation_r2"] > 0.3
    assert figures["muscles"]["soleus"]["active"]
    tables = [read_table(Path(p)) for p in figures["out"]]
    assert sum(len(t.time_s) for t in tables) == figures["frames"]
    assert {"hip_moment", "soleus_activation", "soleus_force"} <= set(tables[0].columns)


def test_own_estimates_as_the_reference_agree(bundle: Path, trials: Path, tmp_path: Path) -> None:
    files = _figures(bundle, trials, "--out", str(tmp_path / "estimates.sto"))["out"]
    figures = _figures(bundle, trials, *(a for f in files for a in ("--reference", f)))
    assert figures["pooled"]["activation_r2"] == pytest.approx(1.0, abs=1e-6)
    assert max(figures["torque_rmse_nm"].values()) < 1e-3


def test_every_kind_of_reference_gives_what_it_can(
    bundle: Path, right: Path, solved: list[Table], tmp_path: Path
) -> None:
    """By physics, and by a file of its results at the recording's own times, the figures are the same."""
    by_physics = _figures(bundle, right)
    path = tmp_path / "reference.sto"
    for kinds, keys, torque in (
        (("moment", "activation", "force"), KEYS, True),
        (("moment",), KEYS, True),
        (("activation",), {"activation_r2", "activation_nrmse"}, False),
        (("force",), {"force_r2", "force_nrmse"}, False),
        (("moment", "force"), {"force_r2", "force_nrmse"}, True),
    ):
        figures = _figures(bundle, right, "--reference", str(_write(path, solved[0], *kinds)))
        assert {k for k in figures["pooled"] if not k.endswith("_rmse")} == keys
        assert set(figures["active_muscles"]) == set(figures["pooled"])
        assert ("torque_rmse_nm" in figures) == torque
        for key in keys:
            assert figures["pooled"][key] == pytest.approx(by_physics["pooled"][key], abs=2e-3)
    sided = _write(path, solved[0], "activation", side="r")
    assert _figures(bundle, right, "--reference", str(sided))["frames"] == by_physics["frames"]


def test_what_solve_wrote_of_the_same_range_is_a_reference(bundle: Path, right: Path, tmp_path: Path) -> None:
    """A range begins between two recorded rows, and `solve` writes the rows: less than one may be missing at an end."""
    text = right.read_text()
    begin = next(line for line in text.splitlines() if line.startswith("start_s")) if "start_s" in text else None
    right.write_text(text.replace(begin, "start_s = 1.004") if begin else text + "start_s = 1.004\n")
    out = tmp_path / "own.sto"
    assert run("solve", "--trials", str(right), "--out", str(out))[0] == 0
    assert read_table(out).time_s[0] > 1.004 + 1e-3
    by_physics, figures = _figures(bundle, right), _figures(bundle, right, "--reference", str(out))
    assert by_physics["frames"] - figures["frames"] in (0, 1)
    assert figures["pooled"]["activation_r2"] == pytest.approx(by_physics["pooled"]["activation_r2"], abs=5e-3)


def test_one_file_for_both_legs_must_name_the_side(
    bundle: Path, trials: Path, solved: list[Table], tmp_path: Path
) -> None:
    by_physics = _figures(bundle, trials)
    path = tmp_path / "reference.sto"
    both = _write_all(path, [(solved[0], "r"), (solved[1], "l")], "moment", "activation")
    figures = _figures(bundle, trials, "--reference", str(both))
    assert figures["pooled"]["activation_r2"] == pytest.approx(by_physics["pooled"]["activation_r2"], abs=2e-3)
    # One leg's results would be taken for the other's.
    one = _write(path, solved[0], "moment", "activation")
    assert "hip_r_moment" in _refused(bundle, trials, "--reference", str(one))


def test_references_that_cannot_be_used_are_refused(
    bundle: Path, trials: Path, right: Path, solved: list[Table], tmp_path: Path
) -> None:
    path, other = tmp_path / "reference.sto", tmp_path / "other.sto"
    path.write_text("x\nversion=1\ninDegrees=no\nendheader\ntime\thip_moment\n1\t0\n2\t0\n")
    assert "runs from 1 to 2 s" in _refused(bundle, right, "--reference", str(path))
    path.write_text("x\nversion=1\ninDegrees=no\nendheader\ntime\thip_moment\n0\t0\n9\t0\n")
    assert "knee_moment" in _refused(bundle, right, "--reference", str(path))
    path.write_text("x\nversion=1\ninDegrees=no\nendheader\ntime\tsomething\n0\t0\n9\t0\n")
    assert "holds neither" in _refused(bundle, right, "--reference", str(path))
    path.write_text("x\nversion=1\ninDegrees=no\nendheader\ntime\thip_moment\n0\tnan\n9\t0\n")
    assert "knee_moment" in _refused(bundle, right, "--reference", str(path))
    three = ("--reference", str(path)) * 3
    assert "3 reference files for 2 trials" in _refused(bundle, trials, *three)
    _write(path, solved[0], "activation")
    _write(other, solved[1], "force")
    mixed = ("--reference", str(path), "--reference", str(other))
    assert "nothing in common" in _refused(bundle, trials, *mixed)
    assert run("evaluate", str(bundle), "--trials", str(right), "--reference", "so", "--reference", str(path))[0] == 2


def test_a_reference_that_rests_gives_valid_json(
    bundle: Path, right: Path, solved: list[Table], tmp_path: Path
) -> None:
    table = solved[0]
    resting = Table(table.path, table.time_s, table.columns, np.full_like(table.data, 0.01), None)
    path = _write(tmp_path / "rest.sto", resting, "activation", "force")
    figures = _figures(bundle, right, "--reference", str(path))
    assert figures["pooled"]["activation_r2"] is None
    assert figures["active_muscles"]["force_r2"] is None
    assert run("evaluate", str(bundle), "--trials", str(right), "--reference", str(path))[0] == 0


def test_a_trial_without_ground_reaction_is_judged_against_a_file(
    bundle: Path, trials: Path, right: Path, solved: list[Table], tmp_path: Path
) -> None:
    bare = tmp_path / "bare.toml"
    lines = right.read_text().splitlines()
    bare.write_text("\n".join(line for line in lines if not line.startswith(("ground_reaction", "external_loads"))))
    path = _write(tmp_path / "reference.sto", solved[0], "moment")
    assert "add `ground_reaction`" in _refused(bundle, bare)
    figures = _figures(bundle, bare, "--reference", str(path), "--baselines", str(trials))
    assert figures["frames"] == _figures(bundle, right)["frames"]
    assert figures["baselines"]["kernel_ridge"]["pooled"]["activation_r2"] > 0.9


def test_frames_that_were_trained_on_are_counted_and_warned_of(bundle: Path, trials: Path, tmp_path: Path) -> None:
    code, stdout, stderr = run("evaluate", str(bundle), "--trials", str(trials), "--json")
    assert code == 0
    figures = json.loads(stdout)
    assert figures["frames_trained_on"] == figures["frames"]
    assert stderr.startswith("warning: ")
    assert stderr.count("\n") == 1
    other = write_walk(tmp_path, seconds=6.0)
    code, stdout, stderr = run("evaluate", str(bundle), "--trials", str(other), "--json")
    assert code == 0
    assert json.loads(stdout)["frames_trained_on"] == 0
    assert stderr == ""


def test_what_comes_after_the_range_changes_no_estimate(
    bundle: Path, trials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluation stops reading there: the estimates are bit for bit those of the whole recording."""
    own = Bundle.read(bundle)
    (trial, _) = load_trials(trials, own.model)
    assert trial.end_s < trial.time_s[-1] - 2.5
    times, estimates = evaluate.estimate_trial(own, trial)
    monkeypatch.setattr(evaluate, "_MARGIN_S", 1e3)
    all_times, all_estimates = evaluate.estimate_trial(own, trial)
    np.testing.assert_array_equal(times, all_times)
    for name in ("torque_nm", "activation", "force_n"):
        np.testing.assert_array_equal([getattr(e, name) for e in estimates], [getattr(e, name) for e in all_estimates])


@pytest.fixture
def ages(tmp_path: Path) -> Path:
    """A bundle for an age of 50 ms, for 20 ms and for zero-phase inputs, whose networks know nothing."""
    path = tmp_path / "ages.msk"
    own, sooner = (tiny_bundle(path, age_s=age_s, look_ahead=0) for age_s in (0.05, 0.02))
    zero_phase = tiny_bundle(path, inputs="zero-phase", age_s=0.0, look_ahead=2)
    own.with_variants({"20ms": sooner, "zero-phase": zero_phase}).write()
    return path


def test_a_bundle_of_several_ages_is_judged_at_the_one_asked_for(ages: Path, right: Path) -> None:
    figures = {
        options: _figures(ages, right, *options)
        for options in ((), ("--age-ms", "50"), ("--age-ms", "20"), ("--inputs", "zero-phase"), ("--inputs", "causal"))
    }
    assert [round(own["age_ms"], 6) for own in figures.values()] == [50.0, 50.0, 20.0, 20.0, 50.0]
    errors = [own["torque_rmse_nm"]["hip"] for own in figures.values()]
    assert errors[0] == errors[1] == errors[4]
    assert len(set(errors)) == 3
    assert "ask for one of 20, 50 ms" in _refused(ages, right, "--age-ms", "70")
    assert "ask for one of 20 ms" in _refused(ages, right, "--age-ms", "50", "--inputs", "zero-phase")


def test_a_laboratory_s_bundle_is_not_judged_as_a_device(tmp_path: Path, right: Path) -> None:
    path = tmp_path / "offline.msk"
    tiny_bundle(path, inputs="zero-phase", age_s=0.0).write()
    assert _figures(path, right, "--inputs", "zero-phase")["frames"] > 100
    code, _, stderr = run("evaluate", str(path), "--trials", str(right), "--inputs", "causal")
    assert code == 2
    assert "was trained on zero-phase inputs" in stderr
    assert "noise of sensors belongs to causal inputs" in _refused(path, right, "--sensors", "usual")


def test_imperfect_sensors_are_judged_on_request(ages: Path, right: Path) -> None:
    ideal, usual, again = (_figures(ages, right, "--sensors", sensors) for sensors in ("ideal", "usual", "usual"))
    assert usual == again
    assert usual["torque_rmse_nm"] != ideal["torque_rmse_nm"]
    assert _figures(ages, right)["torque_rmse_nm"] == ideal["torque_rmse_nm"]
