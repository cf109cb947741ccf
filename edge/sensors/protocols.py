"""The protocols that a sensor on a serial line may speak, by the name in its URL: `serial:PATH?protocol=NAME`.

A package adds one by an entry point in the group `edge_msk.protocols` whose name is the protocol's and which is a
:class:`Protocol`. Ours are listed by name as text, so that one is imported when it is asked for; ours cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge import drivers
from edge.errors import ConfigError
from edge.sensors.decoder import Decoder
from edge.sensors.frame import FrameDecoder
from edge.url import Url

if TYPE_CHECKING:
    from edge.sensors.base import Sensor

GROUP = "edge_msk.protocols"
BUILTIN = {
    "emsk": "edge.sensors.protocols:EMSK",
    "xsens": "edge.sensors.xsens:PROTOCOL",
    "witmotion": "edge.sensors.witmotion:PROTOCOL",
    "amt21": "edge.sensors.amt21_bus:PROTOCOL",
    "ascii": "edge.sensors.ascii_lines:PROTOCOL",
}


@dataclass(frozen=True, slots=True)
class Protocol:
    """How to read one kind of device.

    decoder: makes a fresh decoder by the URL's parameters; raises ConfigError for what they cannot be.
    sensor: for a device that speaks only when it is asked: makes the sensor that asks. None for one that sends by itself.
    baud: the rate that the device has when it is new. parameters: names that the URL may hold beside `baud` and
    `protocol`.
    """

    name: str
    decoder: Callable[[Url], Decoder]
    baud: int
    parameters: tuple[str, ...] = ()
    sensor: Callable[[Url], Sensor] | None = None


def _emsk(url: Url) -> Decoder:
    return FrameDecoder()


EMSK = Protocol("emsk", _emsk, baud=921_600)


def names() -> list[str]:
    """All protocols there are, ours first."""
    return drivers.names(group=GROUP, builtin=BUILTIN)


def named(name: str, *, text: str) -> Protocol:
    """The protocol of that name, one of `names()`. Raises ConfigError, about the URL `text`, where it cannot be loaded."""
    protocol = drivers.load(name, what=f"{text}: the protocol '{name}'", group=GROUP, builtin=BUILTIN)
    if not isinstance(protocol, Protocol):
        raise ConfigError(
            f"{text}: the entry point '{name}' ({GROUP}) is a {type(protocol).__name__}; it must be an "
            "edge.sensors.protocols.Protocol"
        )
    return protocol


def protocol_of(url: Url) -> Protocol:
    """The protocol that a URL asks for, `emsk` where it asks for none. Raises ConfigError for one that there is not."""
    return named(url.text_of("protocol", EMSK.name, choices=names()), text=url.text)
