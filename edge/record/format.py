"""What the two ends of a session log agree on: topics, JSON encoding, schemas, and the packets between loop and writer.

A log is an MCAP file whose messages are JSON, so that any MCAP tool shows it. JSON has no non-finite numbers and a log
must give back every float64 bit for bit, so finite numbers are written with Python's shortest exact form and the others
as the strings "NaN", "Infinity", "-Infinity", or "NaN:<16 hex digits>" for a NaN with other bits than the usual one.

The loop does none of that: it hands packets of plain binary to the writer's process, each a :data:`PACKET` head and its
payload. This module imports neither NumPy nor mcap: the writer's process starts fast and stays small.
"""

from __future__ import annotations

import enum
import math
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOG_VERSION = 2
"""Version of the log's content; a reader refuses any other. Version 1 had one sensor and no stamps."""
PROFILE = "edge-msk"
"""The MCAP profile, and the name of the metadata record that holds the header."""
END_METADATA = "edge-msk-end"
"""Metadata written when the session ended: keys `clean` ("true", "false") and `dropped` (JSON {topic: count})."""
BUNDLE_NAME = "bundle.msk"
FILTER_NAME = "wearer.filter"
"""What an adaptive filter knew of the wearer when the session began; not there if it knew nothing."""

SENSOR_BYTES = "/sensor/bytes"
SENSOR_STAMPS = "/sensor/stamps"
ESTIMATES = "/estimates"
TIMING = "/timing"
COMMANDS = "/commands"
FAULTS = "/faults"
NOTES = "/notes"
LOSSES = "/losses"


class PacketKind(enum.IntEnum):
    """First field of a packet; those of `TOPIC_OF` become messages of the log."""

    HEADER = 1
    ATTACHMENT = 2
    BEGIN = 3
    SENSOR_BYTES = 4
    ESTIMATE = 5
    TIMING = 6
    COMMAND = 7
    FAULT = 8
    NOTE = 9
    LOSS = 10
    END = 11
    SENSOR_STAMPS = 12


TOPIC_OF = {
    PacketKind.SENSOR_BYTES: SENSOR_BYTES,
    PacketKind.SENSOR_STAMPS: SENSOR_STAMPS,
    PacketKind.ESTIMATE: ESTIMATES,
    PacketKind.TIMING: TIMING,
    PacketKind.COMMAND: COMMANDS,
    PacketKind.FAULT: FAULTS,
    PacketKind.NOTE: NOTES,
    PacketKind.LOSS: LOSSES,
}
COUNTED = tuple(topic for topic in TOPIC_OF.values() if topic != LOSSES)
"""Topics whose losses are counted, in the order of a LOSS packet's numbers."""

PACKET = struct.Struct("<BQI")
"""Kind, log time (monotonic ns), payload length in bytes."""
SOURCE_HEAD = struct.Struct("<B")
"""Number of the sensor: before bytes and stamps."""
STAMP = struct.Struct("<qq")
"""Of one frame: the sender's time (us), and the same moment by the host's clock (ns); as many as there were frames."""
ESTIMATE_HEAD = struct.Struct("<qdBd7H")
"""Index, sensor time (s), valid, novelty, then the lengths of the seven vectors, which follow as float64."""
ESTIMATE_VECTORS = ("q", "qd", "qdd", "torque_nm", "activation", "force_n", "reserve_nm")
TIMING_BODY = struct.Struct("<qdd")
"""Index, age (ms), compute time (us)."""
COMMAND_HEAD = struct.Struct("<QqBH")
"""Time (us), sequence, state, number of torques, which follow as float64."""
LOSS_BODY = struct.Struct(f"<{len(COUNTED)}Q")
TEXT_HEAD = struct.Struct("<H")
"""Length of a first text (attachment name, fault code) in bytes of UTF-8; the rest of the payload is the second."""


class StampLike(Protocol):
    """The times of a frame, see `edge.signals.timeline.Stamp`."""

    @property
    def sensor_us(self) -> int: ...
    @property
    def host_ns(self) -> int: ...


class EstimateLike(Protocol):
    """The attributes of an estimate that are logged; vectors of float64, see `edge.pipeline.Estimate`."""

    @property
    def index(self) -> int: ...
    @property
    def time_s(self) -> float: ...
    @property
    def q(self) -> NDArray[np.float64]: ...
    @property
    def qd(self) -> NDArray[np.float64]: ...
    @property
    def qdd(self) -> NDArray[np.float64]: ...
    @property
    def torque_nm(self) -> NDArray[np.float64]: ...
    @property
    def activation(self) -> NDArray[np.float64]: ...
    @property
    def force_n(self) -> NDArray[np.float64]: ...
    @property
    def reserve_nm(self) -> NDArray[np.float64]: ...
    @property
    def valid(self) -> bool: ...
    @property
    def novelty(self) -> float: ...


