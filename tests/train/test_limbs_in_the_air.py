"""Training and evaluating limbs that stand on no ground, and people who carry something."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trial_files import table
from walking import CHEAP, run

from edge.bundle import Bundle
from edge.errors import TrialError
from edge.msk.model import load_model
from edge.trials import load_trials
from train.evaluate import require_torques


def curls(folder: Path, *extra: str) -> Path:
    """Trials of one person's curls of the elbow, each with a text of its own."""
    t = np.arange(401) / 100.0
    columns = {"time": t, "r_shoulder_elev": 5.0 * np.sin(3.0 * t), "r_elbow_flex": 60.0 - 50.0 * np.cos(4.0 * t)}
    (folder / "curl.mot").write_text(table(columns))
    path = folder / "trials.toml"
    path.write_text(
        "".join(f'[[trial]]\nkinematics = "curl.mot"\nsubject = "s01"\n{text}\n' for text in extra or ("",))
    )
    return path


def trained(folder: Path, trials: Path, *options: str) -> Bundle:
    out = folder / "arm.msk"
    code, _, stderr = run(
        *("train", "--model", "elbow6", "--trials", str(trials), "--steps", "3", "--out", str(out), *CHEAP, *options)
    )
    assert code == 0, stderr
    return Bundle.read(out)


@pytest.mark.parametrize("head", ["residual", "contact", "activation"])
def test_an_arm_is_trained_and_evaluated(tmp_path: Path, head: str) -> None:
    trials = curls(tmp_path, 'mass_kg = 80\ncontact = "none"')
    bundle = trained(tmp_path, trials, "--head", head)
    assert (bundle.manifest.subject, bundle.model.name, bundle.model.mass_kg) == ("s01", "elbow6", 80.0)
    code, stdout, stderr = run(
        "evaluate", str(tmp_path / "arm.msk"), "--trials", str(trials), "--baselines", str(trials), "--json"
    )
    assert code == 0, stderr
    figures = json.loads(stdout)
    assert figures["frames"] > 300
    if head in ("residual", "contact"):
        # Nothing is left to the network: the equation of motion knows all of the torque.
        assert figures["torque_rmse_nm"]["elbow"] < 0.5
        assert figures["pooled"]["activation_r2"] > 0.9


@pytest.mark.usefixtures("quick_export")
def test_a_load_makes_no_other_person(tmp_path: Path) -> None:
    """The bundle has the arm as it is without the load, in whichever order the trials stand."""
    own = load_model("elbow6")
    load = "load_kg = 4.5\nload_at_m = [0.0, -0.3]"
    for extra in (("", load), (load, "")):
        bundle = trained(tmp_path, curls(tmp_path, *extra))
        assert bundle.manifest.subject == "s01"
        assert bundle.model.sha256 == own.sha256
    assert trained(tmp_path, curls(tmp_path, load)).model.segments[0].mass_kg == own.segments[0].mass_kg + 4.5
    heavier = curls(tmp_path, "mass_kg = 70", "mass_kg = 80\n" + load)
    code, _, stderr = run("train", "--model", "elbow6", "--trials", str(heavier), "--out", str(tmp_path / "x.msk"))
    assert code == 1
    assert "trial 2: subject 's01' has 80 kg" in stderr


def test_torques_may_be_given_in_place_of_the_ground_reaction(trials: Path) -> None:
    known, _ = load_trials(trials, load_model("leg9"))
    bare = replace(known, ground_reaction=None)
    with pytest.raises(TrialError, match=r"joint torques, which training needs, are not known .*`torque`, or contact"):
        require_torques([known, bare], "training")
    given = {row: (bare.time_s, np.zeros(len(bare.time_s))) for row in bare.model.joint_names}
    require_torques([known, replace(bare, torques=given), replace(bare, touches_nothing=True)], "training")
    del given["knee"]
    with pytest.raises(TrialError, match="are not known"):
        require_torques([replace(bare, torques=given)], "training")
