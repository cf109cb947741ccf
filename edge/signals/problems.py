"""What is wrong with what sensors send: named, counted, and told to whoever asks, each time that it begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that began to be wrong.

    name: what and where, such as `stuck:knee`; text: the line for the person, with what to do.
    """

    name: str
    text: str


class Problems:
    """All that was wrong so far."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        """How often each began, by name."""
        self._new: list[Problem] = []

    def add(self, name: str, text: str) -> None:
        """Something began to be wrong."""
        self.counts[name] = self.counts.get(name, 0) + 1
        self._new.append(Problem(name, text))

    def take(self) -> list[Problem]:
        """What has begun since the last call."""
        new, self._new = self._new, []
        return new
