"""Xsens MTData2: a message of a real device, every format of the document, and every kind of damage."""

from __future__ import annotations

import math
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sensor_devices import cut, mtdata2, xbus, xbus_item, xbus_reals

from edge.errors import ConfigError
from edge.sensors.frame import Frame, Kind
from edge.sensors.protocols import protocol_of
from edge.sensors.xsens import PROTOCOL, XsensDecoder
from edge.url import parse_url

# An MTi-630 lying still (the example of a public driver): SampleTimeFine, Quaternion, RateOfTurn, Acceleration,
# MagneticField, StatusWord.
MTI_630 = bytes.fromhex(
    "FA FF 36 4E 10 60 04 02 53 35 CB 20 10 10 3F 7F FA 66 BB 40 34 B8 3C 49 96 2D 3B 5A 1F 82 80 20 0C 39 FF 91 01 BA EC"
    "DD 81 BA 86 53 80 40 20 0C BE 64 DB 99 BC E7 FF 83 41 1D C2 CF C0 20 0C BE 90 48 80 3F 67 32 04 BF 54 89 04 E0 20 04"
    "00 00 00 03 C9"
)
GO_TO_CONFIG = bytes.fromhex("FA FF 30 00 D1")  # the document's example of a message without data


def turned(frame: Frame, vector: tuple[float, float, float]) -> np.ndarray:
    """A vector in the sensor's axes as the frame's quaternion turns it."""
    w, x, y, z = frame.channels[:4]
    return np.asarray(Rotation.from_quat([x, y, z, w]).apply(vector))


def walk(count: int) -> list[bytes]:
    return [mtdata2(i, ticks=i * 100, rate=(i / 64, 0.0, 0.0)) for i in range(count)]


def test_a_real_message() -> None:
    (frame,) = XsensDecoder().push(MTI_630)
    assert frame.kind == Kind.IMU
    assert frame.flags == 0
    assert frame.time_us == 0x025335CB * 100
    acceleration, rate = frame.channels[4:7], frame.channels[7:]
    assert acceleration == pytest.approx((-0.22349, -0.02832, 9.86006), abs=1e-5)
    assert rate == pytest.approx((4.874e-4, -1.807e-3, -1.025e-3), abs=1e-6)
    # At rest the specific force points up: y in our world.
    assert turned(frame, acceleration) == pytest.approx([0.0, 9.863, 0.0], abs=0.03)


@pytest.mark.parametrize("precision", [0, 1, 2, 3])
def test_every_precision(precision: int) -> None:
    data = mtdata2(
        1,
        quaternion=(0.5, -0.5, 0.5, -0.5),
        acceleration=(1.5, -2.25, 9.75),
        rate=(-0.125, 3.0, -7.5),
        precision=precision,
    )
    (frame,) = XsensDecoder().push(data)
    assert frame.channels[4:] == (1.5, -2.25, 9.75, -0.125, 3.0, -7.5)
    assert math.hypot(*frame.channels[:4]) == pytest.approx(1.0)


@settings(deadline=None)
@given(st.floats(-2000, 2000))
def test_fixed_point_is_as_fine_as_the_document_says(value: float) -> None:
    for precision, step in ((1, 2.0**-20), (2, 2.0**-32)):
        (frame,) = XsensDecoder().push(mtdata2(1, acceleration=(value, 0.0, 0.0), precision=precision))
        assert abs(frame.channels[4] - value) <= step


@pytest.mark.parametrize(
    ("world", "up", "first"),
    [
        (0x0, (0, 0, 1), (1, 0, 0)),  # east-north-up
        (0x8, (0, 0, 1), (1, 0, 0)),  # north-west-up
        (0x4, (0, 0, -1), (1, 0, 0)),  # north-east-down
    ],
)
@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_world_becomes_ours(world: int, up: tuple[int, int, int], first: tuple[int, int, int], seed: int) -> None:
    sensor = Rotation.random(random_state=np.random.default_rng(seed))
    x, y, z, w = sensor.as_quat()
    (frame,) = XsensDecoder().push(mtdata2(1, quaternion=(w, x, y, z), world=world, precision=3))
    into_sensor = sensor.inv()
    assert turned(frame, tuple(into_sensor.apply(up))) == pytest.approx([0, 1, 0])
    assert turned(frame, tuple(into_sensor.apply(first))) == pytest.approx([1, 0, 0])


