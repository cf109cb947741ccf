"""Bundles that were trained without a pelvis: encoders are all that a session needs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import WINDOW, tiny_bundle, tiny_network, with_tiny_member

from edge.bundle import Bundle
from edge.errors import ConfigError
from edge.estimator import Estimate
from edge.msk.dynamics import Kinematics, inverse_dynamics
from edge.pipeline import Pipeline
from edge.sensors.frame import Frame, Kind, encode
from edge.signals.hookup import Source
from edge.signals.intake import pelvis_channels

PATH = Path("subject.msk")
VECTORS = ("q", "qd", "qdd", "torque_nm", "activation", "force_n", "reserve_nm")


@cache
def bundle() -> Bundle:
    """A residual member with derivatives, and one that sees the angles as they come."""
    return with_tiny_member(tiny_bundle(PATH, pelvis=False), head="torque", signals="raw", pelvis=False, weight=0.5)


def leg(t: float) -> tuple[float, ...]:
    swing = np.sin(2 * np.pi * t)
    return (0.1 + 0.2 * swing, -0.5 + 0.2 * swing, 0.05 * swing)


def angles(k: int) -> bytes:
    return encode(Frame(Kind.ANGLES, 0, k, k * 10_000, leg(k / 100)))


def imu(k: int, *, time_us: int | None = None) -> bytes:
    """Of a pelvis that is not still."""
    channels = pelvis_channels(0.3 * np.sin(k / 10), 3.0 * np.cos(k / 10), np.array([3.0, -2.0]), 9.81)
    return encode(Frame(Kind.IMU, 0, k, k * 10_000 if time_us is None else time_us, channels))


def bits(estimates: list[Estimate]) -> list[bytes]:
    return [getattr(e, name).tobytes() for e in estimates for name in VECTORS]


@cache
def alone() -> tuple[list[Estimate], Pipeline]:
    pipeline = Pipeline(bundle())
    return [e for k in range(100) for e in pipeline.feed(angles(k), k * 10**7)], pipeline


@pytest.mark.parametrize("method", ["savgol", "kalman", "fir", "adaptive"])
def test_every_differentiator_does_with_angles_alone(method: str) -> None:
    own = tiny_bundle(PATH, pelvis=False, method=method)
    pipeline = Pipeline(own)
    estimates = [e for k in range(120) for e in pipeline.feed(angles(k), k * 10**7)]
    assert len(estimates) > 60
    assert all(e.valid for e in estimates)
    for estimate in estimates[-5:]:
        np.testing.assert_allclose(estimate.q, leg(estimate.time_s), atol=5e-3)
    assert pipeline.counters.problems == {}


def test_angles_alone_give_estimates_and_nothing_is_missed() -> None:
    estimates, pipeline = alone()
    assert len(estimates) > 70
    assert all(e.valid for e in estimates)
    counters = pipeline.counters
    assert (counters.samples, counters.dropped, counters.gaps, counters.problems) == (100, 0, 0, {})


def test_a_silent_residual_network_leaves_inverse_dynamics_over_an_upright_base_at_rest() -> None:
    silent = tiny_network(9, 3, window=WINDOW, weight=np.zeros((WINDOW * 9, 3)))
    own = tiny_bundle(PATH, pelvis=False, network=silent)
    pipeline = Pipeline(own)
    for estimate in [e for k in range(50) for e in pipeline.feed(angles(k) + imu(k), k * 10**7)]:
        motion = Kinematics.on_fixed_base(estimate.q[None], estimate.qd[None], estimate.qdd[None])
        np.testing.assert_array_equal(estimate.torque_nm, inverse_dynamics(own.model, motion)[0])


@pytest.mark.parametrize(
    "source", [Source(), Source("", ("hip", "knee", "ankle")), Source("", ("hip", "knee", "ankle", "pelvis"))]
)
def test_what_an_imu_says_changes_nothing(source: Source) -> None:
    pipeline = Pipeline(bundle(), [source])
    estimates = [e for k in range(100) for e in pipeline.feed(angles(k) + imu(k), k * 10**7)]
    assert bits(estimates) == bits(alone()[0])
    assert pipeline.counters.problems == {}


def test_an_imu_that_stands_still_lags_or_is_slow_changes_nothing() -> None:
    pipeline = Pipeline(bundle())
    estimates = [
        e
        for k in range(100)
        for e in pipeline.feed(angles(k) + (imu(0, time_us=7 + k) if k % 20 == 0 else b""), k * 10**7)
    ]
    assert bits(estimates) == bits(alone()[0])


def test_a_source_of_the_pelvis_may_be_silent() -> None:
    sources = [Source("sim:?rate=100", ("hip", "knee", "ankle")), Source("sim:?rate=50", ("pelvis",))]
    pipeline = Pipeline(bundle(), sources)
    estimates = [e for k in range(100) for e in pipeline.feed(angles(k), k * 10**7)]
    assert bits(estimates) == bits(alone()[0])


def test_why_no_estimate_speaks_of_the_angles_alone() -> None:
    pipeline = Pipeline(bundle())
    pipeline.feed(b"".join(imu(k) for k in range(50)), 0)
    assert pipeline.why_no_estimate() == (
        "50 valid frames came, but none of joint angles (kind 1): make the sensor send them"
    )
    pipeline = Pipeline(bundle())
    pipeline.feed(b"".join(angles(k) for k in range(10)), 0)
    assert pipeline.why_no_estimate().startswith("10 samples of joint angles came, too few for a first estimate")
    sources = [Source("sim:?rate=100", ("hip", "knee", "ankle")), Source("sim:?rate=50", ("pelvis",))]
    pipeline = Pipeline(bundle(), sources)
    pipeline.feed(b"".join(angles(k) for k in range(10)), 0)
    assert "pelvis" not in pipeline.why_no_estimate()
    assert "sim:?rate=50" not in pipeline.why_no_estimate()


def test_one_member_that_was_trained_with_a_pelvis_needs_it() -> None:
    mixed = with_tiny_member(bundle())
    pipeline = Pipeline(mixed)
    pipeline.feed(b"".join(angles(k) for k in range(50)), 0)
    assert "none of the pelvis IMU (kind 2)" in pipeline.why_no_estimate()
    with pytest.raises(ConfigError, match="the IMU of the pelvis is measured by no sensor"):
        Pipeline(mixed, [Source("", ("hip", "knee", "ankle"))])
