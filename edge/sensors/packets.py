"""What decoders of binary packets share: find them on a line by their start byte, length and check sum."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from edge.sensors.decoder import Decoder, FrameCounters
from edge.sensors.frame import Frame


class PacketDecoder(Decoder):
    """Cuts a line into packets that begin with one known byte, and carry their length and a check sum.

    A byte that begins no whole packet is skipped, and the search goes on with the next one: a wrong length costs no
    packet that follows. One run of such bytes is counted once, as `bad_crc` where it starts like a packet of which the
    check sum does not hold, else as `bad_length`. Holds one packet at the most.
    """

    START: ClassVar[int]

    def __init__(self) -> None:
        self.counters = FrameCounters()
        self.packets = 0  # whose check sum held, whatever they carried
        self._buffer = bytearray()
        self._lost = False

    @abstractmethod
    def _size(self, buffer: bytearray, at: int) -> int | None:
        """Bytes of the packet that starts at `at`; None where more must come before that is known, 0 where none starts."""

    @abstractmethod
    def _holds(self, packet: bytes) -> bool:
        """Whether the check sum of a whole packet is right."""

    @abstractmethod
    def _take(self, packet: bytes, received_ns: int) -> Frame | None:
        """The frame that a checked packet completes."""

    def push(self, data: bytes, received_ns: int = 0) -> list[Frame]:
        """Take the next bytes of the line; return the good frames that they complete, in order."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        at = 0
        while at < len(buffer):
            start = buffer.find(self.START, at)
            if start != at:
                self._damaged(check=False)
                at = len(buffer) if start < 0 else start
                continue
            size = self._size(buffer, at)
            if size is None or len(buffer) - at < size:
                break
            packet = bytes(buffer[at : at + size])
            if size == 0 or not self._holds(packet):
                self._damaged(check=size > 0)
                at += 1
                continue
            self._lost = False
            self.packets += 1
            frame = self._take(packet, received_ns)
            if frame is not None:
                self.counters.frames += 1
                frames.append(frame)
            at += size
        del buffer[:at]
        return frames

    def _damaged(self, *, check: bool) -> None:
        if self._lost:
            return
        self._lost = True
        if check:
            self.counters.bad_crc += 1
        else:
            self.counters.bad_length += 1
