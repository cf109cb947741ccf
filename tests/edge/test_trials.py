from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trial_files import ground_reaction, kinematics, table, write_trial

from edge.errors import EdgeMskError, TrialError
from edge.msk.model import load_model
from edge.trial import Trial
from edge.trials import TrialSpec, load_trial, load_trials, read_trials_file

LEG = load_model("leg9")
Columns = dict[str, np.ndarray]


def one(path: Path) -> Trial:
    (trial,) = load_trials(path, LEG)
    return trial


def refused(path: Path, *parts: str) -> str:
    """The one-line error of loading the trials, with everything it must name."""
    with pytest.raises(EdgeMskError) as error:
        load_trials(path, LEG)
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
    return text


def test_a_trial_in_our_terms(tmp_path: Path) -> None:
    trial = one(write_trial(tmp_path, toml_extra='subject = "s01"\nmass_kg = 80\nleg_length_m = 0.9'))
    columns = kinematics()
    np.testing.assert_allclose(trial.q[:, 1], np.radians(columns["knee_angle_r"]), atol=1e-9)
    np.testing.assert_allclose(trial.base[:, 0], np.radians(columns["pelvis_tilt"]), atol=1e-9)
    np.testing.assert_allclose(trial.base[:, 2], columns["pelvis_ty"], atol=1e-9)
    assert (trial.subject, trial.side, trial.start_s, trial.end_s) == ("s01", "r", 0.0, 1.0)
    assert trial.model.mass_kg == pytest.approx(80.0)
    assert trial.model.leg_length_m == pytest.approx(0.9)
    assert trial.torque(trial.own_times()).shape == (101, 3)


def test_kinematics_are_the_movement_s(tmp_path: Path) -> None:
    """In the middle of the recording, of a movement well below the filter's edge: position, rate and acceleration."""
    trial = one(write_trial(tmp_path))
    at = np.linspace(0.35, 0.65, 7)
    motion = trial.kinematics(at)
    phase = 2 * np.pi * at + 2  # the knee is the third angle of the made-up walk
    size, w = np.radians(25.0), 2 * np.pi
    np.testing.assert_allclose(motion.q[:, 1], np.radians(-30.0) + size * np.sin(phase), atol=0.02)
    np.testing.assert_allclose(motion.qd[:, 1], size * w * np.cos(phase), atol=0.1)
    np.testing.assert_allclose(motion.qdd[:, 1], -size * w**2 * np.sin(phase), atol=1.5)


def test_left_leg(tmp_path: Path) -> None:
    trial = one(write_trial(tmp_path, side="l"))
    np.testing.assert_allclose(trial.q[:, 0], np.radians(kinematics()["hip_flexion_l"]), atol=1e-9)


def test_start_and_end(tmp_path: Path) -> None:
    trial = one(write_trial(tmp_path, toml_extra="start_s = 0.25\nend_s = 0.75"))
    own = trial.own_times()
    assert own[0] == pytest.approx(0.25)
    assert own[-1] == pytest.approx(0.75)
    np.testing.assert_allclose(trial.times(50.0), np.arange(26) / 50 + 0.25)
    # The filter still sees the whole recording: cutting changes nothing inside.
    whole = one(write_trial(tmp_path)).kinematics(own)
    np.testing.assert_array_equal(whole.qdd, trial.kinematics(own).qdd)


def test_a_kinematics_file_alone(tmp_path: Path) -> None:
    write_trial(tmp_path)
    trial = one(tmp_path / "ik.mot")
    assert trial.ground_reaction is None
    with pytest.raises(TrialError, match=r"ik.mot: the trial has no ground reaction"):
        trial.torque(trial.own_times())


