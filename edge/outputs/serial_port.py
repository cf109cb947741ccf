"""`serial://PATH?baud=921600&protocol=emsk`: commands as frames of kind 0x81 on a serial line."""

from __future__ import annotations

import os

from edge.errors import OutputError
from edge.outputs.base import Command, Output
from edge.sensors.frame import DELIMITER, Frame, Kind, encode
from edge.serial_line import SerialLine, settings_from
from edge.url import Url


class SerialOutput(Output):
    """Writes each command at once or not at all.

    A line that is full (the receiver does not read) costs the command, never the loop's time: the command is counted as
    unsent and dropped. Where only part of a frame went out, the next one is preceded by a 0x00, so that the receiver
    drops the torn frame instead of acting on an old command.
    """

    def __init__(self, url: Url) -> None:
        super().__init__(url.text)
        self._settings = settings_from(url)
        self._line: SerialLine | None = None
        self._torn = False

    def open(self) -> None:
        """Take the port for this process alone."""
        if self._line is None:
            self._line = SerialLine(self._settings, OutputError)
            self._torn = False

    def send(self, command: Command) -> None:
        """Send one command. Raises OutputError when the port is gone or the command does not fit a frame."""
        line = self._line
        if line is None:
            raise OutputError(f"serial port {self._settings.path} is not open; open the output before sending")
        try:
            data = encode(Frame(Kind.COMMAND, command.state, command.sequence, command.time_us, command.torque_nm))
        except ValueError as error:
            raise OutputError(f"{self.url}: command {command.sequence} cannot be sent: {error}") from error
        if self._torn:
            data = DELIMITER + data
        try:
            # Not pyserial's write: with no timeout that one spins while the line is full.
            written = os.write(line.fd, data)
        except BlockingIOError:
            written = 0
        except OSError as error:
            raise OutputError(
                f"serial port {self._settings.path} was lost while sending ({error.strerror}): check cable and power "
                "of the receiver, then start again"
            ) from error
        if written == len(data):
            self._torn = False
            self.counters.sent += 1
        else:
            self._torn = self._torn or written > 0
            self.counters.unsent += 1

    def close(self) -> None:
        """Give the port back."""
        if self._line is not None:
            self._line.close()
            self._line = None
