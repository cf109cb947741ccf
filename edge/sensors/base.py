"""The one interface of everything that samples come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TypeVar

from edge.errors import SensorError
from edge.sensors.decoder import Decoder
from edge.sensors.frame import FrameDecoder

SensorT = TypeVar("SensorT", bound="Sensor")


class SensorLostError(SensorError):
    """The device went away while running. It may come back: open it again."""


class EndOfRecording(Exception):  # noqa: N818 - not an error: the normal end of a source that has one
    """A finite source has given everything it has."""


class Sensor(ABC):
    """A source of bytes. Used from one thread.

    finite: whether the source ends by itself (a recording does, a device does not).
    real_time: whether samples are given at the rate at which they were measured, so that when they come says something.
    """

    finite: bool = False
    real_time: bool = True

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def open(self) -> None:
        """Take the device. Raises SensorError when it is missing, busy or not permitted."""

    @abstractmethod
    def read(self, timeout_s: float) -> bytes:
        """Wait up to `timeout_s` for bytes, then return all that there are; b"" when none came.

        Raises SensorLostError when the device is gone and EndOfRecording at the end of a finite source.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the device back. Does nothing when it is not open; never raises."""

    def fileno(self) -> int | None:
        """A descriptor that can be read when there are bytes; None where there is none. The sensor is open."""
        return None

    def due_s(self) -> float | None:
        """Seconds until `read(0)` has something to do, 0 when it has; None where nobody knows. The sensor is open.

        A device that sends by itself needs a descriptor only, a schedule this only. One that has neither is polled.
        """
        return None

    def decoder(self) -> Decoder:
        """A fresh decoder of what this sensor sends; needs no open device, so that a log can be replayed without it."""
        return FrameDecoder()

    def __enter__(self: SensorT) -> SensorT:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
