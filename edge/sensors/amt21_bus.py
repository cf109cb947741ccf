"""`serial:PATH?protocol=amt21&nodes=0x54,0x58,0x5c&rate=200`: AMT21 encoders asked in turn, each a joint's angle.

Half-duplex: a question goes out, and nothing more until its two bytes are back or `wait_ms` have passed. The adapter must
switch between sending and hearing by itself, as those for USB do.
"""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable

from edge.errors import ConfigError, SensorError
from edge.sensors.amt21 import TURNS_QUESTION, Amt21Decoder, Answer, Joint, encode_record
from edge.sensors.base import Sensor, SensorLostError
from edge.sensors.decoder import Decoder
from edge.sensors.protocols import Protocol
from edge.serial_line import SerialLine, settings_from
from edge.url import Url

MOST_JOINTS = 16

_DEFAULT_NODE = 0x54  # of an encoder that was never given another address
_REPLY = 2
_BITS_PER_BYTE = 10  # with start and stop bit
_MOST_STALE_READS = 4  # a line that floods gives no answers anyway
_STALE = 256


class Amt21Sensor(Sensor):
    """Asks every encoder at `rate=` Hz; each round is one record (:mod:`edge.sensors.amt21`).

    A round that comes late is not made up for: the next one is at the next multiple of the interval. clock: nanoseconds,
    monotonic.
    """

    finite = False

    def __init__(
        self,
        url: Url,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(url.text)
        self._settings = settings_from(url, PROTOCOL)
        self._joints = _joints(url)
        self._turns = url.switch("turns", False)
        self._echo = url.switch("echo", False)
        self._wait_s = url.number("wait_ms", 5.0, minimum=0.1, maximum=50.0) * 1e-3
        rate_hz = url.number("rate", 100.0, minimum=1.0, maximum=2000.0)
        self._questions = [
            joint.node + extra for joint in self._joints for extra in (0, TURNS_QUESTION)[: 1 + self._turns]
        ]
        on_line_s = len(self._questions) * (1 + _REPLY) * _BITS_PER_BYTE / self._settings.baud
        if on_line_s * rate_hz > 1.0:
            raise ConfigError(
                f"{url.text}: {len(self._questions)} questions take {on_line_s * 1e3:.1f} ms at "
                f"baud={self._settings.baud}, more than the {1e3 / rate_hz:.1f} ms of rate={rate_hz:g}; use a rate below "
                f"{1 / on_line_s:.0f}, or encoders that are faster"
            )
        self.skipped_rounds = 0  # left out because the round before took too long
        self._interval_ns = round(1e9 / rate_hz)
        self._due_ns: int | None = None
        self._clock = clock
        self._sleep = sleep
        self._line: SerialLine | None = None

    def open(self) -> None:
        """Take the port for this process alone."""
        if self._line is None:
            self._line = SerialLine(self._settings, SensorError)
            self._due_ns = None

    def close(self) -> None:
        """Give the port back."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def decoder(self) -> Decoder:
        """A fresh decoder of the records of these encoders."""
        return Amt21Decoder(self._joints, turns=self._turns)

    def due_s(self) -> float:
        """Seconds until the next round."""
        return 0.0 if self._due_ns is None else max(0.0, (self._due_ns - self._clock()) * 1e-9)

    def read(self, timeout_s: float) -> bytes:
        """The next round's record once it is due, after waiting up to `timeout_s` for it. Raises SensorLostError."""
        if self._line is None:
            raise SensorError(f"serial port {self._settings.path} is not open; open the sensor before reading")
        now_ns = self._clock()
        due_ns = now_ns if self._due_ns is None else self._due_ns
        if due_ns > now_ns:
            self._sleep(min((due_ns - now_ns) * 1e-9, max(0.0, timeout_s)))
            now_ns = self._clock()
            if due_ns > now_ns:
                self._due_ns = due_ns
                return b""
        late = (now_ns - due_ns) // self._interval_ns
        self.skipped_rounds += late
        self._due_ns = due_ns + (late + 1) * self._interval_ns
        try:
            return self._round(self._line.fd)
        except OSError as error:
            raise SensorLostError(
                f"serial port {self._settings.path} was lost while asking the encoders ({error.strerror}): check cable and "
                "power of the adapter"
            ) from error

    def _round(self, fd: int) -> bytes:
        first_ns = self._clock()
        answers = []
        for question in self._questions:
            asked_ns = self._clock()
            answers.append(Answer(question, (asked_ns - first_ns) // 1000, self._ask(fd, question)))
        return encode_record(first_ns // 1000, answers)

    def _ask(self, fd: int, question: int) -> bytes:
        """Send one question; return the reply, or what of it came in time."""
        for _ in range(_MOST_STALE_READS):
            # An answer that came too late would be taken for that of the next encoder.
            if not (_readable(fd, 0.0) and os.read(fd, _STALE)):
                break
        try:
            os.write(fd, bytes([question]))
        except BlockingIOError:
            return b""  # the adapter does not send: as good as no answer
        deadline_ns = self._clock() + round(self._wait_s * 1e9)
        wanted = _REPLY + self._echo
        reply = b""
        while len(reply) < wanted:
            if not _readable(fd, (deadline_ns - self._clock()) * 1e-9):
                break
            got = os.read(fd, wanted - len(reply))
            if not got:
                raise OSError(0, "the device has disconnected")
            reply += got
        return reply[1:] if self._echo else reply


def _readable(fd: int, timeout_s: float) -> bool:
    return bool(select.select([fd], [], [], max(0.0, timeout_s))[0])


def _joints(url: Url) -> list[Joint]:
    nodes = [_number(url, "nodes", text) for text in url.text_of("nodes", hex(_DEFAULT_NODE)).split(",")]
    if not 1 <= len(nodes) <= MOST_JOINTS or len(set(nodes)) != len(nodes):
        raise ConfigError(
            f"{url.text}: parameter nodes= names {len(nodes)} encoders; use 1 to {MOST_JOINTS} different addresses, one per joint"
        )
    for node in nodes:
        if node != int(node) or not 0 <= node <= 0xFC or node % 4:
            raise ConfigError(
                f"{url.text}: parameter nodes={url.parameters['nodes']} is not usable; use addresses from 0x00 to 0xfc of "
                "which the lowest two bits are 0, for example 0x54,0x58,0x5c"
            )
    turns = url.switch("turns", False)
    signs = _numbers(url, "sign", 1.0, len(nodes), "1 or -1")
    zeros_deg = _numbers(url, "zero", 0.0, len(nodes), "degrees")
    gears = _numbers(url, "gear", 1.0, len(nodes), "turns of the encoder per turn of the joint")
    if any(abs(sign) != 1.0 for sign in signs):
        raise ConfigError(
            f"{url.text}: parameter sign={url.parameters['sign']} is not usable; use 1 or -1 for each encoder"
        )
    if any(gear <= 0.0 for gear in gears) or (not turns and any(gear != 1.0 for gear in gears)):
        raise ConfigError(
            f"{url.text}: parameter gear={url.parameters['gear']} is not usable; use positive numbers, with turns=1 alone: an "
            "encoder without turns counter does not know in which of its turns a geared joint is"
        )
    return [
        Joint(int(node), sign, math.radians(zero), gear)
        for node, sign, zero, gear in zip(nodes, signs, zeros_deg, gears, strict=True)
    ]


def _numbers(url: Url, name: str, default: float, count: int, what: str) -> list[float]:
    if name not in url.parameters:
        return [default] * count
    values = [_number(url, name, text) for text in url.parameters[name].split(",")]
    if len(values) != count:
        raise ConfigError(
            f"{url.text}: parameter {name}= holds {len(values)} numbers for {count} encoders; give one for each ({what})"
        )
    return values


def _number(url: Url, name: str, text: str) -> float:
    try:
        value = float(int(text, 16)) if text.lower().startswith("0x") else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{url.text}: parameter {name}: '{text}' is not a number; write numbers parted by commas")
    return value


def _decoder(url: Url) -> Decoder:
    return Amt21Decoder(_joints(url), turns=url.switch("turns", False))


PROTOCOL = Protocol(
    "amt21",
    _decoder,
    baud=2_000_000,
    parameters=("nodes", "rate", "turns", "sign", "zero", "gear", "echo", "wait_ms"),
    sensor=Amt21Sensor,
)
