"""Lines of numbers: what a microcontroller prints, or a recording as text.

One line is one sample. Numbers are parted by commas, semicolons, spaces or tabs; a line ends with LF, CR or both; the first
column may be the time. Lines that begin with `#`, `%` or `/`, and lines without any number (a header), are skipped. There is
no check sum: a digit damaged on the line is not noticed. For a device that moves somebody, use `emsk`.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from edge.errors import ConfigError
from edge.sensors import axes
from edge.sensors.decoder import Decoder, FrameCounters
from edge.sensors.frame import MAX_CHANNELS, Frame, Kind
from edge.sensors.protocols import Protocol
from edge.signals.clock import Unwrap
from edge.url import Url

MAX_LINE = 4096

_JOINTS = 3  # of a leg
_IMU_WITHOUT_ORIENTATION = 6
_IMU = 10
_LINE_ENDS = re.compile(rb"[\r\n]")
_SEPARATORS = re.compile(rb"[ \t]*[,;][ \t]*|[ \t]+")
_NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?\Z")
_NOT_FINITE = re.compile(rb"[+-]?(?:nan|inf(?:inity)?)\Z", re.IGNORECASE)
_COMMENTS = b"#%/"
_MOST_US = 2.0**63  # what a stamp on the wire can hold
_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000}
# Counters of microcontrollers (micros(), millis()) wrap at 32 bits; a time beyond has more.
_WRAP = 1 << 32
_SEQUENCE_MODULO = 1 << 32


class AsciiDecoder(Decoder):
    """Lines as frames of joint angles or of IMUs.

    kind: of the frames. columns: numbers in a line, without the time; for IMUs 6 (acceleration m/s2, angular rate; no
    orientation) or a multiple of 10 (quaternion w x y z, acceleration, angular rate). time: unit of the first column, or
    "none". in_degrees: angles in deg, angular rates in deg/s. z_up: quaternions turn into a world with z up.
    """

    def __init__(
        self,
        *,
        kind: Kind = Kind.ANGLES,
        columns: int = _JOINTS,
        time: str = "none",
        in_degrees: bool = False,
        z_up: bool = False,
    ) -> None:
        self.counters = FrameCounters()
        self.skipped = 0  # comments and headers
        self.column_counts: Counter[int] = Counter()  # lines with so many numbers, which is not `columns`
        self._kind = kind
        self._columns = columns
        self._time = time
        self._scale = math.radians(1.0) if in_degrees else 1.0
        self._z_up = z_up
        self._wrapped = Unwrap(_WRAP)
        self._pending = b""
        self._skipping = True  # a line is joined in its middle, and half a number looks like a number
        self._sequence = 0

    def trouble(self) -> str:
        """What is wrong with most of the lines, for a message; empty where nothing is."""
        if not self.column_counts:
            if self.counters.frames or not self.skipped:
                return ""
            return (
                f"all {self.skipped} lines are comments or text: make the device print numbers alone, parted by commas"
            )
        found, count = self.column_counts.most_common(1)[0]
        wanted = self._columns + (self._time != "none")
        return (
            f"{count} lines hold {found} numbers instead of {wanted}: set columns= (now {self._columns}) and time= (now "
            f"{self._time}) in the URL to what the device prints"
        )

    def push(self, data: bytes, received_ns: int = 0) -> list[Frame]:
        """Take the next bytes of the line; return the good frames that they complete, in order."""
        lines = _LINE_ENDS.split(self._pending + data)
        pending = lines.pop()
        frames: list[Frame] = []
        for line in lines:
            if self._skipping:
                self._skipping = False
                continue
            if len(line) > MAX_LINE:
                self.counters.bad_length += 1
                continue
            frame = self._line(line.strip().rstrip(b" \t,;"), received_ns)
            if frame is not None:
                self.counters.frames += 1
                frames.append(frame)
        if self._skipping:
            pending = b""
        elif len(pending) > MAX_LINE:
            self.counters.bad_length += 1
            self._skipping = True
            pending = b""
        self._pending = pending
        return frames

    def _line(self, line: bytes, received_ns: int) -> Frame | None:
        if not line:
            return None
        fields = _SEPARATORS.split(line)
        numbers = [float(field) for field in fields if _NUMBER.match(field)]
        odd = sum(1 for field in fields if _NOT_FINITE.match(field))
        if line[0] in _COMMENTS or (not numbers and not odd):
            self.skipped += 1
            return None
        timed = self._time != "none"
        if len(fields) != self._columns + timed or len(numbers) + odd != len(fields):
            self.column_counts[len(numbers) + odd] += 1
            self.counters.bad_length += 1
            return None
        if odd or not all(map(math.isfinite, numbers)):
            self.counters.non_finite += 1
            return None
        if timed and not 0.0 <= numbers[0] * _MICROSECONDS[self._time] < _MOST_US:
            self.counters.bad_length += 1
            return None
        time_us = self._time_us(numbers.pop(0)) if timed else received_ns // 1000
        self._sequence = (self._sequence + 1) % _SEQUENCE_MODULO
        channels = tuple(v * self._scale for v in numbers) if self._kind == Kind.ANGLES else self._imus(numbers)
        return Frame(self._kind, 0, self._sequence, time_us, channels)

    def _time_us(self, stamp: float) -> int:
        unit_us = _MICROSECONDS[self._time]
        if unit_us != _MICROSECONDS["s"] and stamp.is_integer() and 0 <= stamp < _WRAP:
            return self._wrapped.push(int(stamp)) * unit_us
        return round(stamp * unit_us)

    def _imus(self, numbers: list[float]) -> tuple[float, ...]:
        if self._columns == _IMU_WITHOUT_ORIENTATION:
            numbers = [*axes.NO_ORIENTATION, *numbers]
        channels: list[float] = []
        for at in range(0, len(numbers), _IMU):
            w, x, y, z, *acceleration_and_rate = numbers[at : at + _IMU]
            channels += axes.from_z_up(w, x, y, z) if self._z_up else (w, x, y, z)
            channels += acceleration_and_rate[:3]
            channels += [value * self._scale for value in acceleration_and_rate[3:]]
        return tuple(channels)


def numbers_per_line(data: bytes) -> int | None:
    """How many numbers most lines of a text hold, the first and last line left out; None where it is no text of numbers."""
    lines = [line.strip() for line in _LINE_ENDS.split(data)[1:-1]]
    counts = Counter(
        len(fields) for fields in (_SEPARATORS.split(line) for line in lines if line) if all(map(_NUMBER.match, fields))
    )
    if not counts or counts.total() < max(2, sum(map(bool, lines)) / 2):
        return None
    return counts.most_common(1)[0][0]


def _decoder(url: Url) -> Decoder:
    kind = Kind.ANGLES if url.text_of("kind", "angles", choices=("angles", "imu")) == "angles" else Kind.IMU
    columns = url.integer("columns", _JOINTS if kind == Kind.ANGLES else _IMU, minimum=1, maximum=MAX_CHANNELS)
    if kind == Kind.IMU and columns != _IMU_WITHOUT_ORIENTATION and columns % _IMU:
        raise ConfigError(
            f"{url.text}: parameter columns={columns} is not usable with kind=imu; use 6 (acceleration, angular rate) or 10 per "
            "IMU (quaternion w x y z, acceleration, angular rate)"
        )
    return AsciiDecoder(
        kind=kind,
        columns=columns,
        time=url.text_of("time", "none", choices=("none", *_MICROSECONDS)),
        in_degrees=url.text_of("unit", "rad", choices=("rad", "deg")) == "deg",
        z_up=url.text_of("up", "y", choices=("y", "z")) == "z",
    )


PROTOCOL = Protocol("ascii", _decoder, baud=115_200, parameters=("kind", "columns", "time", "unit", "up"))
