"""A recorded trial as the frames that the sensors on the person would have sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import FileError
from edge.msk.model import load_model
from edge.sensors.frame import Frame, Kind
from edge.signals.intake import pelvis_channels
from edge.trial import Trial
from edge.trials import TrialSpec, load_trial

FloatArray = npt.NDArray[np.float64]

_DATA = Path(__file__).resolve().parent.parent / "data"
_RECORDING = "walk.mot"


def packaged_recordings() -> list[str]:
    """Names of the recordings that come with the program."""
    return sorted(path.parent.name for path in _DATA.glob(f"*/{_RECORDING}"))


def recording_path(name_or_path: str) -> Path:
    """The file of a packaged recording by its name (`demo`), or the path as it is.

    Raises FileError for a bare name that is neither a packaged recording nor a file.
    """
    if name_or_path in packaged_recordings():
        return _DATA / name_or_path / _RECORDING
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        known = ", ".join(packaged_recordings()) or "none: install the program again"
        raise FileError(
            f"{name_or_path}: no such recording: give a .mot, .sto or .csv file, or the name of a packaged recording "
            f"({known})"
        )
    return path


def playback(path: Path, *, side: str = "r", model: str = "leg9", rate_hz: float | None = None) -> list[Frame]:
    """Frames of a kinematics file or a packaged recording, in order of time, `time_us` and each kind's sequence from 0.

    rate_hz: the rate at which the sensors sample; default the recording's own. Raises FileError, TrialError, ModelError.
    """
    path = recording_path(str(path))
    spec = TrialSpec.model_validate({"kinematics": path, "side": side})
    return frames(load_trial(spec, load_model(model), name=path.name), rate_hz=rate_hz)


def frames(trial: Trial, *, rate_hz: float | None = None) -> list[Frame]:
    """The trial's frames: joint angles as recorded, and an ideal pelvis IMU at the hip."""
    times = trial.time_s if rate_hz is None else even_times(trial, rate_hz)
    return to_frames(times - times[0], readings(trial, times), trial.model.gravity_mps2)


def even_times(trial: Trial, rate_hz: float) -> FloatArray:
    """An even grid over the whole recording."""
    return np.asarray(
        trial.time_s[0] + np.arange(int((trial.time_s[-1] - trial.time_s[0]) * rate_hz + 1e-6) + 1) / rate_hz
    )


@dataclass(frozen=True)
class Readings:
    """What the sensors of one limb see. Arrays over samples."""

    q: FloatArray  # (samples, n_joints) rad
    tilt: FloatArray  # (samples,) rad, of what carries the first joint
    tilt_rate: FloatArray  # (samples,) rad/s
    base_acceleration: FloatArray  # (samples, 2) m/s2, forwards and upwards in the world


def readings(trial: Trial, times: FloatArray) -> Readings:
    """What ideal sensors see at the given times.

    No accelerometer was worn in a motion laboratory: its reading is computed from the pelvis's recorded path, which
    has to be filtered (6 Hz, zero phase) to be differentiated twice.
    """
    q = np.stack([np.interp(times, trial.time_s, column) for column in trial.q.T], axis=1)
    # The IMU rides on what carries the first joint: the pelvis of a leg, the thigh of a knee, the upper arm of an elbow.
    tilt = np.interp(times, trial.time_s, trial.base[:, : len(trial.model.base.links)].sum(axis=1))
    motion = trial.kinematics(times)
    return Readings(q, tilt, motion.tilt_rate, motion.base_acceleration)


def to_frames(stamps_s: FloatArray, seen: Readings, gravity_mps2: float) -> list[Frame]:
    """Frames of joint angles and pelvis IMU, in order of time; the sequence is that of the stamps.

    Rounded to the float32 of the wire here, so that training sees the very numbers that a sensor would send.
    """
    q = seen.q.astype(np.float32)
    result = []
    for i, t in enumerate(stamps_s.tolist()):
        time_us = round(t * 1e6)
        pelvis = _float32(
            pelvis_channels(float(seen.tilt[i]), float(seen.tilt_rate[i]), seen.base_acceleration[i], gravity_mps2)
        )
        result.append(Frame(Kind.ANGLES, 0, i, time_us, tuple(q[i].tolist())))
        result.append(Frame(Kind.IMU, 0, i, time_us, pelvis))
    return result


def _float32(channels: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(np.array(channels, dtype=np.float32).tolist())
