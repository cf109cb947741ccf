"""The sensor's clock seen from the host: offset and drift, from the stamps of sending and receiving alone.

All arithmetic is on integers, so that the same stamps give the same times to the bit, on every machine and in every replay.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from operator import attrgetter
from statistics import median_low
from typing import NamedTuple

_BLOCK_NS = 500_000_000
_BLOCKS = 60
_DRIFT_BLOCKS = 10  # below so many blocks the drift is not told from jitter
_BACKWARD_NS = 50_000_000  # frames of two kinds overtake each other by less
_EARLY_NS = 20_000_000  # a frame so much earlier than any before it was sent by another clock
_LATE_NS = 50_000_000  # half a second in which every frame is so late is congested and says nothing about the clock
_LATE_BLOCKS = 30  # after so many, as long in coming, it was the clock that lost time
_CONGESTED_NS = 2_000_000_000  # lateness is reported from then on: what a stall held back comes faster than it was sent
_HISTORY_NS = 4_000_000_000  # moments as old as this keep the host time once given
_SHIFT = 40  # of the drift's fraction: 1e-12
_RECENT_NS = 5_000_000_000  # a jump is reported for so long
_LEAST_DRIFT = -(1 << (_SHIFT - 1))  # host time goes on whatever is received
_NOTABLE_PPM = 1000.0  # five times what a quartz may be off
_PACE_NS = 1_000_000_000
_PACE_RANGE = (0.8, 1.25)
_PACE_SECONDS = 3  # in a row: a stall is followed by the frames that it held back
_UNITS = {1e-6: "seconds", 1e-3: "milliseconds", 1e3: "nanoseconds"}
_UNBOUNDED_NS = -(1 << 200)


class Unwrap:
    """Counts on where a counter of limited width starts again at zero: ticks, packet numbers, milliseconds of the day.

    A packet that comes late, by at most `late` counts (default: a quarter of the modulus), gets the earlier number that is
    its own, and does not disturb the next ones; apart from such packets the numbers never fall. A counter that was reset is
    read as late where that is possible, and as wrapped otherwise: the first shows as numbers that stay lower, the second as
    a jump ahead. :class:`SensorClock` notices both.

    Raises ValueError for a modulus below 2, or a `late` that does not leave room for going forward.
    """

    def __init__(self, modulus: int, late: int | None = None) -> None:
        if modulus < 2:
            raise ValueError(f"a counter that wraps has at least 2 values, not {modulus}")
        self._late = modulus // 4 if late is None else late
        if not 0 <= self._late < modulus - 1:
            raise ValueError(f"late packets may lie 0 to {modulus - 2} counts behind, not {late}")
        self._modulus = modulus
        self._highest: int | None = None

    def push(self, value: int) -> int:
        """The counter's reading (taken modulo the modulus) as a number that goes on; the first is the reading itself."""
        if self._highest is None:
            self._highest = value % self._modulus
            return self._highest
        # How far ahead of the furthest allowed lateness the reading is.
        number = self._highest - self._late + (value - self._highest + self._late) % self._modulus
        self._highest = max(self._highest, number)
        return number


