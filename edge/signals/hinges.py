"""The hinge axes of a chain of segments, found from what the sensors on them saw: direction, sign and zero.

See `alignment.py` for what they are for.
"""

from __future__ import annotations

import enum
import itertools
import math

import numpy as np
import numpy.typing as npt

from edge.errors import SensorError

FloatArray = npt.NDArray[np.float64]

MIN_RATE_RADPS = 0.35
"""Root mean square rate about the hinge that a movement must have."""
MIN_DOMINANCE = 3.0
"""Mean square rate about the hinge over that about the next axis: walking has 5 to 25, turning on the spot 2."""
RANGE_SLACK_RAD = 0.1
"""By so much a joint may leave its range before a sign is doubted."""
MIN_MARGIN_RAD = 0.05
"""By so much (root mean square excess over the ranges) the second best choice of signs must be worse.
Walking gives 0.17 to 0.23 with all signs open but the pelvis's."""
_MIN_HINT = 0.3  # cosine between a hinge and what was said to be right
MIN_LEVEL = 0.5
"""Sine of the angle between a hinge and gravity that a pose must have."""


class Refusal(enum.Enum):
    """Why a recording gives no alignment."""

    NOT_STILL = "not still"
    NOT_GRAVITY = "not gravity"
    MOVED_TOO_LITTLE = "moved too little"
    HINGE_AMBIGUOUS = "hinge ambiguous"
    HINGE_UPRIGHT = "hinge upright"
    SIGN_AMBIGUOUS = "sign ambiguous"


class AlignmentError(SensorError):
    """Recordings that do not say how a sensor sits on its segment. `reason` is for programs, the text for people."""

    def __init__(self, reason: Refusal, segment: str, text: str) -> None:
        super().__init__(f"alignment of the {segment} sensor: {reason.value}: {text}")
        self.reason = reason
        self.segment = segment


def main_hinge(rate: FloatArray, up: FloatArray, name: str) -> tuple[FloatArray, tuple[float, float, float]]:
    """Main axis (3,) of the rates, their part along gravity taken away, either way round; its figures of quality."""
    level = rate - (rate * up).sum(axis=1, keepdims=True) * up
    axis, powers = _main_axis(level)
    strength = float(np.sqrt(powers[2]))
    if strength < MIN_RATE_RADPS:
        raise AlignmentError(
            Refusal.MOVED_TOO_LITTLE,
            name,
            f"it turned at {np.degrees(strength):.0f} deg/s (root mean square), {np.degrees(MIN_RATE_RADPS):.0f} are needed: "
            "walk for some seconds; for a pelvis say where the wearer's right is in the sensor's axes",
        )
    dominance = float(powers[2] / max(powers[1], 1e-12))
    if dominance < MIN_DOMINANCE:
        raise AlignmentError(
            Refusal.HINGE_AMBIGUOUS,
            name,
            f"it turned about its main axis only {dominance:.1f} times as much as about another, {MIN_DOMINANCE:g} are needed: "
            "walk straight on; for a pelvis say where the wearer's right is in the sensor's axes",
        )
    half = len(level) // 2
    first, last = _main_axis(level[:half])[0], _main_axis(level[half:])[0]
    apart = math.asin(min(float(np.linalg.norm(np.cross(first, last))), 1.0))
    return axis, (dominance, strength, apart)


def pointing_right(hinge: FloatArray, hint: FloatArray, name: str) -> FloatArray:
    """The hinge (3,) turned so that it points where `hint` does. Raises AlignmentError where they hardly belong together."""
    cosine = float(hinge @ hint)
    if abs(cosine) < _MIN_HINT:
        raise AlignmentError(
            Refusal.SIGN_AMBIGUOUS,
            name,
            f"the hinge found from the movement is {np.degrees(np.arccos(abs(cosine))):.0f} deg from the given direction to the "
            "right: check `right`, and that the sensor is on this segment",
        )
    return np.asarray(hinge * np.sign(cosine))


def _main_axis(rate: FloatArray) -> tuple[FloatArray, FloatArray]:
    powers, axes = np.linalg.eigh(rate.T @ rate / max(len(rate), 1))
    return axes[:, 2], powers


