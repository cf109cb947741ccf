"""Xsens MTi inertial sensors: Xbus messages of the kind MTData2.

Layout by Xsens' "MT Low Level Communication Protocol Documentation" (MT0101P), sections Messages and MTData2: preamble
0xFA, bus identifier, message identifier, length of the data (255: two more bytes hold it), data, check sum; all bytes but the
preamble add up to 0 modulo 256. Big-endian. The data of MTData2 are items: identifier u16, size u8, content. In an
identifier the lowest two bits are the precision (float32, fixed point 12.20 or 16.32, float64), the next two the world's
axes of an orientation (east-north-up, north-east-down, north-west-up).

Of the items are used: PacketCounter, SampleTimeFine (its 0.1 ms ticks hold all that SampleTimeCoarse says), Quaternion,
Acceleration, RateOfTurn, StatusWord. Others, the magnetic field among them, are skipped.
"""

from __future__ import annotations

import math
from collections import Counter
from struct import Struct

from edge.sensors import axes
from edge.sensors.decoder import Decoder
from edge.sensors.frame import Frame, Kind
from edge.sensors.packets import PacketDecoder
from edge.sensors.protocols import Protocol
from edge.signals.clock import Unwrap
from edge.url import Url

MASTER = 0xFF  # bus identifier of an MTi on its own serial line
MAX_DATA = 2048

_MTDATA2 = 0x36
_HEADER = 4
_EXTENDED = 255
_TICK_US = 100

_PACKET_COUNTER = 0x1020
_SAMPLE_TIME_FINE = 0x1060
_QUATERNION = 0x2010
_ACCELERATION = 0x4020
_RATE_OF_TURN = 0x8020
_STATUS_WORD = 0xE020
_TYPE = 0xFFF0
_PRECISION = 0x0003
_WORLD = 0x000C
_NORTH_EAST_DOWN = 0x0004

_VALUES = {_QUATERNION: 4, _ACCELERATION: 3, _RATE_OF_TURN: 3}
_NAMES = {
    _ACCELERATION: "Acceleration",
    _RATE_OF_TURN: "Rate of Turn",
    _QUATERNION: "Quaternion",
    _SAMPLE_TIME_FINE: "Sample Time Fine",
}
_INTEGERS = {_PACKET_COUNTER: Struct(">H"), _SAMPLE_TIME_FINE: Struct(">I"), _STATUS_WORD: Struct(">I")}
_FLOATS = {n: (Struct(f">{n}f"), Struct(f">{n}i"), Struct(">" + n * "Ih"), Struct(f">{n}d")) for n in (3, 4)}
_FILTER_VALID = 1 << 1
# Out of range on an axis of the accelerometer (bits 8 to 10) or the gyroscope (11 to 13). The magnetometer's bits are left
# out: beside a motor it is often out of range, and what an orientation loses by that is its heading, which is not used.
_CLIPPED = 0x3F00
_COUNTER_MODULO = 1 << 16
_SEQUENCE_MODULO = 1 << 32


