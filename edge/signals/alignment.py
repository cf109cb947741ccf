"""Sensor-to-segment alignment: how each IMU sits on its body segment, from one known pose and some movement.

The user straps sensors on in any way. A segment's axes are x forward, y up along the segment, z to the right: its hinge. With
all joint angles and the base's tilt zero, every segment's y points up.

* **Hinge axis.** In movement of the leg the main axis of the angular rate, *after its component along gravity has been taken
  away*, so that turning round while walking does not count. The mean square rate about it must be well above that about any
  other axis. A base that hardly turns (the pelvis) gives no hinge: the mounting's heading is given once, by `right`.
* **Zero.** In one known pose (standing, or any posture whose joint angles are known) the direction of gravity in the sensor says
  where the segment's y is.
* **Sign.** A hinge axis found from rates points to the right or to the left. All combinations are tried on the movement; right is
  the one that keeps every joint in its range, which the others leave by far as soon as the knee bends (or by `right`).

Heading is used nowhere, so neither magnetic disturbance nor drift matters. For other ways to the axes see Seel, Raisch & Schauer
2014 (Sensors 14:6891) and Olsson et al. 2020 (Sensors 20:3534); they need no gravity, and more kinds of movement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.signals.hinges import (
    MIN_LEVEL,
    AlignmentError,
    Refusal,
    inclination,
    leveled,
    main_hinge,
    pointing_right,
    resolve_signs,
    unit,
    within_half_a_turn,
    zeroed,
)
from edge.signals.orientation import up_in_sensor

FloatArray = npt.NDArray[np.float64]

STILL_RATE_RADPS = 0.15
"""Root mean square angular rate, its mean taken away, up to which a wearer stands still; also the most that the mean may be. A
walker who pauses between two steps has 0.4 at the calmest moment."""
STILL_FORCE_MPS2 = 0.8
"""Largest distance of the mean specific force of a pose from gravity."""
_GRAVITY_MPS2 = 9.81


@dataclass(frozen=True)
class ImuRecording:
    """Readings of all segments' sensors on a common grid, in chain order."""

    quaternion: FloatArray  # (frames, n_joints + 1, 4) w x y z, sensor to world, y up, any heading
    specific_force: FloatArray  # (frames, n_joints + 1, 3) m/s2
    angular_rate: FloatArray  # (frames, n_joints + 1, 3) rad/s

    def __post_init__(self) -> None:
        frames, segments = self.quaternion.shape[:2]
        shapes = {self.specific_force.shape, self.angular_rate.shape}
        if frames == 0 or self.quaternion.shape[2:] != (4,) or shapes != {(frames, segments, 3)}:
            raise ValueError(f"shapes {self.quaternion.shape} and {shapes} are not those of one recording")

    def up(self) -> FloatArray:
        """Upwards in each sensor's axes (frames, n_joints + 1, 3)."""
        return up_in_sensor(self.quaternion)


@dataclass(frozen=True)
class KnownPose:
    """Joint angles (n_joints,) and the base's tilt, rad, of a posture; standing upright is all zeros.

    For a pose that was measured while moving, (frames, n_joints) and (frames,): then nothing is asked to stand still.
    """

    q: FloatArray
    tilt: float | FloatArray = 0.0

    @property
    def moving(self) -> bool:
        return self.q.ndim == 2

    def segment_angles(self) -> FloatArray:
        """Of every segment in the world, (1 or frames, n_joints + 1) rad."""
        tilt = np.atleast_1d(np.asarray(self.tilt, dtype=np.float64))[:, None]
        q = np.atleast_2d(self.q)
        return np.asarray(tilt + np.concatenate([np.zeros((len(q), 1)), np.cumsum(q, axis=1)], axis=1))


@dataclass(frozen=True)
class SegmentQuality:
    """How well one sensor's alignment was determined. NaN: not determined from this (a hinge that was given)."""

    dominance: float  # mean square rate about the hinge over that about the next axis
    rate_rms: float  # rad/s about the hinge, in the movement
    repeatability_rad: float  # between the hinge axes of the movement's halves
    pose_spread_rad: float  # root mean square spread of the inclination over the pose


