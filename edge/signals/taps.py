"""What a causal FIR differentiator looks at: the taps, the features made of them, and how weights are laid out.

A tap is one sample, or above `MOST_TAP_RATE_HZ` the mean of a few. Features are relative to the newest tap, so that an offset
of a sensor is no movement; the newest taps themselves and a constant come last, by which a filter that knows its wearer
may tell the posture. What is linear in the features is linear in the samples: the loop multiplies samples by one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MOST_TAP_RATE_HZ = 125.0
WINDOW_S = 0.6
AHEAD_S = 0.03
RATE_WINDOW_S = 0.2  # of gyroscopes: what they add lies in the newest samples


@dataclass(frozen=True)
class Taps:
    """The layout. Samples are rows of `n_joints` values followed by the rates of `gyroscopes` (channel numbers)."""

    n_joints: int
    rate_hz: float
    age_s: float
    gyroscopes: tuple[int, ...] = ()
    scale: FloatArray = field(default_factory=lambda: np.ones(0))
    """(n_joints,): the unit of each channel, as large against rad as its movements are against a joint's."""

    def __post_init__(self) -> None:
        if not self.scale.size:
            object.__setattr__(self, "scale", np.ones(self.n_joints))

    @property
    def stride(self) -> int:
        """Samples in one tap."""
        return max(1, int(np.ceil(self.rate_hz / MOST_TAP_RATE_HZ - 1e-9)))

    @property
    def count(self) -> int:
        """Taps of a joint."""
        return round(WINDOW_S * self.rate_hz / self.stride)

    @property
    def rate_count(self) -> int:
        """Taps of a gyroscope."""
        return round(RATE_WINDOW_S * self.rate_hz / self.stride)

    @property
    def samples(self) -> int:
        """Samples in the window."""
        return self.count * self.stride

    @property
    def width(self) -> int:
        """Numbers in a sample."""
        return self.n_joints + len(self.gyroscopes)

    @property
    def outputs(self) -> int:
        """Numbers in an answer: values, rates and accelerations of the moment, and the samples `ahead` of the newest."""
        return 4 * self.n_joints

    @property
    def ahead(self) -> int:
        """How many samples ahead the answer's last part lies: what comes there shows at once whether a filter still fits."""
        return max(1, round(AHEAD_S * self.rate_hz))

    def of_joint(self, j: int) -> npt.NDArray[np.intp]:
        """Numbers of the outputs of one joint."""
        return j + self.n_joints * np.arange(4)

    @property
    def features(self) -> int:
        return self.n_joints * self.count + len(self.gyroscopes) * self.rate_count + 1

    @property
    def newest(self) -> slice:
        """The features that are the newest taps."""
        return slice(self.features - 1 - self.n_joints, self.features - 1)

    def joint(self, j: int) -> npt.NDArray[np.intp]:
        """Numbers of the features of one joint: its relative taps, and its gyroscope's where it has one."""
        own = np.arange(j * (self.count - 1), (j + 1) * (self.count - 1))
        if j not in self.gyroscopes:
            return own
        start = self.n_joints * (self.count - 1) + self.gyroscopes.index(j) * self.rate_count
        return np.concatenate([own, np.arange(start, start + self.rate_count)])

    def tap_times_s(self) -> FloatArray:
        """(count,) s: how long before the newest sample each tap lies, newest first."""
        return np.asarray((np.arange(self.count) * self.stride + 0.5 * (self.stride - 1)) / self.rate_hz)

    def tapped(self, samples: FloatArray) -> FloatArray:
        """Even samples (m, width) as taps: row i is the mean of the `stride` samples up to i; the first are shorter means."""
        if self.stride == 1:
            return samples
        total = np.vstack([np.zeros((1, samples.shape[1])), np.cumsum(samples, axis=0)])
        first = np.maximum(np.arange(1, len(total)) - self.stride, 0)
        return (total[1:] - total[first]) / (np.arange(1, len(total)) - first)[:, None]

    def design(self, taps: FloatArray, rows: npt.NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """Features (m, features) and newest taps (m, n_joints) of the windows that end at `rows` of `taps` (see `tapped`)."""
        n = self.n_joints
        back = np.arange(self.count) * self.stride
        windows = taps[rows[:, None] - back[None]]  # (m, count, width), newest first
        newest = windows[:, 0, :n]
        relative = windows[:, 1:, :n] - newest[:, None]
        rates = windows[:, : self.rate_count, n:]
        table = np.concatenate(
            [
                relative.transpose(0, 2, 1).reshape(len(rows), -1),
                rates.transpose(0, 2, 1).reshape(len(rows), -1),
                newest,
                np.ones((len(rows), 1)),
            ],
            axis=1,
        )
        return table, newest

    def sample_weights(self, weights: FloatArray, count: int | None = None) -> tuple[FloatArray, FloatArray]:
        """Weights of features (features, outputs) as weights of samples, and the constants that are added.

        (outputs, samples x width), samples oldest first, and (outputs,). Values, now and ahead, are given relative to the
        newest tap by the features. `count`: only so many newest taps; the weights of all others are zero.
        """
        n, g = self.n_joints, len(self.gyroscopes)
        table = np.zeros((self.outputs, self.count, self.width))
        relative = weights[: n * (self.count - 1)].reshape(n, self.count - 1, self.outputs)
        table[:, 1:, :n] = relative.transpose(2, 1, 0)
        table[:, 0, :n] = weights[self.newest].T - relative.sum(axis=1).T
        joints = np.arange(n)
        table[joints, 0, joints] += 1.0
        table[3 * n + joints, 0, joints] += 1.0
        start = n * (self.count - 1)
        rates = weights[start : start + g * self.rate_count].reshape(g, self.rate_count, self.outputs)
        table[:, : self.rate_count, n:] = rates.transpose(2, 1, 0)
        table = table[:, : self.count if count is None else count][:, ::-1]
        spread = np.repeat(table, self.stride, axis=1) / self.stride
        return spread.reshape(len(spread), -1), weights[-1].copy()
