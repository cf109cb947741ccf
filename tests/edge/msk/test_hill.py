from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from muscle_on_a_slider import (
    OPENSIM_CLASS,
    Paths,
    each,
    on_a_slider,
    opensim_properties,
    random_muscles,
    random_parameters,
    random_paths,
)

from edge.errors import ModelError
from edge.msk.curves import DEGROOTE_2016, FAMILIES, MILLARD_2013, CurveParameters
from edge.msk.hill import HillMuscles, MuscleMode, MuscleState
from edge.msk.model import Model, load_model

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
    f_l = CORRECT.curves.active_force_length(state.fiber_length)
    f_v = np.maximum(CORRECT.curves.force_velocity(state.fiber_velocity), 0.0)
    f_p = np.maximum(CORRECT.curves.passive_force_length(state.fiber_length), 0.0)
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


def opensim_static_optimisation_force(
    opensim: ModuleType, muscles: HillMuscles, paths: Paths, parameters: list[CurveParameters]
) -> np.ndarray:
    """calcInextensibleTendonActiveFiberForce of full activation (states, muscles), which static optimisation asks for."""
    force = np.empty(paths.length_m.shape)
    for m, properties in enumerate(each(muscles)):
        own = opensim_properties(opensim, parameters[m])
        slider = on_a_slider(opensim, OPENSIM_CLASS[parameters[m].family], **properties, **own)
        for i in range(len(force)):
            slider.put(paths.length_m[i, m], paths.lengthening_mps[i, m])
            force[i, m] = slider.muscle.calcInextensibleTendonActiveFiberForce(slider.state, 1.0)
    return force


def default_and_random(family: str, count: int, seed: int) -> list[CurveParameters]:
    return [CurveParameters(family)] * (count // 2) + random_parameters(family, count - count // 2, seed)


TOLERANCE = {"degroote2016": 2e-14, "millard2013": 7e-8, "thelen2003": 1e-9}


@pytest.mark.parametrize("curves", [*TOLERANCE, "mixed"])
def test_compat_is_what_opensim_s_static_optimisation_takes(opensim: ModuleType, curves: str) -> None:
    """Ten thousand random states of random muscles, half of them with curves of their own, in maximal isometric forces."""
    own = (
        [p for family in TOLERANCE for p in default_and_random(family, 14, 6)][:40]
        if curves == "mixed"
        else default_and_random(curves, 40, 6)
    )
    np.random.default_rng(7).shuffle(own)  # type: ignore[arg-type]
    muscles = random_muscles(40, seed=0, mode=MuscleMode.COMPAT, parameters=own)
    paths = random_paths(muscles, 250, seed=1)
    ours = on_paths(muscles, paths)
    assert not ours.passive_force_n.any()
    # A De Groote fibre faster than its maximal velocity pushes in OpenSim.
    theirs = np.maximum(opensim_static_optimisation_force(opensim, muscles, paths, own), 0.0)
    difference = np.abs(ours.optimal_force_n - theirs).max(axis=0) / muscles.max_force_n
    print(f"{curves} compat: {difference.max():.1e} F_o")
    assert all(d < TOLERANCE[p.family] for d, p in zip(difference, own, strict=True))


@pytest.mark.parametrize("curves", ["degroote2016", "millard2013"])
def test_correct_is_opensim_s_muscle_with_a_rigid_tendon(opensim: ModuleType, curves: str) -> None:
    """Active and passive force along the tendon at ten thousand random states of random muscles, without damping."""
    own = default_and_random(curves, 40, 8)
    muscles = random_muscles(40, seed=2, parameters=own)
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
            **opensim_properties(opensim, own[m]),
        )
        for i in range(len(active)):
            slider.put(paths.length_m[i, m], paths.lengthening_mps[i, m])
            slider.muscle.setActivation(slider.state, 1.0)
            slider.model.realizeDynamics(slider.state)
            active[i, m] = slider.muscle.getActiveFiberForceAlongTendon(slider.state)
            passive[i, m] = slider.muscle.getPassiveFiberForceAlongTendon(slider.state)
    for name, mine, theirs in (("active", ours.optimal_force_n, active), ("passive", ours.passive_force_n, passive)):
        # Of the maximal force, or of the passive force where that is many times as large.
        difference = np.abs(mine - np.maximum(theirs, 0.0)) / np.maximum(theirs, muscles.max_force_n)
        print(f"{curves} correct, {name}: {difference.max():.1e} F_o")
        assert difference.max() < TOLERANCE[curves]


