from __future__ import annotations

import numpy as np
import pytest

from edge.signals.jump import JumpCheck
from edge.signals.problems import Problems

NAMES = ("hip", "knee", "ankle", "base")


def swing(count: int) -> np.ndarray:
    """(count, 6): three angles, tilt, and two accelerations of a leg in quick movement at 100 Hz."""
    time = np.arange(count)[:, None] / 100.0
    angles = np.array([0.6, 1.0, 0.4, 0.1]) * np.sin(2.0 * np.pi * 2.0 * time)
    forces = 40.0 * np.sin(2.0 * np.pi * 6.0 * time) * np.ones(2)
    return np.hstack([angles, forces])


def feed(values: np.ndarray) -> tuple[list[bool], Problems]:
    problems = Problems()
    check = JumpCheck(NAMES, problems)
    return [check.add(i / 100.0, row) for i, row in enumerate(values)], problems


def test_quick_movement_is_no_jump() -> None:
    jumped, problems = feed(swing(400))
    assert not any(jumped)
    assert problems.counts == {}


@pytest.mark.parametrize(
    ("channel", "size", "name"), [(0, 3.0, "hip"), (1, -0.9, "knee"), (3, 2.0, "base"), (4, 450.0, "base")]
)
def test_one_sample_off_is_named_there_and_back(channel: int, size: float, name: str) -> None:
    values = swing(400)
    values[200, channel] += size
    jumped, problems = feed(values)
    assert [i for i, j in enumerate(jumped) if j] == [200, 201]
    assert problems.counts == {f"jump:{name}": 2}
    assert f"the {name} jumped by" in problems.take()[0].text


def test_after_a_restart_nothing_is_compared_with_what_was_before() -> None:
    problems = Problems()
    check = JumpCheck(NAMES, problems)
    check.add(0.0, np.zeros(6))
    check.restart()
    assert not check.add(0.01, np.full(6, 3.0))


def test_a_long_interval_allows_a_long_way() -> None:
    problems = Problems()
    check = JumpCheck(NAMES, problems)
    check.add(0.0, np.zeros(6))
    assert not check.add(0.05, np.array([1.5, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert check.add(0.06, np.zeros(6))
