"""Read a session log, also one that a crash left unfinished.

    log = read_log(Path("logs/session-20260131-154210.mcap"))
    for chunk in log.sensor_bytes(): ...

A finished log must be whole. Of an unfinished one, whose writer was killed, everything up to its last flush is read and
`unreadable_bytes` tells what follows. Messages are read chunk by chunk: memory does not grow with the log's length.
"""

from __future__ import annotations

import base64
import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Header, McapRecord, Metadata
from mcap.records import Message as McapMessage
from mcap.stream_reader import breakup_chunk
from mcap.writer import MCAP0_MAGIC
from numpy.typing import NDArray

from edge.errors import LogError
from edge.record import format as fmt
from edge.record.format import EstimateLike
from edge.signals.hookup import Source

_RECORD = struct.Struct("<BQ")
_KNOWN = frozenset(int(opcode) for opcode in Opcode)
_PRIVATE = 0x80
"""Opcodes from here on are free for anyone's use: skipped."""
_DAMAGE = (McapError, zstandard.ZstdError, struct.error, ValueError, OverflowError, MemoryError)
"""What the decoders raise for bytes that are not what they should be (a wrong CRC is a ValueError)."""


@dataclass(frozen=True, slots=True)
class SensorBytes:
    """A chunk as a sensor gave it, and when (monotonic ns); source: the sensor's number in the header."""

    received_ns: int
    data: bytes
    source: int = 0


@dataclass(frozen=True, slots=True)
class SensorStamps:
    """The times of the frames that a chunk completed: when it was received (monotonic ns), and for each frame the sender's
    stamp (us) and the same moment by the host's clock (monotonic ns)."""

    received_ns: int
    source: int
    sensor_us: tuple[int, ...]
    host_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LoggedEstimate:
    """An estimate with the attributes of the live one, and when it was made (`host_ns`, monotonic ns)."""

    host_ns: int
    index: int
    time_s: float
    q: NDArray[np.float64]
    qd: NDArray[np.float64]
    qdd: NDArray[np.float64]
    torque_nm: NDArray[np.float64]
    activation: NDArray[np.float64]
    force_n: NDArray[np.float64]
    reserve_nm: NDArray[np.float64]
    valid: bool
    novelty: float = math.nan  # NaN: the bundle did not tell


@dataclass(frozen=True, slots=True)
class Timing:
    """Age and compute time of estimate `index`."""

    host_ns: int
    index: int
    age_ms: float
    compute_us: float


@dataclass(frozen=True, slots=True)
class LoggedCommand:
    """A command as it was sent: host monotonic time in us, torques in Nm."""

    time_us: int
    sequence: int
    state: int
    torque_nm: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: its short name and its sentence."""

    host_ns: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Anything else that happened."""

    host_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages by topic that could not be recorded since the last Loss."""

    host_ns: int
    counts: dict[str, int]


Message: TypeAlias = SensorBytes | SensorStamps | LoggedEstimate | Timing | LoggedCommand | Fault | Note | Loss


def same_estimate(a: EstimateLike, b: EstimateLike) -> bool:
    """Whether two estimates are equal bit for bit: -0.0 is not 0.0, and a NaN equals a NaN of the same bits."""
    if a.index != b.index or bool(a.valid) != bool(b.valid):
        return False
    if struct.pack("<d", a.time_s) != struct.pack("<d", b.time_s):
        return False
    if repr(a.novelty) != repr(b.novelty):  # the log says nothing of one that is no number
        return False
    vectors = ((np.asarray(getattr(a, n), "<f8"), np.asarray(getattr(b, n), "<f8")) for n in fmt.ESTIMATE_VECTORS)
    return all(x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in vectors)


@dataclass(slots=True)
class _Contents:
    """Where things are in the file: offsets of the records' payloads, with their lengths."""

    profile: str = ""
    chunks: list[tuple[int, int]] = field(default_factory=list)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    finished: bool = False
    readable: int = 0


