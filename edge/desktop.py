"""Functions of the desktop packages that the device's code may call, by their name as text: nothing in edge imports upward."""

from __future__ import annotations

import importlib
from typing import Any


def desktop(target: str) -> Any:
    """The attribute `module:attribute`, imported when it is asked for.

    Raises ImportError where a package of an extra is missing, which the command line explains.
    """
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
