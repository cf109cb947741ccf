from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tiny_bundle import write_swinging_leg

from edge.msk.chain import place_chain
from edge.msk.dynamics import inverse_dynamics
from edge.msk.model import load_model
from edge.sensors.frame import Kind
from edge.signals.imu import LegFromImus
from edge.trial import Trial
from edge.trials import TrialSpec, load_trial
from tools.segment_imus import imu_frames, imu_playback

SEGMENTS = ("pelvis", "thigh", "shank", "foot")


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    path = write_swinging_leg(tmp_path / "swing.mot", seconds=3.0)
    return load_trial(TrialSpec(kinematics=path), load_model("leg9"), name="swing")


def sent(trial: Trial, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Readings (frames, 4, 10) and the alignment's rotations."""
    frames, alignment = imu_frames(trial, seed=seed)
    assert alignment.segment_names == SEGMENTS
    return np.array([f.channels for f in frames]).reshape(-1, 4, 10), alignment.rotation


def test_frames_are_those_of_the_recording(trial: Trial) -> None:
    frames, _ = imu_frames(trial, seed=0)
    assert [f.time_us for f in frames] == [10_000 * k for k in range(300)]
    assert [f.sequence for f in frames] == list(range(300))
    assert {(f.kind, f.flags, len(f.channels)) for f in frames} == {(Kind.IMU, 0, 40)}
    assert imu_frames(trial, seed=0)[0] == frames
    assert imu_frames(trial, seed=1)[0] != frames


@pytest.mark.parametrize("seed", [0, 5])
def test_the_alignment_undoes_the_mounting(trial: Trial, seed: int) -> None:
    frames, alignment = imu_frames(trial, seed=seed)
    leg, motion = (
        LegFromImus(trial.model.joint_names, alignment, trial.model.gravity_mps2),
        trial.kinematics(trial.time_s),
    )
    for k in range(20, 280, 7):
        one = np.array(frames[k].channels).reshape(4, 10)
        seen = leg.evaluate(one[:, :4], one[:, 4:7], one[:, 7:])
        np.testing.assert_allclose(seen.q, trial.q[k], atol=2e-6)
        np.testing.assert_allclose(seen.qd_gyro, motion.qd[k], atol=2e-6)
        np.testing.assert_allclose(seen.base_acceleration, motion.base_acceleration[k], atol=1e-5)


def test_mountings_and_headings_are_of_the_sensors_own(trial: Trial) -> None:
    readings, rotation = sent(trial, 0)
    apart = [Rotation.from_matrix(rotation[i] @ rotation[j].T).magnitude() for i in range(4) for j in range(i)]
    assert min(apart) > 0.2
    assert (np.sum(readings[1:, :, :4] * readings[:-1, :, :4], axis=2) > 0.9).all()  # no sign changes


def test_accelerations_are_those_that_the_forces_of_the_motion_make(trial: Trial) -> None:
    """Newton: mass times what the segments' sensors feel is the force in the hip, which inverse dynamics gives too."""
    readings, rotation = sent(trial, 2)
    motion, model = trial.kinematics(trial.time_s), trial.model
    angle = np.cumsum(np.column_stack([motion.tilt, motion.q]), axis=1)
    place = place_chain(model, motion.q, motion.tilt)
    moment = np.zeros(len(angle))
    rate = np.cumsum(np.column_stack([motion.tilt_acceleration, motion.qdd]), axis=1)
    for i, segment in enumerate(model.segments, start=1):
        felt = readings[:, i, 4:7] @ rotation[i].T
        c, s = np.cos(angle[:, i]), np.sin(angle[:, i])
        fx, fy = c * felt[:, 0] - s * felt[:, 1], s * felt[:, 0] + c * felt[:, 1]
        arm = place.centers[i - 1] + place.com[i - 1] - place.centers[0]
        moment += segment.mass_kg * (arm[:, 0] * fy - arm[:, 1] * fx) + segment.inertia_kg_m2 * rate[:, i]
    expected = inverse_dynamics(model, motion)[:, 0]
    inner = slice(10, -10)
    # The hip's centre does not move in its parent, so that its torque is the moment about it.
    np.testing.assert_allclose(moment[inner], expected[inner], atol=0.02 * np.abs(expected).max())


def test_sensors_without_orientation_send_zeros(trial: Trial) -> None:
    frames, _ = imu_frames(trial, seed=0, oriented=False)
    readings = np.array([f.channels for f in frames]).reshape(-1, 4, 10)
    assert not readings[:, :, :4].any()
    np.testing.assert_array_equal(readings[:, :, 4:], sent(trial, 0)[0][:, :, 4:])


def test_a_packaged_recording_by_its_name() -> None:
    frames, alignment = imu_playback(Path("demo"), seed=3)
    assert len(frames) > 1000
    assert alignment.segment_names == SEGMENTS
