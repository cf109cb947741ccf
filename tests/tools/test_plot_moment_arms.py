from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner, Result
from drawn_text import badly_placed, texts

from edge.cli import cli
from edge.errors import ConfigError, ModelError
from edge.msk.model import load_model
from tools.plots.moment_arms import (
    Points,
    Sweep,
    crossings,
    draw_moment_arms,
    held_angles,
    sweep,
)
from tools.plots.sheet import Sheet, draw

LEG = load_model("leg9")
ZERO = np.zeros(len(LEG.coordinate_names))


def arms(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["plot", "moment-arms", *map(str, arguments)])


def drawn(sweeps: list[Sweep], tmp_path: Path, *, lengths: bool = True, width_mm: float = 183.0) -> Sheet:
    return draw(
        lambda: draw_moment_arms(sweeps, lengths=lengths, width_mm=width_mm, note="leg9"), tmp_path / "a.png", 60.0
    )


def test_every_muscle_over_every_joint_that_it_crosses(tmp_path: Path) -> None:
    told = json.loads(arms("--out", tmp_path / "a.png", "--json").stdout)
    expected = {row: {m.name for m in LEG.muscles if row in m.length.angles} for row in LEG.row_names}
    assert {row: set(muscles) for row, muscles in told["errors"].items()} == expected
    assert told["panels"] == 2 * sum(map(len, expected.values()))
    assert told["model"] == "leg9"


def test_chosen_rows_and_muscles_in_their_order_without_lengths(tmp_path: Path) -> None:
    result = arms(
        "--row", "ankle,knee", "--muscles", "soleus,gastroc", "--no-length", "--out", tmp_path / "a.png", "--json"
    )
    told = json.loads(result.stdout)
    assert [(row, list(muscles)) for row, muscles in told["errors"].items()] == [
        ("ankle", ["soleus", "gastroc"]),
        ("knee", ["gastroc"]),
    ]
    assert told["panels"] == 3


def test_the_lines_are_the_geometry_in_degrees_and_mm_with_the_others_held(tmp_path: Path) -> None:
    held = held_angles(LEG, {"hip": 20.0, "knee": -60.0})
    s = sweep(LEG, "knee", "rect_fem", held, None)
    sheet = drawn([s], tmp_path)
    (arm,), (length,) = sheet.axes
    m, knee = LEG.muscle_names.index("rect_fem"), LEG.coordinate_names.index("knee")
    line = next(ln for ln in arm.lines if len(np.asarray(ln.get_xdata())) > 2)
    degrees = np.asarray(line.get_xdata())
    assert (degrees[0], degrees[-1]) == pytest.approx(tuple(np.degrees(LEG.joints[knee].range_rad)))
    for i in (0, 60, 180):
        q = np.zeros(len(LEG.coordinate_names))
        q[LEG.coordinate_names.index("hip")] = np.radians(20.0)
        q[knee] = np.radians(degrees[i])
        true_length, true_arms = LEG.geometry.evaluate(q)
        assert np.asarray(line.get_ydata())[i] == pytest.approx(1e3 * true_arms[m, knee])
        assert np.asarray(length.lines[0].get_ydata())[i] == pytest.approx(1e3 * true_length[m])


def test_the_arm_is_minus_the_slope_of_the_length_that_is_drawn() -> None:
    s = sweep(LEG, "ankle", "soleus", ZERO, None)
    slope = np.gradient(s.line.length_m, s.line.angle_rad)
    np.testing.assert_allclose(s.line.arm_m[1:-1], -slope[1:-1], atol=1e-5)


