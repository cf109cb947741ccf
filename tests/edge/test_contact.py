import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.contact import OFF_N, ON_N, phases, runs

T = np.arange(1001) / 1000.0


def step(start: float, end: float, top: float = 700.0, slope: float = 50e3) -> np.ndarray:
    """A force that rises with `slope` N/s from `start` to `top`, and falls so that it ends at `end`."""
    return np.clip(np.minimum((T - start) * slope, (end - T) * slope), 0.0, top)


def test_a_step_s_events_lie_between_the_rows() -> None:
    found = phases(T, step(0.2003, 0.8, slope=5e3))
    np.testing.assert_allclose(found.strikes_s, [0.2003 + ON_N / 5e3], atol=1e-9)
    np.testing.assert_allclose(found.offs_s, [0.8 - OFF_N / 5e3], atol=1e-9)
    assert [(T[c.start], T[c.stop - 1]) for c in found.contacts] == [(pytest.approx(0.205), pytest.approx(0.798))]


def test_noise_about_one_threshold_makes_no_steps() -> None:
    noise = 5.0 + 4.9 * np.sign(np.sin(2 * np.pi * 90 * T))
    force = np.where(T < 0.3, noise, np.where(T < 0.7, 15.0 + noise, noise))
    found = phases(T, force)
    assert len(found.contacts) == 1
    assert T[found.contacts[0].start] == pytest.approx(0.3, abs=0.02)


def test_a_recording_that_begins_and_ends_in_stance_has_no_events_there() -> None:
    found = phases(T, np.where((T < 0.3) | (T > 0.6), 400.0, 0.0))
    assert len(found.contacts) == 2
    assert len(found.strikes_s) == len(found.offs_s) == 1
    assert found.offs_s[0] < found.strikes_s[0]


def test_short_gaps_and_short_contacts_are_none() -> None:
    bounce = step(0.2, 0.5) * ((T < 0.22) | (T > 0.24)) + step(0.7, 0.72)
    found = phases(T, bounce)
    assert len(found.contacts) == 1
    assert len(phases(T, bounce, shortest_s=0.001).contacts) == 3


@pytest.mark.parametrize("level", [0.0, 12.0, 15.0])
def test_a_force_that_never_reaches_the_first_threshold(level: float) -> None:
    assert not phases(T, np.full(1001, level)).stance.any()


def test_a_force_that_is_always_there() -> None:
    found = phases(T, np.full(1001, 300.0))
    assert found.stance.all()
    assert len(found.strikes_s) == len(found.offs_s) == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-50, 900), min_size=2, max_size=200), st.integers(20, 2000))
def test_phases_of_any_force(values: list[float], rate: int) -> None:
    time, force = np.arange(len(values)) / rate, np.array(values)
    found = phases(time, force)
    inside = [c for c in found.contacts if c.start > 0 and c.stop < len(force)]
    assert all(time[c.stop] - time[c.start] >= 0.05 - 1e-12 for c in inside)
    assert len(found.strikes_s) == sum(c.start > 0 for c in found.contacts)
    assert len(found.offs_s) == sum(c.stop < len(force) for c in found.contacts)
    events = np.sort(np.concatenate([found.strikes_s, found.offs_s]))
    assert (np.diff(events) >= 0).all()
    # Every event lies between the row before the change and the row of the change.
    starts = np.array([c.start for c in found.contacts if c.start > 0], dtype=int)
    assert ((found.strikes_s >= time[starts - 1]) & (found.strikes_s <= time[starts])).all()


@given(st.lists(st.booleans(), max_size=50))
def test_runs_are_the_mask(mask: list[bool]) -> None:
    again = np.zeros(len(mask), dtype=bool)
    found = runs(np.array(mask, dtype=bool))
    for run in found:
        again[run] = True
    assert again.tolist() == mask
    assert all(a.stop < b.start for a, b in itertools.pairwise(found))
