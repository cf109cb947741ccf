"""`serial://PATH?baud=921600&protocol=emsk`: a microcontroller or another sensor on a serial line.

The protocols, each with its own default of `baud=` and its own parameters: :mod:`edge.sensors.protocols`.
"""

from __future__ import annotations

import os
import select

from edge.errors import SensorError
from edge.sensors.base import Sensor, SensorLostError
from edge.sensors.decoder import Decoder
from edge.sensors.protocols import protocol_of
from edge.serial_line import SerialLine, settings_from
from edge.url import Url

_CHUNK = 4096
# So that a line that floods cannot keep the loop here: 8 KiB is 90 ms of 921600 baud.
_MAX_CHUNKS = 2


def serial_sensor(url: Url) -> Sensor:
    """The sensor that a `serial:` URL names: one that listens, or the protocol's own where the device must be asked."""
    return (protocol_of(url).sensor or SerialSensor)(url)


class SerialSensor(Sensor):
    """Reads whatever has arrived; sleeps in select() until something does."""

    finite = False

    def __init__(self, url: Url) -> None:
        super().__init__(url.text)
        self._parsed = url
        self._protocol = protocol_of(url)
        self._settings = settings_from(url, self._protocol)
        self._protocol.decoder(url)  # so that a wrong parameter is refused before anything is opened
        self._line: SerialLine | None = None

    def open(self) -> None:
        """Take the port for this process alone; bytes that came before are dropped."""
        if self._line is None:
            self._line = SerialLine(self._settings, SensorError)

    def decoder(self) -> Decoder:
        """A fresh decoder of the URL's protocol."""
        return self._protocol.decoder(self._parsed)

    def read(self, timeout_s: float) -> bytes:
        """All bytes that are there, after waiting up to `timeout_s` for the first. Raises SensorLostError."""
        line = self._line
        if line is None:
            raise SensorError(f"serial port {self._settings.path} is not open; open the sensor before reading")
        # select, not poll: its timeout is not rounded up to whole milliseconds.
        if not _readable(line.fd, max(0.0, timeout_s)):
            return b""
        chunks: list[bytes] = []
        for _ in range(_MAX_CHUNKS):
            try:
                chunk = os.read(line.fd, _CHUNK)
            except BlockingIOError:
                break
            except OSError as error:
                if chunks:
                    break  # hand on what came before; the next read meets the error again
                raise self._lost(str(error.strerror)) from error
            if not chunk:
                if chunks:
                    break
                # Readable and yet empty: the other end has hung up.
                raise self._lost("the device has disconnected")
            chunks.append(chunk)
            if not _readable(line.fd, 0.0):
                break
        return b"".join(chunks)

    def fileno(self) -> int | None:
        """The port's."""
        return None if self._line is None else self._line.fd

    def close(self) -> None:
        """Give the port back."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _lost(self, reason: str) -> SensorLostError:
        return SensorLostError(
            f"serial port {self._settings.path} was lost while reading ({reason}): check cable and power of the sensor"
        )


def _readable(fd: int, timeout_s: float) -> bool:
    return bool(select.select([fd], [], [], timeout_s)[0])
