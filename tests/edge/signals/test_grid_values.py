from __future__ import annotations

import numpy as np

from edge.signals.grid_values import AnglesAndBase
from edge.signals.hookup import Hookup, Source
from edge.signals.intake import pelvis_channels

JOINTS, SEGMENTS = ("hip", "knee", "ankle"), ("pelvis", "thigh", "shank", "foot")


def test_angles_of_two_boards_come_in_the_models_order() -> None:
    sources = [Source("a:", ("ankle", "hip")), Source("b:", ("pelvis", "knee"))]
    values = AnglesAndBase(Hookup(JOINTS, SEGMENTS, sources), 9.81)
    assert values.widths == (2, 1, 4)
    imu = pelvis_channels(0.2, 1.5, np.array([0.5, -0.25]), 9.81)
    parts = [values.read(0, 0, (0.3, 0.1)), values.read(1, 0, (0.2,)), values.read(2, 0, imu)]
    q, rate = values.to_kinematics(np.concatenate(parts))
    np.testing.assert_allclose(q, [0.1, 0.2, 0.3, 0.2, 0.5, -0.25], atol=1e-12)
    np.testing.assert_allclose(rate, [np.nan, np.nan, np.nan, 1.5, np.nan, np.nan], atol=1e-12)


def test_in_the_usual_order_nothing_is_copied() -> None:
    values = AnglesAndBase(Hookup(JOINTS, SEGMENTS, [Source()]), 9.81)
    grid = np.arange(7.0)
    q, rate = values.to_kinematics(grid)
    assert np.shares_memory(q, grid)
    np.testing.assert_array_equal(q, np.arange(6.0))
    assert rate[3] == 6.0