class _Piece(NamedTuple):
    """The mapping from one moment of the sensor's clock on, until the next piece; all in ns."""

    start: int  # of the sensor's clock; the moment itself still belongs to the piece before
    floor: int  # host time of the start: no moment of this piece comes before it
    offset: int
    origin: int  # of the sensor's clock, where the offset holds
    drift: int  # of the offset, 2**-40 ns per ns

    def line(self, moment: int) -> int:
        return moment + self.offset + (self.drift * (moment - self.origin) >> _SHIFT)

    def host(self, moment: int) -> int:
        return max(self.line(moment), self.floor)

    def latest(self, host: int) -> int:
        """The latest moment that is not mapped beyond `host`, which is not before the floor."""
        most = host - self.offset - self.origin
        return max(self.origin + (((most + 1) << _SHIFT) - 1) // ((1 << _SHIFT) + self.drift), self.start)


_START = attrgetter("start")
_FLOOR = attrgetter("floor")


class SensorClock:
    """Maps the sensor's time to the host's monotonic time, and back.

    A frame can only be late, never early, so the smallest difference between receiving and sending in each half second
    is the truest; a line under the smallest differences of the last half minute gives offset and drift (Cristian 1989;
    Moon, Skelly & Towsley 1999). The constant part of the transport's delay cannot be seen from one side and stays in.
    The slope is the median over pairs half the record apart (Theil's incomplete method): seconds of congestion do not bend it.

    The line is fitted once per half second; between, a frame below it only moves it down. Moments whose host time was given
    keep it, and later ones are never mapped before it: the mapping stands still until a line that was moved down has come up.

    A sender that restarts is noticed by its stamps going back; one whose clock is set ahead by frames that come before they
    were sent; one that lost time by frames that stay late for 15 s. Each starts a new line, and is counted.
    """

    def __init__(self) -> None:
        self.restarts = 0  # how often the stamps went back: the sender was restarted, or its clock set back
        self.steps = 0  # how often the stamps jumped ahead, or fell behind for good
        self._pieces: list[_Piece] = []
        self._blocks: deque[tuple[int, int]] = deque(maxlen=_BLOCKS)  # (moment, smallest difference), ns
        self._block_start = self._newest = self._started = 0
        self._given: int | None = None  # the latest moment whose host time was asked for
        self._late_blocks = self._late_ns = 0
        self._late_since_ns = self._late_for_ns = 0  # host's clock
        self._jump_ns = 0
        self._pace = _Pace()

    @property
    def ready(self) -> bool:
        return bool(self._pieces)

    @property
    def drift_ppm(self) -> float:
        """How much faster the host's clock runs than the sensor's, in parts per million; 0 until it is known."""
        return self._pieces[-1].drift * 1e6 / (1 << _SHIFT) if self._pieces else 0.0

    def observe(self, sensor_us: int, received_ns: int) -> None:
        """Take the stamps of one received frame. Frames are taken in the order in which they were received."""
        self._pace.observe(sensor_us, received_ns)
        moment = sensor_us * 1000
        difference = received_ns - moment
        if not self._pieces:
            self._start(moment, difference)
        elif moment < self._newest - _BACKWARD_NS:
            self.restarts += 1
            self._start(moment, difference, jump_ns=moment - self._newest)
        elif (lateness := received_ns - self._pieces[-1].line(moment)) < -_EARLY_NS:
            self.steps += 1
            self._start(moment, difference, jump_ns=-lateness)
        if moment - self._block_start >= _BLOCK_NS:
            self._close_block(received_ns)
            self._block_start = moment
            self._blocks.append((moment, difference))
        elif difference < self._blocks[-1][1]:
            self._blocks[-1] = (moment, difference)
        # The line lies below all frames: none arrives before it was sent.
        line = self._pieces[-1]
        if (excess := line.line(moment) - received_ns) > 0:
            self._bend(line.offset - excess, line.origin, line.drift)
        self._newest = max(self._newest, moment)

    def host_ns(self, sensor_us: float) -> int:
        """Host time of a moment of the sensor's clock; of one beyond the newest frame, where the line leads for now.

        Of moments up to the newest frame, a later one is never given an earlier time, until a restart or step; one that was
        asked for keeps its time for 4 s. So the answers depend on what was received and asked before, and on nothing else.
        Raises ValueError before the first frame.
        """
        if not self._pieces:
            raise ValueError("no frame has been received yet")
        whole = int(sensor_us)
        moment = whole * 1000 + int((sensor_us - whole) * 1000)
        self._give(moment)
        return self._host(moment)

    def sensor_us(self, host_ns: int) -> int:
        """The sensor's time at a moment of the host's: the largest whole microsecond whose host time is not later.

        Of a moment beyond the newest frame it is provisional, as :meth:`host_ns` is, and may go back by what a fit changes.
        Raises ValueError before the first frame.
        """
        if not self._pieces:
            raise ValueError("no frame has been received yet")
        at = bisect_right(self._pieces, host_ns, key=_FLOOR) - 1
        sensor_us = self._pieces[at].latest(host_ns) // 1000
        self._give(sensor_us * 1000)
        return sensor_us

    def problem(self) -> str | None:
        """What is wrong with the sensor's stamps at present, and how to mend it; None where nothing is."""
        if (pace := self._pace.wrong) is not None:
            unit = next((name for scale, name in _UNITS.items() if abs(pace / scale - 1.0) < 0.25), None)
            if pace <= 0.0:
                seen = "do not advance"
            else:
                seen = f"advance {pace:.3g} s per second" + (f", as if they were in {unit}" if unit else "")
            return f"the sensor's stamps {seen}: make it stamp each frame with microseconds of a clock that runs freely"
        if self._jump_ns and self._newest - self._started < _RECENT_NS:
            way = "went back" if self._jump_ns < 0 else "jumped ahead"
            return (
                f"the sensor's clock {way} by {abs(self._jump_ns) * 1e-9:.3g} s (restarts {self.restarts}, steps {self.steps}): "
                "look to its supply and plug, and do not let it set its clock while it sends"
            )
        if self._late_for_ns >= _CONGESTED_NS:
            return (
                f"frames have come {self._late_ns * 1e-6:.0f} ms late for {self._late_for_ns * 1e-9:.0f} s: the line is "
                "congested, or the sensor's clock lost time: send less or faster, and do not let the sender stop its clock"
            )
        if abs(self.drift_ppm) > _NOTABLE_PPM:
            way = "slow" if self.drift_ppm > 0 else "fast"
            return (
                f"the sensor's clock is {abs(self.drift_ppm):.0f} ppm {way}, and every rate and acceleration wrong by as much: "
                "run it from a quartz (200 ppm or better)"
            )
        return None

    def _start(self, moment: int, difference: int, jump_ns: int = 0) -> None:
        self._pieces = [_Piece(_UNBOUNDED_NS, _UNBOUNDED_NS, difference, moment, 0)]
        self._blocks.clear()
        self._blocks.append((moment, difference))
        self._block_start = self._newest = self._started = moment
        self._jump_ns = jump_ns
        self._given = None
        self._late_blocks = self._late_for_ns = 0

    def _host(self, moment: int) -> int:
        return self._pieces[bisect_left(self._pieces, moment, key=_START) - 1].host(moment)

    def _give(self, moment: int) -> None:
        """Moments up to this one keep their host time. The future is not promised: one question cannot stop the clock."""
        moment = min(moment, self._newest)
        self._given = moment if self._given is None else max(self._given, moment)

    def _close_block(self, received_ns: int) -> None:
        blocks = self._blocks
        moment, difference = blocks[-1]
        lateness = self._lateness(-1)
        if lateness > _LATE_NS and len(blocks) > _DRIFT_BLOCKS:
            blocks.pop()
            if self._late_blocks == 0:
                self._late_since_ns = received_ns
            self._late_blocks += 1
            self._late_ns = lateness
            self._late_for_ns = received_ns - self._late_since_ns
            if self._late_blocks >= _LATE_BLOCKS and self._late_for_ns >= (_LATE_BLOCKS - 1) * _BLOCK_NS:
                self.steps += 1
                self._start(moment, difference, jump_ns=-lateness)
            return
        self._late_blocks = self._late_for_ns = 0
        # The line has come down below frames that had piled up before the first was read.
        while self._lateness(0) > _LATE_NS and len(blocks) > 1:
            blocks.popleft()
        self._fit()

    def _lateness(self, block: int) -> int:
        moment, difference = self._blocks[block]
        return moment + difference - self._pieces[-1].line(moment)

    def _fit(self) -> None:
        """A line of the blocks' median slope, laid below all of them."""
        blocks = list(self._blocks)
        origin = blocks[0][0]
        drift = self._pieces[-1].drift
        if len(blocks) >= _DRIFT_BLOCKS:
            pairs = zip(blocks, blocks[len(blocks) // 2 :], strict=False)
            drift = max(median_low(((d1 - d0) << _SHIFT) // (t1 - t0) for (t0, d0), (t1, d1) in pairs), _LEAST_DRIFT)
        self._bend(min(d - (drift * (t - origin) >> _SHIFT) for t, d in blocks), origin, drift)

    def _bend(self, offset: int, origin: int, drift: int) -> None:
        """Go on along another line behind the moments whose host time was given."""
        pieces = self._pieces
        if self._given is None:
            self._pieces = [_Piece(_UNBOUNDED_NS, _UNBOUNDED_NS, offset, origin, drift)]
            return
        floor = self._host(self._given)
        if pieces[-1].start == self._given:
            pieces.pop()
        pieces.append(_Piece(self._given, floor, offset, origin, drift))
        while len(pieces) > 1 and pieces[1].start < self._newest - _HISTORY_NS:
            del pieces[0]
            pieces[0] = pieces[0]._replace(start=_UNBOUNDED_NS, floor=_UNBOUNDED_NS)


class _Pace:
    """Whether the stamps advance as time does. A wrong unit does not look like drift: nothing could be fitted to it."""

    def __init__(self) -> None:
        self._since: tuple[int, int] | None = None
        self._pace = 1.0
        self._side = 0
        self._seconds = 0

    @property
    def wrong(self) -> float | None:
        """Seconds of the sensor's clock per second, where they are far from 1 in several seconds in a row."""
        return self._pace if self._seconds >= _PACE_SECONDS else None

    def observe(self, sensor_us: int, received_ns: int) -> None:
        if self._since is None:
            self._since = sensor_us, received_ns
        elapsed_ns = received_ns - self._since[1]
        if elapsed_ns < _PACE_NS:
            return
        self._pace = (sensor_us - self._since[0]) * 1000 / elapsed_ns
        low, high = _PACE_RANGE
        side = (self._pace > high) - (self._pace < low)
        self._seconds = (self._seconds + 1 if side == self._side else 1) if side else 0
        self._side = side
        self._since = sensor_us, received_ns
