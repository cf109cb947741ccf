"""Generated movements of the elbow."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from train.experiments.elbow import reaches, sweep


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1.0, 30.0))
def test_reaches_are_smooth_within_the_joint_s_range_and_differ(seed: int, seconds: float) -> None:
    time, angle = reaches(seconds, seed)
    assert len(time) == len(angle) == round(seconds * 100.0)
    assert angle.min() >= 0.0
    assert angle.max() <= np.radians(125.0) + 1e-12
    # Least jerk: at most 1.875 times the mean speed of the fastest reach.
    rate = np.abs(np.diff(angle)) * 100.0
    assert rate.max() <= 1.875 * np.radians(125.0) / 0.5 + 1e-6
    assert np.abs(np.diff(rate)).max() < 1.0
    np.testing.assert_array_equal(angle, reaches(seconds, seed)[1])
    assert not np.array_equal(angle, reaches(seconds, seed + 1)[1])


def test_a_sweep_becomes_faster() -> None:
    time, angle = sweep()
    crossings = time[1:][np.diff(angle > np.radians(60.0))]
    steps = np.diff(crossings)
    assert steps[0] > 1.2
    assert steps[-1] < 0.6
    assert 0.0 < angle.min() < angle.max() < np.radians(125.0)
