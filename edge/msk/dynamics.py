"""Inverse dynamics of a planar chain whose base moves and whose joint centres glide.

The equation of motion of the joints is M(q) qdd + C(q, qd) qd + G(q) = R(q)^T F + J(q)^T F_ext. It is written here by the
principle of virtual power (Kane & Levinson 1985): every segment's inertial and gravity forces, times the partial velocity of
its centre of mass with respect to each joint rate. The base's acceleration and gravity enter together, as one effective
gravity, and the base's tilt as the angle from which the chain starts; a base at rest is the fixed hip of simpler models.

A joint centre may move with its joint's angle (a knee's does): its place in the parent segment is c(q), so that its velocity
and acceleration, and the work that forces do on its motion, are part of the equations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.msk.model import Model
from edge.msk.spline import FloatArray


@dataclass(frozen=True)
class Kinematics:
    """Motion of the chain. All arrays over frames: (frames, n_joints) for joints, (frames,) and (frames, 2) for the base."""

    q: FloatArray  # rad
    qd: FloatArray  # rad/s
    qdd: FloatArray  # rad/s2
    tilt: FloatArray  # rad, angle of the base in the world
    tilt_rate: FloatArray  # rad/s
    tilt_acceleration: FloatArray  # rad/s2
    base_acceleration: FloatArray  # (frames, 2) m/s2, of the first joint's centre in the world, without gravity

    def __len__(self) -> int:
        return len(self.q)


@dataclass(frozen=True)
class ExternalForce:
    """A force on the last segment, in the world's axes and seen from the first joint's centre. Arrays over frames."""

    force_n: FloatArray  # (frames, 2)
    point_m: FloatArray  # (frames, 2), place of application minus place of the first joint
    moment_nm: FloatArray  # (frames,), free moment out of the plane


@dataclass(frozen=True)
class _Chain:
    """Places, and derivatives of the joint centres, of a chain at a state; lists over joints of arrays (frames, 2)."""

    axes: list[tuple[FloatArray, FloatArray]]  # cos and sin of every segment's angle in the world
    centers: list[FloatArray]  # joint centres seen from the first one, world axes
    glide: list[FloatArray]  # d centre / d q of the joint itself, world axes
    glide_curvature: list[FloatArray]  # second derivative, world axes
    arm: list[FloatArray]  # from the previous joint's centre to this one, world axes
    com: list[FloatArray]  # from the joint's centre to its segment's centre of mass, world axes


def _rotate(axes: tuple[FloatArray, FloatArray], vector: FloatArray) -> FloatArray:
    c, s = axes
    x, y = vector[..., 0], vector[..., 1]
    return np.stack([c * x - s * y, s * x + c * y], axis=-1)


def _perp(vector: FloatArray) -> FloatArray:
    """The vector turned by a right angle: what a unit rate of turn gives as velocity."""
    return np.stack([-vector[..., 1], vector[..., 0]], axis=-1)


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    total: FloatArray = (a * b).sum(axis=-1)
    return total


def _chain(model: Model, q: FloatArray, tilt: FloatArray) -> _Chain:
    angle = tilt
    parent = (np.cos(angle), np.sin(angle))
    place = np.zeros((len(q), 2))
    chain = _Chain([], [], [], [], [], [])
    for i, (joint, segment) in enumerate(zip(model.joints, model.segments, strict=True)):
        c, c1, c2 = joint.center.evaluate(q[:, i])
        # The first joint's centre is the origin: its own place in the base is part of the base's measured motion.
        arm = np.zeros_like(place) if i == 0 else _rotate(parent, c)
        place = place + arm
        angle = angle + q[:, i]
        own = (np.cos(angle), np.sin(angle))
        chain.axes.append(own)
        chain.centers.append(place)
        chain.arm.append(arm)
        chain.glide.append(np.zeros_like(place) if i == 0 else _rotate(parent, c1))
        chain.glide_curvature.append(np.zeros_like(place) if i == 0 else _rotate(parent, c2))
        chain.com.append(_rotate(own, np.broadcast_to(np.array(segment.com_m), place.shape)))
        parent = own
    return chain


def joint_centers(model: Model, q: FloatArray, tilt: FloatArray) -> FloatArray:
    """Joint centres (frames, n_joints, 2) in m seen from the first one, in the world's axes."""
    return np.stack(_chain(model, q, tilt).centers, axis=1)


