"""What real sensors make of a laboratory's recording, for training and for judging estimates as a wearer would get them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.sensors import playback
from edge.sensors.frame import Frame
from edge.trial import Trial

FloatArray = npt.NDArray[np.float64]

_DRIFT_S = 5.0  # in which an IMU's slow errors forget themselves


@dataclass(frozen=True)
class SensorQuality:
    """Errors of one wearable set: encoders at the joints, an IMU at the pelvis."""

    angle_noise_rad: float = float(np.radians(0.1))
    angle_step_rad: float = 2.0 * np.pi / 4096  # 12 bits to the turn
    jitter_s: float = 1e-3  # between the moment at which a sample is taken and the even one that it is stamped with
    lost: float = 0.01  # of all samples
    tilt_noise_rad: float = float(np.radians(0.1))
    tilt_drift_rad: float = float(np.radians(0.5))
    rate_noise_rad_s: float = float(np.radians(0.5))
    rate_drift_rad_s: float = float(np.radians(0.3))
    acceleration_noise_mps2: float = 0.1
    acceleration_drift_mps2: float = 0.1


USUAL = SensorQuality()
"""12-bit encoders with 0.1 deg of noise, 1 ms of jitter, one sample in a hundred lost; an IMU of a few dollars."""


def imperfect_frames(trial: Trial, quality: SensorQuality, *, rate_hz: float, seed: int) -> list[Frame]:
    """The trial's frames at an even rate as such sensors would send them. The same seed gives the same frames of a recording.

    Noise is white; what drifts is an Ornstein-Uhlenbeck process of 5 s with the given deviation.
    """
    # Of every recording another noise: two that are as long would else have the same, and be more alike than any two are.
    draw = np.random.default_rng([seed, zlib.crc32(trial.angles.tobytes())])
    even = playback.even_times(trial, rate_hz)
    count, joints = len(even), len(trial.model.joints)
    taken = np.clip(even + draw.normal(0.0, quality.jitter_s, count), trial.time_s[0], trial.time_s[-1])
    true = playback.readings(trial, np.maximum.accumulate(taken))
    q = true.q + draw.normal(0.0, quality.angle_noise_rad, (count, joints))
    if quality.angle_step_rad > 0.0:
        q = np.round(q / quality.angle_step_rad) * quality.angle_step_rad

    def sensed(values: FloatArray, noise: float, drift: float) -> FloatArray:
        white = draw.normal(0.0, 1.0, values.shape)
        return values + noise * white + drift * _slow(draw, values.shape, 1.0 / rate_hz)

    seen = playback.Readings(
        q,
        sensed(true.tilt, quality.tilt_noise_rad, quality.tilt_drift_rad),
        sensed(true.tilt_rate, quality.rate_noise_rad_s, quality.rate_drift_rad_s),
        sensed(true.base_acceleration, quality.acceleration_noise_mps2, quality.acceleration_drift_mps2),
    )
    frames = playback.to_frames(even - even[0], seen, trial.model.gravity_mps2)
    kept = draw.random(count) >= quality.lost
    # Both frames of a sample are lost together, the first never: it starts the clock.
    return [frame for i, frame in enumerate(frames) if kept[i // 2] or i < 2]


def _slow(draw: np.random.Generator, shape: tuple[int, ...], step_s: float) -> FloatArray:
    """An Ornstein-Uhlenbeck process of unit deviation along the first axis."""
    keep = np.exp(-step_s / _DRIFT_S)
    push = draw.normal(0.0, np.sqrt(1.0 - keep**2), shape)
    push[0] = draw.normal(0.0, 1.0, shape[1:])
    for i in range(1, shape[0]):
        push[i] += keep * push[i - 1]
    return push