class CommandLike(Protocol):
    """A command as it was sent, see `edge.outputs.base.Command`."""

    @property
    def time_us(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def state(self) -> int: ...
    @property
    def torque_nm(self) -> tuple[float, ...]: ...


_QUIET_NAN = "7ff8000000000000"


def number_to_json(value: float) -> float | str:
    """A float64 as what JSON can hold, exactly."""
    if math.isfinite(value):
        return value
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    bits = struct.pack(">d", value).hex()
    return "NaN" if bits == _QUIET_NAN else f"NaN:{bits}"


def number_from_json(value: float | str) -> float:
    """The inverse of :func:`number_to_json`; raises ValueError for any other text."""
    if not isinstance(value, str):
        return float(value)
    if value in {"Infinity", "-Infinity"}:
        return float(value)
    if value != "NaN" and not value.startswith("NaN:"):
        raise ValueError(f"'{value}' is not a number")
    (number,) = struct.unpack(">d", bytes.fromhex(_QUIET_NAN if value == "NaN" else value[4:]))
    return float(number)


def to_json(value: Any) -> Any:
    """Any JSON-able value with its non-finite numbers replaced as in :func:`number_to_json`."""
    if isinstance(value, float):
        return number_to_json(value)
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def named(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Values by name; by position where the names do not fit them, so that nothing is ever left out."""
    if len(names) != len(values) or len(set(names)) != len(names):
        names = [str(i) for i in range(len(values))]
    return dict(zip(names, values, strict=True))


_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^(NaN(:[0-9a-f]{16})?|-?Infinity)$"}]}
_INTEGER = {"type": "integer"}
_INTEGERS = {"type": "array", "items": _INTEGER}
_TEXT = {"type": "string"}


def _vector(names: Sequence[str], description: str) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": dict.fromkeys(names, _NUMBER)}


def schemas(header: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """For each topic the name of its message type and its JSON schema, with the session's joints, rows and muscles."""
    joints, muscles, rows = header["joint_names"], header["muscle_names"], header["row_names"]
    content: dict[str, tuple[str, dict[str, Any]]] = {
        SENSOR_BYTES: (
            "SensorBytes",
            {
                "source": {**_INTEGER, "description": "number of the sensor in the header, from 0"},
                "data": {**_TEXT, "contentEncoding": "base64", "description": "as received; log time: when"},
            },
        ),
        SENSOR_STAMPS: (
            "SensorStamps",
            {
                "source": {**_INTEGER, "description": "number of the sensor in the header, from 0"},
                "sensor_us": {**_INTEGERS, "description": "of each frame: the sender's clock, us; log time: received"},
                "host_ns": {**_INTEGERS, "description": "of each frame: the same moment corrected, monotonic ns"},
            },
        ),
        ESTIMATES: (
            "Estimate",
            {
                "index": _INTEGER,
                "time_s": {**_NUMBER, "description": "moment described, sensor clock, s"},
                "valid": {"type": "boolean"},
                "novelty": {
                    **_NUMBER,
                    "description": "how unlike the training, above 1 too unlike; not there: not told",
                },
                "q": _vector(joints, "joint angles, rad"),
                "qd": _vector(joints, "joint velocities, rad/s"),
                "qdd": _vector(joints, "joint accelerations, rad/s2"),
                "torque_nm": _vector(rows, "torques, Nm"),
                "activation": _vector(muscles, "muscle activations, 0 to 1"),
                "force_n": _vector(muscles, "muscle forces along the tendon, N"),
                "reserve_nm": _vector(rows, "torque that the muscles could not give, Nm"),
            },
        ),
        TIMING: (
            "Timing",
            {
                "index": {**_INTEGER, "description": "of the estimate"},
                "age_ms": {**_NUMBER, "description": "sensor time stamp to command sent, ms"},
                "compute_us": {**_NUMBER, "description": "time spent computing, us"},
            },
        ),
        COMMANDS: (
            "Command",
            {
                "time_us": {**_INTEGER, "description": "host monotonic clock, us"},
                "sequence": _INTEGER,
                "state": {**_INTEGER, "description": "0 disarmed, 1 armed, 2 active, 3 fault"},
                "torque_nm": _vector(header["command_names"], "as sent, after all limits, Nm"),
            },
        ),
        FAULTS: ("Fault", {"code": _TEXT, "text": _TEXT}),
        NOTES: ("Note", {"text": _TEXT}),
        LOSSES: ("Loss", {topic: {**_INTEGER, "description": "messages lost since the last"} for topic in COUNTED}),
    }
    return {
        topic: (f"edge_msk.{name}", {"type": "object", "title": f"edge_msk.{name}", "properties": properties})
        for topic, (name, properties) in content.items()
    }