def test_a_device_without_orientation_sends_zeros_on() -> None:
    (frame,) = XsensDecoder().push(mtdata2(1, quaternion=None))
    assert frame.channels[:4] == (0.0, 0.0, 0.0, 0.0)
    (frame,) = XsensDecoder(own_orientation=False).push(mtdata2(1))
    assert frame.channels[:4] == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (0x2, False),
        (0x3, False),
        (0x0, True),  # the filter is not valid
        *((0x2 | 1 << bit, True) for bit in range(8, 14)),  # accelerometer and gyroscope, each axis
        *((0x2 | 1 << bit, False) for bit in range(14, 17)),  # magnetometer
        (0x00600002, False),  # synchronisation
    ],
)
def test_the_status_word(status: int, fault: bool) -> None:
    (frame,) = XsensDecoder().push(mtdata2(1, status=status))
    assert frame.flags == int(fault)


def test_an_invalid_filter_matters_only_to_who_uses_it() -> None:
    (frame,) = XsensDecoder().push(mtdata2(1, quaternion=None, status=0))
    assert frame.flags == 0


def test_time_is_the_devices_and_goes_on_over_the_wrap() -> None:
    decoder = XsensDecoder()
    ticks = [2**32 - 100, 0, 100]
    frames = [frame for i, t in enumerate(ticks) for frame in decoder.push(mtdata2(i, ticks=t))]
    assert np.diff([frame.time_us for frame in frames]).tolist() == [10_000, 10_000]


def test_without_a_clock_the_time_is_that_of_receiving() -> None:
    (frame,) = XsensDecoder().push(mtdata2(1), received_ns=12_345_678)
    assert frame.time_us == 12_345


def test_the_packet_counter_tells_gaps_duplicates_and_restarts() -> None:
    decoder = XsensDecoder()
    got = [bool(decoder.push(mtdata2(i))) for i in (65_533, 65_534, 65_534, 1, 2, 0)]
    assert got == [True, True, False, True, True, True]
    assert decoder.counters.sequence_gaps == 2
    assert decoder.counters.duplicates == 1
    assert decoder.counters.sequence_resets == 1


def test_the_sequence_number_tells_a_gap_too() -> None:
    decoder = XsensDecoder()
    assert [f.sequence for i in (7, 8, 11) for f in decoder.push(mtdata2(i))] == [1, 2, 5]


def test_settings_that_lack_something_are_named() -> None:
    decoder = XsensDecoder()
    assert decoder.trouble() == ""
    for i in range(3):
        assert decoder.push(mtdata2(i, acceleration=None)) == []
    assert decoder.trouble().startswith("3 of 3 Xsens messages hold no Acceleration: in MT Manager")


@pytest.mark.parametrize("lacking", ["quaternion", "ticks"])
def test_a_frame_never_changes_its_clock_or_orientation_for_a_moment(lacking: str) -> None:
    decoder = XsensDecoder()
    assert len(decoder.push(mtdata2(0, ticks=0))) == 1
    assert decoder.push(mtdata2(1, **({"ticks": 100} | {lacking: None}))) == []  # type: ignore[arg-type]
    assert len(decoder.push(mtdata2(2, ticks=200))) == 1
    assert sum(decoder.lacking.values()) == 1


def test_other_messages_and_items_are_skipped() -> None:
    decoder = XsensDecoder()
    more = xbus_item(0x0810, struct.pack(">f", 31.0)) + xbus_item(0x7010, bytes(94))
    frames = decoder.push(GO_TO_CONFIG + xbus(0x3E, b"") + mtdata2(1, more=more) + xbus(0x42, b"\x03"))
    assert len(frames) == 1
    assert decoder.packets == 4
    assert decoder.counters.bad == 0


