"""What is done to frames is exactly what is asked for, and the same every time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.sensors.frame import Frame, FrameDecoder, Kind, encode
from tools.disturb import Disturbance, Fate, Packet, disturb

N = 4_000


def recording(count: int = N) -> list[Frame]:
    return [
        Frame(kind, 0, i, i * 10_000, (0.5, -0.25, 0.125) if kind == Kind.ANGLES else (1.0,) * 10)
        for i in range(count)
        for kind in (int(Kind.ANGLES), int(Kind.IMU))
    ]


def packets(seed: int = 1, count: int = N, **settings: Any) -> list[Packet]:
    return list(disturb(recording(count), Disturbance(**settings), seed=seed))


def decoded(of: list[Packet]) -> tuple[list[Frame], FrameDecoder]:
    decoder = FrameDecoder()
    return decoder.push(b"".join(packet.data for packet in of)), decoder


def test_nothing_asked_nothing_done() -> None:
    assert packets(count=50) == [Packet(frame.time_us, frame.kind, encode(frame), Fate.SENT) for frame in recording(50)]


def test_the_seed_decides() -> None:
    settings = {"noise_deg": 0.5, "jitter_ms": 1.0, "drop": 0.1, "corrupt": 0.1, "duplicate": 0.1, "count": 200}
    assert packets(**settings) == packets(**settings)
    assert packets(**settings) != packets(seed=2, **settings)


def test_one_setting_leaves_the_others_draws_alone() -> None:
    quiet = packets(drop=0.2, count=500)
    noisy = packets(drop=0.2, noise_deg=1.0, jitter_ms=2.0, count=500)
    assert [packet.fate for packet in quiet] == [packet.fate for packet in noisy]


def test_probabilities_and_the_receivers_counts() -> None:
    made = packets(drop=0.05, corrupt=0.03, duplicate=0.02)
    total = len(made)
    counts = {fate: sum(packet.fate is fate for packet in made) for fate in Fate}
    for fate, expected in ((Fate.DROPPED, 0.05), (Fate.CORRUPTED, 0.03), (Fate.DUPLICATED, 0.02)):
        spread = (expected * (1 - expected) / total) ** 0.5
        assert abs(counts[fate] / total - expected) < 4 * spread
    frames, decoder = decoded(made)
    assert len(frames) == counts[Fate.SENT] + counts[Fate.DUPLICATED]
    assert decoder.counters.duplicates == counts[Fate.DUPLICATED]
    # A flip that makes a zero cuts its frame in two.
    assert counts[Fate.CORRUPTED] <= decoder.counters.bad <= 2 * counts[Fate.CORRUPTED]
    lost = counts[Fate.DROPPED] + counts[Fate.CORRUPTED]
    edges = sum(packet.fate in (Fate.DROPPED, Fate.CORRUPTED) for packet in (*made[:2], *made[-2:]))
    assert lost - 2 * edges <= decoder.counters.sequence_gaps <= lost


def test_certainties() -> None:
    assert all(packet.data == b"" for packet in packets(drop=1.0, count=20))
    frames, decoder = decoded(packets(corrupt=1.0, count=200))
    assert frames == []
    assert decoder.counters.bad >= 400
    frames, decoder = decoded(packets(duplicate=1.0, count=20))
    assert frames == recording(20)
    assert decoder.counters.duplicates == 40


def test_noise_is_on_the_angles_in_degrees() -> None:
    frames, _ = decoded(packets(noise_deg=2.0))
    angles = np.array([frame.channels for frame in frames if frame.kind == Kind.ANGLES])
    error_deg = np.rad2deg(angles - np.array([0.5, -0.25, 0.125]))
    assert np.allclose(error_deg.std(axis=0), 2.0, rtol=0.05)
    assert np.allclose(error_deg.mean(axis=0), 0.0, atol=0.15)
    assert all(frame.channels == (1.0,) * 10 for frame in frames if frame.kind == Kind.IMU)


def test_jitter_moves_stamps_in_order_and_not_the_sending() -> None:
    made = packets(jitter_ms=1.5)
    frames, _ = decoded(made)
    assert [packet.due_us for packet in made] == [frame.time_us for frame in recording()]
    for kind in (Kind.ANGLES, Kind.IMU):
        times = np.array([frame.time_us for frame in frames if frame.kind == kind])
        assert np.std(times[1:] - np.arange(1, N) * 10_000) == pytest.approx(1500, rel=0.05)
    wild, _ = decoded(packets(jitter_ms=30.0))
    times_us = [frame.time_us for frame in wild if frame.kind == Kind.ANGLES]
    assert all(after > before for before, after in pairwise(times_us))


def test_it_is_lazy() -> None:
    def endless() -> Any:
        yield from recording(1)
        raise AssertionError("asked for more than was taken")

    assert next(disturb(endless(), Disturbance(), seed=0)).fate is Fate.SENT


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"drop": 1.5}, r"drop = 1.5: use a probability"),
        ({"corrupt": -0.1}, r"corrupt = -0.1: use a probability"),
        ({"duplicate": float("nan")}, r"duplicate = nan: use a probability"),
        ({"drop": 0.6, "corrupt": 0.5}, r"drop \+ corrupt \+ duplicate = 1.1"),
        ({"noise_deg": -1.0}, r"noise_deg = -1.0: use a number from 0 to 360"),
        ({"jitter_ms": float("inf")}, r"jitter_ms = inf: use a number from 0 to 10000"),
    ],
)
def test_impossible_settings(settings: dict[str, float], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Disturbance(**settings)
