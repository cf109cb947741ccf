"""The loop's side of the log and its writer: real processes, real pipes, real signals."""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from numpy.typing import NDArray

from edge.errors import LogError
from edge.record.format import COUNTED
from edge.record.recorder import Recorder, new_log_path, session_header
from edge.record.session_log import SensorBytes, read_log
from edge.signals.timeline import Stamp

BUNDLE = bytes(range(256)) * 200
JOINTS, MUSCLES = ["hip", "knee", "ankle"], ["glut_max", "soleus"]


def header(bundle: bytes = BUNDLE) -> dict[str, Any]:
    return session_header(
        bundle=bundle,
        sensors=[{"url": "serial:///dev/ttyACM0"}],
        output_url="null:",
        config={"limits": {"torque_nm": 20.0, "age_ms": float("inf")}},
        joint_names=JOINTS,
        muscle_names=MUSCLES,
        row_names=JOINTS,
    )


def recorder(path: Path) -> Recorder:
    return Recorder(path, header(), bundle=BUNDLE)


@dataclass(frozen=True)
class AnEstimate:
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
    novelty: float = math.nan


@dataclass(frozen=True)
class ACommand:
    time_us: int
    sequence: int
    state: int
    torque_nm: tuple[float, ...]


def wait_for(what: Callable[[], object], timeout_s: float = 2.0) -> bool:
    """Real processes have no virtual clock: look until it is so."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.01)
    return False


def writer_pid(of: Recorder) -> int:
    assert of._process is not None
    return of._process.pid


def stop(pid: int) -> None:
    """SIGSTOP, and wait until every thread of the process has stopped."""
    os.kill(pid, signal.SIGSTOP)
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    assert wait_for(lambda: all((t / "stat").read_text().rpartition(")")[2].split()[0] == "T" for t in threads))


def test_the_public_mcap_reader_shows_a_finished_log(tmp_path: Path) -> None:
    with recorder(tmp_path / "new" / "folder" / "a.mcap") as log:
        v = np.arange(3.0)
        m = np.array([0.5, np.nan])
        assert log.sensor_bytes(1_000, b"\x00\x01\xff", 2)
        assert log.stamps(1_000, 2, [Stamp(70, 900, 70), Stamp(80, 950, None)])
        assert log.estimate(2_000, AnEstimate(7, 0.25, v, v, v, v, m, m, v, True))
        assert log.timing(3_000, 7, 12.5, 180.0)
        assert log.command(ACommand(4, 9, 2, (1.0, -0.0, 2.0)))
        assert log.fault(5_000, "stale", "no sample for 50 ms")
        assert log.note(6_000, "armed")
    assert log.check() is None
    assert log.dropped == 0
    with log.path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        found = {channel.topic: (schema, message) for schema, channel, message in reader.iter_messages()}
        metadata = {record.name: record.metadata for record in reader.iter_metadata()}
        attachments = {record.name: record.data for record in reader.iter_attachments()}
    assert attachments == {"bundle.msk": BUNDLE}
    assert json.loads(metadata["edge-msk"]["header"])["config"]["limits"]["age_ms"] == "Infinity"
    assert metadata["edge-msk-end"]["clean"] == "true"
    assert {s.encoding for s, _ in found.values() if s is not None} == {"jsonschema"}
    assert json.loads(found["/sensor/bytes"][1].data) == {"source": 2, "data": "AAH/"}
    stamps = {"source": 2, "sensor_us": [70, 80], "host_ns": [900, 950]}
    assert (found["/sensor/stamps"][1].log_time, json.loads(found["/sensor/stamps"][1].data)) == (1_000, stamps)
    schema, message = found["/estimates"]
    assert schema is not None
    assert message.log_time == 2_000
    assert "novelty" not in json.loads(message.data)
    assert json.loads(message.data)["activation"] == {"glut_max": 0.5, "soleus": "NaN"}
    assert list(json.loads(schema.data)["properties"]["force_n"]["properties"]) == MUSCLES
    assert json.loads(found["/commands"][1].data)["torque_nm"] == {"hip": 1.0, "knee": -0.0, "ankle": 2.0}
    assert found["/commands"][1].log_time == 4_000


def test_a_killed_writer_costs_the_last_moment_and_not_the_loop(tmp_path: Path) -> None:
    log = recorder(tmp_path / "a.mcap")
    log.open()
    try:
        for i in range(300):
            assert log.sensor_bytes(i, bytes([i % 256]) * 40)
        empty = log.path.stat().st_size
        assert wait_for(lambda: log.path.stat().st_size > empty)
        os.kill(writer_pid(log), signal.SIGKILL)
        assert wait_for(lambda: not log.sensor_bytes(300, b"lost"))
        dropped = log.dropped
        assert log.fault(301, "x", "y") is False
        assert log.dropped == dropped + 1
        assert log.dropped_by_topic["/faults"] == 1
        problem = log.check()
        assert problem is not None
        assert "SIGKILL" in problem
        assert str(log.path) in problem
    finally:
        assert log.close() == log.path
    assert log.check() == problem
    read = read_log(log.path)
    assert not read.finished
    assert not read.clean
    assert read.bundle == BUNDLE
    assert [m.received_ns for m in read.sensor_bytes()] == list(range(300))


LOOP = """
import sys, time
from pathlib import Path
from test_recorder import recorder
log = recorder(Path(sys.argv[1]))
log.open()
for i in range(100):
    log.sensor_bytes(i, b"chunk %d" % i)
