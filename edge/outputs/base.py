"""The one interface of everything that a command can be sent to: an actuator's controller, a display, nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

OutputT = TypeVar("OutputT", bound="Output")


@dataclass(frozen=True, slots=True)
class Command:
    """What is sent in one cycle, after all limits.

    time_us: host monotonic time, microseconds. sequence: +1 per command, wraps at 2^32. state: 0 disarmed, 1 armed,
    2 active, 3 fault. torque_nm: Nm per joint, in the model's joint order.
    """

    time_us: int
    sequence: int
    state: int
    torque_nm: tuple[float, ...]


@dataclass(slots=True)
class OutputCounters:
    """What became of the commands."""

    sent: int = 0
    unsent: int = 0
    """Commands that the receiver had no room for. They are dropped, never queued: an old command is a wrong one."""


class Output(ABC):
    """A destination of commands. Used from one thread; `send` never blocks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.counters = OutputCounters()

    @abstractmethod
    def open(self) -> None:
        """Take the device. Raises OutputError when it is missing, busy or not permitted."""

    @abstractmethod
    def send(self, command: Command) -> None:
        """Send one command without blocking; count it. Raises OutputError when the device is gone."""

    @abstractmethod
    def close(self) -> None:
        """Give the device back. Does nothing when it is not open; never raises."""

    def __enter__(self: OutputT) -> OutputT:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
