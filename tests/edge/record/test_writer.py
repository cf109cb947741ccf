"""The parts of the log's writer that need no process."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from edge.record import writer as record_writer
from edge.record.format import PACKET, PacketKind
from edge.record.writer import Intake, packets, run


def a_packet(payload: bytes) -> bytes:
    return PACKET.pack(PacketKind.NOTE, 7, len(payload)) + payload


def test_packets_are_whole_wherever_the_pipe_cuts_them() -> None:
    sent = [b"", b"a", bytes(300), b"\x00\xff"]
    stream = b"".join(a_packet(payload) for payload in sent)
    for step in range(1, len(stream) + 1):
        buffer, got = bytearray(), []
        for start in range(0, len(stream), step):
            buffer += stream[start : start + step]
            got += list(packets(buffer))
        assert got == [(PacketKind.NOTE, 7, payload) for payload in sent]
        assert not buffer


def test_the_intake_keeps_the_order_and_tells_the_end() -> None:
    read_fd, write_fd = os.pipe()
    intake = Intake(read_fd)
    os.write(write_fd, b"ab")
    os.write(write_fd, b"cd")
    os.close(write_fd)
    data, ended = b"", False
    while not ended:
        more, ended = intake.take(2.0)
        data += more
    assert data == b"abcd"


def test_the_intake_is_bounded_so_that_a_dead_disk_does_not_eat_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_writer, "HELD_BYTES", 100_000)
    monkeypatch.setattr(record_writer, "POLL_S", 0.0)
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    intake = Intake(read_fd)
    written, refused = 0, 0
    deadline = time.monotonic() + 2.0
    while refused < 50 and time.monotonic() < deadline:
        try:
            written += os.write(write_fd, bytes(10_000))
            refused = 0
        except BlockingIOError:
            refused += 1
            time.sleep(0.001)
    assert refused == 50
    assert written < 1_000_000
    threading.Timer(0.05, os.close, (write_fd,)).start()
    taken, ended = 0, False
    while not ended:
        data, ended = intake.take(2.0)
        taken += len(data)
    assert taken == written


def test_a_session_that_never_began_leaves_no_file(tmp_path: Path) -> None:
    read_fd, write_fd = os.pipe()
    os.close(write_fd)
    run(tmp_path / "a.mcap", read_fd)
    assert list(tmp_path.iterdir()) == []
