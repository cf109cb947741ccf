from pathlib import Path

import numpy as np
import pytest
from trial_files import LOADS, ground_reaction, table

from edge.errors import EdgeMskError, FileError, TrialError
from edge.feet import Foot
from edge.ground_reaction import (
    IMPOSSIBLE,
    NO_PLATE,
    OFF_THE_FOOT,
    UNSURE,
    GroundReaction,
    read_ground_reaction,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grf.mot").write_text(table(ground_reaction(), degrees=None))
    (tmp_path / "loads.xml").write_text(LOADS.format(side="r"))
    return tmp_path


def read(folder: Path, side: str = "r", force: str | None = "grf.mot") -> GroundReaction:
    return read_ground_reaction(force and folder / force, folder / "loads.xml", side=side, name="trial 1")  # type: ignore[arg-type]


def change(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_reads_the_foot_s_force(folder: Path) -> None:
    columns = ground_reaction()
    got = read(folder)
    np.testing.assert_allclose(got.force_n[:, 0, 1], columns["force_vy"], atol=1e-6)
    np.testing.assert_allclose(got.moment_nm[:, 0, 2], columns["torque_z"], atol=1e-6)
    touching = np.hypot(columns["force_vx"], columns["force_vy"]) > 1e-9
    np.testing.assert_allclose(got.point_m[touching, 0, 0], columns["force_px"][touching], atol=1e-6)
    assert np.isfinite(got.point_m).all()


def test_the_file_that_the_loads_name(folder: Path) -> None:
    np.testing.assert_array_equal(read(folder, force=None).force_n, read(folder).force_n)


def test_in_the_air_the_last_place_is_held(folder: Path) -> None:
    got = read(folder)
    columns = ground_reaction()
    touching = np.flatnonzero(columns["force_vy"] > 1e-9)
    np.testing.assert_allclose(got.point_m[: touching[0], 0, 0], columns["force_px"][touching[0]], atol=1e-6)
    np.testing.assert_allclose(got.point_m[touching[-1] + 1 :, 0, 0], columns["force_px"][touching[-1]], atol=1e-6)


def test_seen_from_a_point_the_moment_is_the_same(folder: Path) -> None:
    """Moment about any other point, from the equivalent force at the origin, equals that of the plates' forces."""
    got = read(folder)
    at = np.array([0.3, 0.41, 0.7])
    origin = np.array([[0.1, 0.9]] * 3)
    seen = got.seen_from(origin, at)
    pick = [int(np.argmin(np.abs(got.time_s - t))) for t in at]
    lever = got.point_m[pick, 0, :2] - origin
    force = got.force_n[pick, 0, :2]
    np.testing.assert_allclose(seen.force_n, force, atol=1e-6)
    np.testing.assert_allclose(seen.point_m, 0.0)
    turning = got.moment_nm[pick, 0, 2] + lever[:, 0] * force[:, 1] - lever[:, 1] * force[:, 0]
    np.testing.assert_allclose(seen.moment_nm, turning, atol=1e-6)


def test_two_plates_under_one_foot_add_up(folder: Path) -> None:
    element = LOADS[LOADS.index("<ExternalForce") : LOADS.index("</objects>")].format(side="r")
    change(folder, "loads.xml", "</objects>", element.replace('name="foot"', 'name="foot2"') + "</objects>")
    at, origin = np.array([0.5]), np.array([[0.0, 1.0]])
    two = read(folder).seen_from(origin, at)
    change(folder, "loads.xml", 'name="foot2"><isDisabled>false', 'name="foot2"><isDisabled>true')
    one = read(folder).seen_from(origin, at)
    np.testing.assert_allclose(two.force_n, 2 * one.force_n)
    np.testing.assert_allclose(two.moment_nm, 2 * one.moment_nm)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("loads.xml", "calcn_r", "calcn_l", "no active force on a body of side 'r': it acts on calcn_l"),
        ("loads.xml", "<isDisabled>false", "<isDisabled>true", "no active force on a body of side 'r'"),
        ("loads.xml", "</objects>", "", "not valid XML"),
        ("loads.xml", "force_v<", "force_w<", "has no column 'force_wx'"),
        ("loads.xml", "force_p<", "force_q<", "has no column 'force_qx', which loads.xml names"),
        ("loads.xml", "torque_<", "moment_<", "has no column 'moment_z', which loads.xml names"),
        ("loads.xml", "<force_identifier>force_v</force_identifier>", "", "has no <force_identifier>"),
        ("loads.xml", "<point_identifier>force_p</point_identifier>", "", "has no <point_identifier>"),
        ("loads.xml", "force_expressed_in_body>ground", "force_expressed_in_body>calcn_r", "<force_expressed_in_body> is"),
        ("loads.xml", "point_expressed_in_body>ground", "point_expressed_in_body>calcn_r", "<point_expressed_in_body> is"),
        ("loads.xml", 'encoding="UTF-8"', 'encoding="no-such"', "not valid XML"),
        ("grf.mot", "force_vx", "force_x", "has no column 'force_vx'"),
        ("grf.mot", "force_vz", "force_vy", "column 'force_vy' stands 2 times"),
        ("grf.mot", "endheader", "", "no line 'endheader'"),
    ],
)  # fmt: skip
def test_unusable_files(folder: Path, name: str, old: str, new: str, said: str) -> None:
    change(folder, name, old, new)
    with pytest.raises(EdgeMskError) as error:
        read(folder)
    assert said in str(error.value)
    assert str(folder / name) in str(error.value) or str(folder / "grf.mot") in str(error.value)
    assert "\n" not in str(error.value)


