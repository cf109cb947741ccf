"""What goes wrong on a real sensor line, reproducibly: noise, jitter, lost, damaged and repeated frames.

A pure function of the frames, the settings and the seed, so that a test knows exactly what was done to each frame.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from edge.errors import ConfigError
from edge.sensors.frame import Frame, Kind, encode

MOST_NOISE_DEG = 360.0
MOST_JITTER_MS = 1e4


@dataclass(frozen=True, slots=True)
class Disturbance:
    """How much of each. All zero: every frame goes out as it is.

    noise_deg: standard deviation of Gaussian noise on each joint angle, degrees. jitter_ms: standard deviation of the
    time stamps, ms; stamps of one kind stay in order. drop, corrupt, duplicate: probability per frame; their sum is at
    most 1, as a frame meets one of them at most.
    """

    noise_deg: float = 0.0
    jitter_ms: float = 0.0
    drop: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("noise_deg", MOST_NOISE_DEG), ("jitter_ms", MOST_JITTER_MS)):
            value = getattr(self, name)
            if not 0.0 <= value <= most:
                raise ConfigError(f"{name} = {value}: use a number from 0 to {most:g}")
        for name in ("drop", "corrupt", "duplicate"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{name} = {value}: use a probability from 0 to 1")
        total = self.drop + self.corrupt + self.duplicate
        if total > 1.0 + 1e-9:
            raise ConfigError(f"drop + corrupt + duplicate = {total:g}: use probabilities whose sum is at most 1")


class Fate(enum.Enum):
    """What became of a frame."""

    SENT = "sent"
    DROPPED = "dropped"
    CORRUPTED = "corrupted"
    DUPLICATED = "duplicated"


@dataclass(frozen=True, slots=True)
class Packet:
    """The bytes that go on the line for one frame (none when it is dropped), due at `due_us` of the recording."""

    due_us: int
    kind: int
    data: bytes
    fate: Fate


def disturb(frames: Iterable[Frame], settings: Disturbance, *, seed: int) -> Iterator[Packet]:
    """One packet per frame, in order; lazily, so that a loop without end can be played.

    The draws for noise, jitter, fate and damage come from generators of their own: changing one setting leaves what the
    others do as it was. Raises ValueError for a frame that the wire format cannot hold.
    """
    noise, jitter, fates, damage = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4))
    noise_rad = math.radians(settings.noise_deg)
    last_us: dict[int, int] = {}
    for original in frames:
        frame = original
        if noise_rad > 0.0 and frame.kind == Kind.ANGLES:
            shaken = np.asarray(frame.channels) + noise.normal(0.0, noise_rad, len(frame.channels))
            frame = replace(frame, channels=tuple(shaken.tolist()))
        if settings.jitter_ms > 0.0:
            moved_us = frame.time_us + round(jitter.normal(0.0, settings.jitter_ms * 1000.0))
            frame = replace(frame, time_us=max(moved_us, last_us.get(frame.kind, -1) + 1))
            last_us[frame.kind] = frame.time_us
        data = encode(frame)
        fate = _fate(fates.random(), settings)
        if fate is Fate.DROPPED:
            data = b""
        elif fate is Fate.CORRUPTED:
            data = _flip_one_bit(data, damage)
        elif fate is Fate.DUPLICATED:
            data = data + data
        yield Packet(original.time_us, frame.kind, data, fate)


def _fate(draw: float, settings: Disturbance) -> Fate:
    if draw < settings.drop:
        return Fate.DROPPED
    if draw < settings.drop + settings.corrupt:
        return Fate.CORRUPTED
    if draw < settings.drop + settings.corrupt + settings.duplicate:
        return Fate.DUPLICATED
    return Fate.SENT


def _flip_one_bit(data: bytes, damage: np.random.Generator) -> bytes:
    """Damage one bit, anywhere but in the closing 0x00: the frames around it stay whole."""
    bit = int(damage.integers(8 * (len(data) - 1)))
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << (bit % 8)
    return bytes(damaged)
