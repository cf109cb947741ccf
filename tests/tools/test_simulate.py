"""The simulator over real pseudo-terminals, with short recordings; its timing on a virtual clock."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tiny_bundle import tiny_bundle, write_swinging_leg, write_tiny_bundle

from edge.bundle import Bundle
from edge.cli import cli
from edge.config import load_config
from edge.errors import EdgeMskError, FileError, OutputError
from edge.pipeline import Pipeline
from edge.sensors import SensorLostError, open_sensor
from edge.sensors.frame import Frame, FrameDecoder, Kind
from edge.signals.hookup import Source
from tools import simulate as module
from tools.disturb import Disturbance, Fate, Packet, disturb
from tools.pty_line import PtyLine
from tools.segment_imus import imu_playback
from tools.simulate import Player


def recording(count: int = 20, step_us: int = 10_000) -> list[Frame]:
    return [
        Frame(kind, 0, i, i * step_us, (0.5, -0.25, i / 8) if kind == Kind.ANGLES else (1.0,) * 10)
        for i in range(count)
        for kind in (int(Kind.ANGLES), int(Kind.IMU))
    ]


class Reader(threading.Thread):
    """Opens the link when it appears and reads until it has `want` frames, or the line is gone."""

    def __init__(self, link: Path, want: int | None = None) -> None:
        super().__init__(daemon=True)
        self.link = link
        self.want = want
        self.data = b""
        self.frames: list[Frame] = []
        self.decoder = FrameDecoder()
        self.failure: EdgeMskError | None = None
        self.start()

    def run(self) -> None:
        deadline = time.monotonic() + 5.0
        while not self.link.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        try:
            sensor = open_sensor(f"serial://{self.link}?baud=921600&protocol=emsk")
            try:
                while (self.want is None or len(self.frames) < self.want) and time.monotonic() < deadline:
                    data = sensor.read(0.1)
                    self.data += data
                    self.frames += self.decoder.push(data)
            finally:
                sensor.close()
        except SensorLostError:
            return
        except EdgeMskError as error:
            self.failure = error


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Frame]], None]:
    """Play these frames, whatever trial is named, after a short settling time."""
    monkeypatch.setattr(module, "SETTLE_S", 0.06)

    def use(frames: list[Frame]) -> None:
        monkeypatch.setattr(module, "playback", lambda path, *, side, model: frames)

    return use


def invoke(link: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["simulate", "walk.mot", "--link", str(link), *options])


def report(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    read: dict[str, Any] = json.loads(result.stdout)
    return read


def test_every_byte_arrives_at_the_true_rate(tmp_path: Path, quick: Any) -> None:
    quick(recording())
    link = tmp_path / "leg"
    reader = Reader(link)
    result = report(invoke(link, "--json", "--linger", "0.05", "--save-bytes", str(tmp_path / "sent.bin")))
    reader.join(5)
    assert reader.failure is None
    assert reader.frames == recording()
    assert reader.data == (tmp_path / "sent.bin").read_bytes()
    assert (result["frames"], result["sent"], result["bytes"]) == (40, 40, len(reader.data))
    assert (result["dropped"], result["corrupted"], result["duplicated"]) == (0, 0, 0)
    assert result["intact"] == {"angles": 20, "imu": 20}
    assert result["ended"] == "complete"
    assert result["all_taken"] is True
    assert 0.189 < result["duration_s"] < 3.0
    assert 0.0 <= result["late_ms"]["p50"] <= result["late_ms"]["p99"] <= result["late_ms"]["max"]
    assert not link.is_symlink()
    assert [path.name for path in tmp_path.iterdir()] == ["sent.bin"]


def test_more_than_the_kernel_holds_arrives_without_pacing(tmp_path: Path, quick: Any) -> None:
    frames = recording(3_000)
    quick(frames)
    link = tmp_path / "leg"
    reader = Reader(link)
    result = report(invoke(link, "--json", "--speed", "0", "--linger", "0"))
    reader.join(5)
    assert result["bytes"] > 200_000
    assert reader.frames == frames
    assert result["all_taken"] is True
    assert result["late_ms"] == {"p50": None, "p99": None, "max": None}


def test_disturbances_are_counted_as_the_receiver_sees_them(tmp_path: Path, quick: Any) -> None:
    frames = recording(300)
    quick(frames)
    link = tmp_path / "leg"
    reader = Reader(link)
    options = ("--drop", "0.1", "--corrupt", "0.05", "--duplicate", "0.1", "--noise-deg", "0.5", "--jitter-ms", "1")
    result = report(invoke(link, "--json", "--speed", "0", "--linger", "0", "--seed", "3", *options))
    reader.join(5)
    expected = list(disturb(frames, Disturbance(0.5, 1.0, 0.1, 0.05, 0.1), seed=3))
    assert reader.data == b"".join(packet.data for packet in expected)
    for name, fate in (("dropped", Fate.DROPPED), ("corrupted", Fate.CORRUPTED), ("duplicated", Fate.DUPLICATED)):
        assert result[name] == sum(packet.fate is fate for packet in expected) > 0
    assert result["sent"] == 600 - result["dropped"] + result["duplicated"]
    assert sum(result["intact"].values()) == len(reader.frames)
    assert reader.decoder.counters.duplicates == result["duplicated"]


def test_a_loop_ends_when_the_reader_leaves(tmp_path: Path, quick: Any) -> None:
    quick(recording(5, step_us=2_000))
    link = tmp_path / "leg"
    reader = Reader(link, want=40)
    result = invoke(link, "--loop", "--speed", "10")
    reader.join(5)
    assert result.exit_code == 0
    assert "reader closed: " in result.stderr
    assert "late by" in result.stderr
    assert result.stdout == ""
    angles = [frame for frame in reader.frames if frame.kind == Kind.ANGLES]
    assert [frame.sequence for frame in angles] == list(range(len(angles)))
    assert [frame.time_us for frame in angles] == [i * 2_000 for i in range(len(angles))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("with_reader", [False, True])
def test_a_signal_ends_it_cleanly(tmp_path: Path, quick: Any, number: signal.Signals, with_reader: bool) -> None:
    quick(recording())
    link = tmp_path / "leg"
    reader = Reader(link) if with_reader else None

    def interrupt() -> None:
        while reader.data == b"" if reader else not link.exists():
            time.sleep(0.005)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    saved = tmp_path / "sent.bin"
    result = report(invoke(link, "--loop", "--json", "--save-bytes", str(saved)))
    assert result["ended"] == "stopped"
    assert saved.stat().st_size == result["bytes"]
    assert (result["frames"] > 0) is with_reader
    assert not link.is_symlink()
    if reader:
        reader.join(5)


def test_a_reader_that_only_looks_in_does_not_start_it(tmp_path: Path) -> None:
    with PtyLine(tmp_path / "leg") as line:
        assert not line.has_reader()
        for _ in range(2):
            fd = os.open(tmp_path / "leg", os.O_RDWR | os.O_NOCTTY)
            assert line.has_reader()
            os.close(fd)
            assert not line.has_reader()


def test_unread_counts_what_the_reader_has_not_taken(tmp_path: Path) -> None:
    with PtyLine(tmp_path / "leg") as line:
        fd = os.open(tmp_path / "leg", os.O_RDWR | os.O_NOCTTY)
        assert line.unread() == 0
        assert line.write(b"12345") == 5
        deadline = time.monotonic() + 2
        while line.unread() != 5:
            assert time.monotonic() < deadline
        os.read(fd, 3)
        assert line.unread() == 2
        assert line.has_reader()
        os.write(fd, b"command")
        while not (got := line.discard_input()):
            assert time.monotonic() < deadline
        assert got == 7
        assert line.discard_input() == 0
        os.close(fd)


def test_links_that_are_somebodys_are_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    alias = tmp_path / "alias"
    alias.symlink_to(file)
    for taken in (file, folder, alias):
        with pytest.raises(FileError, match=rf"{taken} exists already and is not overwritten"):
            PtyLine(taken).__enter__()
    assert file.read_text() == "precious"
    assert alias.readlink() == file
    with PtyLine(tmp_path / "leg"), pytest.raises(FileError, match="exists already"):
        PtyLine(tmp_path / "leg").__enter__()
    with pytest.raises(FileError, match="No such file or directory"):
        PtyLine(tmp_path / "missing" / "leg").__enter__()


def test_a_dangling_link_is_replaced_and_a_foreign_one_left(tmp_path: Path) -> None:
    link = tmp_path / "leg"
    link.symlink_to("/dev/pts/999999")
    with PtyLine(link) as line:
        assert str(link.readlink()) == line.device
        link.unlink()
        link.symlink_to("/elsewhere")
    assert str(link.readlink()) == "/elsewhere"


def test_refusals_are_one_line_and_leave_nothing(tmp_path: Path, quick: Any) -> None:
    quick(recording())
    taken = tmp_path / "file"
    taken.write_text("x")
    cases = [
        (invoke(taken, "--save-bytes", str(tmp_path / "sent.bin")), "exists already and is not overwritten"),
        (invoke(tmp_path / "leg", "--save-bytes", str(tmp_path / "no" / "sent.bin")), "sent.bin (No such file"),
        (invoke(tmp_path / "leg", "--save-bytes", str(tmp_path)), "it is a folder"),
        (invoke(tmp_path / "leg", "--jitter-ms", "1e300"), "jitter_ms = 1e+300: use a number from 0 to 10000"),
        (invoke(tmp_path / "leg", "--noise-deg", "nan"), "noise_deg = nan: use a number from 0 to 360"),
        (invoke(tmp_path / "leg", "--drop", "0.9", "--corrupt", "0.9"), "use probabilities whose sum is at most 1"),
    ]
    quick([])
    cases.append((invoke(tmp_path / "leg"), "walk.mot: the trial holds no samples"))
    for result, text in cases:
        assert result.exit_code == 1
        assert text in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_imus_and_the_bundle_that_knows_how_they_sit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_S", 0.06)
    walk, link, out = write_swinging_leg(tmp_path / "swing.mot"), tmp_path / "leg", tmp_path / "imus.msk"
    tiny = write_tiny_bundle(tmp_path / "tiny.msk")
    reader = Reader(link)
    options = ("--link", str(link), "--imus", "--seed", "4", "--speed", "0", "--linger", "0", "--json")
    result = CliRunner().invoke(cli, ["simulate", str(walk), *options, "--align", str(tiny.path), str(out)])
    reader.join(5)
    assert report(result)["intact"] == {"imu": 100}
    expected, alignment = imu_playback(walk, seed=4)
    assert reader.frames == expected
    bundle = Bundle.read(out)
    assert bundle.alignment is not None
    np.testing.assert_array_equal(bundle.alignment.rotation, alignment.rotation)
    # What it says is a configuration that runs.
    said = result.stderr.splitlines()
    config = tmp_path / "imus.toml"
    config.write_text("\n".join(said[1:4]) + "\n")
    assert str(out) in said[0]
    (source,) = load_config(config).sources()
    assert source == Source(f"serial://{link}", ("pelvis", "thigh", "shank", "foot"))
    assert Pipeline(bundle, [source]).feed(reader.data, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--no-orientation",), "--no-orientation and --align are for --imus"),
        (("--align", "demo", "out.msk"), "--no-orientation and --align are for --imus"),
        (("--imus", "--noise-deg", "1"), "--noise-deg is of joint angles"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    result = invoke(tmp_path / "leg", *options)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_bundle_of_another_limb_is_not_aligned(tmp_path: Path) -> None:
    walk = write_swinging_leg(tmp_path / "swing.mot")
    tiny_bundle(tmp_path / "knee.msk", model_name="knee5").write()
    options = (
        "--link",
        str(tmp_path / "leg"),
        "--imus",
        "--align",
        str(tmp_path / "knee.msk"),
        str(tmp_path / "o.msk"),
    )
    result = CliRunner().invoke(cli, ["simulate", str(walk), *options])
    assert result.exit_code == 1
    assert (
        "`imu_alignment` in manifest.json is of pelvis, thigh, shank, foot, the model has thigh, shank" in result.stderr
    )
    assert not (tmp_path / "o.msk").exists()


@pytest.mark.parametrize("option", ["--speed", "--linger"])
def test_a_time_that_is_no_number_is_wrong_usage(tmp_path: Path, option: str) -> None:
    result = invoke(tmp_path / "leg", option, "nan")
    assert result.exit_code == 2
    assert "nan is not a finite number" in result.stderr


def test_help_has_an_example() -> None:
    result = CliRunner().invoke(cli, ["simulate", "--help"])
    assert result.exit_code == 0
    assert "Example:\n    edge-msk simulate walk.mot --link" in result.stdout


class VirtualLine:
    """A line and the clock it lives by."""

    def __init__(self, *, room: int = 1 << 30, oversleep_s: float = 0.0) -> None:
        self.now_ns = 0
        self.oversleep_s = oversleep_s
        self.room = room
        self.written: list[tuple[int, bytes]] = []
        self.reader = True

    def clock(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round((seconds + self.oversleep_s) * 1e9)

    def has_reader(self) -> bool:
        return self.reader

    def write(self, data: bytes) -> int:
        taken = min(len(data), self.room)
        self.room -= taken
        if taken:
            self.written.append((self.now_ns, data[:taken]))
        return taken

    def discard_input(self) -> int:
        return 0


def packets(count: int) -> list[Packet]:
    return [Packet(i * 10_000, 1, b"frame", Fate.SENT) for i in range(count)]


def test_deadlines_are_absolute_and_lateness_is_measured() -> None:
    line = VirtualLine(oversleep_s=0.002)
    player = Player(line, speed=1.0, stopping=lambda: False, clock=line.clock, sleep=line.sleep)
    summary = player.play(packets(100))
    assert [at_ns for at_ns, _ in line.written] == [0] + [i * 10_000_000 + 2_000_000 for i in range(1, 100)]
    assert summary.late_ms(0.5) == summary.late_ms(1.0) == 2.0
    assert summary.duration_s == pytest.approx(0.992)


def test_a_reader_that_takes_nothing_is_an_error() -> None:
    line = VirtualLine(room=12)
    sent: list[bytes] = []
    player = Player(line, speed=1.0, stopping=lambda: False, save=sent.append, clock=line.clock, sleep=line.sleep)
    with pytest.raises(OutputError, match="has taken nothing for 5 s"):
        player.play(packets(5))
    assert b"".join(sent) == b"frameframefr"
    assert 5.0 < line.now_ns * 1e-9 < 5.2


def test_a_reader_that_leaves_while_the_line_is_full_ends_it() -> None:
    line = VirtualLine(room=12)
    polls = iter([True] * 4)
    line.has_reader = lambda: next(polls, False)  # type: ignore[method-assign]
    player = Player(line, speed=1.0, stopping=lambda: False, clock=line.clock, sleep=line.sleep)
    summary = player.play(packets(5))
    assert summary.ended == "reader closed"
    assert (summary.frames, summary.bytes_sent) == (2, 12)
