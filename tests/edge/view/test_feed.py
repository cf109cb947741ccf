"""The view's real process on a pseudo-terminal; the loop on a virtual clock."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from loop_fakes import Clock, Event, FakeOutput, FakePipeline, FakeSensor, snapshot

from edge.config import load_config
from edge.control.assist import ProportionalAssist
from edge.control.safety import Safety
from edge.loop import Loop
from edge.view.feed import SHOW_CURSOR, ViewFeed
from edge.view.line import Header

HIDE_CURSOR = b"\x1b[?25l"
WAIT_S = 20.0


class Terminal:
    """A terminal of 80 x 24 characters that keeps what was written to it."""

    def __init__(self) -> None:
        self.controller, self.device = os.openpty()
        fcntl.ioctl(self.device, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.written = b""
        self._ending = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._ending or select.select([self.controller], [], [], 0)[0]:
            if select.select([self.controller], [], [], 0.02)[0]:
                self.written += os.read(self.controller, 65536)

    def wait_for(self, part: bytes) -> None:
        wait_until(lambda: part in self.written)

    def hang_up(self) -> None:
        """Read what there is, and be gone."""
        if self.device >= 0:
            self._ending = True
            self._thread.join(WAIT_S)
            os.close(self.device)
            os.close(self.controller)
            self.device = -1

    def everything(self) -> bytes:
        self.hang_up()
        return self.written


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    yield terminal
    terminal.hang_up()


def feed_on(terminal: Terminal, warnings: list[str], *, n_muscles: int = 9) -> ViewFeed:
    names = [f"muscle_{index}" for index in range(n_muscles)]
    header = Header("demo", names, ("hip", "knee", "ankle"), (0, 1, 2))
    return ViewFeed(header, warn=warnings.append, terminal_fd=terminal.device)


def session(feed: ViewFeed, *, seconds: int, events: list[Event]) -> Loop:
    clock = Clock()
    limits = load_config(None).safety_limits(("hip", "knee"), [(-2.0, 2.0), (-2.0, 2.0)])
    return Loop(
        sensors=[FakeSensor(clock, [*(Event(10.0 * k, b"e") for k in range(100 * seconds)), *events], finite=True)],
        pipeline=FakePipeline(clock),  # type: ignore[arg-type]
        assist=ProportionalAssist((0.0, 0.0), (0, 2)),
        safety=Safety(limits, assist_enabled=False),
        output=FakeOutput(clock),
        period_s=0.01,
        clock=clock,
        warn=feed.warn,
        show=feed.show,
    )


def two_joints(terminal: Terminal, warnings: list[str]) -> ViewFeed:
    header = Header("demo", ("a", "b", "c", "d"), ("hip", "knee"), (0, 2))
    return ViewFeed(header, warn=warnings.append, terminal_fd=terminal.device)


def test_it_draws_and_gives_the_terminal_back(terminal: Terminal) -> None:
    warnings: list[str] = []
    with feed_on(terminal, warnings) as feed:
        feed.show(None)
        terminal.wait_for(b"waiting")
        feed.show(snapshot())
        terminal.wait_for(b"muscle_8")
        feed.warn("the disk is full")
        assert warnings == []
        feed.show(snapshot())
        terminal.wait_for(b"warning: the disk is full")
        feed.show(snapshot(faults=("last_of_all",)))
    written = terminal.everything()
    assert b"last_of_all" in written
    assert written.rindex(b"\x1b[?25h") > written.rindex(HIDE_CURSOR)
    assert warnings == ["the disk is full"]
    assert feed.dropped == 0


def test_nothing_is_drawn_when_a_session_does_not_begin(terminal: Terminal) -> None:
    warnings: list[str] = []
    with pytest.raises(ValueError, match="no sensor"), feed_on(terminal, warnings):
        raise ValueError("no sensor")
    assert (terminal.everything(), warnings) == (b"", [])


def test_the_interrupt_key_is_left_to_the_loop(terminal: Terminal) -> None:
    with feed_on(terminal, []) as feed:
        assert feed.pid is not None
        feed.show(snapshot())
        terminal.wait_for(b"muscle_8")
        os.kill(feed.pid, signal.SIGINT)
        feed.show(snapshot(faults=("still_there",)))
        terminal.wait_for(b"still_there")


def test_the_session_goes_on_when_the_view_is_killed(terminal: Terminal) -> None:
    warnings: list[str] = []
    with two_joints(terminal, warnings) as feed:

        def kill() -> None:
            assert feed.pid is not None
            terminal.wait_for(b"activation and force")
            feed.warn("said before")
            os.kill(feed.pid, signal.SIGKILL)
            os.waitid(os.P_PID, feed.pid, os.WEXITED | os.WNOWAIT)

        loop = session(feed, seconds=5, events=[Event(2005.0, action=kill)])
        loop.run()
        assert (loop.age_ms.count, loop.failure, loop.summary()["faults"]) == (500, None, [])
        assert warnings[0] == "said before"
        assert "goes on without it" in warnings[1]
        feed.warn("said after")
        assert warnings[2:] == ["said after"]
    assert len(warnings) == 3
    # A terminal may put a carriage return before the line feed.
    assert terminal.everything().replace(b"\r", b"").endswith(SHOW_CURSOR)


def test_a_view_that_stands_still_never_blocks_the_loop(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.view.feed.CLOSE_TIMEOUT_S", 0.2)
    longest_s = 0.0
    with two_joints(terminal, []) as feed:

        def stop() -> None:
            assert feed.pid is not None
            terminal.wait_for(b"activation and force")
            os.kill(feed.pid, signal.SIGSTOP)

        loop = session(feed, seconds=60, events=[Event(2005.0, action=stop)])
        plain_show = feed.show

        def show(latest: object) -> None:
            nonlocal longest_s
            before = time.monotonic()
            plain_show(latest)  # type: ignore[arg-type]
            longest_s = max(longest_s, time.monotonic() - before)

        monkeypatch.setattr(loop, "_show", show)
        loop.run()
        assert loop.age_ms.count == 6000
        assert feed.dropped > 100  # so the pipe was full
        assert longest_s < 1.0  # a pipe that blocks would do so for ever
    assert terminal.everything().replace(b"\r", b"").endswith(SHOW_CURSOR)


def test_after_a_stand_still_the_view_shows_what_is_new(terminal: Terminal) -> None:
    with feed_on(terminal, [], n_muscles=200) as feed:  # lines of which the pipe takes only a part
        assert feed.pid is not None
        feed.show(snapshot(200))
        terminal.wait_for(b"most active")
        os.kill(feed.pid, signal.SIGSTOP)
        while feed.dropped < 3:
            feed.show(snapshot(200))
        os.kill(feed.pid, signal.SIGCONT)

        def seen() -> bool:
            feed.show(snapshot(200, faults=("new_again",)))
            return b"new_again" in terminal.written

        wait_until(seen)


def test_a_terminal_that_is_gone_is_no_error(terminal: Terminal) -> None:
    warnings: list[str] = []
    with feed_on(terminal, warnings) as feed:
        feed.show(snapshot())
        terminal.wait_for(b"muscle_8")
        terminal.hang_up()

        def ended() -> bool:
            feed.show(snapshot())
            return bool(warnings)

        wait_until(ended)
    assert "goes on without it" in warnings[0]


def test_a_picture_costs_the_loop_little(terminal: Terminal) -> None:
    with feed_on(terminal, []) as feed:
        latest = snapshot()
        costs_s = []
        for _ in range(200):
            before = time.perf_counter()
            feed.show(latest)
            costs_s.append(time.perf_counter() - before)
    assert sorted(costs_s)[100] < 500e-6  # some 30 us on a quiet computer
