"""How fast the decoder of `emsk` is, and what random bytes do to it: `python -m tools.bench.emsk_decoder [--bytes N] [--json]`.

Throughput of the leg's two streams, of the widest frame and of random bytes, in chunks as a serial line hands them over; also
as a multiple of the time that cutting the same bytes at their zeros takes (`bytes.split`), which depends little on the machine.
Times are the processor's, so that other processes do not count.
Then random bytes: nothing may raise, and no more frames may be accepted than the check sum's odds allow. Bytes drawn evenly
hardly ever have a frame's form; so frames of the right form with random content, check sum included, are sent as well: there
one in 65536 gets past a 16-bit check sum, whatever it is.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass
from itertools import pairwise

import click
import numpy as np

from edge.sensors.frame import DELIMITER, MAX_CHANNELS, VERSION, Frame, FrameDecoder, Kind, cobs_encode, encode

CHUNKS = (64, 256, 1024, 4096)
STREAM_BYTES = 1_000_000
REPETITIONS = 7
RATE_HZ = 500
START_US = 1_000_000_000
PIECE_BYTES = 10_000_000
CRC_ODDS = 2.0**-16
# An evenly drawn byte string is a frame of n channels behind a zero where its COBS codes, n, the version, the CRC and the closing
# zero are what they must be: 256^-7 for each n. Channels that are not finite and full groups of COBS make it rarer still.
FRAMES_PER_RANDOM_BYTE = MAX_CHANNELS * 256.0**-7


@dataclass(frozen=True)
class Throughput:
    """Medians of repetitions."""

    stream: str
    chunk_bytes: int
    mb_per_s: float
    frames_per_s: float
    times_split: float  # time in that of bytes.split on the same chunks


@dataclass(frozen=True)
class Fuzz:
    """What became of random bytes."""

    stream: str
    bytes: int
    exceptions: int
    refused: int  # pieces that the decoder counted as bad
    accepted: int
    expected: float  # accepted by the odds of chance


def leg_stream(size: int, seed: int = 0) -> bytes:
    """At least `size` bytes of what a leg's sensor sends: three angles and one IMU per moment."""
    rng = np.random.default_rng(seed)
    return _stream(size, [(Kind.ANGLES, 3), (Kind.IMU, 10)], rng)


def wide_stream(size: int, seed: int = 0) -> bytes:
    """At least `size` bytes of frames with 128 channels."""
    return _stream(size, [(Kind.EMG, MAX_CHANNELS)], np.random.default_rng(seed))


