"""A chain of rigid segments that swings and turns in space, and what ideal IMUs on it read, mounted and headed in any way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import make_interp_spline
from scipy.spatial.transform import Rotation

from edge.signals.alignment import ImuRecording

FloatArray = npt.NDArray[np.float64]

GRAVITY = 9.81
SEGMENTS = ("pelvis", "thigh", "shank", "foot")
LEG_RANGE = np.radians([(-35.0, 90.0), (-115.0, 10.0), (-40.0, 35.0)])


@dataclass(frozen=True)
class Walk:
    """Angles and their exact rates; the base's path; heading of all segments."""

    t_s: FloatArray
    q: FloatArray
    qd: FloatArray
    tilt: FloatArray
    tilt_rate: FloatArray
    heading: FloatArray
    acceleration: FloatArray  # (frames, 3) m/s2 of the base's sensor, in the world


def walk(seconds: float = 6.0, rate_hz: float = 100.0, *, turning: bool = True, stride_hz: float = 0.9) -> Walk:
    """Something like walking, along a curve."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    p = 2.0 * np.pi * stride_hz

    def wave(mean: float, *parts: tuple[float, int, float]) -> tuple[FloatArray, FloatArray]:
        value = np.radians(mean + sum(a * np.sin(k * p * t + f) for a, k, f in parts))
        return value, np.radians(sum((a * k * p * np.cos(k * p * t + f) for a, k, f in parts), np.zeros(len(t))))

    joints = [  # the first two harmonics of a normal gait
        wave(9, (19, 1, 0.0), (3.5, 2, 0.8)),
        wave(-21, (22, 1, -1.75), (18, 2, -1.74)),
        wave(-2, (9, 1, -2.1), (5.5, 2, -1.1)),
    ]
    tilt, tilt_rate = wave(4, (2, 2, 0.3))
    heading = 0.8 * t + 0.3 * np.sin(0.7 * t) if turning else np.zeros(len(t))
    acceleration = np.stack([2.0 * np.sin(2 * p * t), 3.0 * np.sin(2 * p * t + 1.0), 0.5 * np.sin(p * t)], axis=1)
    q, qd = (np.stack([j[k] for j in joints], axis=1) for k in (0, 1))
    return Walk(t, q, qd, tilt, tilt_rate, heading, acceleration)


def standing(q: FloatArray, tilt: float, seconds: float = 1.0, rate_hz: float = 100.0) -> Walk:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    n, zero = len(t), np.zeros(len(t))
    return Walk(t, np.tile(q, (n, 1)), np.zeros((n, len(q))), np.full(n, tilt), zero, zero, np.zeros((n, 3)))


def ideal_imus(motion: Walk, mounting: Rotation, sensor_heading: FloatArray) -> ImuRecording:
    """Readings; `mounting`: n rotations from sensor to segment; `sensor_heading`: (n,) rad of each sensor's world."""
    theta = motion.tilt[:, None] + np.concatenate([np.zeros((len(motion.t_s), 1)), np.cumsum(motion.q, axis=1)], axis=1)
    rate = motion.tilt_rate[:, None] + np.concatenate(
        [np.zeros((len(motion.t_s), 1)), np.cumsum(motion.qd, axis=1)], axis=1
    )
    spline = make_interp_spline(motion.t_s, motion.heading, k=5)
    turn = np.asarray(spline(motion.t_s, 1))
    quaternions, forces, rates = [], [], []
    about_y = Rotation.from_rotvec(np.outer(motion.heading, [0.0, 1.0, 0.0]))
    for i in range(theta.shape[1]):
        segment = about_y * Rotation.from_rotvec(np.outer(theta[:, i], [0.0, 0.0, 1.0]))
        sensor = segment * mounting[i]
        spin = segment.inv().apply(np.outer(turn, [0.0, 1.0, 0.0])) + np.outer(rate[:, i], [0.0, 0.0, 1.0])
        rates.append(mounting[i].inv().apply(spin))
        forces.append(sensor.inv().apply(motion.acceleration + np.array([0.0, GRAVITY, 0.0])))
        seen = Rotation.from_rotvec([0.0, sensor_heading[i], 0.0]) * sensor
        quaternions.append(seen.as_quat()[:, [3, 0, 1, 2]])
    return ImuRecording(np.stack(quaternions, axis=1), np.stack(forces, axis=1), np.stack(rates, axis=1))