def test_other_foot(folder: Path) -> None:
    with pytest.raises(TrialError, match=r"loads.xml: no active force on a body of side 'l': it acts on calcn_r"):
        read(folder, side="l")


@pytest.mark.parametrize("content", [b"", b"\0\xff\xfe\x80", b"PK\3\4"])
def test_loads_that_are_no_xml(folder: Path, content: bytes) -> None:
    (folder / "loads.xml").write_bytes(content)
    with pytest.raises(FileError, match=r"loads.xml: not valid XML .*export the external loads"):
        read(folder)


def test_missing_files(folder: Path) -> None:
    with pytest.raises(FileError, match=r"no.mot: cannot be read"):
        read(folder, force="no.mot")
    (folder / "loads.xml").unlink()
    with pytest.raises(FileError, match=r"loads.xml: cannot be read"):
        read(folder)
    (folder / "loads.xml").mkdir()
    with pytest.raises(FileError, match=r"loads.xml: cannot be read"):
        read(folder)


def test_loads_are_needed_and_name_their_file(folder: Path) -> None:
    with pytest.raises(
        TrialError, match=r"trial 1: `ground_reaction` without `external_loads` needs the angles of both legs"
    ):
        read_ground_reaction(folder / "grf.mot", None, side="r", name="trial 1")
    change(folder, "loads.xml", "<datafile>grf.mot</datafile>", "")
    with pytest.raises(TrialError, match="names no <datafile>"):
        read(folder, force=None)


@pytest.mark.parametrize(("column", "what"), [("force_px", "place"), ("torque_z", "free moment")])
def test_a_gap_within_a_contact(folder: Path, column: str, what: str) -> None:
    columns = ground_reaction()
    columns[column][250] = np.nan
    (folder / "grf.mot").write_text(table(columns, degrees=None))
    with pytest.raises(TrialError, match=f"grf.mot: the {what} of a force is not a number at time 0.5 s"):
        read(folder)


def test_a_gap_in_the_force(folder: Path) -> None:
    columns = ground_reaction()
    columns["force_vy"][3] = np.nan
    (folder / "grf.mot").write_text(table(columns, degrees=None))
    with pytest.raises(TrialError, match=r"column 'force_vy' is not a number at time 0.006 s"):
        read(folder)


