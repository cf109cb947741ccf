"""Lines of numbers: what devices print, and what is not a sample."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_devices import cut

from edge.errors import ConfigError
from edge.sensors.ascii_lines import MAX_LINE, PROTOCOL, AsciiDecoder, numbers_per_line
from edge.sensors.frame import Kind
from edge.sensors.protocols import protocol_of
from edge.url import parse_url


def joined(**settings: Any) -> AsciiDecoder:
    """A decoder that has seen the end of a line."""
    decoder = AsciiDecoder(**settings)
    decoder.push(b"\n")
    return decoder


@pytest.mark.parametrize(
    "line", [b"0.5,-1,2e-1", b"0.5 -1 .2", b" +0.50\t-1.0\t0.2 ", b"0.5; -1. ;0.2", b"0.5, -1, 0.2,"]
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_separators_and_line_ends(line: bytes, end: bytes) -> None:
    (frame,) = joined().push(line + end, received_ns=5_000_000)
    assert (frame.kind, frame.flags, frame.time_us, frame.channels) == (Kind.ANGLES, 0, 5000, (0.5, -1.0, 0.2))


def test_the_first_line_may_be_half_a_line() -> None:
    """`10.25,0,0` joined in its middle is `5,0,0`: right in form and wrong in value."""
    frames = AsciiDecoder().push(b"5,0,0\n1,2,3\n")
    assert [frame.channels for frame in frames] == [(1.0, 2.0, 3.0)]


@pytest.mark.parametrize(("unit", "stamp", "us"), [("us", b"1500", 1500), ("ms", b"1.5", 1500), ("s", b"0.0015", 1500)])
def test_the_time_column(unit: str, stamp: bytes, us: int) -> None:
    (frame,) = joined(time=unit).push(stamp + b",1,2,3\n", received_ns=9)
    assert frame.time_us == us
    assert frame.channels == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(("unit", "scale"), [("us", 1), ("ms", 1000)])
def test_a_counter_of_32_bits_goes_on_over_its_wrap(unit: str, scale: int) -> None:
    decoder = joined(time=unit, columns=1)
    frames = decoder.push(b"".join(b"%d,0\n" % (t % 2**32) for t in (2**32 - 20, 2**32 - 10, 2**32, 2**32 + 10)))
    assert np.diff([frame.time_us for frame in frames]).tolist() == [10 * scale] * 3


def test_a_wider_counter_does_not_wrap() -> None:
    decoder = joined(time="us", columns=1)
    frames = decoder.push(b"".join(b"%d,0\n" % t for t in (2**32 - 10, 2**32, 2**32 + 10)))
    assert np.diff([frame.time_us for frame in frames]).tolist() == [10, 10]


def test_degrees() -> None:
    (frame,) = joined(in_degrees=True).push(b"180,-90,0\n")
    assert frame.channels == pytest.approx((math.pi, -math.pi / 2, 0.0))
    (frame,) = joined(kind=Kind.IMU, columns=6, in_degrees=True).push(b"0,0,9.8,180,0,-90\n")
    assert frame.channels == pytest.approx((0, 0, 0, 0, 0, 0, 9.8, math.pi, 0, -math.pi / 2))


def test_imus() -> None:
    one = b"1,0,0,0,0.5,9.8,0.25,0.1,0.2,0.3"
    (frame,) = joined(kind=Kind.IMU, columns=20).push(one + b"," + one + b"\n")
    assert frame.kind == Kind.IMU
    assert frame.channels == (1.0, 0.0, 0.0, 0.0, 0.5, 9.8, 0.25, 0.1, 0.2, 0.3) * 2
    (frame,) = joined(kind=Kind.IMU, columns=10, z_up=True).push(one + b"\n")
    assert frame.channels[:4] == pytest.approx((math.sqrt(0.5), -math.sqrt(0.5), 0.0, 0.0))


def test_comments_and_headers_are_skipped_and_counted() -> None:
    decoder = joined()
    assert decoder.push(b"# rig 3\n% 1,2,3\n// 1,2,3\nhip,knee,ankle\n\n  \n1,2,3\n")[0].channels == (1.0, 2.0, 3.0)
    assert decoder.skipped == 4
    assert decoder.counters.bad == 0
    assert decoder.trouble() == ""


def test_text_alone_is_named() -> None:
    decoder = joined()
    decoder.push(b"hip=1.0 knee=2.0\n" * 5)
    assert (
        decoder.trouble() == "all 5 lines are comments or text: make the device print numbers alone, parted by commas"
    )


def test_a_wrong_number_of_columns_is_counted_and_named() -> None:
    decoder = joined(time="ms")
    assert decoder.push(b"1,2,3\n1,2,3\n1,2,3,4,5\n1,,2,3,4\n,1,2,3\n") == []
    assert decoder.counters.bad_length == 5
    assert decoder.trouble() == (
        "3 lines hold 3 numbers instead of 4: set columns= (now 3) and time= (now ms) in the URL to what the device prints"
    )


@pytest.mark.parametrize("line", [b"1,2,x", b"1,0x2,3", b"1,2_0,3", b"1,--2,3", b"1,2,3.4.5", b"1,2,\xb2", b"1;2:3"])
def test_what_is_no_number_is_not_read_as_one(line: bytes) -> None:
    decoder = joined()
    assert decoder.push(line + b"\n") == []
    assert decoder.counters.bad_length == 1


@pytest.mark.parametrize("line", [b"1,nan,3", b"1,-inf,3", b"Infinity,2,3", b"nan,nan,nan", b"1,2,1e999"])
def test_what_is_not_finite_is_counted(line: bytes) -> None:
    decoder = joined()
    assert decoder.push(line + b"\n") == []
    assert decoder.counters.non_finite == 1


def test_a_line_without_end_is_counted_once_and_not_kept() -> None:
    decoder = joined()
    for _ in range(100):
        assert decoder.push(b"1," * 500) == []
    assert decoder.counters.bad_length == 1
    assert len(decoder._pending) <= MAX_LINE
    assert [frame.channels for frame in decoder.push(b"\n1,2,3\n")] == [(1.0, 2.0, 3.0)]


lines = st.lists(
    st.one_of(
        st.tuples(*[st.floats(-1e6, 1e6)] * 3).map(lambda v: ",".join(map(repr, v)).encode()),
        st.binary(max_size=40),
        st.just(b"1," * MAX_LINE),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(lines, st.lists(st.integers(1, 3000), min_size=1))
def test_any_cutting_gives_the_same_frames(parts: list[bytes], cuts: list[int]) -> None:
    data = b"\n".join(parts) + b"\n7,8,9\n"
    whole, pieces = AsciiDecoder(), AsciiDecoder()
    expected = whole.push(data)
    assert cut(pieces, data, cuts) == expected
    assert (pieces.counters, pieces.skipped) == (whole.counters, whole.skipped)


@settings(deadline=None)
@given(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3))
def test_every_number_that_python_prints_is_read(values: tuple[float, float, float]) -> None:
    (frame,) = joined().push(",".join(map(repr, values)).encode() + b"\n")
    assert frame.channels == values


def test_a_million_random_bytes() -> None:
    decoder = AsciiDecoder()
    data = random.Random(4).randbytes(1_000_000)
    assert [frame for at in range(0, len(data), 1000) for frame in decoder.push(data[at : at + 1000])] == []
    assert len(decoder._pending) <= MAX_LINE


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        (b"3\n1,2,3\n4 5 6\n7", 3),
        (b"# x\n1,2\n1,2\nhello\n", 2),
        (b"1,2,3\n", None),
        (b"hello\nyou\nthere\n", None),
        (bytes(range(256)) * 4, None),
        (b"", None),
    ],
)
def test_numbers_per_line(data: bytes, columns: int | None) -> None:
    assert numbers_per_line(data) == columns


def test_the_protocol_by_url() -> None:
    url = parse_url("serial:///dev/ttyUSB0?protocol=ascii&kind=imu&columns=6&time=ms&unit=deg&up=z")
    assert protocol_of(url) is PROTOCOL
    decoder = PROTOCOL.decoder(url)
    (frame,) = decoder.push(b"\n20,0,0,9.8,90,0,0\n")
    assert (frame.time_us, frame.channels[7]) == (20_000, pytest.approx(math.pi / 2))


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("kind=imu&columns=9", "columns=9 is not usable with kind=imu; use 6"),
        ("kind=emg", "kind=emg is not usable; use angles, imu"),
        ("unit=grad", "unit=grad is not usable; did you mean 'rad'"),
        ("columns=0", "columns=0 is not usable"),
        ("up=x", "up=x is not usable; use y, z"),
        ("time=min", "time=min is not usable"),
    ],
)
def test_wrong_parameters(query: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        PROTOCOL.decoder(parse_url(f"serial:x?{query}"))


@pytest.mark.parametrize("stamp", ["1e305", "1e19", "-1", "-1e300"])
def test_a_stamp_that_no_clock_shows_is_dropped(stamp: str) -> None:
    decoder = AsciiDecoder(kind=Kind.ANGLES, columns=3, time="s")
    assert decoder.push(f"0.01 1 2 3\n{stamp} 1 2 3\n0.02 1 2 3\n".encode())[-1].time_us == 20_000
    assert decoder.counters.bad_length == 1
