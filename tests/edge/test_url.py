"""Device URLs and the search for their driver."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from edge import drivers
from edge.errors import ConfigError
from edge.url import Url, parse_url


@pytest.mark.parametrize(
    ("text", "scheme", "path", "parameters"),
    [
        (
            "serial:///dev/ttyUSB0?baud=921600&protocol=emsk",
            "serial",
            "/dev/ttyUSB0",
            {"baud": "921600", "protocol": "emsk"},
        ),
        ("serial:/dev/ttyUSB0", "serial", "/dev/ttyUSB0", {}),
        ("replay:walk.mot?speed=1", "replay", "walk.mot", {"speed": "1"}),
        ("replay:///data/a%20b%3Fc.mot", "replay", "/data/a b?c.mot", {}),
        ("replay:a b.mot?side=r", "replay", "a b.mot", {"side": "r"}),
        ("null:", "null", "", {}),
        ("null:?", "null", "", {}),
    ],
)
def test_parts(text: str, scheme: str, path: str, parameters: dict[str, str]) -> None:
    assert parse_url(text) == Url(text, scheme, path, parameters)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("/dev/ttyUSB0", "is not a device URL"),
        ("", "is not a device URL"),
        ("9p:x", "is not a device URL"),
        ("serial:///dev/x?baud", "'baud' is not NAME=VALUE"),
        ("serial:///dev/x?baud=", "'baud=' is not NAME=VALUE"),
        ("serial:///dev/x?=3", "is not NAME=VALUE"),
        ("serial:///dev/x?baud=1&baud=2", "'baud' is given twice"),
        ("serial:///dev/x%00y", "zero byte"),
    ],
)
def test_malformed_urls_are_refused(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        parse_url(text)


def test_values_and_defaults() -> None:
    url = parse_url("replay:x?speed=0.5&loop=yes&side=l&n=3")
    assert url.number("speed", 1.0, minimum=0, maximum=10) == 0.5
    assert url.number("other", 1.0, minimum=0, maximum=10) == 1.0
    assert url.switch("loop", False) is True
    assert url.switch("other", True) is True
    assert url.text_of("side", "r", choices=("r", "l")) == "l"
    assert url.text_of("other", "r", choices=("r", "l")) == "r"
    assert url.integer("n", 1, minimum=1, maximum=3) == 3
    assert url.integer("other", 7, minimum=1, maximum=3) == 7
    assert url.need_path("x:y") == "x"


def test_refusals_name_the_parameter_and_the_fix() -> None:
    url = parse_url("replay:x?sped=2&speed=fast&loop=2&side=left&n=2.5")
    with pytest.raises(ConfigError, match=r"no parameter 'sped'; did you mean 'speed'\? \(it takes speed, side\)"):
        url.only("speed", "side")
    with pytest.raises(ConfigError, match=r"no parameter 'sped'; it takes none"):
        url.only()
    with pytest.raises(ConfigError, match="speed=fast is not usable; use a number from 0 to 10"):
        url.number("speed", 1.0, minimum=0, maximum=10)
    with pytest.raises(ConfigError, match="loop=2 is not usable; use 1 or 0"):
        url.switch("loop", False)
    with pytest.raises(ConfigError, match=r"side=left is not usable; use r, l"):
        url.text_of("side", "r", choices=("r", "l"))
    with pytest.raises(ConfigError, match=r"n=2\.5 is not usable; use a whole number from 1 to 3"):
        url.integer("n", 1, minimum=1, maximum=3)
    with pytest.raises(ConfigError, match="path is missing; write it like x:y"):
        parse_url("x:").need_path("x:y")


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "11"])
def test_numbers_out_of_range_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="not usable"):
        parse_url(f"replay:x?speed={value}").number("speed", 1.0, minimum=0, maximum=10)


def entry_points(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(drivers, "entry_points", lambda *, group: EntryPoints(points).select(group=group))


def test_ours_come_first_and_third_parties_add(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points(
        monkeypatch,
        EntryPoint("mine", "edge.url:Url.need_path", "g"),
        EntryPoint("other", "builtins:repr", "g"),
        EntryPoint("elsewhere", "builtins:repr", "another"),
    )
    builtin = {"mine": "builtins:str"}
    url, made = drivers.create("mine:x", group="g", builtin=builtin)
    assert made == str(url)
    url, made = drivers.create("other:x", group="g", builtin=builtin)
    assert made == repr(url)
    with pytest.raises(ConfigError, match=r"no driver for 'othr:'; did you mean 'other:'\? There are mine:, other:"):
        drivers.create("othr:x", group="g", builtin=builtin)


def test_a_broken_third_party_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry_points(
        monkeypatch,
        EntryPoint("gone", "no_such_module_here:X", "g"),
        EntryPoint("thing", "edge.drivers:__name__", "g"),
    )
    with pytest.raises(
        ConfigError, match=r"'gone:' of the package no_such_module_here:X cannot be loaded \(ModuleNotF"
    ):
        drivers.create("gone:x", group="g", builtin={})
    with pytest.raises(ConfigError, match="is not callable"):
        drivers.create("thing:x", group="g", builtin={})
