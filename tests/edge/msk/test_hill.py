from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.msk.curves import DEGROOTE_2016
from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import load_model

LEG = load_model("leg9")
CORRECT = HillMuscles.of(LEG)
COMPAT = HillMuscles.of(LEG, MuscleMode.COMPAT)


def states(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    q = LEG.lower_rad + rng.random((count, 3)) * (LEG.upper_rad - LEG.lower_rad)
    return q, rng.normal(scale=2.0, size=(count, 3))


def test_fibre_fulfils_the_rigid_tendon_equations() -> None:
    q, qd = states(300)
    state = CORRECT.evaluate(q, qd)
    optimal = CORRECT.optimal_length_m
    sine = np.sqrt(1.0 - state.cos_pennation**2)
    reachable = state.length_m - CORRECT.slack_length_m > 0.01 * optimal
    assert reachable.mean() > 0.95
    along = state.fiber_length * optimal * state.cos_pennation
    np.testing.assert_allclose(along[reachable], (state.length_m - CORRECT.slack_length_m)[reachable], atol=1e-12)
    np.testing.assert_allclose(
        state.fiber_length * optimal * sine, np.broadcast_to(CORRECT.height_m, sine.shape), atol=1e-9
    )


def test_fibre_velocity_is_the_rate_of_the_fibre_length() -> None:
    q, qd = states(300, seed=1)
    h = 1e-6
    ahead, behind = CORRECT.evaluate(q + h * qd, qd), CORRECT.evaluate(q - h * qd, qd)
    state = CORRECT.evaluate(q, qd)
    rate = (ahead.fiber_length - behind.fiber_length) / (2 * h) / CORRECT.max_velocity
    held = state.length_m - CORRECT.slack_length_m <= 0.011 * CORRECT.optimal_length_m
    np.testing.assert_allclose(state.fiber_velocity[~held], rate[~held], atol=1e-7)


def test_force_is_the_hill_equation() -> None:
    q, qd = states(200, seed=2)
    state = CORRECT.evaluate(q, qd)
    f_l = DEGROOTE_2016.active_force_length(state.fiber_length)
    f_v = np.maximum(DEGROOTE_2016.force_velocity(state.fiber_velocity), 0.0)
    f_p = np.maximum(DEGROOTE_2016.passive_force_length(state.fiber_length), 0.0)
    np.testing.assert_allclose(state.optimal_force_n, CORRECT.max_force_n * f_l * f_v * state.cos_pennation, rtol=1e-12)
    np.testing.assert_allclose(state.passive_force_n, CORRECT.max_force_n * f_p * state.cos_pennation, rtol=1e-12)


def test_compat_leaves_passive_forces_out() -> None:
    assert not COMPAT.evaluate(*states(20)).passive_force_n.any()


def test_shapes() -> None:
    for lead in ((), (4,), (0,)):
        state = CORRECT.evaluate(np.zeros((*lead, 3)), np.zeros((*lead, 3)))
        assert state.optimal_force_n.shape == state.passive_force_n.shape == state.fiber_length.shape == (*lead, 9)
        assert state.moment_arm_m.shape == (*lead, 9, 3)


@settings(max_examples=100, deadline=None)
@given(
    arrays(float, 3, elements=st.floats(-20, 20)),
    arrays(float, 3, elements=st.floats(-1e3, 1e3)),
    st.sampled_from([CORRECT, COMPAT]),
)
def test_absurd_states_give_finite_forces_that_pull(q: np.ndarray, qd: np.ndarray, muscles: HillMuscles) -> None:
    """Far outside the range of the geometry nothing divides by zero, overflows or pushes."""
    state = muscles.evaluate(q, qd)
    for value in (state.optimal_force_n, state.passive_force_n):
        assert np.isfinite(value).all()
        assert (value >= 0.0).all()


def test_fibre_at_the_root_of_the_curve_s_width() -> None:
    length = np.nextafter(0.029947116970696 / 0.200356847296188, [0.0, 1.0])
    exact = np.array([0.029947116970696 / 0.200356847296188])
    assert np.isfinite(DEGROOTE_2016.active_force_length(np.concatenate([length, exact]))).all()


@pytest.fixture(scope="module")
def gait10(data: Path, opensim: ModuleType) -> tuple[ModuleType, object]:
    return opensim, opensim.Model(str(data / "gait10_walk" / "model.osim"))


def _pose(model: object, state: object, q: np.ndarray, qd: np.ndarray) -> None:
    for joint, angle, rate in zip(LEG.joints, q, qd, strict=True):
        coordinate = model.getCoordinateSet().get(joint.coordinate.format(side="r"))
        coordinate.setValue(state, float(angle), False)
        coordinate.setSpeedValue(state, float(rate))
    model.realizeVelocity(state)


def test_compat_is_the_force_that_opensim_s_static_optimisation_asks_for(gait10: tuple[ModuleType, object]) -> None:
    """Millard2012EquilibriumMuscle.calcInextensibleTendonActiveFiberForce, with the same lengths and rates."""
    opensim, model = gait10
    state = model.initSystem()
    q, qd = states(100, seed=5)
    ours = COMPAT.evaluate(q, qd)
    for i in range(len(q)):
        _pose(model, state, q[i], qd[i])
        for m, muscle in enumerate(LEG.muscles):
            theirs = opensim.Millard2012EquilibriumMuscle.safeDownCast(model.getMuscles().get(f"{muscle.name}_r"))
            force = theirs.calcInextensibleTendonActiveFiberForce(state, 1.0)
            # What is left is the polynomial's error in length and speed: the curves are steep.
            near = 0.03 * muscle.max_isometric_force_n
            assert ours.optimal_force_n[i, m] == pytest.approx(force, abs=near), (muscle.name, q[i], qd[i])


def test_compat_is_exact_at_opensim_s_own_lengths(gait10: tuple[ModuleType, object]) -> None:
    """The same without the polynomial: a model whose path is OpenSim's length and speed at each state."""
    opensim, model = gait10
    state = model.initSystem()
    q, qd = states(60, seed=6)
    for i in range(len(q)):
        _pose(model, state, q[i], qd[i])
        for muscle in LEG.muscles:
            theirs = opensim.Millard2012EquilibriumMuscle.safeDownCast(model.getMuscles().get(f"{muscle.name}_r"))
            length, speed = theirs.getLength(state), theirs.getLengtheningSpeed(state)
            if length - muscle.tendon_slack_length_m < 0.1 * muscle.optimal_fiber_length_m:
                continue  # OpenSim clamps the fibre there
            force = theirs.calcInextensibleTendonActiveFiberForce(state, 1.0)
            ours = _straight(muscle, length, speed, MuscleMode.COMPAT)
            assert ours.optimal_force_n[0, 0] == pytest.approx(force, abs=1e-4 * muscle.max_isometric_force_n), (
                muscle.name
            )


def _straight(muscle: object, length: float, speed: float, mode: MuscleMode) -> object:
    """Our muscle on a path of a given length and speed: l_mt = length + speed q, at q = 0 and a rate of 1."""
    path = replace(muscle.length, joints=("hip",), exponents=((0,), (1,)), coefficients_m=(length, speed))
    one = replace(LEG, muscles=(replace(muscle, length=path),))
    return HillMuscles.of(one, mode).evaluate(np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0]]))


