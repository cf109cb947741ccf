"""The serial sensor over real pseudo-terminals."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from edge import serial_line
from edge.errors import ConfigError, SensorError
from edge.sensors import SensorLostError, open_sensor
from edge.sensors.frame import Frame, FrameDecoder, encode


class Pty:
    """A pseudo-terminal whose far end is ours."""

    def __init__(self) -> None:
        self.master, far = os.openpty()
        tty.setraw(far)
        self.path = os.ttyname(far)
        os.close(far)

    def hang_up(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


@pytest.fixture
def pty() -> Iterator[Pty]:
    line = Pty()
    yield line
    line.hang_up()


def test_reads_what_is_there_and_waits_for_the_first_byte(pty: Pty) -> None:
    with_all = bytes(range(256)) * 4
    sensor = open_sensor(f"serial://{pty.path}?baud=921600&protocol=emsk")
    try:
        assert sensor.finite is False
        start = time.monotonic()
        assert sensor.read(0.02) == b""
        assert 0.015 < time.monotonic() - start < 0.5
        os.write(pty.master, with_all)
        got = b""
        while len(got) < len(with_all):
            chunk = sensor.read(0.5)
            assert chunk
            got += chunk
        assert got == with_all
        assert sensor.read(0.0) == b""
    finally:
        sensor.close()
        sensor.close()


def test_frames_arrive_over_the_line(pty: Pty) -> None:
    sent = [Frame(1, 0, i, i * 10_000, (0.5, 0.25, i / 4)) for i in range(50)]
    decoder = FrameDecoder()
    got: list[Frame] = []
    sensor = open_sensor(f"serial:{pty.path}")
    try:
        for frame in sent:
            os.write(pty.master, encode(frame))
        while len(got) < len(sent):
            data = sensor.read(0.5)
            assert data
            got += decoder.push(data)
    finally:
        sensor.close()
    assert got == sent


def test_a_hung_up_line_is_lost(pty: Pty) -> None:
    sensor = open_sensor(f"serial://{pty.path}")
    pty.hang_up()
    with pytest.raises(SensorLostError, match=r"serial port /dev/pts/\d+ was lost while reading"):
        sensor.read(0.5)
    sensor.close()


def test_a_read_error_is_lost(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = open_sensor(f"serial://{pty.path}")
    os.write(pty.master, b"x")

    def gone(fd: int, size: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("edge.sensors.serial_port.os.read", gone)
    with pytest.raises(SensorLostError, match="Input/output error"):
        sensor.read(0.5)
    monkeypatch.undo()
    sensor.close()


def test_a_closed_sensor_says_so(pty: Pty) -> None:
    sensor = open_sensor(f"serial://{pty.path}")
    sensor.close()
    with pytest.raises(SensorError, match="not open"):
        sensor.read(0.0)


def test_a_missing_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_line, "list_ports", lambda: ["/dev/serial/by-id/usb-ours"])
    with pytest.raises(SensorError, match=r"/dev/ttyNONE does not exist .* ports here: /dev/serial/by-id/usb-ours"):
        open_sensor("serial:///dev/ttyNONE?baud=921600")
    monkeypatch.setattr(serial_line, "list_ports", list)
    with pytest.raises(SensorError, match="no serial device is plugged in"):
        open_sensor("serial:///dev/ttyNONE")


def test_two_slashes_instead_of_three(pty: Pty) -> None:
    with pytest.raises(SensorError, match=r"did you mean serial:///dev/pts/"):
        open_sensor(f"serial:/{pty.path}")


def test_a_busy_port(pty: Pty) -> None:
    other = serial.Serial(pty.path, exclusive=True)
    try:
        with pytest.raises(SensorError, match=rf"serial port {pty.path} is busy: another process has it open"):
            open_sensor(f"serial://{pty.path}")
    finally:
        other.close()


def test_a_busy_port_names_the_process_that_has_it(pty: Pty) -> None:
    hold = "import serial, sys; p = serial.Serial(sys.argv[1], exclusive=True); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, pty.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(SensorError, match=rf"is busy: process {holder.pid} \(\S+\) has it open; stop it"):
            open_sensor(f"serial://{pty.path}")
        holder.communicate(b"\n")


def test_no_permission(pty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> serial.Serial:
        raise serial.SerialException(errno.EACCES, f"could not open port {pty.path}: Permission denied")

    monkeypatch.setattr(serial_line.serial, "Serial", refuse)
    with pytest.raises(SensorError, match=r"no permission for serial port .* sudo usermod -aG \w+ \$USER"):
        open_sensor(f"serial://{pty.path}")


def test_what_is_no_serial_port(tmp_path: Path) -> None:
    file = tmp_path / "walk.mot"
    file.write_text("x")
    with pytest.raises(SensorError, match="is not a serial port but a file"):
        open_sensor(f"serial://{file}")
    with pytest.raises(SensorError, match="is not a serial port but a folder"):
        open_sensor(f"serial://{tmp_path}")
    with pytest.raises(SensorError, match="/dev/null cannot be used"):
        open_sensor("serial:///dev/null")


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("protocol=xens", "protocol=xens is not usable; did you mean .xsens"),
        ("baud=fast", "baud=fast is not usable; use a whole number"),
        ("bauds=115200", "no parameter 'bauds'; did you mean 'baud'"),
    ],
)
def test_a_wrong_parameter(query: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        open_sensor(f"serial:///dev/ttyUSB0?{query}")


def test_no_path() -> None:
    with pytest.raises(ConfigError, match="the path is missing; write it like serial:///dev/ttyUSB0"):
        open_sensor("serial:?baud=9600")


def test_an_unknown_scheme() -> None:
    with pytest.raises(ConfigError, match=r"no driver for 'seriel:'; did you mean 'serial:'\?"):
        open_sensor("seriel:///dev/ttyUSB0")


def test_another_process_cannot_take_our_port(pty: Pty) -> None:
    sensor = open_sensor(f"serial://{pty.path}")
    with pytest.raises(serial.SerialException):
        serial.Serial(pty.path, exclusive=True)
    sensor.close()
    serial.Serial(pty.path, exclusive=True).close()
