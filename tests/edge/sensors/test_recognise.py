"""Bytes of every protocol under every other, and lines read at a wrong rate."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_devices import mtdata2, wit_set

from edge.sensors import protocols
from edge.sensors.frame import Frame, encode
from edge.sensors.recognise import MOST_BYTES, explain, recognise

_random = random.Random(3)
EMSK = b"".join(encode(Frame(1, 0, i, i * 10_000, (0.1 * i, -0.3, 0.2))) for i in range(40))
XSENS = b"".join(
    mtdata2(i, ticks=i * 100, rate=(_random.gauss(0, 1), 0.1, -0.2), acceleration=(_random.gauss(0, 1), 0.3, 9.8))
    for i in range(20)
)
WITMOTION = b"".join(
    b"".join(wit_set(ms=10 * i, rate=(_random.randrange(-900, 900), 5, -7), quaternion=(32000, i, -i, 70)))
    for i in range(20)
)
ASCII = b"".join(b"%d,%.4f,-0.5,0.25\r\n" % (i, _random.random()) for i in range(40))
SENT = {"emsk": EMSK, "xsens": XSENS, "witmotion": WITMOTION, "ascii": ASCII}


@pytest.mark.parametrize("sent", SENT)
@pytest.mark.parametrize("chosen", protocols.BUILTIN)
@pytest.mark.parametrize("start", [0, 7, 50])
def test_every_protocol_under_every_other(sent: str, chosen: str, start: int) -> None:
    data = SENT[sent][start:]
    assert recognise(data) == sent
    if chosen == sent:
        assert explain(data, chosen) == ""
    else:
        assert explain(data, chosen).startswith(f"these bytes look like the protocol {sent}: use protocol={sent}")


def test_lines_are_recognised_with_their_columns() -> None:
    assert explain(ASCII, "emsk").endswith("use protocol=ascii&columns=4 in the URL")


def test_settings_that_lack_something_do_not_hide_the_protocol() -> None:
    data = b"".join(mtdata2(i, acceleration=None) for i in range(10))
    assert recognise(data) == "xsens"


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_look_like_nothing(seed: int) -> None:
    data = random.Random(seed).randbytes(MOST_BYTES)
    assert recognise(data) is None
    assert "as at a wrong baud rate: set baud=" in explain(data, "emsk")


@settings(deadline=None)
@given(st.binary(max_size=3000))
def test_nothing_raises(data: bytes) -> None:
    assert isinstance(explain(data, "emsk"), str)


def test_little_says_nothing() -> None:
    assert recognise(b"") is None
    assert explain(b"\x01\x02\x03", "emsk") == ""


def test_text_that_is_no_samples() -> None:
    assert "are text, not samples" in explain(b"Booting from flash... ok\r\nready> " * 5, "emsk")


def read_at(data: bytes, ratio: float) -> bytes:
    """What a receiver gets that reads `ratio` times as fast as the line is sent (start bit 0, 8 bits low first, stop bit 1).

    It looks at the middle of each of its own bits; a byte whose stop bit is not 1 is handed on as it is, as Linux does.
    """
    bits = [1] * 20
    for byte in data:
        bits += [0, *(byte >> i & 1 for i in range(8)), 1]
    bits += [1] * 20
    level = lambda t: bits[min(int(t / ratio), len(bits) - 1)]  # noqa: E731
    out, t, end = bytearray(), 0.0, len(bits) * ratio
    while t < end:
        if level(t):
            t += 0.1
            continue
        out.append(sum(level(t + 1.5 + i) << i for i in range(8)))
        t += 9.5
        while t < end and not level(t):
            t += 0.1
    return bytes(out)


@pytest.mark.parametrize("sent", SENT)
def test_the_simulated_line_at_the_right_rate(sent: str) -> None:
    assert read_at(SENT[sent][:300], 1.0) == SENT[sent][:300]


@pytest.mark.parametrize("sent", SENT)
@pytest.mark.parametrize("ratio", [8.0, 4.0, 2.0])
def test_a_line_slower_than_the_url_says(sent: str, ratio: float) -> None:
    got = read_at(SENT[sent], ratio)
    assert recognise(got) is None
    assert "look like those of a slower line" in explain(got, sent)


@pytest.mark.parametrize("sent", SENT)
@pytest.mark.parametrize("ratio", [0.5, 0.25])
def test_a_line_faster_than_the_url_says(sent: str, ratio: float) -> None:
    got = read_at(SENT[sent], ratio)
    assert recognise(got) is None
    assert "baud= in the URL" in explain(got, sent)
