"""Reading logs back: bit for bit, and never more nor less than what a damaged file holds."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import Writer
from numpy.typing import NDArray

from edge.errors import LogError
from edge.record import format as fmt
from edge.record.recorder import Recorder, session_header
from edge.record.session_log import (
    LoggedCommand,
    LoggedEstimate,
    Note,
    SensorBytes,
    SensorStamps,
    Timing,
    read_log,
    same_estimate,
)
from edge.signals.hookup import Source
from edge.signals.timeline import Stamp

BUNDLE = b"PK\x03\x04 a bundle" * 50
EVERY_FLOAT64 = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True),
    # Every bit pattern, so every NaN there is.
    st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan")]),
)


def open_recorder(path: Path, attachments: dict[str, bytes] | None = None, **changes: Any) -> Recorder:
    header = session_header(
        bundle=BUNDLE,
        sensors=[{"url": "replay:walk.mot"}],
        output_url="null:",
        config={"rate_hz": 200},
        joint_names=["hip", "knee", "ankle"],
        muscle_names=["a", "b"],
        row_names=["hip", "knee", "ankle", "hip_adduction"],
    )
    attachments = {"config.toml": b"x = 1\n"} if attachments is None else attachments
    return Recorder(path, {**header, **changes}, bundle=BUNDLE, attachments=attachments)


@dataclass(frozen=True)
class ACommand:
    time_us: int
    sequence: int
    state: int
    torque_nm: tuple[float, ...]


def vector(values: list[float]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def an_estimate(index: int, numbers: list[float]) -> LoggedEstimate:
    """An estimate of 3 joints, 4 rows and 2 muscles from 22 numbers; one of them is its novelty too."""
    n = vector(numbers)
    return LoggedEstimate(
        host_ns=index,
        index=index,
        time_s=numbers[0],
        q=n[1:4],
        qd=n[4:7],
        qdd=n[7:10],
        torque_nm=n[10:14],
        activation=n[14:16],
        force_n=n[16:18],
        reserve_nm=n[18:22],
        valid=index % 2 == 0,
        novelty=math.nan if math.isnan(numbers[2]) else numbers[2],
    )


def bits(values: object) -> bytes:
    return np.asarray(values, dtype="<f8").tobytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of several chunks."""
    path = tmp_path_factory.mktemp("logs") / "a.mcap"
    random = np.random.default_rng(0)
    with open_recorder(path) as log:
        for i in range(250):
            assert log.sensor_bytes(i, random.bytes(4000))
            log.note(i, f"note {i}")
    assert log.check() is None
    return path


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(EVERY_FLOAT64, min_size=22, max_size=22), min_size=1, max_size=20))
def test_every_float_comes_back_bit_for_bit(rows: list[list[float]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("log") / "a.mcap"
    sent = [an_estimate(i, row) for i, row in enumerate(rows)]
    commands = [ACommand(i, i, i % 4, tuple(row[:3])) for i, row in enumerate(rows)]
    with open_recorder(path) as log:
        for estimate, command, row in zip(sent, commands, rows, strict=True):
            assert log.estimate(estimate.host_ns, estimate)
            assert log.command(command)
            assert log.timing(estimate.host_ns, estimate.index, row[0], row[1])
    read = read_log(path)
    got = list(read.estimates())
    assert len(got) == len(sent)
    for a, b in zip(sent, got, strict=True):
        assert a.host_ns == b.host_ns
        assert same_estimate(a, b)
    for c, d in zip(commands, read.commands(), strict=True):
        assert (c.time_us, c.sequence, c.state) == (d.time_us, d.sequence, d.state)
        assert bits(c.torque_nm) == bits(d.torque_nm)
    for row, t in zip(rows, read.timings(), strict=True):
        assert bits(row[:2]) == bits([t.age_ms, t.compute_us])


@given(EVERY_FLOAT64)
def test_the_json_of_a_number_is_json_and_exact(value: float) -> None:
    text = json.dumps(fmt.number_to_json(value), allow_nan=False)
    assert bits(fmt.number_from_json(json.loads(text))) == bits(value)


@pytest.mark.parametrize("text", ["nan", "1.0", "NaN:xyz", "NaN:00", ""])
def test_other_texts_are_no_numbers(text: str) -> None:
    with pytest.raises((ValueError, struct.error)):
        fmt.number_from_json(text)


def test_same_estimate_sees_every_difference() -> None:
    numbers = [0.0] * 22
    base = an_estimate(2, numbers)
    assert same_estimate(base, an_estimate(2, numbers))
    assert not same_estimate(base, an_estimate(4, numbers))
    for i in range(22):
        changed = numbers.copy()
        changed[i] = -0.0
        assert not same_estimate(base, an_estimate(2, changed))
    nan = [float("nan")] * 22
    assert same_estimate(an_estimate(2, nan), an_estimate(2, nan))


def test_messages_come_in_the_order_of_recording_with_their_text(tmp_path: Path) -> None:
    with open_recorder(tmp_path / "a.mcap") as log:
        log.sensor_bytes(50, b"", 1)
        log.stamps(50, 1, [Stamp(3, 4, None), Stamp(2**63 + 1, -(2**70), 7)])
        log.note(40, "Grüße \udcff\n")  # stamps of two clocks may go back; a lone surrogate comes from odd file names
        log.timing(30, 1, 2.0, 3.0)
        log.sensor_bytes(20, b"\x00" * 70_000)
        log.command(ACommand(7, 1, 0, ()))
        log.fault(10, "rate", "knee: too fast")
    read = read_log(log.path)
    messages = list(read.messages())
    assert messages[:6] == [
        SensorBytes(50, b"", 1),
        SensorStamps(50, 1, (3, 2**63 - 1), (4, -(2**63))),  # what no clock says is cut
        Note(40, "Grüße \\udcff\n"),
        Timing(30, 1, 2.0, 3.0),
        SensorBytes(20, b"\x00" * 70_000),
        LoggedCommand(7, 1, 0, ()),
    ]
    (fault,) = read.faults()
    assert (fault.host_ns, fault.code, fault.text) == (10, "rate", "knee: too fast")
    assert list(read.notes()) == [messages[2]]
    assert list(read.sensor_stamps()) == [messages[1]]
    assert list(read.losses()) == []
    assert read.attachments == {"bundle.msk": BUNDLE, "config.toml": b"x = 1\n"}
    assert read.sources == [Source("replay:walk.mot")]
    assert read.header["config"] == {"rate_hz": 200}
    assert (read.wearer_filter, read.frozen) == (None, False)  # as in logs of before there were any
    assert read.finished
    assert read.clean
    assert read.unreadable_bytes == 0


def test_what_the_filter_knew_and_whether_it_learned(tmp_path: Path) -> None:
    kept = {"wearer.filter": b"sums"}
    with open_recorder(tmp_path / "a.mcap", attachments=kept, config={"filter": {"learn": False}}) as log:
        pass
    read = read_log(log.path)
    assert (read.wearer_filter, read.frozen) == (b"sums", True)


def test_a_session_without_a_message_is_a_log(tmp_path: Path) -> None:
    with open_recorder(tmp_path / "a.mcap") as log:
        pass
    assert list(read_log(log.path).messages()) == []


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.97])
def test_an_unfinished_log_gives_its_whole_chunks(finished: Path, tmp_path: Path, part: float) -> None:
    data = finished.read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(data[: int(len(data) * part)])
    read = read_log(cut)
    assert not read.finished
    assert not read.clean
    notes = [note.host_ns for note in read.notes()]
    assert notes == list(range(len(notes)))
    assert read.bundle == BUNDLE
    assert read.unreadable_bytes < len(data)


