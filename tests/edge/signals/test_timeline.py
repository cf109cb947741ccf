from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from edge.sensors.frame import Frame, Kind
from edge.signals.problems import Problems
from edge.signals.timeline import SETTLE_US, Stamp, TimeLine

START_NS = 10**12


@dataclass
class Sender:
    """A clock that started at `origin_us` and runs `ppm` fast; what it sends arrives after a least delay and some jitter."""

    origin_us: int
    ppm: float = 0.0
    delay_ns: int = 2_000_000
    jitter_ns: int = 3_000_000

    def stamp_us(self, t_s: float) -> int:
        return self.origin_us + round(t_s * 1e6 * (1.0 + self.ppm * 1e-6))


def frame(time_us: int) -> Frame:
    return Frame(Kind.ANGLES, 0, 0, time_us, (0.0,))


def play(
    line: TimeLine, senders: dict[int, Sender], start_s: float, end_s: float, *, rate_hz: int = 100, seed: int = 0
) -> list[tuple[int, float, Stamp]]:
    """(source, true time, stamp) of all frames, in the order in which they are received."""
    rng = np.random.default_rng(seed)
    events = []
    for source, sender in senders.items():
        for k in range(round(start_s * rate_hz), round(end_s * rate_hz)):
            t_s = (k + 0.3 * source) / rate_hz
            late_ns = sender.delay_ns + int(rng.exponential(sender.jitter_ns))
            events.append((START_NS + round(t_s * 1e9) + late_ns, source, t_s))
    found = []
    for received_ns, source, t_s in sorted(events):
        (stamp,) = line.take(source, [frame(senders[source].stamp_us(t_s))], received_ns)
        found.append((source, t_s, stamp))
    return found


def new(count: int = 2) -> tuple[TimeLine, Problems]:
    problems = Problems()
    return TimeLine([f"s{i}:" for i in range(count)], [True] * count, problems), problems


def errors_us(found: list[tuple[int, float, Stamp]], first: Sender, *, source: int = 1) -> np.ndarray:
    """How far frames of a source lie from where the first sender's clock was at their true time."""
    return np.array([s.line_us - first.stamp_us(t) for i, t, s in found if i == source and s.line_us is not None])


def test_the_first_source_is_taken_as_it_is() -> None:
    line, problems = new()
    senders = {0: Sender(77, ppm=50), 1: Sender(5 * 10**9, ppm=-80)}
    found = play(line, senders, 0.0, 5.0)
    assert all(s.line_us == s.sensor_us for i, _, s in found if i == 0)
    assert problems.counts == {}


@pytest.mark.parametrize(("ppm", "origin_us"), [(0.0, 0), (150.0, 10**15), (-200.0, 3)])
def test_another_clock_is_followed_within_a_fraction_of_a_sample(ppm: float, origin_us: int) -> None:
    """A minute with up to 200 ppm between the clocks: 12 ms by its end, of which nothing is left."""
    line, problems = new()
    senders = {0: Sender(1_000_000, ppm=-30.0), 1: Sender(origin_us, ppm=ppm)}
    errors = errors_us(play(line, senders, 0.0, 60.0), senders[0])
    assert np.abs(errors[:20]).max() < 3000
    assert np.abs(errors[1000:]).max() < 600
    assert problems.counts == {}


def test_transports_that_differ_leave_their_difference() -> None:
    line, _ = new()
    senders = {0: Sender(0, delay_ns=1_000_000, jitter_ns=1), 1: Sender(0, delay_ns=6_000_000, jitter_ns=1)}
    errors = errors_us(play(line, senders, 0.0, 10.0), senders[0])
    assert np.median(errors) == pytest.approx(5000, abs=5)


def test_nothing_is_placed_before_both_are_known() -> None:
    line, _ = new()
    alone = line.take(1, [frame(k * 10_000) for k in range(100)], START_NS)
    assert {stamp.line_us for stamp in alone} == {None}
    found = play(line, {0: Sender(0), 1: Sender(1_000_000)}, 0.0, 1.0)
    placed = [t for i, t, s in found if i == 1 and s.line_us is not None]
    assert placed[0] == pytest.approx(SETTLE_US * 1e-6, abs=0.02)
    assert line.unplaced == 100 + len([1 for i, _, s in found if i == 1 and s.line_us is None])


@pytest.mark.parametrize("restarted", [0, 1])
def test_a_restart_is_told_and_followed_once_it_has_settled(restarted: int) -> None:
    line, problems = new()
    senders = {0: Sender(9 * 10**9, ppm=40), 1: Sender(5 * 10**9, ppm=-40)}
    play(line, senders, 0.0, 20.0)
    senders[restarted] = Sender(-20_000_000 + 12_345, ppm=10)
    found = play(line, senders, 20.0, 30.0, seed=1)
    assert problems.counts == {f"clock_restart:{restarted}": 1}
    assert f"s{restarted}:" in problems.take()[0].text
    others = [(t, s) for i, t, s in found if i == 1]
    assert all(s.line_us is None for t, s in others if t < 20.19)
    assert all(s.line_us is not None for t, s in others if t > 20.22)
    assert np.abs(errors_us(found, senders[0])).max() < 3000


def test_the_same_stamps_give_the_same_line_to_the_last_bit() -> None:
    senders = {0: Sender(0, ppm=20), 1: Sender(10**9, ppm=-70), 2: Sender(7, ppm=5)}
    one = play(new(3)[0], senders, 0.0, 20.0)
    again = new(3)[0]
    told = []
    for source, _, stamp in one:
        told.append((source, stamp))
    two = play(again, senders, 0.0, 20.0)
    assert [(i, s) for i, _, s in two] == told


def test_asking_for_host_times_changes_nothing() -> None:
    """A live session asks when an estimate's moment was, a replay does not."""
    senders = {0: Sender(0, ppm=20), 1: Sender(10**9, ppm=-70)}
    one, two = new()[0], new()[0]
    rng = np.random.default_rng(0)
    expected = play(two, senders, 0.0, 20.0)
    take = one.take

    def ask_too(source: int, frames: list[Frame], received_ns: int) -> list[Stamp]:
        stamps = take(source, frames, received_ns)
        if source == 0:
            one.host_ns(frames[0].time_us - rng.uniform(0.0, 60_000.0))
        return stamps

    one.take = ask_too  # type: ignore[method-assign,assignment]
    assert play(one, senders, 0.0, 20.0) == expected


def test_a_clock_that_does_not_run_is_told_once_unless_the_bytes_are_not_paced() -> None:
    for paced, count in ((True, {"clock:0": 1}), (False, {})):
        problems = Problems()
        line = TimeLine(["a:"], [paced], problems)
        for k in range(2000):
            line.take(0, [frame(k * 1000)], START_NS + k * 10**7)
        assert problems.counts == count