print("running", flush=True)
time.sleep(60)
"""


def test_when_the_loop_is_killed_its_writer_finishes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    here = Path(__file__).resolve().parent
    environment = {**os.environ, "PYTHONPATH": f"{here.parent.parent.parent}:{here}"}
    command = [sys.executable, "-c", LOOP, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as loop:
        assert loop.stdout is not None
        assert loop.stdout.readline() == b"running\n"
        loop.kill()
    assert wait_for(lambda: read_log(path).finished)
    read = read_log(path)
    assert not read.clean
    assert [m.data for m in read.sensor_bytes()] == [b"chunk %d" % i for i in range(100)]


def test_the_loop_never_waits_for_a_stopped_writer_and_the_log_tells_the_loss(tmp_path: Path) -> None:
    log = recorder(tmp_path / "a.mcap")
    log.open()
    pid = writer_pid(log)
    chunk = bytes(5000)  # above PIPE_BUF: the pipe may take a part of it
    stop(pid)
    accepted, longest = [], 0.0
    try:
        for i in range(2000):
            start = time.perf_counter()
            handed_over = log.sensor_bytes(i, chunk)
            longest = max(longest, time.perf_counter() - start)
            if handed_over:
                accepted.append(i)
        sent = len(accepted)
        assert log.dropped == 2000 - sent > 0
        assert longest < 0.25  # generous: a busy machine may take the core away from us, the pipe would take for ever
        assert log.check() is None
    finally:
        os.kill(pid, signal.SIGCONT)
    assert wait_for(lambda: log.note(5000, "again"))
    missed_notes = log.dropped_by_topic["/notes"]
    log.close()
    assert log.check() is None
    read = read_log(log.path)
    assert read.clean
    chunks = list(read.sensor_bytes())
    assert [m.received_ns for m in chunks] == accepted == list(range(sent))
    assert all(m.data == chunk for m in chunks)
    assert sum(loss.counts.get("/sensor/bytes", 0) for loss in read.losses()) == 2000 - sent
    assert sum(loss.counts.get("/notes", 0) for loss in read.losses()) == missed_notes
    assert read.dropped == dict.fromkeys(COUNTED, 0) | {"/sensor/bytes": 2000 - sent, "/notes": missed_notes}
    kinds = [type(m).__name__ for m in read.messages()]
    assert kinds.index("Loss") == sent < kinds.index("Note")


def test_closing_a_writer_that_hangs_is_bounded_and_said(tmp_path: Path) -> None:
    log = recorder(tmp_path / "a.mcap")
    log.open()
    assert log.sensor_bytes(1, b"a")
    stop(writer_pid(log))
    start = time.monotonic()
    log.close(timeout_s=0.3)
    assert time.monotonic() - start < 2.0
    problem = log.check()
    assert problem is not None
    assert "was not finished within 0.3 s" in problem
    assert read_log(log.path).bundle == BUNDLE


def test_the_writer_outlives_the_signals_of_the_terminal_and_of_systemd(tmp_path: Path) -> None:
    with recorder(tmp_path / "a.mcap") as log:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(writer_pid(log), number)
        assert log.sensor_bytes(1, b"a")
    assert log.check() is None
    assert [type(m) for m in read_log(log.path).messages()] == [SensorBytes]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_folder_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match=r"log folder .*file/logs cannot be made .*choose another folder"):
        recorder(tmp_path / "file" / "logs" / "a.mcap").open()
    # Nobody, root included, can make a file in /proc: here it is the writer that is refused.
    with pytest.raises(LogError, match=r"session log /proc/a.mcap cannot be written .*choose another folder"):
        recorder(Path("/proc/a.mcap")).open()


def test_a_log_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    path.write_text("mine")
    with pytest.raises(LogError, match="exists already"):
        recorder(path).open()
    assert path.read_text() == "mine"


class SmallDisk:
    """Files of processes started within cannot grow beyond `size`: their writes fail as on a full disk."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def __enter__(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_a_disk_that_is_full_at_the_start_leaves_no_file(tmp_path: Path) -> None:
    log = recorder(tmp_path / "a.mcap")
    with SmallDisk(10_000), pytest.raises(LogError, match=r"a\.mcap cannot be written \(.*free space"):
        log.open()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_said_and_the_loop_goes_on(tmp_path: Path) -> None:
    log = recorder(tmp_path / "a.mcap")
    with SmallDisk(len(BUNDLE) + 60_000):
        log.open()
    random = np.random.default_rng(1)
    for i in range(20):
        assert log.sensor_bytes(i, b"small")
    size = log.path.stat().st_size
    assert wait_for(lambda: log.path.stat().st_size > size)
    for i in range(20, 40):
        log.sensor_bytes(i, random.bytes(10_000))
    assert wait_for(lambda: log.check() is not None)
    problem = log.check()
    assert problem is not None
    assert "cannot be written" in problem
    assert log.sensor_bytes(40, b"") is False
    assert log.dropped > 0
    log.close()
    assert log.check() == problem
    read = read_log(log.path)
    assert not read.finished
    assert [m.received_ns for m in read.sensor_bytes()][:20] == list(range(20))


