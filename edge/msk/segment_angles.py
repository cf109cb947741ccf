"""Joint angles of the planar chain from joint centres that were measured in space and projected on the sagittal plane.

A leg in space is not a planar chain: its joint angles of a 3-D model, taken as the chain's, put the segments elsewhere than
they are. Segment angles taken from the projected joint centres put every segment where it is seen in that plane.

The centre of joint i lies in segment i-1 at c_i(q_i), which moves with the joint's own angle (a knee glides), so that the
direction d_i from centre i-1 to centre i is at the angle

    arg d_i = theta_{i-1} + arg c_i(q_i),        q_i = theta_i - theta_{i-1}

with theta the segments' angles in the world. From the last segment inwards theta_i is known, and q_i is the root of one scalar
equation, found by Newton's method. Only directions are used: links seen too short, because they point out of the plane, do
not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.errors import ModelError
from edge.msk.chain import cross, dot, joint_centers, rotate
from edge.msk.model import Model
from edge.msk.spline import FloatArray, Spline

_NEWTON_STEPS = 30  # a knee needs 3
_CONVERGED_RAD = 1e-12


@dataclass(frozen=True)
class SegmentAngles:
    """Angles of a chain that points as the given joint centres do."""

    q: FloatArray  # (frames, n_joints) rad, each within half a turn of the middle of its joint's range
    angle: FloatArray  # (frames, n_joints) rad, of every segment in the world: tilt + q_0 + ... + q_i
    misfit_m: (
        FloatArray  # (frames, n_joints): from every given point after the first to the chain's, seen from the first
    )


def angles_from_centers(
    model: Model, centers_m: FloatArray, end_m: tuple[float, float], tilt: FloatArray | None = None
) -> SegmentAngles:
    """Joint and segment angles of the chain whose links point as those between the given points.

    centers_m: (frames, n_joints + 1, 2), the joint centres from the first to the last and a point of the last segment, in the
    sagittal plane (x forward, y up), any origin. end_m: that last point's place in the last segment's frame. For a foot take
    one far from the ankle and seen in the plane whatever the toeing out: the metatarsophalangeal joint (`mtp`, origin of the
    toes in OpenSim), or the ankle's centre plus the vector from heel to toe, with that same vector as `end_m`.
    tilt: (frames,) rad of the base; without it zero, so that q_0 is the first segment's angle in the world. Torques do not
    depend on how that angle is shared between tilt and q_0.

    A frame with a point that is not finite gives angles that are not. Raises ModelError when shapes do not fit the model, when
    two points coincide, and when a joint's centre moves in a way that leaves its angle undetermined.
    """
    n = len(model.joints)
    if centers_m.ndim != 3 or centers_m.shape[1:] != (n + 1, 2):
        raise ModelError(
            f"model {model.name}: joint centres have the shape {centers_m.shape}: give (frames, {n + 1}, 2), the centres of "
            f"{', '.join(model.joint_names)} and one more point of the last segment, x forward and y up"
        )
    if not np.hypot(*end_m) > 0.0:
        raise ModelError(
            f"model {model.name}: the last segment's point is at its joint: give one that has a direction from it"
        )
    tilt = np.zeros(len(centers_m)) if tilt is None else tilt
    links = np.diff(centers_m, axis=1)
    coincide = np.argwhere((links == 0.0).all(axis=2))
    if len(coincide):
        frame, link = coincide[0]
        raise ModelError(
            f"joint centres {link} and {link + 1} coincide in frame {frame}: the segment between has no direction there: "
            "check which points were given"
        )
    direction = np.arctan2(links[..., 1], links[..., 0])
    q = np.empty((len(centers_m), n))
    segment_angle = direction[:, n - 1] - np.arctan2(end_m[1], end_m[0])
    for i in reversed(range(1, n)):
        middle = 0.5 * sum(model.joints[i].range_rad)
        q[:, i] = _angle_at(model.joints[i].center, segment_angle - direction[:, i - 1], middle, model.joints[i].name)
        segment_angle = segment_angle - q[:, i]
    q[:, 0] = _nearest(segment_angle - tilt, 0.5 * sum(model.joints[0].range_rad))
    angle = tilt[:, None] + np.cumsum(q, axis=1)
    end = rotate((np.cos(angle[:, -1]), np.sin(angle[:, -1])), np.broadcast_to(np.array(end_m), (len(q), 2)))
    own = joint_centers(model, q, tilt)
    own = np.concatenate([own[:, 1:], (own[:, -1] + end)[:, None]], axis=1) - own[:, :1]
    return SegmentAngles(q, angle, np.linalg.norm(centers_m[:, 1:] - centers_m[:, :1] - own, axis=2))


def _angle_at(center: Spline, behind: FloatArray, middle: float, name: str) -> FloatArray:
    """The root q of q - arg c(q) = `behind` (frames,): by how much segment i is ahead of the link that ends at its joint."""

    def ahead(q: FloatArray) -> tuple[FloatArray, FloatArray]:
        c, c1, _ = center.evaluate(q)
        return q - np.arctan2(c[:, 1], c[:, 0]), 1.0 - cross(c, c1) / dot(c, c)

    with np.errstate(divide="ignore", invalid="ignore"):  # a centre in the joint before has no direction: refused below
        _, slope_at_knots = ahead(center.knots)
        q = middle - _nearest(ahead(np.array([middle]))[0] - behind, 0.0)
        for _ in range(_NEWTON_STEPS):
            angle, slope = ahead(q)
            miss = _nearest(angle - behind, 0.0)
            far = np.abs(miss) > _CONVERGED_RAD
            if not far.any():
                break
            q = np.where(far, q - miss / slope, q)  # a frame's result does not depend on the others' need of steps
    # Where the link turned faster than the segment that it carries, two angles would show the same points.
    if not np.all(slope_at_knots > 0.0) or far.any():
        raise ModelError(
            f"joint '{name}': its centre glides so fast, or lies so near the joint before, that joint centres do not determine "
            "its angle: import the model again, or check which points were given"
        )
    return q


def _nearest(angle: FloatArray, to: float) -> FloatArray:
    """The angle, whole turns added, within half a turn of `to`."""
    return angle - 2.0 * np.pi * np.round((angle - to) / (2.0 * np.pi))
