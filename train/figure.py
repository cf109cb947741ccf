"""How a figure is printed."""

from __future__ import annotations

from typing import Any


def shown(values: dict[str, Any], key: str) -> str:
    """To three digits; a dash where it is not known."""
    value = values.get(key)
    return "-" if value is None else f"{value:.3f}"
