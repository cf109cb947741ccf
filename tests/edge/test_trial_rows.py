"""Torques of a trial beside the joints' own: given ones, hip adduction, limbs that touch nothing, loads."""

from pathlib import Path

import numpy as np
import pytest
from trial_files import kinematics, table, write_trial

from edge.errors import TrialError
from edge.msk.dynamics import inverse_dynamics
from edge.msk.hip_adduction import HIP_ADDUCTION_LEVER
from edge.msk.loads import with_load
from edge.msk.model import Model, load_model
from edge.msk.segment_lengths import stature_m
from edge.trial import Trial
from edge.trials import load_trials

LEG = load_model("leg9")
WALKING = load_model("leg32")
ALL = load_model("leg43")


def one(path: Path, model: Model) -> Trial:
    (trial,) = load_trials(path, model)
    return trial


def test_hip_adduction_by_the_lever_rule(tmp_path: Path) -> None:
    trial = one(write_trial(tmp_path), WALKING)
    at = trial.own_times()
    torque = trial.torque(at)
    assert torque.shape == (len(at), 4)
    assert trial.ground_reaction is not None
    vertical = trial.ground_reaction.at(at)[0][:, :, 1].sum(axis=1)
    np.testing.assert_allclose(torque[:, 3], -HIP_ADDUCTION_LEVER * WALKING.leg_length_m * vertical)
    assert torque[:, 3].min() < -20.0  # standing needs abductors
    np.testing.assert_allclose(torque[:, :3], inverse_dynamics(WALKING, trial.kinematics(at), trial.external_force(at)))


def test_angles_outside_the_chain_are_read_where_they_are(tmp_path: Path) -> None:
    path, columns = write_trial(tmp_path), kinematics()
    assert not one(path, WALKING).angles[:, 3:].any()
    columns["hip_adduction_r"] = 5.0 * np.sin(columns["time"])
    (tmp_path / "ik.mot").write_text(table(columns))
    trial = one(path, WALKING)
    np.testing.assert_allclose(trial.angles[:, 3], np.radians(columns["hip_adduction_r"]), atol=1e-9)
    assert not trial.angles[:, 4:].any()
    q, qd = trial.muscle_angles(trial.own_times())
    assert q.shape == qd.shape == (101, 6)
    assert trial.q.shape == (101, 3)


def test_a_row_whose_torque_nobody_knows(tmp_path: Path) -> None:
    trial = one(write_trial(tmp_path), ALL)
    with pytest.raises(
        TrialError, match=r"torque of the row 'hip_rotation' is not known: give it with `torque`.*--rows`"
    ):
        trial.torque(trial.own_times())
    fewer = one(write_trial(tmp_path), ALL.with_rows(("hip", "knee", "ankle", "hip_adduction")))
    assert fewer.torque(fewer.own_times()).shape == (101, 4)


def test_given_torques_are_taken(tmp_path: Path) -> None:
    path = write_trial(tmp_path, toml_extra='torque = "id.sto"')
    time = np.linspace(-0.1, 1.1, 121)
    names = ["hip_flexion_r", "knee_angle_r", "ankle_angle_r", "hip_adduction_r", "hip_rotation_r", "subtalar_angle_r"]
    columns = {"time": time} | {f"{n}_moment": 10.0 * (i + 1) * np.sin(7 * time) for i, n in enumerate(names)}
    (tmp_path / "id.sto").write_text(table(columns, degrees="no"))
    trial = one(path, ALL)
    at = trial.own_times()
    np.testing.assert_allclose(trial.torque(at), 10.0 * np.arange(1, 7) * np.sin(7 * at)[:, None], atol=0.1)


def test_given_torques_of_another_sign_are_turned(tmp_path: Path) -> None:
    path = write_trial(tmp_path, toml_extra='torque = "id.sto"')
    time = np.linspace(0.0, 1.0, 101)
    (tmp_path / "id.sto").write_text(table({"time": time, "knee_angle_r_moment": 30.0 + time}, degrees="no"))
    for name, sign in (("leg32", 1.0), ("leg32_rajagopal", -1.0)):
        trial = one(path, load_model(name))
        np.testing.assert_allclose(trial.torque(time)[:, 1], sign * (30.0 + time), atol=1e-6)


