from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from edge.msk.dynamics import (
    ExternalForce,
    Kinematics,
    external_torque,
    inverse_dynamics,
    joint_centers,
    mass_matrix,
    mechanical_energy,
)
from edge.msk.model import Model, load_model
from edge.msk.spline import Spline
from edge.trials import TrialSpec, load_trial

LEG = load_model("leg9")


def made_up(seed: int) -> Model:
    """The leg with other masses and inertias, and joint centres that glide far more than a knee's."""
    rng = np.random.default_rng(seed)
    joints = tuple(
        replace(j, center=Spline(np.linspace(-3, 3, 7), rng.normal([0.05, -0.4], 0.15, size=(7, 2))))
        for j in LEG.joints
    )
    segments = tuple(
        replace(
            s,
            mass_kg=rng.uniform(1, 10),
            com_m=tuple(rng.normal(scale=0.2, size=2)),
            inertia_kg_m2=rng.uniform(0.01, 0.3),
        )
        for s in LEG.segments
    )
    return replace(LEG, joints=joints, segments=segments)


def still(q: np.ndarray, qd: np.ndarray | None = None, qdd: np.ndarray | None = None) -> Kinematics:
    """A base at rest, upright."""
    zero = np.zeros(len(q))
    at = np.zeros_like(q)
    return Kinematics(q, at if qd is None else qd, at if qdd is None else qdd, zero, zero, zero, np.zeros((len(q), 2)))


