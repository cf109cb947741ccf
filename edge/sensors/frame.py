"""The wire protocol `emsk`, version 1: frames on a serial line.

One frame is a 16-byte header, 1 to 128 float32 channels and a CRC, little-endian, encoded with COBS so that 0x00 occurs
nowhere inside it, and ended by one 0x00. A receiver that joins in the middle, or meets damage, starts again at the next
0x00. The layout is given in docs/wire-protocol.md.

Times are microseconds of the sender's clock; angles rad, torques Nm, forces N, accelerations m/s2, rates rad/s.
"""

from __future__ import annotations

import enum
from binascii import crc_hqx
from dataclasses import dataclass
from math import isfinite
from struct import Struct
from struct import error as struct_error

from edge.sensors.decoder import Decoder, FrameCounters

VERSION = 1
MAX_CHANNELS = 128
DELIMITER = b"\x00"

_HEADER = Struct("<BBBBIQ")
_CRC = Struct("<H")
_CRC_INITIAL = 0xFFFF
_MAX_RAW = _HEADER.size + 4 * MAX_CHANNELS + _CRC.size
_COBS_GROUP = 254
# COBS adds one byte, and one more per full group of 254.
MAX_ENCODED = _MAX_RAW + 1 + _MAX_RAW // _COBS_GROUP
_SEQUENCE_MODULO = 1 << 32
_SEQUENCE_HALF = 1 << 31
_CHANNELS = [Struct(f"<{n}f") for n in range(MAX_CHANNELS + 1)]
# A whole frame behind one byte of padding, by its size: what :func:`_unstuff` leaves.
_LAYOUTS = {layout.size: layout for layout in (Struct(f"<xBBBBIQ{n}fH") for n in range(1, MAX_CHANNELS + 1))}


class Kind(enum.IntEnum):
    """What the channels of a frame are."""

    ANGLES = 0x01
    """Joint angles, rad, in the model's joint order."""
    IMU = 0x02
    """10 per sensor: quaternion w x y z (sensor -> world), specific force m/s2, angular rate rad/s."""
    EMG = 0x03
    """One per muscle: envelope 0 to 1, or raw volts, as the configuration says."""
    GROUND_REACTION = 0x04
    """3 per foot: F_x N, F_y N, centre of pressure x in m from the ankle, forward positive."""
    COMMAND = 0x81
    """Torque per joint, Nm; the flags carry the state (0 disarmed, 1 armed, 2 active, 3 fault)."""
    BIOFEEDBACK = 0x82
    """Activation per muscle, 0 to 1; the flags carry the state."""


_KINDS = frozenset(int(kind) for kind in Kind)


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `channels` are the float32 values of the wire as Python floats."""

    kind: int
    flags: int
    sequence: int
    time_us: int
    channels: tuple[float, ...]


def crc16(data: bytes | bytearray | memoryview) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, initial 0xFFFF, no reflection, no final xor."""
    return crc_hqx(data, _CRC_INITIAL)


def cobs_encode(raw: bytes) -> bytes:
    """Encode any bytes so that no 0x00 remains (Cheshire and Baker 1999); the delimiter is not appended."""
    out = bytearray()
    blocks = raw.split(DELIMITER)
    last = len(blocks) - 1
    for index, whole in enumerate(blocks):
        block = whole
        while len(block) >= _COBS_GROUP:
            out.append(0xFF)
            out += block[:_COBS_GROUP]
            block = block[_COBS_GROUP:]
            if not block and index == last:
                return bytes(out)
        out.append(len(block) + 1)
        out += block
    return bytes(out)


def cobs_decode(encoded: bytes) -> bytes | None:
    """Undo :func:`cobs_encode`; None where the bytes are no COBS. `encoded` is without the delimiter."""
    if not encoded or 0 in encoded:
        return None
    raw = _unstuff(encoded)
    return None if raw is None else bytes(raw[1:])


def _unstuff(encoded: bytes) -> bytearray | None:
    """What :func:`cobs_decode` gives, behind one byte of padding. `encoded` holds no zero, or this does not end."""
    # Each code byte stands where a zero was, so the usual case (no full group) is decoded in place; the first stays over.
    raw = bytearray(encoded)
    at, end = 0, len(raw)
    while at < end:
        code = raw[at]
        if code == 0xFF:
            return _unstuff_groups(encoded)
        raw[at] = 0
        at += code
    return raw if at == end else None


def _unstuff_groups(encoded: bytes) -> bytearray | None:
    out = bytearray(1)
    at, end = 0, len(encoded)
    while at < end:
        code = encoded[at]
        after = at + code
        if after > end:
            return None
        out += encoded[at + 1 : after]
        if code != 0xFF and after < end:
            out.append(0)
        at = after
    return out