def _stream(size: int, kinds: list[tuple[Kind, int]], rng: np.random.Generator) -> bytes:
    line = bytearray()
    moment = 0
    while len(line) < size:
        for kind, n in kinds:
            channels = tuple(rng.normal(size=n).astype(np.float32).tolist())
            line += encode(Frame(int(kind), 0, moment, START_US + moment * 1_000_000 // RATE_HZ, channels))
        moment += 1
    return bytes(line)


def random_bytes(size: int, seed: int) -> bytes:
    """Bytes drawn evenly."""
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()


def random_frames(size: int, seed: int) -> tuple[bytes, int]:
    """At least `size` bytes of frames of the right form with random content and check sum, and their number."""
    rng = np.random.default_rng(seed)
    line = bytearray()
    count = 0
    while len(line) < size:
        n = int(rng.integers(1, 4))
        body = bytearray(rng.integers(0, 256, 18 + 4 * n, dtype=np.uint8).tobytes())
        body[2], body[3] = n, VERSION
        for last in range(19, 16 + 4 * n, 4):
            body[last] &= 0xBF  # a finite channel: below 2 in size
        line += cobs_encode(bytes(body)) + DELIMITER
        count += 1
    return bytes(line), count


def throughput(stream: str, data: bytes, chunk: int, repetitions: int) -> Throughput:
    """Decode `data` in chunks; decoder and `bytes.split` take turns."""
    chunks = [data[at : at + chunk] for at in range(0, len(data), chunk)]
    seconds, ratios = [], []
    frames = 0
    for _ in range(repetitions):
        begin = time.thread_time()
        for piece in chunks:
            piece.split(DELIMITER)
        split = time.thread_time() - begin
        decoder = FrameDecoder()
        begin = time.thread_time()
        for piece in chunks:
            decoder.push(piece)
        seconds.append(time.thread_time() - begin)
        ratios.append(seconds[-1] / split)
        frames = decoder.counters.frames
    median = statistics.median(seconds)
    return Throughput(stream, chunk, len(data) / median / 1e6, frames / median, statistics.median(ratios))


def fuzz_bytes(size: int, seed: int = 0) -> Fuzz:
    """Evenly drawn bytes in chunks of 1 to 4096."""
    rng = np.random.default_rng(seed)
    decoder = FrameDecoder()
    accepted = exceptions = sent = 0
    while sent < size:
        data = random_bytes(min(PIECE_BYTES, size - sent), int(rng.integers(1 << 62)))
        cuts = np.cumsum(rng.integers(1, 4097, 2 + len(data) // 1024))
        for begin, end in pairwise([0, *cuts[cuts < len(data)].tolist(), len(data)]):
            try:
                accepted += len(decoder.push(data[begin:end]))
            except Exception:  # noqa: BLE001  that there is none is what is measured
                exceptions += 1
        sent += len(data)
    return Fuzz("random bytes", size, exceptions, decoder.counters.bad, accepted, size * FRAMES_PER_RANDOM_BYTE)


def fuzz_frames(size: int, seed: int = 0) -> Fuzz:
    """Frames of the right form with random content."""
    decoder = FrameDecoder()
    accepted = exceptions = frames = sent = 0
    while sent < size:
        data, count = random_frames(min(PIECE_BYTES, size - sent), seed + sent)
        try:
            accepted += len(decoder.push(data))
        except Exception:  # noqa: BLE001  that there is none is what is measured
            exceptions += 1
        sent, frames = sent + len(data), frames + count
    return Fuzz("random frames", sent, exceptions, decoder.counters.bad, accepted, frames * CRC_ODDS)


@click.command()
@click.option(
    "--bytes", "size", default=100_000_000, show_default=True, help="Random bytes; a tenth as many in frames."
)
@click.option("--repetitions", default=REPETITIONS, show_default=True, help="Of which medians are taken.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def main(size: int, repetitions: int, as_json: bool) -> None:
    """Measure the decoder and print the tables of the documentation."""
    streams = {
        "leg: 3 angles, 1 IMU": leg_stream(STREAM_BYTES),
        "128 channels": wide_stream(STREAM_BYTES),
        "random bytes": random_bytes(STREAM_BYTES, seed=0),
    }
    speeds = [throughput(name, data, chunk, repetitions) for name, data in streams.items() for chunk in CHUNKS]
    fuzzes = [fuzz_bytes(size), fuzz_frames(size // 10)]
    if as_json:
        click.echo(json.dumps({"throughput": [asdict(s) for s in speeds], "fuzz": [asdict(f) for f in fuzzes]}))
        return
    click.echo("| stream | chunk bytes | MB/s | frames/s | time / that of bytes.split |\n" + "|---" * 5 + "|")
    for s in speeds:
        click.echo(f"| {s.stream} | {s.chunk_bytes} | {s.mb_per_s:.1f} | {s.frames_per_s:.0f} | {s.times_split:.0f} |")
    click.echo("\n| sent | bytes | exceptions | pieces refused | frames accepted | by the odds |\n" + "|---" * 6 + "|")
    for f in fuzzes:
        click.echo(f"| {f.stream} | {f.bytes:.3g} | {f.exceptions} | {f.refused} | {f.accepted} | {f.expected:.2g} |")


if __name__ == "__main__":
    main()
