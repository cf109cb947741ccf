from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_chains import LEG, hung_at_the_base, place_of, places, planar_chain, random_motion, slope
from scipy.integrate import solve_ivp

from edge.msk.dynamics import ExternalForce, Kinematics, inverse_dynamics
from edge.msk.equation_of_motion import (
    base_torque,
    coriolis_matrix,
    forward_dynamics,
    gravity_torque,
    mass_matrix,
    mechanical_energy,
)
from edge.msk.model import Model
from edge.msk.spline import Spline

CHAINS = settings(deadline=None, max_examples=50)
JOINTS = st.integers(1, 4)
SEEDS = st.integers(0, 10**6)


def times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return np.einsum("fij,fj->fi", matrix, vector)


# --- The matrices are inverse dynamics


@CHAINS
@given(n=JOINTS, seed=SEEDS)
def test_the_matrices_give_inverse_dynamics(n: int, seed: int) -> None:
    model, motion = planar_chain(n, seed), random_motion(n, 20, seed)
    terms = [
        times(mass_matrix(model, motion.q), motion.qdd),
        times(coriolis_matrix(model, motion.q, motion.qd), motion.qd),
        gravity_torque(model, motion.q, motion.tilt),
        base_torque(model, motion),
    ]
    size = max(np.abs(term).max() for term in terms)
    np.testing.assert_allclose(sum(terms), inverse_dynamics(model, motion), atol=1e-10 * size, rtol=0)


