"""Torques of a force in space about joint axes that are not perpendicular to the plane.

The planar chain takes every axis for the plane's normal n. In space a force F at p with moment M has at joint j the torque

    tau_j = (M + (p - p_j) x F) . u_j + F . R c_j'            (Kane & Levinson 1985)

with p_j the joint's centre, u_j the turn of what is behind it per unit of its angle, and the last term the work on the glide of
its centre. The planar torque differs by M_j . (u_j - n): what moments out of the plane do through a pelvis that turns, an
oblique ankle and a knee that couples turns to its flexion. On a foot in stance that is most of the planar model's error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.msk.chain import dot, place_chain
from edge.msk.model import Model
from edge.msk.spline import FloatArray


@dataclass(frozen=True)
class SpatialJoints:
    """Where a chain's joints are in space. Arrays over frames; x forward, y up, z to the right."""

    center_m: FloatArray  # (frames, n_joints, 3) in the ground frame
    axis: FloatArray  # (frames, n_joints, 3): turn of what is behind the joint per unit of our angle


def torque_about_own_axes(
    model: Model, q: FloatArray, tilt: FloatArray, joints: SpatialJoints, force_n: FloatArray, moment_nm: FloatArray
) -> FloatArray:
    """Generalised torques (frames, n_joints) in Nm of a force on the last segment.

    force_n, moment_nm: (frames, 3), the force and its moment about the origin of the ground frame.
    """
    glide = place_chain(model, q, tilt).glide
    torque = np.empty(q.shape)
    for j in range(q.shape[1]):
        about_center = moment_nm - np.cross(joints.center_m[:, j], force_n)
        torque[:, j] = (about_center * joints.axis[:, j]).sum(axis=1) + dot(force_n[:, :2], glide[j])
    return torque
