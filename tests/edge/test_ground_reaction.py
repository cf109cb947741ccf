from pathlib import Path

import numpy as np
import pytest
from trial_files import LOADS, ground_reaction, table

from edge.errors import EdgeMskError, FileError, TrialError
from edge.ground_reaction import GroundReaction, read_ground_reaction


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
    np.testing.assert_allclose(got.moment_nm[:, 0], columns["torque_z"], atol=1e-6)
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
    lever = got.point_m[pick, 0] - origin
    force = got.force_n[pick, 0]
    np.testing.assert_allclose(seen.force_n, force, atol=1e-6)
    np.testing.assert_allclose(seen.point_m, 0.0)
    np.testing.assert_allclose(
        seen.moment_nm, got.moment_nm[pick, 0] + lever[:, 0] * force[:, 1] - lever[:, 1] * force[:, 0], atol=1e-6
    )


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
    with pytest.raises(TrialError, match="trial 1: `ground_reaction` needs `external_loads`"):
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