class SessionLog:
    """A session log; see :func:`read_log`. The iterators stream in the order of recording and may be called again.

    `header` is what :func:`edge.record.recorder.session_header` made; `sources`: its sensors, in the order of their numbers, and
    what each measures; `finished`: the file has its end; `clean`: the loop closed
    the log itself; `dropped`: messages by topic that never reached the log, known if `clean`.
    """

    def __init__(self, path: Path, header: dict[str, Any], contents: _Contents, size: int) -> None:
        self.path = path
        self.header = header
        self.sources = [Source.from_dict(sensor) for sensor in header["sensors"]]
        self.attachments = contents.attachments
        self.finished = contents.finished
        end = contents.metadata.get(fmt.END_METADATA, {})
        self.clean = end.get("clean") == "true"
        self.dropped: dict[str, int] = json.loads(end["dropped"]) if self.clean else {}
        self.unreadable_bytes = 0 if contents.finished else size - contents.readable
        self._chunks = contents.chunks

    @property
    def bundle(self) -> bytes:
        """The subject bundle that ran."""
        return self.attachments[fmt.BUNDLE_NAME]

    @property
    def wearer_filter(self) -> bytes | None:
        """The file of what an adaptive filter knew of the wearer when the session began; None if it knew nothing."""
        return self.attachments.get(fmt.FILTER_NAME)

    @property
    def frozen(self) -> bool:
        """Whether an adaptive filter was to learn nothing more."""
        return not self.header["config"].get("filter", {}).get("learn", True)

    def sensor_bytes(self) -> Iterator[SensorBytes]:
        """The chunks that the pipeline was fed with."""
        return (m for m in self._read({fmt.SENSOR_BYTES}) if isinstance(m, SensorBytes))

    def sensor_stamps(self) -> Iterator[SensorStamps]:
        """The times of all frames: as sent, received and corrected."""
        return (m for m in self._read({fmt.SENSOR_STAMPS}) if isinstance(m, SensorStamps))

    def estimates(self) -> Iterator[LoggedEstimate]:
        """The estimates, bit for bit."""
        return (m for m in self._read({fmt.ESTIMATES}) if isinstance(m, LoggedEstimate))

    def timings(self) -> Iterator[Timing]:
        """Age and compute time of each estimate."""
        return (m for m in self._read({fmt.TIMING}) if isinstance(m, Timing))

    def commands(self) -> Iterator[LoggedCommand]:
        """The commands that were sent."""
        return (m for m in self._read({fmt.COMMANDS}) if isinstance(m, LoggedCommand))

    def faults(self) -> Iterator[Fault]:
        """The faults."""
        return (m for m in self._read({fmt.FAULTS}) if isinstance(m, Fault))

    def notes(self) -> Iterator[Note]:
        """The notes."""
        return (m for m in self._read({fmt.NOTES}) if isinstance(m, Note))

    def losses(self) -> Iterator[Loss]:
        """Where messages are missing; a log that lost sensor bytes cannot be replayed to the same estimates."""
        return (m for m in self._read({fmt.LOSSES}) if isinstance(m, Loss))

    def messages(self) -> Iterator[Message]:
        """All of them, in the order in which they were recorded."""
        return self._read(set(fmt.TOPIC_OF.values()))

    def _read(self, topics: set[str]) -> Iterator[Message]:
        topic_of: dict[int, str] = {}
        with _opened(self.path) as file:
            for offset, length in self._chunks:
                try:
                    records = _chunk_records(file, offset, length)
                    for record in records:
                        if isinstance(record, Channel):
                            topic_of[record.id] = record.topic
                        elif isinstance(record, McapMessage) and topic_of[record.channel_id] in topics:
                            yield _message(topic_of[record.channel_id], record)
                except (*_DAMAGE, KeyError, TypeError) as error:
                    raise _damaged(self.path, offset) from error


def read_log(path: Path) -> SessionLog:
    """Open the session log at `path`, finished or not, and check its header and bundle.

    Raises LogError for a file that is missing, not a session log, of another version, damaged, or cut off before its
    bundle ends.
    """
    path = Path(path)
    with _opened(path) as file:
        size = file.seek(0, 2)
        contents = _scan(path, file, size)
        if not contents.finished:
            _drop_broken_end(file, contents)
    ours = contents.metadata.get(fmt.PROFILE)
    if ours is None and contents.profile != fmt.PROFILE:
        raise LogError(f"{path} is an MCAP file but not a session log: give a file that 'edge-msk run' wrote")
    if ours is None:
        raise _cut_off(path, size, "header")
    try:
        version = int(ours["log_version"])
        if version > fmt.LOG_VERSION:
            raise LogError(
                f"session log {path} has version {version}, this edge-msk reads {fmt.LOG_VERSION}: "
                "upgrade with  pip install -U edge-msk"
            )
        if version < fmt.LOG_VERSION:
            written_by = dict(json.loads(ours["header"])).get("edge_msk_version", "an older version")
            raise LogError(
                f"session log {path} has version {version}, without what version {fmt.LOG_VERSION} says of its sensors: read "
                f"it with the edge-msk that wrote it ({written_by})"
            )
        log = SessionLog(path, dict(json.loads(ours["header"])), contents, size)
    except (KeyError, ValueError, TypeError) as error:
        raise LogError(f"session log {path} has a damaged header: copy the file again from where it came") from error
    bundle = contents.attachments.get(fmt.BUNDLE_NAME)
    if bundle is None:
        raise _cut_off(path, size, "bundle")
    if sha256(bundle).hexdigest() != log.header.get("bundle_sha256"):
        raise LogError(
            f"session log {path}: its bundle does not match bundle_sha256 of its header: the file was altered or "
            "damaged; copy it again from where it came"
        )
    return log


def _cut_off(path: Path, size: int, missing: str) -> LogError:
    return LogError(
        f"session log {path} is cut off after {size} bytes, before the end of its {missing}: nothing was recorded; "
        "if it is a copy, copy it again"
    )


