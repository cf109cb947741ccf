"""The one interface of everything that differentiates, and what it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

REFERENCE_AGE_S = 0.3  # so long after a moment, smoothing it again changes nothing that matters
SAME_INTERVAL_S = 1e-10  # grid times differ in their last bits; that is no other interval


@dataclass(frozen=True, slots=True)
class Derivatives:
    """Kinematics of all channels at one moment."""

    t_s: float
    q: FloatArray  # (n,) rad
    qd: FloatArray  # (n,) rad/s
    qdd: FloatArray  # (n,) rad/s2
    age_s: float  # how long before the newest sample the moment lies
    rmse: FloatArray  # (3, n): measured error of q, qd and qdd; NaN until it is known


class Differentiator(ABC):
    """Takes one sample after the other, at any intervals, and describes the moment `age_s` before the newest."""

    def __init__(self, n_joints: int, rate_hz: float, age_s: float) -> None:
        self.n_joints = n_joints
        self.rate_hz = rate_hz
        self.age_s = age_s
        self.failure = ""
        """What went wrong beside the loop, so that only safe answers come from then on; empty where nothing did."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of what works in the background. Nothing may be pushed afterwards."""

    @abstractmethod
    def push(self, t_s: float, q: FloatArray, rate: FloatArray | None = None) -> Derivatives | None:
        """Take one sample (n_joints,); return None while warming up. Time must increase (ValueError).

        rate: (n_joints,) rates that gyroscopes measured at the same moment, rad/s; NaN for channels that have none.
        """

    def doubt(self) -> None:  # noqa: B027 - most learn nothing
        """The sample that is pushed next is doubtful: nothing is to be learned of the wearer from it."""

    @abstractmethod
    def restart(self) -> None:
        """Forget the samples, not what was learned from them: the next one follows a gap. Its time may be any."""


def unknown_error(n: int) -> FloatArray:
    """An error that is not known, shared by all outputs that say so."""
    unknown = np.full((3, n), np.nan)
    unknown.flags.writeable = False
    return unknown
