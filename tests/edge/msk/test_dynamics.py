from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from planar_chains import LEG, curvature, place_of, places, planar_chain, random_motion, slope

from edge.msk.dynamics import ExternalForce, Kinematics, external_torque, inverse_dynamics
from edge.msk.model import Model
from edge.trials import TrialSpec, load_trial

CHAINS = [LEG, *(planar_chain(n, n) for n in (1, 2, 3, 4))]
NAMES = ["leg9", *(f"gliding-{n}" for n in (1, 2, 3, 4))]


def lagrangian(model: Model, q: np.ndarray, qd: np.ndarray) -> float:
    masses = np.array([s.mass_kg for s in model.segments])
    inertias = np.array([s.inertia_kg_m2 for s in model.segments])
    velocity = slope(lambda h: places(model, q + h * qd, 0.0)[0])
    spin = slope(lambda h: places(model, q + h * qd, 0.0)[1])
    height = places(model, q, 0.0)[0][:, 1]
    kinetic = 0.5 * (masses * (velocity**2).sum(axis=1)).sum() + 0.5 * (inertias * spin**2).sum()
    return kinetic - model.gravity_mps2 * (masses * height).sum()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model", CHAINS, ids=NAMES)
def test_torques_are_lagrange_s(model: Model, seed: int) -> None:
    """tau = d/dt (dL/dqd) - dL/dq, from energies alone."""
    motion = random_motion(len(model.joints), 1, seed)
    q, qd, qdd = motion.q[0], motion.qd[0], motion.qdd[0]

    def at(t: float, h: np.ndarray) -> float:
        return lagrangian(model, q + t * qd + 0.5 * t**2 * qdd, qd + t * qdd + h)

    wanted = [
        slope(lambda t, u=unit: slope(lambda h: at(t, h * u)))
        - slope(lambda h, u=unit: lagrangian(model, q + h * u, qd))
        for unit in np.eye(len(q))
    ]
    got = inverse_dynamics(model, Kinematics.on_fixed_base(motion.q, motion.qd, motion.qdd))[0]
    np.testing.assert_allclose(got, wanted, atol=2e-6 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model", CHAINS, ids=NAMES)
def test_torques_on_a_moving_tilting_base(model: Model, seed: int) -> None:
    """d'Alembert: the work of every segment's inertial force and moment, along a path of base and joints through time."""
    motion = random_motion(len(model.joints), 1, seed)
    masses = np.array([s.mass_kg for s in model.segments])
    inertias = np.array([s.inertia_kg_m2 for s in model.segments])
    q, qd, qdd, tilt = motion.q[0], motion.qd[0], motion.qdd[0], motion.tilt[0]

    def path(t: float) -> np.ndarray:
        half = 0.5 * t**2
        tilted = tilt + t * motion.tilt_rate[0] + half * motion.tilt_acceleration[0]
        at, angle = places(model, q + t * qd + half * qdd, tilted)
        return np.column_stack([at + half * motion.base_acceleration[0], angle])

    second = curvature(path)
    force = masses[:, None] * (second[:, :2] + [0.0, model.gravity_mps2])
    wanted = [
        (force * slope(lambda s, u=unit: places(model, q + s * u, tilt)[0])).sum() + (inertias * second[:, 2])[j:].sum()
        for j, unit in enumerate(np.eye(len(q)))
    ]
    got = inverse_dynamics(model, motion)[0]
    np.testing.assert_allclose(got, wanted, atol=2e-6 * max(1.0, np.abs(wanted).max()))


def test_an_accelerated_base_is_another_gravity() -> None:
    q, qd, qdd = np.random.default_rng(10).normal(size=(3, 20, 3))
    motion = Kinematics.on_fixed_base(q, qd, qdd)
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
        inverse_dynamics(LEG, Kinematics.on_fixed_base(q, tilt=tilt)),
        inverse_dynamics(LEG, replace(Kinematics.on_fixed_base(q), base_acceleration=turned)),
        atol=1e-11,
    )


@pytest.mark.parametrize("model", CHAINS, ids=NAMES)
def test_external_torque_is_the_work_of_the_force(model: Model) -> None:
    """tau . dq = F . dx + M d(angle) for every small motion of the joints, the point held in the last segment."""
    n, rng = len(model.joints), np.random.default_rng(13)
    motion = random_motion(n, 1, 14)
    q, tilt = motion.q[0], motion.tilt[0]
    force, moment, local = rng.normal(size=2) * 500, rng.normal() * 10, rng.normal(size=2) * 0.1
    external = ExternalForce(force[None], place_of(model, q, tilt, n - 1, local)[None], np.array([moment]))
    got = external_torque(model, motion.q, motion.tilt, external)
    for j, unit in enumerate(np.eye(n)):
        work = force @ slope(lambda h, u=unit: place_of(model, q + h * u, tilt, n - 1, local)) + moment
        assert got[0, j] == pytest.approx(work, abs=1e-5)
    free = inverse_dynamics(model, motion)
    np.testing.assert_allclose(free - inverse_dynamics(model, motion, external), got, atol=1e-9)


def test_a_frame_has_the_same_bits_alone_and_among_others() -> None:
    motion = random_motion(3, 40, 15)
    together = inverse_dynamics(LEG, motion)
    for i in range(40):
        alone = Kinematics(*(getattr(motion, f)[i : i + 1] for f in motion.__dataclass_fields__))
        np.testing.assert_array_equal(inverse_dynamics(LEG, alone)[0], together[i])


def test_a_fixed_base_is_at_rest_and_upright_unless_said() -> None:
    q, qd, tilt = np.ones((2, 3)), np.full((2, 3), 2.0), np.full(2, 0.3)
    plain = Kinematics.on_fixed_base(q)
    assert len(plain) == 2
    assert not any(getattr(plain, name).any() for name in plain.__dataclass_fields__ if name != "q")
    told = Kinematics.on_fixed_base(q, qd, 2 * qd, tilt)
    np.testing.assert_array_equal(told.qd, qd)
    np.testing.assert_array_equal(told.qdd, 2 * qd)
    np.testing.assert_array_equal(told.tilt, tilt)


def test_no_frames() -> None:
    assert inverse_dynamics(LEG, Kinematics.on_fixed_base(np.zeros((0, 3)))).shape == (0, 3)


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