def test_no_contact_at_all(folder: Path) -> None:
    columns = {n: v if n == "time" else np.zeros_like(v) for n, v in ground_reaction().items()}
    (folder / "grf.mot").write_text(table(columns, degrees=None))
    seen = read(folder).seen_from(np.ones((2, 2)), np.array([0.1, 0.2]))
    assert not seen.force_n.any()
    assert not seen.moment_nm.any()


# --- without external loads, and what can be relied on


LEG_M = 2.6  # of a giant, whose sole is as long as the way of the made-up place of application


def feet(right_x: float = 0.5, left_x: float = 2.0, z: float = 0.1) -> dict[str, Foot]:
    """Two feet flat on the ground, while the made-up place of application goes from 0.3 to 1.0 m."""
    t = np.arange(0, 1.001, 0.01)
    made = {}
    for side, x, aside in (("r", right_x, z), ("l", left_x, -z)):
        ankle = np.stack([np.full_like(t, x), np.full_like(t, 0.09), np.full_like(t, aside)], axis=1)
        made[side] = Foot(t, ankle, 0 * t, 0 * t, LEG_M)
    return made


def test_the_force_goes_to_the_foot_that_is_there(folder: Path) -> None:
    by_place = read_ground_reaction(folder / "grf.mot", None, side="r", name="t", feet=feet())
    said = read(folder)
    np.testing.assert_allclose(by_place.force_n, said.force_n, atol=1e-9)
    assert by_place.notes[0].startswith("'force': contacts: 1 of the right foot, the other ")
    assert said.notes == ()
    with pytest.raises(
        TrialError, match=r"no force acts on the foot of side 'l': 'force': contacts: 1 of the right foot"
    ):
        read_ground_reaction(folder / "grf.mot", None, side="l", name="t", feet=feet())


def test_names_of_the_columns_say_the_foot_where_feet_are_not_known(folder: Path) -> None:
    columns = {n.replace("force_", "force_r_").replace("torque_", "torque_r_"): v for n, v in ground_reaction().items()}
    (folder / "grf.mot").write_text(table(columns, degrees=None))
    found = read_ground_reaction(folder / "grf.mot", None, side="r", name="t")
    np.testing.assert_array_equal(
        found.force_n, read_ground_reaction(folder / "grf.mot", None, side="r", name="t", feet=feet()).force_n
    )
    assert found.notes == ("'force_r': the right foot's, as its name says",)
    with pytest.raises(TrialError, match="no force acts on the foot of side 'l'"):
        read_ground_reaction(folder / "grf.mot", None, side="l", name="t")


def test_a_force_beside_the_foot_is_marked_and_kept(folder: Path) -> None:
    near, far = (
        read_ground_reaction(folder / "grf.mot", folder / "loads.xml", side="r", name="t", feet={"r": feet(x)["r"]})
        for x in (0.5, 0.1)
    )
    assert near.valid.all()
    beside = far.doubts[OFF_THE_FOOT]
    assert beside.any()
    assert not far.valid[beside].any()
    assert (far.point_m[beside, 0, 0] > 0.1 + 0.23 * LEG_M + 0.06).all()
    np.testing.assert_array_equal(far.force_n, near.force_n)
    between = far.valid_at(far.time_s[beside][[0, -1]] + [-0.001, 0.001])
    assert not between.any()  # half way from a valid row
    assert far.doubts_at(far.time_s) == {OFF_THE_FOOT: beside.sum()}
    assert near.doubts_at(near.time_s) == {}


def test_a_pull_is_marked(folder: Path) -> None:
    columns = ground_reaction()
    columns["force_vy"][200:204] = -100.0
    (folder / "grf.mot").write_text(table(columns, degrees=None))
    got = read(folder)
    assert np.flatnonzero(got.doubts[IMPOSSIBLE]).tolist() == [200, 201, 202, 203]
    assert got.force_n[201, 0, 1] == -100.0


