import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edge.errors import EdgeMskError, FileError, MissingExtraError, TrialError
from edge.storage import Table, read_table

WALK, TRIAL = "walk_12/2014001", "C4_05"
LEGS = ("pelvis", "hip", "knee", "ankle")
ROWS = np.arange(0, 156, 31)  # of the recording: a frame takes a fifth of a second


@pytest.fixture
def person(data: Path, opensim: object) -> Path:
    return data / WALK


def few(path: Path, rows: np.ndarray = ROWS) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Some frames of the recording's markers, in our axes."""
    pytest.importorskip("ezc3d", reason="ezc3d is not installed: pip install 'edge-msk[c3d]'")
    from edge.c3d import read_c3d
    from edge.laboratory import find_axes, markers

    recording = read_c3d(path)
    found = markers(recording, find_axes(recording))
    return rows / recording.rate_hz, {name: places[rows] for name, places in found.items()}


def legs(table: Table) -> np.ndarray:
    return table.data[:, [i for i, name in enumerate(table.columns) if name.startswith(LEGS)]]


def test_the_answer_is_opensim_s(person: Path) -> None:
    """OpenSim's own tool, at its default accuracy, stops up to 1.6 deg from the best posture: hence the tolerance."""
    from tools.inverse_kinematics import solve

    time, markers = few(person / f"{TRIAL}.c3d")
    osim, setup = person / "model_without_muscles.osim", person / f"{TRIAL}_ikSetup.xml"
    ours = solve(person / f"{TRIAL}.c3d", time, markers, osim, setup=setup)
    theirs = read_table(person / f"{TRIAL}_ik_full.mot")
    assert ours.columns == theirs.columns
    assert ours.in_degrees is True
    at = np.searchsorted(theirs.time_s, time - 1e-6)
    difference = legs(ours) - legs(theirs)[at]
    assert np.abs(difference).max() < 1.6
    assert np.sqrt((difference**2).mean()) < 0.35
    beta = ours.columns.index("knee_angle_r_beta")
    np.testing.assert_allclose(ours.data[:, beta], np.radians(ours.column("knee_angle_r")), atol=1e-6)  # in radians


def test_a_c3d_and_a_trc_of_one_recording(person: Path, tmp_path: Path) -> None:
    from c3d_files import Made

    from tools.inverse_kinematics import from_c3d, from_trc

    time, markers = few(person / f"{TRIAL}.c3d", np.arange(0, 160, 40))
    lab = {name: np.stack([-p[:, 0], p[:, 2], p[:, 1]], axis=1) for name, p in markers.items()}  # forward -x, up z
    made = Made(lab, rate_hz=2.5, point_parameters={"Y_SCREEN": ["+Z"]}).write(tmp_path / "walk.c3d")
    lines = (person / f"{TRIAL}.trc").read_text().splitlines()
    cut = [*lines[:5], *(lines[i] for i in range(5, len(lines)) if lines[i].split("\t")[0] in {"1", "41", "81", "121"})]
    cut[2] = cut[2].replace("\t156\t", "\t4\t", 1)
    (tmp_path / "walk.trc").write_text("\n".join(cut) + "\n")
    osim, setup = person / "model_without_muscles.osim", person / f"{TRIAL}_ikSetup.xml"
    one = from_c3d(made, osim, setup=setup)
    other = from_trc(tmp_path / "walk.trc", osim, setup=setup)
    np.testing.assert_allclose(one.time_s, other.time_s, atol=1e-9)
    np.testing.assert_allclose(other.time_s, time, atol=1e-9)
    np.testing.assert_allclose(legs(one), legs(other), atol=0.05)


def test_markers_that_cannot_be_used(person: Path) -> None:
    from tools.inverse_kinematics import solve

    time, markers = few(person / f"{TRIAL}.c3d")
    blind = np.arange(len(ROWS))[:, None] == 2
    # Every other marker of a person who stands elsewhere.
    torn = {name: (place + (0.8 if i % 2 else -0.8))[:1] for i, (name, place) in enumerate(markers.items())}
    cases: list[tuple[Mapping[str, np.ndarray], str]] = [
        ({"chin": markers["L_IAS"]}, "its markers (chin, ...) are not those of model_without_muscles.osim"),
        ({n: np.where(blind, np.nan, p) for n, p in markers.items()}, "fewer than 3 markers are seen at 0.62 s"),
        (torn, "the markers stay"),
    ]
    for spoilt, said in cases:
        frames = len(next(iter(spoilt.values())))
        with pytest.raises(TrialError) as error:
            solve(person / f"{TRIAL}.c3d", time[:frames], spoilt, person / "model_without_muscles.osim")
        assert said in str(error.value)
        assert "\n" not in str(error.value)


def test_a_marker_that_is_hidden_for_a_while(person: Path) -> None:
    from tools.inverse_kinematics import solve

    time, markers = few(person / f"{TRIAL}.c3d", ROWS[:3])
    markers["R_TTC"][1] = np.nan
    osim, setup = person / "model_without_muscles.osim", person / f"{TRIAL}_ikSetup.xml"
    hidden = solve(person / f"{TRIAL}.c3d", time, markers, osim, setup=setup)
    assert np.isfinite(hidden.data).all()


def test_files_that_cannot_be_used(person: Path, tmp_path: Path) -> None:
    from tools.inverse_kinematics import from_trc

    trc, osim = tmp_path / "walk.trc", person / "model_without_muscles.osim"
    good = (person / f"{TRIAL}.trc").read_text()
    for text, said in [
        ("", "not a .trc file"),
        ("time,a\n0,1\n", "not a .trc file"),
        (good[: len(good) // 2], r"announces 156 frames and holds \d+: it is truncated"),
        (good.replace("\tmm\t", "\tfoot\t", 1), "Units is 'foot'"),
        (good.replace("-1209.2258", "abc", 1), "line 7 holds what is not a number"),
        (good.replace("\n2\t0.01\t", "\n2\t0.0\t", 1), "time does not increase"),
    ]:
        trc.write_text(text)
        with pytest.raises(EdgeMskError, match=said):
            from_trc(trc, osim)
    trc.write_text(good)
    with pytest.raises(FileError, match=r"no.osim: no such file"):
        from_trc(trc, tmp_path / "no.osim")
    (tmp_path / "bad.osim").write_text("<OpenSimDocument")
    with pytest.raises(FileError, match=r"bad.osim: OpenSim cannot load this model"):
        from_trc(trc, tmp_path / "bad.osim")
    (tmp_path / "setup.xml").write_text("<no")
    with pytest.raises(FileError, match=r"setup.xml: not valid settings of inverse kinematics"):
        from_trc(trc, osim, setup=tmp_path / "setup.xml")


def test_without_opensim_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools.inverse_kinematics import solve

    monkeypatch.setitem(sys.modules, "opensim", None)
    with pytest.raises(
        MissingExtraError, match=r"inverse kinematics of markers needs the package 'opensim': .*edge-msk\[opensim\]"
    ):
        solve(tmp_path / "a.c3d", np.zeros(1), {"a": np.zeros((1, 3))}, tmp_path / "a.osim")
