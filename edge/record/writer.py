"""The process that writes a session log: `python -m edge.record.writer FILE`, packets on stdin, its state on stdout.

It is started by :class:`edge.record.Recorder`. One thread empties the pipe into memory so that a slow disk does not
make the loop lose anything; the main thread writes chunks and puts them on the disk every :data:`FLUSH_S`, so that a
kill of either process, or a power cut, costs about that much. When the pipe closes, for whatever reason, the file is
finished.

Lines on stdout: `ready` once header and bundle are on the disk, `error TEXT` before an exit with 1.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import signal
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from mcap.writer import CompressionType, Writer

from edge.record import format as fmt
from edge.record.format import PacketKind

FLUSH_S = 0.5
"""Time between two flushes to the disk, s."""
POLL_S = 0.02
"""Rest between two readings of a quiet pipe: keeps the wake-ups of the small computer low."""
READ_BYTES = 1 << 20
HELD_BYTES = 64 << 20
"""What is held in memory while the disk stalls; beyond it the pipe fills up and the loop counts what it drops."""
NICENESS = 5


class Intake:
    """Empties the pipe in a thread of its own; holds at most about :data:`HELD_BYTES`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._blocks: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True, name="intake").start()

    def _run(self) -> None:
        while True:
            block = os.read(self._fd, READ_BYTES)
            with self._changed:
                self._changed.wait_for(lambda: self._held < HELD_BYTES)
                self._blocks.append(block)
                self._held += len(block)
                self._ended = not block
                self._changed.notify_all()
            if not block:
                return
            if len(block) < READ_BYTES // 32:
                time.sleep(POLL_S)

    def take(self, timeout_s: float) -> tuple[bytes, bool]:
        """All that has arrived, and whether the pipe is closed; waits up to `timeout_s` for the first of it."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._blocks), timeout_s)
            data = b"".join(self._blocks)
            self._blocks.clear()
            self._held = 0
            self._changed.notify_all()
            return data, self._ended


def packets(buffer: bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Take the whole packets off the front of `buffer`: kind, log time (ns), payload. The rest stays in it."""
    offset = 0
    while len(buffer) - offset >= fmt.PACKET.size:
        kind, log_ns, length = fmt.PACKET.unpack_from(buffer, offset)
        end = offset + fmt.PACKET.size + length
        if len(buffer) < end:
            break
        yield kind, log_ns, bytes(memoryview(buffer)[offset + fmt.PACKET.size : end])
        offset = end
    del buffer[:offset]


def split_text(payload: bytes) -> tuple[str, bytes]:
    """The first text of a payload and what follows it."""
    (length,) = fmt.TEXT_HEAD.unpack_from(payload)
    start = fmt.TEXT_HEAD.size
    return payload[start : start + length].decode(), payload[start + length :]


def _dump(value: object) -> bytes:
    return json.dumps(fmt.to_json(value), separators=(",", ":"), allow_nan=False).encode()


