"""AMT21 absolute encoders on an RS-485 bus: their replies, the record of a round of questions, and joint angles from it.

By CUI Devices' data sheet "AMT21 series", RS485 interface. An encoder says something only when it is asked. The question is
its address, one byte of which the lowest two bits are 0; plus 1 it asks for the turns counter (multi-turn versions). The
reply is two bytes, low one first: 14 bits of value, and above them two check bits, the odd parity of the odd and of the
even bits. The position counts 16384 in a turn, whether the encoder has 14 bits or 12 (then the lowest two are 0); the turns
counter is signed.

The bytes of a reply do not say whose they are, and two check bits let one damaged reply in four through. So what is read and
recorded is not the bus alone: :mod:`edge.sensors.amt21_bus` wraps each round of questions in a **record**:

| type | field |
|---|---|
| u64 | time of the first question, microseconds of the host's monotonic clock |
| u8 | number of questions |
| u8, u16, u8, bytes | for each: the byte sent, microseconds after the first question, length of the reply, the reply |
| u16 | CRC-16/CCITT-FALSE of all before |

little-endian, encoded with COBS and ended by 0x00 like the frames of `emsk`: a reader that joins in the middle starts
again at the next 0x00.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from edge.sensors.decoder import Decoder, FrameCounters
from edge.sensors.frame import DELIMITER, Frame, Kind, Pieces, cobs_decode, cobs_encode, crc16

COUNTS = 1 << 14
TURNS_QUESTION = 1
MOST_NODES = 63
MOST_REPLY = 16

_HEAD = Struct("<QB")
_ANSWER = Struct("<BHB")
_CRC = Struct("<H")
_MOST_DELAY_US = 0xFFFF
_MAX_RECORD = _HEAD.size + 2 * MOST_NODES * (_ANSWER.size + MOST_REPLY) + _CRC.size
_MAX_ENCODED = _MAX_RECORD + 1 + _MAX_RECORD // 254
_EVEN_BITS = 0x1555
_ODD_BITS = 0x2AAA
_LONGEST_STEP_US = 100_000  # an angle is not interpolated over more
_SEQUENCE_MODULO = 1 << 32


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and what came back."""

    question: int  # the byte sent
    delay_us: int  # after the first question of the round
    reply: bytes  # empty where nobody answered


@dataclass(frozen=True, slots=True)
class Joint:
    """One encoder on the bus and what its angle means.

    node: its address. sign: 1 or -1. zero_rad: what the encoder reads where the joint's angle is 0. gear: turns of the
    encoder per turn of the joint.
    """

    node: int
    sign: float = 1.0
    zero_rad: float = 0.0
    gear: float = 1.0


def encode_record(time_us: int, answers: Sequence[Answer]) -> bytes:
    """One round as it is recorded; replies longer than MOST_REPLY are cut, delays beyond 65 ms read 65 ms."""
    body = bytearray(_HEAD.pack(time_us, len(answers)))
    for answer in answers:
        reply = answer.reply[:MOST_REPLY]
        body += _ANSWER.pack(answer.question, min(answer.delay_us, _MOST_DELAY_US), len(reply)) + reply
    return cobs_encode(bytes(body) + _CRC.pack(crc16(body))) + DELIMITER


def value_of(reply: bytes) -> int | None:
    """The 14 bits of a reply; None where it is not two bytes or its check bits are wrong."""
    if len(reply) != 2:
        return None
    word = int.from_bytes(reply, "little")
    odd, even = (word & _ODD_BITS).bit_count() % 2, (word & _EVEN_BITS).bit_count() % 2
    return word & (COUNTS - 1) if word >> 14 == (1 - odd) << 1 | (1 - even) else None


