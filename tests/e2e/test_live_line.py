"""The main job as it is used: sensor and program are processes, between them lies a serial line."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import pytest
from live_line import Ended, Program, Wire, decode, edge_msk, encode, samples, wait_for
from tiny_bundle import write_tiny_bundle

from edge.bundle import Bundle, packaged_bundles
from edge.pipeline import Pipeline
from edge.record.session_log import SessionLog, read_log, same_estimate

TRIAL = Path("gait10_walk") / "ik.mot"
ROWS = 151


class Live:
    """One trial played through the line: what each side says of it, and the log."""

    def __init__(self, folder: Path, trial: Path, bundle: str, *options: object) -> None:
        link, self.bytes_file = folder / "leg", folder / "sent.bin"
        sensor = Program(
            folder,
            "simulate",
            trial,
            "--link",
            link,
            "--save-bytes",
            self.bytes_file,
            "--linger",
            60,
            "--json",
            *options,
        )
        wait_for(link)
        with Wire() as command_line:
            program = Program(
                folder,
                *("run", "--bundle", bundle, "--sensor", f"serial://{link}?baud=921600&protocol=emsk", "--json"),
                *("--output", f"serial://{command_line.path}", "--duration", 3.6, "--log", "session.mcap", "--no-view"),
            )
            self.run = program.end()
            self.sensor = sensor.end()
        self.commands = command_line.received
        assert (self.run.code, self.sensor.code) == (0, 0), (self.run, self.sensor)
        # The recording ends before the session does: that the sensor has fallen silent is noticed, and said once.
        assert "stale_sensor" in self.run.summary["faults"]  # a busy machine may add `deadline`
        assert self.run.err.startswith("warning: ")
        assert self.run.err.count("\n") == 1
        self.bundle = Bundle.read(folder / bundle if bundle.endswith(".msk") else bundle)
        self.log: SessionLog = read_log(folder / "session.mcap")
        self.sent = self.bytes_file.read_bytes()
        self.replay = edge_msk(folder, "replay", "session.mcap", "--json")

    def check_that_nothing_was_lost(self) -> None:
        """Every byte arrived, and the estimates are those of the bytes alone, live, offline and replayed."""
        assert self.sensor.summary["all_taken"]
        assert b"".join(chunk.data for chunk in self.log.sensor_bytes()) == self.sent
        offline = Pipeline(self.bundle)
        expected = offline.feed(self.sent, 0)
        logged = list(self.log.estimates())
        assert len(logged) == len(expected) == self.run.summary["estimates"]
        for live, again in zip(logged, expected, strict=True):
            assert same_estimate(live, again)
        counters, summary = offline.counters, self.run.summary
        assert (counters.samples, counters.bad_frames, counters.dropped) == (
            *(summary["samples"], summary["bad_frames"], summary["dropped"]),
        )
        assert self.log.clean
        assert (self.replay.code, self.replay.err) == (0, "")
        assert self.replay.summary == {**summary, "log": "session.mcap", "identical": True}


@pytest.fixture(scope="module")
def live(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Live:
    """The real walking trial at its true rate."""
    folder = tmp_path_factory.mktemp("live")
    write_tiny_bundle(folder / "tiny.msk")
    return Live(folder, data / TRIAL, "demo" if "demo" in packaged_bundles() else "tiny.msk")


def test_every_sample_arrives_and_gives_the_offline_estimates(live: Live) -> None:
    summary = live.run.summary
    assert (summary["samples"], summary["bad_frames"], summary["dropped"]) == (ROWS, 0, 0)
    assert live.sensor.summary["intact"] == {"angles": ROWS, "imu": ROWS}
    assert (summary["state"], Path(summary["log"]).name) == ("fault", "session.mcap")
    live.check_that_nothing_was_lost()


def test_it_ran_at_the_true_rate(live: Live) -> None:
    assert live.sensor.summary["duration_s"] == pytest.approx(2.5, abs=0.5)
    received = [chunk.received_ns for chunk in live.log.sensor_bytes()]
    assert (received[-1] - received[0]) * 1e-9 == pytest.approx(2.5, abs=0.5)
    assert len(received) > ROWS / 2  # as they came, not all at once


def test_the_age_is_that_of_the_design_and_what_the_line_adds(live: Live) -> None:
    age_ms, designed_ms = live.run.summary["age_ms"], live.bundle.age_s * 1e3
    print(f"\nage {age_ms} ms, compute {live.run.summary['compute_us']} us, by design {designed_ms:.0f} ms")
    # A grid moment waits for the sample after it: up to 16.7 ms at the recording's 60 Hz, then the computation.
    assert designed_ms < age_ms["p50"] < designed_ms + 40.0
    assert age_ms["p50"] <= age_ms["p99"] <= age_ms["max"]


def test_the_commands_are_well_formed_and_zero(live: Live) -> None:
    messages = decode(live.commands)
    assert len(messages) > live.run.summary["estimates"]
    assert {(m.kind, m.channels) for m in messages} == {(0x81, (0.0, 0.0, 0.0))}
    assert {m.flags for m in messages} == {0, 3}  # never armed; at the end the sensor was silent
    assert all(b.sequence == a.sequence + 1 and b.time_us > a.time_us for a, b in pairwise(messages))
    assert [m.time_us for m in messages] == [c.time_us for c in live.log.commands()]


def test_a_bad_line_is_counted_and_survived(data: Path, tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny.msk")
    live = Live(
        *(tmp_path, data / TRIAL, "tiny.msk", "--speed", 2, "--seed", 5, "--noise-deg", 0.1, "--jitter-ms", 1),
        *("--drop", 0.03, "--corrupt", 0.03, "--duplicate", 0.03),
    )
    sensor, summary = live.sensor.summary, live.run.summary
    assert min(sensor["dropped"], sensor["corrupted"], sensor["duplicated"]) > 0
    assert summary["samples"] == sensor["intact"]["angles"]
    assert sensor["corrupted"] <= summary["bad_frames"] <= 2 * sensor["corrupted"]
    missing = sensor["dropped"] + sensor["corrupted"]
    assert missing - 5 <= summary["dropped"] <= missing  # what is lost at the very ends is not missed
    assert summary["estimates"] > 150
    live.check_that_nothing_was_lost()
    assert {m.channels for m in decode(live.commands)} == {(0.0, 0.0, 0.0)}


# --- bad input: one line on stderr, exit code 1, no half-written file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "tiny.msk")
    (tmp_path / "quick.toml").write_text("[run]\nfirst_sample_timeout_s = 0.6\n")
    return tmp_path


def run(folder: Path, sensor: str, *options: object) -> Ended:
    return edge_msk(
        folder,
        "run",
        "--bundle",
        "tiny.msk",
        "--sensor",
        sensor,
        "--config",
        "quick.toml",
        "--json",
        "--no-view",
        *options,
    )


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def assert_refused(folder: Path, ended: Ended, before: list[str], *words: str) -> None:
    """Nothing was started: no summary, no file."""
    assert (ended.code, ended.out) == (1, ""), ended
    assert_one_line(ended, *words)
    assert files(folder) == before


def assert_failed(folder: Path, ended: Ended, *words: str, fault: str = "sensor") -> dict[str, Any]:
    """The session began and failed: its log is whole and says why."""
    assert ended.code == 1, ended
    assert_one_line(ended, *words)
    summary = ended.summary
    assert (summary["state"], summary["faults"][-1]) == ("fault", fault)
    log = read_log(folder / summary["log"])
    assert log.clean
    assert [entry.code for entry in log.faults()] == summary["faults"]
    assert all(not any(command.torque_nm) for command in log.commands())
    assert files(folder) == sorted(["quick.toml", "tiny.msk", str(Path(summary["log"]).relative_to(folder))])
    return summary


def assert_one_line(ended: Ended, *words: str) -> None:
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    for word in words:
        assert word in ended.err


def test_a_port_that_does_not_exist(folder: Path) -> None:
    before = files(folder)
    assert_refused(folder, run(folder, "serial:///dev/ttyUSB77"), before, "/dev/ttyUSB77", "does not exist")


HOLD = "import serial, sys; p = serial.Serial(sys.argv[1], exclusive=True); print('held', flush=True); sys.stdin.read()"


def test_a_port_that_another_process_holds(folder: Path) -> None:
    before = files(folder)
    with Wire() as wire:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, wire.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            ended = run(folder, f"serial://{wire.path}")
            holder.communicate("")
    assert_refused(folder, ended, before, wire.path, "busy")


def test_garbage_on_the_line(folder: Path) -> None:
    rng = random.Random(1)
    with Wire(rng.randbytes(60) for _ in repeat(None)) as wire:
        ended = run(folder, f"serial://{wire.path}")
    summary = assert_failed(folder, ended, wire.path, "no valid frame arrived among ", " bytes", "protocol", "baud")
    assert summary["samples"] == 0
    assert summary["bad_frames"] > 0
    received = sum(len(chunk.data) for chunk in read_log(folder / summary["log"]).sensor_bytes())
    assert f"among {received} bytes" in ended.err
    replayed = edge_msk(folder, "replay", summary["log"], "--json")
    assert (replayed.code, replayed.summary["identical"]) == (0, True)


def test_silence(folder: Path) -> None:
    with Wire() as wire:
        ended = run(folder, f"serial://{wire.path}")
    assert_failed(folder, ended, wire.path, "sent nothing", "power")


def test_joint_angles_without_the_pelvis_imu(folder: Path) -> None:
    with Wire(samples(imu=None)) as wire:
        ended = run(folder, f"serial://{wire.path}")
    assert assert_failed(folder, ended, "none of the pelvis IMU (kind 2)")["samples"] > 30


def test_degrees_on_the_line(folder: Path) -> None:
    with Wire(samples((12.0, -25.0, 3.0))) as wire:
        ended = run(folder, f"serial://{wire.path}")
    assert_failed(folder, ended, "'knee' reads -25", "degrees", "radians")


def test_a_pelvis_imu_in_another_convention(folder: Path) -> None:
    with Wire(samples(imu=(0.0, 0.0, 0.0, 1.0, 0.0, 9.81, 0.0, 0.0, 0.0, 0.0))) as wire:
        ended = run(folder, f"serial://{wire.path}")
    assert assert_failed(folder, ended, "pelvis IMU", "w x y z")["estimates"] < 20


def test_a_sensor_for_another_leg(folder: Path) -> None:
    with Wire(samples((0.1, 0.2))) as wire:
        ended = run(folder, f"serial://{wire.path}")
    assert_failed(folder, ended, "2 joint angles", "needs 3 (hip, knee, ankle)")


def test_nan_on_the_line_is_counted_and_survived(folder: Path) -> None:
    nan = float("nan")
    with Wire(samples(spoil=lambda k: (0.2, nan, 0.1) if k % 10 == 9 else None)) as wire:
        ended = run(folder, f"serial://{wire.path}", "--duration", 1.2)
    assert ended.code == 0
    summary = ended.summary
    assert summary["bad_frames"] >= 8
    assert summary["estimates"] > 50
    assert set(summary["faults"]) <= {"deadline", "stale_sensor"}  # of a busy machine


def test_nothing_but_nan(folder: Path) -> None:
    with Wire(samples((float("nan"),) * 3, imu=None)) as wire:
        ended = run(folder, f"serial://{wire.path}")
    assert_failed(folder, ended, "holds a value that is not a number")


def test_a_truncated_bundle(folder: Path) -> None:
    content = (folder / "tiny.msk").read_bytes()
    (folder / "tiny.msk").write_bytes(content[: len(content) * 2 // 3])
    before = files(folder)
    assert_refused(folder, run(folder, "serial:///dev/null"), before, "tiny.msk", "truncated")


def test_a_bundle_with_a_wrong_hash(folder: Path) -> None:
    import zipfile

    with zipfile.ZipFile(folder / "tiny.msk") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["model.json"] = parts["model.json"].replace(b"1.0", b"1.1", 1)
    with zipfile.ZipFile(folder / "tiny.msk", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    before = files(folder)
    assert_refused(
        folder, run(folder, "serial:///dev/null"), before, "tiny.msk: model.json was altered", "`model_sha256`"
    )


def test_the_wire_here_speaks_the_documented_bytes() -> None:
    """The test vector of docs/wire-protocol.md."""
    raw = bytes.fromhex("01 00 01 01 07 00 00 00 40 42 0f 00 00 00 00 00 00 00 00 3f 6c e3")
    encoded = encode(1, 7, 1_000_000, (0.5,))
    document = (Path(__file__).resolve().parents[2] / "docs" / "wire-protocol.md").read_text()
    assert encoded.hex(" ") in document
    assert raw.hex(" ") in document
    (message,) = decode(encoded)
    assert (message.kind, message.sequence, message.time_us, message.channels) == (1, 7, 1_000_000, (0.5,))
    assert os.linesep == "\n"