class LogFile:
    """The MCAP file, fed with packets; every method may raise OSError (disk full, folder gone).

    `begun`: header and bundle are on the disk.
    """

    def __init__(self, path: Path) -> None:
        self.begun = False
        # "x": a log is never overwritten.
        self._stream: IO[bytes] = path.open("xb")
        self._writer: Any = Writer(self._stream, compression=CompressionType.ZSTD)
        self._writer.start(profile=fmt.PROFILE)
        self._header: dict[str, Any] = {}
        self._channels: dict[int, int] = {}
        self._sequence: dict[int, int] = dict.fromkeys(fmt.TOPIC_OF, 0)
        self._end: dict[str, int] | None = None
        # Makes the file's name durable; not every file system can sync a folder, and then it does so by itself.
        with contextlib.suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def packet(self, kind: int, log_ns: int, payload: bytes) -> bool:
        """Put one packet into the file; True for BEGIN, after which the loop waits for the word `ready`."""
        if kind in self._channels:
            self._sequence[kind] += 1
            data = _dump(self._body(kind, payload))
            self._writer.add_message(self._channels[kind], log_ns, data, log_ns, self._sequence[kind])
        elif kind == PacketKind.HEADER:
            self._header = json.loads(payload)
            version = str(self._header["log_version"])
            self._writer.add_metadata(fmt.PROFILE, {"log_version": version, "header": payload.decode()})
        elif kind == PacketKind.ATTACHMENT:
            name, data = split_text(payload)
            self._writer.add_attachment(log_ns, log_ns, name, "application/octet-stream", data)
        elif kind == PacketKind.BEGIN:
            self._register()
            return True
        elif kind == PacketKind.END:
            self._end = json.loads(payload)
        return False

    def _register(self) -> None:
        schemas = fmt.schemas(self._header)
        for kind, topic in fmt.TOPIC_OF.items():
            name, schema = schemas[topic]
            schema_id = self._writer.register_schema(name, "jsonschema", _dump(schema))
            self._channels[kind] = self._writer.register_channel(topic, "json", schema_id)

    def _body(self, kind: int, payload: bytes) -> dict[str, Any]:
        """The JSON object of a message."""
        body: dict[str, Any]
        if kind == PacketKind.SENSOR_BYTES:
            (source,) = fmt.SOURCE_HEAD.unpack_from(payload)
            body = {"source": source, "data": base64.b64encode(payload[fmt.SOURCE_HEAD.size :]).decode()}
        elif kind == PacketKind.SENSOR_STAMPS:
            (source,) = fmt.SOURCE_HEAD.unpack_from(payload)
            times = list(fmt.STAMP.iter_unpack(payload[fmt.SOURCE_HEAD.size :]))
            body = {"source": source, "sensor_us": [us for us, _ in times], "host_ns": [ns for _, ns in times]}
        elif kind == PacketKind.ESTIMATE:
            body = self._estimate(payload)
        elif kind == PacketKind.TIMING:
            index, age_ms, compute_us = fmt.TIMING_BODY.unpack(payload)
            body = {"index": index, "age_ms": age_ms, "compute_us": compute_us}
        elif kind == PacketKind.COMMAND:
            time_us, sequence, state, count = fmt.COMMAND_HEAD.unpack_from(payload)
            torque = struct.unpack_from(f"<{count}d", payload, fmt.COMMAND_HEAD.size)
            body = {"time_us": time_us, "sequence": sequence, "state": state}
            body["torque_nm"] = fmt.named(self._header["command_names"], torque)
        elif kind == PacketKind.FAULT:
            code, text = split_text(payload)
            body = {"code": code, "text": text.decode()}
        elif kind == PacketKind.LOSS:
            body = dict(zip(fmt.COUNTED, fmt.LOSS_BODY.unpack(payload), strict=True))
        else:
            body = {"text": payload.decode()}
        return body

    def _estimate(self, payload: bytes) -> dict[str, Any]:
        index, time_s, valid, novelty, *lengths = fmt.ESTIMATE_HEAD.unpack_from(payload)
        joints, muscles, rows = (self._header[key] for key in ("joint_names", "muscle_names", "row_names"))
        names: tuple[Sequence[str], ...] = (joints, joints, joints, rows, muscles, muscles, rows)
        body: dict[str, Any] = {"index": index, "time_s": time_s, "valid": bool(valid)}
        if not math.isnan(novelty):
            body["novelty"] = novelty
        offset = fmt.ESTIMATE_HEAD.size
        for key, of, length in zip(fmt.ESTIMATE_VECTORS, names, lengths, strict=True):
            body[key] = fmt.named(of, struct.unpack_from(f"<{length}d", payload, offset))
            offset += 8 * length
        return body

    def flush(self) -> None:
        """Close the chunk and put everything on the disk."""
        self._writer.flush()
        os.fdatasync(self._stream.fileno())

    def finish(self) -> None:
        """Write the end and the index, and close the file."""
        clean = self._end is not None
        self._writer.flush()
        self._writer.add_metadata(
            fmt.END_METADATA, {"clean": "true" if clean else "false", "dropped": json.dumps(self._end or {})}
        )
        self._writer.finish()
        self._stream.flush()
        os.fdatasync(self._stream.fileno())
        self._stream.close()


def _say(line: str) -> None:
    """One line to the loop's process. It may be gone: then nobody is left to tell, and the file still gets finished."""
    with contextlib.suppress(OSError):
        os.write(1, (line.replace("\n", " ") + "\n").encode(errors="backslashreplace"))


def run(path: Path, fd: int) -> None:
    """Write the packets of pipe `fd` to a new file at `path` until the pipe is closed; OSError if the disk refuses."""
    log = LogFile(path)
    try:
        _record(log, Intake(fd))
    finally:
        if not log.begun:  # nothing in it that anyone could read
            path.unlink()


def _record(log: LogFile, intake: Intake) -> None:
    buffer = bytearray()
    ended = False
    dirty = False
    next_flush = time.monotonic() + FLUSH_S
    while not ended:
        data, ended = intake.take(max(0.0, next_flush - time.monotonic()))
        buffer += data
        for kind, log_ns, payload in packets(buffer):
            dirty = True
            if log.packet(kind, log_ns, payload):
                log.flush()
                log.begun = True
                _say("ready")
        if time.monotonic() >= next_flush:
            next_flush = time.monotonic() + FLUSH_S
            if dirty:
                log.flush()
                dirty = False
    log.finish()


def _be_a_good_neighbour() -> None:
    """End only with the pipe, whatever the terminal or systemd sends to the group, and never compete with the loop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Refused in some containers, which then allow the loop no real-time priority either.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.nice(NICENESS)


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 if the file was finished, 1 after an `error` line."""
    path = Path(arguments[0])
    _be_a_good_neighbour()
    try:
        run(path, 0)
    except OSError as error:
        _say(f"error {error.strerror or error}")
        # Not through the interpreter's end: it would try to write the buffers that the disk has just refused.
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
