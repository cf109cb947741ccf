"""Joint centres and axes in space, and on the plane of the walk."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge.storage import read_table


@pytest.fixture(scope="module")
def centers(opensim: ModuleType) -> ModuleType:
    return importlib.import_module("tools.projected_centers")


def test_projection_keeps_what_lies_in_the_plane(centers: ModuleType) -> None:
    forward = np.array([0.6, 0.0, 0.8])
    right = centers.rightward(forward)
    np.testing.assert_allclose(centers.rightward(np.array([1.0, 0.0, 0.0])), [0.0, 0.0, 1.0])  # OpenSim's ground
    vectors = np.array([2.0 * forward, [0.0, 3.0, 0.0], 5.0 * right])
    np.testing.assert_allclose(centers.project(vectors, forward), [[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]], atol=1e-15)


@pytest.mark.parametrize("side", ["r", "l"])
def test_a_leg_in_space(data: Path, centers: ModuleType, side: str) -> None:
    folder = data / "overground_s01"
    table = read_table(folder / "ik.mot")
    at = np.linspace(1.2, 2.3, 12)
    leg = centers.joint_centers_3d(folder / "model.osim", table, side, at)
    chain = centers.project(leg.chain_m, leg.heading())
    assert chain.shape == (12, 4, 2)
    assert (np.diff(chain[:, :3, 1], axis=1) < -0.1).all()  # hip above knee above ankle
    toes_ahead = chain[:, 3, 0] - chain[:, 2, 0]
    assert np.all((toes_ahead > -0.05) & (toes_ahead < 0.25))
    # The shank is rigid and the ankle's centre is fixed in it.
    shank = np.linalg.norm(leg.ankle_m - leg.knee_m, axis=1)
    assert np.ptp(shank) < 1e-6
    # The hip's flexion axis is the pelvis's rightward one, whichever way the pelvis turns.
    np.testing.assert_allclose(leg.turn_axes[:, 0], leg.pelvis_axes[:, :, 2], atol=1e-9)
    assert np.abs(leg.headings() @ leg.heading()).min() > 0.97
    # Rajagopal's knee flexes the other way, and couples turns to its angle: its axis is longer than one.
    assert (leg.turn_axes[:, 1] @ centers.rightward(leg.heading()) < -0.9).all()
    assert np.linalg.norm(leg.turn_axes[:, 1], axis=1).max() > 1.01
    # The ankle's axis is oblique (Inman 1976): 12 degrees off the plane's normal in the model.
    np.testing.assert_allclose(np.linalg.norm(leg.turn_axes[:, 2], axis=1), 1.0, atol=1e-9)


def test_recorded_and_filtered_movement_are_nearly_the_same(data: Path, centers: ModuleType) -> None:
    folder = data / "squats"
    table = read_table(folder / "walking1_ik.mot")
    recorded = centers.joint_centers_3d(folder / "model.osim", table, "r")
    assert len(recorded.time_s) == len(table.time_s)
    filtered = centers.joint_centers_3d(folder / "model.osim", table, "r", table.time_s[20:30])
    assert 1e-5 < np.abs(filtered.toes_m - recorded.toes_m[20:30]).max() < 0.02
