"""Where a person's feet are in a recording: what force plates are compared with.

The leg is the planar chain of a model, hung on a pelvis and a hip that also turn out of the plane where the recording says
so. That is close enough (a few centimetres) to tell whose foot stands on a plate; no torque is computed from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.contact import BoolArray, FloatArray, runs
from edge.msk.model import Model

# The sole as seen from the ankle, in parts of the leg's length (hip to ankle). A foot is 0.152 / 0.491 = 0.31 of it long
# (Winter 2009, figure 4.1, after Drillis & Contini 1966).
_HEEL, _BALL, _TOES = -0.08, 0.15, 0.23
_BELOW_ANKLE = 0.10
_HALF_WIDTH = 0.055
_HALF_HIPS = 0.10  # half the distance between the hips

LEG = ("hip", "knee", "ankle")
"""The joints of a model from which a foot can be placed."""

_LOW = 0.04  # of the leg's length: how far above its lowest a heel or ball on the ground may be
_SLOW_MPS = 0.7  # and how fast: a foot in mid-swing has three times the walking speed
_LOWEST = 0.05  # quantile of the height that counts as the ground
_LATE_S, _EARLY_S = 0.02, 0.06  # what a foot may have stood before and after it is found to stand
_SAME_PLACE_M = 0.15


@dataclass(frozen=True)
class Foot:
    """The course of one foot in the ground frame (x forward, y up, z right). Arrays over the rows of a recording."""

    time_s: FloatArray  # (rows,)
    ankle_m: FloatArray  # (rows, 3); z is NaN where the recording does not say it
    heading_rad: FloatArray  # (rows,) of the pelvis about the vertical, to the left positive: toes point about there
    pitch_rad: FloatArray  # (rows,) of the sole, toes up positive
    leg_length_m: float

    def at(self, time_s: FloatArray) -> Foot:
        """The foot at other times, interpolated linearly; its ends are held beyond the recording."""
        rows = [*self.ankle_m.T, np.unwrap(self.heading_rad), self.pitch_rad]
        x, y, z, heading, pitch = (np.interp(time_s, self.time_s, row) for row in rows)
        return Foot(time_s, np.stack([x, y, z], axis=1), heading, pitch, self.leg_length_m)

    def on_sole(self, ahead: float) -> FloatArray:
        """A point of the sole (rows, 3) in m, `ahead` of the ankle in parts of the leg's length."""
        c, s = np.cos(self.pitch_rad), np.sin(self.pitch_rad)
        forward = self.leg_length_m * (ahead * c + _BELOW_ANKLE * s)
        up = self.leg_length_m * (ahead * s - _BELOW_ANKLE * c)
        step = [forward * np.cos(self.heading_rad), up, -forward * np.sin(self.heading_rad)]
        return np.asarray(self.ankle_m + np.stack(step, axis=1))

    def outside(self, point_m: FloatArray) -> FloatArray:
        """How far points of the ground (rows, 3) lie outside the sole, in m, 0 within. Without z, along x alone."""
        way = point_m - self.ankle_m
        c, s = np.cos(self.heading_rad), np.sin(self.heading_rad)
        flat = np.isnan(way[:, 2])
        across_z = np.where(flat, 0.0, way[:, 2])
        ahead = np.where(flat, way[:, 0], way[:, 0] * c - across_z * s) / self.leg_length_m
        aside = np.where(flat, 0.0, way[:, 0] * s + across_z * c) / self.leg_length_m
        beyond = np.maximum(np.maximum(_HEEL - ahead, ahead - _TOES), 0.0)
        beside = np.maximum(np.abs(aside) - _HALF_WIDTH, 0.0)
        return np.asarray(self.leg_length_m * np.hypot(beyond, beside))

    def standing(self, loaded: BoolArray) -> BoolArray:
        """Whether the foot is on the ground by its movement: heel or ball low and still; (rows,).

        `loaded` (rows,) says where a plate measures it. Still is against the ground, which on a treadmill moves: its speed is
        that of the foot where it is loaded, and zero where it never is. The method is that of Hreljac & Marshall 2000 and
        O'Connor et al. 2007, height and speed of points of the foot.
        """
        down = np.zeros(len(self.time_s), dtype=bool)
        for ahead in (_HEEL, _BALL):
            point = self.on_sole(ahead)
            speed = np.gradient(point[:, ::2], self.time_s, axis=0)
            low = point[:, 1] - np.quantile(point[:, 1], _LOWEST) < _LOW * self.leg_length_m
            belt = np.median(speed[low & loaded], axis=0) if (low & loaded).any() else np.zeros(2)
            moving = speed - belt
            down |= low & (np.hypot(moving[:, 0], np.nan_to_num(moving[:, 1])) < _SLOW_MPS)
        return down


