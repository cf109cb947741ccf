"""The polling driver: its schedule on a virtual clock, and a simulated bus behind a real pseudo-terminal."""

from __future__ import annotations

import math
import os
import select
import threading
import tty
from collections.abc import Callable, Iterator

import pytest
from sensor_devices import amt21_reply

from edge.errors import ConfigError, SensorError
from edge.outputs import open_output
from edge.sensors import SensorLostError, open_sensor
from edge.sensors.amt21 import COUNTS, Amt21Decoder
from edge.sensors.amt21_bus import Amt21Sensor
from edge.url import parse_url


class Bus:
    """Encoders on the far end of a pseudo-terminal, answering from a thread."""

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        self._master, far = os.openpty()
        tty.setraw(far)
        self.path = os.ttyname(far)
        self._far = far  # kept, so that the line does not hang up between two users
        self._stop, self._stopped = os.pipe()
        self.questions: list[int] = []
        self._answer = answer
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            readable = select.select([self._master, self._stop], [], [])[0]
            if self._stop in readable:
                return
            for question in os.read(self._master, 64):
                self.questions.append(question)
                os.write(self._master, self._answer(question))

    def hang_up(self) -> None:
        if self._master >= 0:
            os.close(self._stopped)
            self._thread.join()
            for fd in (self._master, self._far, self._stop):
                os.close(fd)
            self._master = -1


@pytest.fixture
def bus() -> Iterator[Callable[[Callable[[int], bytes]], Bus]]:
    made: list[Bus] = []

    def make(answer: Callable[[int], bytes]) -> Bus:
        made.append(Bus(answer))
        return made[-1]

    yield make
    for one in made:
        one.hang_up()