def test_correct_equals_opensim_s_de_groote_muscle_with_a_rigid_tendon(opensim: ModuleType) -> None:
    """A DeGrooteFregly2016Muscle along a slider: its active and passive force along the tendon, on random muscles."""
    rng = np.random.default_rng(7)
    checked = 0
    for muscle in LEG.muscles:
        for _ in range(4):
            fiber, velocity = rng.uniform(0.5, 1.5), rng.uniform(-0.8, 0.8)
            cosine = np.sqrt(1.0 - (np.sin(muscle.pennation_at_optimal_rad) / fiber) ** 2)
            length = muscle.tendon_slack_length_m + fiber * muscle.optimal_fiber_length_m * cosine
            speed = velocity * muscle.max_contraction_velocity * muscle.optimal_fiber_length_m / cosine
            ours = _straight(muscle, length, speed, MuscleMode.CORRECT)
            assert ours.fiber_length[0, 0] == pytest.approx(fiber, rel=1e-9)
            assert ours.fiber_velocity[0, 0] == pytest.approx(velocity, rel=1e-9)
            active, passive = _on_a_slider(opensim, muscle, length, speed)
            assert ours.passive_force_n[0, 0] == pytest.approx(max(passive, 0.0), abs=1e-6)
            assert ours.optimal_force_n[0, 0] == pytest.approx(active, abs=1e-6 * muscle.max_isometric_force_n)
            checked += 1
    assert checked == 36


def _on_a_slider(opensim: ModuleType, muscle: object, length: float, speed: float) -> tuple[float, float]:
    model = opensim.Model()
    body = opensim.Body("block", 1.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
    model.addBody(body)
    slider = opensim.SliderJoint("slide", model.getGround(), body)
    coordinate = slider.updCoordinate()
    coordinate.setName("x")
    model.addJoint(slider)
    theirs = opensim.DeGrooteFregly2016Muscle()
    theirs.setName("m")
    theirs.set_ignore_tendon_compliance(True)
    theirs.set_ignore_activation_dynamics(True)
    theirs.set_fiber_damping(0.0)
    theirs.set_max_isometric_force(muscle.max_isometric_force_n)
    theirs.set_optimal_fiber_length(muscle.optimal_fiber_length_m)
    theirs.set_tendon_slack_length(muscle.tendon_slack_length_m)
    theirs.set_pennation_angle_at_optimal(muscle.pennation_at_optimal_rad)
    theirs.set_max_contraction_velocity(muscle.max_contraction_velocity)
    theirs.addNewPathPoint("origin", model.updGround(), opensim.Vec3(0))
    theirs.addNewPathPoint("insertion", body, opensim.Vec3(0))
    model.addForce(theirs)
    model.finalizeConnections()
    state = model.initSystem()
    coordinate.setValue(state, float(length), False)
    coordinate.setSpeedValue(state, float(speed))
    model.realizeVelocity(state)
    theirs.setActivation(state, 1.0)
    model.realizeDynamics(state)
    return theirs.getActiveFiberForceAlongTendon(state), theirs.getPassiveFiberForceAlongTendon(state)
