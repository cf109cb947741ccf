"""Our static optimisation against a fresh run of OpenSim's, on a recorded walk."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import load_model
from edge.msk.staticopt import share_torque
from edge.trials import TrialSpec, load_trial

LEG = load_model("leg9")


@pytest.fixture(scope="module")
def theirs(data: Path, oracle: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = data / "gait10_walk"
    return oracle.static_optimisation(
        folder / "model.osim", folder / "ik.mot", folder / "external_loads.xml", tmp_path_factory.mktemp("so")
    )


def r2(ours: np.ndarray, reference: np.ndarray) -> float:
    """Pooled over frames and muscles, with each muscle's own mean."""
    return float(1.0 - ((ours - reference) ** 2).sum() / ((reference - reference.mean(axis=0)) ** 2).sum())


@pytest.mark.parametrize("side", ["r", "l"])
def test_compat_on_a_walk(data: Path, theirs: tuple[Any, Any], side: str) -> None:
    activations, forces = theirs
    folder = data / "gait10_walk"
    spec = TrialSpec(kinematics=folder / "ik.mot", external_loads=folder / "external_loads.xml", side=side)
    trial = load_trial(spec, LEG, name="gait10_walk")
    inside = activations.time_s <= trial.end_s + 1e-9
    at = activations.time_s[inside]
    motion = trial.kinematics(at)
    solution = share_torque(HillMuscles.of(LEG, MuscleMode.COMPAT), motion.q, motion.qd, trial.torque(at))
    names = [f"{m}_{side}" for m in LEG.muscle_names]
    reference_a = np.stack([activations.columns[n][inside] for n in names], axis=1)
    reference_f = np.stack([forces.columns[n][inside] for n in names], axis=1)
    activation, force = r2(solution.activation, reference_a), r2(solution.force_n, reference_f)
    worst = min(
        r2(solution.activation[:, [m]], reference_a[:, [m]]) for m in range(9) if np.ptp(reference_a[:, m]) > 0.05
    )
    rmse = np.sqrt(((solution.activation - reference_a) ** 2).mean())
    print(
        f"gait10_walk {side}: R2 activation {activation:.6f} (worst muscle {worst:.5f}, RMSE {rmse:.5f}), force {force:.6f}"
    )
    assert len(at) >= 150
    assert activation >= 0.9999
    assert force >= 0.9999
    assert np.abs(solution.reserve_nm).max() < 0.1