@dataclass(frozen=True)
class Alignment:
    """How the sensors sit: rotation (n_joints + 1, 3, 3) takes a vector from a sensor's axes to its segment's."""

    segment_names: tuple[str, ...]
    rotation: FloatArray
    quality: tuple[SegmentQuality, ...]
    sign_margin_rad: (
        float  # excess over the joint ranges with the second best choice of signs, less the best's; NaN: all given
    )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts, for a file. NaN becomes None."""
        return {
            "segments": [
                {"name": name, "rotation": rotation.tolist(), **{k: _or_none(v) for k, v in vars(quality).items()}}
                for name, rotation, quality in zip(self.segment_names, self.rotation, self.quality, strict=True)
            ],
            "sign_margin_rad": _or_none(self.sign_margin_rad),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Alignment:
        """What `to_dict` gave. Raises ValueError for anything else, a matrix that is no rotation included."""
        try:
            parts = data["segments"]
            rotation = np.array([p["rotation"] for p in parts], dtype=np.float64)
            names = tuple(str(p["name"]) for p in parts)
            quality = tuple(
                SegmentQuality(**{k: _or_nan(p[k]) for k in SegmentQuality.__dataclass_fields__}) for p in parts
            )
            margin = _or_nan(data["sign_margin_rad"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an alignment of IMUs: {error}") from None
        if rotation.shape != (len(names), 3, 3) or len(names) < 2:
            raise ValueError(f"alignment of IMUs: rotations of shape {rotation.shape} for {len(names)} segments")
        turned = rotation @ np.swapaxes(rotation, 1, 2)
        if not (np.allclose(turned, np.eye(3), atol=1e-6) and (np.linalg.det(rotation) > 0.0).all()):
            raise ValueError("alignment of IMUs: a matrix is not a rotation")
        return cls(names, rotation, quality, margin)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def align(
    pose: ImuRecording,
    known: KnownPose,
    movement: ImuRecording,
    *,
    segment_names: Sequence[str],
    range_rad: FloatArray,
    right: Mapping[str, Sequence[float]] | None = None,
) -> Alignment:
    """Alignment of all sensors of a chain.

    pose: readings in the known pose, standing still for some seconds. movement: readings while every segment swings about its
    joint: some steps (a squat moves a foot too little; for a knee alone it will do).
    range_rad: (n_joints, 2), the joints' ranges, as a model has them.
    right: by segment, a direction in its sensor's axes that points to the wearer's right. For the base (the first segment)
    it *is* the hinge, apart from its inclination, and a pelvis needs it; for the others it settles the sign alone, and need
    not be exact.

    Raises AlignmentError where the recordings do not determine the alignment, ValueError for shapes that do not fit.
    """
    names, right = tuple(segment_names), right or {}
    n = len(names)
    if n < 2 or range_rad.shape != (n - 1, 2) or np.atleast_2d(known.q).shape[1] != n - 1:
        raise ValueError(f"{n} segments need {n - 1} joint angles and ranges")
    if any(r.quaternion.shape[1] != n for r in (pose, movement)):
        raise ValueError(f"recordings are not of {n} sensors")
    if known.moving and len(known.q) != len(pose.quaternion):
        raise ValueError(f"{len(known.q)} known poses for {len(pose.quaternion)} frames")
    if unknown := set(right) - set(names):
        raise ValueError(f"right: no segment {', '.join(sorted(unknown))}")
    bias = np.zeros((n, 3)) if known.moving else _checked_bias(pose, names)
    pose_up, angles = pose.up(), known.segment_angles()
    up, rate = movement.up(), movement.angular_rate - bias
    hinges, figures = np.empty((n, 3)), []
    for i, name in enumerate(names):
        mean_up = unit(pose_up[:, i].mean(axis=0))
        hint = unit(np.asarray(right[name], dtype=np.float64)) if name in right else None
        if i == 0 and hint is not None:
            hinges[0] = leveled(hint, mean_up, name)
            figures.append((np.nan, np.nan, np.nan))
        else:
            hinge, figure = main_hinge(rate[:, i], up[:, i], name)
            hinges[i] = hinge if hint is None else pointing_right(hinge, hint, name)
            figures.append(figure)
            if np.linalg.norm(np.cross(hinge, mean_up)) < MIN_LEVEL:
                raise AlignmentError(
                    Refusal.HINGE_UPRIGHT,
                    name,
                    "its joint's axis points up in the pose, and gravity says nothing: stand",
                )
    certain = np.array([name in right for name in names])
    signs, margin = resolve_signs(hinges, certain, pose_up, angles, up, range_rad, names)
    rotation = np.stack([zeroed(signs[i] * hinges[i], pose_up[:, i], angles[:, i]) for i in range(n)])
    off = np.stack([inclination(pose_up[:, i], rotation[i]) for i in range(n)], axis=1) - angles
    spread = np.sqrt((within_half_a_turn(off) ** 2).mean(axis=0))
    quality = tuple(SegmentQuality(*figures[i], float(spread[i])) for i in range(n))
    return Alignment(names, rotation, quality, margin)


def _checked_bias(pose: ImuRecording, names: tuple[str, ...]) -> FloatArray:
    """The gyroscopes' bias (n, 3): their mean in a pose that is still. Raises AlignmentError if it is not."""
    bias = pose.angular_rate.mean(axis=0)
    sway = np.sqrt(((pose.angular_rate - bias) ** 2).sum(axis=2).mean(axis=0))
    force = np.linalg.norm(pose.specific_force.mean(axis=0), axis=1)
    for i, name in enumerate(names):
        rate = max(float(sway[i]), float(np.linalg.norm(bias[i])))
        if rate > STILL_RATE_RADPS:
            raise AlignmentError(
                Refusal.NOT_STILL,
                name,
                f"it turned at {np.degrees(rate):.0f} deg/s, where {np.degrees(STILL_RATE_RADPS):.0f} count as still: hold the "
                "pose without moving, and record it again",
            )
        if abs(force[i] - _GRAVITY_MPS2) > STILL_FORCE_MPS2:
            raise AlignmentError(
                Refusal.NOT_GRAVITY,
                name,
                f"its mean specific force in the pose is {force[i]:.3g} m/s2 instead of {_GRAVITY_MPS2}: stand still; check the "
                "sensor's unit and range",
            )
    return np.asarray(bias)
