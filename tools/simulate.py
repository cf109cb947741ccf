"""`edge-msk simulate`: a recording as a sensor on a pseudo-terminal, at its true rate, with faults on demand."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any, Protocol

import click

from edge.bundle import Bundle
from edge.commands.options import FiniteRange
from edge.errors import FileError, OutputError, TrialError
from edge.sensors.frame import Kind
from edge.sensors.playback import playback
from edge.sensors.player import Schedule, repeat
from edge.signals.alignment import Alignment
from tools.disturb import Disturbance, Fate, Packet, disturb
from tools.pty_line import PtyLine
from tools.segment_imus import imu_playback

SETTLE_S = 0.3
"""A reader flushes its input just after opening; what is sent before that would be lost."""
STALL_S = 5.0
_SLICE_S = 0.02
_CONFIRM_S = 0.005
_LATE_BIN_MS = 0.01


class Line(Protocol):
    """What a recording is played to."""

    def has_reader(self) -> bool: ...
    def write(self, data: bytes) -> int: ...
    def discard_input(self) -> int: ...


@dataclass(slots=True)
class Summary:
    """What was played. `sent` counts frames on the line, duplicates twice; `intact` the distinct whole ones by kind."""

    frames: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    intact: Counter[int] = field(default_factory=Counter)
    bytes_sent: int = 0
    bytes_received: int = 0
    duration_s: float = 0.0
    ended: str = "complete"
    all_taken: bool = False
    late: Counter[int] = field(default_factory=Counter)
    """Lateness of each packet in bins of 10 µs: bounded, however long the loop."""

    def count(self, packet: Packet, late_s: float | None) -> None:
        """Take one packet that was dealt with; `late_s` is None where there was no deadline."""
        self.frames += 1
        self.fates[packet.fate] += 1
        if packet.fate in (Fate.SENT, Fate.DUPLICATED):
            self.intact[packet.kind] += 1
        if late_s is not None and packet.data:
            self.late[round(late_s * 1000.0 / _LATE_BIN_MS)] += 1

    def late_ms(self, fraction: float) -> float | None:
        """The lateness that this fraction of the packets did not exceed, ms."""
        rank = fraction * sum(self.late.values())
        reached = 0
        for lateness, count in sorted(self.late.items()):
            reached += count
            if reached >= rank:
                return round(lateness * _LATE_BIN_MS, 3)
        return None

    def as_dict(self) -> dict[str, Any]:
        """The keys of `--json`."""
        dropped, duplicated = self.fates[Fate.DROPPED], self.fates[Fate.DUPLICATED]
        return {
            "frames": self.frames,
            "sent": self.frames - dropped + duplicated,
            "dropped": dropped,
            "corrupted": self.fates[Fate.CORRUPTED],
            "duplicated": duplicated,
            "intact": {Kind(kind).name.lower(): count for kind, count in sorted(self.intact.items())},
            "bytes": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "duration_s": round(self.duration_s, 6),
            "late_ms": {"p50": self.late_ms(0.5), "p99": self.late_ms(0.99), "max": self.late_ms(1.0)},
            "ended": self.ended,
            "all_taken": self.all_taken,
        }


class Player:
    """Writes packets to a line at their moments, until they end, the reader leaves or `stopping` says so."""

    def __init__(
        self,
        line: Line,
        *,
        speed: float,
        stopping: Callable[[], bool],
        save: Callable[[bytes], object] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.summary = Summary()
        self._line = line
        self._schedule = Schedule(speed, clock)
        self._stopping = stopping
        self._save = save
        self._clock = clock
        self._sleep = sleep

    def play(self, packets: Iterable[Packet]) -> Summary:
        """Send everything. Raises OutputError when the reader takes nothing for `STALL_S`."""
        start_ns = self._clock()
        for packet in packets:
            self._wait_for(packet)
            reason = self._reason_to_end()
            if reason:
                self.summary.ended = reason
                break
            # Lateness is that of the first byte; a line without room shows in the packets after.
            late_s = (self._clock() - self._schedule.due_ns(packet.due_us)) * 1e-9
            if not self._write(packet.data):
                self.summary.ended = self._reason_to_end() or "reader closed"
                break
            self.summary.count(packet, late_s if self._schedule.speed > 0.0 else None)
        self.summary.duration_s = (self._clock() - start_ns) * 1e-9
        return self.summary

    def _wait_for(self, packet: Packet) -> None:
        while not self._stopping():
            wait_s = self._schedule.wait_s(packet.due_us)
            if wait_s <= 0.0:
                return
            self.summary.bytes_received += self._line.discard_input()
            self._sleep(min(wait_s, _SLICE_S))

    def _reason_to_end(self) -> str:
        if self._stopping():
            return "stopped"
        return "" if self._line.has_reader() else "reader closed"

    def _write(self, data: bytes) -> bool:
        """Write all of it, waiting for room; False when the reader left or we are stopping."""
        rest = data
        progress_ns = self._clock()
        while rest:
            written = self._line.write(rest)
            if written:
                progress_ns = self._clock()
                self.summary.bytes_sent += written
                if self._save is not None:
                    self._save(rest[:written])
                rest = rest[written:]
                continue
            if self._reason_to_end():
                return False
            if self._clock() - progress_ns > STALL_S * 1e9:
                raise OutputError(
                    f"the reader has the port open but has taken nothing for {STALL_S:g} s: let it read, or stop it"
                )
            self.summary.bytes_received += self._line.discard_input()
            self._sleep(_SLICE_S / 10)
        return True


@click.command(epilog="\b\nExample:\n  edge-msk simulate walk.mot --link /tmp/leg --drop 0.01 --corrupt 0.001 --loop")
@click.argument("trial", type=click.Path(path_type=Path))
@click.option("--link", required=True, type=click.Path(path_type=Path), help="Name of the port to make.")
@click.option("--side", type=click.Choice(["r", "l"]), default="r", show_default=True, help="Leg that is played.")
@click.option("--model", default="leg9", show_default=True, help="Muscle model whose joints are played.")
@click.option(
    "--speed",
    type=FiniteRange(0.0, 1000.0),
    default=1.0,
    show_default=True,
    help="1 is the true rate, 0 as fast as it is read.",
)
@click.option("--loop", is_flag=True, help="Play for ever; times and sequence numbers go on.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
@click.option("--imus", is_flag=True, help="Send an IMU of every segment, mounted at random, in place of joint angles.")
@click.option(
    "--no-orientation", is_flag=True, help="With --imus: sensors that estimate none send the quaternion 0 0 0 0."
)
@click.option(
    "--align",
    nargs=2,
    metavar="BUNDLE OUT",
    help="With --imus: write the bundle (FILE|demo) with the alignment of these IMUs to the file OUT.",
)
@click.option("--noise-deg", type=float, default=0.0, help="Noise on the joint angles, standard deviation in degrees.")
@click.option("--jitter-ms", type=float, default=0.0, help="Jitter of the time stamps, standard deviation in ms.")
@click.option("--drop", type=float, default=0.0, help="Probability that a frame is lost.")
@click.option("--corrupt", type=float, default=0.0, help="Probability that one bit of a frame is flipped.")
@click.option("--duplicate", type=float, default=0.0, help="Probability that a frame is sent twice.")
@click.option(
    "--linger",
    type=FiniteRange(min=0.0),
    default=1.0,
    show_default=True,
    help="Seconds to keep the port after the end, unless the reader closes it.",
)
@click.option("--save-bytes", type=click.Path(path_type=Path), help="Write exactly what was sent to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object on stdout.")
def simulate(
    trial: Path,
    link: Path,
    side: str,
    model: str,
    speed: float,
    loop: bool,
    seed: int,
    imus: bool,
    no_orientation: bool,
    align: tuple[str, str] | None,
    noise_deg: float,
    jitter_ms: float,
    drop: float,
    corrupt: float,
    duplicate: float,
    linger: float,
    save_bytes: Path | None,
    as_json: bool,
) -> None:
    """Play TRIAL as a sensor on a pseudo-terminal.

    Makes a serial port named by --link, waits until a reader opens it, then sends the recording as the sensors on a leg
    would, at its true rate: joint angles and the pelvis IMU, or with --imus four IMUs. Ends when all is played, when the reader
    closes the port, or on Ctrl-C.
    """
    if not imus and (no_orientation or align):
        raise click.UsageError("--no-orientation and --align are for --imus")
    if imus and noise_deg:
        raise click.UsageError("--noise-deg is of joint angles; with --imus there are none")
    settings = Disturbance(noise_deg, jitter_ms, drop, corrupt, duplicate)
    alignment = None
    if imus:
        frames, alignment = imu_playback(trial, side=side, model=model, seed=seed, oriented=not no_orientation)
    else:
        frames = playback(trial, side=side, model=model)
    if not frames:
        raise TrialError(f"{trial}: the trial holds no samples to play; choose another file")
    if alignment is not None and align is not None:
        _align(*align, alignment, link)
    with _stop_on_signals() as stopping, _saving(save_bytes) as save, PtyLine(link) as line:
        click.echo(f"{link} -> {line.device}: waiting for a reader", err=True)
        if not _await_reader(line, stopping):
            summary = Summary(ended="stopped")
        else:
            click.echo(f"playing {trial} ({'in a loop' if loop else f'{len(frames)} frames'}), Ctrl-C ends", err=True)
            player = Player(line, speed=speed, stopping=stopping, save=save)
            packets = disturb(repeat(frames, loop=loop), settings, seed=seed)
            summary = player.play(packets)
            _see_off(line, summary, linger, stopping)
        report = {"trial": str(trial), "link": str(link), "device": line.device, **summary.as_dict()}
    if as_json:
        click.echo(json.dumps(report))
    else:
        click.echo(_in_words(report), err=True)


def _align(name: str, out: str, alignment: Alignment, link: Path) -> None:
    """Write a bundle that knows how the simulated IMUs sit, and say how to use it."""
    Bundle.read(name).aligned(alignment, Path(out)).write()
    channels = ", ".join(f'"{segment}"' for segment in alignment.segment_names)
    click.echo(f"{out}: {name} with the alignment of these IMUs, for edge-msk run with a --config that has", err=True)
    click.echo(f'[[sensor]]\nurl = "serial://{link}"\nchannels = [{channels}]', err=True)


def _await_reader(line: PtyLine, stopping: Callable[[], bool]) -> bool:
    """Wait for a reader, then until it has flushed; False when stopped before."""
    settled_s = 0.0
    while settled_s < SETTLE_S:
        if stopping():
            return False
        time.sleep(_SLICE_S)
        # A reader that only looked in and left starts the wait again.
        settled_s = settled_s + _SLICE_S if line.has_reader() else 0.0
    return True


def _see_off(line: PtyLine, summary: Summary, linger_s: float, stopping: Callable[[], bool]) -> None:
    """Wait until the reader has all bytes, then linger: closing our end takes from it what it has not read."""
    stalled_s = 0.0
    before = line.unread()
    while line.has_reader() and not stopping() and stalled_s < STALL_S:
        time.sleep(_CONFIRM_S)
        now = line.unread()
        if now == 0 and before == 0:  # twice, as the kernel passes bytes on in steps
            summary.all_taken = True
            break
        stalled_s = stalled_s + _CONFIRM_S if now == before else 0.0
        before = now
    end_ns = time.monotonic_ns() + round(linger_s * 1e9)
    while line.has_reader() and not stopping() and time.monotonic_ns() < end_ns:
        summary.bytes_received += line.discard_input()
        time.sleep(_SLICE_S)


@contextmanager
def _stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Within, SIGINT and SIGTERM only raise a flag; it is what is yielded."""
    caught: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _saving(path: Path | None) -> Iterator[Callable[[bytes], object] | None]:
    """A function that takes the bytes of `path`, which appears whole at the end or not at all."""
    if path is None:
        yield None
        return
    if path.is_dir():
        raise FileError(f"cannot write {path}, it is a folder: give the name of a file for --save-bytes")
    try:
        file: IO[bytes] = tempfile.NamedTemporaryFile(  # noqa: SIM115 - outlives its closing by the rename
            dir=path.parent, prefix=f".{path.name}.", delete=False
        )
    except OSError as error:
        raise _unwritable(path, error) from error

    def write(data: bytes) -> None:
        try:
            file.write(data)
        except OSError as error:
            raise _unwritable(path, error) from error

    try:
        with file:
            yield write
        Path(file.name).chmod(0o666 & ~_umask())
        Path(file.name).replace(path)
    except BaseException:
        Path(file.name).unlink(missing_ok=True)
        raise


def _unwritable(path: Path, error: OSError) -> FileError:
    return FileError(f"cannot write {path} ({error.strerror}): choose a folder that exists, is yours and has room")


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _in_words(report: dict[str, Any]) -> str:
    late = report["late_ms"]
    lines = [
        f"{report['ended']}: {report['frames']} frames in {report['duration_s']:.3f} s, {report['sent']} sent "
        f"({report['bytes']} bytes), {report['dropped']} dropped, {report['corrupted']} corrupted, "
        f"{report['duplicated']} duplicated",
    ]
    if late["max"] is not None:
        lines.append(f"late by {late['p50']:.2f} ms (median), {late['p99']:.2f} ms (99 %), {late['max']:.2f} ms (most)")
    return "\n".join(lines)
