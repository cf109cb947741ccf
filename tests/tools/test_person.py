"""A trial with the person's own OpenSim model, against OpenSim's inverse dynamics in three dimensions."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge.errors import TrialError
from edge.msk.model import load_model
from edge.storage import read_table
from edge.trials import TrialSpec, load_trial
from tools.person import person_model, spatial_motion

LEG9 = load_model("leg9")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edge-msk" / "people"


def test_muscles_of_the_person_are_imported_once(
    data: Path, opensim: ModuleType, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    osim = data / "gait10_walk" / "model.osim"
    first = person_model(osim, LEG9, "l")
    assert "importing 9 muscles" in capsys.readouterr().err
    (kept,) = cache.iterdir()
    again = person_model(osim, LEG9, "l")
    assert capsys.readouterr().err == ""
    assert again.sha256 == first.sha256
    assert first.source["side"] == "l"
    kept.write_text("{")  # damaged: made again
    assert person_model(osim, LEG9, "l").sha256 == first.sha256


def test_a_person_without_muscles_has_ours_scaled(data: Path, opensim: ModuleType, cache: Path) -> None:
    folder = data / "walk_12" / "2014001"
    person = person_model(folder / "model_without_muscles.osim", LEG9, "r")
    assert not cache.exists()
    assert person.muscle_names == LEG9.muscle_names
    assert 60.0 < person.mass_kg < 72.0
    # Segments are the person's; muscles keep their place on the force curves.
    q = np.zeros((1, 3))
    ours, theirs = person.geometry.evaluate(q)[0][0], LEG9.geometry.evaluate(q)[0][0]
    for i, muscle in enumerate(person.muscles):
        ratio = muscle.optimal_fiber_length_m / LEG9.muscles[i].optimal_fiber_length_m
        assert ratio == pytest.approx(ours[i] / theirs[i], rel=1e-6)
        assert 0.75 < ratio < 1.05


def test_planar_torques_of_a_walk_in_space(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    """Within 1.5, 1.5 and 3 Nm of OpenSim's three-dimensional inverse dynamics at hip, knee and ankle."""
    from tools.opensim_oracle_3d import inverse_dynamics_3d, prepare
    from tools.opensim_oracle_state import row_torques
    from tools.opensim_oracle_trials import trials_3d

    prepared = prepare(trials_3d(data)["overground_s01"].within(1.2, 2.3), tmp_path)
    spec = TrialSpec(
        kinematics=prepared.kinematics,
        ground_reaction=prepared.forces,
        external_loads=prepared.loads,
        osim=data / "overground_s01" / "model.osim",
    )
    trial = load_trial(spec, LEG9, name="s01")
    assert trial.spatial is not None
    found = inverse_dynamics_3d(prepared)
    rows = [(j.coordinate.format(side="r"), j.sign) for j in trial.model.joints]
    theirs = row_torques(prepared.model, prepared.kinematics, found, [r for r, _ in rows]) * [s for _, s in rows]
    ours = trial.torque(found.time_s)
    error = np.sqrt(((ours - theirs) ** 2).mean(axis=0))
    plain = load_trial(spec.model_copy(update={"osim": None}), trial.model, name="s01").torque(found.time_s)
    without = np.sqrt(((plain - theirs) ** 2).mean(axis=0))
    print(f"overground_s01, hip / knee / ankle: {error.round(2)} Nm, from sagittal angles {without.round(2)} Nm")
    assert (error <= [1.5, 1.5, 3.0]).all()
    assert (without > error).all()


def test_the_recorded_angles_stay_what_a_sensor_gives(data: Path, opensim: ModuleType) -> None:
    """Torques come from the places of the joints in space; a network is fed with the angles as they were recorded."""
    folder = data / "overground_s01"
    spec = TrialSpec(kinematics=folder / "ik.mot", osim=folder / "model.osim", start_s=1.0, end_s=2.0)
    trial = load_trial(spec, LEG9, name="s01")
    recorded = np.radians(read_table(folder / "ik.mot").column("hip_flexion_r"))
    np.testing.assert_array_equal(trial.q[:, 0], recorded)
    assert trial.spatial is not None
    assert np.abs(trial.spatial.q[:, 0] - recorded).max() > 0.01


def test_a_recording_in_the_plane_stays_there(data: Path, opensim: ModuleType) -> None:
    folder = data / "gait10_walk"
    person = person_model(folder / "model.osim", LEG9, "r")
    assert spatial_motion(folder / "model.osim", person, read_table(folder / "ik.mot"), "r") is None