def encoder(question: int) -> bytes:
    """0x54 reads an eighth turn, 0x58 a quarter, 0x5c three eighths; others are not there. Turns: minus one."""
    if question % 4 == 1:
        return amt21_reply(COUNTS - 1)
    return amt21_reply((question - 0x50) // 4 * COUNTS // 8) if question in (0x54, 0x58, 0x5C) else b""


NODES = "nodes=0x54,0x58,0x5c"


def test_three_joints_over_a_real_line(bus: Callable[[Callable[[int], bytes]], Bus]) -> None:
    line = bus(encoder)
    sensor = open_sensor(f"serial:{line.path}?protocol=amt21&{NODES}&rate=1000&baud=921600&wait_ms=50")
    assert sensor.finite is False
    decoder = sensor.decoder()
    frames = []
    for _ in range(20):
        frames += decoder.push(sensor.read(0.5))
    sensor.close()
    sensor.close()
    assert len(frames) == 20
    assert all(frame.flags == 0 for frame in frames)
    assert frames[-1].channels == pytest.approx((math.pi / 4, math.pi / 2, 3 * math.pi / 4))
    assert line.questions == [0x54, 0x58, 0x5C] * 20
    times = [frame.time_us for frame in frames]
    assert times == sorted(set(times))


def test_the_turns_counter_is_asked_for(bus: Callable[[Callable[[int], bytes]], Bus]) -> None:
    line = bus(encoder)
    with open_sensor(f"serial:{line.path}?protocol=amt21&turns=1&gear=2&baud=921600&wait_ms=50") as sensor:
        (frame,) = sensor.decoder().push(sensor.read(0.5))
    assert frame.channels == pytest.approx(((-1 + 1 / 8) * math.tau / 2,))
    assert line.questions == [0x54, 0x55]


def test_an_encoder_that_is_not_there(bus: Callable[[Callable[[int], bytes]], Bus]) -> None:
    line = bus(encoder)
    with open_sensor(f"serial:{line.path}?protocol=amt21&nodes=0x54,0x60&baud=921600&wait_ms=20") as sensor:
        decoder = sensor.decoder()
        (frame,) = decoder.push(sensor.read(0.5))
    assert frame.flags == 1
    assert frame.channels[0] == pytest.approx(math.pi / 4)
    assert isinstance(decoder, Amt21Decoder)
    assert decoder.no_answer == {0x60: 1}


def test_an_adapter_that_hears_itself(bus: Callable[[Callable[[int], bytes]], Bus]) -> None:
    line = bus(lambda question: bytes([question]) + encoder(question))
    with open_sensor(f"serial:{line.path}?protocol=amt21&{NODES}&echo=1&baud=921600&wait_ms=50") as sensor:
        (frame,) = sensor.decoder().push(sensor.read(0.5))
        assert frame.flags == 0
    with open_sensor(f"serial:{line.path}?protocol=amt21&{NODES}&baud=921600&wait_ms=50") as sensor:
        decoder = sensor.decoder()
        (frame,) = decoder.push(sensor.read(0.5))
        assert frame.flags == 1
        assert isinstance(decoder, Amt21Decoder)
        assert "echo=1 in the URL" in decoder.trouble()


def test_a_late_answer_is_not_taken_for_that_of_the_next(bus: Callable[[Callable[[int], bytes]], Bus]) -> None:
    line = bus(lambda question: encoder(question) + (amt21_reply(77) if question == 0x54 else b""))
    with open_sensor(f"serial:{line.path}?protocol=amt21&nodes=0x54,0x60,0x58&baud=921600&wait_ms=20") as sensor:
        decoder = sensor.decoder()
        (frame,) = decoder.push(sensor.read(0.5))
    assert frame.channels[2] == pytest.approx(math.pi / 2)


def test_a_hung_up_line_is_lost(bus: Callable[[Callable[[int], bytes]], Bus]) -> None:
    line = bus(encoder)
    sensor = open_sensor(f"serial:{line.path}?protocol=amt21&baud=921600")
    line.hang_up()
    with pytest.raises(SensorLostError, match=r"serial port /dev/pts/\d+ was lost while asking the encoders"):
        sensor.read(0.5)
    sensor.close()
    with pytest.raises(SensorError, match="not open"):
        sensor.read(0.5)


class VirtualClock:
    def __init__(self) -> None:
        self.now_ns = 5_000_000_000
        self.slept: list[float] = []

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def polled(
    bus: Callable[[Callable[[int], bytes]], Bus], monkeypatch: pytest.MonkeyPatch
) -> tuple[Amt21Sensor, VirtualClock]:
    """A sensor at 100 Hz on a virtual clock; each question takes 1 ms of it."""
    clock = VirtualClock()

    def ask(_: Amt21Sensor, __: int, question: int) -> bytes:
        clock.now_ns += 1_000_000
        return encoder(question)

    monkeypatch.setattr(Amt21Sensor, "_ask", ask)
    url = parse_url(f"serial:{bus(encoder).path}?protocol=amt21&{NODES}&baud=921600")
    sensor = Amt21Sensor(url, clock=clock, sleep=clock.sleep)
    sensor.open()
    return sensor, clock


def test_rounds_keep_to_their_schedule(polled: tuple[Amt21Sensor, VirtualClock]) -> None:
    sensor, clock = polled
    decoder = sensor.decoder()
    frames = [frame for _ in range(50) for frame in decoder.push(sensor.read(0.5))]
    assert [frame.time_us for frame in frames] == [5_000_000 + 10_000 * i for i in range(50)]
    assert clock.slept == pytest.approx([0.007] * 49)
    assert sensor.skipped_rounds == 0
    sensor.close()


def test_it_says_when_the_next_round_is_due(polled: tuple[Amt21Sensor, VirtualClock]) -> None:
    sensor, clock = polled
    assert sensor.fileno() is None
    assert sensor.due_s() == 0.0
    sensor.read(0.0)
    assert sensor.due_s() == pytest.approx(0.007)
    clock.now_ns += 20_000_000
    assert sensor.due_s() == 0.0
    sensor.close()


def test_a_read_waits_no_longer_than_it_may(polled: tuple[Amt21Sensor, VirtualClock]) -> None:
    sensor, clock = polled
    assert sensor.read(0.002)
    assert sensor.read(0.002) == b""
    assert sensor.read(0.002) == b""
    assert clock.slept == pytest.approx([0.002, 0.002])
    assert sensor.read(0.5)
    assert clock.now_ns == 5_000_000_000 + 13_000_000
    sensor.close()


def test_late_rounds_are_left_out_and_not_made_up_for(polled: tuple[Amt21Sensor, VirtualClock]) -> None:
    sensor, clock = polled
    decoder = sensor.decoder()
    sensor.read(0.5)
    clock.now_ns += 34_000_000
    times = [frame.time_us - 5_000_000 for _ in range(3) for frame in decoder.push(sensor.read(0.5))]
    assert times == [37_000, 40_000, 50_000]
    assert sensor.skipped_rounds == 2
    sensor.close()


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("nodes=0x54,0x56", "nodes=0x54,0x56 is not usable; use addresses from 0x00 to 0xfc"),
        ("nodes=256", "nodes=256 is not usable"),
        ("nodes=0x54,0x54", "names 2 encoders; use 1 to 16 different addresses"),
        ("nodes=0x5g", "parameter nodes: '0x5g' is not a number"),
        ("nodes=0x54,0x58&sign=1", "sign= holds 1 numbers for 2 encoders"),
        ("sign=2", "sign=2 is not usable; use 1 or -1"),
        ("zero=nan", "parameter zero: 'nan' is not a number"),
        ("gear=3", "gear=3 is not usable; use positive numbers, with turns=1 alone"),
        ("turns=1&gear=0", "gear=0 is not usable"),
        (
            "rate=500&baud=9600",
            "1 questions take 3.1 ms at baud=9600, more than the 2.0 ms of rate=500; use a rate below 320",
        ),
        ("rte=5", "no parameter 'rte'; did you mean 'rate'"),
    ],
)
def test_wrong_parameters(query: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        open_sensor(f"serial:///dev/ttyUSB0?protocol=amt21&{query}")


@pytest.mark.parametrize("baud", [921600, 115200])
def test_nothing_else_goes_out_on_the_bus(bus: Callable[[Callable[[int], bytes]], Bus], baud: int) -> None:
    """An output, or a second sensor that asks, would speak while an encoder answers; whichever is opened first."""
    line = bus(encoder)
    asking, output = f"serial:{line.path}?protocol=amt21&baud=921600", f"serial:{line.path}?baud={baud}"
    collides = rf"{line.path}: is a bus .* one after the other \(protocol amt21\): commands .*a port of its own"
    with open_sensor(asking) as sensor:
        with pytest.raises(ConfigError, match=collides):
            open_output(output)
        with pytest.raises(ConfigError, match=collides):
            open_sensor(asking)
        assert sensor.decoder().push(sensor.read(0.5))
    commands = open_output(output)
    with pytest.raises(ConfigError, match=collides):
        open_sensor(asking)
    commands.close()
    with open_sensor(asking):
        pass