def leveled(axis: FloatArray, up: FloatArray, name: str) -> FloatArray:
    """The horizontal direction below or above an axis."""
    level = axis - (axis @ up) * up
    if np.linalg.norm(level) < MIN_LEVEL:
        raise AlignmentError(
            Refusal.HINGE_UPRIGHT,
            name,
            "the direction given as the wearer's right points up or down in the pose: check `right`",
        )
    return unit(level)


def resolve_signs(
    hinges: FloatArray,
    certain: npt.NDArray[np.bool_],
    pose_up: FloatArray,
    angles: FloatArray,
    up: FloatArray,
    range_rad: FloatArray,
    names: tuple[str, ...],
) -> tuple[FloatArray, float]:
    """Which way each hinge points (n,), and by how much (rad) that choice keeps the joints' ranges better than the next."""
    if certain.all():
        return np.ones(len(hinges)), float("nan")
    choices = [s for s in itertools.product((1.0, -1.0), repeat=len(hinges)) if all(np.array(s)[certain] == 1.0)]
    every = [(i, s) for i in range(len(hinges)) for s in (1.0, -1.0)]
    zero = {(i, s): zeroed(s * hinges[i], pose_up[:, i], angles[:, i]) for i, s in every}
    turned = {(i, s): inclination(up[:, i], zero[i, s]) for i, s in every}
    missed = dict.fromkeys(every, 0.0)
    if len(angles) > 1:  # a pose that was known while it moved shows its signs itself
        for i, s in every:
            off = within_half_a_turn(inclination(pose_up[:, i], zero[i, s]) - angles[:, i])
            missed[i, s] = float((off**2).mean())
    low, high = range_rad[:, 0] - RANGE_SLACK_RAD, range_rad[:, 1] + RANGE_SLACK_RAD
    excess = []
    for signs in choices:
        q = within_half_a_turn(np.diff(np.stack([turned[i, s] for i, s in enumerate(signs)], axis=1), axis=1))
        beyond = np.maximum(low - q, 0.0) + np.maximum(q - high, 0.0)
        missing = sum(missed[i, s] for i, s in enumerate(signs))
        excess.append(math.sqrt(float((beyond**2).sum(axis=1).mean()) + missing))
    order = np.argsort(excess)
    best, second = choices[order[0]], choices[order[1]]
    margin = excess[order[1]] - excess[order[0]]
    if margin < MIN_MARGIN_RAD:
        doubtful = next(i for i in range(len(names)) if best[i] != second[i])
        raise AlignmentError(
            Refusal.SIGN_AMBIGUOUS,
            names[doubtful],
            "with its hinge pointing right or left the joints are beyond their ranges by almost the same, "
            f"{np.degrees(margin):.1f} deg apart, where {np.degrees(MIN_MARGIN_RAD):.0f} are needed: bend every joint further, "
            "check the pose's angles, or say where the wearer's right is in the sensor's axes",
        )
    return np.array(best), margin


def zeroed(hinge: FloatArray, up: FloatArray, angle: FloatArray) -> FloatArray:
    """Rotation (3, 3) from sensor to segment that shows the known angle (1 or frames,), on average, where `up` was seen."""
    level = level_axes(hinge, unit(up.mean(axis=0)))
    off = angle - inclination(up, level)
    turn = float(np.arctan2(np.sin(off).mean(), np.cos(off).mean()))
    c, s = np.cos(turn), np.sin(turn)
    # A segment turned by t sees upwards at (sin t, cos t).
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]) @ level


def within_half_a_turn(angle: FloatArray) -> FloatArray:
    """The angle, whole turns taken away."""
    return angle - 2.0 * np.pi * np.round(angle / (2.0 * np.pi))


def unit(vector: FloatArray) -> FloatArray:
    """The vector at length 1. Raises ValueError for one of no length."""
    norm = float(np.linalg.norm(vector))
    if not norm > 0.0:
        raise ValueError("a direction of no length")
    return np.asarray(vector / norm)


def level_axes(hinge: FloatArray, up: FloatArray) -> FloatArray:
    """Rotation (3, 3) from a sensor's axes to z along its hinge and y as near to `up` as that allows."""
    y = unit(up - (up @ hinge) * hinge)
    return np.stack([np.cross(y, hinge), y, hinge])


def inclination(up: FloatArray, rotation: FloatArray) -> FloatArray:
    """Angle of a segment about its hinge against the vertical, (frames,) rad, from upwards in the sensor's axes (frames, 3)."""
    turned = up @ rotation.T
    return np.arctan2(turned[:, 0], turned[:, 1])
