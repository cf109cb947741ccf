"""The oracle itself: recordings prepared for OpenSim without changing what it says of them."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge.errors import FileError, TrialError
from edge.storage import read_table

WALKS = ("gait2392_walk", "treadmill_60s", "overground_s01", "overground_s04")


@pytest.fixture(scope="module")
def in_3d(opensim: ModuleType) -> ModuleType:
    return importlib.import_module("tools.opensim_oracle_3d")


@pytest.fixture(scope="module")
def state(opensim: ModuleType) -> ModuleType:
    return importlib.import_module("tools.opensim_oracle_state")


@pytest.fixture(scope="module")
def trials(opensim: ModuleType) -> ModuleType:
    return importlib.import_module("tools.opensim_oracle_trials")


def table_file(path: Path, header: str) -> Path:
    rows = "\n".join(f"{0.1 * i:.1f}\t{i}" for i in range(10))
    path.write_text(f"{header}\nendheader\ntime\ta\n{rows}\n")
    return path


@pytest.mark.parametrize(
    ("header", "counted"),
    [
        ("walk\nversion=1\nnRows=999\nnColumns=2\ninDegrees=yes", "nrows=4"),
        ("walk\n# SIMM Motion File Header:\nname walk\ndatacolumns 2\ndatarows 10", "datarows 4"),
    ],
)
def test_a_cut_table_announces_the_rows_it_holds(in_3d: ModuleType, tmp_path: Path, header: str, counted: str) -> None:
    target = tmp_path / "cut.mot"
    in_3d.cut(table_file(tmp_path / "whole.mot", header), target, 0.25, 0.65)
    assert counted in target.read_text().lower().splitlines()
    table = read_table(target)
    np.testing.assert_allclose(table.time_s, [0.3, 0.4, 0.5, 0.6])
    np.testing.assert_array_equal(table.column("a"), [3, 4, 5, 6])
    assert table.in_degrees is True


def test_nothing_is_cut_from_what_is_no_table_or_lies_elsewhere(in_3d: ModuleType, tmp_path: Path) -> None:
    source = table_file(tmp_path / "whole.mot", "walk")
    with pytest.raises(TrialError, match=r"no row from 5 to 6 s: choose another range"):
        in_3d.cut(source, tmp_path / "cut.mot", 5.0, 6.0)
    (tmp_path / "text.mot").write_text("hello\n")
    with pytest.raises(FileError, match="not an OpenSim table"):
        in_3d.cut(tmp_path / "text.mot", tmp_path / "cut.mot", 0.0, 1.0)


def test_a_storage_gives_its_own_times_only(oracle: ModuleType) -> None:
    storage = oracle.Storage(np.array([0.0, 0.1, 0.2]), {"a": np.array([1.0, 2.0, 3.0])})
    np.testing.assert_array_equal(storage.at(np.array([0.2, 0.0])).columns["a"], [3.0, 1.0])
    with pytest.raises(ValueError, match="none of the storage's own"):
        storage.at(np.array([0.15]))


def test_nothing_but_the_muscles_of_one_leg_acts(
    data: Path, opensim: ModuleType, in_3d: ModuleType, trials: ModuleType, tmp_path: Path
) -> None:
    for name, muscles in (("overground_s01", 40), ("gait2392_walk", 43)):  # contact spheres, bushings; trunk muscles
        prepared = in_3d.prepare(trials.trials_3d(data, "l")[name], tmp_path / name)
        model = opensim.Model(str(prepared.model))
        state = model.initSystem()
        assert model.getForceSet().getSize() == model.getMuscles().getSize() == muscles
        assert all(m.getName().endswith("_l") for m in model.getMuscles())
        assert not any(c.getClamped(state) for c in model.getCoordinateSet())
        assert prepared.rows[:5] == tuple(f"{c}_l" for c in in_3d.LEG_COORDINATES[:5])


def test_cutting_a_recording_leaves_its_inverse_dynamics(
    data: Path, in_3d: ModuleType, trials: ModuleType, tmp_path: Path
) -> None:
    trial = trials.trials_3d(data)["overground_s04"]
    whole = in_3d.inverse_dynamics_3d(in_3d.prepare(trial.within(0.3, 6.1), tmp_path / "whole"))
    part = in_3d.inverse_dynamics_3d(in_3d.prepare(trial.within(2.9, 3.1), tmp_path / "part"))
    assert len(part.time_s) >= 20
    same = whole.at(part.time_s)
    for row in ("hip_flexion_r", "hip_adduction_r", "knee_angle_r", "ankle_angle_r", "pelvis_ty"):
        np.testing.assert_allclose(part.columns[row], same.columns[row], atol=1e-4)


def test_one_leg_has_the_activations_of_the_whole_body(
    data: Path, oracle: ModuleType, in_3d: ModuleType, trials: ModuleType, tmp_path: Path
) -> None:
    trial = trials.trials_3d(data)["gait2392_walk"].within(1.0, 1.2)
    prepared = in_3d.prepare(trial, tmp_path)
    leg = in_3d.static_optimisation_3d(prepared, every=6)
    rows = {f"{c}_{side}" for c in in_3d.LEG_COORDINATES for side in "rl"}
    (tmp_path / "whole").mkdir()
    whole, _ = oracle.static_optimisation(
        trial.model,
        prepared.kinematics,
        prepared.loads,
        tmp_path / "whole",
        reserve_nm=lambda coordinate: 1.0 if coordinate in rows else 1000.0,
        start_s=trial.start_s,
        end_s=trial.end_s,
        every=6,
    )
    difference = np.abs(whole.stack(leg.muscles) - leg.activation)
    print(f"one leg against both and the trunk: {len(leg.time_s)} frames, activation differs by {difference.max():.1e}")
    assert len(leg.time_s) >= 3
    assert difference.max() < 2e-4


def test_angles_are_read_in_radians_whatever_the_file_says(data: Path, state: ModuleType, trials: ModuleType) -> None:
    for name in WALKS:
        trial = trials.trials_3d(data)[name]
        posed = state.PosedModel(trial.model, read_table(trial.kinematics))
        angles = dict(zip(posed.recorded, posed.values.T, strict=True))
        assert 0.7 < np.ptp(angles["knee_angle_r"]) < 1.6  # a step bends the knee by 60 degrees
        assert 0.8 < angles["pelvis_ty"].mean() < 1.2  # metres
        if "knee_angle_r_beta" in angles:
            assert np.abs(angles["knee_angle_r_beta"] - angles["knee_angle_r"]).max() < 0.05


def test_forces_act_on_the_foot_that_stands_there(data: Path, trials: ModuleType) -> None:
    centers = importlib.import_module("tools.projected_centers")
    # Not treadmill_60s: the header of its forces announces more rows than there are.
    names = [n for n in WALKS if n != "treadmill_60s"]
    for name in (*names, "treadmill_speeds/walk36", "squats/squatsAsym1", "squats/walking1", "walk_12/2014001/C4_05"):
        trial = trials.trials_3d(data)[name]
        forces, table = read_table(trial.force_file), read_table(trial.kinematics)
        at = np.linspace(trial.start_s, trial.end_s, 12)
        ankles = {side: centers.joint_centers_3d(trial.model, table, side, at).ankle_m for side in "rl"}
        for side, other in ("rl", "lr"):
            plate = next(f for f in trial.forces if f.body.endswith(f"_{side}"))
            place, force = (
                np.stack([np.interp(at, forces.time_s, forces.column(f"{stem}{axis}")) for axis in "xyz"], axis=1)
                for stem in (plate.point, plate.force)
            )
            loaded = force[:, 1] > 100.0
            assert loaded.sum() >= 3, f"{name} {side}"
            away, across = (np.linalg.norm((place - ankles[s])[loaded][:, [0, 2]], axis=1) for s in (side, other))
            assert away.max() < 0.3, f"{name} {side}"
            # On the average: in double support the pressure is at toes that the other heel has just passed.
            assert away.mean() < across.mean() - 0.05, f"{name} {side}"


def test_a_scaled_generic_model_is_the_persons_own_with_muscles(
    data: Path, opensim: ModuleType, trials: ModuleType, tmp_path: Path
) -> None:
    all_trials = trials.trials_3d(data)
    trial = all_trials["walk_12/2014004/C4_02"]
    scaled, own = (opensim.Model(str(t.model)) for t in (trials.with_muscles(trial, data, tmp_path), trial))
    there, here = scaled.initSystem(), own.initSystem()
    assert scaled.getMuscles().getSize() == 80
    for name in ("femur_r", "tibia_r", "calcn_l"):
        ours, theirs = scaled.getBodySet().get(name), own.getBodySet().get(name)
        assert ours.getMass() == pytest.approx(theirs.getMass(), rel=1e-9)
        np.testing.assert_allclose(
            [ours.getPositionInGround(there).get(i) for i in range(3)],
            [theirs.getPositionInGround(here).get(i) for i in range(3)],
            atol=1e-9,
        )
    with pytest.raises(TrialError, match="no scale set"):
        trials.with_muscles(all_trials["overground_s01"], data, tmp_path)


def test_every_trial_lies_within_its_recordings(data: Path, trials: ModuleType) -> None:
    found = trials.trials_3d(data)
    assert len(found) >= 36
    assert {t.task for t in found.values()} == {"walking", "running", "squat"}
    for trial in found.values():
        times = read_table(trial.kinematics).time_s
        assert times[0] <= trial.start_s < trial.end_s <= times[-1] + 1e-9, trial.name
        assert {f.body[-2:] for f in trial.forces} == {"_r", "_l"}, trial.name
