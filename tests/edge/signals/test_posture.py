from __future__ import annotations

import math

import numpy as np

from edge.signals.posture import PostureCheck
from edge.signals.problems import Problems

NAMES = ("hip", "knee", "ankle")
RANGES = [(-0.6, 2.0), (-2.1, 0.2), (-0.7, 0.6)]


def play(check: PostureCheck, seconds: float, *, knee: float = -0.5) -> list[bool]:
    out = []
    for k in range(round(100 * seconds)):
        check.add(np.array([0.2 + 0.35 * math.sin(k / 16), knee + 0.4 * math.sin(k / 16 + 1), 0.1]))
        out.append(check.wrong)
    return out


def test_walking_is_a_posture_and_an_imu_on_another_segment_is_none() -> None:
    problems = Problems()
    check = PostureCheck(NAMES, RANGES, 100.0, problems)
    assert not any(play(check, 5.0))
    wrong = play(check, 3.0, knee=1.2)
    assert wrong.index(True) == 99
    assert problems.counts == {"posture": 1}
    text = problems.take()[0].text
    assert "knee's angle between its IMUs is " in text
    assert "since the alignment" in text
    assert not play(check, 2.0)[-1]


def test_a_wearer_may_be_more_flexible_than_the_model() -> None:
    problems = Problems()
    assert not any(play(PostureCheck(NAMES, RANGES, 100.0, problems), 5.0, knee=-2.0))
    assert problems.counts == {}
