"""What an IMU's own readings say about it: at the end of its range, repeated again and again, of no one set of axes, or
pulled by a magnet.

Nothing is mended here: the readings pass, and what is doubtful is a named problem (`problems.py`).
"""

from __future__ import annotations

import math

from edge.errors import SensorError
from edge.signals.magnetic import MagneticCheck
from edge.signals.orientation import turned
from edge.signals.problems import Problems

_CLIPPED_SAMPLES = 3
_CLIPPED_FORCE_MPS2 = 15.0  # less is no rail: accelerometers measure at least 2 g,
_CLIPPED_RATE_RAD_S = 4.0  # and gyroscopes at least 250 deg/s
_STEP = 0.003  # of the reading; near the top of a movement of 1 Hz, 10 ms make 0.002

_STUCK_US = 500_000
_GAP_US = 100_000  # between readings further apart nothing is known

_TURNING_RAD_S = 1.0
_TURNING_SAMPLES = 50
_IN_DEGREES = 10.0  # deg/s read as rad/s turn 57 times as far as the quaternion does
_ALIGNED = 0.5  # cosine between both axes of turning; below it they are not the same,
_ALIGNED_AGAIN = 0.8  # above this they are


class ImuFaults:
    """All that looks at the readings of one IMU. `segment`: where it sits, for names and messages."""

    def __init__(self, segment: str, problems: Problems) -> None:
        what = f"{segment} IMU"
        self._saturation = SaturationCheck(segment, what, problems)
        self._stuck = StuckImuCheck(segment, what, problems)
        self._turning = TurningCheck(segment, what, problems)
        self._magnetic = MagneticCheck(segment, what, problems)

    def add(self, time_us: int, channels: tuple[float, ...]) -> bool:
        """Take the 10 channels of the next reading; whether it is doubtful. Raises SensorError."""
        self._saturation.add(channels[4:])
        self._stuck.add(time_us, channels)
        self._turning.add(time_us, channels)
        self._magnetic.add(time_us, channels)
        return self._saturation.clipped or self._stuck.stuck or self._turning.wrong


class StuckImuCheck:
    """Whether an IMU's last reading is sent again and again.

    An IMU has noise and never repeats all channels for long. One that has been exactly still from the start and says that it
    does not turn is an ideal one, of a recording on a fixed base.
    """

    def __init__(self, key: str, what: str, problems: Problems) -> None:
        self.stuck = False
        self._key, self._what, self._problems = key, what, problems
        self._last: tuple[float, ...] = ()
        self._last_us = self._since_us = 0
        self._varied = False

    def add(self, time_us: int, channels: tuple[float, ...]) -> None:
        """Take the 10 channels of the next reading and its stamp."""
        last, self._last = self._last, channels
        last_us, self._last_us = self._last_us, time_us
        if channels != last:
            self._varied |= bool(last)
            self.stuck = False
            self._since_us = time_us
        elif not 0 <= time_us - last_us <= _GAP_US:
            self._since_us = time_us
        elif not self.stuck and time_us - self._since_us >= _STUCK_US and (self._varied or any(channels[7:])):
            self.stuck = True
            self._problems.add(
                f"stuck:{self._key}",
                f"the {self._what} has sent exactly the same for {(time_us - self._since_us) * 1e-6:.2g} s: check the sensor and "
                "its cable, and that whoever reads it does not repeat its last reading",
            )


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
        self._channels: tuple[float, ...] = ()
        self._count = 0
        self._by_rate = self._by_quaternion = self._along = 0.0

    def add(self, time_us: int, channels: tuple[float, ...]) -> None:
        """Take the 10 channels of the next sample and its stamp. Raises SensorError."""
        if channels == self._channels:
            return  # repeated, not measured again: what turned meanwhile shows with the next change
        self._channels = channels
        last_us, self._last_us = self._last_us, time_us
        before, self._last = self._last, (channels[0], channels[1], channels[2], channels[3])
        if last_us is None or not 0 < time_us - last_us <= _GAP_US:
            return
        rate = channels[7:10]
        size = math.sqrt(rate[0] * rate[0] + rate[1] * rate[1] + rate[2] * rate[2])
        if size < _TURNING_RAD_S:
            return
        turn = turned(before, self._last)
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
