"""What an IMU's own readings say about it."""

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.signals.imu import ImuFlag
from edge.signals.imu_faults import ImuRange, ImuWatch

REST, UP = np.array([0.0, 9.81, 0.0]), np.array([0.0, 1.0, 0.0])


def noisy(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return REST + rng.normal(0, 0.02, 3), rng.normal(0, 0.001, 3)


def test_a_sensor_that_works_is_let_pass() -> None:
    rng, watch = np.random.default_rng(0), ImuWatch(ImuRange(157.0, 34.9))
    assert {watch.push(i / 100, *noisy(rng)) for i in range(500)} == {ImuFlag.OK}
    assert set(watch.counts.values()) == {0}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_readings_at_the_end_of_the_range(sign: float) -> None:
    watch = ImuWatch(ImuRange(force_mps2=157.0, rate_radps=34.9))
    assert watch.push(0.0, np.array([0.0, sign * 156.9, 0.0]), np.zeros(3)) == ImuFlag.SATURATED
    assert watch.push(0.01, REST, np.array([0.0, 0.0, sign * 34.9])) == ImuFlag.SATURATED
    assert watch.push(0.02, REST, np.array([0.0, 0.0, sign * 34.0])) == ImuFlag.OK
    assert watch.counts[ImuFlag.SATURATED] == 2


def test_ranges_in_g_are_refused() -> None:
    with pytest.raises(ConfigError, match="m/s2"):
        ImuRange(force_mps2=8.0)


@pytest.mark.parametrize("rate_hz", [50.0, 100.0, 1000.0])
def test_the_same_reading_again_and_again_is_a_stuck_sensor(rate_hz: float) -> None:
    rng, watch = np.random.default_rng(1), ImuWatch()
    watch.push(-1.0 / rate_hz, *noisy(rng))
    flags = [watch.push(i / rate_hz, REST, np.zeros(3)) for i in range(round(0.5 * rate_hz))]
    first = flags.index(ImuFlag.STUCK)
    assert 0.2 <= first / rate_hz < 0.2 + 1.5 / rate_hz
    assert set(flags[first:]) == {ImuFlag.STUCK}
    assert watch.push(0.5, *noisy(rng)) == ImuFlag.OK


def test_a_magnet_is_seen_by_strength_and_by_dip() -> None:
    rng, watch = np.random.default_rng(2), ImuWatch()
    earth = np.array([0.3, -0.9, 0.1])

    def push(t: float, field: np.ndarray) -> ImuFlag:
        return watch.push(t, *noisy(rng), magnetic_field=field, up=UP)

    assert {push(i / 100, earth * rng.normal(1.0, 0.01)) for i in range(150)} == {ImuFlag.OK}
    turned = np.array([0.1, -0.9, -0.3])  # the sensor turned about the vertical: the same field
    assert push(2.0, turned) == ImuFlag.OK
    assert push(2.1, 1.2 * earth) == ImuFlag.MAGNETIC
    assert push(2.2, np.linalg.norm(earth) * np.array([0.6, -0.8, 0.0])) == ImuFlag.MAGNETIC
    assert push(2.3, np.zeros(3)) == ImuFlag.MAGNETIC
    assert watch.counts[ImuFlag.MAGNETIC] == 3
    watch.reset()
    assert {push(3.0 + i / 100, 1.2 * earth) for i in range(150)} == {ImuFlag.OK}
