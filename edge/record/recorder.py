"""The loop's side of a session log: hands messages to another process and is never blocked by it.

    header = session_header(bundle=data, sensors=..., output_url=..., config=..., joint_names=..., ...)
    with Recorder(new_log_path(Path("logs")), header, bundle=data) as recorder:
        recorder.sensor_bytes(received_ns, chunk)

Every message is one non-blocking write to a pipe. What does not fit, because the writer's process or its disk stands
still or is gone, is counted in `dropped` and, as soon as there is room again, in the log itself (topic /losses). The
file is written by `edge.record.writer` and read by `edge.record.session_log`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

import edge
from edge.errors import LogError
from edge.record import format as fmt
from edge.record.format import CommandLike, EstimateLike, PacketKind, StampLike

PIPE_BYTES = 1 << 20
"""Size asked for the pipe: Linux' limit for users without privileges, some seconds of messages."""
OPEN_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 5.0
GRACE_S = 1.0
STATUS_BYTES = 4096


def new_log_path(folder: Path, *, prefix: str = "session") -> Path:
    """A name in `folder` that no file has: PREFIX-YYYYMMDD-HHMMSS.mcap in local time, with -2, -3 ... where needed."""
    stem = f"{prefix}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    path = folder / f"{stem}.mcap"
    number = 2
    while path.exists():
        path = folder / f"{stem}-{number}.mcap"
        number += 1
    return path


