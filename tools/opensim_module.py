"""OpenSim's Python package, quiet and without the log file that it leaves in the working folder."""

from __future__ import annotations

from typing import Any

from edge.errors import MissingExtraError


def load_opensim(purpose: str) -> Any:
    """The package. Raises MissingExtraError, naming what it was needed for."""
    try:
        import opensim
    except ImportError:
        raise MissingExtraError("opensim", "opensim", purpose) from None
    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("Error")
    return opensim
