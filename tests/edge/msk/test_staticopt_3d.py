"""Our solver on OpenSim's moment arms, strengths and torques, against fresh runs of its static optimisation in 3-D."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge.msk.staticopt import solve

# A stride of the right leg (s), and every how many frames of it.
STRIDES = {
    "gait2392_walk": (0.6, 1.8, 5),
    "treadmill_60s": (11.4, 12.5, 4),
    "overground_s01": (1.2, 2.3, 8),
    "overground_s04": (1.4, 2.5, 8),
}


@pytest.mark.parametrize("name", STRIDES)
def test_every_row_of_a_walking_leg(data: Path, opensim: ModuleType, tmp_path: Path, name: str) -> None:
    oracle_3d, state, trials = (importlib.import_module(f"tools.opensim_oracle_{m}") for m in ("3d", "state", "trials"))
    start, end, every = STRIDES[name]
    prepared = oracle_3d.prepare(trials.trials_3d(data)[name].within(start, end), tmp_path)
    theirs = oracle_3d.static_optimisation_3d(prepared, every=every)
    torque = state.leg_torques(prepared, oracle_3d.inverse_dynamics_3d(prepared).at(theirs.time_s))
    leg = state.leg_state(prepared, theirs.time_s)
    assert leg.muscles == theirs.muscles
    assert leg.rows == theirs.rows
    activation, reserve = solve(leg.moment_arm_m, leg.optimal_force_n, torque)
    error = activation - theirs.activation
    rmse = float(np.sqrt((error**2).mean()))
    force_rmse = float(np.sqrt(((activation * leg.optimal_force_n - theirs.force_n) ** 2).mean()))
    print(
        f"{name}: {len(theirs.time_s)} frames, {len(leg.muscles)} muscles, {len(leg.rows)} rows: activation RMSE {rmse:.1e} "
        f"(max {np.abs(error).max():.1e}), force RMSE {force_rmse:.3f} N"
    )
    assert len(theirs.time_s) >= 12
    assert len(leg.muscles) >= 40
    assert len(leg.rows) == (5 if name.startswith("overground") else 6)
    assert np.ptp(theirs.activation, axis=0).max() > 0.5  # a stride, not a rest
    assert rmse <= 1e-4
    assert force_rmse <= 0.1
    assert np.abs(reserve - theirs.reserve_nm).max() < 1e-3


def test_both_rows_of_an_arm(data: Path, oracle: ModuleType, tmp_path: Path) -> None:
    state = importlib.import_module("tools.opensim_oracle_state")
    model, kinematics = data / "arm26_elbow" / "model.osim", data / "arm26_elbow" / "ik.mot"
    rows = ("r_shoulder_elev", "r_elbow_flex")
    activation, force = oracle.static_optimisation(model, kinematics, None, tmp_path, every=3)
    torque = oracle.by_coordinate(oracle.inverse_dynamics(model, kinematics, None, tmp_path)).at(activation.time_s)
    arm = state.muscle_state(model, kinematics, activation.time_s, rows)
    ours, _ = solve(arm.moment_arm_m, arm.optimal_force_n, torque.stack(rows))
    figures = []
    for mine, theirs in ((ours, activation), (ours * arm.optimal_force_n, force)):
        reference = theirs.stack(arm.muscles)
        figures.append(1.0 - ((mine - reference) ** 2).sum() / ((reference - reference.mean(axis=0)) ** 2).sum())
    rmse = np.sqrt(((ours - activation.stack(arm.muscles)) ** 2).mean())
    print(f"arm26_elbow: R2 activation {figures[0]:.7f} (RMSE {rmse:.1e}), force {figures[1]:.7f}")
    assert len(activation.time_s) >= 40
    assert min(figures) >= 0.9999
