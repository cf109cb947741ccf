"""Inverse dynamics of a planar chain whose base moves and whose joint centres glide.

The equation of motion of the joints is M(q) qdd + C(q, qd) qd + G(q) = R(q)^T F + J(q)^T F_ext. It is written here by the
principle of virtual power (Kane & Levinson 1985): every segment's inertial and gravity forces, times the partial velocity of
its centre of mass with respect to each joint rate. The base's acceleration and gravity enter together, as one effective
gravity, and the base's tilt as the angle from which the chain starts; a base at rest is the fixed hip of simpler models.
`edge.msk.equation_of_motion` has the same equation in matrices.

A joint centre may move with its joint's angle (a knee's does): its place in the parent segment is c(q), so that its velocity
and acceleration, and the work that forces do on its motion, are part of the equations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.msk.chain import Chain, cross, dot, partial_velocity, perp, place_chain
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
    base_acceleration: FloatArray  # (frames, 2) m/s2, of the base's point in the world, without gravity

    def __len__(self) -> int:
        return len(self.q)

    @classmethod
    def on_fixed_base(
        cls, q: FloatArray, qd: FloatArray | None = None, qdd: FloatArray | None = None, tilt: FloatArray | None = None
    ) -> Kinematics:
        """Motion on a base at rest; what is not given is zero: no rate, no acceleration, upright."""
        rest, upright = np.zeros(q.shape), np.zeros(len(q))
        return cls(
            q,
            rest if qd is None else qd,
            rest if qdd is None else qdd,
            upright if tilt is None else tilt,
            upright,
            upright,
            np.zeros((len(q), 2)),
        )


@dataclass(frozen=True)
class ExternalForce:
    """A force on the last segment, in the world's axes and seen from the base's point. Arrays over frames."""

    force_n: FloatArray  # (frames, 2)
    point_m: FloatArray  # (frames, 2), place of application minus place of the base's point
    moment_nm: FloatArray  # (frames,), free moment out of the plane


def inverse_dynamics(model: Model, motion: Kinematics, external: ExternalForce | None = None) -> FloatArray:
    """Joint torques (frames, n_joints) in Nm that the muscles must give.

    Without `external` they are those of a limb that touches nothing.
    """
    chain = place_chain(model, motion.q, motion.tilt)
    rate, acceleration = motion.tilt_rate[:, None], motion.tilt_acceleration[:, None]
    center_acceleration = motion.base_acceleration + np.array([0.0, model.gravity_mps2])
    forces, moments = [], []  # what moves every segment: inertial and gravity force at its centre of mass, and moment
    for i, segment in enumerate(model.segments):
        # Joint centre i is carried by segment i-1 (rates before the update) and glides in it with its own angle.
        qd, qdd = motion.qd[:, i, None], motion.qdd[:, i, None]
        center_acceleration = (
            center_acceleration
            + acceleration * perp(chain.arm[i])
            - rate**2 * chain.arm[i]
            + 2.0 * rate * qd * perp(chain.glide[i])
            + chain.glide_curvature[i] * qd**2
            + chain.glide[i] * qdd
        )
        rate = rate + qd
        acceleration = acceleration + qdd
        com = chain.com[i]
        forces.append(segment.mass_kg * (center_acceleration + acceleration * perp(com) - rate**2 * com))
        moments.append(segment.inertia_kg_m2 * acceleration[:, 0])
    # The sums over the segments i >= j of the principle, gathered from the last segment inwards.
    torque = np.empty(motion.q.shape)
    force = np.zeros((len(motion), 2))
    moment = np.zeros(len(motion))
    for j in reversed(range(len(model.joints))):
        force = force + forces[j]
        moment = moment + moments[j] + cross(chain.com[j], forces[j])
        torque[:, j] = moment + dot(chain.glide[j], force)
        if j > 0:
            moment = moment + cross(chain.arm[j], force)
    if external is not None:
        torque -= external_torque(model, motion.q, motion.tilt, external, chain=chain)
    return torque


def external_torque(
    model: Model, q: FloatArray, tilt: FloatArray, external: ExternalForce, *, chain: Chain | None = None
) -> FloatArray:
    """J(q)^T F: the generalised torques (frames, n_joints) in Nm of a force on the last segment."""
    chain = place_chain(model, q, tilt) if chain is None else chain
    torque = np.empty(q.shape)
    for j in range(len(model.joints)):
        torque[:, j] = dot(external.force_n, partial_velocity(chain, j, external.point_m)) + external.moment_nm
    return torque
