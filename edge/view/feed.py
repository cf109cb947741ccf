"""The loop's side of the live view: another process draws it, fed through a pipe that never blocks.

    with ViewFeed(Header(...), warn=...) as feed:
        loop = Loop(..., show=feed.show, warn=feed.warn)

Drawing costs milliseconds of Python; in a thread of the loop's process it would take them from the loop. What the pipe
does not take at once is dropped: a view may miss pictures. If the view's process ends, the session goes on without it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import edge
from edge.view.line import Header, picture_line

if TYPE_CHECKING:
    from edge.loop import Snapshot

CLOSE_TIMEOUT_S = 3.0
"""For the last picture, on a busy computer. A view that takes longer is ended."""
SHOW_CURSOR = b"\x1b[?25h\n"


class ViewFeed:
    """Owns the view's process; context manager; to be called from one thread.

    Args:
        header: the names that are shown.
        warn: prints a line. Called at once while no view owns the terminal, else when it has ended.
        terminal_fd: where the view is drawn: stderr, so that stdout stays free for results.
    """

    def __init__(self, header: Header, *, warn: Callable[[str], None], terminal_fd: int = 2) -> None:
        self._header, self._warn, self._terminal_fd = header, warn, terminal_fd
        self._process: subprocess.Popen[bytes] | None = None
        self._fd = -1
        self._tail = b""  # the rest of a line of which the pipe took only a part
        self._warnings: list[str] = []
        self._shown = False
        self.dropped = 0
        """Pictures that the pipe did not take."""

    @property
    def pid(self) -> int | None:
        """Process id of the view while it runs."""
        return None if self._process is None else self._process.pid

    def open(self) -> None:
        """Start the process. It draws nothing before the first :meth:`show`."""
        read_fd, self._fd = os.pipe()
        try:
            os.set_blocking(self._fd, False)
            # cwd: `-m` looks there first, so the view is of the same edge-msk. A session of its own: Ctrl-C is for the
            # loop, and the view shows what it does last.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge.view.process"],
                stdin=read_fd,
                stdout=subprocess.DEVNULL,
                stderr=self._terminal_fd,
                cwd=Path(edge.__file__).resolve().parent.parent,
                start_new_session=True,
            )
        finally:
            os.close(read_fd)
        self._write(self._header.line())

    def show(self, snapshot: Snapshot | None) -> None:
        """Hand over what is to be seen now; costs some ten microseconds and never waits."""
        if self._fd < 0:
            return
        self._shown = True
        self._write(picture_line(snapshot, self._warnings[-1] if self._warnings else ""))

    def warn(self, line: str) -> None:
        """A line for the user: in the view at once, and printed when the terminal is free again."""
        if self._fd < 0:
            self._warn(line)
        else:
            self._warnings.append(line)

    def close(self) -> None:
        """Let the view draw its last picture and end, give the terminal back, print the warnings."""
        if self._process is None:
            return
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        try:
            # Without a picture there is nothing to wait for: an error is about to be printed.
            code = self._process.wait(CLOSE_TIMEOUT_S if self._shown else 0.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        if code != 0 and self._shown:
            self._free_terminal()
        for line in self._warnings:
            self._warn(line)
        self._warnings.clear()

    def __enter__(self) -> ViewFeed:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        try:
            if self._tail:
                self._tail = self._tail[os.write(self._fd, self._tail) :]
            if not self._tail:
                self._tail = line[os.write(self._fd, line) :]
                return
        except BlockingIOError:
            pass  # full: counted below
        except OSError:
            self._lost()
            return
        self.dropped += 1

    def _lost(self) -> None:
        """The view's process has ended: print what it held, and go on without it."""
        os.close(self._fd)
        self._fd = -1
        self.dropped += 1
        self._free_terminal()
        for line in self._warnings:
            self._warn(line)
        self._warnings.clear()
        self._warn("the live view has ended by itself; the session goes on without it (Ctrl-C stops it)")

    def _free_terminal(self) -> None:
        # The terminal may be what is gone: then there is no cursor to bring back.
        with contextlib.suppress(OSError):
            if os.isatty(self._terminal_fd):
                os.write(self._terminal_fd, SHOW_CURSOR)
