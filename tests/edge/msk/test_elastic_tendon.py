from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from muscle_on_a_slider import random_muscles, random_paths

from edge.errors import ModelError
from edge.msk.curves import FAMILIES
from edge.msk.elastic_tendon import ElasticMuscles
from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import load_model

LEG = load_model("leg9")
every = pytest.mark.parametrize("curves", FAMILIES)


def leg(curves: str | None = None, **options: float) -> ElasticMuscles:
    return ElasticMuscles.of(HillMuscles.of(LEG, curves=curves), **options)


def swing(muscles: HillMuscles, frames: int = 101) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half a second of a moving muscle: times, activations, lengths."""
    time = np.linspace(0.0, 0.5, frames)
    phase = np.arange(len(muscles.max_force_n))
    length = (
        1.01 * muscles.slack_length_m
        + muscles.optimal_length_m
        + 0.2 * muscles.optimal_length_m * np.sin(10.0 * time[:, None] + phase)
    )
    return time, 0.4 + 0.3 * np.sin(15.0 * time[:, None] + 2.0 * phase), length


@every
def test_equilibrium_balances_fibre_and_tendon(curves: str) -> None:
    muscles = random_muscles(40, seed=0, curves=curves)
    paths = random_paths(muscles, 50, seed=1, tendon_strain=0.05)
    activation = np.random.default_rng(2).uniform(0.0, 1.0, paths.length_m.shape)
    elastic = ElasticMuscles.of(muscles)
    state = elastic.equilibrium(activation, paths.length_m, 0.5 * paths.lengthening_mps)
    along = state.fiber_length * state.cos_pennation * muscles.optimal_length_m
    np.testing.assert_allclose(along + state.tendon_length * muscles.slack_length_m, paths.length_m, rtol=1e-12)
    height = state.fiber_length * np.sqrt(1.0 - state.cos_pennation**2) * muscles.optimal_length_m
    np.testing.assert_allclose(height, np.broadcast_to(muscles.height_m, height.shape), atol=1e-7)
    family = FAMILIES[curves]
    velocity = 0.5 * paths.lengthening_mps * state.cos_pennation / (muscles.max_velocity * muscles.optimal_length_m)
    np.testing.assert_allclose(state.fiber_velocity, velocity, rtol=1e-12)
    fiber = (
        activation
        * family.active_force_length(state.fiber_length)
        * family.force_velocity(velocity / family.speed(activation))
        + np.maximum(family.passive_force_length(state.fiber_length), 0.0)
        + family.fiber_damping * velocity
    ) * state.cos_pennation
    tendon = family.tendon_force_length(state.tendon_length, np.float64(family.tendon_strain))
    np.testing.assert_allclose(state.tendon_force_n, muscles.max_force_n * np.maximum(tendon, 0.0), rtol=1e-12)
    pulls = tendon > 1e-9
    assert pulls.mean() > 0.9
    # The tendon's stiffness turns the last digit of the length into the tenth of the force.
    np.testing.assert_allclose(fiber[pulls], tendon[pulls], rtol=0, atol=1e-11)
    assert np.all(fiber[~pulls] <= 1e-11)


@every
def test_a_stiff_tendon_is_the_rigid_one(curves: str) -> None:
    muscles = HillMuscles.of(LEG, curves=curves)
    time, activation, length = (x[:31] for x in swing(muscles))
    stiff = ElasticMuscles.of(muscles, tendon_strain=2e-5, fiber_damping=1e-3)
    elastic = stiff.integrate(time, activation, length)
    lengthening = np.gradient(length, time, axis=0, edge_order=2)
    rigid = muscles.on_path(length, lengthening, np.empty((*length.shape, 0)))
    # At full activation, to which `thelen2003` refers its velocities under a rigid tendon.
    speed = muscles.curves.speed(activation)
    velocity = muscles.curves.force_velocity(rigid.fiber_velocity / speed)
    force = rigid.passive_force_n + activation * muscles.max_force_n * rigid.cos_pennation * velocity * (
        muscles.curves.active_force_length(rigid.fiber_length)
    )
    difference = np.abs(elastic.tendon_force_n - force)[1:] / muscles.max_force_n
    assert difference.max() < 2e-3
    assert np.abs(elastic.fiber_length - rigid.fiber_length).max() < 2e-4


@every
def test_velocity_is_the_rate_of_the_length(curves: str) -> None:
    elastic = leg(curves)
    time, activation, length = swing(elastic.muscles, 501)
    state = elastic.integrate(time, activation, length)
    rate = np.gradient(state.fiber_length, time, axis=0, edge_order=2) / elastic.muscles.max_velocity
    np.testing.assert_allclose(state.fiber_velocity[2:-2], rate[2:-2], atol=2e-3)
    at_length = elastic.state(activation, length, state.fiber_length)
    # The velocity of a barely active fibre is steep in the length: 1e-6 of it is what the integration leaves open.
    np.testing.assert_allclose(at_length.fiber_velocity, state.fiber_velocity, atol=1e-6)
    np.testing.assert_allclose(at_length.tendon_force_n, state.tendon_force_n, rtol=1e-6, atol=1e-6)


@every
def test_held_still_it_goes_to_equilibrium(curves: str) -> None:
    """After a step of the activation. Without damping and at 0.1, a fibre takes a tenth of a second."""
    elastic = leg(curves)
    _, _, length = swing(elastic.muscles, 2)
    time = np.array([0.0, 0.001, 1.0])
    activation = np.full((3, 9), 0.1)
    activation[0] = 0.9
    held = np.repeat(length[:1], 3, axis=0)
    last = elastic.integrate(time, activation, held)
    rest = elastic.equilibrium(activation[-1], held[-1])
    np.testing.assert_allclose(last.fiber_length[-1], rest.fiber_length, atol=1e-4)
    np.testing.assert_allclose(
        last.tendon_force_n[-1] / elastic.muscles.max_force_n,
        rest.tendon_force_n / elastic.muscles.max_force_n,
        atol=1e-3,
    )
    assert np.abs(last.fiber_length[0] - rest.fiber_length).max() > 0.02


@every
def test_tolerance_bounds_the_error(curves: str) -> None:
    elastic = leg(curves)
    time, activation, length = (x[:21] for x in swing(elastic.muscles, 51))
    coarse = elastic.integrate(time, activation, length)
    fine = elastic.integrate(time, activation, length, tolerance=1e-8)
    assert np.abs(coarse.fiber_length - fine.fiber_length).max() < 5e-6
    assert (np.abs(coarse.tendon_force_n - fine.tendon_force_n) / elastic.muscles.max_force_n).max() < 1e-4


@every
def test_without_activation_and_damping_the_passive_fibre_carries_the_tendon(curves: str) -> None:
    elastic = leg(curves, fiber_damping=1e-3 if curves == "millard2013" else 0.0)
    time, _, length = swing(elastic.muscles, 21)
    longer = length + 0.3 * elastic.muscles.optimal_length_m
    state = elastic.integrate(time, np.zeros_like(longer), longer)
    rest = elastic.equilibrium(0.0, longer)
    np.testing.assert_allclose(state.fiber_length, rest.fiber_length, atol=3e-3)
    assert np.isfinite(state.fiber_velocity).all()
    assert np.abs(state.fiber_velocity).max() < 1.0


def test_start_follows_the_movement() -> None:
    """The first moment is taken at a constant tendon length, at the speed with which the recording begins."""
    elastic = leg()
    time, activation, length = swing(elastic.muscles)
    first = elastic.integrate(time, activation, length)
    lengthening = np.gradient(length, time, axis=0, edge_order=2)[0]
    start = elastic.equilibrium(activation[0], length[0], lengthening)
    np.testing.assert_allclose(first.fiber_length[0], start.fiber_length, rtol=1e-12)


def test_too_short_a_muscle_has_a_slack_tendon() -> None:
    elastic = leg()
    length = 0.9 * elastic.muscles.slack_length_m
    state = elastic.equilibrium(0.5, length)
    assert not state.tendon_force_n.any()
    assert np.all(state.tendon_length < 1.0)
    course = elastic.integrate([0.0, 0.5], np.full((2, 9), 0.5), np.stack([length, length]))
    assert not course.tendon_force_n.any()
    assert np.isfinite(course.fiber_length).all()


def test_damping_slows_the_fibre() -> None:
    paths = random_paths(random_muscles(20, seed=4), 20, seed=5, tendon_strain=0.05)
    muscles = random_muscles(20, seed=4)
    speed = [
        np.abs(
            ElasticMuscles.of(muscles, fiber_damping=d).state(0.3, paths.length_m, paths.fiber_length).fiber_velocity
        )
        for d in (0.0, 0.1, 0.5)
    ]
    assert np.all(speed[1] <= speed[0] + 1e-12)
    assert np.all(speed[2] <= speed[1] + 1e-12)
    assert (speed[2] < speed[1]).mean() > 0.9


def test_own_constants_and_others() -> None:
    assert leg("millard2013").fiber_damping == 0.1
    assert leg("thelen2003").tendon_strain.tolist() == [0.04] * 9
    strain = np.linspace(0.03, 0.1, 9)
    np.testing.assert_array_equal(leg(tendon_strain=strain).tendon_strain, strain)
    length = 1.03 * HillMuscles.of(LEG).slack_length_m + HillMuscles.of(LEG).optimal_length_m
    stretched = [leg(tendon_strain=s).equilibrium(1.0, length).tendon_length for s in (0.03, 0.1)]
    assert np.all(stretched[1] > stretched[0])


def test_passive_force_counts_in_compat_too() -> None:
    length = 1.6 * HillMuscles.of(LEG).optimal_length_m + HillMuscles.of(LEG).slack_length_m
    for mode in MuscleMode:
        assert np.all(ElasticMuscles.of(HillMuscles.of(LEG, mode)).equilibrium(0.0, length).tendon_force_n > 0.0)


@settings(max_examples=60, deadline=None)
@given(
    arrays(float, 9, elements=st.floats(0.0, 1.0)),
    arrays(float, 9, elements=st.floats(-1.0, 5.0)),
    arrays(float, 9, elements=st.floats(-50.0, 50.0)),
    st.sampled_from(list(FAMILIES)),
)
def test_absurd_states_give_finite_forces_that_pull(
    activation: np.ndarray, length: np.ndarray, other: np.ndarray, curves: str
) -> None:
    elastic = leg(curves)
    for state in (elastic.equilibrium(activation, length, other), elastic.state(activation, length, other)):
        for value in (state.tendon_force_n, state.fiber_length, state.fiber_velocity):
            assert np.isfinite(value).all()
        assert np.all(state.tendon_force_n >= 0.0)


def test_shapes() -> None:
    elastic = leg()
    length = elastic.muscles.slack_length_m + elastic.muscles.optimal_length_m
    for lead in ((), (4,), (0,), (2, 3)):
        state = elastic.equilibrium(0.5, np.broadcast_to(length, (*lead, 9)))
        assert state.tendon_force_n.shape == state.fiber_length.shape == (*lead, 9)
    assert elastic.integrate([0.0, 0.1], np.full((2, 9), 0.5), np.stack([length, length])).fiber_velocity.shape == (
        2,
        9,
    )


def test_refusals() -> None:
    muscles = HillMuscles.of(LEG)
    none = muscles.slack_length_m.copy()
    none[7] = 0.0
    with pytest.raises(ModelError, match="muscle `soleus` of model `leg9` has a tendon of no length"):
        ElasticMuscles.of(replace(muscles, slack_length_m=none))
    with pytest.raises(ValueError, match="strain must be positive"):
        ElasticMuscles.of(muscles, tendon_strain=0.0)
    with pytest.raises(ValueError, match="damping not negative"):
        ElasticMuscles.of(muscles, fiber_damping=-0.1)
    with pytest.raises(ValueError, match="`millard2013` leaves the velocity of a fast fibre open"):
        leg("millard2013", fiber_damping=0.0)
    elastic = ElasticMuscles.of(muscles)
    time, activation, length = swing(muscles, 5)
    with pytest.raises(ValueError, match="do not fit"):
        elastic.integrate(time[:4], activation, length)
    with pytest.raises(ValueError, match="increase"):
        elastic.integrate(time[::-1], activation, length)
    with pytest.raises(ValueError, match="finite"):
        elastic.integrate(time, activation, np.full_like(length, np.nan))
    with pytest.raises(ValueError, match="between 0 and 1"):
        elastic.equilibrium(1.1, length)
