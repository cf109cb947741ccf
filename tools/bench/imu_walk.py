"""The recording `imu_walk` in our conventions: seven IMUs and optical segments of a person who walks, turns and walks back."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.signal import butter, filtfilt
from scipy.spatial.transform import Rotation

from edge.errors import FileError
from edge.signals.alignment import ImuRecording
from edge.signals.orientation import Orientation

FloatArray = npt.NDArray[np.float64]

RATE_HZ = 100.0
SEGMENTS = ("pelvis", "thigh", "shank", "foot")
_Y_UP = Rotation.from_rotvec([-np.pi / 2.0, 0.0, 0.0])  # (x, y, z) of a world with z up becomes (x, z, -y)
_IMUS = {"pelvis": "Pelvis", "thigh": "{}_UpLeg", "shank": "{}_LowLeg", "foot": "{}_Foot"}
_OPTICAL = {"pelvis": "qRPV", "thigh": "q{}TH", "shank": "q{}SK", "foot": "q{}FT"}
_LEG_LOWPASS_HZ = 8.0


@dataclass(frozen=True)
class Leg:
    """One leg's readings, by either orientation, and its optical segments."""

    side: str
    sensors: ImuRecording  # the sensors' own orientation
    vqf: ImuRecording  # VQF 6D, causal
    optical: FloatArray  # (frames, 4, 3, 3), segment (x forward, y up, z right) to world (y up)

    def angles(self, reference: str, delay_s: float = 0.0) -> FloatArray:
        """Reference joint angles (frames, 3) rad, `delay_s` before each frame of the IMUs."""
        if reference == "sagittal":
            q = np.diff(self.segment_angles(), axis=1)
        else:
            parents, children = self.optical[:, :-1], self.optical[:, 1:]
            relative = np.swapaxes(parents, -1, -2) @ children
            # Flexion about the parent's z, then abduction about x, then rotation about y: the first of z x y.
            q = np.arctan2(-relative[..., 0, 1], relative[..., 1, 1])
        return delayed(np.unwrap(q, axis=0), delay_s)

    def segment_angles(self) -> FloatArray:
        """Against the vertical, (frames, 4) rad."""
        up = self.optical[:, :, 1, :]
        return np.unwrap(np.arctan2(up[..., 0], up[..., 1]), axis=0)


def delayed(values: FloatArray, delay_s: float) -> FloatArray:
    """The values (frames, ...) `delay_s` earlier."""
    if delay_s == 0.0:
        return values
    frames = np.arange(len(values), dtype=np.float64)
    return np.asarray(CubicSpline(frames, values)(np.clip(frames - delay_s * RATE_HZ, 0.0, len(values) - 1.0)))


def read_legs(folder: Path) -> tuple[Leg, Leg]:
    """Left and right leg of `imu_walk`, in our conventions. Raises FileError."""
    optical = _columns(folder / "vicon.csv")
    return _leg(folder, optical, "L"), _leg(folder, optical, "R")


def _columns(path: Path) -> dict[str, FloatArray]:
    """Vectors by the name that their columns share: `acc_1, acc_2, acc_3` is `acc` (frames, 3)."""
    try:
        with path.open(encoding="utf-8") as file:
            rows = list(csv.reader(line for line in file if not line.startswith("//")))
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}): give the folder of the recordings") from None
    values = np.array(rows[1:], dtype=np.float64)
    stems = [name.rpartition("_")[0] for name in rows[0]]
    return {stem: values[:, [i for i, s in enumerate(stems) if s == stem]] for stem in dict.fromkeys(stems)}


def _rotation(quaternion: FloatArray) -> Rotation:
    return Rotation.from_quat(quaternion[:, [1, 2, 3, 0]])


def _leg(folder: Path, optical: dict[str, FloatArray], side: str) -> Leg:
    imus = [_columns(folder / f"imu_{_IMUS[s].format(side)}.csv") for s in SEGMENTS]
    force = np.stack([i["acc"] for i in imus], axis=1)
    rate = np.stack([i["gyr"] for i in imus], axis=1)
    own = np.stack([(_Y_UP * _rotation(i["ori"])).as_quat()[:, [3, 0, 1, 2]] for i in imus], axis=1)
    segments = []
    for s in SEGMENTS:
        axes = (_Y_UP * _rotation(optical[_OPTICAL[s].format(side)])).as_matrix()
        x, y, z = (axes[:, :, i] for i in range(3))
        # Plug-in Gait: x forward, y left, z up along the bone; of the foot z towards the toes, x down.
        segments.append(np.stack([z, -x, -y] if s == "foot" else [x, z, -y], axis=2))
    return Leg(
        side, ImuRecording(own, force, rate), ImuRecording(_vqf(force, rate), force, rate), np.stack(segments, axis=1)
    )


def _vqf(force: FloatArray, rate: FloatArray) -> FloatArray:
    """Causal orientation of every sensor (frames, sensors, 4)."""
    out = np.empty((*force.shape[:2], 4))
    for s in range(force.shape[1]):
        filter_ = Orientation(RATE_HZ)
        for i in range(len(force)):
            quaternion = filter_.push(i / RATE_HZ, force[i, s], rate[i, s])
            assert quaternion is not None
            out[i, s] = quaternion
    return out


def clock_delay_s(legs: tuple[Leg, Leg]) -> float:
    """By how much the IMUs' clock stamps later than the optical system's what happened at once.

    From the turning speeds of pelvis, shanks and feet, which no mounting changes; not of the thighs, whose soft tissue moves.
    """
    b, a = butter(2, _LEG_LOWPASS_HZ / (0.5 * RATE_HZ))
    delays = np.arange(-0.05, 0.05, 0.001)
    total = np.zeros(len(delays))
    frames = np.arange(len(legs[0].optical) - 2, dtype=np.float64)
    inner = slice(20, -20)
    for leg in legs:
        for s in (0, 2, 3):
            seen = filtfilt(b, a, _speed(Rotation.from_matrix(leg.optical[:, s])))
            felt = CubicSpline(frames, filtfilt(b, a, _speed(_rotation(leg.sensors.quaternion[:, s]))))
            total += [np.corrcoef(seen[inner], felt(frames[inner] + d * RATE_HZ))[0, 1] for d in delays]
    return float(delays[total.argmax()])


def _speed(rotation: Rotation) -> FloatArray:
    return np.asarray(np.linalg.norm((rotation[:-2].inv() * rotation[2:]).as_rotvec(), axis=1))


def part(recording: ImuRecording, frames: slice) -> ImuRecording:
    return ImuRecording(recording.quaternion[frames], recording.specific_force[frames], recording.angular_rate[frames])
