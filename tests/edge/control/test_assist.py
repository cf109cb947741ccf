import math

import numpy as np
import pytest

from edge.control.assist import ProportionalAssist


def test_wanted_is_gain_times_the_torque_of_the_joints_row() -> None:
    assist = ProportionalAssist((0.1, 0.5), rows=(0, 2))
    assert assist.wanted(np.array([10.0, 99.0, -4.0])) == (1.0, -2.0)
    assert assist.enabled


def test_zero_gain_asks_for_nothing() -> None:
    assist = ProportionalAssist((0.0, 0.0), rows=(0, 1))
    assert assist.wanted([12.0, -3.0]) == (0.0, 0.0)
    assert not assist.enabled


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_estimate_stays_visible_even_without_gain(bad: float) -> None:
    assert not math.isfinite(ProportionalAssist((0.0,), rows=(0,)).wanted([bad])[0])


def test_one_gain_per_joint() -> None:
    with pytest.raises(ValueError, match="2 gains for 1 joints"):
        ProportionalAssist((0.1, 0.1), rows=(0,))
