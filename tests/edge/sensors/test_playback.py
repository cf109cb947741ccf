from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import write_swinging_leg

from edge.errors import FileError, TrialError
from edge.msk.model import load_model
from edge.sensors import playback
from edge.sensors.frame import Frame, Kind, encode
from edge.signals.base_imu import BaseImu
from edge.trials import TrialSpec, load_trial


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_swinging_leg(tmp_path / "swing.mot", seconds=2.0)


def of(kind: Kind, frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.kind == kind]


def test_both_streams_at_the_recordings_own_rate(recording: Path) -> None:
    frames = playback.playback(recording)
    for kind, count in ((Kind.ANGLES, 3), (Kind.IMU, 10)):
        own = of(kind, frames)
        assert [f.sequence for f in own] == list(range(200))
        assert [f.time_us for f in own] == [10_000 * k for k in range(200)]
        assert {(len(f.channels), f.flags) for f in own} == {(count, 0)}
    assert [f.time_us for f in frames] == sorted(f.time_us for f in frames)
    assert all(encode(frame) for frame in frames)


def test_angles_are_the_recorded_ones(recording: Path) -> None:
    angles = np.array([f.channels for f in of(Kind.ANGLES, playback.playback(recording))])
    swing = np.sin(2 * np.pi * np.arange(200) / 100)
    np.testing.assert_allclose(angles, np.stack([0.1 + 0.2 * swing, -0.5 + 0.2 * swing, 0.05 * swing], 1), atol=1e-8)


def test_another_rate(recording: Path) -> None:
    frames = playback.playback(recording, rate_hz=250.0)
    assert [f.time_us for f in of(Kind.IMU, frames)] == [4_000 * k for k in range(498)]
    assert of(Kind.ANGLES, frames)[250].channels == pytest.approx((0.1, -0.5, 0.0), abs=1e-3)


def test_the_ideal_imu_is_that_of_the_zero_phase_motion(data: Path) -> None:
    trial = load_trial(TrialSpec(kinematics=data / "gait10_walk" / "ik.mot"), load_model("leg9"), name="walk")
    motion = trial.kinematics(trial.time_s)
    base = BaseImu("pelvis", 9.80665)
    frames = [base.read(f.time_us, f.channels) for f in of(Kind.IMU, playback.frames(trial))]
    read = np.array([values[:3] for values in frames if values is not None])
    np.testing.assert_allclose(read[:, 0], trial.base[:, 0], atol=1e-6)
    np.testing.assert_allclose(
        read[:, 1:] + [0.0, 9.80665 - trial.model.gravity_mps2], motion.base_acceleration, atol=2e-6
    )


@pytest.mark.parametrize("side", ["r", "l"])
def test_the_side_is_chosen(recording: Path, side: str) -> None:
    text = recording.read_text()
    if side == "l":
        recording.write_text(text.replace("_r\t", "_l\t").replace("ankle_angle_r", "ankle_angle_l"))
    assert len(playback.playback(recording, side=side)) == 400
    with pytest.raises(TrialError, match="has no column"):
        playback.playback(recording, side="l" if side == "r" else "r")


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"walk\.mot: cannot be read"):
        playback.playback(tmp_path / "walk.mot")


def test_readings_between_the_samples_and_on_an_even_grid(recording: Path) -> None:
    spec = TrialSpec.model_validate({"kinematics": recording, "side": "r"})
    trial = load_trial(spec, load_model("leg9"), name="swing")
    even = playback.even_times(trial, 250.0)
    np.testing.assert_allclose(even, np.arange(498) / 250.0, atol=1e-12)
    own = playback.readings(trial, trial.time_s)
    np.testing.assert_array_equal(own.q, trial.q)
    half = playback.readings(trial, trial.time_s[:-1] + 0.005)
    np.testing.assert_allclose(half.q, 0.5 * (trial.q[1:] + trial.q[:-1]), atol=1e-9)
    assert (half.tilt.shape, half.tilt_rate.shape, half.base_acceleration.shape) == ((199,), (199,), (199, 2))
    frames = playback.to_frames(trial.time_s, own, trial.model.gravity_mps2)
    assert frames == playback.frames(trial)
