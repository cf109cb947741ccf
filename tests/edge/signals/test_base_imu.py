from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from edge.errors import SensorError
from edge.signals.base_imu import BaseImu

ANGLE = st.floats(-1.2, 1.2)
RATES = st.lists(st.floats(-8, 8), min_size=3, max_size=3)


def motion(channels: tuple[float, ...]) -> np.ndarray:
    values = BaseImu("pelvis", 9.81).read(0, channels)
    assert values is not None
    return values


@given(ANGLE, st.floats(-0.6, 0.6), st.floats(-0.6, 0.6), RATES)
@settings(max_examples=200, deadline=None)
def test_the_tilt_rate_is_the_derivative_of_the_tilt(
    tilt: float, list_: float, turn: float, rates: list[float]
) -> None:
    """Whatever the sensor's axes and the turning: the tilt itself, a moment before and after."""
    before_and_after = []
    base = Rotation.from_euler("ZXY", [tilt, list_, turn])
    h = 1e-5
    for step in (-h, h):
        x, y, z, w = (base * Rotation.from_rotvec(np.array(rates) * step)).as_quat()
        before_and_after.append(motion((w, x, y, z, 0.0, 9.81, 0.0, *rates))[0])
    x, y, z, w = base.as_quat()
    got = motion((w, x, y, z, 0.0, 9.81, 0.0, *rates))[3]
    assert got == pytest.approx(math.remainder(before_and_after[1] - before_and_after[0], math.tau) / (2 * h), abs=1e-5)


@pytest.mark.parametrize("tilt_deg", [0.0, 90.0, -90.0, 180.0])
def test_every_posture_in_its_own_plane_is_seen(tilt_deg: float) -> None:
    """The thigh of someone who sits has its x axis upright: forward is still where the hinge says."""
    half = math.radians(tilt_deg) / 2
    channels = (math.cos(half), 0.0, 0.0, math.sin(half), *(2.0, 9.81, 0.0), 0.0, 0.0, 1.5)
    got = motion(channels)
    c, s = math.cos(2 * half), math.sin(2 * half)
    assert got[3] == 1.5
    assert math.remainder(got[0] - 2 * half, math.tau) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(got[1:3], [2.0 * c - 9.81 * s, 2.0 * s + 9.81 * c - 9.81], atol=1e-12)


def test_lying_on_the_side_shows_nothing() -> None:
    root = math.sqrt(0.5)
    assert np.isnan(motion((root, root, 0.0, 0.0, 0.0, 0.0, -9.81, 1.0, 2.0, 3.0))).all()


def test_more_than_any_gyroscope_measures_is_degrees() -> None:
    with pytest.raises(SensorError, match=r"thigh IMU: angular rate \(0, 0, 120\) rad/s is more than 80.*deg/s.*rad/s"):
        BaseImu("thigh", 9.81).read(0, (1.0, 0.0, 0.0, 0.0, 0.0, 9.81, 0.0, 0.0, 0.0, 120.0))


def test_an_acceleration_in_g_is_named_so() -> None:
    imu, reading = BaseImu("pelvis", 9.81), (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    for k in range(30):
        imu.read(k * 10_000, reading)
    with pytest.raises(SensorError, match=r"are 1 m/s2 upwards on average \(it looks like g\)"):
        imu.read(300_000, reading)