def test_extended_length() -> None:
    data = mtdata2(1, more=xbus_item(0x7020, bytes(250)) + xbus_item(0x7010, bytes(range(94))))
    assert data[3] == 255
    assert len(XsensDecoder().push(data)) == 1


def test_another_bus_identifier() -> None:
    assert XsensDecoder().push(mtdata2(1, bus=3)) == []
    assert len(XsensDecoder(bus=3).push(mtdata2(1, bus=3))) == 1


@pytest.mark.parametrize(
    "data",
    [
        xbus_item(0x1020, b"\0\1") + b"\x40",  # an item that is cut
        xbus_item(0x1020, b"\0\1") + b"\x40\x20\x0c\0\0",  # longer than the message
        xbus_item(0x1020, b"\0\0\1"),  # a size that its type does not have
        xbus_reals(0x4020, (1.0, 2.0)),
        xbus_item(0x4023, bytes(12)),
    ],
)
def test_items_that_do_not_fit_are_counted(data: bytes) -> None:
    decoder = XsensDecoder()
    assert decoder.push(xbus(0x36, data)) == []
    assert decoder.counters.bad_length == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_counted(value: float) -> None:
    decoder = XsensDecoder()
    assert decoder.push(mtdata2(1, acceleration=(0.0, value, 9.8))) == []
    assert decoder.counters.non_finite == 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 200), min_size=1), st.binary(max_size=300), st.binary(max_size=30))
def test_any_cutting_gives_the_same_frames(cuts: list[int], before: bytes, between: bytes) -> None:
    first, second, third = walk(3)
    data = before + first + between + second + third
    whole, pieces = XsensDecoder(), XsensDecoder()
    assert cut(pieces, data, cuts) == whole.push(data)
    assert pieces.counters == whole.counters


@settings(deadline=None)
@given(st.lists(st.binary(max_size=900), max_size=6))
def test_garbage_never_raises_and_the_next_message_is_found(garbage: list[bytes]) -> None:
    decoder = XsensDecoder()
    for chunk in garbage:
        decoder.push(chunk)
    # What looks like the start of a long message is waited for; then all is looked through again.
    frames = decoder.push(b"".join(walk(40)))
    assert [frame.channels[7] for frame in frames][-5:] == [i / 64 for i in range(35, 40)]


@settings(deadline=None)
@given(st.data())
def test_one_flipped_bit_costs_that_message_only(data: st.DataObject) -> None:
    sent = [bytearray(message) for message in walk(40)]
    expected = XsensDecoder().push(b"".join(sent))
    victim = sent[2]
    bit = data.draw(st.integers(0, 8 * len(victim) - 1))
    victim[bit // 8] ^= 1 << (bit % 8)
    decoder = XsensDecoder()
    assert decoder.push(b"".join(sent)) == expected[:2] + expected[3:]
    assert decoder.counters.bad == 1
    assert decoder.counters.sequence_gaps == 1


@pytest.mark.parametrize("at", range(1, len(MTI_630)))
def test_joining_in_the_middle(at: int) -> None:
    assert len(XsensDecoder().push(MTI_630[at:] + b"".join(walk(20)))) >= 19


def test_a_million_random_bytes() -> None:
    """Seldom does anything pass the check sum of eight bits, and almost never does it hold whole items."""
    decoder = XsensDecoder()
    data = random.Random(4).randbytes(1_000_000)
    frames = [frame for at in range(0, len(data), 1000) for frame in decoder.push(data[at : at + 1000])]
    assert frames == []
    assert decoder.packets < 5  # one in 2^24 bytes by chance
    assert len(decoder._buffer) < 3000


def test_the_protocol_by_url() -> None:
    url = parse_url("serial:///dev/ttyUSB0?protocol=xsens&bus=2&orientation=none")
    assert protocol_of(url) is PROTOCOL
    (frame,) = PROTOCOL.decoder(url).push(mtdata2(1, bus=2))
    assert frame.channels[:4] == (0.0, 0.0, 0.0, 0.0)
    with pytest.raises(ConfigError, match="orientation=mine is not usable; use own, none"):
        PROTOCOL.decoder(parse_url("serial:x?orientation=mine"))
