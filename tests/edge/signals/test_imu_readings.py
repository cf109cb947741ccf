from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge.errors import MissingExtraError, SensorError
from edge.signals.imu_readings import LIMB_CHECK_S, ImuReadings
from edge.signals.orientation import upwards

REST = (1.0, 0.0, 0.0, 0.0, 0.0, 9.81, 0.0, 0.0, 0.0, 0.0)


def tilted(angle: float, rate: float = 0.0) -> tuple[float, ...]:
    """An IMU that is tilted, by its accelerometer and gyroscope alone."""
    return (0.0, 0.0, 0.0, 0.0, 9.81 * math.sin(angle), 9.81 * math.cos(angle), 0.0, 0.0, 0.0, rate)


def play(readings: ImuReadings, channels: tuple[float, ...]) -> None:
    for k in range(100):
        readings.read(k * 10_000, channels)


def test_the_sensors_own_orientation_is_brought_to_length_one_and_goes_on_without_jumps() -> None:
    readings = ImuReadings("shank", 9.81)
    turns = Rotation.from_rotvec(np.outer(np.linspace(0, 12, 200), [0.6, 0.0, 0.8])).as_quat()[:, [3, 0, 1, 2]]
    last = None
    for k, turn in enumerate(turns):
        got = readings.read(k * 1000, (*(1.05 * turn).tolist(), 0.1, 0.2, 0.3, 1.0, 2.0, 3.0))
        assert got is not None
        assert np.linalg.norm(got[:4]) == pytest.approx(1.0, abs=1e-12)
        assert got[4:] == (0.1, 0.2, 0.3, 1.0, 2.0, 3.0)
        assert last is None or np.dot(got[:4], last) > 0.99
        last = got[:4]
    assert readings.settled


def test_a_sensor_without_orientation_is_given_one_once_its_rate_is_known() -> None:
    pytest.importorskip("vqf")
    readings = ImuReadings("thigh", 9.81)
    start_us = 2**60  # stamps may have any origin
    got = [readings.read(start_us + k * 4000, tilted(0.3)) for k in range(400)]
    assert got[:20] == [None] * 20
    assert readings.settled
    for reading in got[20:]:
        assert reading is not None
        np.testing.assert_allclose(upwards(*reading[:4]), [math.sin(0.3), math.cos(0.3), 0.0], atol=1e-3)
        assert reading[4:] == tilted(0.3)[4:]
    # After an interruption it has to settle again; a sample that comes twice changes nothing.
    after = start_us + 3_000_000
    one, two = readings.read(after, tilted(0.3)), readings.read(after, tilted(0.3))
    assert one == two
    assert not readings.settled


def test_an_orientation_that_stops_is_refused() -> None:
    readings = ImuReadings("foot", 9.81)
    readings.read(0, REST)
    with pytest.raises(SensorError, match=r"foot IMU: quaternion of length 0 instead of 1.*0 0 0 0 from its start"):
        readings.read(10_000, (0.0,) * 4 + REST[4:])


def test_a_sensor_that_sends_only_zeros_is_refused() -> None:
    pytest.importorskip("vqf")
    readings = ImuReadings("pelvis", 9.81)
    with pytest.raises(SensorError, match=r"accelerations are 0 m/s2 upwards on average"):
        play(readings, (0.0,) * 10)


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ((*REST[:4], 0.0, 3e38, 0.0, 0.0, 0.0, 0.0), r"acceleration \(0, 3e\+38, 0\) m/s2 is more than 500"),
        ((*REST[:7], 0.0, -120.0, 0.0), r"angular rate \(0, -120, 0\) rad/s is more than 80: it looks like deg/s"),
        ((1.0,) * 10, "quaternion of length 2"),
    ],
)
def test_what_no_imu_reads_is_refused(channels: tuple[float, ...], words: str) -> None:
    with pytest.raises(SensorError, match=words):
        ImuReadings("thigh", 9.81).read(0, channels)


def test_gravity_is_looked_for_over_the_time_that_is_given() -> None:
    """A foot in the swing of a step is accelerated by more than gravity for a third of a second."""
    readings = ImuReadings("foot", 9.81, LIMB_CHECK_S)
    for k in range(200):
        force = 22.0 if k < 40 else 5.0
        readings.read(k * 10_000, (*REST[:4], 0.0, force, 0.0, 0.0, 0.0, 0.0))
    base = ImuReadings("pelvis", 9.81)
    with pytest.raises(SensorError, match="pelvis IMU: its first 31 accelerations are 22 m/s2"):
        play(base, (*REST[:4], 0.0, 22.0, 0.0, 0.0, 0.0, 0.0))


def test_without_vqf_the_first_reading_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "vqf":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'edge-msk\[imu\]'"):
        ImuReadings("pelvis", 9.81).read(0, tilted(0.0))
    assert ImuReadings("pelvis", 9.81).read(0, REST) == REST
