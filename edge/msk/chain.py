"""Where the parts of a planar chain are, and how its points move with the joint angles.

A point x on segment s turns about every joint j before it, and is carried by the glide of that joint's centre. The partial
velocity of x with respect to q_j (Kane & Levinson 1985) is therefore

    v_j = d x / d q_j = e_z x (x - p_j) + R_{j-1} c_j'(q_j),        j <= s,

with p_j the joint's centre, c_j its place in segment j-1 and R_{j-1} that segment's rotation. The base carries the first
joint as a segment carries the next; its point is the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.errors import ModelError
from edge.msk.model import Model
from edge.msk.spline import FloatArray


@dataclass(frozen=True)
class Chain:
    """Places, and derivatives of the joint centres, of a chain at a state; lists over joints of arrays (frames, 2)."""

    axes: list[tuple[FloatArray, FloatArray]]  # cos and sin of every segment's angle in the world
    centers: list[FloatArray]  # joint centres seen from the base's point, world axes
    glide: list[FloatArray]  # d centre / d q of the joint itself, world axes
    glide_curvature: list[FloatArray]  # second derivative, world axes
    arm: list[FloatArray]  # from the previous joint's centre (the base's point) to this one, world axes
    com: list[FloatArray]  # from the joint's centre to its segment's centre of mass, world axes


def rotate(axes: tuple[FloatArray, FloatArray], vector: FloatArray) -> FloatArray:
    """The vector (..., 2) turned by the angle whose cos and sin are given."""
    c, s = axes
    x, y = vector[..., 0], vector[..., 1]
    turned = np.empty(vector.shape)
    turned[..., 0] = c * x - s * y
    turned[..., 1] = s * x + c * y
    return turned


def perp(vector: FloatArray) -> FloatArray:
    """The vector turned by a right angle: what a unit rate of turn gives as velocity."""
    turned = np.empty(vector.shape)  # half the time of np.stack, which counts in the live loop
    turned[..., 0] = -vector[..., 1]
    turned[..., 1] = vector[..., 0]
    return turned


def dot(a: FloatArray, b: FloatArray) -> FloatArray:
    total: FloatArray = a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1]
    return total


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """The component of a x b out of the plane."""
    out: FloatArray = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


def place_chain(model: Model, q: FloatArray, tilt: FloatArray) -> Chain:
    """The chain at the angles q (frames, n_joints) of its joints and tilt (frames,) of its base, rad."""
    chain = Chain([], [], [], [], [], [])
    place, angle, parent = np.zeros((len(q), 2)), tilt, (np.cos(tilt), np.sin(tilt))
    for i, (joint, segment) in enumerate(zip(model.joints, model.segments, strict=True)):
        arm, glide, curvature = (rotate(parent, c) for c in joint.center.evaluate(q[:, i]))
        place = place + arm
        angle = angle + q[:, i]
        parent = (np.cos(angle), np.sin(angle))
        chain.axes.append(parent)
        chain.centers.append(place)
        chain.arm.append(arm)
        chain.glide.append(glide)
        chain.glide_curvature.append(curvature)
        chain.com.append(rotate(parent, np.broadcast_to(np.array(segment.com_m), place.shape)))
    return chain


def joint_centers(model: Model, q: FloatArray, tilt: FloatArray) -> FloatArray:
    """Joint centres (frames, n_joints, 2) in m seen from the base's point, in the world's axes."""
    return np.stack(place_chain(model, q, tilt).centers, axis=1)


def segment_index(model: Model, name: str) -> int:
    """Place of a segment in the chain, by its name. Raises ModelError."""
    names = [s.name for s in model.segments]
    if name not in names:
        raise ModelError(f"model {model.name}: has no segment '{name}': give one of {', '.join(names)}")
    return names.index(name)


def partial_velocity(chain: Chain, joint: int, point: FloatArray) -> FloatArray:
    """d (velocity of a point on a later segment) / d (rate of a joint): its turn about the joint, and the centre's glide."""
    return perp(point - chain.centers[joint]) + chain.glide[joint]


def point_jacobian(model: Model, q: FloatArray, tilt: FloatArray, segment: str, at_m: FloatArray) -> FloatArray:
    """J(q), (frames, 2, n_joints) in m: velocity of a point of a segment per joint rate, in the world's axes.

    `at_m`, (2,) or (frames, 2), is the point's place in the segment's frame. The torques of a force F there are J^T F.
    Joints after the segment do not move it: their columns are zero. Raises ModelError for an unknown segment.
    """
    last = segment_index(model, segment)
    chain = place_chain(model, q, tilt)
    place = np.broadcast_to(np.asarray(at_m, dtype=np.float64), (len(q), 2))
    point = chain.centers[last] + rotate(chain.axes[last], place)
    jacobian = np.zeros((len(q), 2, len(model.joints)))
    for j in range(last + 1):
        jacobian[:, :, j] = partial_velocity(chain, j, point)
    return jacobian


@dataclass(frozen=True)
class ChainRates:
    """How the parts of a chain move on a base at rest; lists over joints."""

    spin: list[FloatArray]  # (frames, 1) rad/s, of every segment
    center_velocity: list[FloatArray]  # (frames, 2) m/s


def chain_rates(chain: Chain, qd: FloatArray) -> ChainRates:
    """Rates of a chain for joint rates qd (frames, n_joints) rad/s."""
    spin = np.zeros((len(qd), 1))
    velocity = np.zeros((len(qd), 2))
    rates = ChainRates([], [])
    for i in range(qd.shape[1]):
        velocity = velocity + spin * perp(chain.arm[i]) + chain.glide[i] * qd[:, i, None]
        spin = spin + qd[:, i, None]
        rates.center_velocity.append(velocity)
        rates.spin.append(spin)
    return rates


def partial_velocity_rate(
    chain: Chain, rates: ChainRates, qd: FloatArray, joint: int, point_velocity: FloatArray
) -> FloatArray:
    """d/dt of `partial_velocity`, of a point that moves with `point_velocity`: sum_k (d2 x / dq_j dq_k) qd_k, exactly."""
    turning = perp(point_velocity - rates.center_velocity[joint])
    # The direction of the glide turns with the segment that carries the centre, and changes with the joint's own angle.
    if joint > 0:
        turning = turning + rates.spin[joint - 1] * perp(chain.glide[joint])
    return turning + chain.glide_curvature[joint] * qd[:, joint, None]
