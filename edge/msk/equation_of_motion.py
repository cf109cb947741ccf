"""The chain's equation of motion in matrices, for analysis, simulation and controllers.

    M(q) qdd + C(q, qd) qd + G(q, tilt) + base(...) = tau + J(q)^T F

`inverse_dynamics` gives the left side at once and cheaper; the two agree to rounding. With v_ij the partial velocity of the
centre of mass of segment i with respect to joint j, and I_i its inertia about it,

    M_jk = sum_i m_i v_ij . v_ik + I_i                C_jk = sum_i m_i v_ij . d v_ik / dt

Since v_ij = dx_i / dq_j, m v_ij . d2 x_i / dq_k dq_l are the Christoffel symbols of the first kind of M, the glide of the joint
centres included (the inertias are constant and have none): C is their sum with qd_l, so that M' - 2 C is skew-symmetric
(Murray, Li & Sastry 1994, 4.2), which passivity-based control rests on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge.msk.chain import Chain, chain_rates, dot, partial_velocity, partial_velocity_rate, perp, place_chain
from edge.msk.dynamics import ExternalForce, Kinematics, inverse_dynamics
from edge.msk.model import Model
from edge.msk.spline import FloatArray


def mass_matrix(model: Model, q: FloatArray) -> FloatArray:
    """M(q), (frames, n_joints, n_joints) in kg m2. It does not depend on the base's tilt."""
    n = len(model.joints)
    velocities = _com_partial_velocities(model, place_chain(model, q, np.zeros(len(q))))
    mass = np.zeros((len(q), n, n))
    for segment, of_segment in zip(model.segments, velocities, strict=True):
        for j, v_j in enumerate(of_segment):
            for k, v_k in enumerate(of_segment):
                mass[:, j, k] += segment.mass_kg * dot(v_j, v_k) + segment.inertia_kg_m2
    return mass


def coriolis_matrix(model: Model, q: FloatArray, qd: FloatArray) -> FloatArray:
    """C(q, qd), (frames, n_joints, n_joints) in kg m2/s, of Christoffel's symbols. It does not depend on the base's tilt.

    It is linear in qd, and C(q, a) b = C(q, b) a.
    """
    n = len(model.joints)
    chain = place_chain(model, q, np.zeros(len(q)))
    rates = chain_rates(chain, qd)
    matrix = np.zeros((len(q), n, n))
    for i, (segment, velocities) in enumerate(zip(model.segments, _com_partial_velocities(model, chain), strict=True)):
        com_velocity = rates.center_velocity[i] + rates.spin[i] * perp(chain.com[i])
        for k in range(i + 1):
            change = partial_velocity_rate(chain, rates, qd, k, com_velocity)
            for j, v_j in enumerate(velocities):
                matrix[:, j, k] += segment.mass_kg * dot(v_j, change)
    return matrix


def gravity_torque(model: Model, q: FloatArray, tilt: FloatArray) -> FloatArray:
    """G(q, tilt), (frames, n_joints) in Nm: the torques that hold the chain still on a base at rest."""
    torque = np.zeros(q.shape)
    for segment, velocities in zip(
        model.segments, _com_partial_velocities(model, place_chain(model, q, tilt)), strict=True
    ):
        for j, velocity in enumerate(velocities):
            torque[:, j] += segment.mass_kg * model.gravity_mps2 * velocity[:, 1]
    return torque


def base_torque(model: Model, motion: Kinematics) -> FloatArray:
    """What the base's motion adds to the left side, (frames, n_joints) in Nm; zero for a base at rest, however tilted.

    It is the inverse dynamics with the base's acceleration, rate and angular acceleration less that without them.
    """
    still = np.zeros(len(motion))
    at_rest = replace(
        motion, tilt_rate=still, tilt_acceleration=still, base_acceleration=np.zeros(motion.base_acceleration.shape)
    )
    return inverse_dynamics(model, motion) - inverse_dynamics(model, at_rest)


def forward_dynamics(
    model: Model, motion: Kinematics, torque_nm: FloatArray, external: ExternalForce | None = None
) -> FloatArray:
    """Joint accelerations (frames, n_joints) in rad/s2 that the joint torques (frames, n_joints) give.

    qdd = M^-1 (tau + J^T F - C qd - G - base): all but M qdd is inverse dynamics at no joint acceleration (Walker & Orin
    1982). `motion.qdd` is not read.
    """
    held = inverse_dynamics(model, replace(motion, qdd=np.zeros(motion.q.shape)), external)
    qdd = np.linalg.solve(mass_matrix(model, motion.q), (torque_nm - held)[..., None])[..., 0]
    return np.asarray(qdd, dtype=np.float64)


def mechanical_energy(model: Model, q: FloatArray, qd: FloatArray, tilt: FloatArray) -> FloatArray:
    """Kinetic plus potential energy (frames,) in J of the chain on a base at rest; zero height is the base's point."""
    kinetic = 0.5 * np.einsum("fi,fij,fj->f", qd, mass_matrix(model, q), qd)
    chain = place_chain(model, q, tilt)
    height = sum(segment.mass_kg * (chain.centers[i] + chain.com[i])[:, 1] for i, segment in enumerate(model.segments))
    energy: FloatArray = kinetic + model.gravity_mps2 * height
    return energy


def _com_partial_velocities(model: Model, chain: Chain) -> list[list[FloatArray]]:
    """v_ij (frames, 2) of every segment's centre of mass, for the joints j up to its own."""
    return [
        [partial_velocity(chain, j, chain.centers[i] + chain.com[i]) for j in range(i + 1)]
        for i in range(len(model.segments))
    ]