def test_before_open_and_after_close_messages_are_counted(tmp_path: Path) -> None:
    log = recorder(tmp_path / "a.mcap")
    assert log.sensor_bytes(1, b"") is False
    assert log.close() == log.path
    with log:
        assert log.sensor_bytes(2, b"x")
    assert log.close() == log.path
    assert log.note(3, "late") is False
    assert log.dropped == 2
    assert [m.received_ns for m in read_log(log.path).sensor_bytes()] == [2]


def test_names_that_do_not_fit_lose_nothing(tmp_path: Path) -> None:
    with recorder(tmp_path / "a.mcap") as log:
        assert log.command(ACommand(1, 2, 3, (1.5,)))
    (command,) = read_log(log.path).commands()
    assert command.torque_nm == (1.5,)


def test_new_log_path_is_new(tmp_path: Path) -> None:
    first = new_log_path(tmp_path)
    first.write_text("")
    second = new_log_path(tmp_path)
    assert first.suffix == second.suffix == ".mcap"
    assert not second.exists()
    assert second.name.startswith("session-")


def test_the_header_ties_the_clocks_and_holds_what_ran() -> None:
    made = header()
    wall_then = made["clock"]["wall_ns"] - made["clock"]["monotonic_ns"]
    assert abs(wall_then - (time.time_ns() - time.monotonic_ns())) < 50_000_000
    assert made["command_names"] == JOINTS
    json.dumps(made, allow_nan=False)
