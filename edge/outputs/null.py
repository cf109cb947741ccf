"""`null:` takes commands and sends them nowhere: to watch estimates without an actuator."""

from __future__ import annotations

from edge.outputs.base import Command, Output
from edge.url import Url


class NullOutput(Output):
    """Counts commands."""

    def __init__(self, url: Url) -> None:
        super().__init__(url.text)
        url.only()

    def open(self) -> None:
        """Nothing to take."""

    def send(self, command: Command) -> None:
        """Count the command."""
        self.counters.sent += 1

    def close(self) -> None:
        """Nothing to give back."""