def test_a_file_without_any_torque_of_the_model(tmp_path: Path) -> None:
    path = write_trial(tmp_path, toml_extra='torque = "id.sto"')
    (tmp_path / "id.sto").write_text(table({"time": np.arange(3.0), "elbow_moment": np.zeros(3)}, degrees="no"))
    with pytest.raises(TrialError, match=r"id.sto: holds no torque of hip, knee, ankle.*like 'hip_flexion_r_moment'"):
        one(path, LEG)


def toml(folder: Path, text: str) -> Path:
    (folder / "ik.mot").write_text(table(kinematics()))
    path = folder / "trials.toml"
    path.write_text('[[trial]]\nkinematics = "ik.mot"\n' + text)
    return path


def test_a_limb_that_touches_nothing(tmp_path: Path) -> None:
    trial = one(toml(tmp_path, 'contact = "none"\n'), LEG)
    at = trial.own_times()
    np.testing.assert_array_equal(trial.torque(at), inverse_dynamics(LEG, trial.kinematics(at)))
    with pytest.raises(TrialError, match=r'no ground reaction.*contact = "none" if the limb touched nothing'):
        one(toml(tmp_path, ""), LEG).torque(at)


def test_contact_and_ground_reaction_contradict_each_other(tmp_path: Path) -> None:
    path = write_trial(tmp_path, toml_extra='contact = "none"')
    with pytest.raises(TrialError, match="says that there is no ground reaction"):
        one(path, LEG)


def test_adduction_in_space_needs_places_in_space(tmp_path: Path) -> None:
    trial = one(write_trial(tmp_path, toml_extra='hip_adduction = "space"'), WALKING)
    with pytest.raises(TrialError, match=r'hip_adduction = "space" needs `osim`.*set hip_adduction = "lever"'):
        trial.torque(trial.own_times())


def arm(folder: Path, text: str = "") -> Path:
    """A curl of the elbow, the upper arm hanging still."""
    t = np.arange(151) / 100.0
    columns = {"time": t, "r_shoulder_elev": np.zeros(151), "r_elbow_flex": 60.0 - 50.0 * np.cos(2.0 * t)}
    (folder / "arm.mot").write_text(table(columns))
    path = folder / "trials.toml"
    path.write_text('[[trial]]\nkinematics = "arm.mot"\n' + text)
    return path


def test_an_arm_needs_no_ground(tmp_path: Path) -> None:
    model = load_model("elbow6")
    trial = one(arm(tmp_path), model)
    torque = trial.torque(trial.own_times())
    assert torque.shape == (151, 1)
    # Little more than the forearm's weight on its lever.
    segment = model.segments[0]
    most = segment.mass_kg * model.gravity_mps2 * float(np.hypot(*segment.com_m))
    assert 0.5 * most < torque.max() < 1.5 * most
    np.testing.assert_array_equal(trial.angles.shape, (151, 2))


def test_a_dumbbell_in_the_hand(tmp_path: Path) -> None:
    model = load_model("elbow6")
    light = one(arm(tmp_path), model)
    heavy = one(arm(tmp_path, "load_kg = 4.5\nload_at_m = [0.0, -0.3]\n"), model)
    at = light.own_times()
    loaded = with_load(model, "forearm", 4.5, (0.0, -0.3))
    np.testing.assert_allclose(heavy.torque(at), inverse_dynamics(loaded, light.kinematics(at)), atol=1e-9)
    level = np.argmin(np.abs(light.kinematics(at).q[:, 0] - np.pi / 2))
    assert heavy.torque(at)[level, 0] - light.torque(at)[level, 0] == pytest.approx(4.5 * 9.81 * 0.3, rel=0.2)
    with pytest.raises(TrialError, match=r"`load_kg` needs `load_at_m`, its place in the forearm's frame"):
        one(arm(tmp_path, "load_kg = 4.5\n"), model)


def test_a_person_s_size_makes_the_arm_theirs(tmp_path: Path) -> None:
    model = load_model("elbow6")
    generic = one(arm(tmp_path), model)
    person = one(arm(tmp_path, "mass_kg = 75.0\nheight_m = 1.75\n"), model)
    at = generic.own_times()
    factor = 1.75 / stature_m(model)
    assert person.torque(at).max() == pytest.approx(factor * generic.torque(at).max(), rel=0.05)
    with pytest.raises(TrialError, match=r"trial 1: model 'elbow6' has no leg .*: give height_m"):
        one(arm(tmp_path, "leg_length_m = 0.9\n"), model)


