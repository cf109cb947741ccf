"""Device URLs: `scheme:path?name=value&name=value`, as sensors and outputs are named.

`serial:///dev/ttyUSB0?baud=921600`, `replay:walk.mot?speed=1&loop=1`, `null:`. The two slashes after the scheme may be
left out. `%20` and the like stand for characters that a path cannot hold otherwise (`%3F` is `?`, `%25` is `%`). Every
refusal is a ConfigError that names the URL, the parameter and what it should be.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from edge.errors import ConfigError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Url:
    """A URL taken apart. The getters check a parameter once, when the device is made."""

    text: str
    scheme: str
    path: str
    parameters: dict[str, str]

    def only(self, *names: str) -> None:
        """Refuse parameters other than these."""
        for name in self.parameters:
            if name not in names:
                raise ConfigError(
                    f"{self.text}: '{self.scheme}:' has no parameter '{name}'; {_suggest(name, names, 'it takes')}"
                )

    def need_path(self, example: str) -> str:
        """The path; refuse a URL without one."""
        if not self.path:
            raise ConfigError(f"{self.text}: the path is missing; write it like {example}")
        return self.path

    def text_of(self, name: str, default: str, *, choices: Sequence[str] = ()) -> str:
        """A word, one of `choices` where they are given."""
        value = self.parameters.get(name, default)
        if choices and value not in choices:
            raise self._bad(name, value, _suggest(value, choices, "use"))
        return value

    def integer(self, name: str, default: int, *, minimum: int, maximum: int) -> int:
        """A whole number within the limits, both included."""
        if name not in self.parameters:
            return default
        value = self.parameters[name]
        try:
            number = int(value)
        except ValueError:
            number = minimum - 1
        if not minimum <= number <= maximum:
            raise self._bad(name, value, f"use a whole number from {minimum} to {maximum}, for example {default}")
        return number

    def number(self, name: str, default: float, *, minimum: float, maximum: float) -> float:
        """A finite number within the limits, both included."""
        if name not in self.parameters:
            return default
        value = self.parameters[name]
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not minimum <= number <= maximum:
            raise self._bad(name, value, f"use a number from {minimum:g} to {maximum:g}, for example {default:g}")
        return number

    def switch(self, name: str, default: bool) -> bool:
        """A yes or no: 1, true, yes, on; 0, false, no, off."""
        if name not in self.parameters:
            return default
        value = self.parameters[name].lower()
        if value not in _TRUE | _FALSE:
            raise self._bad(name, value, "use 1 or 0")
        return value in _TRUE

    def _bad(self, name: str, value: str, fix: str) -> ConfigError:
        return ConfigError(f"{self.text}: parameter {name}={value} is not usable; {fix}")


def parse_url(text: str) -> Url:
    """Take a device URL apart. Raises ConfigError for what is no URL, or a parameter that is empty or given twice."""
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.match(scheme):
        raise ConfigError(
            f"'{text}' is not a device URL: write SCHEME:PATH, for example serial:///dev/ttyUSB0?baud=921600 or "
            "replay:walk.mot"
        )
    raw_path, _, query = rest.partition("?")
    parameters: dict[str, str] = {}
    for part in query.split("&") if query else ():
        raw_name, equals, raw_value = part.partition("=")
        name, value = unquote_plus(raw_name), unquote_plus(raw_value)
        if not name or not equals or not value:
            raise ConfigError(f"{text}: '{part}' is not NAME=VALUE; write parameters like ?name=value&name=value")
        if name in parameters:
            raise ConfigError(f"{text}: parameter '{name}' is given twice; keep one")
        parameters[name] = value
    path = unquote(raw_path.removeprefix("//"))
    if "\0" in path:
        raise ConfigError(f"{text}: the path holds a zero byte (%00); remove it")
    return Url(text, scheme, path, parameters)


def _suggest(word: str, known: Sequence[str], lead: str) -> str:
    """`lead a, b, c`, with the nearest of them first asked for."""
    if not known:
        return f"{lead} none"
    near = difflib.get_close_matches(word, known, n=1)
    listed = f"{lead} {', '.join(known)}"
    return f"did you mean '{near[0]}'? ({listed})" if near else listed
