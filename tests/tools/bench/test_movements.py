"""The bench's movements are the recordings, in our signs, at 100 Hz, and what is joined is joined smoothly."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bench.movements import (
    DROPPED,
    ENCODER_STEPS,
    RATE_HZ,
    Jitter,
    Movement,
    Part,
    catalogue,
    disturbed,
    join,
    movement,
    recordings,
    reference,
    with_stops,
)

KNEES = [1, 4]


def sines(seconds: float = 20.0, hz: float = 1.0, channels: int = 2, phase: float = 0.0, person: str = "p") -> Movement:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    q = 0.5 * np.sin(2 * np.pi * hz * time[:, None] + phase + np.arange(channels))
    names = tuple(f"c{i}" for i in range(channels))
    return Movement("sines", person, "sines", time, q, names, (Part("sines", 0.0, float(time[-1])),))


def test_every_recording_is_read_at_100_hz_in_our_signs(data: Path) -> None:
    movements = [make() for make in recordings(data).values()]
    assert len(movements) > 60
    assert len({m.name for m in movements}) == len(movements)
    for m in movements:
        assert m.q.shape == (len(m.time_s), len(m.channel_names)), m.name
        assert np.isfinite(m.q).all(), m.name
        np.testing.assert_allclose(m.time_s, np.arange(len(m.time_s)) / RATE_HZ, atol=1e-9)
        rate = np.abs(np.diff(m.q, axis=0)).max() * RATE_HZ
        assert 0.5 < rate < np.radians(1300.0), m.name  # something moves, and no faster than a wrist's whole degrees
        if m.task in ("walking", "running", "squats", "sit-to-stand"):
            assert m.channel_names == ("hip_r", "knee_r", "ankle_r", "hip_l", "knee_l", "ankle_l")
            # Knees bend, whatever the sign in the file.
            assert np.all(m.q[:, KNEES].min(axis=0) < np.radians(-40)), m.name
            assert np.all(m.q[:, KNEES].max(axis=0) < np.radians(25)), m.name


def test_one_persons_recordings_have_one_person(data: Path) -> None:
    people = {name: make().person for name, make in recordings(data).items() if not name.startswith("wrist")}
    assert people["gait2392_walk"] == people["opensimrt_gait"]
    assert people["walk36"] == people["run81"]
    assert people["walk_12/2014001/C4_05"] == people["walk_12/2014001/C5_01"] != people["walk_12/2014004/C4_02"]
    assert len({person for name, person in people.items() if name.startswith("walk_12")}) == 12
    assert len({person for name, person in people.items() if name.startswith("squats")}) == 1


def test_what_is_made_of_parts_is_as_smooth_as_its_parts(data: Path) -> None:
    made = [make() for name, make in catalogue(data).items() if " " in name]
    assert {"walk to run", "walk, run, walk", "walk to squats", "walk to sit-to-stand", "walk with stops"} <= {
        m.name for m in made
    }
    fastest = reference(movement(data, "run81"), np.arange(0.5, 57.5, 0.01))
    for m in made:
        assert len(m.parts) > 1
        assert m.parts[0].start_s == 0.0
        assert m.parts[-1].end_s == pytest.approx(m.duration_s, abs=0.011)
        assert all(a.end_s == pytest.approx(b.start_s) for a, b in pairwise(m.parts))
        true = reference(m, m.time_s[50:-50])
        assert np.abs(true[1]).max() <= 1.05 * np.abs(fastest[1]).max(), m.name
        assert np.abs(true[2]).max() <= 1.05 * np.abs(fastest[2]).max(), m.name


def test_a_joint_movement_begins_and_ends_as_its_pieces() -> None:
    first, second = sines(hz=1.0), sines(hz=1.3, phase=2.0, person="other")
    both = join("both", first, second)
    assert [p.task for p in both.parts] == ["sines", "sines"]
    passage = both.parts[1].start_s
    np.testing.assert_array_equal(both.q[: round(passage * RATE_HZ)], first.q[: round(passage * RATE_HZ)])
    np.testing.assert_array_equal(both.q[-500:], second.q[-500:])
    assert np.abs(np.diff(both.q, 2, axis=0)).max() < 2.0 * np.abs(np.diff(second.q, 2, axis=0)).max()
    assert both.person == "p"


def test_standing_is_still_and_nothing_jumps() -> None:
    stops = with_stops("stops", sines())
    assert [p.task for p in stops.parts[:3]] == ["standing", "sines", "standing"]
    standing = stops.parts[2]
    held = stops.q[round(standing.start_s * RATE_HZ) : round(standing.end_s * RATE_HZ)]
    np.testing.assert_array_equal(held, np.repeat(held[:1], len(held), axis=0))
    # The blend moves no faster than twice the movement itself.
    assert np.abs(np.diff(stops.q, axis=0)).max() < 2.0 * np.abs(np.diff(sines().q, axis=0)).max()


@given(jitter=st.sampled_from(["hidden", "stamps", "true"]), seed=st.integers(0, 1000))
def test_disturbed_angles_are_quantised_noisy_jittered_and_lost(jitter: Jitter, seed: int) -> None:
    clean = sines(60.0)
    stamps, samples = disturbed(clean, seed, jitter=jitter)
    assert np.all(np.diff(stamps) > 0)
    steps = samples * ENCODER_STEPS / (2 * np.pi)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert 1.0 - len(stamps) / len(clean.time_s) == pytest.approx(DROPPED, abs=0.006)
    frames = np.round(stamps * RATE_HZ).astype(int)
    shift = stamps - frames / RATE_HZ
    if jitter == "hidden":
        np.testing.assert_allclose(shift, 0.0, atol=1e-9)
    else:
        assert shift.std() == pytest.approx(1e-3, rel=0.1)
    error = np.degrees(samples - clean.q[frames])
    moved = np.degrees(np.sqrt((np.diff(clean.q, axis=0) ** 2).mean()) * RATE_HZ) * 1e-3
    expected = np.hypot(0.1, 360.0 / ENCODER_STEPS / np.sqrt(12.0))
    assert error.std() == pytest.approx(expected if jitter == "stamps" else np.hypot(expected, moved), rel=0.1)


def test_the_seed_decides_the_noise() -> None:
    first, same, other = (disturbed(sines(), seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first[:100], other[:100])


def test_the_reference_is_of_the_undisturbed_movement() -> None:
    slow = sines(hz=0.5)
    at = np.arange(5.0, 15.0, 0.0123)
    value, rate, acceleration = reference(slow, at)
    w = 2 * np.pi * 0.5
    true = 0.5 * np.sin(w * at[:, None] + np.arange(2))
    np.testing.assert_allclose(value, true, atol=1e-3)
    np.testing.assert_allclose(acceleration, -(w**2) * true, atol=1e-2)
    assert np.abs(rate).max() == pytest.approx(0.5 * w, rel=1e-3)
