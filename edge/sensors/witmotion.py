"""WitMotion inertial sensors (WT61, WT901, HWT905 and like ones): packets of the "WIT standard communication protocol".

Each packet is 0x55, its type, eight bytes, and the sum of these ten modulo 256; numbers are little-endian (data sheets
WT901 5.1, HWT905 "Output Data Format"). The packets of one measurement follow each other in the order of their types:
0x50 time, 0x51 acceleration (int16, 32768 is 16 g), 0x52 angular rate (32768 is 2000 deg/s), 0x53 angle, 0x54 magnetic
field, ..., 0x59 quaternion (32768 is 1, w x y z, to a world with east-north-up). One set of packets is one frame.

The angles of 0x53 are not used: near 90 deg of pitch they say nothing. A sensor that sends no 0x59 has no orientation here.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from struct import Struct

from edge.sensors import axes
from edge.sensors.decoder import Decoder
from edge.sensors.frame import Frame, Kind
from edge.sensors.packets import PacketDecoder
from edge.sensors.protocols import Protocol
from edge.url import Url

TIME, ACCELERATION, ANGULAR_RATE, QUATERNION = 0x50, 0x51, 0x52, 0x59
GRAVITY_MPS2 = 9.80665

_SIZE = 11
_TYPES = range(0x50, 0x60)
_DATA = Struct("<2x4hx")
_TIME = Struct("<2x6BHx")
_ACCELERATION_MPS2 = 16.0 * GRAVITY_MPS2 / 32768
_RATE_RADPS = math.radians(2000.0) / 32768
_UNIT = 1.0 / 32768
_LIMITS = (-32768, 32767)
_USED = frozenset({TIME, ACCELERATION, ANGULAR_RATE, QUATERNION})
_RELEARN = 3  # sets in a row without a packet that used to come: the sensor was told to send others
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SEQUENCE_MODULO = 1 << 32


class WitMotionDecoder(PacketDecoder):
    """Sets of packets as IMU frames.

    closes: the type that ends a set; None: the highest that comes, known after the first set. own_orientation: take the
    quaternion where one is sent; else `0 0 0 0` is sent on.
    """

    START = 0x55

    def __init__(self, *, closes: int | None = None, own_orientation: bool = True) -> None:
        super().__init__()
        self.incomplete = 0  # closed sets without acceleration or angular rate
        self._fixed = closes is not None
        self._closes = closes
        self._own_orientation = own_orientation
        self._set: dict[int, bytes] = {}
        self._usual: frozenset[int] = frozenset()  # types in use that each set has held so far
        self._torn = 0  # sets in a row that lacked a packet
        self._sequence = 0

    def trouble(self) -> str:
        """What the sensor's settings lack, for a message; empty where each set of packets makes a frame."""
        if not self.incomplete:
            return ""
        return (
            f"{self.incomplete} sets of WitMotion packets hold no acceleration (0x51) or no angular rate (0x52): switch both on "
            "in WitMotion's program, Config, Content"
        )

    def _size(self, buffer: bytearray, at: int) -> int | None:
        if len(buffer) - at < 2:
            return None
        return _SIZE if buffer[at + 1] in _TYPES else 0

    def _holds(self, packet: bytes) -> bool:
        return sum(packet[:-1]) % 256 == packet[-1]

    def _take(self, packet: bytes, received_ns: int) -> Frame | None:
        kind = packet[1]
        if self._fixed and self._closes is not None and kind > self._closes:
            return None
        if self._set and kind <= max(self._set):
            self._end_unclosed()
        self._set[kind] = packet
        if kind != self._closes:
            return None
        complete, self._set = self._set, {}
        return self._frame(complete, received_ns) if self._is_usual(complete) else None

    def _end_unclosed(self) -> None:
        """A new set has begun before the last one was closed: its last packet is missing, or not known yet."""
        highest = max(self._set)
        self._set = {}
        if self._closes is not None:
            is_rule = self._torn_again(at_once=highest > self._closes)
            if self._fixed or not is_rule:
                return
        self._closes = highest

    def _is_usual(self, packets: dict[int, bytes]) -> bool:
        """Whether nothing that used to come is missing: a frame would change its clock or its orientation for a moment."""
        here = _USED.intersection(packets)
        if not here >= self._usual and not self._torn_again():
            return False
        self._torn = 0
        self._usual = here
        return True

    def _torn_again(self, *, at_once: bool = False) -> bool:
        """Count a set that lacks a packet; whether that has become the rule."""
        self.counters.sequence_gaps += 1
        self._torn += 1
        rule = at_once or self._torn >= _RELEARN
        if rule:
            self._torn = 0
        return rule

    def _frame(self, packets: dict[int, bytes], received_ns: int) -> Frame | None:
        if ACCELERATION not in packets or ANGULAR_RATE not in packets:
            self.incomplete += 1
            return None
        acceleration = _DATA.unpack(packets[ACCELERATION])[:3]
        rate = _DATA.unpack(packets[ANGULAR_RATE])[:3]
        quaternion = axes.NO_ORIENTATION
        if self._own_orientation and QUATERNION in packets:
            w, x, y, z = (value * _UNIT for value in _DATA.unpack(packets[QUATERNION]))
            quaternion = axes.from_z_up(w, x, y, z)
        time_us = _time_us(packets[TIME]) if TIME in packets else None
        saturated = any(value in _LIMITS for value in (*acceleration, *rate))
        self._sequence = (self._sequence + 1) % _SEQUENCE_MODULO
        return Frame(
            Kind.IMU,
            int(saturated),
            self._sequence,
            received_ns // 1000 if time_us is None else time_us,
            (
                *quaternion,
                *(value * _ACCELERATION_MPS2 for value in acceleration),
                *(value * _RATE_RADPS for value in rate),
            ),
        )


def _time_us(packet: bytes) -> int | None:
    """Microseconds since 1970 on the sensor's clock, in steps of 1 ms; None for a date that there is not."""
    year, month, day, hour, minute, second, millisecond = _TIME.unpack(packet)
    try:
        moment = datetime(2000 + year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None
    return (moment - _EPOCH + timedelta(milliseconds=millisecond)) // timedelta(microseconds=1)


def _decoder(url: Url) -> Decoder:
    closes = url.text_of("closes", "last", choices=("last", *(f"{kind:x}" for kind in _TYPES)))
    return WitMotionDecoder(
        closes=None if closes == "last" else int(closes, 16),
        own_orientation=url.text_of("orientation", "own", choices=("own", "none")) == "own",
    )


PROTOCOL = Protocol("witmotion", _decoder, baud=9600, parameters=("closes", "orientation"))