def test_csv_names_its_units(tmp_path: Path) -> None:
    columns = kinematics()
    names = {"hip_flexion_r": "hip", "knee_angle_r": "knee_angle_r", "ankle_angle_r": "ankle", "pelvis_tilt": "tilt"}
    for write, factor in (("deg", 1.0), ("rad", np.pi / 180)):
        chosen = {"time": columns["time"]} | {f"{short}_{write}": columns[n] * factor for n, short in names.items()}
        chosen |= {"pelvis_tx": columns["pelvis_tx"], "pelvis_ty": columns["pelvis_ty"]}
        path = tmp_path / "walk.csv"
        np.savetxt(
            path, np.stack(list(chosen.values()), 1), delimiter=",", header=",".join(chosen), comments="", fmt="%.12g"
        )
        np.testing.assert_allclose(one(path).q[:, 0], np.radians(columns["hip_flexion_r"]), atol=1e-9)
    path.write_text(path.read_text().replace("hip_rad", "hip"))
    refused(path, "walk.csv", "has no column 'hip_deg' or 'hip_rad'", "names the unit of every angle")


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "trials"
    folder.mkdir()
    write_trial(folder)
    monkeypatch.chdir(tmp_path)
    (spec,) = read_trials_file(Path("trials/trials.toml"))
    assert spec.kinematics == folder / "ik.mot"
    assert len(load_trials(Path("trials/trials.toml"), LEG)) == 1


def test_fixed_base(tmp_path: Path) -> None:
    columns = {n: v for n, v in kinematics().items() if not n.startswith("pelvis")}
    (tmp_path / "ik.mot").write_text(table(columns))
    (tmp_path / "t.toml").write_text('[[trial]]\nkinematics = "ik.mot"\nbase = "fixed"\n')
    assert not one(tmp_path / "t.toml").base.any()
    write_trial(tmp_path, toml_extra='base = "fixed"')
    refused(tmp_path / "trials.toml", 'base = "fixed" has no place in the world for a ground reaction')


# --- trials files


IK = '[[trial]]\nkinematics = "ik.mot"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no [[trial]]"),
        ("trial = []", "holds no [[trial]]"),
        ("trial = 3", "holds no [[trial]]"),
        ("trial = [1]", "trial 1: `trial`: input should be a valid dictionary"),
        ("[[trial]]\n", "trial 1: `kinematics` is missing: add it"),
        ("[[trial]\n", "not valid TOML"),
        (IK + 'kinematics = "b.mot"\n', "not valid TOML"),
        ("[[trials]]\n", "unknown key `trials`"),
        ('title = "x"\n[[trial]]\nkinematics = "ik.mot"\n', "unknown key `title`"),
        (IK + 'end = 3.0\n', "trial 1: `end` is not known: mend or remove the key"),
        (IK + '[[trial]]\nkinematics = "ik.mot"\nside = "left"\n', "trial 2: `side`: input should be 'r' or 'l'"),
        ('[[trial]]\nkinematics = 5\n', "`kinematics`: should be the name of a file in quotes"),
        (IK + 'start_s = "soon"\n', "`start_s`: input should be a valid number"),
        (IK + 'start_s = nan\n', "`start_s`: input should be a finite number"),
        (IK + 'end_s = inf\n', "`end_s`: input should be a finite number"),
        (IK + 'mass_kg = inf\n', "`mass_kg`: input should be a finite number"),
        (IK + 'mass_kg = -70\n', "`mass_kg`: input should be greater than 1"),
        (IK + 'mass_kg = 72000\n', "`mass_kg`: input should be less than 500"),
        (IK + 'height_m = 175\n', "`height_m`: input should be less than 3"),
        (IK + 'leg_length_m = 880\n', "`leg_length_m`: input should be less than 2"),
        (IK + 'speed_mps = -1\n', "`speed_mps`: input should be greater than or equal to 0"),
        (IK + 'start_s = 0.5\nend_s = 0.5\n', "trial 1: start_s 0.5 and end_s 0.5 do not lie in order"),
        (IK + 'start_s = 0.9\nend_s = 0.1\n', "which runs from 0 to 1 s"),
        (IK + 'end_s = 1.2\n', "trial 1: start_s 0 and end_s 1.2"),
        (IK + 'start_s = -0.2\n', "trial 1: start_s -0.2"),
        (IK + 'start_s = 0.501\nend_s = 0.502\n', "no row lies between start_s 0.501 and end_s 0.502"),
        ('[[trial]]\nkinematics = "no.mot"\n', "no.mot: cannot be read (No such file or directory)"),
        ('[[trial]]\nkinematics = "a\\u0000b.mot"\n', "cannot be read"),
        ('[[trial]]\nkinematics = "."\n', "cannot be read (Is a directory)"),
        (IK + 'ground_reaction = "grf.c3d"\nexternal_loads = "loads.xml"\n', "trial 1: `external_loads` names columns"),
        (IK + 'forward = "x"\n', "trial 1: `forward`: input should be '+x', '-x'"),
        (IK + 'external_loads = "no.xml"\n', "no.xml: cannot be read"),
        (IK + 'osim = "person.osim"\n', "person.osim: no such file: give the path of an OpenSim model"),
    ],
)  # fmt: skip
def test_unusable_trials_file(tmp_path: Path, text: str, said: str) -> None:
    write_trial(tmp_path)
    path = tmp_path / "t.toml"
    path.write_text(text)
    assert str(tmp_path) in refused(path, said)


