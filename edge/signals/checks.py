"""Whether what sensors send can be what it is taken for: all checks of one limb, and the rate of each stream.

Frames that cannot be used at all are refused with a SensorError; what is doubtful is a named problem, and estimates made of it
are not trusted. Only the bytes decide, so that a replay doubts the same samples. `order.py` and `posture.py` look at where the
joint angles lie, `stuck.py` for encoders that stand still, `imu_faults.py` at each IMU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

from edge.errors import SensorError
from edge.sensors.frame import Kind
from edge.signals.hookup import IMU_CHANNELS, Hookup
from edge.signals.imu_faults import ImuFaults
from edge.signals.jump import JUMP_MEMORY_S, JumpCheck
from edge.signals.order import OrderCheck
from edge.signals.posture import PostureCheck
from edge.signals.problems import Problems
from edge.signals.stuck import StuckCheck

FloatArray = npt.NDArray[np.float64]

SLOWEST_HZ = 30.0
"""Between samples further apart a walking knee (150 rad/s2) leaves the straight line by more than a degree: h^2 a / 8."""
FASTEST_HZ = 20_000.0
"""No encoder or IMU of a limb is read so often: stamps this near are not in microseconds."""
_BLOCK_US = 1_000_000  # the rate is judged about once a second
_FEWEST_INTERVALS = 20
_MOST_INTERVALS = 200  # whatever the stamps are
_UNEVEN = 0.5  # of the median interval
_UNEVEN_SHARE = 0.25


class RateCheck:
    """The rate of one stream from its own stamps.

    Raises SensorError if the first second shows that the stream is too slow, or that its stamps are no microseconds. Later,
    or where intervals are uneven, it is a problem. `slow`: whether it is too slow at present.
    """

    def __init__(self, key: str, what: str, problems: Problems) -> None:
        self.slow = False
        self._key, self._what, self._problems = key, what, problems
        self._judged = False
        self._uneven = False
        self._last_us: int | None = None
        self._first_us = 0
        self._intervals: list[int] = []

    def add(self, time_us: int) -> None:
        """Take the stamp of the next sample. Raises SensorError."""
        last_us, self._last_us = self._last_us, time_us
        if last_us is None or time_us < last_us:
            self._intervals.clear()
            self._first_us = time_us
            return
        self._intervals.append(time_us - last_us)
        count = len(self._intervals)
        if count >= _MOST_INTERVALS or (count >= _FEWEST_INTERVALS and time_us - self._first_us >= _BLOCK_US):
            self._judge()
            self._intervals.clear()
            self._first_us = time_us

    def _judge(self) -> None:
        advancing = [interval for interval in self._intervals if interval > 0]
        if not advancing:
            return  # a clock that stands still: the loop says so
        usual = median(advancing)
        rate_hz = 1e6 / usual
        if rate_hz > FASTEST_HZ:
            raise SensorError(
                f"the {self._what}: its time stamps advance by {usual:g} us from sample to sample, {rate_hz:.0f} in a second: "
                "make the sensor stamp its frames in microseconds (they look like milliseconds)"
            )
        slow = rate_hz < SLOWEST_HZ
        if slow:
            text = (
                f"the {self._what}: {rate_hz:.3g} samples in a second are too few for a moving limb: make the sensor send at "
                f"least {SLOWEST_HZ:g}, better 100"
            )
            if not self._judged:
                raise SensorError(text)
            if not self.slow:
                self._problems.add(f"slow:{self._key}", text)
        uneven = sum(abs(interval - usual) > _UNEVEN * usual for interval in self._intervals)
        irregular = uneven > _UNEVEN_SHARE * len(self._intervals)
        if irregular and not self._uneven:
            self._problems.add(
                f"irregular:{self._key}",
                f"the {self._what}: {100 * uneven / len(self._intervals):.0f} % of its intervals differ from the usual "
                f"{usual / 1e3:.3g} ms by more than half of it: make the sensor stamp the measurement, not the sending, and "
                "look for lost frames",
            )
        self.slow, self._uneven, self._judged = slow, irregular, True


class Checks:
    """All checks of one limb. `problems` are shared with whoever else finds some.

    Args:
        hookup: what is measured by whom.
        ranges_rad: (lowest, highest) angle of each joint.
        rate_hz: of the grid.
        memory_s: so long a sample is still in what is computed of later ones.
    """

    def __init__(
        self,
        hookup: Hookup,
        ranges_rad: Sequence[tuple[float, float]],
        *,
        rate_hz: float,
        memory_s: float,
        problems: Problems,
    ) -> None:
        self._memory_s, self._problems = memory_s, problems
        self._rates = [RateCheck(group.key, str(group), problems) for group in hookup.groups]
        self._imus = [
            [ImuFaults(name, problems) for name in group.names] if group.kind == Kind.IMU else []
            for group in hookup.groups
        ]
        self._n = len(hookup.joint_names)
        # Angles between IMUs have no channels that could be in another order, or stand still while the IMUs do not.
        self._stuck = None if hookup.angles_from_imus else StuckCheck(hookup.joint_names, problems)
        self._place = (PostureCheck if hookup.angles_from_imus else OrderCheck)(
            hookup.joint_names, ranges_rad, rate_hz, problems
        )
        self._jump = JumpCheck((*hookup.joint_names, "base"), problems)
        self._failed = False
        self._unseen: tuple[str, ...] = ()
        self._doubtful = False
        self._until_s = -math.inf

    def reading(self, group: int, time_us: int, channels: tuple[float, ...]) -> None:
        """Take what a frame says of a group, with the sender's own stamp. Raises SensorError."""
        rate = self._rates[group]
        rate.add(time_us)
        self._doubtful |= rate.slow
        for i, imu in enumerate(self._imus[group]):
            self._doubtful |= imu.add(time_us, channels[IMU_CHANNELS * i : IMU_CHANNELS * (i + 1)])

    def differentiator_failed(self, reason: str) -> None:
        """The filter that learns has failed, and safe ones answer alone."""
        if not self._failed:
            self._failed = True
            self._problems.add(
                "filter",
                f"the filter that learns the wearer has stopped ({reason}): the safe ones go on without it; please report this",
            )

    def sees(self, unseen: tuple[str, ...]) -> None:
        """Take the segments whose inclination a moment of the grid does not show; of such a moment there is no sample."""
        before, self._unseen = self._unseen, unseen
        for segment in unseen:
            if segment not in before:
                self._problems.add(
                    f"unseen:{segment}",
                    f"the {segment} IMU: the joint's axis is within 30 degrees of the vertical, as in lying on the side: its "
                    "angle cannot be told from gravity, and there are no estimates until it is level again",
                )

    def sample(self, t_s: float, q: FloatArray, rate: FloatArray, *, restarted: bool, settled: bool = True) -> bool:
        """Take a moment of the grid: (n_joints + 3,) values and rates of the limb. Whether what is made of it is trusted.

        settled: whether the orientations that it was made with can be relied on.
        """
        if restarted:
            self._until_s = -math.inf
            self._jump.restart()
        if self._jump.add(t_s, q):
            self._until_s = max(self._until_s, t_s + JUMP_MEMORY_S)
        doubtful, self._doubtful = self._doubtful or not settled, False
        if self._stuck is not None:
            if restarted:
                self._stuck.restart()
            self._stuck.add(t_s, tuple(q.tolist()))
            doubtful |= self._stuck.stuck
        self._place.add(q[: self._n])
        if doubtful or self._place.wrong:
            self._until_s = max(self._until_s, t_s + self._memory_s)
        return t_s > self._until_s
