"""Outputs: null, and commands over real pseudo-terminals."""

from __future__ import annotations

import math
import os
import time
import tty
from collections.abc import Iterator
from itertools import pairwise

import pytest

from edge.errors import ConfigError, OutputError
from edge.outputs import Command, open_output
from edge.sensors import open_sensor
from edge.sensors.frame import Frame, FrameDecoder, Kind


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    master, far = os.openpty()
    tty.setraw(far)
    path = os.ttyname(far)
    os.close(far)
    os.set_blocking(master, False)
    yield master, path
    os.close(master)


def command(sequence: int) -> Command:
    return Command(time_us=1_000 * sequence, sequence=sequence, state=2, torque_nm=(1.5, -2.0, sequence / 4))


def receive(master: int) -> bytes:
    """Everything on the line, once the kernel has passed it on."""
    data = b""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 0.05:
        try:
            data += os.read(master, 65536)
            quiet_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.002)
    return data


def test_null_counts() -> None:
    with open_output("null:") as output:
        output.send(command(0))
        output.send(command(1))
        assert output.counters.sent == 2


def test_commands_are_frames_with_the_state(pty: tuple[int, str]) -> None:
    master, path = pty
    output = open_output(f"serial://{path}?baud=921600&protocol=emsk")
    for sequence in range(3):
        output.send(command(sequence))
    frames = FrameDecoder().push(receive(master))
    output.close()
    output.close()
    assert frames == [Frame(Kind.COMMAND, 2, i, 1_000 * i, (1.5, -2.0, i / 4)) for i in range(3)]
    assert (output.counters.sent, output.counters.unsent) == (3, 0)


def test_a_full_line_costs_commands_and_never_time(pty: tuple[int, str]) -> None:
    master, path = pty
    output = open_output(f"serial://{path}")
    slowest = 0.0
    sequence = 0
    while output.counters.unsent < 100:
        start = time.monotonic()
        output.send(command(sequence))
        slowest = max(slowest, time.monotonic() - start)
        sequence += 1
    assert slowest < 0.5
    decoder = FrameDecoder()
    early = decoder.push(receive(master))
    # The kernel may find some more room on the way: what arrives is whole and in order, not the first so many.
    assert all(after.sequence > before.sequence for before, after in pairwise(early))

    # Room again: the first command after the jam arrives whole, the torn one never does.
    output.send(command(sequence))
    late = decoder.push(receive(master))
    assert [frame.sequence for frame in late] == [sequence]
    assert len(early) + len(late) == output.counters.sent
    assert output.counters.sent + output.counters.unsent == sequence + 1
    assert decoder.counters.bad <= output.counters.unsent
    output.close()


def test_a_torn_frame_is_closed_before_the_next(pty: tuple[int, str], monkeypatch: pytest.MonkeyPatch) -> None:
    master, path = pty
    output = open_output(f"serial://{path}")
    write = os.write
    monkeypatch.setattr("edge.outputs.serial_port.os.write", lambda fd, data: write(fd, data[:7]))
    output.send(command(0))
    monkeypatch.undo()
    output.send(command(1))
    decoder = FrameDecoder()
    assert [frame.sequence for frame in decoder.push(receive(master))] == [1]
    assert decoder.counters.bad == 1
    assert (output.counters.sent, output.counters.unsent) == (1, 1)
    output.close()


def test_a_vanished_line_is_an_error() -> None:
    master, far = os.openpty()
    path = os.ttyname(far)
    output = open_output(f"serial://{path}")
    os.close(far)
    os.close(master)
    with pytest.raises(OutputError, match=rf"serial port {path} was lost while sending \(Input/output error\)"):
        output.send(command(0))
    output.close()


def test_a_command_that_fits_no_frame_is_refused(pty: tuple[int, str]) -> None:
    _, path = pty
    output = open_output(f"serial://{path}")
    with pytest.raises(OutputError, match="command 4 cannot be sent: channels must be finite"):
        output.send(Command(time_us=0, sequence=4, state=2, torque_nm=(math.nan,)))
    assert output.counters.sent == 0
    output.close()
    with pytest.raises(OutputError, match="not open"):
        output.send(command(0))


def test_one_port_for_sensor_and_output(pty: tuple[int, str]) -> None:
    master, path = pty
    sensor = open_sensor(f"serial://{path}")
    with pytest.raises(ConfigError, match="already open with baud=921600, now asked for with baud=115200"):
        open_output(f"serial://{path}?baud=115200")
    output = open_output(f"serial://{path}")
    os.write(master, b"sample")
    assert sensor.read(0.5) == b"sample"
    sensor.close()
    output.send(command(5))  # still open for the other user
    assert [frame.sequence for frame in FrameDecoder().push(receive(master))] == [5]
    output.close()
    with pytest.raises(OutputError, match="not open"):
        output.send(command(6))


def test_refusals() -> None:
    with pytest.raises(OutputError, match="serial port /dev/ttyNONE does not exist"):
        open_output("serial:///dev/ttyNONE")
    with pytest.raises(ConfigError, match="protocol=odrive is not usable; use emsk"):
        open_output("serial:///dev/ttyNONE?protocol=odrive")
    with pytest.raises(ConfigError, match=r"no driver for 'nul:'; did you mean 'null:'\?"):
        open_output("nul:")
    with pytest.raises(ConfigError, match="has no parameter 'x'"):
        open_output("null:?x=1")
