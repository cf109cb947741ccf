"""AMT21: replies by the data sheet, records, joint angles, and encoders that do not answer."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_devices import amt21_reply, cut

from edge.sensors.amt21 import COUNTS, MOST_REPLY, Amt21Decoder, Answer, Joint, encode_record, value_of
from edge.sensors.frame import DELIMITER, Frame, Kind, cobs_decode, cobs_encode, crc16

LEG = [Joint(0x54), Joint(0x58), Joint(0x5C)]


def counts(angle_rad: float) -> int:
    return round(angle_rad / math.tau * COUNTS) % COUNTS


def record(time_us: int, *angles: float | None, spacing_us: int = 0, joints: list[Joint] = LEG) -> bytes:
    """A round: each encoder's reading in rad; None: it does not answer."""
    answers = [
        Answer(joint.node, i * spacing_us, b"" if angle is None else amt21_reply(counts(angle)))
        for i, (joint, angle) in enumerate(zip(joints, angles, strict=True))
    ]
    return encode_record(time_us, answers)


def walk(count: int) -> list[bytes]:
    return [record(10_000 * i, 0.25, 0.5, i / 64) for i in range(count)]


def test_the_data_sheets_example() -> None:
    """0x61AB is position 0x21AB (8619 of 16384)."""
    assert value_of(bytes([0xAB, 0x61])) == 0x21AB
    assert amt21_reply(0x21AB) == bytes([0xAB, 0x61])


@settings(deadline=None)
@given(st.integers(0, COUNTS - 1))
def test_every_value_and_every_single_flipped_bit(value: int) -> None:
    reply = amt21_reply(value)
    assert value_of(reply) == value
    word = int.from_bytes(reply, "little")
    assert all(value_of((word ^ 1 << bit).to_bytes(2, "little")) is None for bit in range(16))


@pytest.mark.parametrize("reply", [b"", b"\x54", b"\0\0", b"\xff\xff", bytes([0xAB, 0x61, 0])])
def test_what_is_no_reply(reply: bytes) -> None:
    assert value_of(reply) is None


def test_the_record_is_what_the_document_says() -> None:
    raw = cobs_decode(
        encode_record(0x0102030405060708, [Answer(0x54, 0x1234, b"\xab\x61"), Answer(0x58, 70_000, b"")])[:-1]
    )
    assert raw is not None
    assert raw[:-2] == bytes.fromhex("0807060504030201 02 54 3412 02 ab61 58 ffff 00")
    assert raw[-2:] == crc16(raw[:-2]).to_bytes(2, "little")
    assert encode_record(0, [])[-1:] == DELIMITER


def test_joint_angles() -> None:
    joints = [Joint(0x54), Joint(0x58, sign=-1.0, zero_rad=math.radians(350)), Joint(0x5C, zero_rad=-0.5)]
    (frame,) = Amt21Decoder(joints).push(record(5_000, 0.75, math.radians(20), -0.75, joints=joints))
    assert (frame.kind, frame.flags, frame.time_us) == (Kind.ANGLES, 0, 5_000)
    # an encoder that reads 20 deg, zero at 350, has turned 30 deg; -0.75 rad is 0.25 rad behind its zero
    assert frame.channels == pytest.approx((0.75, -math.radians(30), -0.25), abs=math.tau / COUNTS)


def test_twelve_bits_need_no_setting() -> None:
    """Their lowest two bits are 0: 1024 of 4096 is a quarter turn."""
    (frame,) = Amt21Decoder(LEG[:1]).push(encode_record(0, [Answer(0x54, 0, amt21_reply(1024 << 2))]))
    assert frame.channels == (math.pi / 2,)


def test_encoders_asked_one_after_the_other_are_brought_to_one_moment() -> None:
    """All turn at 5 rad/s through half a turn; asked 2 ms apart they would differ by 20 mrad."""
    decoder = Amt21Decoder(LEG)
    frames: list[Frame] = []
    for i in range(100):
        angles = [3.0 + 5.0 * (i * 0.01 + j * 0.002) for j in range(3)]
        frames += decoder.push(record(i * 10_000, *angles, spacing_us=2_000))
    for i, frame in enumerate(frames[1:], 1):
        expected = (3.0 + 0.05 * i + math.pi) % math.tau - math.pi
        off = [(value - expected + math.pi) % math.tau - math.pi for value in frame.channels]
        assert np.abs(off).max() < 2 * math.tau / COUNTS


def test_nothing_is_interpolated_over_a_pause() -> None:
    decoder = Amt21Decoder(LEG[:1])
    decoder.push(encode_record(0, [Answer(0x54, 0, amt21_reply(0))]))
    (frame,) = decoder.push(encode_record(500_000, [Answer(0x54, 5_000, amt21_reply(4096))]))
    assert frame.channels == (math.pi / 2,)


def test_an_encoder_that_does_not_answer_is_a_fault_counted_and_named() -> None:
    decoder = Amt21Decoder(LEG)
    decoder.push(record(0, 0.25, 0.5, 0.75))
    assert decoder.trouble() == ""
    frames = [f for i in range(1, 4) for f in decoder.push(record(i * 10_000, 0.5, None, 0.75))]
    assert [frame.flags for frame in frames] == [1, 1, 1]
    assert frames[0].channels[1] == pytest.approx(0.5, abs=1e-3)
    assert decoder.no_answer == {0x58: 3}
    assert decoder.trouble().startswith("encoder 0x58 (2 of 3 in nodes=) did not answer 3 of 4 times: check its power")
    (frame,) = decoder.push(record(40_000, 0.5, 0.5, 0.75))
    assert frame.flags == 0


