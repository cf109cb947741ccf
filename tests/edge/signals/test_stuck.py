from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from edge.signals.problems import Problems
from edge.signals.stuck import StuckCheck

NAMES = ("hip", "knee", "ankle")
LSB = 2 * math.pi / 4096  # of a 12 bit encoder
Moment = tuple[float, ...]


def walk(t: float) -> Moment:
    """Joint angles, tilt, acceleration of the base: a stride a second."""
    w = 2 * math.pi * t
    return (
        *(0.2 + 0.35 * math.sin(w), -0.5 + 0.5 * math.sin(w + 1.0), 0.25 * math.sin(w + 2.0)),
        *(0.05 * math.sin(2 * w), 1.0 * math.sin(2 * w), 2.5 * math.cos(2 * w)),
    )


class Play:
    def __init__(self) -> None:
        self.problems = Problems()
        self.check = StuckCheck(NAMES, self.problems)
        self.stuck_at: list[float] = []

    def play(self, moment: Callable[[float], Moment], start_s: float, end_s: float, *, digit: float = LSB) -> Play:
        for k in range(round(start_s * 100), round(end_s * 100)):
            values = moment(k / 100)
            rounded = tuple(round(v / digit) * digit for v in values[:3]) if digit else values[:3]
            self.check.add(k / 100, rounded + values[3:])
            if self.check.stuck:
                self.stuck_at.append(k / 100)
        return self


@pytest.mark.parametrize("joint", range(3))
def test_an_encoder_that_stops_while_walking_is_named_within_a_stride_and_a_half(joint: int) -> None:
    def frozen(t: float) -> Moment:
        values = list(walk(t))
        values[joint] = walk(3.0)[joint]
        return tuple(values)

    played = Play().play(walk, 0.0, 3.0).play(frozen, 3.0, 8.0).play(walk, 8.0, 12.0)
    assert played.problems.counts == {f"stuck:{NAMES[joint]}": 1}
    (problem,) = played.problems.take()
    assert "has been exactly" in problem.text
    assert 4.0 <= played.stuck_at[0] <= 4.5
    assert played.stuck_at[-1] <= 8.05  # it has moved again


def test_one_that_never_sent_anything_else() -> None:
    played = Play().play(lambda t: (*walk(t)[:1], 0.0, *walk(t)[2:]), 0.0, 3.0)
    assert played.problems.counts == {"stuck:knee": 1}


@pytest.mark.parametrize("digit", [0.0, LSB, 8 * LSB])
def test_nobody_who_walks_is_suspected(digit: float) -> None:
    assert Play().play(walk, 0.0, 30.0, digit=digit).problems.counts == {}


def noisy_imu(rng: np.random.Generator, values: Moment) -> Moment:
    noise = rng.normal(size=3) * (1e-4, 0.02, 0.02)
    return (*values[:3], *(v + n for v, n in zip(values[3:], noise, strict=True)))


def test_a_standing_person_with_coarse_encoders_is_not_suspected() -> None:
    """All three encoders repeat themselves for a minute, the pelvis sways and its IMU has noise."""
    rng = np.random.default_rng(0)

    def stand(t: float) -> Moment:
        return noisy_imu(rng, (0.1, -0.05, 0.02, 0.004 * math.sin(t), 0.0, 0.0))

    assert Play().play(stand, 0.0, 60.0, digit=8 * LSB).problems.counts == {}


def test_a_seated_person_who_moves_one_knee_is_not_suspected() -> None:
    """The hip on the chair repeats itself while the knee swings: that is rest, since the pelvis does not move."""
    rng = np.random.default_rng(0)

    def sit(t: float) -> Moment:
        return noisy_imu(rng, (1.4, -0.8 + 0.7 * math.sin(3 * t), 0.1, 0.0, 0.0, 0.0))

    assert Play().play(sit, 0.0, 60.0, digit=8 * LSB).problems.counts == {}


def test_a_gap_is_no_rest_and_does_not_clear_what_is_stuck() -> None:
    def frozen(t: float) -> Moment:
        return (*walk(t)[:1], -0.4, *walk(t)[2:])

    played = Play().play(frozen, 0.0, 0.9)
    played.check.restart()
    played.play(frozen, 5.0, 5.9)
    assert played.problems.counts == {}
    played.play(frozen, 5.9, 7.0)
    assert played.check.stuck
    played.check.restart()
    played.play(frozen, 9.0, 9.02)
    assert played.check.stuck
    assert played.problems.counts == {"stuck:knee": 1}
