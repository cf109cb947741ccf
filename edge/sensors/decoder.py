"""The one interface of everything that turns a sensor's bytes into frames, whatever protocol it speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.sensors.frame import Frame


@dataclass(slots=True)
class FrameCounters:
    """What a decoder has met since it was made; each number only grows."""

    frames: int = 0
    """Good frames handed on."""
    bad_cobs: int = 0
    bad_length: int = 0
    """Too short, too long, or not as long as its channel count says."""
    bad_version: int = 0
    bad_crc: int = 0
    """A check sum that does not hold, whatever kind of check sum the protocol has."""
    non_finite: int = 0
    """A correct frame with a NaN or an infinity in a channel."""
    sequence_gaps: int = 0
    """Frames missing between good ones of the same kind: lost on the line, or counted above as bad."""
    sequence_resets: int = 0
    """Sequence numbers that went back: the sender was restarted. The frame is handed on."""
    duplicates: int = 0
    """Good frames with the sequence number of the one before, of the same kind. They are dropped."""

    @property
    def bad(self) -> int:
        """Frames that were dropped because something in them is wrong."""
        return self.bad_cobs + self.bad_length + self.bad_version + self.bad_crc + self.non_finite


class Decoder(ABC):
    """Bytes in, frames out, whatever the bytes and however they are cut.

    Never raises; holds a bounded number of bytes; counts everything that it drops in `counters`. The frames have the
    kinds, units and axes of the wire protocol `emsk` (docs/wire-protocol.md) whatever the device speaks.
    """

    counters: FrameCounters

    @abstractmethod
    def push(self, data: bytes, received_ns: int = 0) -> list[Frame]:
        """Take the next bytes of the line; return the good frames that they complete, in order.

        received_ns: host monotonic time at which the bytes were there; the time of frames of protocols without a clock.
        """

    def trouble(self) -> str:
        """What is wrong with what the device sends, in its own terms, with what to do; "" where nothing is known."""
        return ""