def encode(frame: Frame) -> bytes:
    """One frame as it goes on the line: COBS and the closing 0x00.

    Raises ValueError for what the format cannot hold: an unknown kind, flags outside u8, a sequence number outside u32,
    a time outside u64, not 1 to 128 channels, or a channel that is not a finite float32.
    """
    channels = frame.channels
    count = len(channels)
    if frame.kind not in _KINDS:
        raise ValueError(f"kind {frame.kind!r} is none of {', '.join(f'{kind:#04x}' for kind in Kind)}")
    if not 1 <= count <= MAX_CHANNELS:
        raise ValueError(f"a frame holds 1 to {MAX_CHANNELS} channels, not {count}")
    if not isfinite(sum(channels)):
        raise ValueError(f"channels must be finite, got {channels}")
    try:
        body = _HEADER.pack(frame.kind, frame.flags, count, VERSION, frame.sequence, frame.time_us)
        body += _CHANNELS[count].pack(*channels)
    except (struct_error, OverflowError) as error:
        raise ValueError(
            f"flags {frame.flags} (u8), sequence {frame.sequence} (u32), time_us {frame.time_us} (u64) or a channel "
            f"(float32) does not fit the frame: {error}"
        ) from None
    return cobs_encode(body + _CRC.pack(crc16(body))) + DELIMITER


class Pieces:
    """Cuts a line at its zero bytes. Holds at most one piece; of a longer one only that it came is told."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._pending = b""
        self._skipping = False

    def push(self, data: bytes) -> tuple[list[bytes], bool]:
        """Take the next bytes; return the pieces that they end (empty ones too), and whether one grew too long meanwhile."""
        pieces = (self._pending + data).split(DELIMITER)
        self._pending = pieces.pop()
        if self._skipping and pieces:
            # The end of a piece that was too long and has been told.
            self._skipping = False
            del pieces[0]
        if self._skipping:
            self._pending = b""
        elif len(self._pending) > self._most:
            self._skipping = True
            self._pending = b""
            return pieces, True
        return pieces, False


class FrameDecoder(Decoder):
    """Decodes `emsk`. Holds at most one frame's worth of bytes.

    Frames with an unknown kind are handed on, so that an older receiver can skip what a newer sender adds.
    """

    def __init__(self) -> None:
        self.counters = FrameCounters()
        self._pieces = Pieces(MAX_ENCODED)
        self._last_sequence: dict[int, int] = {}

    def push(self, data: bytes, received_ns: int = 0) -> list[Frame]:
        """Take the next bytes of the line; return the good frames that they complete, in order."""
        pieces, too_long = self._pieces.push(data)
        self.counters.bad_length += too_long
        frames: list[Frame] = []
        for piece in pieces:
            if piece:
                frame = self._decode(piece)
                if frame is not None:
                    frames.append(frame)
        return frames

    def _decode(self, encoded: bytes) -> Frame | None:
        counters = self.counters
        if len(encoded) > MAX_ENCODED:
            counters.bad_length += 1
            return None
        raw = _unstuff(encoded)
        if raw is None:
            counters.bad_cobs += 1
            return None
        layout = _LAYOUTS.get(len(raw))
        if layout is None:
            counters.bad_length += 1
            return None
        fields = layout.unpack(raw)
        kind, flags, count, version, sequence, time_us = fields[:6]
        values = fields[6:-1]
        if count != len(values):
            counters.bad_length += 1
            return None
        if version != VERSION:
            counters.bad_version += 1
        elif fields[-1] != crc16(raw[1 : -_CRC.size]):
            counters.bad_crc += 1
        # 128 float32 values cannot overflow a double, so the sum is finite exactly when each of them is.
        elif not isfinite(sum(values)):
            counters.non_finite += 1
        elif self._is_new(kind, sequence):
            counters.frames += 1
            return Frame(kind, flags, sequence, time_us, values)
        return None

    def _is_new(self, kind: int, sequence: int) -> bool:
        """Count gaps, resets and duplicates of this kind; False for a duplicate."""
        last = self._last_sequence.get(kind)
        self._last_sequence[kind] = sequence
        if last is None:
            return True
        step = (sequence - last) % _SEQUENCE_MODULO
        if step == 0:
            self.counters.duplicates += 1
            return False
        if step >= _SEQUENCE_HALF:
            self.counters.sequence_resets += 1
        else:
            self.counters.sequence_gaps += step - 1
        return True
