"""Protocols by name: ours, packages', and what a `serial:` URL makes of them."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from edge import drivers
from edge.errors import ConfigError
from edge.sensors import protocols
from edge.sensors.amt21_bus import Amt21Sensor
from edge.sensors.frame import FrameDecoder
from edge.sensors.packets import PacketDecoder
from edge.sensors.protocols import EMSK, Protocol, named, names, protocol_of
from edge.sensors.serial_port import SerialSensor, serial_sensor
from edge.sensors.witmotion import WitMotionDecoder
from edge.sensors.xsens import XsensDecoder
from edge.serial_line import settings_from
from edge.url import parse_url

MINE = Protocol("mine", lambda url: FrameDecoder(), baud=57_600, parameters=("gain",))


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    points = (
        EntryPoint("mine", "test_protocols:MINE", protocols.GROUP),
        EntryPoint("odd", "builtins:repr", protocols.GROUP),
        EntryPoint("gone", "no_such_module_here:X", protocols.GROUP),
        EntryPoint("emsk", "builtins:repr", protocols.GROUP),
    )
    monkeypatch.setattr(drivers, "entry_points", lambda *, group: EntryPoints(points).select(group=group))


def test_every_protocol_of_ours_loads_and_names_itself() -> None:
    assert names() == ["emsk", "xsens", "witmotion", "amt21", "ascii"]
    for name in names():
        assert named(name, text="x").name == name


@pytest.mark.parametrize(
    ("protocol", "baud"),
    [("emsk", 921_600), ("xsens", 115_200), ("witmotion", 9_600), ("amt21", 2_000_000), ("ascii", 115_200)],
)
def test_each_has_the_rate_of_a_new_device(protocol: str, baud: int) -> None:
    url = parse_url(f"serial:///dev/ttyUSB0?protocol={protocol}")
    assert settings_from(url, protocol_of(url)).baud == baud
    url = parse_url(f"serial:///dev/ttyUSB0?protocol={protocol}&baud=19200")
    assert settings_from(url, protocol_of(url)).baud == 19_200


@pytest.mark.parametrize(
    ("protocol", "decoder"), [("emsk", FrameDecoder), ("xsens", XsensDecoder), ("witmotion", WitMotionDecoder)]
)
def test_a_sensor_makes_fresh_decoders_without_being_open(protocol: str, decoder: type) -> None:
    sensor = serial_sensor(parse_url(f"serial:///dev/ttyNONE?protocol={protocol}"))
    assert isinstance(sensor, SerialSensor)
    assert type(sensor.decoder()) is decoder
    assert sensor.decoder() is not sensor.decoder()


def test_a_device_that_must_be_asked_has_its_own_sensor() -> None:
    assert isinstance(serial_sensor(parse_url("serial:///dev/ttyNONE?protocol=amt21")), Amt21Sensor)


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("protocol=witmotoin", r"protocol=witmotoin is not usable; did you mean 'witmotion'\? \(use emsk, xsens, witm"),
        ("protocol=xsens&nodes=3", "no parameter 'nodes'; it takes baud, protocol, bus, orientation"),
        ("protocol=ascii&unit=grad", "unit=grad is not usable"),
        ("closes=51", "no parameter 'closes'"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_opened(query: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        serial_sensor(parse_url(f"serial:///dev/ttyNONE?{query}"))


def test_an_output_speaks_emsk_alone() -> None:
    with pytest.raises(ConfigError, match="protocol=xsens is not usable; use emsk"):
        settings_from(parse_url("serial:///dev/ttyUSB0?protocol=xsens"))


@pytest.mark.usefixtures("packages")
def test_a_package_adds_a_protocol_and_replaces_none() -> None:
    url = parse_url("serial:///dev/ttyUSB0?protocol=mine&gain=3")
    assert protocol_of(url) == MINE
    assert settings_from(url, protocol_of(url)).baud == 57_600
    assert protocol_of(parse_url("serial:x?protocol=emsk")) is EMSK
    assert names()[-3:] == ["gone", "mine", "odd"]


@pytest.mark.usefixtures("packages")
def test_a_broken_package_is_named() -> None:
    with pytest.raises(ConfigError, match=r"the protocol 'gone' of the package no_such_module_here:X cannot be loaded"):
        protocol_of(parse_url("serial:x?protocol=gone"))
    with pytest.raises(ConfigError, match=r"'odd' \(edge_msk.protocols\) is a builtin_function_or_method; it must be"):
        protocol_of(parse_url("serial:x?protocol=odd"))


class Letters(PacketDecoder):
    """A packet is `A`, its length, its data."""

    START = ord("A")

    def _size(self, buffer: bytearray, at: int) -> int | None:
        return None if len(buffer) - at < 2 else buffer[at + 1]

    def _holds(self, packet: bytes) -> bool:
        return packet[-1:] == b"z"

    def _take(self, packet: bytes, received_ns: int) -> None:
        return None


def test_one_run_of_damage_is_counted_once() -> None:
    decoder = Letters()
    decoder.push(b"junkjunk" + b"A\x04xz" + b"A\0" + b"junk" + b"A\x04xz" + b"A\x04xyjunk" + b"A\x04xz" + b"A\xff")
    assert decoder.packets == 3
    assert (decoder.counters.bad_length, decoder.counters.bad_crc) == (2, 1)