def test_correct_thelen_is_the_force_of_opensim_s_muscle_along_the_tendon(opensim: ModuleType) -> None:
    """OpenSim's Thelen2003Muscle has no rigid tendon of its own but in static optimisation, where it leaves no slip."""
    own = default_and_random("thelen2003", 40, 9)
    muscles = random_muscles(40, seed=4, parameters=own)
    paths = random_paths(muscles, 250, seed=5)
    theirs = opensim_static_optimisation_force(opensim, muscles, paths, own)
    difference = np.abs(on_paths(muscles, paths).optimal_force_n - theirs) / muscles.max_force_n
    assert difference.max() < TOLERANCE["thelen2003"]


def on_paths(muscles: HillMuscles, paths: Paths) -> MuscleState:
    return muscles.on_path(paths.length_m, paths.lengthening_mps, np.empty((*paths.length_m.shape, 0)))


def test_curves_by_name() -> None:
    plain = with_curves(None)
    assert HillMuscles.of(plain).curves is HillMuscles.of(plain, curves="degroote2016").curves is DEGROOTE_2016
    assert HillMuscles.of(plain, MuscleMode.COMPAT).curves is MILLARD_2013
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


def with_curves(curves: CurveParameters | Sequence[CurveParameters] | None) -> Model:
    each_one = curves if isinstance(curves, Sequence) else [curves] * len(LEG.muscles)
    return replace(LEG, muscles=tuple(replace(m, curves=c) for m, c in zip(LEG.muscles, each_one, strict=True)))


THELEN = CurveParameters("thelen2003", {"active_width": 0.5, "passive_strain": 0.5})


def test_compat_follows_the_muscles_own_curves() -> None:
    q, qd = states(50, seed=11)
    muscles = HillMuscles.of(with_curves(THELEN), MuscleMode.COMPAT)
    state = muscles.evaluate(q, qd)
    bell = np.exp(-((state.fiber_length - 1.0) ** 2) / 0.5)
    np.testing.assert_allclose(muscles.curves.active_force_length(state.fiber_length), bell, rtol=1e-14)
    forced = HillMuscles.of(with_curves(THELEN), MuscleMode.COMPAT, "thelen2003").evaluate(q, qd)
    np.testing.assert_array_equal(forced.optimal_force_n, state.optimal_force_n)
    other = HillMuscles.of(with_curves(THELEN), MuscleMode.COMPAT, "millard2013").evaluate(q, qd)
    millard = HillMuscles.of(with_curves(None), MuscleMode.COMPAT).evaluate(q, qd)
    np.testing.assert_array_equal(other.optimal_force_n, millard.optimal_force_n)


@pytest.mark.parametrize("family", FAMILIES)
def test_correct_keeps_the_muscle_s_own_passive_strain(family: str) -> None:
    """De Groote's curves, whose passive force is the maximal one where the muscle's own curves have it."""
    strain = np.linspace(0.4, 0.8, 9)
    model = with_curves([CurveParameters(family, {"passive_strain": s}) for s in strain.tolist()])
    for muscles in (HillMuscles.of(model), HillMuscles.of(model, curves="degroote2016")):
        np.testing.assert_allclose(muscles.curves.passive_force_length(1.0 + strain), 1.0, rtol=1e-12)
    length = np.linspace(0.5, 1.5, 9)
    active = HillMuscles.of(model).curves.active_force_length(length)
    np.testing.assert_array_equal(active, DEGROOTE_2016.active_force_length(length))
    for name in FAMILIES:
        curves = HillMuscles.of(model, curves=name).curves
        np.testing.assert_allclose(curves.passive_force_length(1.0 + strain), 1.0, rtol=0, atol=1e-7)


@pytest.mark.parametrize("mode", MuscleMode)
def test_curves_of_their_own_give_the_same_bits_alone_and_among_others(mode: MuscleMode) -> None:
    mixed = [p for family in FAMILIES for p in random_parameters(family, 3, 12)]
    muscles = HillMuscles.of(with_curves(mixed), mode)
    q, qd = states(33, seed=13)
    together = muscles.evaluate(q, qd)
    for i in range(len(q)):
        alone = muscles.evaluate(q[i], qd[i])
        assert alone.optimal_force_n.tobytes() == together.optimal_force_n[i].tobytes()
        assert alone.passive_force_n.tobytes() == together.passive_force_n[i].tobytes()
