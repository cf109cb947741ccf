"""Contact of the last segment as three numbers: a force through the last joint's centre and a moment about it.

Whatever touches the foot, and wherever, has the same torques as a force F through the ankle and a moment M about it. Divided by
weight, and by weight times leg length, they are much alike in all people who walk: a stance carries one body weight. The torques
that they make are not, because those depend on where each person's joints are. J(q)^T is known exactly, so that a network has
to learn only the contact.
"""

from __future__ import annotations

import numpy as np

from edge.msk.chain import Chain, partial_velocity, place_chain
from edge.msk.dynamics import ExternalForce
from edge.msk.model import Model
from edge.msk.spline import FloatArray

COMPONENTS = ("force_x", "force_y", "moment")


def wrench_of(model: Model, q: FloatArray, tilt: FloatArray, external: ExternalForce) -> FloatArray:
    """(frames, 3) force (x, y) in N through the last joint's centre and moment in Nm about it, world axes.

    q (frames, n_joints), tilt (frames,) rad; the force is seen from the base's point.
    """
    lever = external.point_m - place_chain(model, q, tilt).centers[-1]
    force = external.force_n
    moment = external.moment_nm + lever[:, 0] * force[:, 1] - lever[:, 1] * force[:, 0]
    return np.column_stack([force, moment])


def torque_per_wrench(model: Model, q: FloatArray, tilt: FloatArray, *, chain: Chain | None = None) -> FloatArray:
    """-J(q)^T, (frames, n_joints, 3): what each unit of `wrench_of` adds to the torques that the muscles must give.

    In Nm per N, and Nm per Nm: muscle torque = contact-free inverse dynamics + torque_per_wrench @ wrench.
    """
    placed = place_chain(model, q, tilt) if chain is None else chain
    torque = np.empty((*q.shape, 3))
    for j in range(q.shape[1]):
        torque[:, j, :2] = -partial_velocity(placed, j, placed.centers[-1])
        torque[:, j, 2] = -1.0
    return torque


def contact_map(model: Model, q: FloatArray, tilt: FloatArray) -> FloatArray:
    """(frames, n_rows, 3 + n_rows): torque / (m g L) per unit of a network's answer.

    The answer is force / (m g), moment / (m g L), and for every row what else is missing to its torque, / (m g L): the error of
    contact-free torques whose accelerations are noisy, and all of the torque of a row outside the plane.
    """
    joints, rows = len(model.joints), len(model.row_names)
    of_wrench = torque_per_wrench(model, q, tilt)
    result = np.zeros((len(q), rows, len(COMPONENTS) + rows))
    result[:, :joints, :2] = of_wrench[:, :, :2] / model.leg_length_m
    result[:, :joints, 2] = of_wrench[:, :, 2]
    result[:, :, len(COMPONENTS) :] = np.eye(rows)
    return result


def contact_answer(model: Model, wrench: FloatArray, missing_nm: FloatArray, mapped: FloatArray) -> FloatArray:
    """(frames, 3 + n_rows): the answer that stands for a wrench (frames, 3).

    missing_nm (frames, n_rows): what the contact-free torques lack; mapped: `contact_map` of the same moments.
    """
    scale = model.torque_scale_nm
    contact = np.column_stack([wrench[:, :2] * model.leg_length_m / scale, wrench[:, 2:] / scale])
    rest = missing_nm / scale - np.einsum("frc,fc->fr", mapped[:, :, : len(COMPONENTS)], contact)
    return np.column_stack([contact, rest])
