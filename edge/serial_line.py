"""Open a serial port with one clear reason when that fails.

The port is taken for this process alone (flock). Within the process it can be shared: a controller that sends samples
and takes commands over the same line is opened by its sensor and by its output, and closed by the last of them.
"""

from __future__ import annotations

import errno
import grp
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

import serial

from edge.errors import ConfigError, EdgeMskError
from edge.sensors.protocols import EMSK, Protocol
from edge.url import Url

_BUSY = frozenset({errno.EAGAIN, errno.EBUSY})
_MISSING = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOTDIR, errno.EIO})


@dataclass(frozen=True, slots=True)
class LineSettings:
    """What a `serial:` URL says."""

    path: str
    baud: int
    protocol: str
    asks: bool = False
    """Whether the line is a bus on which we ask and devices answer: nothing else may be sent on it."""


@dataclass(slots=True)
class _Shared:
    port: serial.Serial
    settings: LineSettings  # of the first user
    users: int


_open_ports: dict[str, _Shared] = {}
_lock = threading.Lock()


def settings_from(url: Url, protocol: Protocol = EMSK) -> LineSettings:
    """Read `serial://PATH?baud=921600&protocol=emsk` with that protocol's parameters; the default is what outputs speak.

    Raises ConfigError for what it cannot be.
    """
    url.only("baud", "protocol", *protocol.parameters)
    return LineSettings(
        path=url.need_path(f"serial:///dev/ttyUSB0?baud={protocol.baud}"),
        baud=url.integer("baud", protocol.baud, minimum=50, maximum=12_000_000),
        protocol=url.text_of("protocol", protocol.name, choices=(protocol.name,)),
        asks=protocol.sensor is not None,
    )


class SerialLine:
    """One user's hold on an open port. `fd` does not block."""

    def __init__(self, settings: LineSettings, error_type: type[EdgeMskError]) -> None:
        """Open the port, or join the one that this process holds already.

        Raises `error_type` when the port is missing, busy, not permitted or no serial port, and ConfigError when the
        baud rate is not possible or differs from the one that it is already open with, and for a second user of a bus on
        which devices are asked.
        """
        self.path = settings.path
        self._key: str | None = os.path.realpath(settings.path)
        with _lock:
            shared = _open_ports.get(self._key)
            if shared is None:
                shared = _Shared(_open(settings, error_type), settings, 0)
                _open_ports[self._key] = shared
            elif shared.settings.asks or settings.asks:
                bus = shared.settings if shared.settings.asks else settings
                raise ConfigError(
                    f"{settings.path}: is a bus on which sensors are asked one after the other (protocol {bus.protocol}): "
                    "commands or other questions on it would collide with their answers: give the output, or the other sensor, a "
                    "port of its own"
                )
            elif shared.settings.baud != settings.baud:
                raise ConfigError(
                    f"{settings.path}: already open with baud={shared.settings.baud}, now asked for with baud={settings.baud}; "
                    "give sensor and output the same baud"
                )
            shared.users += 1
        self.fd: int = shared.port.fileno()

    def close(self) -> None:
        """Let go; the last user closes the port."""
        with _lock:
            if self._key is None:
                return
            shared = _open_ports[self._key]
            shared.users -= 1
            if shared.users == 0:
                del _open_ports[self._key]
                shared.port.close()
            self._key = None


def _open(settings: LineSettings, error_type: type[EdgeMskError]) -> serial.Serial:
    try:
        return serial.Serial(settings.path, settings.baud, timeout=0, write_timeout=0, exclusive=True)
    except ValueError as error:
        raise ConfigError(
            f"{settings.path}: the port refuses baud={settings.baud} ({error}); use the rate that its device is set "
            "to, for example 115200 or 921600"
        ) from error
    except OSError as error:  # SerialException is one
        raise error_type(_why(settings.path, error)) from error


def _why(path: str, error: OSError) -> str:
    number = error.errno
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        mode = 0
    if number in {errno.EACCES, errno.EPERM}:
        return (
            f"no permission for serial port {path}: add yourself to its group with  sudo usermod -aG {_group(path)} "
            "$USER  and log in again"
        )
    if mode == 0 or number in _MISSING:
        return f"serial port {path} does not exist or its device is gone; {_others(path)}"
    if not stat.S_ISCHR(mode):
        return f"{path} is not a serial port but a {'folder' if stat.S_ISDIR(mode) else 'file'}; {_others(path)}"
    if number in _BUSY:
        return f"serial port {path} is busy: {_holder(path)}; stop it or let it release this port, then start again"
    return f"serial port {path} cannot be used: {os.strerror(number) if number else error}; {_others(path)}"


def list_ports() -> list[str]:
    """The serial devices of this machine, by their lasting name (/dev/serial/by-id) where they have one."""
    stable = {os.path.realpath(link): str(link) for link in sorted(Path("/dev/serial/by-id").glob("*"))}
    found = [*Path("/dev").glob("ttyUSB*"), *Path("/dev").glob("ttyACM*"), *Path("/dev").glob("ttyTHS*")]
    return [stable.get(str(port), str(port)) for port in sorted(found)]


def _others(path: str) -> str:
    if not path.startswith("/") and Path("/" + path).exists():
        return f"did you mean serial:///{path} (three slashes)?"
    ports = list_ports()
    if not ports:
        return "no serial device is plugged in: check cable and power, then  ls /dev/serial/by-id"
    return "ports here: " + ", ".join(ports)


def _group(path: str) -> str:
    try:
        return grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (KeyError, OSError):
        return "dialout"


def _holder(path: str) -> str:
    """Who has the port open, as far as this user may see."""
    target = os.path.realpath(path)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            held = any(os.path.realpath(link) == target for link in (entry / "fd").iterdir())
            name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip() if held else ""
        except OSError:
            continue  # another user's process, or one that has just ended
        if held and int(entry.name) != os.getpid():
            return f"process {entry.name} ({name}) has it open"
    return "another process has it open (find it with  sudo fuser -v " + path + ")"
