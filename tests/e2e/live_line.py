"""Real processes and real pseudo-terminals; and the wire protocol written down a second time, from its description alone."""

from __future__ import annotations

import itertools
import json
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LEVEL = (1.0, 0.0, 0.0, 0.0, 0.0, 9.81, 0.0, 0.0, 0.0, 0.0)
"""A pelvis IMU at rest."""


@dataclass
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.out)
        return result


class Program:
    """`edge-msk` with arguments, as a process of its own in `folder`."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge.cli", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def end(self, timeout_s: float = 30.0) -> Ended:
        """Wait for the end."""
        try:
            out, err = self._process.communicate(timeout=timeout_s)
        finally:
            self._process.kill()
        return Ended(self._process.returncode, out, err)


def edge_msk(folder: Path, *arguments: object) -> Ended:
    return Program(folder, *arguments).end()


def wait_for(path: Path, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


class Wire:
    """A serial port named `path` whose other end is ours: it plays pieces at a rate for ever, and keeps what it receives."""

    def __init__(self, pieces: Iterable[bytes] = (), *, rate_hz: float = 100.0) -> None:
        self._controller, self._device = os.openpty()
        os.set_blocking(self._controller, False)
        self.path = os.ttyname(self._device)
        self.received = b""
        self._pieces, self._period_s = iter(pieces), 1.0 / rate_hz
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(5.0)
        os.close(self._device)
        os.close(self._controller)

    def _play(self) -> None:
        while not self._done.wait(self._period_s):
            with suppress(BlockingIOError):  # nobody reads: the piece is lost, as on a wire
                os.write(self._controller, next(self._pieces, b""))
            self._take()
        self._take()

    def _take(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._controller, 4096):
                self.received += data


# --- the protocol, from its description


@dataclass(frozen=True)
class Message:
    kind: int
    flags: int
    sequence: int
    time_us: int
    channels: tuple[float, ...]


def crc16(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def encode(kind: int, sequence: int, time_us: int, channels: Sequence[float], *, flags: int = 0) -> bytes:
    """Any values, also such as no sender should send. For frames below 254 bytes."""
    raw = struct.pack("<BBBBIQ", kind, flags, len(channels), 1, sequence, time_us)
    raw += struct.pack(f"<{len(channels)}f", *channels)
    raw += struct.pack("<H", crc16(raw))
    assert len(raw) < 254
    return b"".join(bytes([len(block) + 1]) + block for block in raw.split(b"\x00")) + b"\x00"


def decode(data: bytes) -> list[Message]:
    """Well-formed messages only; raises where anything is wrong. The last bytes may be half a message."""
    messages = []
    for piece in data.split(b"\x00")[:-1]:
        raw, at = bytearray(), 0
        while at < len(piece):
            block = piece[at + 1 : at + piece[at]]
            assert len(block) == piece[at] - 1, "COBS block runs over the end"
            raw += block + b"\x00"
            at += piece[at]
        body, check = bytes(raw[:-3]), bytes(raw[-3:-1])
        assert struct.pack("<H", crc16(body)) == check
        kind, flags, count, version, sequence, time_us = struct.unpack_from("<BBBBIQ", body)
        assert version == 1
        assert len(body) == 16 + 4 * count
        messages.append(Message(kind, flags, sequence, time_us, struct.unpack_from(f"<{count}f", body, 16)))
    return messages


def samples(
    angles: Sequence[float] = (0.2, -0.4, 0.1), imu: Sequence[float] | None = LEVEL, *, spoil: Any = None
) -> Iterable[bytes]:
    """A leg at rest for ever, 100 samples to a second of its clock; `spoil(k)` may give other angles."""
    for k in itertools.count():
        other = spoil(k) if spoil is not None else None
        piece = encode(1, k, k * 10_000, angles if other is None else other)
        if imu is not None:
            piece += encode(2, k, k * 10_000, imu)
        yield piece