def test_a_power_cut_that_left_zeros_at_the_end(finished: Path, tmp_path: Path) -> None:
    data = finished.read_bytes()
    path = tmp_path / "zeros.mcap"
    keep = len(data) // 2
    path.write_bytes(data[:keep] + bytes(len(data) - keep))
    read = read_log(path)
    assert not read.finished
    notes = list(read.notes())
    assert [note.host_ns for note in notes] == list(range(len(notes)))


def test_damage_in_the_middle_is_an_error_and_not_a_shorter_log(finished: Path, tmp_path: Path) -> None:
    data = bytearray(finished.read_bytes())
    data[len(data) // 2] ^= 0x10
    path = tmp_path / "damaged.mcap"
    path.write_bytes(data)
    with pytest.raises(LogError, match=r"damaged\.mcap is damaged at byte \d+: copy the file again"):
        list(read_log(path).sensor_bytes())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), new=st.binary(min_size=1, max_size=9), cut=st.booleans())
def test_whatever_the_bytes_reading_ends_in_messages_or_a_log_error(
    small: Path, tmp_path: Path, where: float, new: bytes, cut: bool
) -> None:
    data = small.read_bytes()
    at = int(where * len(data))
    path = tmp_path / "any.mcap"
    path.write_bytes(data[:at] + new + (b"" if cut else data[at + len(new) :]))
    problem = None
    try:
        list(read_log(path).messages())
    except LogError as error:
        problem = str(error)
    assert problem is None or "any.mcap" in problem


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "a.mcap"
    with open_recorder(path) as log:
        for i in range(3):
            log.sensor_bytes(i, b"abc")
            log.estimate(i, an_estimate(i, [float(i)] * 22))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut off after 0 bytes"),
        (b"\x89MCA", "cut off after 4 bytes, before the end of its header"),
        (b"time,hip\n0,1\n", "is not a session log"),
    ],
)
def test_files_that_are_no_log(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    with pytest.raises(LogError, match=rf"x\.mcap.*{message}"):
        read_log(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"none\.mcap cannot be read \(No such file"):
        read_log(tmp_path / "none.mcap")
    with pytest.raises(LogError, match=r"cannot be read \(Is a directory"):
        read_log(tmp_path)


def test_cut_off_before_the_end_of_the_bundle(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.mcap"
    data = small.read_bytes()
    path.write_bytes(data[: data.index(BUNDLE) + 20])
    with pytest.raises(LogError, match="before the end of its bundle"):
        read_log(path)


def test_a_foreign_mcap_file(tmp_path: Path) -> None:
    path = tmp_path / "x.mcap"
    writer: Any = Writer(str(path))
    writer.start(profile="ros2")
    writer.finish()
    with pytest.raises(LogError, match="is an MCAP file but not a session log"):
        read_log(path)


def test_a_log_of_a_newer_version(tmp_path: Path) -> None:
    with open_recorder(tmp_path / "a.mcap", log_version=fmt.LOG_VERSION + 1) as log:
        pass
    with pytest.raises(LogError, match=r"has version 3, this edge-msk reads 2: upgrade with"):
        read_log(log.path)


def test_a_bundle_that_is_not_the_one_of_the_header(tmp_path: Path) -> None:
    with open_recorder(tmp_path / "a.mcap", bundle_sha256="0" * 64) as log:
        pass
    with pytest.raises(LogError, match="does not match bundle_sha256"):
        read_log(log.path)


def test_an_older_log_is_refused_with_who_can_read_it(tmp_path: Path) -> None:
    with open_recorder(tmp_path / "a.mcap", log_version=1, edge_msk_version="0.0.9") as log:
        pass
    with pytest.raises(
        LogError, match=r"has version 1, .* says of its sensors: read it with .* that wrote it \(0\.0\.9\)"
    ):
        read_log(log.path)


@pytest.mark.parametrize("sensors", [3, [3], [{}], [{"url": "a:", "channels": 7}], None])
def test_a_header_without_usable_sensors_is_damaged(tmp_path: Path, sensors: Any) -> None:
    with open_recorder(tmp_path / "a.mcap", sensors=sensors) as log:
        pass
    with pytest.raises(LogError, match=r"damaged header"):
        read_log(log.path)
