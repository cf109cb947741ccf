"""A differentiator's outputs over a movement, and how far they are from what the movement truly was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from edge.errors import EngineError
from edge.signals.differentiate import create
from edge.signals.differentiator import Differentiator
from tools.bench.movements import RATE_HZ, Jitter, Movement, disturbed, reference

FloatArray = npt.NDArray[np.float64]

Build = Callable[[str, Movement, float], Differentiator]
"""Makes the differentiator of a method for a movement's channels and an age in s."""

OPENSIMRT = "opensimrt"
OPENSIMRT_AGE_S = 0.14
WARM_UP_S = 0.5  # from a movement's start, before outputs count

_MEMORY = 35
_CUTOFF_HZ = 6.0


@dataclass(frozen=True)
class Run:
    """Outputs of one differentiator: what it said of which moment."""

    age_s: float
    time_s: FloatArray  # (outputs,) moments described
    said: FloatArray  # (3, outputs, channels): value, rate, acceleration in rad, rad/s, rad/s2
    true: FloatArray  # the same of the undisturbed movement

    def rmse(self, start_s: float = 0.0, end_s: float = np.inf) -> FloatArray:
        """(3,): over all channels and over the moments in [start_s, end_s) in deg, deg/s, deg/s2; NaN where there is none."""
        within = (self.time_s >= start_s - 1e-9) & (self.time_s < end_s - 1e-9)
        if not within.any():
            return np.full(3, np.nan)
        square = (self.said[:, within] - self.true[:, within]) ** 2
        return np.asarray(np.degrees(np.sqrt(square.mean(axis=(1, 2)))))


def build(method: str, movement: Movement, age_s: float) -> Differentiator:
    """As `edge.signals.differentiate` makes it out of the box; what adapts itself does so inside `push`."""
    return create(method, n_joints=movement.q.shape[1], rate_hz=RATE_HZ, age_s=age_s, background=False)


def run(
    method: str,
    movement: Movement,
    age_s: float,
    *,
    seed: int = 0,
    jitter: Jitter = "hidden",
    make: Build = build,
) -> Run:
    """Push the disturbed movement through a fresh differentiator. Ages of OpenSimRT's filter are whole samples."""
    stamps, samples = disturbed(movement, seed, jitter=jitter)
    if method == OPENSIMRT:
        time, said = opensimrt(stamps, samples, round(age_s * RATE_HZ))
    else:
        time, said = _pushed(make(method, movement, age_s), stamps, samples)
    within = (time >= 0.0) & (time <= movement.duration_s)
    time, said = time[within], said[:, within]
    return Run(age_s, time, said, reference(movement, time))


def _pushed(differentiator: Differentiator, stamps: FloatArray, samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    time, said = [], []
    for t_s, q in zip(stamps.tolist(), samples, strict=True):
        output = differentiator.push(t_s, q)
        if output is not None:
            time.append(output.t_s)
            said.append(
                (output.q, output.qd, output.qdd)
            )  # arrays of their own, or they would all show the last output
    if differentiator.failure:
        raise EngineError(f"{type(differentiator).__name__}: {differentiator.failure}")
    if not time:
        return np.empty(0), np.empty((3, 0, samples.shape[1]))
    return np.array(time), np.array(said).transpose(1, 0, 2)


def opensimrt(stamps: FloatArray, samples: FloatArray, delay: int) -> tuple[FloatArray, FloatArray]:
    """OpenSimRT's filter on the same samples: times (outputs,) and value, rate, acceleration (3, outputs, channels).

    It needs even samples: those that are lost are put in by linear interpolation, as its authors bring recordings to 100 Hz.
    """
    grid = stamps[0] + np.arange(int((stamps[-1] - stamps[0]) * RATE_HZ + 1e-6) + 1) / RATE_HZ
    even = np.stack([np.interp(grid, stamps, column) for column in samples.T], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(even, _MEMORY, axis=0)  # (outputs, channels, memory)
    said = np.einsum("km,ocm->koc", opensimrt_weights(delay), windows)
    return grid[_MEMORY - 1 :] - delay / RATE_HZ, said


def opensimrt_weights(delay: int) -> FloatArray:
    """(3, 35): the filter of OpenSimRT (Stanev et al. 2021) for even samples at 100 Hz, `delay` samples late, as one matrix.

    Its last 35 samples are padded by their point reflection, smoothed by a sinc of 6 Hz under a Hamming window of 35 samples, and
    interpolated by a natural cubic spline whose derivatives are taken.
    """
    half = _MEMORY // 2
    own = np.eye(_MEMORY)
    padded = np.concatenate([2.0 * own[:1] - own[half:0:-1], own, 2.0 * own[-1:] - own[-2 : -half - 2 : -1]])
    k = np.arange(-half, half + 1)
    kernel = np.sinc(2.0 * _CUTOFF_HZ / RATE_HZ * k) * (0.54 + 0.46 * np.cos(np.pi * k / half))
    kernel /= kernel.sum()
    smooth = np.array([kernel @ padded[n : n + _MEMORY] for n in range(_MEMORY)])
    spline = CubicSpline(np.arange(_MEMORY) / RATE_HZ, smooth, bc_type="natural")
    moment = (_MEMORY - 1 - delay) / RATE_HZ
    return np.array([spline(moment, derivative) for derivative in range(3)])
