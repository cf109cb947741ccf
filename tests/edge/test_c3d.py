import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("ezc3d", reason="ezc3d is not installed: pip install 'edge-msk[c3d]'")
from c3d_files import Made, TruePlate

from edge.c3d import read_c3d
from edge.errors import EdgeMskError, FileError, MissingExtraError, TrialError

MARKERS = {"Ann:LASI": np.full((30, 3), 0.5), "RASI": np.linspace(0, 1, 90).reshape(30, 3), "*7": np.zeros((30, 3))}


def plate(**more: object) -> TruePlate:
    corners = np.array([[0.4, 0.5, 0], [0.4, 0, 0], [0, 0, 0], [0, 0.5, 0]])
    force = np.tile([1.0, 2.0, 500.0], (300, 1))
    return TruePlate(corners, force, np.tile([0.2, 0.1, 0.0], (300, 1)), np.zeros(300), **more)  # type: ignore[arg-type]


def test_markers_of_a_file(tmp_path: Path) -> None:
    gaps = {name: marker.copy() for name, marker in MARKERS.items()} | {"LHipAngles": np.zeros((30, 3))}
    gaps["RASI"][4] = np.nan
    made = Made(gaps, point_parameters={"ANGLES": ["LHipAngles"], "Y_SCREEN": ["+Z"]})
    recording = read_c3d(made.write(tmp_path / "a.c3d"))
    assert set(recording.markers) == {"LASI", "RASI"}  # without the subject, the unnamed and what a gait model wrote
    assert recording.angles == ("LHipAngles",)
    assert recording.screen_up == "+z"
    assert recording.rate_hz == 100.0
    np.testing.assert_allclose(recording.markers["LASI"], 0.5, atol=1e-6)
    assert np.flatnonzero(np.isnan(recording.markers["RASI"]).any(axis=1)).tolist() == [4]
    assert recording.plates == ()


def test_the_plate_of_a_file(tmp_path: Path) -> None:
    recording = read_c3d(Made(MARKERS, [plate()]).write(tmp_path / "a.c3d"))
    (found,) = recording.plates
    assert recording.plate_rate_hz == 1000.0
    np.testing.assert_allclose(found.normal, [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(found.point_m, plate().point_m, atol=1e-5)


def test_places_and_moments_are_ezc3d_s_own(tmp_path: Path) -> None:
    """Where a file has one set of units, ezc3d's filter says the same."""
    import ezc3d

    path = Made(MARKERS, [plate()]).write(tmp_path / "a.c3d")
    (found,), theirs = read_c3d(path).plates, ezc3d.c3d(str(path), extract_forceplat_data=True)["data"]["platform"][0]
    np.testing.assert_allclose(found.point_m, theirs["center_of_pressure"].T / 1e3, atol=1e-9)
    np.testing.assert_allclose(found.moment_nm, theirs["Tz"].T / 1e3, atol=1e-9)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Made(MARKERS, unit="furlong"), "POINT:UNITS is 'furlong', an unknown unit: write one of m, dm, cm, mm"),
        (Made(MARKERS, [plate(units=("pound", "Nmm"))]), "the unit of plate 1's force is 'pound', an unknown unit"),
        (Made(MARKERS, [plate(kind=7)]), "cannot be read as a C3D (Type 7 is not supported yet"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, made: Made, said: str) -> None:
    path = made.write(tmp_path / "a.c3d")
    with pytest.raises(EdgeMskError) as error:
        read_c3d(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_no_c3d(tmp_path: Path) -> None:
    for content in (b"", b"time,hip\n0,1\n", b"\2\x50", b"\2\x50" + bytes(2000)):
        (tmp_path / "a.c3d").write_bytes(content)
        with pytest.raises(FileError, match=r"a.c3d: (is not a C3D file|cannot be read as a C3D)"):
            read_c3d(tmp_path / "a.c3d")
    with pytest.raises(FileError, match=r"b.c3d: cannot be read \(No such file"):
        read_c3d(tmp_path / "b.c3d")
    with pytest.raises(FileError, match="Is a directory"):
        read_c3d(tmp_path)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 0.99))
def test_a_truncated_file_is_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.c3d"
    whole = Made(MARKERS, [plate()]).write(path).read_bytes()
    data = len(whole) - 30 * (3 * 16 + 60 * 4)  # where the frames begin
    path.write_bytes(whole[: int(data + share * (len(whole) - data - 1))])
    with pytest.raises(FileError, match=r"cut.c3d: (announces 30 frames and holds|cannot be read as a C3D)"):
        read_c3d(path)


def test_without_ezc3d_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(MissingExtraError, match=r"reading walk.c3d needs the package 'ezc3d': .*edge-msk\[c3d\]"):
        read_c3d(tmp_path / "walk.c3d")


def test_moments_in_no_unit_are_those_of_the_positions(tmp_path: Path) -> None:
    with pytest.raises(TrialError, match="the unit of plate 1's moment is 'inlb'"):
        read_c3d(Made(MARKERS, [Strange(**vars(plate()))]).write(tmp_path / "a.c3d"))


class Strange(TruePlate):
    """A plate whose moments are in a unit of their own."""

    def channels(self, per_metre: float) -> tuple[np.ndarray, list[str], np.ndarray]:
        channels, _, origin = super().channels(per_metre)
        return channels, ["N"] * 3 + ["inlb"] * 3, origin
