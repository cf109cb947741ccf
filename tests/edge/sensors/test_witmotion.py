"""WitMotion packets: the document's scales, sets with and without everything, and every kind of damage."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sensor_devices import cut, wit, wit_set

from edge.errors import ConfigError
from edge.sensors.frame import Frame, Kind
from edge.sensors.protocols import protocol_of
from edge.sensors.witmotion import PROTOCOL, WitMotionDecoder
from edge.url import parse_url


def taught(decoder: WitMotionDecoder | None = None) -> WitMotionDecoder:
    """A decoder that has seen a set with a quaternion and knows where sets end."""
    decoder = decoder or WitMotionDecoder()
    decoder.push(b"".join(wit_set(ms=0)))
    return decoder


def walk(count: int) -> list[bytes]:
    return [b"".join(wit_set(ms=10 * i, rate=(i, 0, 0))) for i in range(count)]


def rates(frames: list[Frame]) -> list[int]:
    return [round(frame.channels[7] / math.radians(2000) * 32768) for frame in frames]


def test_scales() -> None:
    """16 g, 2000 deg/s and 1 at 32768."""
    decoder = WitMotionDecoder(closes=0x59)
    data = wit_set(acceleration=(2048, -4096, 16384), rate=(16384, -8192, 1), quaternion=(16384, -16384, 16384, -16384))
    (frame,) = decoder.push(b"".join(data), received_ns=7_654_321)
    assert (frame.kind, frame.flags, frame.time_us) == (Kind.IMU, 0, 7654)
    assert frame.channels[4:7] == pytest.approx([9.80665, -2 * 9.80665, 8 * 9.80665])
    assert frame.channels[7:] == pytest.approx(np.radians([1000, -500, 2000 / 32768]))
    # half a turn about (-1 1 -1), or any other: of length 1
    assert math.hypot(*frame.channels[:4]) == pytest.approx(1.0)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_up_is_up(seed: int) -> None:
    sensor = Rotation.random(random_state=np.random.default_rng(seed))
    x, y, z, w = (round(32767 * value) for value in sensor.as_quat())
    force = sensor.inv().apply([0, 0, 2048])  # at rest
    data = wit_set(acceleration=tuple(int(v) for v in np.round(force)), quaternion=(w, x, y, z))  # type: ignore[arg-type]
    (frame,) = WitMotionDecoder(closes=0x59).push(b"".join(data))
    qw, qx, qy, qz = frame.channels[:4]
    assert Rotation.from_quat([qx, qy, qz, qw]).apply(frame.channels[4:7]) == pytest.approx([0, 9.80665, 0], abs=0.02)


def test_the_sensors_own_time() -> None:
    frames = taught(WitMotionDecoder(closes=0x59)).push(b"".join(walk(3)), received_ns=5)
    assert np.diff([frame.time_us for frame in frames]).tolist() == [10_000, 10_000]
    assert frames[0].time_us == 1_714_979_289_000_000  # date -d '2024-05-06 07:08:09 UTC' +%s


@pytest.mark.parametrize("date", [bytes(8), bytes([24, 13, 1, 0, 0, 0, 0, 0]), bytes([24, 1, 1, 25, 0, 0, 0, 0])])
def test_a_date_that_there_is_not(date: bytes) -> None:
    (frame,) = WitMotionDecoder(closes=0x59).push(wit(0x50, date) + b"".join(wit_set()), received_ns=9_000)
    assert frame.time_us == 9


@pytest.mark.parametrize(
    "kinds", [(0x51, 0x52), (0x51, 0x52, 0x53), (0x50, 0x51, 0x52, 0x53, 0x54), (0x51, 0x52, 0x59)]
)
def test_the_last_packet_of_a_set_is_learnt_and_then_closes_it_at_once(kinds: tuple[int, ...]) -> None:
    decoder = WitMotionDecoder()
    packets = wit_set(ms=0, kinds=kinds)
    assert decoder.push(b"".join(packets)) == []
    for _ in range(3):
        assert decoder.push(b"".join(packets[:-1])) == []
        assert len(decoder.push(packets[-1])) == 1
    assert decoder.counters.sequence_gaps == 0


def test_without_a_quaternion_there_is_no_orientation() -> None:
    decoder = WitMotionDecoder()
    frames = decoder.push(b"".join(wit_set(quaternion=None)) * 2)
    assert frames[0].channels[:4] == (0.0, 0.0, 0.0, 0.0)
    (frame,) = taught(WitMotionDecoder(own_orientation=False)).push(b"".join(wit_set(ms=0)))
    assert frame.channels[:4] == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("value", [-32768, 32767])
def test_a_saturated_reading_is_a_fault(value: int) -> None:
    decoder = WitMotionDecoder(closes=0x59)
    (frame,) = decoder.push(b"".join(wit_set(acceleration=(0, 0, value))))
    assert frame.flags == 1
    (frame,) = decoder.push(b"".join(wit_set(rate=(value, 0, 0))))
    assert frame.flags == 1


@pytest.mark.parametrize("lost", range(6))
def test_a_lost_packet_costs_its_set_only(lost: int) -> None:
    """Whichever it is: without time a frame would change its clock, without quaternion its orientation."""
    sent = [wit_set(ms=10 * i, rate=(i, 0, 0)) for i in range(6)]
    del sent[3][lost]
    decoder = taught()
    frames = decoder.push(b"".join(packet for packets in sent for packet in packets))
    if lost in (3, 4):  # angle and magnetic field are not used
        assert rates(frames) == [0, 1, 2, 3, 4, 5]
    else:
        assert rates(frames) == [0, 1, 2, 4, 5]
        assert decoder.counters.sequence_gaps == 1


def test_a_set_that_is_torn_when_the_line_is_joined() -> None:
    """The first set lacks its last packet: the end that was learnt from it is corrected by the next."""
    decoder = WitMotionDecoder()
    first = wit_set(ms=0)
    frames = decoder.push(b"".join(first[:3]) + b"".join(walk(4)))
    assert rates(frames)[-2:] == [2, 3]


def test_a_sensor_that_is_told_to_send_less() -> None:
    decoder = taught()
    frames = decoder.push(b"".join(wit_set(quaternion=None)) * 8)
    assert len(frames) >= 3
    assert frames[-1].channels[:4] == (0.0, 0.0, 0.0, 0.0)


def test_a_chosen_end_comes_sooner() -> None:
    decoder = WitMotionDecoder(closes=0x52)
    packets = wit_set()
    assert len(decoder.push(b"".join(packets[:2]))) == 1
    assert decoder.push(b"".join(packets[2:])) == []
    assert len(decoder.push(b"".join(packets))) == 1
    assert decoder.counters.sequence_gaps == 0


def test_settings_that_lack_something_are_named() -> None:
    decoder = WitMotionDecoder()
    decoder.push(b"".join(wit_set(kinds=(0x51, 0x53))) * 3)
    assert decoder.trouble() == (
        "2 sets of WitMotion packets hold no acceleration (0x51) or no angular rate (0x52): switch both on in WitMotion's "
        "program, Config, Content"
    )
    assert taught().trouble() == ""


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1), st.binary(max_size=60), st.binary(max_size=30))
def test_any_cutting_gives_the_same_frames(cuts: list[int], before: bytes, between: bytes) -> None:
    data = before + b"".join(walk(3)) + between + b"".join(walk(2))
    whole, pieces = WitMotionDecoder(), WitMotionDecoder()
    assert cut(pieces, data, cuts) == whole.push(data)
    assert pieces.counters == whole.counters


@settings(deadline=None)
@given(st.lists(st.binary(max_size=900), max_size=6))
def test_garbage_never_raises_and_the_next_sets_are_found(garbage: list[bytes]) -> None:
    decoder = WitMotionDecoder()
    for chunk in garbage:
        decoder.push(chunk)
    assert rates(decoder.push(b"".join(walk(8))))[-2:] == [6, 7]


@settings(deadline=None)
@given(st.data())
def test_one_flipped_bit_costs_that_set_only(data: st.DataObject) -> None:
    sent = [bytearray(part) for part in walk(6)]
    victim = sent[3]
    bit = data.draw(st.integers(0, 8 * len(victim) - 1))
    victim[bit // 8] ^= 1 << (bit % 8)
    decoder = taught()
    frames = decoder.push(b"".join(sent))
    ignored = 3 <= bit // 88 <= 4
    assert rates(frames) == ([0, 1, 2, 3, 4, 5] if ignored else [0, 1, 2, 4, 5])
    assert decoder.counters.bad == 1


def test_a_million_random_bytes() -> None:
    decoder = WitMotionDecoder()
    data = random.Random(4).randbytes(1_000_000)
    frames = [frame for at in range(0, len(data), 1000) for frame in decoder.push(data[at : at + 1000])]
    assert frames == []
    assert decoder.packets < 8  # one in 2^20 bytes by chance
    assert len(decoder._buffer) < 11


def test_the_protocol_by_url() -> None:
    url = parse_url("serial:///dev/ttyUSB0?protocol=witmotion&closes=52&orientation=none")
    assert protocol_of(url) is PROTOCOL
    assert len(PROTOCOL.decoder(url).push(b"".join(wit_set()))) == 1
    with pytest.raises(ConfigError, match="closes=61 is not usable; use last, 50, 51"):
        PROTOCOL.decoder(parse_url("serial:x?closes=61"))
