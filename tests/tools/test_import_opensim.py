import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.cli import cli
from edge.errors import MissingExtraError, ModelError
from edge.msk.chain import joint_centers
from edge.msk.hill import HillMuscles
from edge.msk.model import Model, load_model
from tools.import_opensim import import_limb, muscle_names
from tools.limbs import LIMBS, AnglePlan, Limb
from tools.opensim_limb import OpenSimLimb

LEG = LIMBS["leg"]


@pytest.fixture(scope="module")
def gait10(data: Path, opensim: ModuleType) -> Path:
    return data / "gait10_walk" / "model.osim"


def command(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["import-model", *map(str, arguments)])


def _numbers(node: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of a JSON object by its path."""
    if isinstance(node, dict):
        return {k: v for key, value in node.items() for k, v in _numbers(value, f"{path}.{key}").items()}
    if isinstance(node, list):
        return {k: v for i, value in enumerate(node) for k, v in _numbers(value, f"{path}.{i}").items()}
    return {path: node}


def test_the_packaged_leg_is_what_the_command_makes(gait10: Path, tmp_path: Path) -> None:
    out = tmp_path / "leg9.json"
    result = command(gait10, "--side", "r", "--licence", "CC BY 3.0", "--out", out, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    made, packaged = load_model(out), load_model("leg9")
    assert summary["out"] == str(out)
    assert summary["sha256"] == made.sha256
    assert set(summary["muscles"]) == set(packaged.muscle_names)
    ours, theirs = _numbers(packaged.to_dict()), _numbers(made.to_dict())
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        if key in (".source.file", ".source.software"):
            continue
        if isinstance(value, float):
            rounded = 1e-6 if ".shares." in key else 1e-9
            assert theirs[key] == pytest.approx(value, rel=1e-6, abs=rounded), key
        else:
            assert theirs[key] == value, key
    q = packaged.lower_rad + np.random.default_rng(0).random((200, 3)) * (packaged.upper_rad - packaged.lower_rad)
    for mine, other in zip(packaged.geometry.evaluate(q), made.geometry.evaluate(q), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-9)


def test_left_leg_with_chosen_muscles(gait10: Path, tmp_path: Path) -> None:
    out = tmp_path / "left.json"
    result = command(gait10, "--side", "l", "--muscles", "soleus, glut_max", "--name", "half", "--out", out)
    assert result.exit_code == 0, result.output
    left, right = load_model(out), load_model("leg9")
    assert left.name == "half"
    assert left.muscle_names == ("soleus", "glut_max")
    assert left.source["side"] == "l"
    # The model is symmetric: the same leg, in the order asked for.
    q = right.lower_rad + np.random.default_rng(1).random((50, 3)) * (right.upper_rad - right.lower_rad)
    both = [right.muscle_names.index(m) for m in left.muscle_names]
    np.testing.assert_allclose(left.geometry.evaluate(q)[0], right.geometry.evaluate(q)[0][:, both], atol=2e-3)
    assert [s.mass_kg for s in left.segments] == pytest.approx([s.mass_kg for s in right.segments], rel=1e-6)


def test_joint_centres_masses_and_inertia_are_opensim_s(gait10: Path, opensim: ModuleType) -> None:
    leg = OpenSimLimb(gait10, LEG)
    packaged = load_model("leg9")
    rng = np.random.default_rng(2)
    q = packaged.lower_rad + rng.random((40, 3)) * (packaged.upper_rad - packaged.lower_rad)
    ours = joint_centers(packaged, q, np.zeros(40))
    ground = leg.model.getGround()
    for i, row in enumerate(q):
        leg.set_angles(row)
        hip = leg.origin_in(leg.bodies[0], ground)
        for j in (1, 2):
            np.testing.assert_allclose(ours[i, j], leg.origin_in(leg.bodies[j], ground) - hip, atol=2e-5)
    bodies = leg.model.getBodySet()
    side = [bodies.get(i) for i in range(bodies.getSize()) if bodies.get(i).getName().endswith("_r")]
    assert sum(s.mass_kg for s in packaged.segments) == pytest.approx(sum(b.getMass() for b in side), rel=1e-9)


def _compared(leg: OpenSimLimb, model: Model, limit_mm: float) -> None:
    """Lengths and moment arms against OpenSim at states that the fit never saw."""
    q = model.lower_rad + np.random.default_rng(3).random((150, 3)) * (model.upper_rad - model.lower_rad)
    length, arms = model.geometry.evaluate(q)
    for m, muscle in enumerate(model.muscles):
        true_length, true_arms = leg.path_samples(leg.model.getMuscles().get(f"{muscle.name}_{leg.side}"), q)
        assert np.sqrt(((length[:, m] - true_length) ** 2).mean()) * 1e3 < limit_mm, muscle.name
        assert np.sqrt(((arms[:, m] - true_arms) ** 2).mean()) * 1e3 < limit_mm, muscle.name


def test_a_leg_of_a_3d_model(data: Path, opensim: ModuleType) -> None:
    path = data / "gait2392_walk" / "model.osim"
    model = import_limb(path, LEG, name="g", muscles=muscle_names("rect_fem med_gas soleus bifemsh"))
    leg = OpenSimLimb(path, LEG)
    _compared(leg, model, 0.6)
    assert [j.sign for j in model.joints] == [1.0, 1.0, 1.0]
    assert model.mass_kg == pytest.approx(leg.model.getTotalMass(leg.state))
    bodies = [b for b in leg.model.getBodySet() if b.getName().endswith("_r")]
    assert sum(s.mass_kg for s in model.segments) == pytest.approx(sum(b.getMass() for b in bodies), rel=1e-9)
    assert 0.75 < model.leg_length_m < 0.95
    assert {m.name: m.length.angles for m in model.muscles} == {
        "rect_fem": ("hip", "knee"),
        "med_gas": ("knee", "ankle"),
        "soleus": ("ankle",),
        "bifemsh": ("knee",),
    }


def test_kneecap_coupled_to_the_knee_and_a_knee_of_the_other_sign(data: Path, opensim: ModuleType) -> None:
    """Rajagopal's model: knee flexion is positive, and a constraint moves the kneecap on which the vasti pull."""
    path = data / "walk_12" / "rajagopal2016_generic.osim"
    model = import_limb(path, LEG, name="r", side="l", muscles=muscle_names("vaslat soleus"))
    leg = OpenSimLimb(path, LEG, "l")
    assert [j.sign for j in model.joints] == [1.0, -1.0, 1.0]
    assert len(leg.couplers) == 1
    _compared(leg, model, 0.5)
    # What OpenSim's own assembly, which enforces the constraint, says of the same pose.
    muscle = leg.model.getMuscles().get("vaslat_l")
    for knee in (-0.3, -1.2):
        leg.set_angles([0.0, knee, 0.0])
        leg.model.assemble(leg.state)
        leg.model.realizePosition(leg.state)
        length, arms = model.geometry.evaluate(np.array([0.0, knee, 0.0]))
        assert length[0] == pytest.approx(muscle.getLength(leg.state), abs=1e-3)
        assert arms[0, 1] == pytest.approx(-muscle.computeMomentArm(leg.state, leg.coordinates[1]), abs=1.5e-3)
    _, arms = model.geometry.evaluate(np.array([[0.0, -0.4, 0.0]]))
    assert arms[0, 0, 1] > 0.03  # the vasti extend the knee: positive in our signs
    assert HillMuscles.of(model).evaluate(np.zeros((1, 3)), np.zeros((1, 3))).optimal_force_n.min() > 0.0


def refused(result: Result, out: Path, *said: str) -> None:
    assert result.exit_code == 1
    assert result.stdout == ""
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    for part in said:
        assert part in line
    assert not out.exists()


def test_unknown_muscle(gait10: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    refused(
        command(gait10, "--muscles", "soleus,biceps", "--out", out), out, "has no muscle 'biceps_r': it has hamstrings"
    )


def test_a_muscle_asked_for_twice(gait10: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    refused(command(gait10, "--muscles", "soleus,soleus", "--out", out), out, "muscle 'soleus' is asked for twice")


def test_a_muscle_that_crosses_no_joint_of_the_leg(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    result = command(data / "gait2392_walk" / "model.osim", "--muscles", "ercspn", "--out", out)
    refused(result, out, "muscle 'ercspn_r' crosses none of hip, knee, ankle: leave it out of --muscles")


def test_missing_coordinate(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    refused(
        command(data / "arm26_elbow" / "model.osim", "--out", out),
        out,
        "has no coordinate 'hip_flexion_r'",
        "r_elbow_flex",
    )


@pytest.mark.parametrize(
    ("name", "content"), [("no.osim", None), ("a.osim", b""), ("a.osim", b"\xff\0garbage"), ("a.osim", b"<a/>")]
)
def test_wrong_file(opensim: ModuleType, tmp_path: Path, name: str, content: bytes | None) -> None:
    path, out = tmp_path / name, tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    refused(
        command(path, "--out", out),
        out,
        str(path),
        "no such file" if content is None else "OpenSim cannot load this model",
    )


def test_a_directory(opensim: ModuleType, tmp_path: Path) -> None:
    refused(command(tmp_path, "--out", tmp_path / "a.json"), tmp_path / "a.json", "no such file")


def test_truncated_model(gait10: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.osim"
    path.write_bytes(gait10.read_bytes()[:20000])
    refused(
        command(path, "--out", tmp_path / "a.json"), tmp_path / "a.json", "cut.osim: OpenSim cannot load this model"
    )


def test_output_must_be_json(tmp_path: Path) -> None:
    refused(command("x.osim", "--out", tmp_path / "a.txt"), tmp_path / "a.txt", "a.txt: a model file ends in .json")


def test_wrong_usage() -> None:
    for arguments in ([], ["a.osim"], ["a.osim", "--out", "a.json", "--side", "left"]):
        assert command(*arguments).exit_code == 2


def test_without_opensim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opensim", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edge-msk\[opensim\]'"):
        OpenSimLimb(tmp_path / "a.osim", LEG)


def test_a_coordinate_that_turns_in_no_sagittal_plane(data: Path, opensim: ModuleType) -> None:
    limb = Limb("odd", (AnglePlan("hip", "hip_adduction_{side}", (-20.0, 20.0)),), ("thigh",), (), None)
    with pytest.raises(ModelError, match=r"'hip_adduction_r' turns its body .* it is no flexion of this plane"):
        OpenSimLimb(data / "gait2392_walk" / "model.osim", limb)


def test_rows_out_of_the_plane(data: Path, opensim: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "leg.json"
    path = data / "gait2392_walk" / "model.osim"
    result = command(path, "--rows", "hip_adduction", "--muscles", "glut_med1,soleus", "--out", out)
    assert result.exit_code == 0, result.output
    model = load_model(out)
    assert model.row_names == ("hip", "knee", "ankle", "hip_adduction")
    assert model.muscles[0].length.angles == ("hip", "hip_adduction")
    limb = OpenSimLimb(path, LEG, extra=("hip_adduction",))
    q = np.array([[0.3, -0.5, 0.1, -0.15], [0.0, 0.0, 0.0, 0.1]])
    length, arms = model.geometry.evaluate(q)
    true_length, true_arms = limb.path_samples(limb.model.getMuscles().get("glut_med1_r"), q)
    np.testing.assert_allclose(length[:, 0], true_length, atol=2e-4)
    np.testing.assert_allclose(arms[:, 0], true_arms, atol=5e-4)
    refused(
        command(path, "--rows", "knee_adduction", "--out", tmp_path / "b.json"),
        tmp_path / "b.json",
        "a leg has no angle 'knee_adduction' beside its joints: choose of hip_adduction, hip_rotation, subtalar",
    )


def test_one_joint_hangs_on_the_segment_before_it(data: Path, opensim: ModuleType) -> None:
    """A knee on the thigh: its centre glides in the thigh's frame, whose place and angle come from pelvis and hip."""
    path = data / "walk_12" / "rajagopal2016_generic.osim"
    knee = import_limb(path, LIMBS["knee"], name="k", muscles={})
    leg = import_limb(path, LEG, name="l", muscles={})
    assert [link.coordinate for link in knee.base.links] == ["pelvis_tilt", "hip_flexion_{side}"]
    assert knee.base.links[0].offset_m == pytest.approx(leg.base.links[0].offset_m)
    assert knee.base.links[1].offset_m == (0.0, 0.0)
    np.testing.assert_allclose(knee.joints[0].center.values, leg.joints[1].center.values, atol=1e-12)
    # Shank and foot are one segment, of the length of the shank.
    assert knee.segments[0].mass_kg == pytest.approx(leg.segments[1].mass_kg + leg.segments[2].mass_kg)
    assert "body_mass" not in knee.source
    ankle = leg.joints[2].center.evaluate(np.zeros(()))[0]
    assert knee.leg_length_m == pytest.approx(float(np.hypot(*ankle)))
    assert knee.coordinate_names == ("knee", "hip", "ankle")


def test_an_elbow_and_a_wrist(data: Path, opensim: ModuleType) -> None:
    elbow = import_limb(data / "arm26_elbow" / "model.osim", LIMBS["elbow"], name="e", muscles=muscle_names("BRA"))
    assert elbow.base.position is None
    assert elbow.joints[0].coordinate == "r_elbow_flex"
    assert elbow.segments[0].mass_kg == pytest.approx(1.534315)
    # arm26 holds an arm of 3.4 kg: what the whole body weighs, by which a person's mass is divided, it does not say.
    assert elbow.mass_kg == load_model("elbow6").mass_kg == 75.0
    assert elbow.source["body_mass"] == load_model("elbow6").source["body_mass"]
    assert -elbow.joints[0].center.values[0, 1] == pytest.approx(0.2904, abs=1e-3)  # the upper arm's length
    wrist = import_limb(
        data / "wrist_emg" / "wrist.osim", LIMBS["wrist"], name="w", muscles=muscle_names("ECU=ECU_pre-surgery")
    )
    assert wrist.muscle_names == ("ECU",)
    assert wrist.source["segment_masses"].startswith("de Leva 1996")
    assert wrist.segments[0].mass_kg == pytest.approx(0.0061 * 75.0)
    assert wrist.source["body_mass"].startswith("75 kg, assumed")