def session_header(
    *,
    bundle: bytes,
    sensors: Sequence[Mapping[str, object]],
    output_url: str,
    config: Mapping[str, object],
    joint_names: Sequence[str],
    muscle_names: Sequence[str],
    row_names: Sequence[str],
    command_names: Sequence[str] | None = None,
    extra: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """The header of a log: what ran, on what, with which limits, and when.

    `sensors` say of each, in the order of their numbers, what is needed to replay it without the device (`Source.to_dict`).
    `config` and `extra` hold what JSON can (non-finite numbers become strings). `command_names` name the torques of a
    command and default to the joints. `clock` ties the monotonic clock of all log times to the wall clock, once.
    """
    monotonic_ns, wall_ns = time.monotonic_ns(), time.time_ns()
    wall = datetime.fromtimestamp(wall_ns / 1e9, timezone.utc).isoformat(timespec="milliseconds")
    header = {
        "log_version": fmt.LOG_VERSION,
        "edge_msk_version": edge.__version__,
        "bundle_sha256": hashlib.sha256(bundle).hexdigest(),
        "sensors": [dict(sensor) for sensor in sensors],
        "output_url": output_url,
        "config": dict(config),
        "joint_names": list(joint_names),
        "muscle_names": list(muscle_names),
        "row_names": list(row_names),
        "command_names": list(joint_names if command_names is None else command_names),
        "clock": {"monotonic_ns": monotonic_ns, "wall_ns": wall_ns, "wall": wall},
        "extra": dict(extra or {}),
    }
    return {key: fmt.to_json(value) for key, value in header.items()}


def _text(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


def _texts(first: str, rest: bytes) -> bytes:
    encoded = _text(first)[:0xFFFF]
    return fmt.TEXT_HEAD.pack(len(encoded)) + encoded + rest


def _cut(number: int) -> int:
    return max(-(1 << 63), min(number, (1 << 63) - 1))


def _doubles(values: object) -> bytes:
    return np.asarray(values, dtype="<f8").tobytes()


class Recorder:
    """Writes a session log through another process; context manager; to be called from one thread.

    :param path: the file, which must not exist; its folder is made.
    :param header: from :func:`session_header`.
    :param bundle: the bytes of the subject bundle that runs, so that the log can be replayed on its own.
    :param attachments: further files by name.

    The methods that take a message return True if it was handed over and False if it was dropped. They never block and
    raise nothing. Stamps are nanoseconds of the monotonic clock.
    """

    def __init__(
        self,
        path: Path,
        header: Mapping[str, Any],
        *,
        bundle: bytes,
        attachments: Mapping[str, bytes] | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self._header = fmt.to_json(dict(header))
        self._attachments = {fmt.BUNDLE_NAME: bundle, **(attachments or {})}
        self._fd = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._tail = b""  # the rest of a message of which the pipe took only a part
        self._dropped = [0] * len(fmt.COUNTED)
        self._reported = [0] * len(fmt.COUNTED)
        self._position: dict[PacketKind, int] = {
            kind: fmt.COUNTED.index(topic) for kind, topic in fmt.TOPIC_OF.items() if topic in fmt.COUNTED
        }
        self._unreported = False
        self._status = b""
        self._problem: str | None = None

    @property
    def dropped(self) -> int:
        """Number of messages that were not handed to the writer; what a writer that dies still held is not in it."""
        return sum(self._dropped)

    @property
    def dropped_by_topic(self) -> dict[str, int]:
        """The same by topic."""
        return dict(zip(fmt.COUNTED, self._dropped, strict=True))

    # --- start and end -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the folder, start the writer, and wait until header and bundle are on disk; LogError if they are not.

        To be called before the loop takes real-time priority or a core of its own, which the writer would inherit.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogError(
                f"log folder {self.path.parent} cannot be made ({error.strerror}): choose another folder for the log, "
                "or give this user the right to write there"
            ) from error
        if self.path.exists():
            raise LogError(f"session log {self.path} exists already: choose another name, a log is never overwritten")
        read_fd, self._fd = os.pipe()
        os.set_blocking(self._fd, False)
        # Refused where this user's pipes are at their limit: then the pipe stays smaller, and works all the same.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._fd, getattr(fcntl, "F_SETPIPE_SZ", 1031), PIPE_BYTES)
        # cwd: `-m` looks there first, so the writer is of the same edge-msk. A session of its own: Ctrl-C must not
        # reach the writer before it can ignore it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge.record.writer", str(self.path)],
            stdin=read_fd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=Path(edge.__file__).resolve().parent.parent,
            start_new_session=True,
        )
        os.close(read_fd)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        try:
            self._begin()
        except BaseException:
            self._end_writer(GRACE_S)
            raise

    def _begin(self) -> None:
        now = time.monotonic_ns()
        start = [fmt.PACKET.pack(PacketKind.HEADER, now, len(data := json.dumps(self._header).encode())), data]
        for name, content in self._attachments.items():
            data = _texts(name, content)
            start += [fmt.PACKET.pack(PacketKind.ATTACHMENT, now, len(data)), data]
        start.append(fmt.PACKET.pack(PacketKind.BEGIN, now, 0))
        deadline = time.monotonic() + OPEN_TIMEOUT_S
        self._write_all(b"".join(start), deadline)
        while b"ready\n" not in self._status:
            if problem := self._find_problem(max(0.0, deadline - time.monotonic())):
                raise LogError(problem)
            if time.monotonic() > deadline:
                raise LogError(
                    f"session log {self.path} was not ready after {OPEN_TIMEOUT_S:.0f} s: the disk may hang; "
                    "choose another folder for the log"
                )
        self._status = b""

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> Path:
        """Hand over what is left, let the writer finish the file, and return its path.

        Takes at most about `timeout_s`; a writer that hangs longer is killed, what it has flushed stays readable, and
        :meth:`check` says so. May be called again.
        """
        if self._process is None or self._fd < 0:
            return self.path
        deadline = time.monotonic() + timeout_s
        end = json.dumps(self.dropped_by_topic).encode()
        last = self._tail + (self._loss() if self._unreported else b"")
        self._tail = b""
        self._write_all(last + fmt.PACKET.pack(PacketKind.END, time.monotonic_ns(), len(end)) + end, deadline)
        os.close(self._fd)
        self._fd = -1
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._problem = self._problem or (
                f"session log {self.path} was not finished within {timeout_s:g} s and its writer was ended: what it "
                "had flushed is readable; choose a faster disk for the log"
            )
        self._problem = self._problem or self._find_problem()
        self._end_writer(0.0)
        return self.path

    def __enter__(self) -> Recorder:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- messages ----------------------------------------------------------------------------------------------------

    def sensor_bytes(self, received_ns: int, data: bytes, source: int = 0) -> bool:
        """A chunk exactly as a sensor gave it, in the order and with the stamp that the pipeline gets."""
        return self._send(PacketKind.SENSOR_BYTES, received_ns, fmt.SOURCE_HEAD.pack(source) + data)

    def stamps(self, received_ns: int, source: int, stamps: Iterable[StampLike]) -> bool:
        """The times of the frames that a chunk completed; what no clock says is cut to 64 bits."""
        times = (fmt.STAMP.pack(_cut(stamp.sensor_us), _cut(stamp.host_ns)) for stamp in stamps)
        return self._send(PacketKind.SENSOR_STAMPS, received_ns, fmt.SOURCE_HEAD.pack(source) + b"".join(times))

    def estimate(self, host_ns: int, estimate: EstimateLike) -> bool:
        """An estimate; `host_ns`: when it was made. Every float64 comes back bit for bit."""
        vectors = [_doubles(getattr(estimate, name)) for name in fmt.ESTIMATE_VECTORS]
        head = fmt.ESTIMATE_HEAD.pack(
            estimate.index,
            estimate.time_s,
            bool(estimate.valid),
            estimate.novelty,
            *(len(vector) // 8 for vector in vectors),
        )
        return self._send(PacketKind.ESTIMATE, host_ns, b"".join((head, *vectors)))

    def timing(self, host_ns: int, index: int, age_ms: float, compute_us: float) -> bool:
        """Age (ms) and compute time (us) of estimate `index`, once its command is sent."""
        return self._send(PacketKind.TIMING, host_ns, fmt.TIMING_BODY.pack(index, age_ms, compute_us))

    def command(self, command: CommandLike) -> bool:
        """A command as it was really sent; its own time (us) is the log time."""
        count = len(command.torque_nm)
        head = fmt.COMMAND_HEAD.pack(command.time_us, command.sequence, command.state, count)
        torque = struct.pack(f"<{count}d", *command.torque_nm)
        return self._send(PacketKind.COMMAND, command.time_us * 1000, head + torque)

    def fault(self, host_ns: int, code: str, text: str) -> bool:
        """A fault: its short name and the sentence for the user."""
        return self._send(PacketKind.FAULT, host_ns, _texts(code, _text(text)))

    def note(self, host_ns: int, text: str) -> bool:
        """Anything that a reader of the log should know: a change of state, a reconnection."""
        return self._send(PacketKind.NOTE, host_ns, _text(text))

    def check(self) -> str | None:
        """None while the log is being written, else what is wrong with it and what to do; costs two system calls."""
        if self._problem is None and self._process is not None and self._fd >= 0:
            self._problem = self._find_problem()
        return self._problem

    # --- the pipe ----------------------------------------------------------------------------------------------------

    def _send(self, kind: PacketKind, log_ns: int, payload: bytes) -> bool:
        packet = fmt.PACKET.pack(kind, log_ns, len(payload)) + payload
        if self._catch_up() and self._write(packet):
            return True
        self._dropped[self._position[kind]] += 1
        self._unreported = True
        return False

    def _catch_up(self) -> bool:
        """True if the pipe is at the start of a message and knows of every loss before it."""
        if self._tail:
            tail, self._tail = self._tail, b""
            if not self._write(tail):
                self._tail = tail
            if self._tail:
                return False
        if self._unreported:
            counts = list(self._dropped)
            if not self._write(self._loss()):
                return False
            self._reported = counts
            self._unreported = False
        return not self._tail

    def _loss(self) -> bytes:
        counts = (now - before for now, before in zip(self._dropped, self._reported, strict=True))
        return fmt.PACKET.pack(PacketKind.LOSS, time.monotonic_ns(), fmt.LOSS_BODY.size) + fmt.LOSS_BODY.pack(*counts)

    def _write(self, data: bytes) -> bool:
        """Write what the pipe takes at once and keep the rest in `_tail`; False if it took nothing."""
        if self._fd < 0 or self._problem is not None:
            return False
        try:
            count = os.write(self._fd, data)
        except OSError:  # full, or the writer is gone: the caller counts it, check() says which
            return False
        self._tail = data[count:]
        return True

    def _write_all(self, data: bytes, deadline: float) -> None:
        """Write everything, waiting for the writer until `deadline` (time.monotonic); gives up if it is gone."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        view = memoryview(data)
        while view and (left := deadline - time.monotonic()) > 0:
            poll.poll(left * 1000)
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                continue
            except OSError:  # the writer is gone; its exit code and last words tell why
                return

    def _find_problem(self, timeout_s: float = 0.0) -> str | None:
        """Read what the writer has to say, waiting up to `timeout_s` for a word; the text for the user if it failed."""
        assert self._process is not None
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        if timeout_s > 0:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if poll.poll(timeout_s * 1000) == [(fd, select.POLLHUP)]:
                # It has closed its end and is about to exit: its exit code is the word.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout_s)
        # In this order: once it has ended, its last words are all there.
        code = self._process.poll()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(fd, STATUS_BYTES):
                self._status = (self._status + data)[-STATUS_BYTES:]
        lines = self._status.decode(errors="replace").splitlines()
        for line in lines:
            if line.startswith("error "):
                return (
                    f"session log {self.path} cannot be written ({line[6:]}): free space there, or choose another "
                    "folder for the log that this user can write to"
                )
        if code is None or (code == 0 and self._fd < 0):
            return None
        said = f": {lines[-1]}" if lines else ""
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}{said}"
        return f"session log {self.path} stopped, its writer {how}: what was flushed is readable; start again to go on"

    def _end_writer(self, grace_s: float) -> None:
        """Close the pipe and leave no process behind: one that has not ended by itself after `grace_s` is killed."""
        assert self._process is not None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