class Amt21Decoder(Decoder):
    """Records as frames of joint angles, one joint per encoder, in the order given.

    The encoders of a round are asked one after the other, often a millisecond apart; each angle is interpolated, between
    this round's and the last one's, to the moment of the first question, which is the frame's time. A round in which an
    encoder gave no good reply makes a frame with the fault flag, in which that joint stands where it was last.

    turns: the encoders' turns counters are asked for too. Without them an angle lies within half a turn of the joint's zero.
    """

    def __init__(self, joints: Sequence[Joint], *, turns: bool = False) -> None:
        self.counters = FrameCounters()
        self.no_answer: Counter[int] = Counter()  # rounds by node
        self.bad_answer: Counter[int] = Counter()  # replies of a wrong length or with wrong check bits, by node
        self.rounds = 0
        self._joints = tuple(joints)
        self._turns = turns
        self._last: list[tuple[int, float] | None] = [None] * len(self._joints)  # time in us and angle in rad
        self._pieces = Pieces(_MAX_ENCODED)
        self._sequence = 0

    def trouble(self) -> str:
        """Which encoder answers worst, for a message; empty where all answer."""
        faults = self.no_answer + self.bad_answer
        if not faults:
            return ""
        node = faults.most_common(1)[0][0]
        nodes = [joint.node for joint in self._joints]
        who = f"encoder {node:#04x} ({nodes.index(node) + 1} of {len(nodes)} in nodes=)"
        if self.no_answer[node] >= self.bad_answer[node]:
            return (
                f"{who} did not answer {self.no_answer[node]} of {self.rounds} times: check its power and its wires A and B, "
                "that this is its address and baud= its rate"
            )
        return (
            f"{who} gave {self.bad_answer[node]} damaged answers of {self.rounds}: check shield and termination of the "
            "bus, that no two encoders have one address, and echo=1 in the URL if the adapter hears what it sends"
        )

    def push(self, data: bytes, received_ns: int = 0) -> list[Frame]:
        """Take the next bytes of the recording; return the frames that they complete, in order."""
        pieces, too_long = self._pieces.push(data)
        self.counters.bad_length += too_long
        records = [self._record(piece) for piece in pieces if piece]
        return [self._frame(*record) for record in records if record is not None]

    def _record(self, encoded: bytes) -> tuple[int, dict[int, Answer]] | None:
        raw = cobs_decode(encoded) if len(encoded) <= _MAX_ENCODED else b""
        if raw is None:
            self.counters.bad_cobs += 1
            return None
        if len(raw) < _HEAD.size + _CRC.size:
            self.counters.bad_length += 1
            return None
        body = raw[: -_CRC.size]
        if _CRC.pack(crc16(body)) != raw[-_CRC.size :]:
            self.counters.bad_crc += 1
            return None
        time_us, count = _HEAD.unpack_from(body)
        answers: dict[int, Answer] = {}
        at = _HEAD.size
        for _ in range(count):
            if at + _ANSWER.size > len(body):
                break
            question, delay_us, length = _ANSWER.unpack_from(body, at)
            at += _ANSWER.size + length
            answers[question] = Answer(question, delay_us, body[at - length : at])
        if at != len(body):
            self.counters.bad_length += 1
            return None
        return time_us, answers

    def _frame(self, time_us: int, answers: dict[int, Answer]) -> Frame:
        self.rounds += 1
        channels: list[float] = []
        fault = False
        for index, joint in enumerate(self._joints):
            last = self._last[index]
            answer = answers.get(joint.node)
            angle = None if answer is None else self._angle(joint, answers, None if last is None else last[1])
            if angle is None or answer is None:
                fault = True
                channels.append(0.0 if last is None else last[1])
                continue
            now_us = time_us + answer.delay_us
            self._last[index] = (now_us, angle)
            channels.append(angle if last is None else self._at(time_us, last, (now_us, angle)))
        self.counters.frames += 1
        self._sequence = (self._sequence + 1) % _SEQUENCE_MODULO
        return Frame(Kind.ANGLES, int(fault), self._sequence, time_us, tuple(channels))

    def _angle(self, joint: Joint, answers: dict[int, Answer], last: float | None) -> float | None:
        """The joint's angle in rad; None, and counted, where its encoder gave no good reply."""
        values: list[int] = []
        for question in (joint.node, joint.node + TURNS_QUESTION)[: 1 + self._turns]:
            answer = answers.get(question)
            value = None if answer is None else value_of(answer.reply)
            if value is None:
                (self.bad_answer if answer is not None and answer.reply else self.no_answer)[joint.node] += 1
                return None
            values.append(value)
        reading = values[0] / COUNTS * math.tau - joint.zero_rad
        if not self._turns:
            return joint.sign * _wrapped(reading)
        turns = values[1] - COUNTS if values[1] >= COUNTS // 2 else values[1]
        angle = joint.sign * (reading + turns * math.tau) / joint.gear
        if last is None or COUNTS // 8 <= values[0] < COUNTS * 7 // 8:
            return angle
        # Near the seam the counter may have moved on between the two questions: take the turn that goes on from the last.
        turn = math.tau / joint.gear
        return angle + turn * min((-1, 0, 1), key=lambda k: abs(angle + k * turn - last))

    def _at(self, time_us: int, last: tuple[int, float], now: tuple[int, float]) -> float:
        """The angle at `time_us`, between the last and this reading."""
        step_us = now[0] - last[0]
        if not 0 < step_us <= _LONGEST_STEP_US or not last[0] <= time_us <= now[0]:
            return now[1]
        step = now[1] - last[1] if self._turns else _wrapped(now[1] - last[1])
        angle = last[1] + step * (time_us - last[0]) / step_us
        return angle if self._turns else _wrapped(angle)


def _wrapped(angle: float) -> float:
    """The same angle from -pi up to pi."""
    return (angle + math.pi) % math.tau - math.pi