def test_walking_aside_is_refused(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    folder = data / "overground_s01"
    lines = (folder / "ik.mot").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("time"))
    names = lines[start].split("\t")
    turn = names.index("pelvis_rotation")
    rows = [line.split("\t") for line in lines[start + 1 : start + 60]]
    for row in rows:
        row[turn] = str(float(row[turn]) + 60.0)
    turned = tmp_path / "ik.mot"
    header = ["turned", "version=1", f"nRows={len(rows)}", f"nColumns={len(names)}", "inDegrees=yes", "endheader"]
    turned.write_text("\n".join([*header, *("\t".join(row) for row in [names, *rows])]) + "\n")
    person = person_model(folder / "model.osim", LEG9, "r")
    with pytest.raises(TrialError, match=r"walks \d+ deg to the ground's x axis: turn the recording"):
        spatial_motion(folder / "model.osim", person, read_table(turned), "r")


@pytest.mark.parametrize("side", ["r", "l"])
def test_hip_adduction_in_space_and_the_left_leg(data: Path, opensim: ModuleType, tmp_path: Path, side: str) -> None:
    """The ground reaction and the leg's weight about the hip, against OpenSim, in stance and on both sides."""
    from tools.opensim_oracle_3d import inverse_dynamics_3d, prepare
    from tools.opensim_oracle_state import row_torques
    from tools.opensim_oracle_trials import trials_3d

    trial_3d = trials_3d(data, side)["overground_s01"].within(1.2, 2.3)
    prepared = prepare(trial_3d, tmp_path)
    leg = load_model("leg32_rajagopal").with_rows(("hip", "knee", "ankle", "hip_adduction"))
    leg = replace(leg, muscles=LEG9.muscles[:0])
    spec = TrialSpec(
        kinematics=prepared.kinematics, ground_reaction=prepared.forces, external_loads=prepared.loads,
        osim=data / "overground_s01" / "model.osim", side=side,
    )  # fmt: skip
    trial = load_trial(spec, leg, name="s01")
    found = inverse_dynamics_3d(prepared)
    rows = [(c.coordinate.format(side=side), c.sign) for c in trial.model.coordinates[:4]]
    theirs = row_torques(prepared.model, prepared.kinematics, found, [r for r, _ in rows]) * [s for _, s in rows]
    ours = trial.torque(found.time_s)
    error = np.sqrt(((ours - theirs) ** 2).mean(axis=0))
    plain = np.sqrt(((replace(trial, adduction="lever").torque(found.time_s) - theirs) ** 2).mean(axis=0))
    print(f"overground_s01 {side}: {error.round(2)} Nm, lever {plain[3]:.1f} Nm of SD {theirs[:, 3].std():.1f}")
    assert (error[:3] <= [1.5, 1.5, 3.0]).all()
    assert error[3] <= 0.3 * theirs[:, 3].std()  # the leg's own inertia, which is left out, is what remains
    assert error[3] <= 0.6 * plain[3]


def test_a_csv_keeps_the_third_dimension(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    folder = data / "overground_s01"
    recorded = read_table(folder / "ik.mot")
    rows = (recorded.time_s >= 1.0) & (recorded.time_s <= 2.0)
    turning = [
        c
        for c in recorded.columns
        if not c.startswith(("pelvis_t", "knee_angle_r_beta", "knee_angle_l_beta")) or c == "pelvis_tilt"
    ]
    straight = ["pelvis_tx", "pelvis_ty", "pelvis_tz"]
    names = ["time", *(f"{c}_deg" for c in turning), *straight]
    data_of = np.column_stack([recorded.time_s[rows], *(recorded.column(c)[rows] for c in [*turning, *straight])])
    (tmp_path / "ik.csv").write_text(
        ",".join(names) + "\n" + "\n".join(",".join(f"{v:.12g}" for v in row) for row in data_of) + "\n"
    )
    lines = (folder / "ik.mot").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("time"))
    kept = [line for line, keep in zip(lines[start + 1 :], rows, strict=False) if keep]
    header = [
        "cut",
        "version=1",
        f"nRows={len(kept)}",
        f"nColumns={len(recorded.columns) + 1}",
        "inDegrees=yes",
        "endheader",
    ]
    (tmp_path / "ik.mot").write_text("\n".join([*header, lines[start], *kept]) + "\n")
    spatial = []
    for name in ("ik.mot", "ik.csv"):
        trial = load_trial(TrialSpec(kinematics=tmp_path / name, osim=folder / "model.osim"), LEG9, name=name)
        assert trial.spatial is not None
        spatial.append(trial.spatial)
    np.testing.assert_allclose(spatial[1].q, spatial[0].q, atol=1e-5)
    np.testing.assert_allclose(spatial[1].joints.axis, spatial[0].joints.axis, atol=1e-5)