# --- An independent chain: places only, written for one state at a time; every derivative below is a finite difference.
def places(model: Model, q: np.ndarray, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Centres of mass (n, 2) seen from the first joint, and segment angles (n,)."""
    angle, at, out, angles = tilt, np.zeros(2), [], []
    for i, (joint, segment) in enumerate(zip(model.joints, model.segments, strict=True)):
        if i > 0:
            at = at + _turn(angle) @ joint.center.evaluate(np.array(q[i]))[0]
        angle = angle + q[i]
        out.append(at + _turn(angle) @ np.array(segment.com_m))
        angles.append(angle)
    return np.array(out), np.array(angles)


def _turn(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _slope(function: object, h: float = 1e-3) -> np.ndarray:
    """First derivative at zero, fourth order."""
    f = function
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def lagrangian(model: Model, q: np.ndarray, qd: np.ndarray) -> float:
    masses = np.array([s.mass_kg for s in model.segments])
    inertias = np.array([s.inertia_kg_m2 for s in model.segments])
    velocity = _slope(lambda h: places(model, q + h * qd, 0.0)[0])
    spin = _slope(lambda h: places(model, q + h * qd, 0.0)[1])
    height = places(model, q, 0.0)[0][:, 1]
    kinetic = 0.5 * (masses * (velocity**2).sum(axis=1)).sum() + 0.5 * (inertias * spin**2).sum()
    return kinetic - model.gravity_mps2 * (masses * height).sum()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("model", [LEG, made_up(1), made_up(2)], ids=["leg9", "gliding-1", "gliding-2"])
def test_torques_are_lagrange_s(model: Model, seed: int) -> None:
    """tau = d/dt (dL/dqd) - dL/dq, from energies alone."""
    rng = np.random.default_rng(seed)
    q, qd, qdd = rng.uniform(-0.9, 0.9, 3), rng.normal(size=3) * 2, rng.normal(size=3) * 10

    def at(t: float, h: np.ndarray) -> float:
        return lagrangian(model, q + t * qd + 0.5 * t**2 * qdd, qd + t * qdd + h)

    wanted = [
        _slope(lambda t, u=unit: _slope(lambda h: at(t, h * u)))
        - _slope(lambda h, u=unit: lagrangian(model, q + h * u, qd))
        for unit in np.eye(3)
    ]
    got = inverse_dynamics(model, still(q[None], qd[None], qdd[None]))[0]
    np.testing.assert_allclose(got, wanted, atol=2e-4 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("model", [LEG, made_up(4)], ids=["leg9", "gliding"])
def test_torques_on_a_moving_tilting_base(model: Model, seed: int) -> None:
    """d'Alembert: the work of every segment's inertial force and moment, along a path of base and joints through time."""
    rng = np.random.default_rng(seed)
    masses = np.array([s.mass_kg for s in model.segments])
    inertias = np.array([s.inertia_kg_m2 for s in model.segments])
    q, qd, qdd = rng.uniform(-0.9, 0.9, 3), rng.normal(size=3) * 2, rng.normal(size=3) * 10
    tilt, tilt_rate, tilt_acceleration = rng.normal(size=3) * [0.5, 2.0, 10.0]
    base_acceleration = rng.normal(size=2) * 8

    def path(t: float) -> np.ndarray:
        tilted = tilt + t * tilt_rate + 0.5 * t**2 * tilt_acceleration
        at, angle = places(model, q + t * qd + 0.5 * t**2 * qdd, tilted)
        return np.column_stack([at + 0.5 * t**2 * base_acceleration, angle])

    h = 1e-3
    second = (-path(2 * h) + 16 * path(h) - 30 * path(0) + 16 * path(-h) - path(-2 * h)) / (12 * h**2)
    force = masses[:, None] * (second[:, :2] + [0.0, model.gravity_mps2])
    wanted = [
        (force * _slope(lambda s, u=unit: places(model, q + s * u, tilt)[0])).sum()
        + (inertias * second[:, 2])[j:].sum()
        for j, unit in enumerate(np.eye(3))
    ]
    motion = Kinematics(
        q[None],
        qd[None],
        qdd[None],
        np.array([tilt]),
        np.array([tilt_rate]),
        np.array([tilt_acceleration]),
        base_acceleration[None],
    )
    got = inverse_dynamics(model, motion)[0]
    np.testing.assert_allclose(got, wanted, atol=2e-4 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("model", [LEG, made_up(6)], ids=["leg9", "gliding"])
def test_mass_matrix_is_symmetric_positive_and_that_of_inverse_dynamics(model: Model) -> None:
    q = np.random.default_rng(7).uniform(-1, 1, (200, 3))
    mass = mass_matrix(model, q)
    np.testing.assert_allclose(mass, np.swapaxes(mass, 1, 2), atol=1e-14)
    assert np.linalg.eigvalsh(mass).min() > 0.0
    rest = inverse_dynamics(model, still(q))
    for j in range(3):
        unit = np.zeros_like(q)
        unit[:, j] = 1.0
        np.testing.assert_allclose(inverse_dynamics(model, still(q, None, unit)) - rest, mass[:, :, j], atol=1e-12)


@pytest.mark.parametrize("model", [LEG, made_up(8)], ids=["leg9", "gliding"])
def test_a_free_chain_keeps_its_energy(model: Model) -> None:
    def rate(_: float, y: np.ndarray) -> np.ndarray:
        q, qd = y[None, :3], y[None, 3:]
        return np.concatenate(
            [y[3:], -np.linalg.solve(mass_matrix(model, q)[0], inverse_dynamics(model, still(q, qd))[0])]
        )

    path = solve_ivp(rate, (0.0, 0.6), [0.4, -0.6, 0.2, 1.0, -2.0, 0.5], rtol=1e-9, atol=1e-10, max_step=0.01)
    q, qd = path.y[:3].T, path.y[3:].T
    energy = mechanical_energy(model, q, qd, np.zeros(len(q)))
    moved = np.ptp(mechanical_energy(model, q, np.zeros_like(q), np.zeros(len(q))))
    assert moved > 1.0  # the check is not of a chain at rest
    assert np.abs(energy - energy[0]).max() < 1e-6 * moved


def test_torques_give_the_power_that_the_energy_takes() -> None:
    rng = np.random.default_rng(9)
    q, qd, qdd = rng.uniform(-0.9, 0.9, (50, 3)), rng.normal(size=(50, 3)) * 2, rng.normal(size=(50, 3)) * 10
    zero = np.zeros(50)
    power = (inverse_dynamics(LEG, still(q, qd, qdd)) * qd).sum(axis=1)
    growth = _slope(lambda t: mechanical_energy(LEG, q + t * qd + 0.5 * t**2 * qdd, qd + t * qdd, zero), 1e-4)
    np.testing.assert_allclose(power, growth, atol=1e-3)


def test_an_accelerated_base_is_another_gravity() -> None:
    q, qd, qdd = np.random.default_rng(10).normal(size=(3, 20, 3))
    motion = still(q, qd, qdd)
    lifted = replace(motion, base_acceleration=np.tile([0.0, 3.0], (20, 1)))
    heavier = replace(LEG, gravity_mps2=LEG.gravity_mps2 + 3.0)
    np.testing.assert_allclose(inverse_dynamics(LEG, lifted), inverse_dynamics(heavier, motion), atol=1e-11)
    falling = replace(motion, base_acceleration=np.tile([0.0, -LEG.gravity_mps2], (20, 1)))
    np.testing.assert_allclose(
        inverse_dynamics(LEG, replace(falling, qd=0 * q, qdd=0 * q)), 0.0, atol=1e-11
    )  # a leg in free fall weighs nothing


def test_a_tilted_base_is_a_turned_gravity() -> None:
    q = np.random.default_rng(11).uniform(-1, 1, (20, 3))
    tilt = np.random.default_rng(12).uniform(-1, 1, 20)
    g = LEG.gravity_mps2
    turned = np.stack([g * np.sin(tilt), g * np.cos(tilt) - g], axis=1)  # R(-tilt) (0, g) - (0, g)
    np.testing.assert_allclose(
        inverse_dynamics(LEG, replace(still(q), tilt=tilt)),
        inverse_dynamics(LEG, replace(still(q), base_acceleration=turned)),
        atol=1e-11,
    )


@pytest.mark.parametrize("model", [LEG, made_up(14)], ids=["leg9", "gliding"])
def test_external_torque_is_the_work_of_the_force(model: Model) -> None:
    """tau . dq = F . dx + M d(angle) for every small motion of the joints, the point held in the last segment."""
    rng = np.random.default_rng(13)
    q, tilt = rng.uniform(-0.9, 0.9, (1, 3)), rng.uniform(-0.5, 0.5, 1)
    force, moment, local = rng.normal(size=(1, 2)) * 500, rng.normal(size=1) * 10, rng.normal(size=2) * 0.1

    def point(angles: np.ndarray) -> np.ndarray:
        return joint_centers(model, angles, tilt)[0, 2] + _turn(float(tilt[0] + angles.sum())) @ local

    got = external_torque(model, q, tilt, ExternalForce(force, point(q)[None], moment))[0]
    for j, unit in enumerate(np.eye(3)):
        work = force[0] @ _slope(lambda h, u=unit: point(q + h * u)) + moment[0]
        assert got[j] == pytest.approx(work, abs=1e-3)
    motion = replace(still(q), tilt=tilt)
    with_force = inverse_dynamics(model, motion, ExternalForce(force, point(q)[None], moment))
    np.testing.assert_allclose(inverse_dynamics(model, motion) - with_force, [got], atol=1e-9)


def test_a_frame_has_the_same_bits_alone_and_among_others() -> None:
    rng = np.random.default_rng(15)
    n = 40
    motion = Kinematics(*rng.normal(size=(3, n, 3)), *rng.normal(size=(3, n)), rng.normal(size=(n, 2)))
    together = inverse_dynamics(LEG, motion)
    for i in range(n):
        alone = Kinematics(*(getattr(motion, f)[i : i + 1] for f in motion.__dataclass_fields__))
        np.testing.assert_array_equal(inverse_dynamics(LEG, alone)[0], together[i])


def test_no_frames() -> None:
    assert inverse_dynamics(LEG, still(np.zeros((0, 3)))).shape == (0, 3)


@pytest.mark.parametrize("side", ["r", "l"])
def test_opensim_s_inverse_dynamics(
    data: Path, oracle: ModuleType, tmp_path_factory: pytest.TempPathFactory, side: str
) -> None:
    folder = data / "gait10_walk"
    theirs = oracle.inverse_dynamics(
        folder / "model.osim", folder / "ik.mot", folder / "external_loads.xml", tmp_path_factory.mktemp("id")
    )
    spec = TrialSpec(
        kinematics=folder / "ik.mot",
        ground_reaction=folder / "subject01_walk_grf.mot",
        external_loads=folder / "external_loads.xml",
        side=side,
    )
    trial = load_trial(spec, LEG, name="gait10_walk")
    inside = theirs.time_s <= trial.end_s + 1e-9
    torque = trial.torque(theirs.time_s[inside])
    for j, joint in enumerate(LEG.joints):
        column = theirs.columns[f"{joint.coordinate.format(side=side)}_moment"][inside]
        rmse = np.sqrt(((torque[:, j] - column) ** 2).mean())
        assert rmse <= 0.05, f"{joint.name}: {rmse:.4f} Nm"
        print(f"gait10_walk {side} {joint.name}: RMSE {rmse:.4f} Nm of {column.std():.1f} Nm")
