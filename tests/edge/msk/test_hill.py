from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from muscle_on_a_slider import OPENSIM_CLASS, Paths, each, on_a_slider, random_muscles, random_paths

from edge.errors import ModelError
from edge.msk.curves import DEGROOTE_2016, FAMILIES, MILLARD_2013
from edge.msk.hill import HillMuscles, MuscleMode, MuscleState
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
    st.sampled_from([HillMuscles.of(LEG, mode, curves) for mode in MuscleMode for curves in FAMILIES]),
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


def opensim_static_optimisation_force(opensim: ModuleType, muscles: HillMuscles, paths: Paths) -> np.ndarray:
    """calcInextensibleTendonActiveFiberForce of full activation (states, muscles), which static optimisation asks for."""
    force = np.empty(paths.length_m.shape)
    for m, properties in enumerate(each(muscles)):
        slider = on_a_slider(opensim, OPENSIM_CLASS[muscles.curves.name], **properties)
        for i in range(len(force)):
            slider.put(paths.length_m[i, m], paths.lengthening_mps[i, m])
            force[i, m] = slider.muscle.calcInextensibleTendonActiveFiberForce(slider.state, 1.0)
    return force


@pytest.mark.parametrize(
    ("curves", "tolerance"), [("degroote2016", 2e-14), ("millard2013", 7e-8), ("thelen2003", 1e-9)]
)
def test_compat_is_what_opensim_s_static_optimisation_takes(opensim: ModuleType, curves: str, tolerance: float) -> None:
    """Ten thousand random states of random muscles, in maximal isometric forces."""
    muscles = random_muscles(40, seed=0, mode=MuscleMode.COMPAT, curves=curves)
    paths = random_paths(muscles, 250, seed=1)
    ours = on_paths(muscles, paths)
    assert not ours.passive_force_n.any()
    # A De Groote fibre faster than its maximal velocity pushes in OpenSim.
    theirs = np.maximum(opensim_static_optimisation_force(opensim, muscles, paths), 0.0)
    difference = (ours.optimal_force_n - theirs) / muscles.max_force_n
    print(f"{curves} compat: {np.abs(difference).max():.1e} F_o")
    assert np.abs(difference).max() < tolerance


@pytest.mark.parametrize(("curves", "tolerance"), [("degroote2016", 2e-14), ("millard2013", 7e-8)])
def test_correct_is_opensim_s_muscle_with_a_rigid_tendon(opensim: ModuleType, curves: str, tolerance: float) -> None:
    """Active and passive force along the tendon at ten thousand random states of random muscles, without damping."""
    muscles = random_muscles(40, seed=2, curves=curves)
    paths = random_paths(muscles, 250, seed=3)
    ours = on_paths(muscles, paths)
    np.testing.assert_allclose(ours.fiber_length, paths.fiber_length, rtol=1e-12)
    np.testing.assert_allclose(ours.fiber_velocity, paths.fiber_velocity, rtol=0, atol=1e-12)
    active, passive = np.empty((2, *paths.length_m.shape))
    for m, properties in enumerate(each(muscles)):
        slider = on_a_slider(
            opensim,
            OPENSIM_CLASS[curves],
            ignore_tendon_compliance=True,
            ignore_activation_dynamics=True,
            fiber_damping=0.0,
            **properties,
        )
        for i in range(len(active)):
            slider.put(paths.length_m[i, m], paths.lengthening_mps[i, m])
            slider.muscle.setActivation(slider.state, 1.0)
            slider.model.realizeDynamics(slider.state)
            active[i, m] = slider.muscle.getActiveFiberForceAlongTendon(slider.state)
            passive[i, m] = slider.muscle.getPassiveFiberForceAlongTendon(slider.state)
    for name, mine, theirs in (("active", ours.optimal_force_n, active), ("passive", ours.passive_force_n, passive)):
        difference = np.abs(mine - np.maximum(theirs, 0.0)) / muscles.max_force_n
        print(f"{curves} correct, {name}: {difference.max():.1e} F_o")
        assert difference.max() < tolerance


def test_correct_thelen_is_the_force_of_opensim_s_muscle_along_the_tendon(opensim: ModuleType) -> None:
    """OpenSim's Thelen2003Muscle has no rigid tendon of its own but in static optimisation, where it leaves no slip."""
    muscles = random_muscles(40, seed=4, curves="thelen2003")
    paths = random_paths(muscles, 250, seed=5)
    theirs = opensim_static_optimisation_force(opensim, muscles, paths)
    difference = np.abs(on_paths(muscles, paths).optimal_force_n - theirs) / muscles.max_force_n
    assert difference.max() < 1e-9


def on_paths(muscles: HillMuscles, paths: Paths) -> MuscleState:
    return muscles.on_path(paths.length_m, paths.lengthening_mps, np.empty((*paths.length_m.shape, 0)))


def test_curves_by_name() -> None:
    assert HillMuscles.of(LEG).curves is HillMuscles.of(LEG, curves="degroote2016").curves is DEGROOTE_2016
    assert HillMuscles.of(LEG, MuscleMode.COMPAT).curves is MILLARD_2013
    q, qd = states(50, seed=9)
    force = {name: HillMuscles.of(LEG, curves=name).evaluate(q, qd).optimal_force_n for name in FAMILIES}
    assert np.abs(force["degroote2016"] - force["thelen2003"]).max() > 10.0
    assert np.abs(force["degroote2016"] - force["millard2013"]).max() > 10.0
    with pytest.raises(ModelError, match="there are no muscle curves `zajac1989`"):
        HillMuscles.of(LEG, curves="zajac1989")


def test_evaluate_is_on_path_at_the_model_s_lengths() -> None:
    q, qd = states(30, seed=10)
    state = CORRECT.evaluate(q, qd)
    lengthening = state.fiber_velocity * CORRECT.max_velocity * CORRECT.optimal_length_m / state.cos_pennation
    again = CORRECT.on_path(state.length_m, lengthening, state.moment_arm_m)
    np.testing.assert_allclose(again.optimal_force_n, state.optimal_force_n, rtol=1e-12)
    assert again.moment_arm_m is state.moment_arm_m