@pytest.mark.parametrize("reply", [b"\x00\x00", b"\xab", b"\x54\xab\x61"])
def test_a_damaged_answer_is_a_fault_counted_and_named(reply: bytes) -> None:
    decoder = Amt21Decoder(LEG[:1])
    (frame,) = decoder.push(encode_record(0, [Answer(0x54, 0, reply)]))
    assert (frame.flags, frame.channels) == (1, (0.0,))
    assert decoder.bad_answer == {0x54: 1}
    assert "gave 1 damaged answers of 1" in decoder.trouble()
    assert "echo=1" in decoder.trouble()


def turns_record(time_us: int, turns: int, position: int) -> bytes:
    answers = [Answer(0x54, 0, amt21_reply(position)), Answer(0x55, 100, amt21_reply(turns % COUNTS))]
    return encode_record(time_us, answers)


@pytest.mark.parametrize("turns", [-8192, -2, 0, 3, 8191])
def test_the_turns_counter_is_signed(turns: int) -> None:
    decoder = Amt21Decoder([Joint(0x54, gear=10.0, sign=-1.0)], turns=True)
    (frame,) = decoder.push(turns_record(0, turns, 4096))
    assert frame.channels[0] == pytest.approx(-(turns + 0.25) * math.tau / 10)


def test_a_turn_completed_between_the_two_questions_is_no_jump() -> None:
    decoder = Amt21Decoder([Joint(0x54)], turns=True)
    readings = [(0, 12_000), (0, 15_000), (1, 16_380), (1, 200), (1, 4_000)]  # counter ahead at the third
    frames = [
        f
        for i, (turns, position) in enumerate(readings)
        for f in decoder.push(turns_record(i * 10_000, turns, position))
    ]
    angles = [frame.channels[0] / math.tau * COUNTS for frame in frames]
    assert angles == pytest.approx([12_000, 15_000, 16_380, 16_384 + 200, 16_384 + 4_000])


def test_a_turns_counter_that_does_not_answer() -> None:
    decoder = Amt21Decoder([Joint(0x54)], turns=True)
    (frame,) = decoder.push(encode_record(0, [Answer(0x54, 0, amt21_reply(0)), Answer(0x55, 0, b"")]))
    assert frame.flags == 1
    assert decoder.no_answer == {0x54: 1}


def test_each_kind_of_damage_has_its_counter() -> None:
    decoder = Amt21Decoder(LEG)
    body = bytes(8) + b"\x01\x54\0\0\x02\xab"  # a reply cut short
    decoder.push(cobs_encode(body + crc16(body).to_bytes(2, "little")) + b"\0")
    body = bytes(8) + b"\0\0"  # more than the questions it announces
    decoder.push(cobs_encode(body + crc16(body).to_bytes(2, "little")) + b"\0")
    decoder.push(b"\x03\x01\x01\0")
    decoder.push(b"\x01" * 60_000)
    decoder.push(b"\0")
    assert decoder.counters.bad_length == 4
    decoder.push(b"\x09\x01\0")
    assert decoder.counters.bad_cobs == 1
    decoder.push(cobs_encode(bytes(11)) + b"\0")
    assert decoder.counters.bad_crc == 1
    assert decoder.counters.frames == 0
    assert len(decoder.push(walk(1)[0])) == 1


def test_a_long_reply_is_cut() -> None:
    (frame,) = Amt21Decoder(LEG[:1]).push(encode_record(0, [Answer(0x54, 0, bytes(MOST_REPLY + 5))]))
    assert frame.flags == 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1), st.binary(max_size=300), st.binary(max_size=30))
def test_any_cutting_gives_the_same_frames(cuts: list[int], before: bytes, between: bytes) -> None:
    data = before + b"\0" + b"".join(walk(3)) + between + b"\0" + b"".join(walk(2))
    whole, pieces = Amt21Decoder(LEG), Amt21Decoder(LEG)
    expected = whole.push(data)
    assert cut(pieces, data, cuts) == expected
    assert len(expected) >= 5
    assert pieces.counters == whole.counters


@settings(deadline=None)
@given(st.data())
def test_one_flipped_bit_costs_that_record_only(data: st.DataObject) -> None:
    sent = [bytearray(part) for part in walk(5)]
    victim = sent[2]
    bit = data.draw(st.integers(0, 8 * (len(victim) - 1) - 1))
    victim[bit // 8] ^= 1 << (bit % 8)
    decoder = Amt21Decoder(LEG)
    frames = decoder.push(b"".join(sent))
    assert [frame.time_us for frame in frames] == [0, 10_000, 30_000, 40_000]
    assert decoder.counters.bad in (1, 2)


def test_a_million_random_bytes() -> None:
    decoder = Amt21Decoder(LEG)
    data = random.Random(4).randbytes(1_000_000)
    assert [frame for at in range(0, len(data), 1000) for frame in decoder.push(data[at : at + 1000])] == []
    assert decoder.counters.bad > 1000
