"""The summary of a session, for people and for programs: `run` and `replay` print the same keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table


def print_summary(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print to stdout: one JSON object, or a table."""
    if as_json:
        click.echo(json.dumps(summary))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in summary.items():
        table.add_row(key.replace("_", " "), _text(key, value))
    Console(highlight=False, soft_wrap=True).print(table)


def _text(key: str, value: object) -> str:
    if isinstance(value, Mapping):
        unit = "ms" if key.endswith("_ms") else "us" if key.endswith("_us") else ""
        parts = (f"{name} {'-' if number is None else format(number, '.1f')}" for name, number in value.items())
        return f"{'   '.join(parts)}   {unit}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
