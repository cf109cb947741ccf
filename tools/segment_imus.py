"""A recorded trial as one IMU on every segment would have sent it: strapped on anyhow, each with a heading of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from edge.msk.chain import place_chain
from edge.msk.model import load_model
from edge.sensors.frame import Frame, Kind
from edge.sensors.playback import recording_path
from edge.signals.alignment import Alignment, SegmentQuality
from edge.trial import Trial
from edge.trials import TrialSpec, load_trial

FloatArray = npt.NDArray[np.float64]

_STEP_S = 1e-3  # of the second difference of the sensors' places; their motion is filtered at 6 Hz
_NOT_MEASURED = SegmentQuality(np.nan, np.nan, np.nan, np.nan)


def imu_playback(
    path: Path, *, side: str = "r", model: str = "leg9", seed: int = 0, oriented: bool = True
) -> tuple[list[Frame], Alignment]:
    """Frames of a kinematics file or a packaged recording. Raises FileError, TrialError, ModelError; see `imu_frames`."""
    path = recording_path(str(path))
    spec = TrialSpec.model_validate({"kinematics": path, "side": side})
    return imu_frames(load_trial(spec, load_model(model), name=path.name), seed=seed, oriented=oriented)


def imu_frames(trial: Trial, *, seed: int, oriented: bool = True) -> tuple[list[Frame], Alignment]:
    """The trial's frames at its own times, one with the IMUs of all segments each, and the alignment that undoes the mounting.

    seed: of each sensor's mounting on its segment and of the heading of its world. oriented: whether the sensors estimate an
    orientation; those that do not send the quaternion `0 0 0 0`.

    Inclinations are those of the angles as recorded; rates and accelerations of the filtered motion (6 Hz, zero phase), the first
    sensor's at the chain's start, the others' at their segments' centres of mass.
    """
    model = trial.model
    n = len(model.segments) + 1
    rng = np.random.default_rng(seed)
    mounting = Rotation.random(n, random_state=rng)
    heading = Rotation.from_rotvec(np.outer(rng.uniform(-np.pi, np.pi, n), [0.0, 1.0, 0.0]))
    motion = trial.kinematics(trial.time_s)
    tilt = trial.base[:, : len(model.base.links)].sum(axis=1)
    angle = np.cumsum(np.column_stack([tilt, trial.q]), axis=1)
    rate = np.cumsum(np.column_stack([motion.tilt_rate, motion.qd]), axis=1)
    force = _accelerations(trial) + np.array([0.0, model.gravity_mps2])
    channels = np.zeros((len(angle), n, 10))
    for i in range(n):
        sensor = _about_z(angle[:, i]) * mounting[i]
        if oriented:
            channels[:, i, :4] = _continuous((heading[i] * sensor).as_quat()[:, [3, 0, 1, 2]])
        channels[:, i, 4:7] = sensor.inv().apply(np.column_stack([force[:, i], np.zeros(len(force))]))
        channels[:, i, 7:] = mounting[i].inv().apply(np.outer(rate[:, i], [0.0, 0.0, 1.0]))
    times_us = np.round((trial.time_s - trial.time_s[0]) * 1e6).astype(int).tolist()
    rows = channels.reshape(len(channels), -1).astype(np.float32).tolist()
    frames = [Frame(Kind.IMU, 0, i, t, tuple(row)) for i, (t, row) in enumerate(zip(times_us, rows, strict=True))]
    names = model.part_names[-n:]
    return frames, Alignment(names, mounting.as_matrix(), (_NOT_MEASURED,) * n, np.nan)


def _accelerations(trial: Trial) -> FloatArray:
    """Of every sensor (frames, segments, 2) in the plane, m/s2, without gravity."""
    inner = np.clip(trial.time_s, trial.time_s[0] + _STEP_S, trial.time_s[-1] - _STEP_S)
    before, here, after = (_places(trial, inner + step) for step in (-_STEP_S, 0.0, _STEP_S))
    seen_from_base = (after - 2.0 * here + before) / _STEP_S**2
    return np.asarray(trial.kinematics(trial.time_s).base_acceleration[:, None] + seen_from_base)


def _places(trial: Trial, times_s: FloatArray) -> FloatArray:
    """Of every sensor (frames, segments, 2) seen from the base's point, m."""
    motion = trial.kinematics(times_s)
    chain = place_chain(trial.model, motion.q, motion.tilt)
    on_segments = [center + com for center, com in zip(chain.centers, chain.com, strict=True)]
    return np.stack([np.zeros((len(times_s), 2)), *on_segments], axis=1)


def _about_z(angle: FloatArray) -> Rotation:
    return Rotation.from_rotvec(np.outer(angle, [0.0, 0.0, 1.0]))


def _continuous(quaternion: FloatArray) -> FloatArray:
    """The same orientations (frames, 4), each with the sign that is near the one before."""
    turned = (quaternion[1:] * quaternion[:-1]).sum(axis=1) < 0.0
    sign = np.where(np.concatenate([[False], np.cumsum(turned) % 2 == 1]), -1.0, 1.0)
    return np.asarray(quaternion * sign[:, None])
