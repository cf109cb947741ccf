import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trial_files import kinematics, table

from edge.errors import TrialError
from edge.feet import Foot
from edge.msk.model import Model, load_model
from edge.msk.scaling import scale_uniformly
from edge.recorded_feet import recorded_feet
from edge.storage import Table, read_table
from edge.trials import TrialSpec, load_trial

LEG = load_model("leg9")
Columns = dict[str, np.ndarray]


def feet_of(columns: Columns, folder: Path, leg: Model = LEG, side: str = "r") -> dict[str, Foot]:
    path = folder / "ik.mot"
    path.write_text(table(columns))
    return found(read_table(path), leg, side)


def found(recorded: Table, leg: Model = LEG, side: str = "r") -> dict[str, Foot]:
    trial = load_trial(TrialSpec(kinematics=recorded.path, side=side), leg, name="t")  # type: ignore[arg-type]
    return recorded_feet(recorded, leg, side, trial.q, trial.base)


def test_both_feet_of_a_planar_recording(tmp_path: Path) -> None:
    right, left = feet_of(kinematics(), tmp_path), feet_of(kinematics(), tmp_path, side="l")
    for side in ("r", "l"):
        np.testing.assert_allclose(right[side].ankle_m, left[side].ankle_m, atol=1e-9)
        assert np.isnan(right[side].ankle_m[:, 2]).all()
    assert np.abs(right["r"].ankle_m[:, 0] - right["l"].ankle_m[:, 0]).max() > 0.1


def test_out_of_the_plane_as_far_as_it_is_recorded(tmp_path: Path) -> None:
    zero = np.zeros(101)
    out = {"pelvis_tz": zero + 0.3, "hip_adduction_r": zero + 10.0}
    adducted = feet_of(kinematics() | out, tmp_path)["r"].ankle_m[:, 2]
    gaps = out | {"hip_adduction_r": np.where(np.arange(101) == 7, np.nan, 10.0)}
    straight = feet_of(kinematics() | gaps, tmp_path)["r"].ankle_m[:, 2]
    np.testing.assert_allclose(straight, 0.3 + 0.1 * LEG.leg_length_m)  # as without the column
    assert (adducted < straight - 0.08).all()
    turned = feet_of(kinematics() | {"pelvis_rotation": zero + 400.0}, tmp_path)["r"]
    np.testing.assert_allclose(
        turned.heading_rad, np.radians(40.0), atol=0.01
    )  # more than a full turn is no mistake here


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.pop("knee_angle_l"),
        lambda c: c.update(knee_angle_l=np.where(np.arange(101) == 7, np.nan, 0.0)),
    ],
)
def test_one_leg_alone(tmp_path: Path, spoil: Callable[[Columns], object]) -> None:
    columns = kinematics()
    spoil(columns)
    assert set(feet_of(columns, tmp_path)) == {"r"}


def test_a_csv_names_the_units(tmp_path: Path) -> None:
    columns = kinematics()
    for unit, factor in (("deg", 1.0), ("rad", np.pi / 180)):
        named = {
            n if n.startswith(("time", "pelvis_t")) and n != "pelvis_tilt" else f"{n}_{unit}": v
            for n, v in columns.items()
        }
        angles = {n: v * factor if n.endswith(f"_{unit}") else v for n, v in named.items()}
        with (tmp_path / "ik.csv").open("w", newline="") as file:
            csv.writer(file).writerows([angles, *np.stack(list(angles.values()), axis=1)])
        for side, foot in found(read_table(tmp_path / "ik.csv")).items():
            np.testing.assert_allclose(foot.ankle_m, feet_of(columns, tmp_path)[side].ankle_m, atol=1e-7)


def test_no_feet_of_another_limb(tmp_path: Path) -> None:
    (tmp_path / "ik.mot").write_text(table(kinematics()))
    recorded = read_table(tmp_path / "ik.mot")
    rows = len(recorded.time_s)
    arm = replace(LEG, muscles=(), joints=(replace(LEG.joints[0], name="elbow"), *LEG.joints[1:]))
    assert recorded_feet(recorded, arm, "r", np.zeros((rows, 3)), np.zeros((rows, 3))) == {}


def test_a_knee_model_has_the_feet_of_its_leg(tmp_path: Path) -> None:
    """knee13 is a part of leg10's OpenSim model. Without the ankle's angle the ankle stays where it is."""
    columns, knee = kinematics(), scale_uniformly(load_model("knee13"), height_m=1.75)
    wanted = feet_of(columns, tmp_path, scale_uniformly(load_model("leg10"), height_m=1.75))
    bare = {n: v for n, v in columns.items() if not n.startswith("ankle")}
    for given, same in ((columns, True), (bare, False)):
        feet = feet_of(given, tmp_path, knee)
        assert set(feet) == {"r", "l"}
        for side, foot in feet.items():
            assert foot.leg_length_m == pytest.approx(wanted[side].leg_length_m)
            np.testing.assert_allclose(foot.ankle_m, wanted[side].ankle_m, atol=1e-9)
            assert np.allclose(foot.pitch_rad, wanted[side].pitch_rad) == same


