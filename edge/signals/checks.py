"""Whether what sensors send can be what it is taken for: the rate, rails, axes and units of each.

Frames that cannot be used at all are refused with a SensorError; what is doubtful is a named problem, and estimates made of it
are not trusted. Only the bytes decide, so that a replay doubts the same samples. `order.py` looks at
where the joint angles lie, `stuck.py` for channels that stand still.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

from edge.errors import SensorError
from edge.sensors.frame import Kind
from edge.signals.hookup import Hookup
from edge.signals.order import OrderCheck
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

_CLIPPED_SAMPLES = 3
_CLIPPED_FORCE_MPS2 = 15.0  # less is no rail: accelerometers measure at least 2 g,
_CLIPPED_RATE_RAD_S = 4.0  # and gyroscopes at least 250 deg/s
_STEP = 0.003  # of the reading; near the top of a movement of 1 Hz, 10 ms make 0.002

_TURNING_RAD_S = 1.0
_TURNING_SAMPLES = 50
_IN_DEGREES = 10.0  # deg/s read as rad/s turn 57 times as far as the quaternion does
_ALIGNED = 0.5  # cosine between both axes of turning; below it they are not the same,
_ALIGNED_AGAIN = 0.8  # above this they are


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


class SaturationCheck:
    """Whether a channel of an IMU lies at the end of its range.

    A reading rises to a maximum ever more slowly; a clipped one arrives there with a step, and is then exactly the same
    while the other channels go on changing. What has been seen to clip so once is clipped whenever it reads the same again.
    A sensor that is read faster than it measures repeats all its channels at once: such repetitions are not counted.
    """

    def __init__(self, key: str, what: str, problems: Problems) -> None:
        self.clipped = False
        self._key, self._what, self._problems = key, what, problems
        self._last: tuple[float, ...] = ()
        self._ends = [_End() for _ in range(12)]  # of each channel, the upper and the lower

    def add(self, channels: tuple[float, ...]) -> None:
        """Take the force and rate channels (6,) of the next sample."""
        last, self._last = self._last, channels
        if not last or channels == last:
            return
        clipped = -1
        for i, value in enumerate(channels):
            if abs(value) >= (_CLIPPED_FORCE_MPS2 if i < 3 else _CLIPPED_RATE_RAD_S):
                end = self._ends[2 * i + (value < 0.0)]
                if end.take(abs(value), abs(value - last[i])):
                    clipped = i
        if clipped >= 0 and not self.clipped:
            name, unit = ("acceleration", "m/s2") if clipped < 3 else ("angular rate", "rad/s")
            self._problems.add(
                f"saturated:{self._key}",
                f"the {self._what}: its {name} {'xyz'[clipped % 3]} stays at {channels[clipped]:.4g} {unit}, the end of its "
                "range: choose a larger range in the sensor's settings, or mount it where it is shaken less",
            )
        self.clipped = clipped >= 0


class _End:
    """The largest reading of a channel in one direction so far, and whether it is where the range ends."""

    __slots__ = ("_largest", "_rail", "_same")

    def __init__(self) -> None:
        self._largest = 0.0
        self._same = 0  # samples that have been there in a row since a step
        self._rail = False

    def take(self, size: float, change: float) -> bool:
        """Take a reading and how far it is from the one before; whether it is clipped."""
        if size < self._largest:
            self._same = 0
            return False
        if size > self._largest:
            self._largest, self._rail, self._same = size, False, 0
        if change >= _STEP * size:
            self._same = 1
        elif change == 0.0 and self._same:
            self._same += 1
        else:
            self._same = 0
        self._rail |= self._same >= _CLIPPED_SAMPLES
        return self._rail


class TurningCheck:
    """Whether an IMU's angular rate and its quaternion tell of the same turning.

    Over samples that turn: raises SensorError for a rate in deg/s; a rate about other axes is a problem. An IMU without
    orientation (`0 0 0 0`) cannot be checked so.
    """

    def __init__(self, key: str, what: str, problems: Problems) -> None:
        self.wrong = False
        self._key, self._what, self._problems = key, what, problems
        self._last_us: int | None = None
        self._last = (0.0, 0.0, 0.0, 0.0)
        self._count = 0
        self._by_rate = self._by_quaternion = self._along = 0.0

    def add(self, time_us: int, channels: tuple[float, ...]) -> None:
        """Take the 10 channels of the next sample and its stamp. Raises SensorError."""
        last_us, self._last_us = self._last_us, time_us
        (w, x, y, z), self._last = self._last, (channels[0], channels[1], channels[2], channels[3])
        if last_us is None or not 0 < time_us - last_us <= _BLOCK_US // 10:
            return
        rate = channels[7:10]
        size = math.sqrt(rate[0] * rate[0] + rate[1] * rate[1] + rate[2] * rate[2])
        if size < _TURNING_RAD_S:
            return
        # Vector part of conj(before) * now: the axis of the turn in the sensor, times the sine of half its angle.
        v, i, j, k = self._last
        turn = (w * i - x * v - y * k + z * j, w * j + x * k - y * v - z * i, w * k - x * j + y * i - z * v)
        if w * v + x * i + y * j + z * k < 0:
            turn = (-turn[0], -turn[1], -turn[2])
        half = math.sqrt(turn[0] * turn[0] + turn[1] * turn[1] + turn[2] * turn[2])
        angle = 2.0 * math.asin(min(half, 1.0))
        self._count += 1
        self._by_rate += size * (time_us - last_us) * 1e-6
        self._by_quaternion += angle
        if half > 0.0:
            self._along += angle * (turn[0] * rate[0] + turn[1] * rate[1] + turn[2] * rate[2]) / (half * size)
        if self._count >= _TURNING_SAMPLES:
            self._judge()
            self._count = 0
            self._by_rate = self._by_quaternion = self._along = 0.0

    def _judge(self) -> None:
        if self._by_quaternion == 0.0:
            return  # no orientation
        ratio = self._by_rate / self._by_quaternion
        if ratio > _IN_DEGREES:
            raise SensorError(
                f"the {self._what}: its angular rate turns {ratio:.0f} times as far as its quaternion: it looks like deg/s: make "
                "the sensor send rad/s in its last three channels"
            )
        wrong = self._along < (_ALIGNED_AGAIN if self.wrong else _ALIGNED) * self._by_quaternion
        if wrong and not self.wrong:
            self._problems.add(
                f"axes:{self._key}",
                f"the {self._what}: its angular rate is not about the axes about which its quaternion turns: make the sensor "
                "send both in its own axes, in the order x y z",
            )
        self.wrong = wrong


class _ImuChecks:
    """All that looks at the readings of one IMU."""

    def __init__(self, segment: str, problems: Problems) -> None:
        what = f"{segment} IMU"
        self._saturation = SaturationCheck(segment, what, problems)
        self._turning = TurningCheck(segment, what, problems)

    def add(self, time_us: int, channels: tuple[float, ...]) -> bool:
        """Whether the sample is doubtful. Raises SensorError."""
        self._saturation.add(channels[4:])
        self._turning.add(time_us, channels)
        return self._saturation.clipped or self._turning.wrong


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
        self._memory_s = memory_s
        self._rates = [RateCheck(group.key, str(group), problems) for group in hookup.groups]
        self._imus = [
            _ImuChecks(group.names[0], problems) if group.kind == Kind.IMU else None for group in hookup.groups
        ]
        self._stuck = StuckCheck(hookup.joint_names, hookup.segment_names[0], problems)
        self._order = OrderCheck(hookup.joint_names, ranges_rad, rate_hz, problems)
        self._n = len(hookup.joint_names)
        self._doubtful = False
        self._until_s = -math.inf

    def reading(self, group: int, time_us: int, channels: tuple[float, ...]) -> None:
        """Take what a frame says of a group, with the sender's own stamp. Raises SensorError."""
        rate, imu = self._rates[group], self._imus[group]
        rate.add(time_us)
        self._doubtful |= rate.slow
        if imu is not None:
            self._doubtful |= imu.add(time_us, channels)

    def sample(self, t_s: float, q: FloatArray, rate: FloatArray, *, restarted: bool) -> bool:
        """Take a moment of the grid: (n_joints + 3,) values and rates of the limb. Whether what is made of it is trusted."""
        if restarted:
            self._stuck.restart()
            self._until_s = -math.inf
        self._stuck.add(t_s, (*q.tolist(), float(rate[self._n])))
        self._order.add(q[: self._n])
        if self._doubtful or self._stuck.stuck or self._order.wrong:
            self._doubtful = False
            self._until_s = t_s + self._memory_s
        return t_s > self._until_s
