"""A pseudo-terminal that stands in for a sensor's serial port, under a name of the user's choice."""

from __future__ import annotations

import array
import fcntl
import os
import select
import termios
import tty
from pathlib import Path
from types import TracebackType

from edge.errors import FileError, OutputError

_READ_CHUNK = 65536


class PtyLine:
    """The sending end; the reader opens `link` like any serial port.

    A context manager. Nothing else in the process holds the reader's side, so the kernel tells when a reader comes and
    goes.
    """

    def __init__(self, link: Path) -> None:
        self.link = link
        self.device = ""
        self._master = -1
        self._poller = select.poll()

    def __enter__(self) -> PtyLine:
        """Make the pseudo-terminal and the link. Raises FileError where the link cannot be made."""
        self._master, reader_side = os.openpty()
        try:
            tty.setraw(reader_side)  # no echo, no line editing: every byte as it is
            self.device = os.ttyname(reader_side)
            os.set_blocking(self._master, False)
            self._poller.register(self._master, select.POLLIN | select.POLLOUT)
            self._make_link()
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(reader_side)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_ours():
            self.link.unlink(missing_ok=True)
        os.close(self._master)

    def _make_link(self) -> None:
        try:
            if self.link.is_symlink() and (not self.link.exists() or self._is_ours()):
                self.link.unlink()  # left by a simulator that could not clean up
            self.link.symlink_to(self.device)
        except FileExistsError:
            raise FileError(
                f"{self.link} exists already and is not overwritten: choose another --link, or remove it first "
                "(another simulator may be using it)"
            ) from None
        except OSError as error:
            raise FileError(
                f"cannot make the link {self.link} ({error.strerror}): choose a --link in a folder that exists and "
                "that you may write to"
            ) from error

    def _is_ours(self) -> bool:
        return self.link.is_symlink() and str(self.link.readlink()) == self.device

    def has_reader(self) -> bool:
        """Whether somebody has the port open now."""
        return not any(event & select.POLLHUP for _, event in self._poller.poll(0))

    def write(self, data: bytes) -> int:
        """Write without blocking; the number of bytes that the line had room for."""
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise OutputError(
                f"{self.link}: the pseudo-terminal refuses data ({error.strerror}); start again"
            ) from error

    def discard_input(self) -> int:
        """Throw away what the reader sent to us, so that its writes never block; the number of bytes."""
        try:
            return len(os.read(self._master, _READ_CHUNK))
        except OSError:  # nothing there, or nobody has the port open
            return 0

    def unread(self) -> int:
        """Bytes written that the reader has not taken yet; 0 where the kernel does not say."""
        count = array.array("i", [0])
        try:
            side = os.open(self.device, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:  # the reader allows nobody else
            return 0
        try:
            fcntl.ioctl(side, termios.FIONREAD, count)
        finally:
            os.close(side)
        return count[0]