def test_errors_in_mm_of_points_made_by_hand(tmp_path: Path) -> None:
    angle = np.radians([-20.0, -10.0, -5.0, 0.0, 30.0])
    m, ankle = LEG.muscle_names.index("soleus"), LEG.coordinate_names.index("ankle")
    q = np.zeros((5, len(LEG.coordinate_names)))
    q[:, ankle] = angle
    length, arm = LEG.geometry.evaluate(q)
    off_length, off_arm = np.array([0, 0, 1, 0, 0]) * 1e-3, np.array([3, -4, 0, 0, 0]) * 1e-3
    points = Points(angle, length[:, m] - off_length, arm[:, m, ankle] + off_arm)
    s = sweep(LEG, "ankle", "soleus", ZERO, points)
    assert s.errors_mm == pytest.approx(
        {
            "length_rms_mm": np.sqrt(1.0 / 5.0),
            "length_max_mm": 1.0,
            "moment_arm_rms_mm": np.sqrt(25.0 / 5.0),
            "moment_arm_max_mm": 4.0,
        },
        rel=1e-6,
    )
    sheet = drawn([s], tmp_path)
    words = {t.get_text() for t in texts(sheet.figure)}
    assert {"RMS 2.24, max 4.00 mm", "RMS 0.45, max 1.00 mm", "OpenSim", "soleus"} <= words
    markers = next(ln for ln in sheet.axes[0][0].lines if ln.get_marker() == "o")
    np.testing.assert_allclose(np.asarray(markers.get_ydata()), 1e3 * points.arm_m)
    np.testing.assert_allclose(np.asarray(markers.get_xdata()), np.degrees(points.angle_rad))


def test_lengths_of_a_row_span_the_same_and_arms_share_their_scale(tmp_path: Path) -> None:
    sweeps = [sweep(LEG, row, muscle, ZERO, None) for row, muscle in crossings(LEG, ["knee"], LEG.muscle_names)]
    sheet = drawn(sweeps, tmp_path)
    assert len({ax.get_ylim() for ax in sheet.axes[0]}) == 1
    spans = [high - low for low, high in (ax.get_ylim() for ax in sheet.axes[1])]
    np.testing.assert_allclose(spans, spans[0])
    for ax in sheet.axes[1]:
        y = np.asarray(ax.lines[0].get_ydata())
        assert ax.get_ylim()[0] <= y.min() < y.max() <= ax.get_ylim()[1]


@pytest.mark.parametrize("width_mm", [89.0, 183.0])
def test_words(width_mm: float, tmp_path: Path) -> None:
    points = Points(np.radians([-100.0, -50.0, 0.0]), np.full(3, 0.3), np.full(3, 0.02))
    pairs = crossings(LEG, LEG.row_names, LEG.muscle_names)
    sheet = drawn([sweep(LEG, row, muscle, ZERO, points) for row, muscle in pairs], tmp_path, width_mm=width_mm)
    assert badly_placed(sheet.figure) == []
    words = {t.get_text() for t in texts(sheet.figure)}
    assert {
        "Knee: moment arm",
        "Knee: muscle-tendon length",
        "knee angle (deg), extension positive",
        "rect fem",
    } <= words


def test_unknown_names() -> None:
    with pytest.raises(ModelError, match="has no muscle 'biceps': it has hamstrings"):
        crossings(LEG, ["knee"], ["biceps"])
    with pytest.raises(ModelError, match="has no angle 'wrist': it has hip, knee, ankle"):
        crossings(LEG, ["wrist"], ["soleus"])
    with pytest.raises(ModelError, match="none of soleus crosses hip"):
        crossings(LEG, ["hip"], ["soleus"])
    with pytest.raises(ModelError, match="has no angle 'elbow'"):
        held_angles(LEG, {"elbow": 1.0})
    with pytest.raises(ConfigError, match=r"--at knee=40: outside the range of the model 'leg9', .* to 10 deg"):
        held_angles(LEG, {"knee": 40.0})


@pytest.mark.parametrize("at", ["hip", "hip=x", "hip=nan", "=3", "hip=1,hip=2"])
def test_angles_that_are_none(at: str, tmp_path: Path) -> None:
    assert arms("--at", at, "--out", tmp_path / "a.png").exit_code == 2


