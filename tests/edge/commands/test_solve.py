import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from trial_files import kinematics, table, write_trial

from edge.cli import cli
from edge.msk.model import load_model
from edge.storage import read_table

LEG = load_model("leg9")
COLUMNS = (
    *(f"{j}_moment" for j in LEG.joint_names),
    *(f"{m}_activation" for m in LEG.muscle_names),
    *(f"{m}_force" for m in LEG.muscle_names),
    *(f"{j}_reserve" for j in LEG.joint_names),
)


def solve(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["solve", *map(str, arguments)])


def test_json_and_table(tmp_path: Path) -> None:
    trials, out = write_trial(tmp_path), tmp_path / "out.sto"
    result = solve("--trials", trials, "--model", "leg9", "--estimator", "id-so", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert {"frames", "out", "torque_rms_nm", "reserve_max_nm"} <= set(summary)
    assert summary["frames"] == 101
    assert summary["out"] == str(out)
    assert summary["mode"] == "correct"
    solved = read_table(out)
    assert solved.columns == COLUMNS
    assert solved.in_degrees is False
    np.testing.assert_allclose(solved.time_s, kinematics()["time"], atol=1e-12)
    for joint in LEG.joint_names:
        moment, reserve = solved.column(f"{joint}_moment"), solved.column(f"{joint}_reserve")
        assert summary["torque_rms_nm"][joint] == pytest.approx(np.sqrt((moment**2).mean()), rel=1e-6)
        assert summary["reserve_max_nm"][joint] == pytest.approx(np.abs(reserve).max(), rel=1e-6)
    activation = np.stack([solved.column(f"{m}_activation") for m in LEG.muscle_names], axis=1)
    assert activation.min() >= 0.01
    assert activation.max() <= 1.0


def test_muscle_forces_carry_the_moments(tmp_path: Path) -> None:
    """From the file alone: moment arms times forces plus reserve is the joint moment."""
    trials, out = write_trial(tmp_path), tmp_path / "out.sto"
    assert solve("--trials", trials, "--out", out).exit_code == 0
    solved = read_table(out)
    from edge.trials import load_trials

    (trial,) = load_trials(trials, LEG)
    _, arms = LEG.geometry.evaluate(trial.kinematics(solved.time_s).q)
    force = np.stack([solved.column(f"{m}_force") for m in LEG.muscle_names], axis=1)
    carried = np.einsum("fmj,fm->fj", arms, force)
    for j, joint in enumerate(LEG.joint_names):
        wanted = solved.column(f"{joint}_moment") - solved.column(f"{joint}_reserve")
        np.testing.assert_allclose(carried[:, j], wanted, atol=1e-5)


def test_compat_differs_and_says_so(tmp_path: Path) -> None:
    trials = write_trial(tmp_path)
    result = solve("--trials", trials, "--compat", "--out", tmp_path / "compat.sto", "--json")
    assert json.loads(result.stdout)["mode"] == "compat"
    solve("--trials", trials, "--out", tmp_path / "correct.sto")
    compat, correct = read_table(tmp_path / "compat.sto"), read_table(tmp_path / "correct.sto")
    np.testing.assert_array_equal(compat.column("hip_moment"), correct.column("hip_moment"))
    assert np.abs(compat.column("soleus_activation") - correct.column("soleus_activation")).max() > 1e-3


def test_rate(tmp_path: Path) -> None:
    out = tmp_path / "out.sto"
    result = solve("--trials", write_trial(tmp_path), "--rate", 250, "--out", out, "--json")
    assert json.loads(result.stdout)["frames"] == 251
    np.testing.assert_allclose(np.diff(read_table(out).time_s), 0.004, atol=1e-12)


def test_several_trials_give_several_files(tmp_path: Path) -> None:
    trials = write_trial(tmp_path)
    trials.write_text(trials.read_text() + "end_s = 0.5\n" + trials.read_text())
    result = solve("--trials", trials, "--out", tmp_path / "out.sto", "--json")
    summary = json.loads(result.stdout)
    assert summary["out"] == [str(tmp_path / "out_1.sto"), str(tmp_path / "out_2.sto")]
    assert summary["frames"] == 51 + 101
    assert not (tmp_path / "out.sto").exists()
    assert len(read_table(tmp_path / "out_1.sto").time_s) == 51


def test_plain_output_is_for_people(tmp_path: Path) -> None:
    result = solve("--trials", write_trial(tmp_path), "--out", tmp_path / "out.sto")
    assert result.exit_code == 0
    assert "101 frames" in result.stdout
    assert all(f"  {j}" in result.stdout for j in LEG.joint_names)


def test_help_has_an_example() -> None:
    result = solve("--help")
    assert result.exit_code == 0
    assert "edge-msk solve --trials walk.toml" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--trials", "t.toml"],
        ["--out", "a.sto"],
        ["--trials", "t.toml", "--out", "a.sto", "--estimator", "magic"],
        ["--trials", "t.toml", "--out", "a.sto", "--rate", "0"],
        ["--trials", "t.toml", "--out", "a.sto", "--rate", "nan"],
        ["--trials", "t.toml", "--out", "a.sto", "--frobnicate"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    result = solve(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def refused(tmp_path: Path, result: Result, *said: str) -> None:
    """Exit code 1, one error on stderr that says all this, nothing on stdout, no file written."""
    assert result.exit_code == 1
    assert result.stdout == ""
    *warnings, line = result.stderr.splitlines()
    assert all(warning.startswith("warning: ") for warning in warnings)
    assert line.startswith("error: ")
    for part in said:
        assert part in line
    assert not list(tmp_path.rglob("*.sto"))
    assert not list(tmp_path.rglob(".*"))


def test_missing_trials_file(tmp_path: Path) -> None:
    result = solve("--trials", tmp_path / "t.toml", "--out", tmp_path / "out.sto", "--json")
    refused(tmp_path, result, "t.toml: cannot be read (No such file or directory)", "check the path")


def test_unknown_model(tmp_path: Path) -> None:
    result = solve("--trials", write_trial(tmp_path), "--model", "leg99", "--out", tmp_path / "out.sto")
    refused(tmp_path, result, "model 'leg99': no such model", "leg9")


def test_wrong_output_name(tmp_path: Path) -> None:
    refused(
        tmp_path, solve("--trials", write_trial(tmp_path), "--out", tmp_path / "out.txt"), "out.txt", "name the file so"
    )


def test_no_ground_reaction(tmp_path: Path) -> None:
    write_trial(tmp_path)
    result = solve("--trials", tmp_path / "ik.mot", "--out", tmp_path / "out.sto")
    refused(tmp_path, result, "ik.mot: the trial has no ground reaction", "add `ground_reaction`")


def test_the_second_trial_is_bad(tmp_path: Path) -> None:
    """Nothing is written for the first either."""
    trials = write_trial(tmp_path)
    trials.write_text(trials.read_text() + trials.read_text().replace("ik.mot", "no.mot"))
    refused(tmp_path, solve("--trials", trials, "--out", tmp_path / "out.sto"), "no.mot")


def test_degrees_taken_for_radians(tmp_path: Path) -> None:
    trials = write_trial(tmp_path)
    (tmp_path / "ik.mot").write_text(table(kinematics(), degrees="no"))
    refused(tmp_path, solve("--trials", trials, "--out", tmp_path / "out.sto"), "ik.mot", "look like degrees")


def test_a_knee_of_the_other_sign(tmp_path: Path) -> None:
    trials, columns = write_trial(tmp_path), kinematics()
    columns["knee_angle_r"] *= -1.0
    (tmp_path / "ik.mot").write_text(table(columns))
    result = solve("--trials", trials, "--out", tmp_path / "out.sto")
    refused(tmp_path, result, "'knee_angle_r' leaves the model's valid range (-115 to 10 deg)", "check the sign")


def test_a_few_frames_outside_the_range_are_a_warning(tmp_path: Path) -> None:
    trials, columns = write_trial(tmp_path), kinematics()
    columns["ankle_angle_r"] *= 3.2
    (tmp_path / "ik.mot").write_text(table(columns))
    result = solve("--trials", trials, "--out", tmp_path / "out.sto", "--json")
    assert result.exit_code == 0
    assert "'ankle' leaves the model's valid range (-40 to 35 deg)" in result.stderr
    json.loads(result.stdout)


def test_unwritable_output(tmp_path: Path) -> None:
    result = solve("--trials", write_trial(tmp_path), "--out", "/proc/nowhere/out.sto")
    refused(tmp_path, result, "/proc/nowhere/out.sto: cannot be written", "choose a folder")


def test_as_a_program(tmp_path: Path) -> None:
    """Through a real process: one JSON object on stdout; one line and no traceback for an error."""
    trials = write_trial(tmp_path)
    command = [sys.executable, "-m", "edge.cli", "solve", "--trials"]
    good = subprocess.run(
        [*command, str(trials), "--out", str(tmp_path / "out.sto"), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["frames"] == 101
    assert all(line.startswith("warning: ") for line in good.stderr.splitlines())
    bad = subprocess.run(
        [*command, str(tmp_path / "no.toml"), "--out", str(tmp_path / "b.sto")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode == 1
    assert bad.stdout == ""
    assert len(bad.stderr.splitlines()) == 1
    assert not (tmp_path / "b.sto").exists()


def test_a_real_walk(data: Path, tmp_path: Path) -> None:
    folder = data / "gait10_walk"
    trials = tmp_path / "walk.toml"
    entry = '[[trial]]\nkinematics = "{0}/ik.mot"\nexternal_loads = "{0}/external_loads.xml"\nside = "{1}"\n'
    trials.write_text(entry.format(folder, "r") + entry.format(folder, "l"))
    result = solve("--trials", trials, "--compat", "--out", tmp_path / "walk.sto", "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["frames"] == 302
    assert max(summary["reserve_max_nm"].values()) < 0.1
    assert 15 < summary["torque_rms_nm"]["hip"] < 40


def test_rows_effort_and_curves_are_chosen(tmp_path: Path) -> None:
    """Four rows of a leg that could have six; results differ with the cost and the curves, and say so in their numbers."""
    trials = write_trial(tmp_path)
    solved = {}
    for name, extra in {
        "plain": (),
        "cubed": ("--exponent", "3"),
        "volume": ("--effort", "volume"),
        "thelen": ("--curves", "thelen2003"),
    }.items():
        out = tmp_path / f"{name}.sto"
        rows = "hip,knee,ankle,hip_adduction"
        result = solve("--trials", trials, "--model", "leg43", "--rows", rows, *extra, "--out", out, "--json")
        assert result.exit_code == 0, result.output
        summary = json.loads(result.stdout)
        assert list(summary["torque_rms_nm"]) == rows.split(",")
        assert summary["infeasible_frames"] >= 0
        solved[name] = read_table(out)
    plain = solved.pop("plain")
    assert len(plain.columns) == 2 * 43 + 2 * 4
    for name, other in solved.items():
        np.testing.assert_allclose(other.column("hip_moment"), plain.column("hip_moment"), err_msg=name)
        assert np.abs(other.column("soleus_activation") - plain.column("soleus_activation")).max() > 1e-3, name


def test_a_row_that_the_model_does_not_have(tmp_path: Path) -> None:
    trials = write_trial(tmp_path)
    result = solve("--trials", trials, "--rows", "hip,knee,ankle,hip_adduction", "--out", tmp_path / "a.sto")
    refused(tmp_path, result, "model 'leg9' has no torque row 'hip_adduction': it has hip, knee, ankle")


@pytest.mark.parametrize("key", ["kinematics", "torque"])
def test_a_recording_is_not_overwritten(tmp_path: Path, key: str) -> None:
    trials = write_trial(tmp_path)
    recording = tmp_path / "mine.sto"
    time = np.linspace(0.0, 1.0, 101)
    columns = kinematics() if key == "kinematics" else {"time": time, "knee_angle_r_moment": time}
    recording.write_text(table(columns))
    text = trials.read_text()
    text = text.replace("ik.mot", "mine.sto") if key == "kinematics" else text + 'torque = "mine.sto"\n'
    trials.write_text(text)
    before = recording.read_bytes()
    result = solve("--trials", trials, "--out", recording)
    assert result.exit_code == 1
    assert "mine.sto: is one of the files that the result is made from: choose another --out" in result.stderr
    assert recording.read_bytes() == before


def test_a_small_torque_that_the_reserves_carry_is_said(tmp_path: Path) -> None:
    """A wrist's torque is small beside a reserve of 1 Nm; a smaller reserve leaves it to the muscles."""
    t = np.arange(201) / 100.0
    (tmp_path / "wrist.mot").write_text(table({"time": t, "flexion": 30.0 * np.sin(6.0 * t), "deviation": 0.0 * t}))
    trials = tmp_path / "t.toml"
    trials.write_text('[[trial]]\nkinematics = "wrist.mot"\n')
    largest = []
    for reserve in ("1", "0.05"):
        result = solve(
            "--trials", trials, "--model", "wrist5", "--reserve", reserve, "--out", tmp_path / "w.sto", "--json"
        )
        assert result.exit_code == 0, result.output
        largest.append(json.loads(result.stdout)["reserve_max_nm"]["wrist"])
        said = "at the wrist reserves, not muscles, give" in result.stderr
        assert said == (reserve == "1")
    assert largest[1] < 0.2 * largest[0]
