"""The summary of a session, for people and for programs: `run` and `replay` print the same keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

_UNITS = {"_ms": "ms", "_us": "us", "_deg": "deg", "_deg_s": "deg/s", "_deg_s2": "deg/s2", "filter": "s"}
"""Of the numbers in a mapping, by how its key ends."""


def print_summary(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print to stdout: one JSON object, or a line for each figure."""
    if as_json:
        click.echo(json.dumps(summary))
        return
    width = max(map(len, summary)) + 2
    for key, value in summary.items():
        # Plain lines, as long as they need to be: a path that is cut to the width of the terminal is of no use.
        click.echo(f"{key.replace('_', ' '):<{width}}{_text(key, value)}")


def _text(key: str, value: object) -> str:
    if isinstance(value, Mapping):
        unit = next((text for ending, text in _UNITS.items() if key.endswith(ending)), "")
        parts = (f"{name} {_number(number, unit)}" for name, number in value.items())
        return "   ".join(parts) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _number(number: float | None, unit: str) -> str:
    if number is None:
        return "-"
    if isinstance(number, int):
        return str(number)
    # Times to a tenth; errors, which differ by their powers of ten, to three digits.
    return f"{number:.3g} {unit}" if "deg" in unit else f"{number:.1f} {unit}".rstrip()