def test_a_foot_that_stands_where_no_plate_measures(folder: Path) -> None:
    """The right foot stays where it is after the plate has gone silent at 0.8 s, but on another place before 0.2 s."""
    standing = feet()
    foot = standing["r"]
    ankle = foot.ankle_m.copy()
    ankle[foot.time_s < 0.15, 0] -= 1.5
    moved = Foot(foot.time_s, ankle, foot.heading_rad, foot.pitch_rad, foot.leg_length_m)
    got = read_ground_reaction(folder / "grf.mot", None, side="r", name="t", feet=standing | {"r": moved})
    unknown = got.doubts[NO_PLATE]
    assert unknown[got.time_s < 0.12].all()
    assert not unknown[got.time_s > 0.21].any()


def test_a_force_of_the_other_foot_s_plate_is_missed(folder: Path) -> None:
    """The loads give the plate to the left foot; for a while its force acts on the right one, far from the left."""
    change(folder, "loads.xml", "calcn_r", "calcn_l")
    element = LOADS[LOADS.index("<ExternalForce") : LOADS.index("</objects>")].format(side="r")
    for old, new in (("force_v", "other_v"), ("force_p", "other_p"), ("torque_", "other_m")):
        element = element.replace(f">{old}<", f">{new}<")
    change(folder, "loads.xml", "</objects>", element + "</objects>")
    columns = ground_reaction()
    columns |= {
        n.replace("force", "other").replace("torque_", "other_m"): 0 * v for n, v in columns.items() if n != "time"
    }
    columns |= {f"other_p{axis}": np.zeros_like(columns["time"]) for axis in "xyz"}
    (folder / "grf.mot").write_text(table(columns, degrees=None))
    feet_there = feet(right_x=0.5, left_x=0.1)
    got = read_ground_reaction(folder / "grf.mot", folder / "loads.xml", side="r", name="t", feet=feet_there)
    missed = got.doubts[UNSURE]
    assert missed.any()
    assert got.time_s[missed].min() == pytest.approx((0.1 + 0.23 * LEG_M + 0.06 - 0.05) / 1.2, abs=0.01)
    assert not got.force_n.any()


def test_how_far_a_recording_s_forces_act_beside_a_foot(folder: Path) -> None:
    got = read(folder)
    assert got.beside(feet()["r"]) < 1e-4
    assert got.beside(feet(right_x=-0.3)["r"]) > 0.2
    nothing = GroundReaction(got.time_s, 0 * got.force_n, got.point_m, got.moment_nm, {})
    assert nothing.beside(feet()["r"]) == 0.0
    assert nothing.valid.all()


def test_a_c3d_has_no_columns(folder: Path) -> None:
    with pytest.raises(
        TrialError, match=r"trial 1: `external_loads` names columns, which the plates of walk.c3d do not have"
    ):
        read(folder, force="walk.c3d")


def test_the_third_dimension_is_kept(folder: Path) -> None:
    columns = ground_reaction()
    columns["force_vz"] = 0.05 * columns["force_vy"]
    columns["force_pz"] = columns["force_px"] * 0.1
    columns["torque_x"], columns["torque_y"] = 1.0 * (columns["force_vy"] > 0), 2.0 * (columns["force_vy"] > 0)
    (folder / "grf.mot").write_text(table(columns, degrees=None))
    force, point, moment = read(folder).at(np.array([0.5]))
    np.testing.assert_allclose(force[0, 0], [columns[f"force_v{a}"][250] for a in "xyz"], atol=1e-6)
    np.testing.assert_allclose(point[0, 0], [columns[f"force_p{a}"][250] for a in "xyz"], atol=1e-6)
    np.testing.assert_allclose(moment[0, 0], [1.0, 2.0, 2.0], atol=1e-6)
    flat = {n: v for n, v in columns.items() if not n.endswith(("_vz", "_pz", "_x", "_y"))}
    (folder / "grf.mot").write_text(table(flat, degrees=None))
    got = read(folder)
    assert np.isnan(got.at(np.array([0.5]))[0][..., 2]).all()
    seen = got.seen_from(np.zeros((1, 2)), np.array([0.5]))
    assert np.isfinite(seen.moment_nm).all()