def test_plates_under_the_wrong_foot_are_refused_of_a_knee_too(data: Path) -> None:
    """The squats' own external loads put both plates under the right foot; without them each foot has its plate."""
    knee = load_model("knee13")
    knee = replace(knee, joints=(replace(knee.joints[0], sign=-knee.joints[0].sign),))  # that model flexes positive
    folder = data / "squats"
    spec = TrialSpec(
        kinematics=folder / "squats1_ik.mot",
        ground_reaction=folder / "squats1_grf.mot",
        external_loads=folder / "squats1_external_forces.xml",
        leg_length_m=0.796,
    )
    with pytest.raises(TrialError, match=r"said to act on the right foot, but acts 0\.3\d m from it, on the left one"):
        load_trial(spec, knee, name="t")
    reaction = load_trial(spec.model_copy(update={"external_loads": None}), knee, name="t").ground_reaction
    assert reaction is not None
    assert reaction.force_n.shape[1] == 1
    assert reaction.valid.all()


def turned_to_radians(source: Path, target: Path) -> Path:
    """The recording with its angles in radians under a header that still says degrees."""
    read = read_table(source)
    places = {"pelvis_tx", "pelvis_ty", "pelvis_tz"}
    columns = {n: read.raw(n) if n in places else np.radians(read.raw(n)) for n in dict.fromkeys(read.columns)}
    target.write_text(table({"time": read.time_s} | columns))
    return target


@pytest.mark.parametrize(
    ("kinematics_file", "forces", "loads", "length", "knee"),
    [
        ("gait10_walk/ik.mot", "gait10_walk/subject01_walk_grf.mot", "gait10_walk/external_loads.xml", 0.879, 1.0),
        ("overground_s04/ik.mot", "overground_s04/grf.mot", None, 0.878, -1.0),
        ("walk_12/2014001/C4_05_ik_full.mot", "walk_12/2014001/C4_05_grf.mot", "walk_12/2014001/C4_05_grf.xml", 0.754, -1.0),
        ("squats/squats1_ik.mot", "squats/squats1_grf.mot", None, 0.796, -1.0),
    ],
)  # fmt: skip
def test_radians_under_a_header_that_says_degrees(
    data: Path, tmp_path: Path, kinematics_file: str, forces: str, loads: str | None, length: float, knee: float
) -> None:
    leg = replace(LEG, joints=tuple(replace(j, sign=knee * j.sign) if j.name == "knee" else j for j in LEG.joints))
    spec = TrialSpec(
        kinematics=data / kinematics_file,
        ground_reaction=data / forces,
        external_loads=loads and data / loads,  # type: ignore[arg-type]
        leg_length_m=length,
    )
    assert load_trial(spec, leg, name="t").ground_reaction is not None
    wrong = spec.model_copy(update={"kinematics": turned_to_radians(spec.kinematics, tmp_path / "ik.mot")})
    with pytest.raises(TrialError, match=r"the angles look like radians|is the unit of the angles wrong"):
        load_trial(wrong, leg, name="t")


def test_small_true_angles_are_no_radians(tmp_path: Path) -> None:
    """A person who stands still, on a plate under the foot, and one whose forces are somewhere else altogether."""
    t = np.arange(101) / 100
    still = {n: np.full(101, 0.5) if n in kinematics() and n != "time" else v for n, v in kinematics().items()}
    still |= {"pelvis_tx": 0 * t, "pelvis_ty": 0 * t + 0.95}
    (tmp_path / "ik.mot").write_text(table(still))
    for place in (0.0, 0.1, 0.4, -0.3):
        force = {
            "time": t,
            "force_r_vx": 0 * t,
            "force_r_vy": 0 * t + 350,
            "force_r_px": 0 * t + place,
            "force_r_py": 0 * t,
        }
        (tmp_path / "grf.mot").write_text(table(force, degrees=None))
        spec = TrialSpec(kinematics=tmp_path / "ik.mot", ground_reaction=tmp_path / "grf.mot")
        columns = {n: v for n, v in still.items() if not n.endswith("_l")}
        (tmp_path / "ik.mot").write_text(table(columns))
        assert load_trial(spec, LEG, name="t").ground_reaction is not None
