from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge.signals.magnetic import MagneticCheck
from edge.signals.problems import Problems

INTERVAL_US = 10_000


def _about(axis: int, angle_rad: np.ndarray) -> Rotation:
    return Rotation.from_rotvec(np.outer(angle_rad, np.eye(3)[axis]))


def readings(
    heading_rad: np.ndarray, *, pulled_rad: np.ndarray | None = None, bias_rad_s: float = 0.0, mounting_seed: int = 1
) -> list[tuple[float, ...]]:
    """An IMU that nods and turns, mounted in any way; its quaternion's heading is pulled away from the true one."""
    count = len(heading_rad)
    time = np.arange(count) * INTERVAL_US * 1e-6
    nod = _about(2, 0.4 * np.sin(2 * np.pi * time))
    mounting = Rotation.random(random_state=mounting_seed)
    true = _about(1, heading_rad) * nod * mounting
    step = (true[:-1].inv() * true[1:]).as_rotvec() / (INTERVAL_US * 1e-6)
    # The rate between two samples, at the samples.
    rate = np.vstack([step[:1], 0.5 * (step[1:] + step[:-1]), step[-1:]]) + bias_rad_s
    shown = true if pulled_rad is None else _about(1, pulled_rad) * true
    quaternion = shown.as_quat()[:, [3, 0, 1, 2]]
    return [(*q, 0.0, 9.81, 0.0, *w) for q, w in zip(quaternion.tolist(), rate.tolist(), strict=True)]


def feed(samples: list[tuple[float, ...]]) -> tuple[MagneticCheck, Problems]:
    problems = Problems()
    check = MagneticCheck("pelvis", "pelvis IMU", problems)
    for i, channels in enumerate(samples):
        check.add(i * INTERVAL_US, channels)
    return check, problems


@pytest.mark.parametrize("seed", range(4))
def test_a_person_who_turns_round_is_not_a_magnet(seed: int) -> None:
    heading = np.linspace(0.0, 4.0 * math.pi, 1500)
    check, problems = feed(readings(heading, mounting_seed=seed))
    assert not check.disturbed
    assert problems.counts == {}


@pytest.mark.parametrize("seed", range(4))
def test_a_heading_that_is_pulled_away_is_named_once(seed: int) -> None:
    heading = np.zeros(1500)
    pulled = np.radians(25.0) * np.clip((np.arange(1500) - 500) / 300, 0.0, 1.0)
    samples = readings(heading, pulled_rad=pulled, mounting_seed=seed)
    _, before = feed(samples[:500])
    assert before.counts == {}
    check, problems = feed(samples[:900])
    assert check.disturbed
    assert problems.counts == {"magnetic:pelvis": 1}
    (problem,) = problems.take()
    assert "pelvis IMU" in problem.text
    assert "orientation=none" in problem.text


def test_it_is_over_when_the_heading_stands_still_again_and_is_named_anew_the_next_time() -> None:
    pull = np.radians(25.0) * np.clip((np.arange(4000) - 500) / 300, 0.0, 1.0)
    pull += np.radians(25.0) * np.clip((np.arange(4000) - 3000) / 300, 0.0, 1.0)
    samples = readings(np.zeros(4000), pulled_rad=pull)
    check, _ = feed(samples[:2900])
    assert not check.disturbed
    _, problems = feed(samples)
    assert problems.counts == {"magnetic:pelvis": 2}


def test_a_usual_bias_of_the_gyroscope_is_no_magnet() -> None:
    _, problems = feed(readings(np.zeros(3000), bias_rad_s=math.radians(0.8)))
    assert problems.counts == {}


def test_a_sensor_without_orientation_and_a_gap_say_nothing() -> None:
    none = [(0.0, 0.0, 0.0, 0.0, *channels[4:]) for channels in readings(np.linspace(0.0, 6.0, 500))]
    _, problems = feed(none)
    assert problems.counts == {}
    problems = Problems()
    check = MagneticCheck("pelvis", "pelvis IMU", problems)
    one, other = readings(np.array([0.0, 0.0])), readings(np.array([1.5, 1.5]))
    check.add(0, one[0])
    check.add(200_000, other[0])
    assert problems.counts == {}
