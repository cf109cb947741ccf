"""The one exception tree of edge-msk.

Every error that a user can cause or must act on is an :class:`EdgeMskError`; the command line prints its text as one line
on stderr and exits with 1. A text says what is wrong, where (file, key, channel), and how to mend it. Anything else that
escapes is a bug and shows its traceback.
"""

from __future__ import annotations


class EdgeMskError(Exception):
    """Base of every error that edge-msk raises on purpose."""


class FileError(EdgeMskError):
    """A file that is missing, unreadable, not in its format, or cannot be written."""


class TrialError(EdgeMskError):
    """A recording or a trials file whose content cannot be used (missing coordinate, unsorted time, wrong unit)."""


class ModelError(EdgeMskError):
    """A musculoskeletal model that is missing, malformed, or does not fit what it is used with."""


class BundleError(EdgeMskError):
    """A subject bundle that is truncated, altered, of another schema, or does not fit the hardware."""


class ConfigError(EdgeMskError):
    """A configuration value that is unknown, of the wrong type, or out of range; or a malformed sensor or output URL."""


class SensorError(EdgeMskError):
    """A sensor that cannot be opened, is busy, or was lost while running."""


class OutputError(EdgeMskError):
    """An output that cannot be opened or refuses a command."""


class EngineError(EdgeMskError):
    """An inference engine that cannot be loaded or returned something unusable."""


class LogError(EdgeMskError):
    """A session log that cannot be written or read."""


class MissingExtraError(EdgeMskError):
    """An optional package that a command needs and that is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}': install it with  pip install 'edge-msk[{extra}]'")
