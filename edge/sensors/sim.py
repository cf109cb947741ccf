"""`sim:?rate=100&speed=1.3&side=r`: somebody who walks for ever on level ground, without any file.

rate: of the samples, Hz. speed: of walking, m/s. side: r or l. model: the muscle model whose joints walk. The sensors may be
made worse: noise_deg (joint angles), noise_acc (m/s2) and noise_dps (deg/s) are standard deviations, lost the share of
frames that never arrive, seed what decides both.

The gait is the mean stride of the packaged recording `demo` as Fourier series, so it repeats exactly and has derivatives of
every order. With the speed change the stride's rate and, in proportion to the stride's length, the swing of all joints but
the ankle (Grieve 1968: the length grows with speed to the power 0.42); accelerations grow with its square.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.signal import hilbert

from edge.msk.model import load_model
from edge.sensors.frame import Frame, Kind
from edge.sensors.playback import recording_path
from edge.sensors.played import PlayedSensor
from edge.signals.intake import pelvis_channels
from edge.trials import TrialSpec, load_trial
from edge.url import Url

FloatArray = npt.NDArray[np.float64]

_HARMONICS = 8  # at one stride a second, what the 6 Hz filter of a recording leaves
_STRIDE_EXPONENT = 0.42
_NOT_WITH_SPEED = "ankle"
_FIRST_IMU_CHANNEL_OF_RATE = 7
_SEQUENCE_MODULO = 1 << 32


@dataclass(frozen=True)
class Gait:
    """One stride as Fourier series over its phase.

    coefficients: (harmonics + 1, n_joints + 3) complex; joint angles rad, tilt rad, acceleration of the base x and y m/s2.
    """

    coefficients: npt.NDArray[np.complex128]
    strides_per_s: float
    gravity_mps2: float

    def at(self, t_s: float) -> tuple[FloatArray, FloatArray]:
        """Values and their rates at a time; (n_joints + 3,) each."""
        turn = 2j * np.pi * np.arange(len(self.coefficients)) * self.strides_per_s
        wave = np.exp(turn * t_s)
        return (wave @ self.coefficients).real, ((turn * wave) @ self.coefficients).real


def gait(model_name: str, side: Literal["r", "l"], speed_mps: float) -> Gait:
    """The packaged walk at another speed. Raises ModelError for no model, TrialError for one that does not walk."""
    model = load_model(model_name)
    trial = load_trial(
        TrialSpec.model_validate({"kinematics": recording_path("demo"), "side": side}), model, name="demo"
    )
    motion = trial.kinematics(trial.time_s)
    values = np.column_stack([motion.q, motion.tilt, motion.base_acceleration])
    # The phase of the first joint's swing as an analytic signal: strides differ in length, and are laid over each other.
    inner = slice(len(values) // 10, -len(values) // 10)
    phase = np.unwrap(np.angle(hilbert(values[:, 0] - values[:, 0].mean())))[inner]
    waves = np.exp(1j * np.multiply.outer(phase, np.arange(_HARMONICS + 1)))
    design = np.hstack([waves.real, -waves.imag[:, 1:]])
    fitted = np.linalg.lstsq(design, values[inner], rcond=None)[0]
    coefficients = fitted[: _HARMONICS + 1].astype(np.complex128)
    coefficients[1:] += 1j * fitted[_HARMONICS + 1 :]
    duration_s = trial.time_s[inner][-1] - trial.time_s[inner][0]
    links = len(model.base.links)
    advance = trial.base[inner, links]
    ratio = speed_mps * duration_s / float(advance[-1] - advance[0])
    stride = ratio**_STRIDE_EXPONENT
    n = len(model.joints)
    for i, joint in enumerate(model.joint_names):
        coefficients[1:, i] *= 1.0 if joint == _NOT_WITH_SPEED else stride
    coefficients[1:, n + 1 :] *= ratio**2
    coefficients[0, n + 1 :] = 0.0
    strides_per_s = float(phase[-1] - phase[0]) / math.tau / duration_s * ratio / stride
    return Gait(coefficients, strides_per_s, model.gravity_mps2)


class SimSensor(PlayedSensor):
    """A synthesised walk, each frame when it is due."""

    finite = False

    def __init__(
        self,
        url: Url,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(url, clock=clock, sleep=sleep)
        url.only("rate", "speed", "side", "model", "noise_deg", "noise_acc", "noise_dps", "lost", "seed")
        self._rate_hz = url.number("rate", 100.0, minimum=10.0, maximum=1000.0)
        self._speed_mps = url.number("speed", 1.3, minimum=0.5, maximum=2.0)
        self._side: Literal["r", "l"] = "r" if url.text_of("side", "r", choices=("r", "l")) == "r" else "l"
        self._model = url.text_of("model", "leg9")
        self._angle_noise = math.radians(url.number("noise_deg", 0.0, minimum=0.0, maximum=30.0))
        self._acceleration_noise = url.number("noise_acc", 0.0, minimum=0.0, maximum=50.0)
        self._rate_noise = math.radians(url.number("noise_dps", 0.0, minimum=0.0, maximum=500.0))
        self._lost = url.number("lost", 0.0, minimum=0.0, maximum=0.9)
        self._seed = url.integer("seed", 0, minimum=0, maximum=2**31)

    def _source(self) -> Iterator[Frame]:
        """The walk. Raises ModelError or TrialError for a model that does not walk."""
        return self._frames_of(gait(self._model, self._side, self._speed_mps))

    def _frames_of(self, walk: Gait) -> Iterator[Frame]:
        random = np.random.default_rng(self._seed)
        index = 0
        while True:
            for frame in self._moment(walk, index):
                noise = random.standard_normal(len(frame.channels)) * self._noise(frame.kind, len(frame.channels))
                if random.random() >= self._lost:
                    yield replace(frame, channels=tuple((np.array(frame.channels) + noise).tolist()))
            index += 1

    def _moment(self, walk: Gait, index: int) -> tuple[Frame, Frame]:
        value, rate = walk.at(index / self._rate_hz)
        n = len(value) - 3
        imu = pelvis_channels(float(value[n]), float(rate[n]), value[n + 1 :], walk.gravity_mps2)
        time_us, sequence = round(index * 1e6 / self._rate_hz), index % _SEQUENCE_MODULO
        return (
            Frame(Kind.ANGLES, 0, sequence, time_us, tuple(value[:n].tolist())),
            Frame(Kind.IMU, 0, sequence, time_us, imu),
        )

    def _noise(self, kind: int, channels: int) -> FloatArray:
        """Standard deviation of each channel; the orientation is filtered by the sensor and has none."""
        if kind == Kind.ANGLES:
            return np.full(channels, self._angle_noise)
        deviation = np.zeros(channels)
        deviation[4:_FIRST_IMU_CHANNEL_OF_RATE] = self._acceleration_noise
        deviation[_FIRST_IMU_CHANNEL_OF_RATE:] = self._rate_noise
        return deviation
