"""The walk without a file: endless, smooth, and good enough for the whole pipeline."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.errors import ConfigError, EdgeMskError
from edge.msk.model import load_model
from edge.pipeline import Pipeline
from edge.sensors import open_sensor
from edge.sensors.frame import Frame, FrameDecoder, Kind, encode
from edge.sensors.playback import packaged_recordings
from edge.sensors.sim import SimSensor, gait
from edge.url import parse_url


class VirtualClock:
    def __init__(self) -> None:
        self.now_ns = 5_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def frames(query: str, count: int) -> list[Frame]:
    clock = VirtualClock()
    with SimSensor(parse_url(f"sim:{query}"), clock=clock, sleep=clock.sleep) as sensor:
        assert sensor.finite is False
        decoder = sensor.decoder()
        got: list[Frame] = []
        while len(got) < count:
            got += decoder.push(sensor.read(0.02))
        assert isinstance(decoder, FrameDecoder)
        assert decoder.counters.bad == 0
    return got[:count]


def angles(got: list[Frame]) -> np.ndarray:
    return np.array([frame.channels for frame in got if frame.kind == Kind.ANGLES])


def test_both_streams_at_the_rate_asked_for() -> None:
    got = frames("?rate=250", 500)
    assert [frame.kind for frame in got[:4]] == [Kind.ANGLES, Kind.IMU] * 2
    assert [frame.time_us for frame in got[::2]] == [4_000 * i for i in range(250)]
    assert [frame.sequence for frame in got[1::2]] == list(range(250))
    assert {len(frame.channels) for frame in got[::2]} == {3}
    assert {len(frame.channels) for frame in got[1::2]} == {10}


def test_it_comes_when_it_is_due() -> None:
    clock = VirtualClock()
    sensor = SimSensor(parse_url("sim:"), clock=clock, sleep=clock.sleep)
    sensor.open()
    decoder = FrameDecoder()
    start_ns = clock.now_ns
    for i in range(100):
        got = decoder.push(sensor.read(1.0))
        assert [frame.time_us for frame in got] == [10_000 * i] * 2
        assert clock.now_ns - start_ns == 10_000_000 * i


@pytest.mark.parametrize("side", ["r", "l"])
@pytest.mark.parametrize("speed", [0.5, 1.3, 2.0])
def test_a_walk_that_legs_can_walk(side: str, speed: float) -> None:
    model = load_model("leg9")
    q = angles(frames(f"?speed={speed}&side={side}&rate=200", 2000))
    assert model.in_range(q).all()
    assert 15 < np.degrees(np.ptp(q[:, 0])) < 60
    assert 30 < np.degrees(np.ptp(q[:, 1])) < 80
    rate = np.diff(q, axis=0) * 200
    assert 0.5 < np.abs(rate).max() < 15  # rad/s
    assert np.abs(np.diff(rate, axis=0) * 200).max() < 400  # rad/s2; a jump of one degree is 700


def test_it_repeats_for_ever_without_drift() -> None:
    walk = gait("leg9", "r", 1.3)
    period_s = 1 / walk.strides_per_s
    for t in (0.1, 0.7):
        assert walk.at(t)[0] == pytest.approx(walk.at(t + 36_000 * period_s)[0], abs=1e-8)


def test_rates_are_those_of_the_values() -> None:
    walk, h = gait("leg9", "r", 1.3), 1e-5
    for t in (0.0, 0.3, 0.9):
        assert (walk.at(t + h)[0] - walk.at(t - h)[0]) / (2 * h) == pytest.approx(walk.at(t)[1], abs=1e-4)


def test_faster_walking_has_more_and_longer_strides() -> None:
    slow, fast = gait("leg9", "r", 0.8), gait("leg9", "r", 1.6)
    assert fast.strides_per_s / slow.strides_per_s == pytest.approx(2**0.58)
    swing = [np.abs(walk.coefficients[1:, 0]).sum() for walk in (slow, fast)]
    assert swing[1] / swing[0] == pytest.approx(2**0.42)
    assert 0.9 < gait("leg9", "r", 1.3).strides_per_s < 1.0


def test_it_is_the_packaged_walk() -> None:
    """The mean stride has the recording's ranges, which `docs/demo.md` gives the sources of."""
    q = np.degrees(angles(frames("?speed=1.3", 400)))
    assert np.ptp(q, axis=0) == pytest.approx([42.9, 59.4, 31.6], abs=1.5)
    assert "demo" in packaged_recordings()


def test_noise_and_loss_are_as_asked_and_repeatable() -> None:
    clean, noisy = frames("", 2000), frames("?noise_deg=1&noise_acc=0.5&noise_dps=2&seed=4", 2000)
    assert noisy == frames("?noise_deg=1&noise_acc=0.5&noise_dps=2&seed=4", 2000)
    assert np.degrees(angles(noisy) - angles(clean)).std() == pytest.approx(1.0, rel=0.05)
    imu = [np.array([f.channels for f in got if f.kind == Kind.IMU]) for got in (clean, noisy)]
    off = imu[1] - imu[0]
    assert off[:, :4].any() is np.False_
    assert off[:, 4:7].std() == pytest.approx(0.5, rel=0.05)
    assert np.degrees(off[:, 7:]).std() == pytest.approx(2.0, rel=0.05)
    lossy = frames("?lost=0.25", 1500)
    assert lossy[-1].time_us == pytest.approx(10_000_000, rel=0.1)


def test_the_whole_pipeline_takes_it() -> None:
    pipeline = Pipeline(Bundle.read("demo"))
    estimates = []
    for frame in frames("", 800):
        estimates += pipeline.feed(encode(frame), frame.time_us * 1000)
    assert len(estimates) > 200
    assert pipeline.counters.gaps == 0
    activation = np.array([estimate.activation for estimate in estimates])
    assert np.isfinite(activation).all()
    assert activation.max() > 0.1


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("sim:?speed=5", "speed=5 is not usable; use a number from 0.5 to 2"),
        ("sim:?rate=0", "rate=0 is not usable"),
        ("sim:?side=left", "side=left is not usable"),
        ("sim:?loop=1", "no parameter 'loop'"),
    ],
)
def test_wrong_parameters(url: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        open_sensor(url)


def test_a_model_that_does_not_walk() -> None:
    with pytest.raises(EdgeMskError, match="elbow"):
        open_sensor("sim:?model=elbow5")


def test_the_moments_are_finite_for_hours() -> None:
    sensor = SimSensor(parse_url("sim:?rate=10"))
    sensor.open()
    assert sensor._frames is not None
    assert all(math.isfinite(sum(frame.channels)) for frame in islice(sensor._frames, 2000))
