"""Find the driver for a device URL: ours by name, third parties' by entry point.

A driver is a callable that takes the parsed :class:`edge.url.Url` and returns the device, not yet opened. A package
adds one by an entry point in the group `edge_msk.sensors` or `edge_msk.outputs` whose name is the scheme. Ours are
listed by name as text, so that a driver's imports happen only when it is asked for; ours cannot be replaced. Protocols
(:mod:`edge.sensors.protocols`) are found in the same way.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from edge.errors import ConfigError
from edge.url import Url, parse_url


def create(text: str, *, group: str, builtin: Mapping[str, str]) -> tuple[Url, Any]:
    """Make the device that a URL names; return the parsed URL and the device.

    `builtin` maps a scheme to "module:attribute". Raises ConfigError for an unknown scheme (naming those there are) and
    for an entry point that cannot be loaded (naming its package).
    """
    url = parse_url(text)
    return url, _find(url, group, builtin)(url)


def _find(url: Url, group: str, builtin: Mapping[str, str]) -> Callable[[Url], Any]:
    driver = load(url.scheme, what=f"{url.text}: the driver '{url.scheme}:'", group=group, builtin=builtin)
    if driver is None:
        known = sorted(names(group=group, builtin=builtin))
        near = difflib.get_close_matches(url.scheme, known, n=1)
        hint = f"did you mean '{near[0]}:'? There are" if near else "there are"
        raise ConfigError(
            f"{url.text}: no driver for '{url.scheme}:'; {hint} {', '.join(f'{name}:' for name in known)} (a "
            f"package adds one by an entry point in the group {group})"
        )
    if not callable(driver):
        raise ConfigError(
            f"{url.text}: the entry point '{url.scheme}' ({group}) is not callable; it must take an edge.url.Url and "
            "return the device"
        )
    return driver  # type: ignore[no-any-return]


def names(*, group: str, builtin: Mapping[str, str]) -> list[str]:
    """What `load` finds: ours in their order, then what packages add."""
    return list(dict.fromkeys([*builtin, *sorted(point.name for point in entry_points(group=group))]))


def load(name: str, *, what: str, group: str, builtin: Mapping[str, str]) -> Any:
    """The object of that name, ours or a package's; None where there is none.

    what: its place and name for a message. Raises ConfigError for an entry point that cannot be loaded.
    """
    target = builtin.get(name)
    if target is not None:
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=group):
        if point.name == name:
            package = point.dist.name if point.dist is not None else point.value
            try:
                return point.load()
            except Exception as error:  # a third party's import may fail in any way
                raise ConfigError(
                    f"{what} of the package {package} cannot be loaded ({type(error).__name__}: {error}); update or "
                    "remove that package"
                ) from error
    return None
