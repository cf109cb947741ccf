from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from demo_people import cut, people, walks

from edge.sensors import playback
from edge.sensors.frame import Frame, Kind
from edge.sensors.playback import Readings, even_times, readings
from edge.trial import Trial
from train.sensor_quality import USUAL, SensorQuality, imperfect_frames

PERFECT = SensorQuality(*[0.0] * len(SensorQuality.__dataclass_fields__))
RATE_HZ = 100.0


@pytest.fixture(scope="module")
def walk() -> Trial:
    return cut(walks()[0], 0.0, 20.0)


def sent(trial: Trial, quality: SensorQuality, seed: int = 0) -> list[Frame]:
    return imperfect_frames(trial, quality, rate_hz=RATE_HZ, seed=seed)


def angles(frames: list[Frame]) -> np.ndarray:
    return np.array([frame.channels for frame in frames if frame.kind == Kind.ANGLES])


def received(
    trial: Trial, quality: SensorQuality, monkeypatch: pytest.MonkeyPatch, seed: int = 0
) -> tuple[Readings, Readings]:
    """What the sensors say, before it is put into frames; and the truth at the stamped times."""
    seen: list[Readings] = []
    with monkeypatch.context() as patch:
        patch.setattr(playback, "to_frames", lambda stamps, values, gravity: seen.append(values) or [])
        sent(trial, quality, seed)
    return seen[0], readings(trial, even_times(trial, RATE_HZ))


def test_sensors_without_faults_are_the_recording(walk: Trial) -> None:
    found, expected = sent(walk, PERFECT), playback.frames(walk, rate_hz=RATE_HZ)
    assert len(found) == len(expected) == 2 * 2001
    for one, other in zip(found, expected, strict=True):
        assert (one.kind, one.sequence, one.time_us) == (other.kind, other.sequence, other.time_us)
        assert one.channels == other.channels


def test_the_same_seed_gives_the_same_frames_of_a_recording() -> None:
    one, other = people("ab", seconds=1.0)
    assert sent(one, USUAL) == sent(one, USUAL)
    assert sent(one, USUAL) != sent(one, USUAL, seed=1)
    # Two recordings of one length would else have the same noise.
    still = [replace(trial, angles=np.full_like(trial.angles, 0.1 * i)) for i, trial in enumerate((one, other))]
    noise = [angles(sent(trial, replace(PERFECT, angle_noise_rad=0.01))) - 0.1 * i for i, trial in enumerate(still)]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2


def test_a_range_does_not_change_the_noise(walk: Trial) -> None:
    """The recording is worn once; what is trained and tested on are parts of it."""
    assert sent(replace(walk, start_s=5.0, end_s=6.0), USUAL) == sent(walk, USUAL)


def test_angles_have_noise_and_steps(walk: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.radians(0.1)
    seen, true = received(walk, replace(PERFECT, angle_noise_rad=noise), monkeypatch)
    error = seen.q - true.q
    np.testing.assert_allclose(error.std(axis=0), noise, rtol=0.06)
    assert np.abs(error.mean(axis=0)).max() < 4 * noise / np.sqrt(2001)
    assert abs(np.corrcoef(error[1:, 0], error[:-1, 0])[0, 1]) < 0.1  # white
    assert abs(np.corrcoef(error[:, 0], error[:, 1])[0, 1]) < 0.1
    step = 2 * np.pi / 4096
    seen, true = received(walk, replace(PERFECT, angle_step_rad=step), monkeypatch)
    np.testing.assert_allclose(seen.q / step, np.round(seen.q / step), atol=1e-9)
    assert np.abs(seen.q - true.q).max() <= 0.5 * step * (1 + 1e-9)
    np.testing.assert_array_equal(seen.tilt, true.tilt)


def test_jitter_moves_the_moment_and_not_its_stamp(walk: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    jitter_s = 2e-3
    seen, true = received(walk, replace(PERFECT, jitter_s=jitter_s), monkeypatch)
    rate = np.gradient(true.q, 1 / RATE_HZ, axis=0)
    fast = np.abs(rate) > 1.0  # rad/s
    late = ((seen.q - true.q)[fast] / rate[fast]).ravel()
    assert late.std() == pytest.approx(jitter_s, rel=0.1)
    assert abs(late.mean()) < 5e-4
    stamps = [f.time_us for f in sent(walk, replace(PERFECT, jitter_s=jitter_s)) if f.kind == Kind.ANGLES]
    np.testing.assert_array_equal(np.diff(stamps), 10_000)


def test_both_frames_of_a_sample_are_lost_together(walk: Trial) -> None:
    lost = 0.1
    frames = sent(walk, replace(PERFECT, lost=lost))
    numbers = {kind: [f.sequence for f in frames if f.kind == kind] for kind in (Kind.ANGLES, Kind.IMU)}
    assert numbers[Kind.ANGLES] == numbers[Kind.IMU]
    assert numbers[Kind.ANGLES][0] == 0  # it starts the clock
    assert len(numbers[Kind.ANGLES]) == pytest.approx(2001 * (1 - lost), abs=4 * np.sqrt(2001 * lost))
    # A number is left out where a sample is: the gap shows.
    assert set(np.diff(numbers[Kind.ANGLES])) > {1, 2}
    assert sent(walk, replace(PERFECT, lost=1.0)) == sent(walk, PERFECT)[:2]


@pytest.mark.parametrize("channel", ["tilt", "tilt_rate", "base_acceleration"])
def test_the_imu_has_noise_and_drifts_slowly(channel: str, walk: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "tilt": ("tilt", "rad"),
        "tilt_rate": ("rate", "rad_s"),
        "base_acceleration": ("acceleration", "mps2"),
    }
    name, unit = names[channel]
    seen, true = received(walk, replace(PERFECT, **{f"{name}_noise_{unit}": 0.3}), monkeypatch)
    error = (getattr(seen, channel) - getattr(true, channel)).reshape(2001, -1)
    np.testing.assert_allclose(error.std(axis=0), 0.3, rtol=0.06)
    # Of the drift many short recordings are needed: within one it hardly changes.
    short = cut(walk, 0.0, 3.0)
    drifts = []
    for seed in range(200):
        found, ideal = received(short, replace(PERFECT, **{f"{name}_drift_{unit}": 0.3}), monkeypatch, seed)
        drifts.append(getattr(found, channel) - getattr(ideal, channel))
    error = np.array(drifts).reshape(200, len(drifts[0]), -1)
    np.testing.assert_allclose(error.std(axis=0), 0.3, rtol=0.25)
    # What is left of it after t is exp(-t / 5 s).
    left = (error[:, 0] * error[:, -1]).mean() / (error**2).mean()
    assert left == pytest.approx(np.exp(-3.0 / 5.0), abs=0.15)
    for other in names.keys() - {channel}:
        np.testing.assert_array_equal(getattr(seen, other), getattr(true, other))