def test_the_held_angles_are_told(tmp_path: Path) -> None:
    result = arms("--row", "knee", "--at", "hip=20", "--out", tmp_path / "a.svg", "--json")
    assert json.loads(result.stdout)["at_deg"] == {"hip": 20.0}
    assert "leg9, the other angles at hip 20° (the rest at 0)" in (tmp_path / "a.svg").read_text()


def test_opensim_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = arms("--osim", tmp_path / "a.osim", "--out", tmp_path / "a.png")
    assert result.exit_code == 1
    assert "edge-msk plot moment-arms --osim needs the package 'opensim'" in result.stderr
    assert "pip install 'edge-msk[opensim]'" in result.stderr


def test_points_are_opensim_s(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    """Against OpenSim asked directly, at the ends and the middle of the ankle's range."""
    from tools.plots.opensim_points import STEPS, opensim_points

    osim = data / "gait10_walk" / "model.osim"
    held = held_angles(LEG, {"knee": -30.0})
    (points,) = opensim_points(osim, LEG, "r", [("ankle", "gastroc")], {}, held)
    model = opensim.Model(str(osim))
    state = model.initSystem()
    coordinates, muscle = model.getCoordinateSet(), model.getMuscles().get("gastroc_r")
    coordinates.get("knee_angle_r").setValue(state, np.radians(-30.0))
    ankle = coordinates.get("ankle_angle_r")
    low, high = LEG.joints[2].range_rad
    for i, angle in ((0, low), (STEPS // 2, (low + high) / 2.0), (STEPS - 1, high)):
        ankle.setValue(state, angle)
        model.realizePosition(state)
        assert points.angle_rad[i] == pytest.approx(angle)
        assert points.length_m[i] == pytest.approx(muscle.getLength(state), abs=1e-9)
        assert points.arm_m[i] == pytest.approx(muscle.computeMomentArm(state, ankle), abs=1e-9)


def test_leg9_against_the_model_it_was_made_from(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    osim = data / "gait10_walk" / "model.osim"
    for side in ("r", "l"):
        result = arms("--osim", osim, "--side", side, "--row", "ankle", "--out", tmp_path / "a.png", "--json")
        assert result.stderr == ""
        errors = json.loads(result.stdout)["errors"]["ankle"]
        assert set(errors) == {"gastroc", "soleus", "tib_ant"}
        for muscle in errors.values():
            assert muscle["moment_arm_rms_mm"] <= muscle["moment_arm_max_mm"] < 1.0
            assert 0.0 < muscle["length_rms_mm"] <= muscle["length_max_mm"] < 0.5
    told = arms("--osim", osim, "--row", "ankle", "--muscles", "soleus", "--out", tmp_path / "a.png").stdout
    assert "ankle          soleus           moment arm RMS " in told


def test_a_muscle_under_another_name(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    osim = data / "gait2392_walk" / "model.osim"
    wanted = ["--osim", osim, "--row", "ankle", "--out", tmp_path / "a.png", "--json"]
    missing = arms(*wanted, "--muscles", "gastroc")
    assert missing.exit_code == 1
    assert "has no muscle 'gastroc_r': it has glut_med1_r, " in missing.stderr
    assert "--muscles gastroc=..." in missing.stderr
    assert not (tmp_path / "a.png").exists()
    result = arms(*wanted, "--muscles", "gastroc=med_gas")
    # Another person's muscle: some mm off, and said so.
    assert "is not the file that 'leg9' was made from" in result.stderr
    found = json.loads(result.stdout)
    assert 0.5 < found["errors"]["ankle"]["gastroc"]["moment_arm_max_mm"] < 30.0


def test_an_opensim_model_of_another_limb(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    result = arms("--osim", data / "arm26_elbow" / "model.osim", "--out", tmp_path / "a.png")
    assert result.exit_code == 1
    assert "has no coordinate 'hip_flexion_r'" in result.stderr


def test_no_opensim_model(opensim: ModuleType, tmp_path: Path) -> None:
    result = arms("--osim", tmp_path / "no.osim", "--out", tmp_path / "a.png")
    assert result.exit_code == 1
    assert "no.osim: no such file" in result.stderr
