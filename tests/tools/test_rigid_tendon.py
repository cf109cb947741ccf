"""What the rigid tendon costs on a recorded walk, as docs/physics.md states it."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge.errors import TrialError
from edge.msk.model import load_model
from edge.trials import TrialSpec, load_trial
from tools.bench.rigid_tendon import compare, main, table

LEG = load_model("leg9")


def test_long_tendons_cost_most(data: Path) -> None:
    folder = data / "gait10_walk"
    spec = TrialSpec(kinematics=folder / "ik.mot", external_loads=folder / "external_loads.xml", end_s=1.2)
    comparison = compare(load_trial(spec, LEG, name="gait10_walk"))
    rms = dict(zip(LEG.muscle_names, np.sqrt((comparison.force**2).mean(axis=0)), strict=True))
    assert max(rms["glut_max"], rms["bifemsh"]) < 0.003
    assert 0.01 < rms["gastroc"] < 0.06
    assert rms["gastroc"] in sorted(rms.values())[-2:]
    torque_rms = np.sqrt((comparison.torque_nm**2).mean(axis=0))
    assert np.all((torque_rms > 0.5) & (torque_rms < 8.0))
    text = table(LEG, [comparison])
    assert f"| gastroc | 4.0 | {comparison.rigid_force[:, 6].max():.2f} | {rms['gastroc']:.3f} |" in text
    assert [line.split(" | ")[0] for line in text.splitlines()[-3:]] == ["| hip", "| knee", "| ankle"]


def test_without_ground_reaction_there_is_nothing_to_compare(data: Path) -> None:
    spec = TrialSpec(kinematics=data / "gait10_walk" / "ik.mot")
    with pytest.raises(TrialError, match="no ground reaction"):
        compare(load_trial(spec, LEG, name="gait10_walk"))


def test_command_takes_a_trials_file(data: Path, tmp_path: Path) -> None:
    folder = data / "gait10_walk"
    trials = tmp_path / "trials.toml"
    trials.write_text(
        f'[[trial]]\nkinematics = "{folder / "ik.mot"}"\nexternal_loads = "{folder / "external_loads.xml"}"\nend_s = 0.8\n'
    )
    result = CliRunner().invoke(main, [str(trials), "--curves", "millard2013", "--tendon-strain", "0.1"])
    assert result.exit_code == 0, result.output
    assert "| soleus | 5.0 |" in result.output