def locate(
    leg: Model,
    side: str,
    time_s: FloatArray,
    angles_rad: FloatArray,
    pelvis_rad: FloatArray,
    pelvis_m: FloatArray,
    hip_rad: FloatArray,
) -> Foot:
    """A foot from the angles of a leg; angles in rad, rows first.

    leg: a model with the joints LEG, of the person's size. angles_rad: (rows, 3) in its order and signs.
    pelvis_rad: (rows, 3) tilt, list and rotation, turned in this order. pelvis_m: (rows, 3), z NaN where unknown. hip_rad:
    (rows, 2) adduction and rotation. What was not recorded of the last three is zero. Signs are OpenSim's (gait2392).
    """
    right = 1.0 if side == "r" else -1.0
    tilt, bend, turn = pelvis_rad.T
    pelvis = _about("z", tilt) @ _about("x", bend) @ _about("y", turn)
    thigh = (
        pelvis @ _about("z", angles_rad[:, 0]) @ _about("x", right * hip_rad[:, 0]) @ _about("y", right * hip_rad[:, 1])
    )
    shank = thigh @ _about("z", angles_rad[:, 1])
    foot = shank @ _about("z", angles_rad[:, 2])
    offset = leg.base.links[0].offset_m
    place = pelvis_m + pelvis @ np.array([*offset, right * _HALF_HIPS * leg.leg_length_m])
    for parent, joint in ((thigh, 1), (shank, 2)):
        center = leg.joints[joint].center.evaluate(angles_rad[:, joint])[0]
        place = place + (parent[:, :, :2] @ center[:, :, None])[:, :, 0]
    forward, toes = pelvis[:, :, 0], foot[:, :, 0]
    return Foot(
        time_s,
        place,
        np.arctan2(-forward[:, 2], forward[:, 0]),
        np.arctan2(toes[:, 1], np.hypot(toes[:, 0], toes[:, 2])),
        leg.leg_length_m,
    )


def unmeasured(foot: Foot, loaded: BoolArray) -> BoolArray:
    """Where a foot stands on ground that no plate measures; (rows,) of the foot's recording.

    loaded: (rows,), where plates say that the foot stands. Where they have felt it in this recording, an unloaded foot on the
    ground (a sitting person's) is measured all the same.
    """
    standing = foot.standing(loaded)
    ball = foot.on_sole(_BALL)
    felt = ball[loaded]
    unknown = np.zeros(len(standing), dtype=bool)
    for run in runs(standing & ~loaded):
        away = np.abs(felt - np.median(ball[run], axis=0))
        if not ((away[:, 0] < _SAME_PLACE_M) & (np.nan_to_num(away[:, 2]) < _SAME_PLACE_M)).any():
            start, end = foot.time_s[run.start] - _LATE_S, foot.time_s[run.stop - 1] + _EARLY_S
            unknown |= (foot.time_s >= start - 1e-9) & (foot.time_s <= end + 1e-9)
    return np.asarray(unknown & ~loaded)


def _about(axis: str, angle: FloatArray) -> FloatArray:
    """Rotation matrices (rows, 3, 3) about an axis of the ground frame."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.zeros((len(angle), 3, 3))
    turn[:] = np.eye(3)
    turn[:, i, i], turn[:, i, j], turn[:, j, i], turn[:, j, j] = c, -s, s, c
    return turn
