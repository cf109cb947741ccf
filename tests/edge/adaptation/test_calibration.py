"""Measured torques."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_adaptable import ROWS, TAPS, answers_of, taps_of, tiny_adaptable, walking

from edge.adaptation.calibration import calibrate
from edge.errors import TrialError

CORRECTION = np.random.default_rng(7).normal(0.0, 0.5, (TAPS, ROWS))


def masks(count: int) -> tuple[np.ndarray, np.ndarray]:
    number = np.arange(count)
    return number < 0.7 * count, number >= 0.8 * count


def test_measured_torques_bring_the_error_down() -> None:
    windows = walking(3.0)[1]
    learn, judge = masks(len(windows))
    found = calibrate(
        tiny_adaptable(), windows, answers_of(windows) + taps_of(windows) @ CORRECTION, judge=judge, learn=learn
    )
    assert found.correction is not None
    assert found.after < 0.4 * found.before
    left = taps_of(windows) @ (CORRECTION - found.correction)
    assert (left**2).mean() < 0.3 * ((taps_of(windows) @ CORRECTION) ** 2).mean()


def test_what_does_not_help_on_held_out_windows_is_not_given() -> None:
    windows = walking(3.0)[1]
    learn, judge = masks(len(windows))
    wanted = answers_of(windows) + taps_of(windows) @ CORRECTION
    wanted[judge] = answers_of(windows)[judge] - (taps_of(windows) @ CORRECTION)[judge]
    found = calibrate(tiny_adaptable(), windows, wanted, judge=judge, learn=learn)
    assert found.correction is None
    assert found.after > found.before


@pytest.mark.parametrize("nothing", ["learn", "judge"])
def test_too_little_is_refused(nothing: str) -> None:
    windows = walking(3.0)[1]
    learn, judge = masks(len(windows))
    wanted = answers_of(windows)
    if nothing == "learn":
        learn[49:] = False
    else:
        wanted[judge] = np.nan
    with pytest.raises(TrialError, match="a few seconds more"):
        calibrate(tiny_adaptable(), windows, wanted, judge=judge, learn=learn)