@pytest.mark.parametrize("content", [b"\xff\xfe\0\0", b"\0" * 50])
def test_garbage_for_a_trials_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.toml").write_bytes(content)
    refused(tmp_path / "t.toml", "t.toml")


def test_missing_trials_file(tmp_path: Path) -> None:
    refused(tmp_path / "t.toml", "t.toml: cannot be read (No such file or directory): check the path")
    (tmp_path / "t.toml").mkdir()
    refused(tmp_path / "t.toml", "t.toml: cannot be read (Is a directory)")


# --- recordings


def _set(name: str, row: int, value: float) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[name][row] = value

    return change


def _drop(name: str) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        del columns[name]

    return change


def _scale(name: str, factor: float) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        columns[name] *= factor

    return change


def _without(rows: slice) -> Callable[[Columns], None]:
    def change(columns: Columns) -> None:
        for name in columns:
            columns[name] = np.delete(columns[name], rows)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_drop("knee_angle_r"), "has no column 'knee_angle_r': it has pelvis_tilt"),
        (_drop("pelvis_tilt"), "has no column 'pelvis_tilt'"),
        (_drop("pelvis_ty"), "has no column 'pelvis_ty', the place of the base: add it, or set base = \"fixed\""),
        (_set("knee_angle_r", 40, np.nan), "column 'knee_angle_r' is not a number at time 0.4 s (1 of 101 rows)"),
        (_set("pelvis_tx", 0, np.inf), "column 'pelvis_tx' is not a number at time 0 s"),
        (_set("time", 50, 0.2), "time does not increase at row 51"),
        (_set("time", 50, 0.49), "time does not increase at row 51 (0.49 s, then 0.49 s)"),
        (_set("time", 50, np.nan), "the time column holds values that are not numbers"),
        (_scale("time", 1000.0), "sampled at 0.1 Hz: more than 12 Hz are needed"),
        (_scale("pelvis_ty", 1000.0), "column 'pelvis_ty' reaches 970 m: the values look like millimetres"),
        (_set("pelvis_tx", 40, 1e300), "column 'pelvis_tx' reaches 1e+300 m: the values look like millimetres, or one"),
        (_without(slice(30, 60)), "no rows for 0.31 s after 0.29 s: a hole"),
        (_without(slice(5, 101)), "holds 5 rows: a trial needs at least 8"),
        (_without(slice(1, 101)), "holds 1 rows of data"),
    ],
)  # fmt: skip
def test_unusable_recording(tmp_path: Path, change: Callable[[Columns], None], said: str) -> None:
    columns = kinematics()
    change(columns)
    path = tmp_path / "ik.mot"
    path.write_text(table(columns))
    refused(path, str(path), said)