@CHAINS
@given(n=JOINTS, seed=SEEDS)
def test_a_base_at_rest_adds_nothing_however_tilted(n: int, seed: int) -> None:
    model, motion = planar_chain(n, seed), random_motion(n, 20, seed)
    rest = Kinematics.on_fixed_base(motion.q, motion.qd, motion.qdd, motion.tilt)
    assert (base_torque(model, rest) == 0.0).all()
    got = times(mass_matrix(model, motion.q), motion.qdd) + times(
        coriolis_matrix(model, motion.q, motion.qd), motion.qd
    )
    got += gravity_torque(model, motion.q, motion.tilt)
    wanted = inverse_dynamics(model, rest)
    np.testing.assert_allclose(got, wanted, atol=1e-10 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("model", [LEG, planar_chain(3, 6), planar_chain(1, 7)], ids=["leg9", "gliding", "one joint"])
def test_mass_matrix_is_symmetric_and_positive(model: Model) -> None:
    q = np.random.default_rng(7).uniform(-1, 1, (200, len(model.joints)))
    mass = mass_matrix(model, q)
    np.testing.assert_allclose(mass, np.swapaxes(mass, 1, 2), atol=1e-14)
    assert np.linalg.eigvalsh(mass).min() > 0.0


@CHAINS
@given(n=JOINTS, seed=SEEDS)
def test_kinetic_energy_is_that_of_the_segments(n: int, seed: int) -> None:
    model, motion = planar_chain(n, seed), random_motion(n, 1, seed)
    q, qd = motion.q[0], motion.qd[0]
    masses = np.array([s.mass_kg for s in model.segments])
    inertias = np.array([s.inertia_kg_m2 for s in model.segments])
    velocity = slope(lambda h: places(model, q + h * qd, 0.3)[0])
    spin = slope(lambda h: places(model, q + h * qd, 0.3)[1])
    wanted = 0.5 * (masses * (velocity**2).sum(axis=1)).sum() + 0.5 * (inertias * spin**2).sum()
    assert 0.5 * motion.qd[0] @ mass_matrix(model, motion.q)[0] @ motion.qd[0] == pytest.approx(wanted, rel=1e-7)


# --- Coriolis


@CHAINS
@given(n=JOINTS, seed=SEEDS)
def test_coriolis_terms_are_christoffel_s_symbols_of_the_mass_matrix(n: int, seed: int) -> None:
    model, q = planar_chain(n, seed), random_motion(n, 1, seed).q
    gradient = np.stack(
        [slope(lambda h, u=u: mass_matrix(model, q + h * u)[0]) for u in np.eye(n)], axis=2
    )  # d M_jk / d q_l
    wanted = 0.5 * (gradient + np.swapaxes(gradient, 1, 2) - np.transpose(gradient, (2, 0, 1)))
    for i, unit in enumerate(np.eye(n)):
        got = coriolis_matrix(model, q, unit[None])[0]  # linear in the rates: one of 1 picks its symbols
        np.testing.assert_allclose(got, wanted[:, :, i], atol=1e-7 * max(1.0, np.abs(wanted).max()))


@CHAINS
@given(n=JOINTS, seed=SEEDS)
def test_mass_growth_less_twice_coriolis_is_skew(n: int, seed: int) -> None:
    model, motion = planar_chain(n, seed), random_motion(n, 5, seed)
    growth = slope(lambda t: mass_matrix(model, motion.q + t * motion.qd))
    coriolis = coriolis_matrix(model, motion.q, motion.qd)
    skew = growth - 2.0 * coriolis
    np.testing.assert_allclose(skew, -np.swapaxes(skew, 1, 2), atol=1e-6 * max(1.0, np.abs(growth).max()))
    # The same without finite differences: M' = C + C^T.
    np.testing.assert_allclose(
        growth, coriolis + np.swapaxes(coriolis, 1, 2), atol=1e-6 * max(1.0, np.abs(growth).max())
    )


def test_a_textbook_s_two_link_arm() -> None:
    """Murray, Li & Sastry 1994, example 4.3, with the angles counted from the vertical."""
    m1, m2, i1, i2, l1, r1, r2 = 2.0, 1.5, 0.05, 0.03, 0.4, 0.15, 0.2
    model = planar_chain(2, 0, glide_m=0.0)
    joints = (model.joints[0], replace(model.joints[1], center=Spline(np.zeros(1), np.array([[0.0, -l1]]))))
    segments = (
        replace(model.segments[0], mass_kg=m1, inertia_kg_m2=i1, com_m=(0.0, -r1)),
        replace(model.segments[1], mass_kg=m2, inertia_kg_m2=i2, com_m=(0.0, -r2)),
    )
    model = replace(model, joints=joints, segments=segments)
    q, qd = np.array([[0.3, 0.8]]), np.array([[1.1, -2.3]])
    alpha, beta, delta = i1 + i2 + m1 * r1**2 + m2 * (l1**2 + r2**2), m2 * l1 * r2, i2 + m2 * r2**2
    c2, s2 = np.cos(0.8), np.sin(0.8)
    mass = [[alpha + 2 * beta * c2, delta + beta * c2], [delta + beta * c2, delta]]
    coriolis = [[-beta * s2 * qd[0, 1], -beta * s2 * (qd[0, 0] + qd[0, 1])], [beta * s2 * qd[0, 0], 0.0]]
    g = model.gravity_mps2
    outer = m2 * g * r2 * np.sin(0.3 + 0.8)
    np.testing.assert_allclose(mass_matrix(model, q)[0], mass, rtol=1e-14)
    np.testing.assert_allclose(coriolis_matrix(model, q, qd)[0], coriolis, atol=1e-14)
    np.testing.assert_allclose(
        gravity_torque(model, q, np.zeros(1))[0], [(m1 * r1 + m2 * l1) * g * np.sin(0.3) + outer, outer], rtol=1e-14
    )


def test_neither_tilt_nor_the_first_angle_changes_mass_and_coriolis() -> None:
    """The first angle turns the chain as the base does where its centre does not glide."""
    model, motion = hung_at_the_base(planar_chain(3, 11)), random_motion(3, 10, 12)
    turned = motion.q + np.array([0.7, 0.0, 0.0])
    np.testing.assert_allclose(mass_matrix(model, turned), mass_matrix(model, motion.q), atol=1e-12)
    np.testing.assert_allclose(
        coriolis_matrix(model, turned, motion.qd), coriolis_matrix(model, motion.q, motion.qd), atol=1e-11
    )


# --- Forward dynamics


@CHAINS
@given(n=JOINTS, seed=SEEDS)
def test_forward_dynamics_undoes_inverse_dynamics(n: int, seed: int) -> None:
    model, motion, rng = planar_chain(n, seed), random_motion(n, 10, seed), np.random.default_rng(seed)
    external = ExternalForce(rng.normal(size=(10, 2)) * 300, rng.normal(size=(10, 2)), rng.normal(size=10) * 10)
    torque = inverse_dynamics(model, motion, external)
    unread = replace(motion, qdd=np.full_like(motion.q, np.nan))
    got = forward_dynamics(model, unread, torque, external)
    badly = np.linalg.cond(mass_matrix(model, motion.q)).max()
    np.testing.assert_allclose(got, motion.qdd, atol=1e-13 * badly * (1.0 + np.abs(motion.qdd).max()), rtol=1e-9)


def test_a_pendulum() -> None:
    model = hung_at_the_base(planar_chain(1, 3))
    segment = replace(model.segments[0], mass_kg=2.0, com_m=(0.0, -0.5), inertia_kg_m2=0.1)
    model = replace(model, segments=(segment,))
    q = np.linspace(-3, 3, 13)[:, None]
    got = forward_dynamics(model, Kinematics.on_fixed_base(q), np.zeros_like(q))
    np.testing.assert_allclose(got, -2.0 * model.gravity_mps2 * 0.5 * np.sin(q) / (0.1 + 2.0 * 0.25), rtol=1e-12)


@pytest.mark.parametrize(("n", "seed"), [(1, 0), (2, 1), (3, 2), (4, 3)])
def test_a_free_chain_keeps_its_energy_to_the_order_of_the_integration(n: int, seed: int) -> None:
    """0.3 s by Runge and Kutta's method, on a tilted base; centres glide on lines, which leaves it its order."""
    model, tilt = planar_chain(n, seed, glide_m=0.05, knots=2), np.array([0.4])
    start = np.random.default_rng(seed).normal(size=(2, 1, n)) * [[[0.5]], [[1.0]]]
    nothing = np.zeros((1, n))

    def rate(y: np.ndarray) -> np.ndarray:
        motion = Kinematics.on_fixed_base(y[0], y[1], tilt=tilt)
        return np.stack([y[1], forward_dynamics(model, motion, nothing)])

    def energy_kept(h: float) -> tuple[float, float]:
        """How far the energy is off at the end, and how much of it was moved between height and speed, J."""
        y, heights = start, []
        for _ in range(round(0.3 / h)):
            a = rate(y)
            b = rate(y + 0.5 * h * a)
            c = rate(y + 0.5 * h * b)
            y = y + h / 6.0 * (a + 2 * b + 2 * c + rate(y + h * c))
            heights.append(mechanical_energy(model, y[0], 0 * y[1], tilt)[0])
        off = mechanical_energy(model, y[0], y[1], tilt)[0] - mechanical_energy(model, start[0], start[1], tilt)[0]
        return abs(off), np.ptp(heights)

    coarse, _ = energy_kept(4e-3)
    fine, moved = energy_kept(1e-3)
    print(f"free chain of {n}: energy kept within {fine / moved:.1e} of the {moved:.1f} J that it exchanged")
    assert moved > 0.5  # the check is not of a chain at rest
    assert fine < 1e-8 * moved
    assert fine < coarse / 50 or fine < 1e-12 * moved  # fourth order: 256


@pytest.mark.parametrize("model", [LEG, planar_chain(3, 8)], ids=["leg9", "gliding"])
def test_a_free_leg_keeps_its_energy(model: Model) -> None:
    def rate(_: float, y: np.ndarray) -> np.ndarray:
        motion = Kinematics.on_fixed_base(y[None, :3], y[None, 3:])
        return np.concatenate([y[3:], forward_dynamics(model, motion, np.zeros((1, 3)))[0]])

    path = solve_ivp(rate, (0.0, 0.6), [0.4, -0.6, 0.2, 1.0, -2.0, 0.5], rtol=1e-9, atol=1e-10, max_step=0.01)
    q, qd = path.y[:3].T, path.y[3:].T
    energy = mechanical_energy(model, q, qd, np.zeros(len(q)))
    moved = np.ptp(mechanical_energy(model, q, np.zeros_like(q), np.zeros(len(q))))
    assert moved > 1.0
    assert np.abs(energy - energy[0]).max() < 1e-6 * moved


# --- Power


@pytest.mark.parametrize("seed", range(8))
def test_power_is_balanced_on_a_moving_base_with_a_force_on_the_foot(seed: int) -> None:
    """The energy of all segments in the world grows by what joints, base and external force put in.

    d(energy)/dt = tau . qd + F . v + M omega (the force, at its point) + base force . its velocity + tau_0 x tilt rate: the
    base holds the first joint's torque against its own turn.
    """
    n = 1 + seed % 4
    model, motion, rng = hung_at_the_base(planar_chain(n, seed)), random_motion(n, 1, seed), np.random.default_rng(seed)
    q, qd, qdd = motion.q[0], motion.qd[0], motion.qdd[0]
    tilt, tilt_rate, tilt_acceleration = motion.tilt[0], motion.tilt_rate[0], motion.tilt_acceleration[0]
    base_velocity, base_acceleration = rng.normal(size=2), motion.base_acceleration[0]
    force, moment, at = rng.normal(size=2) * 300, rng.normal() * 20, rng.normal(size=2) * 0.2
    masses = np.array([s.mass_kg for s in model.segments])
    inertias = np.array([s.inertia_kg_m2 for s in model.segments])

    def state(t: float) -> tuple[np.ndarray, float, np.ndarray]:
        half = 0.5 * t**2
        return (
            q + t * qd + half * qdd,
            tilt + t * tilt_rate + half * tilt_acceleration,
            t * base_velocity + half * base_acceleration,
        )

    def in_world(t: float) -> tuple[np.ndarray, np.ndarray]:
        angles, tilted, base = state(t)
        com, turned = places(model, angles, tilted)
        return com + base, turned

    def point(t: float) -> np.ndarray:
        angles, tilted, base = state(t)
        return place_of(model, angles, tilted, n - 1, at) + base

    def energy(t: float) -> float:
        velocity = slope(lambda h: in_world(t + h)[0])
        spin = slope(lambda h: in_world(t + h)[1])
        kinetic = 0.5 * (masses * (velocity**2).sum(axis=1)).sum() + 0.5 * (inertias * spin**2).sum()
        return kinetic + model.gravity_mps2 * (masses * in_world(t)[0][:, 1]).sum()

    def momentum(t: float) -> np.ndarray:
        return (masses[:, None] * slope(lambda h: in_world(t + h)[0])).sum(axis=0)

    external = ExternalForce(force[None], point(0.0)[None], np.array([moment]))
    torque = inverse_dynamics(model, motion, external)[0]
    weight = np.array([0.0, -model.gravity_mps2 * masses.sum()])
    base_force = slope(momentum) - weight - force
    parts = {
        "joints": torque @ qd,
        "external": force @ slope(point) + moment * (tilt_rate + qd.sum()),
        "base": base_force @ base_velocity + torque[0] * tilt_rate,
    }
    assert sum(parts.values()) == pytest.approx(slope(energy), abs=1e-5 * max(abs(p) for p in parts.values()))


def test_mechanical_energy_of_a_tilted_chain_counts_height_from_the_first_joint() -> None:
    model, motion = planar_chain(3, 21), random_motion(3, 6, 22)
    masses = np.array([s.mass_kg for s in model.segments])
    got = mechanical_energy(model, motion.q, np.zeros_like(motion.q), motion.tilt)
    for i in range(6):
        height = places(model, motion.q[i], motion.tilt[i])[0][:, 1]
        assert got[i] == pytest.approx(model.gravity_mps2 * (masses * height).sum(), rel=1e-12)


# --- Shapes


def test_a_frame_has_the_same_bits_alone_and_among_others() -> None:
    motion, rng = random_motion(3, 30, 31), np.random.default_rng(32)
    torque = rng.normal(size=(30, 3))
    together = (
        mass_matrix(LEG, motion.q),
        coriolis_matrix(LEG, motion.q, motion.qd),
        gravity_torque(LEG, motion.q, motion.tilt),
        base_torque(LEG, motion),
        forward_dynamics(LEG, motion, torque),
    )
    for i in range(30):
        one = Kinematics(*(getattr(motion, f)[i : i + 1] for f in motion.__dataclass_fields__))
        alone = (
            mass_matrix(LEG, one.q),
            coriolis_matrix(LEG, one.q, one.qd),
            gravity_torque(LEG, one.q, one.tilt),
            base_torque(LEG, one),
            forward_dynamics(LEG, one, torque[i : i + 1]),
        )
        for got, wanted in zip(alone, together, strict=True):
            np.testing.assert_array_equal(got[0], wanted[i])


def test_no_frames() -> None:
    q = np.zeros((0, 3))
    assert mass_matrix(LEG, q).shape == coriolis_matrix(LEG, q, q).shape == (0, 3, 3)
    assert forward_dynamics(LEG, Kinematics.on_fixed_base(q), q).shape == (0, 3)
