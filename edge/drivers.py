"""Find the driver for a device URL: ours by name, third parties' by entry point.

A driver is a callable that takes the parsed :class:`edge.url.Url` and returns the device, not yet opened. A package
adds one by an entry point in the group `edge_msk.sensors` or `edge_msk.outputs` whose name is the scheme. Ours are
listed by name as text, so that a driver's imports happen only when it is asked for; ours cannot be replaced.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
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
    target = builtin.get(url.scheme)
    if target is not None:
        module, _, attribute = target.partition(":")
        driver: Callable[[Url], Any] = getattr(import_module(module), attribute)
        return driver
    added = {point.name: point for point in entry_points(group=group)}
    if url.scheme in added:
        return _load(url, added[url.scheme], group)
    known = sorted({*builtin, *added})
    near = difflib.get_close_matches(url.scheme, known, n=1)
    hint = f"did you mean '{near[0]}:'? There are" if near else "there are"
    raise ConfigError(
        f"{url.text}: no driver for '{url.scheme}:'; {hint} {', '.join(f'{name}:' for name in known)} (a "
        f"package adds one by an entry point in the group {group})"
    )


def _load(url: Url, point: EntryPoint, group: str) -> Callable[[Url], Any]:
    package = point.dist.name if point.dist is not None else point.value
    try:
        driver = point.load()
    except Exception as error:  # a third party's import may fail in any way
        raise ConfigError(
            f"{url.text}: the driver '{point.name}:' of the package {package} cannot be loaded "
            f"({type(error).__name__}: {error}); update or remove that package"
        ) from error
    if not callable(driver):
        raise ConfigError(
            f"{url.text}: the entry point '{point.name}' ({group}) of the package {package} is not callable; it must "
            "take an edge.url.Url and return the device"
        )
    return driver  # type: ignore[no-any-return]