class XsensDecoder(PacketDecoder):
    """MTData2 of one device as IMU frames.

    bus: identifier of the device. own_orientation: take its quaternion where it sends one; else `0 0 0 0` is sent on.
    """

    START = 0xFA

    def __init__(self, *, bus: int = MASTER, own_orientation: bool = True) -> None:
        super().__init__()
        self.lacking: Counter[str] = Counter()  # messages without what a frame needs, by the name that Xsens gives it
        self._bus = bus
        self._own_orientation = own_orientation
        # What a message must hold: what a frame is made of, and what an earlier one held, or a frame would change its clock
        # or its orientation for a moment.
        self._needed = {_ACCELERATION, _RATE_OF_TURN}
        self._ticks = Unwrap(1 << 32)
        self._last_counter: int | None = None
        self._sequence = 0

    def trouble(self) -> str:
        """What the device's settings lack, for a message; empty where frames can be made of every message."""
        if not self.lacking:
            return ""
        name, count = self.lacking.most_common(1)[0]
        return (
            f"{count} of {self.packets} Xsens messages hold no {name}: in MT Manager, Output Configuration, choose "
            "Sample Time Fine, Acceleration, Rate of Turn and Quaternion, all at the same rate"
        )

    def _size(self, buffer: bytearray, at: int) -> int | None:
        if len(buffer) - at < _HEADER:
            return None
        if buffer[at + 1] != self._bus:
            return 0
        length = buffer[at + 3]
        if length != _EXTENDED:
            return _HEADER + length + 1
        if len(buffer) - at < _HEADER + 2:
            return None
        length = int.from_bytes(buffer[at + _HEADER : at + _HEADER + 2], "big")
        return _HEADER + 2 + length + 1 if _EXTENDED <= length <= MAX_DATA else 0

    def _holds(self, packet: bytes) -> bool:
        return sum(packet[1:]) % 256 == 0

    def _take(self, packet: bytes, received_ns: int) -> Frame | None:
        if packet[2] != _MTDATA2:
            return None
        start = _HEADER + 2 if packet[3] == _EXTENDED else _HEADER
        items = _items(packet[start:-1])
        if items is None:
            self.counters.bad_length += 1
            return None
        integers, vectors, north_east_down = items
        step = self._step(integers.get(_PACKET_COUNTER))
        if step == 0:
            self.counters.duplicates += 1
            return None
        self._sequence = (self._sequence + step) % _SEQUENCE_MODULO
        lacking = self._needed - vectors.keys() - integers.keys()
        if lacking:
            self.lacking.update(_NAMES[kind] for kind in lacking)
            return None
        self._needed |= _NAMES.keys() & (vectors.keys() | integers.keys())
        quaternion = self._quaternion(vectors.get(_QUATERNION), north_east_down=north_east_down)
        channels = (*quaternion, *vectors[_ACCELERATION], *vectors[_RATE_OF_TURN])
        if not all(map(math.isfinite, channels)):
            self.counters.non_finite += 1
            return None
        ticks = integers.get(_SAMPLE_TIME_FINE)
        time_us = received_ns // 1000 if ticks is None else self._ticks.push(ticks) * _TICK_US
        fault = self._fault(integers.get(_STATUS_WORD), quaternion)
        return Frame(Kind.IMU, int(fault), self._sequence, time_us, channels)

    def _step(self, counter: int | None) -> int:
        """By how much the sequence number grows, after counting gaps and resets; 0 for a duplicate."""
        last, self._last_counter = self._last_counter, counter
        if counter is None or last is None:
            return 1
        step = (counter - last) % _COUNTER_MODULO
        if step >= _COUNTER_MODULO // 2:
            self.counters.sequence_resets += 1
            return 1
        self.counters.sequence_gaps += max(step - 1, 0)
        return step

    def _quaternion(self, sent: tuple[float, ...] | None, *, north_east_down: bool) -> axes.Quaternion:
        if sent is None or not self._own_orientation:
            return axes.NO_ORIENTATION
        w, x, y, z = sent
        return axes.from_z_down(w, x, y, z) if north_east_down else axes.from_z_up(w, x, y, z)

    def _fault(self, status: int | None, quaternion: axes.Quaternion) -> bool:
        if status is None:
            return False
        # While the filter's flag is down (at the start, and after violent motion) the orientation is not to be relied on.
        unsure = quaternion != axes.NO_ORIENTATION and not status & _FILTER_VALID
        return bool(status & _CLIPPED) or unsure


def _items(data: bytes) -> tuple[dict[int, int], dict[int, tuple[float, ...]], bool] | None:
    """Integers and vectors by type, and whether the quaternion's world is north-east-down; None where they do not fit."""
    integers: dict[int, int] = {}
    vectors: dict[int, tuple[float, ...]] = {}
    north_east_down = False
    at = 0
    while at < len(data):
        if at + 3 > len(data):
            return None
        identifier, size = int.from_bytes(data[at : at + 2], "big"), data[at + 2]
        content = data[at + 3 : at + 3 + size]
        at += 3 + size
        if len(content) != size:
            return None
        kind = identifier & _TYPE
        if kind in _INTEGERS:
            if size != _INTEGERS[kind].size:
                return None
            (integers[kind],) = _INTEGERS[kind].unpack(content)
        elif kind in _VALUES:
            layout = _FLOATS[_VALUES[kind]][identifier & _PRECISION]
            if size != layout.size:
                return None
            vectors[kind] = _numbers(layout.unpack(content), identifier & _PRECISION)
            if kind == _QUATERNION:
                north_east_down = identifier & _WORLD == _NORTH_EAST_DOWN
    return integers, vectors, north_east_down


def _numbers(raw: tuple[float, ...], precision: int) -> tuple[float, ...]:
    if precision == 1:
        return tuple(value / (1 << 20) for value in raw)
    if precision == 2:  # the fraction's 32 bits come first, then the signed whole part
        return tuple(whole + part / (1 << 32) for part, whole in zip(raw[::2], raw[1::2], strict=True))
    return raw


def _decoder(url: Url) -> Decoder:
    return XsensDecoder(
        bus=url.integer("bus", MASTER, minimum=0, maximum=255),
        own_orientation=url.text_of("orientation", "own", choices=("own", "none")) == "own",
    )


PROTOCOL = Protocol("xsens", _decoder, baud=115_200, parameters=("bus", "orientation"))