def test_an_arm_stands_on_no_plate(tmp_path: Path) -> None:
    write_trial(tmp_path)
    path = arm(tmp_path, 'ground_reaction = "grf.mot"\nexternal_loads = "loads.xml"\n')
    with pytest.raises(TrialError, match="the model 'elbow6' stands on no ground"):
        one(path, load_model("elbow6"))


def test_a_knee_hangs_on_the_thigh(tmp_path: Path) -> None:
    """The knee's model alone gives the torque that the whole leg's gives at the knee, but for the foot's own turning."""
    knee, leg = load_model("knee13"), load_model("leg10")
    path = write_trial(tmp_path)
    alone, whole = one(path, knee), one(path, leg)
    at = alone.own_times()
    mine, theirs = alone.torque(at)[:, 0], whole.torque(at)[:, 1]
    assert theirs.std() > 10.0
    assert np.sqrt(((mine - theirs) ** 2).mean()) < 0.5
    assert alone.base.shape == (101, 4)
    np.testing.assert_allclose(alone.kinematics(at).tilt, whole.kinematics(at).tilt + whole.kinematics(at).q[:, 0])


def test_a_c3d_is_no_joint_angles_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('[[trial]]\nkinematics = "walk.c3d"\n')
    with pytest.raises(
        TrialError, match=r"markers of walk.c3d are no joint angles: name the person's OpenSim model with `osim`"
    ):
        one(path, LEG)


def test_osim_says_how_large_the_person_is(tmp_path: Path) -> None:
    path = write_trial(tmp_path, toml_extra='osim = "person.osim"\nmass_kg = 70')
    with pytest.raises(TrialError, match="`osim` says how large the person is: remove mass_kg"):
        one(path, LEG)


def test_torques_outside_their_file_are_not_made_up(tmp_path: Path) -> None:
    def given(text: str) -> Path:
        path = write_trial(tmp_path, toml_extra='torque = "id.sto"\n' + text)
        time = np.linspace(0.4, 0.6, 21)
        (tmp_path / "id.sto").write_text(table({"time": time, "knee_angle_r_moment": time}, degrees="no"))
        return path

    trial = one(given(""), LEG)
    assert (trial.start_s, trial.end_s) == (0.4, 0.6)
    assert any("torques of knee are those of the file" in note for note in trial.notes())
    with pytest.raises(
        TrialError, match=r"the torque of 'knee' is recorded from 0.4 to 0.6 s, the trial runs from 0.1"
    ):
        one(given("start_s = 0.1\nend_s = 0.5"), LEG)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("load_at_m = [0.0, -0.3]", "`load_at_m` needs `load_kg`"),
        ('ik_setup = "ik.xml"', r"`ik_setup` needs a .c3d as `kinematics`"),
        ('forward = "+x"', r"`forward` needs a .c3d: add that, or remove the key"),
        ('up = "+z"', r"`up` needs a .c3d"),
    ],
)
def test_a_key_that_would_do_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TrialError, match=said):
        one(toml(tmp_path, text + "\n"), LEG)


def test_the_left_side_of_a_right_arm(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match="the model 'elbow6' is of the side 'r'"):
        one(arm(tmp_path, 'side = "l"\n'), load_model("elbow6"))


def test_angles_outside_the_chain_have_a_range_too(tmp_path: Path) -> None:
    path, columns = write_trial(tmp_path), kinematics()
    columns["hip_adduction_r"] = np.full(101, 25.0)
    (tmp_path / "ik.mot").write_text(table(columns))
    leg = load_model("leg32")
    most = np.degrees(leg.outside[0].range_rad[1])
    assert most < 25.0
    assert one(path, leg).frames_outside_model()["hip_adduction"] == 101
    assert "hip_adduction" not in one(write_trial(tmp_path), leg).frames_outside_model()


def test_how_the_adduction_torque_was_told_is_said(tmp_path: Path) -> None:
    assert any(
        "lever rule, which holds in steady walking alone" in n for n in one(write_trial(tmp_path), WALKING).notes()
    )
    assert not one(write_trial(tmp_path), LEG).notes()
    trial = one(toml(tmp_path, 'contact = "none"\n'), WALKING)
    with pytest.raises(TrialError, match="'hip_adduction' is not known without contact"):
        trial.torque(trial.own_times())
