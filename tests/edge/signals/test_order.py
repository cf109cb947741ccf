from __future__ import annotations

import math

import numpy as np
import pytest

from edge.errors import SensorError
from edge.msk.model import load_model
from edge.signals.order import OrderCheck
from edge.signals.problems import Problems

LEG = load_model("leg9")
RANGES = [joint.range_rad for joint in LEG.joints]


def walk(seconds: float) -> np.ndarray:
    """Degrees of a usual walk: hip -15 to 30, knee -60 to -3, ankle -15 to 10; a stride a second, at 100 Hz."""
    w = 2 * math.pi * np.arange(round(100 * seconds)) / 100
    return np.radians(np.stack([8 + 22 * np.cos(w), -31 - 28 * np.sin(w), -2 + 12 * np.sin(2 * w)], axis=1))


def check(angles: np.ndarray) -> tuple[OrderCheck, Problems]:
    problems = Problems()
    order = OrderCheck(LEG.joint_names, RANGES, 100.0, problems)
    for row in angles:
        order.add(row)
    return order, problems


def test_a_walk_is_as_it_should_be() -> None:
    order, problems = check(walk(10.0))
    assert not order.wrong
    assert problems.counts == {}


@pytest.mark.parametrize(
    ("columns", "signs", "words"),
    [
        ((0, 1, 2), (1, -1, 1), "hip = hip, knee = -knee, ankle = ankle"),
        ((1, 0, 2), (1, 1, 1), "hip = knee, knee = hip, ankle = ankle"),
        ((0, 2, 1), (1, 1, 1), "hip = hip, knee = ankle, ankle = knee"),
    ],
)
def test_another_order_or_sign_is_named_with_what_would_fit(
    columns: tuple[int, ...], signs: tuple[int, ...], words: str
) -> None:
    order, problems = check(walk(5.0)[:, columns] * signs)
    assert order.wrong
    assert problems.counts == {"order": 1}
    assert words in problems.take()[0].text


def test_it_is_over_when_it_is_mended() -> None:
    order, problems = check(np.concatenate([walk(3.0) * (1, -1, 1), walk(3.0), walk(3.0) * (1, -1, 1)]))
    assert problems.counts == {"order": 2}
    assert order.wrong


def test_a_deep_squat_beyond_the_models_range_is_none() -> None:
    """Hip to 115 degrees, 25 beyond the model: hip and knee would fit as each other's negative, and are not taken so."""
    depth = 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(1000) / 300)
    order, problems = check(np.radians(np.stack([115 * depth, -112 * depth, 25 * depth], axis=1)))
    assert not order.wrong
    assert problems.counts == {}


def test_a_moment_outside_is_none() -> None:
    angles = walk(5.0)
    angles[200:208, 1] *= -1
    assert check(angles)[1].counts == {}


def test_a_standing_person_in_degrees_is_refused() -> None:
    rng = np.random.default_rng(0)
    standing = np.array([3.0, -4.0, 2.5]) + np.cumsum(rng.normal(0, 0.01, (100, 3)), axis=0)
    with pytest.raises(
        SensorError, match=r"\(hip .*, knee .*, ankle .*\) are none that a limb has in rad.*radians.*zero_deg"
    ):
        check(standing)


def test_one_encoder_without_a_zero_is_not_refused() -> None:
    assert check(np.full((200, 3), (2.9, -0.5, 0.05)))[1].counts == {}


def test_an_elbow_in_degrees() -> None:
    elbow = load_model("elbow5")
    order = OrderCheck(elbow.joint_names, [j.range_rad for j in elbow.joints], 100.0, Problems())
    for _ in range(49):
        order.add(np.array([5.0]))
    with pytest.raises(SensorError, match=r"elbow 5"):
        order.add(np.array([5.0]))