@pytest.mark.parametrize(
    ("force", "change"),
    [("force_px", _scale("force_px", 1000.0)), ("force_vy", _set("force_vy", 250, 1e308))],
)
def test_torques_that_are_no_body_s(tmp_path: Path, force: str, change: Callable[[Columns], None]) -> None:
    trials = write_trial(tmp_path)
    columns = ground_reaction()
    change(columns)
    (tmp_path / "grf.mot").write_text(table(columns, degrees=None))
    trial = one(trials)
    with pytest.raises(
        TrialError, match=r"inverse dynamics gives .* Nm at the .*: check the units of the ground reaction"
    ):
        trial.torque(trial.own_times())


def test_degrees_taken_for_radians(tmp_path: Path) -> None:
    path = tmp_path / "ik.mot"
    path.write_text(table(kinematics(), degrees="no"))
    refused(
        path,
        "ik.mot",
        "'hip_flexion_r' reaches 35 rad",
        "look like degrees although inDegrees=no",
        "correct the header",
    )
    path.write_text(table(kinematics(), degrees=None))
    refused(path, "ik.mot", "header does not say inDegrees=yes or inDegrees=no: add the line")


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.3, 0.7, 0.999])
def test_truncated_recording(tmp_path: Path, keep: float) -> None:
    text = table(kinematics())
    path = tmp_path / "ik.mot"
    path.write_text(text[: int(keep * len(text))])
    refused(path, "ik.mot")


def test_forces_shorter_than_the_movement(tmp_path: Path) -> None:
    trials = write_trial(tmp_path)
    lines = (tmp_path / "grf.mot").read_text().replace("nRows=501", "nRows=301").splitlines()
    (tmp_path / "grf.mot").write_text("\n".join(lines[:-200]) + "\n")
    assert one(trials).end_s == 0.6  # not asked for: where both overlap
    plain = trials.read_text()
    trials.write_text(plain + "end_s = 0.9\n")
    refused(
        trials,
        "trial 1: ground reaction is recorded from 0 to 0.6 s, the trial runs from 0 to 0.9 s",
        "end_s inside both",
    )
    trials.write_text(plain + "end_s = 0.5\n")
    assert one(trials).end_s == 0.5


def test_loads_for_the_other_foot(tmp_path: Path) -> None:
    trials = write_trial(tmp_path)
    trials.write_text(trials.read_text().replace('side = "r"', 'side = "l"'))
    refused(trials, "loads.xml: no active force on a body of side 'l': it acts on calcn_r")


def test_uneven_sampling_is_brought_to_an_even_grid(tmp_path: Path) -> None:
    columns = kinematics()
    even = one(write_trial(tmp_path)).kinematics(np.linspace(0.3, 0.7, 9))
    rng = np.random.default_rng(0)
    time = columns["time"].copy()
    time[1:-1] += rng.uniform(-0.003, 0.003, len(time) - 2)
    uneven = {n: np.interp(time, columns["time"], v) if n != "time" else time for n, v in columns.items()}
    (tmp_path / "ik.mot").write_text(table(uneven))
    got = one(tmp_path / "ik.mot").kinematics(np.linspace(0.3, 0.7, 9))
    np.testing.assert_allclose(got.q, even.q, atol=2e-3)
    np.testing.assert_allclose(got.qdd, even.qdd, atol=1.5)


def test_scaled_axis_signs(tmp_path: Path) -> None:
    """A model whose knee coordinate has the other sign turns the recorded angle."""
    raw = LEG.to_dict()
    raw["joints"][1]["sign"] = -1.0
    from edge.msk.model import model_from_dict

    write_trial(tmp_path)
    turned = load_trial(TrialSpec(kinematics=tmp_path / "ik.mot"), model_from_dict(raw, "here"), name="t")
    np.testing.assert_allclose(turned.q[:, 1], -one(tmp_path / "ik.mot").q[:, 1])
