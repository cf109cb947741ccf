"""What devices send, built byte by byte from their makers' documents, for tests of decoders. Not from the decoders."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from edge.sensors.decoder import Decoder
from edge.sensors.frame import Frame


def xbus(mid: int, data: bytes, *, bus: int = 0xFF) -> bytes:
    """One Xbus message (MT0101P, Messages): all bytes but the preamble add up to 0."""
    length = bytes([len(data)]) if len(data) < 255 else bytes([255]) + struct.pack(">H", len(data))
    body = bytes([bus, mid]) + length + data
    return b"\xfa" + body + bytes([-sum(body) & 0xFF])


def xbus_item(identifier: int, content: bytes) -> bytes:
    return struct.pack(">HB", identifier, len(content)) + content


def xbus_reals(identifier: int, values: Sequence[float], precision: int = 0) -> bytes:
    """An item of real numbers: precision 0 float32, 1 fp12.20, 2 fp16.32 (fraction first), 3 float64."""
    content = b""
    for value in values:
        if precision == 0:
            content += struct.pack(">f", value)
        elif precision == 1:
            content += struct.pack(">i", round(value * 2**20))
        elif precision == 2:
            scaled = round(value * 2**32)
            content += struct.pack(">I", scaled & 0xFFFFFFFF) + struct.pack(">h", scaled >> 32)
        else:
            content += struct.pack(">d", value)
    return xbus_item(identifier | precision, content)


def mtdata2(
    counter: int,
    *,
    ticks: int | None = None,
    quaternion: Sequence[float] | None = (1.0, 0.0, 0.0, 0.0),
    acceleration: Sequence[float] | None = (0.5, -0.25, 9.5),
    rate: Sequence[float] | None = (0.125, 0.25, -0.5),
    status: int | None = 2,
    precision: int = 0,
    world: int = 0,
    bus: int = 0xFF,
    more: bytes = b"",
) -> bytes:
    data = xbus_item(0x1020, struct.pack(">H", counter))
    if ticks is not None:
        data += xbus_item(0x1060, struct.pack(">I", ticks))
    if quaternion is not None:
        data += xbus_reals(0x2010 | world, quaternion, precision)
    if acceleration is not None:
        data += xbus_reals(0x4020, acceleration, precision)
    if rate is not None:
        data += xbus_reals(0x8020, rate, precision)
    data += xbus_reals(0xC020, (0.3, 0.1, -0.9), precision) + more
    if status is not None:
        data += xbus_item(0xE020, struct.pack(">I", status))
    return xbus(0x36, data, bus=bus)


def wit(kind: int, content: bytes) -> bytes:
    """One WitMotion packet: 0x55, type, eight bytes, sum."""
    body = bytes([0x55, kind]) + content.ljust(8, b"\0")
    return body + bytes([sum(body) & 0xFF])


def wit_set(
    *,
    ms: int | None = None,
    acceleration: tuple[int, int, int] = (100, -200, 2048),
    rate: tuple[int, int, int] = (5, -6, 7),
    quaternion: tuple[int, int, int, int] | None = (32767, 0, 0, 0),
    kinds: Iterable[int] = (0x50, 0x51, 0x52, 0x53, 0x54, 0x59),
) -> list[bytes]:
    """The packets of one measurement; ms: of the clock, after 2024-05-06 07:08:09."""
    contents = {
        0x51: struct.pack("<4h", *acceleration, 2500),
        0x52: struct.pack("<4h", *rate, 2500),
        0x53: struct.pack("<4h", 10, 20, 30, 0),
        0x54: struct.pack("<4h", 300, 400, 500, 0),
    }
    if ms is not None:
        contents[0x50] = bytes([24, 5, 6, 7, 8, 9 + ms // 1000]) + struct.pack("<H", ms % 1000)
    if quaternion is not None:
        contents[0x59] = struct.pack("<4h", *quaternion)
    return [wit(kind, contents[kind]) for kind in kinds if kind in contents]


def amt21_reply(value: int) -> bytes:
    """Two bytes, low first; bit 15 (14) makes the number of ones among the odd (even) bits odd."""
    odd = sum(value >> bit & 1 for bit in range(1, 14, 2))
    even = sum(value >> bit & 1 for bit in range(0, 14, 2))
    word = value | (1 - odd % 2) << 15 | (1 - even % 2) << 14
    return bytes([word & 0xFF, word >> 8])


def cut(decoder: Decoder, data: bytes, cuts: Sequence[int], received_ns: int = 0) -> list[Frame]:
    """Push the bytes in pieces of these sizes, again and again."""
    frames: list[Frame] = []
    at = turn = 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        frames += decoder.push(data[at : at + step], received_ns)
        at, turn = at + step, turn + 1
    return frames
