"""Outputs by URL: `serial://PATH?baud=921600&protocol=emsk`, `null:`."""

from __future__ import annotations

from edge import drivers
from edge.errors import ConfigError
from edge.outputs.base import Command, Output, OutputCounters

__all__ = ["Command", "Output", "OutputCounters", "open_output"]

GROUP = "edge_msk.outputs"
BUILTIN = {
    "serial": "edge.outputs.serial_port:SerialOutput",
    "null": "edge.outputs.null:NullOutput",
}


def open_output(url: str) -> Output:
    """Make and open the output that a URL names.

    Raises ConfigError for a malformed URL or an unknown scheme, OutputError when the device cannot be taken.
    """
    parsed, output = drivers.create(url, group=GROUP, builtin=BUILTIN)
    if not isinstance(output, Output):
        raise ConfigError(f"{url}: the driver '{parsed.scheme}:' made a {type(output).__name__}, not an Output")
    output.open()
    return output
