"""The encoder and the receiver of commands for microcontrollers, held against ours byte for byte."""

from __future__ import annotations

import math
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from edge.sensors.frame import Frame, FrameDecoder, Kind, cobs_encode, crc16, encode

HERE = Path(__file__).resolve().parent
FIRMWARE = HERE.parents[2] / "tools" / "firmware"
DOCUMENT = HERE.parents[2] / "docs" / "wire-protocol.md"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow", "-Wdouble-promotion", "-Wcast-qual")
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
COMPILERS = {
    "c99": ("gcc", "-x", "c", "-std=c99", "-O2"),
    "c++11": ("g++", "-x", "c++", "-std=c++11", "-Os"),
    "c99 for small": ("gcc", "-x", "c", "-std=c99", "-Os", "-DEMSK_COMMAND_JOINTS=1"),
    "c99 sanitized": ("gcc", "-x", "c", "-std=c99", "-O1", *SANITIZERS),
}
REQUEST = struct.Struct("=QIIHHHH")
JOINTS = 8
PERIOD_US = 2000
ROUND_US = 100


def build(name: str, sources: Sequence[Path], out: Path) -> Path:
    """Compile with every warning an error; skips where there is no such compiler."""
    compiler = COMPILERS[name]
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"no compiler '{compiler[0]}' on this machine")
    if "sanitized" in name:
        empty = out / "empty.c"
        empty.write_text("int main(void) { return 0; }\n")
        probe = subprocess.run([*compiler, str(empty), "-o", out / "empty"], capture_output=True, check=False)
        if probe.returncode != 0:
            pytest.skip("this compiler comes without sanitizers")
    program = out / "program"
    done = subprocess.run(
        [*compiler, *WARNINGS, f"-I{FIRMWARE}", *map(str, sources), "-o", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path, *arguments: str, given: bytes) -> bytes:
    done = subprocess.run([program, *arguments], input=given, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass(frozen=True)
class Driver:
    """driver.c, compiled."""

    program: Path
    joints: int  # of the longest command that it keeps

    def __call__(self, question: str, given: bytes) -> bytes:
        return run(self.program, question, given=given)


@pytest.fixture(scope="module", params=COMPILERS)
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Driver:
    program = build(request.param, [HERE / "driver.c"], tmp_path_factory.mktemp("driver"))
    return Driver(program, 1 if "small" in request.param else JOINTS)


def random_frames(count: int, seed: int, kinds: Sequence[int] = tuple(Kind), most: int = 128) -> list[Frame]:
    """Any frames that the format holds; with runs of zeros, and long runs without any."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        n = int(rng.integers(1, most + 1))
        bits = rng.integers(0, 1 << 32, n, dtype=np.uint32)
        style = rng.integers(4)
        if style == 0:
            bits &= rng.integers(0, 1 << 32, n, dtype=np.uint32) & rng.integers(0, 1 << 32, n, dtype=np.uint32)
        elif style == 1:
            bits |= 0x01010101  # no zero byte: groups of COBS run full
        values = bits.view(np.float32)
        values[~np.isfinite(values)] = 0.0
        frames.append(
            Frame(
                kind=int(rng.choice(np.array(kinds))),
                flags=int(rng.integers(256)),
                sequence=int(rng.integers(1 << 32)),
                time_us=int(rng.integers(1 << 64, dtype=np.uint64)) >> int(rng.integers(64)),
                channels=tuple(values.tolist()),
            )
        )
    return frames


def request_of(frame: Frame, size: int = 0) -> bytes:
    n = len(frame.channels)
    head = REQUEST.pack(frame.time_us, frame.sequence, size, frame.kind, frame.flags, n, 0)
    return head + struct.pack(f"={n}f", *frame.channels)


def answers(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("=H", data, at)
        found.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return found


def commands_in(data: bytes) -> tuple[list[Frame], tuple[int, ...]]:
    """Commands of the driver's answer, and its counters: commands, others, damaged, repeated."""
    found = []
    at = 0
    while data[at]:
        time_us, sequence, state, n = struct.unpack_from("=QIBB", data, at + 1)
        found.append(Frame(Kind.COMMAND, state, sequence, time_us, struct.unpack_from(f"={n}f", data, at + 15)))
        at += 15 + 4 * n
    return found, struct.unpack_from("=4I", data, at + 1)


def test_random_frames_are_encoded_byte_for_byte(ask: Driver) -> None:
    frames = random_frames(3000, seed=1)
    got = answers(ask("e", b"".join(map(request_of, frames))))
    assert got == [encode(frame) for frame in frames]
    assert FrameDecoder().push(got[0]) == frames[:1]


def test_every_size_and_full_groups_of_cobs(ask: Driver) -> None:
    one = struct.unpack("<f", b"\x01\x01\x01\x3f")[0]
    frames = [
        Frame(3, 1, 0x01010101, 0x0101010101010101, (value,) * n) for n in range(1, 129) for value in (0.0, -0.0, one)
    ]
    assert answers(ask("e", b"".join(map(request_of, frames)))) == [encode(frame) for frame in frames]


def test_vectors_of_the_document(ask: Driver) -> None:
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("02 01 04")]
    one, leg = (bytes.fromhex(line) for line in lines)
    frames = [Frame(1, 0, 7, 1_000_000, (0.5,)), Frame(1, 0, 7, 1_000_000, (0.25, -0.5, 0.125))]
    assert answers(ask("e", b"".join(map(request_of, frames)))) == [one, leg]


def test_sequence_numbers_are_the_senders_own_by_kind(ask: Driver) -> None:
    rng = np.random.default_rng(3)
    frames = [replace(f, channels=(f.channels * 10)[:10]) for f in random_frames(500, seed=3, most=10)]
    broken = [k for k in range(len(frames)) if rng.random() < 0.1]
    asked = [replace(f, channels=(math.nan, *f.channels[1:])) if k in broken else f for k, f in enumerate(frames)]
    got = answers(ask("s", b"".join(map(request_of, asked))))
    sent: dict[int, int] = {}
    for k, frame in enumerate(frames):
        if k in broken:
            assert got[k] == b""
            continue
        number = sent[frame.kind] = sent.get(frame.kind, -1) + 1
        assert got[k] == encode(replace(frame, sequence=number))


def test_what_the_format_cannot_hold_is_not_written(ask: Driver) -> None:
    good = Frame(1, 0, 7, 1_000_000, (0.5, 0.25))
    refused = [
        request_of(replace(good, kind=0)),
        request_of(replace(good, kind=5)),
        request_of(replace(good, kind=0x83)),
        request_of(replace(good, kind=0x101)),
        request_of(replace(good, flags=256)),
        request_of(replace(good, channels=())),
        request_of(replace(good, channels=(0.0,) * 129)),
        *(request_of(replace(good, channels=(0.0, bad))) for bad in (math.nan, math.inf, -math.inf)),
        *(request_of(good, size) for size in range(1, 28)),
    ]
    for question in ("e", "s"):
        got = answers(ask(question, b"".join(refused) + request_of(good, 28)))
        assert got[:-1] == [b""] * len(refused)
        assert len(got[-1]) == 28


def test_commands_are_received_as_our_decoder_does(ask: Driver) -> None:
    frames = random_frames(1500, seed=4, kinds=[Kind.COMMAND], most=ask.joints)
    received, counters = commands_in(ask("r", b"".join(map(encode, frames))))
    assert received == frames
    assert counters == (len(frames), 0, 0, 0)


def test_through_damage_the_same_commands_are_received(ask: Driver) -> None:
    rng = np.random.default_rng(5)
    frames = random_frames(2000, seed=5, kinds=[Kind.COMMAND, Kind.COMMAND, Kind.BIOFEEDBACK], most=ask.joints)
    data = bytearray(b"".join(encode(frame) * int(rng.integers(1, 3)) for frame in frames))
    for at in rng.integers(0, len(data), len(data) // 200).tolist():
        data[at] = int(rng.integers(256))
    for at in sorted(rng.integers(0, len(data), len(data) // 500).tolist(), reverse=True):
        del data[at : at + int(rng.integers(1, 40))]
    line = bytes(data) + rng.integers(0, 256, 100_000, dtype=np.uint8).tobytes()
    decoder = FrameDecoder()
    expected = [frame for frame in decoder.push(line) if frame.kind == Kind.COMMAND]
    received, counters = commands_in(ask("r", line))
    assert received == expected
    assert 500 < len(expected) == counters[0]
    assert min(counters) > 10


def test_commands_that_are_not_to_be_obeyed(ask: Driver) -> None:
    good = Frame(Kind.COMMAND, 2, 9, 5, (0.5,))
    body = bytes([0x81, 2, 1, 1]) + struct.pack("<IQf", 10, 5, 0.5)

    def framed(raw: bytes) -> bytes:
        return cobs_encode(raw + struct.pack("<H", crc16(raw))) + b"\0"

    bad = [
        framed(body[:3] + b"\x02" + body[4:]),  # version
        framed(body[:2] + b"\x00" + body[3:16]),  # no channel
        framed(body[:2] + b"\x02" + body[3:]),  # another length
        framed(body[:-4] + struct.pack("<f", math.nan)),
        framed(body[:-4] + struct.pack("<f", math.inf)),
        cobs_encode(body + b"\0\0") + b"\0",  # CRC
        framed(body)[:-3] + b"\0",  # cut
    ]
    longer = encode(Frame(Kind.COMMAND, 2, 9, 5, (0.5,) * (ask.joints + 1)))
    line = b"\0\0" + encode(good) + encode(good) + b"".join(bad) + longer + encode(replace(good, sequence=0))
    received, counters = commands_in(ask("r", line))
    assert received == [good, replace(good, sequence=0)]
    assert counters == (2, 1, len(bad), 1)


def test_microseconds_do_not_wrap(ask: Driver) -> None:
    rng = np.random.default_rng(6)
    passed = np.cumsum(rng.integers(0, 1 << 32, 100, dtype=np.uint64))
    counters = (passed % (1 << 32)).astype(np.uint32)
    got = np.frombuffer(ask("t", counters.tobytes()), dtype=np.uint64)
    assert (got == passed).all()


@pytest.mark.parametrize("name", ["c99", "c99 sanitized"])
def test_the_example_sends_a_leg_and_obeys_fresh_commands_alone(name: str, tmp_path: Path) -> None:
    program = build(name, [FIRMWARE / "example_leg.c", HERE / "board.c"], tmp_path)
    # At 10 ms a torque beyond the wearer's strength, at 30 ms one that is not active, at 50 ms one after which nothing comes.
    commands = {
        100: Frame(Kind.COMMAND, 2, 0, 0, (3.0, -40.0, 5.0)),
        300: Frame(Kind.COMMAND, 1, 1, 0, (3.0, 3.0, 3.0)),
        500: Frame(Kind.COMMAND, 2, 2, 0, (1.0, 2.0)),
    }
    rounds = []
    for k in range(2000):
        sent = encode(commands[k]) if k in commands else b""
        rounds.append(bytes([1, len(sent)]) + sent if sent else b"\0")
    data = run(program, given=b"".join(rounds))

    line, torques = bytearray(), []
    at = 0
    while at < len(data):
        if data[at : at + 1] == b"F":
            line += data[at + 2 : at + 2 + data[at + 1]]
            at += 2 + data[at + 1]
        else:
            torques.append(struct.unpack_from("=3f", data, at + 1))
            at += 13
    assert torques[99] == (0.0, 0.0, 0.0)
    assert set(torques[100:300]) == {(3.0, -15.0, 5.0)}
    assert set(torques[300:500]) == {(0.0, 0.0, 0.0)}
    assert set(torques[500:1500]) == {(1.0, 2.0, 0.0)}
    assert set(torques[1500:]) == {(0.0, 0.0, 0.0)}

    decoder = FrameDecoder()
    frames = decoder.push(bytes(line))
    assert decoder.counters.bad == decoder.counters.sequence_gaps == 0
    moments = 2000 * ROUND_US // PERIOD_US
    assert [frame.kind for frame in frames] == [Kind.ANGLES, Kind.IMU] * moments
    assert [frame.time_us - frames[0].time_us for frame in frames[::2]] == list(
        range(0, moments * PERIOD_US, PERIOD_US)
    )
    assert [frame.channels[2] for frame in frames[::2]] == list(range(moments))
    assert [frame.flags for frame in frames[1::2]] == [int(k % 10 == 9) for k in range(moments)]
    assert frames[1].channels == (
        1.0,
        0.0,
        0.0,
        0.0,
        0.0,
        struct.unpack("f", struct.pack("f", 9.81))[0],
        0.0,
        0.0,
        0.0,
        0.125,
    )
