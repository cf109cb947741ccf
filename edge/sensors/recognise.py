"""What the bytes of a line look like, for a message when the chosen protocol finds nothing in them."""

from __future__ import annotations

from edge.errors import ConfigError
from edge.sensors import protocols
from edge.sensors.ascii_lines import numbers_per_line
from edge.sensors.decoder import Decoder
from edge.sensors.packets import PacketDecoder
from edge.url import Url

MOST_BYTES = 65_536  # of a line are looked at

_ENOUGH = 2  # packets with a right check sum, and one in so many bytes: by chance one comes in a million
_FURTHEST_APART = 4000
_FEWEST_BYTES = 64
# Bits that differ from both their neighbours: 1.5 in a random byte. Where the line is slower than it is read, each of its bits
# is read at least twice and none is left.
_SLOW_LONE_BITS = 0.5
_PRINTABLE = frozenset((*range(32, 127), 9, 10, 13))
_MOSTLY = 0.9


def recognise(data: bytes) -> str | None:
    """Name of the protocol that the bytes are of; None where they look like none that we know."""
    data = data[:MOST_BYTES]
    if numbers_per_line(data) is not None:
        return "ascii"
    found = {name: _heard(name, data) for name in protocols.names() if name != "ascii"}
    best = max(found, key=lambda name: found[name])
    return best if found[best] >= max(_ENOUGH, len(data) / _FURTHEST_APART) else None


def explain(data: bytes, chosen: str) -> str:
    """What to change so that the bytes are understood, in one sentence; empty where nothing can be said.

    chosen: the protocol that found no frame in them.
    """
    data = data[:MOST_BYTES]
    found = recognise(data)
    if found is not None and found != chosen:
        extra = f"&columns={numbers_per_line(data)}" if found == "ascii" else ""
        return f"these bytes look like the protocol {found}: use protocol={found}{extra} in the URL"
    if found is not None or len(data) < _FEWEST_BYTES:
        return ""
    if sum(byte in _PRINTABLE for byte in data) >= _MOSTLY * len(data):
        return (
            "these bytes are text, not samples: make the device send its measurements, or, if the text cannot be read, set baud= "
            "in the URL to the device's"
        )
    if sum(map(_lone_bits, data)) < _SLOW_LONE_BITS * len(data):
        return "these bytes look like those of a slower line: baud= in the URL is higher than the device's rate"
    return (
        "these bytes are of no protocol that is known here, as at a wrong baud rate: set baud= in the URL to the device's, "
        "and check that it is set to send"
    )


def _lone_bits(byte: int) -> int:
    changes = (byte ^ byte >> 1) & 0x7F
    return (changes & changes >> 1).bit_count()


def _heard(name: str, data: bytes) -> int:
    """How many packets the protocol's decoder finds in the bytes, with no parameters but the defaults."""
    url = Url(f"serial:?protocol={name}", "serial", "", {"protocol": name})
    try:
        decoder: Decoder = protocols.named(name, text=url.text).decoder(url)
    except ConfigError:
        return 0  # a package's protocol that is broken, or says nothing without parameters
    decoder.push(data)
    return decoder.packets if isinstance(decoder, PacketDecoder) else decoder.counters.frames