def _partial_velocity(chain: _Chain, joint: int, point: FloatArray) -> FloatArray:
    """d (velocity of a point on a later segment) / d (rate of a joint): its turn about the joint, and the centre's glide."""
    return _perp(point - chain.centers[joint]) + chain.glide[joint]


def inverse_dynamics(model: Model, motion: Kinematics, external: ExternalForce | None = None) -> FloatArray:
    """Joint torques (frames, n_joints) in Nm that the muscles must give.

    Without `external` they are those of a limb that touches nothing.
    """
    chain = _chain(model, motion.q, motion.tilt)
    rate, acceleration = motion.tilt_rate, motion.tilt_acceleration
    place_acceleration = motion.base_acceleration + np.array([0.0, model.gravity_mps2])
    torque = np.zeros_like(motion.q)
    for i, segment in enumerate(model.segments):
        # Joint centre i is carried by segment i-1 (rates before the update) and glides in it with its own angle.
        qd, qdd = motion.qd[:, i, None], motion.qdd[:, i, None]
        glide_velocity = chain.glide[i] * qd
        place_acceleration = (
            place_acceleration
            + acceleration[:, None] * _perp(chain.arm[i])
            - rate[:, None] ** 2 * chain.arm[i]
            + 2.0 * rate[:, None] * _perp(glide_velocity)
            + chain.glide_curvature[i] * qd**2
            + chain.glide[i] * qdd
        )
        rate = rate + motion.qd[:, i]
        acceleration = acceleration + motion.qdd[:, i]
        com = chain.com[i]
        com_acceleration = place_acceleration + acceleration[:, None] * _perp(com) - rate[:, None] ** 2 * com
        inertial_force = segment.mass_kg * com_acceleration
        point = chain.centers[i] + com
        for j in range(i + 1):
            torque[:, j] += _dot(inertial_force, _partial_velocity(chain, j, point))
            torque[:, j] += segment.inertia_kg_m2 * acceleration
    if external is not None:
        torque -= external_torque(model, motion.q, motion.tilt, external, chain=chain)
    return torque


def external_torque(
    model: Model, q: FloatArray, tilt: FloatArray, external: ExternalForce, *, chain: _Chain | None = None
) -> FloatArray:
    """J(q)^T F: the generalised torques (frames, n_joints) in Nm of a force on the last segment."""
    chain = _chain(model, q, tilt) if chain is None else chain
    torque = np.empty_like(q)
    for j in range(len(model.joints)):
        torque[:, j] = _dot(external.force_n, _partial_velocity(chain, j, external.point_m)) + external.moment_nm
    return torque


def mass_matrix(model: Model, q: FloatArray) -> FloatArray:
    """M(q), (frames, n_joints, n_joints) in kg m2. It does not depend on the base's tilt."""
    chain = _chain(model, q, np.zeros(len(q)))
    n = len(model.joints)
    mass = np.zeros((len(q), n, n))
    for i, segment in enumerate(model.segments):
        point = chain.centers[i] + chain.com[i]
        velocities = [_partial_velocity(chain, j, point) for j in range(i + 1)]
        for j in range(i + 1):
            for k in range(i + 1):
                mass[:, j, k] += segment.mass_kg * _dot(velocities[j], velocities[k]) + segment.inertia_kg_m2
    return mass


def mechanical_energy(model: Model, q: FloatArray, qd: FloatArray, tilt: FloatArray) -> FloatArray:
    """Kinetic plus potential energy (frames,) in J of the chain on a base at rest."""
    kinetic = 0.5 * np.einsum("fi,fij,fj->f", qd, mass_matrix(model, q), qd)
    chain = _chain(model, q, tilt)
    height = sum(segment.mass_kg * (chain.centers[i] + chain.com[i])[:, 1] for i, segment in enumerate(model.segments))
    energy: FloatArray = kinetic + model.gravity_mps2 * height
    return energy
