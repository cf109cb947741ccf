"""The process that draws the live view: `python -m edge.view.process`, lines of :mod:`edge.view.line` on stdin.

It is started by :class:`edge.view.feed.ViewFeed`, draws on stderr, and ends when the pipe closes. Of what has arrived it
draws the newest only, so it is never behind for long, however slow the terminal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from edge.view.line import Header, Picture

NICENESS = 10
READ_BYTES = 1 << 16


def newest_lines(fd: int) -> Iterator[bytes]:
    """Give the first line that comes (the header), then the newest complete line whenever one came; until the end."""
    buffer = b""
    first = True
    while data := os.read(fd, READ_BYTES):
        *lines, buffer = (buffer + data).split(b"\n")
        if lines and first:
            yield lines.pop(0)
            first = False
        if lines:
            yield lines[-1]


def draw(fd: int) -> None:
    """Draw until pipe `fd` closes; OSError if the terminal is gone."""
    # Here, because it takes longest and is to be done with the low priority.
    from rich.console import Console
    from rich.live import Live

    from edge.view.screen import View

    lines = newest_lines(fd)
    first = next(lines, None)
    if first is None:
        return
    console = Console(file=sys.stderr)
    view = View(Header.parse(first), console)
    # The newest of what has come meanwhile, and then it is shown: nothing flashes up when a session cannot begin.
    line = next(lines, None)
    if line is None:
        return
    with Live(
        view.render(Picture.parse(line)),
        console=console,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    ) as live:
        for line in lines:
            if not console.is_terminal:  # it has gone
                return
            live.update(view.render(Picture.parse(line)), refresh=True)


def _be_a_good_neighbour() -> None:
    """End only with the pipe, whatever the terminal or systemd sends to the group, and never compete with the loop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Refused in some containers, which then allow the loop no real-time priority either.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.nice(NICENESS)


def main() -> int:
    """Exit code 0 when the pipe was closed, 1 when the terminal is gone."""
    _be_a_good_neighbour()
    try:
        draw(0)
    except OSError:
        # Not through the interpreter's end: it would try to write to the terminal that has just refused.
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