def _damaged(path: Path, offset: int) -> LogError:
    return LogError(f"session log {path} is damaged at byte {offset}: copy the file again from where it came")


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise LogError(
            f"session log {path} cannot be read ({error.strerror}): check its name and its rights"
        ) from error


def _scan(path: Path, file: IO[bytes], size: int) -> _Contents:
    """Walk over the records without reading the messages."""
    contents = _Contents()
    file.seek(0)
    magic = file.read(len(MCAP0_MAGIC))
    if size == 0 or (magic != MCAP0_MAGIC and MCAP0_MAGIC.startswith(magic)):
        raise _cut_off(path, size, "header")
    if magic != MCAP0_MAGIC:
        raise LogError(f"{path} is not a session log (not an MCAP file): give a file that 'edge-msk run' wrote")
    file.seek(size - len(MCAP0_MAGIC))
    has_end = file.read() == MCAP0_MAGIC and size > 2 * len(MCAP0_MAGIC)
    position = len(MCAP0_MAGIC)
    while not contents.finished and position + _RECORD.size <= size:
        file.seek(position)
        opcode, length = _RECORD.unpack(file.read(_RECORD.size))
        start = position + _RECORD.size
        if start + length > size or (opcode not in _KNOWN and opcode < _PRIVATE):
            break
        try:
            _note_record(file, opcode, start, length, contents)
        except _DAMAGE as error:
            raise _damaged(path, position) from error
        position = start + length
    contents.readable = position
    if has_end and not contents.finished:
        raise _damaged(path, position)
    return contents


def _note_record(file: IO[bytes], opcode: int, start: int, length: int, contents: _Contents) -> None:
    if opcode == Opcode.CHUNK:
        contents.chunks.append((start, length))
    elif opcode == Opcode.FOOTER:
        contents.finished = True
    elif opcode in {Opcode.HEADER, Opcode.METADATA, Opcode.ATTACHMENT}:
        payload = file.read(length)
        stream = ReadDataStream(BytesIO(payload))
        if opcode == Opcode.HEADER:
            contents.profile = Header.read(stream).profile
        elif opcode == Opcode.METADATA:
            record = Metadata.read(stream)
            contents.metadata[record.name] = record.metadata
        else:
            attachment = Attachment.read(stream)
            if zlib.crc32(payload[:-4]) != struct.unpack("<I", payload[-4:])[0]:
                raise ValueError("wrong CRC")
            contents.attachments[attachment.name] = attachment.data


def _drop_broken_end(file: IO[bytes], contents: _Contents) -> None:
    """A power cut may leave the room of the last chunks without their content."""
    while contents.chunks:
        offset, length = contents.chunks[-1]
        try:
            _chunk_records(file, offset, length)
        except _DAMAGE:
            contents.chunks.pop()
            contents.readable = offset - _RECORD.size
        else:
            return


def _chunk_records(file: IO[bytes], offset: int, length: int) -> list[McapRecord]:
    file.seek(offset)
    chunk = Chunk.read(ReadDataStream(BytesIO(file.read(length))))
    return breakup_chunk(chunk, validate_crc=True)


def _message(topic: str, record: McapMessage) -> Message:
    """A message as its type; KeyError, ValueError or TypeError if it is not what its topic says."""
    body = json.loads(record.data)
    host_ns = record.log_time
    message: Message
    if topic == fmt.SENSOR_BYTES:
        message = SensorBytes(host_ns, base64.b64decode(body["data"], validate=True), body["source"])
    elif topic == fmt.SENSOR_STAMPS:
        message = SensorStamps(host_ns, body["source"], tuple(body["sensor_us"]), tuple(body["host_ns"]))
    elif topic == fmt.ESTIMATES:
        vectors = {name: np.array(_numbers(body[name]), dtype=np.float64) for name in fmt.ESTIMATE_VECTORS}
        time_s = fmt.number_from_json(body["time_s"])
        message = LoggedEstimate(
            host_ns=host_ns,
            index=body["index"],
            time_s=time_s,
            valid=body["valid"],
            novelty=fmt.number_from_json(body.get("novelty", "NaN")),
            **vectors,
        )
    elif topic == fmt.TIMING:
        age_ms, compute_us = (fmt.number_from_json(body[key]) for key in ("age_ms", "compute_us"))
        message = Timing(host_ns, body["index"], age_ms, compute_us)
    elif topic == fmt.COMMANDS:
        message = LoggedCommand(body["time_us"], body["sequence"], body["state"], tuple(_numbers(body["torque_nm"])))
    elif topic == fmt.FAULTS:
        message = Fault(host_ns, body["code"], body["text"])
    elif topic == fmt.LOSSES:
        message = Loss(host_ns, {key: count for key, count in body.items() if count})
    else:
        message = Note(host_ns, body["text"])
    return message


def _numbers(values: dict[str, float | str]) -> list[float]:
    return [fmt.number_from_json(value) for value in values.values()]
