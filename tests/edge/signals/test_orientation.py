"""Orientation by VQF without a magnetometer: sample by sample, y up, through irregular intervals and interruptions."""

import builtins
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge.errors import ConfigError, MissingExtraError
from edge.signals.orientation import Orientation, OrientationFromStart, up_in_sensor
from tests.edge.signals.imu_chains import ideal_imus, walk

pytest.importorskip("vqf")

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


def shank(seconds: float, rate_hz: float) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Times, specific force, angular rate and upwards of a shank that walks in a curve, mounted askew."""
    motion = walk(seconds, rate_hz)
    readings = ideal_imus(motion, Rotation.random(4, random_state=1), np.zeros(4))
    return motion.t_s, readings.specific_force[:, 2], readings.angular_rate[:, 2], readings.up()[:, 2]


def off_deg(quaternion: FloatArray, up: FloatArray) -> float:
    seen = up_in_sensor(quaternion)
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(seen, up)), seen @ up)))


@pytest.mark.parametrize("attitude", list(Rotation.random(5, random_state=0)))
def test_at_rest_upwards_is_where_the_accelerometer_says(attitude: Rotation) -> None:
    up = attitude.inv().apply([0.0, 1.0, 0.0])
    filter_ = Orientation(100.0)
    for i in range(300):
        quaternion = filter_.push(i / 100, 9.81 * up, np.zeros(3))
    assert quaternion is not None
    assert np.linalg.norm(quaternion) == pytest.approx(1.0)
    assert off_deg(quaternion, up) < 0.01
    assert filter_.at_rest


def test_upwards_in_the_sensor_is_the_second_row_of_its_rotation() -> None:
    turns = Rotation.random(20, random_state=3)
    expected = turns.as_matrix()[:, 1, :]
    np.testing.assert_allclose(up_in_sensor(turns.as_quat()[:, [3, 0, 1, 2]]), expected, atol=1e-12)


@pytest.mark.parametrize("bias_dps", [0.0, 0.5])
def test_walking_is_followed_within_a_degree_whatever_the_intervals(bias_dps: float) -> None:
    rng = np.random.default_rng(0)
    t, force, rate, up = shank(40.0, 400.0)
    keep = np.cumsum(rng.integers(2, 7, len(t) // 7))  # 67 to 200 Hz, 100 on average
    rate = rate + np.radians(bias_dps) + rng.normal(0, np.radians(0.1), rate.shape)
    filter_ = Orientation(100.0)
    errors = []
    for i, before in zip(keep[1:], keep[:-1], strict=True):
        quaternion = filter_.push(t[i], force[i], rate[before + 1 : i + 1].mean(axis=0))
        assert quaternion is not None
        errors.append(off_deg(quaternion, up[i]))
    assert (filter_.late, filter_.restarts) == (0, 0)
    assert np.sqrt(np.mean(np.square(errors[len(errors) // 2 :]))) < 1.5


def test_the_rest_before_a_walk_gives_the_bias() -> None:
    filter_, bias = Orientation(100.0), np.radians([1.0, -0.5, 0.3])
    for i in range(1000):
        filter_.push(i / 100, np.array([0.0, 9.81, 0.0]), bias)
    found, sigma = filter_.bias()
    np.testing.assert_allclose(found, bias, atol=np.radians(0.02))
    assert sigma < np.radians(0.2)
    filter_.reset()
    np.testing.assert_allclose(filter_.bias()[0], bias, atol=np.radians(0.02))


def test_late_samples_are_left_out_and_interruptions_start_anew() -> None:
    filter_, rest = Orientation(100.0), (np.array([0.0, 9.81, 0.0]), np.zeros(3))
    for i in range(150):
        assert filter_.push(i / 100, *rest) is not None
        assert filter_.settled == (i >= 100)
    assert filter_.push(1.49, *rest) is None
    assert filter_.push(1.45, *rest) is None
    assert filter_.late == 2
    tipped = np.array([9.81, 0.0, 0.0])
    quaternion = filter_.push(5.0, tipped, rest[1])
    assert quaternion is not None
    assert off_deg(quaternion, np.array([1.0, 0.0, 0.0])) < 0.01
    assert (filter_.restarts, filter_.settled) == (1, False)
    assert filter_.push(0.0, *rest) is not None  # the sender was restarted
    assert filter_.restarts == 2


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="rate_hz"):
        Orientation(0.01)
    with pytest.raises(ValueError, match="finite"):
        Orientation(100.0).push(0.0, np.array([0.0, np.nan, 9.81]), np.zeros(3))


def test_without_vqf_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "vqf":
            raise ImportError(name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"edge-msk\[imu\]"):
        Orientation(100.0)


@pytest.mark.parametrize("rate_hz", [50.0, 100.0, 400.0])
def test_a_rate_that_nobody_says_is_told_by_the_first_samples(rate_hz: float) -> None:
    """The same as with the rate given, also for what came before it was known."""
    t, force, rate, _ = shank(3.0, rate_hz)
    told, found = Orientation(rate_hz), OrientationFromStart()
    for i in range(len(t)):
        expected = told.push(round(t[i] * 1e6) * 1e-6, force[i], rate[i])
        got = found.push(7_000 + round(t[i] * 1e6), force[i].tolist(), rate[i].tolist())
        assert (got is None) == (i < 20)
        if got is not None:
            np.testing.assert_allclose(got, expected, atol=1e-6)
        assert found.settled == (i >= 20 and told.settled)


def test_stamps_that_do_not_advance_tell_no_rate() -> None:
    found = OrientationFromStart()
    for k in range(100):
        assert found.push(k // 2 * 10_000, [0.0, 9.81, 0.0], [0.0, 0.0, 0.0]) is None
    for k in range(50, 71):
        got = found.push(k * 10_000, [0.0, 9.81, 0.0], [0.0, 0.0, 0.0])
    assert got is not None
