import importlib
import multiprocessing
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from muscle_on_a_slider import on_a_slider

from edge.msk.activation import ActivationDynamics

SHARP, SMOOTH = ActivationDynamics(), ActivationDynamics(smoothing=10.0)
both = pytest.mark.parametrize("dynamics", [SHARP, SMOOTH], ids=["sharp", "smooth"])


def random_states() -> tuple[np.ndarray, np.ndarray]:
    excitation, activation = np.random.default_rng(0).uniform(0.01, 1.0, (2, 10_000))
    return excitation, activation


@pytest.mark.parametrize(("up", "down"), [(0.015, 0.050), (0.010, 0.040)])
def test_sharp_rate_equals_opensim(opensim: ModuleType, up: float, down: float) -> None:
    """MuscleFirstOrderActivationDynamicModel is Thelen's; Millard's has the same formula."""
    model = opensim.MuscleFirstOrderActivationDynamicModel(up, down, 0.01, "muscle")
    excitation, activation = random_states()
    theirs = [model.calcDerivative(a, u) for u, a in zip(excitation, activation, strict=True)]
    ours = ActivationDynamics(up, down).rate(excitation, activation)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13)


def test_millard_s_rate_equals_opensim(opensim: ModuleType) -> None:
    slider = on_a_slider(opensim, "Millard2012EquilibriumMuscle")
    slider.put(0.3, 0.0)
    excitation, activation = random_states()
    theirs = []
    for u, a in zip(excitation[:2000], activation[:2000], strict=True):
        slider.model.setControls(slider.state, opensim.Vector(1, float(u)))
        slider.muscle.setActivation(slider.state, float(a))
        slider.model.realizeDynamics(slider.state)
        theirs.append(slider.muscle.getActivationDerivative(slider.state))
    ours = ActivationDynamics(0.010, 0.040).rate(excitation[:2000], activation[:2000])
    np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13)


def opensim_smooth_rates(up: float, down: float, smoothing: float) -> list[float]:
    """da/dt of a DeGrooteFregly2016Muscle at the random states."""
    opensim = importlib.import_module("opensim")
    slider = on_a_slider(
        opensim,
        "DeGrooteFregly2016Muscle",
        ignore_tendon_compliance=True,
        activation_time_constant=up,
        deactivation_time_constant=down,
        activation_dynamics_smoothing=smoothing,
    )
    slider.put(0.3, 0.0)
    rates = []
    for u, a in zip(*random_states(), strict=True):
        slider.model.setControls(slider.state, opensim.Vector(1, float(u)))
        slider.muscle.setActivation(slider.state, float(a))
        slider.model.realizeAcceleration(slider.state)
        rates.append(slider.muscle.getStateVariableDerivativeValue(slider.state, "activation"))
    return rates


@pytest.mark.parametrize(("up", "down", "smoothing"), [(0.015, 0.060, 0.1), (0.015, 0.060, 10.0), (0.01, 0.04, 3.0)])
def test_smooth_rate_equals_opensim(opensim: ModuleType, up: float, down: float, smoothing: float) -> None:
    """Each in a process of its own: OpenSim 4.6 keeps the constants of the first muscle for all that follow."""
    del opensim
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        theirs = pool.apply(opensim_smooth_rates, (up, down, smoothing))
    ours = ActivationDynamics(up, down, smoothing).rate(*random_states())
    np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13)


def test_a_steep_tangent_is_the_sharp_change() -> None:
    excitation, activation = random_states()
    np.testing.assert_allclose(
        ActivationDynamics(smoothing=1e6).rate(excitation, activation), SHARP.rate(excitation, activation), atol=1e-3
    )


def test_constant_excitation_has_a_closed_form() -> None:
    """Upwards tau_a (0.5 + 1.5 a) da / (u - a) = dt: integrated by hand."""
    time = np.linspace(0.0, 0.1, 21)
    u, start = 0.8, 0.05
    a = SHARP.activation(time, np.full((21, 1), u), start=[start])[:, 0]
    passed = SHARP.activation_s * ((0.5 + 1.5 * u) * np.log((u - start) / (u - a)) - 1.5 * (a - start))
    np.testing.assert_allclose(passed, time, rtol=1e-4, atol=1e-7)


@both
def test_up_is_faster_than_down(dynamics: ActivationDynamics) -> None:
    time = np.linspace(0.0, 0.3, 301)
    up = dynamics.activation(time, np.ones((301, 1)), start=[0.0])[:, 0]
    down = dynamics.activation(time, np.zeros((301, 1)), start=[1.0])[:, 0]
    assert 0.005 < np.interp(0.5, up, time) < 0.03
    assert 0.02 < np.interp(-0.5, -down, time) < 0.08
    assert np.all(np.diff(up) >= -1e-9)
    assert np.all(np.diff(down) <= 1e-9)


@both
def test_excitation_of_an_activation_is_what_made_it(dynamics: ActivationDynamics) -> None:
    time = np.linspace(0.0, 1.0, 2001)
    excitation = 0.5 + 0.45 * np.sin(2.0 * np.pi * time[:, None] * [1.0, 2.0, 3.0] + [0.0, 1.0, 2.0])
    again = dynamics.excitation(time, dynamics.activation(time, excitation))
    np.testing.assert_allclose(again[1:-1], excitation[1:-1], atol=2e-3)


@both
def test_excitation_has_the_rate_of_the_activation(dynamics: ActivationDynamics) -> None:
    rng = np.random.default_rng(3)
    time = np.cumsum(rng.uniform(0.005, 0.02, 200))
    activation = rng.uniform(0.05, 1.0, (200, 4))
    excitation = dynamics.excitation(time, activation)
    rate = np.gradient(activation, time, axis=0, edge_order=2)
    np.testing.assert_allclose(dynamics.rate(excitation, activation), rate, rtol=1e-9, atol=1e-9)


def test_steady_excitation_stays() -> None:
    a = SHARP.activation([0.0, 1.0], [[0.3, 0.9], [0.3, 0.9]])
    np.testing.assert_allclose(a, [[0.3, 0.9], [0.3, 0.9]], atol=1e-9)
    np.testing.assert_allclose(SHARP.excitation([0.0, 1.0], a), a, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6), st.floats(0.0, 1.0), st.sampled_from([SHARP, SMOOTH]))
def test_activation_stays_between_0_and_1(excitation: list[float], start: float, dynamics: ActivationDynamics) -> None:
    time = 0.05 * np.arange(len(excitation))
    a = dynamics.activation(time, np.array(excitation)[:, None], start=[start])
    assert np.isfinite(a).all()
    assert min(*excitation, start) - 1e-6 <= a.min()
    assert a.max() <= max(*excitation, start) + 1e-6


def test_refusals() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        ActivationDynamics(activation_s=0.0)
    with pytest.raises(ValueError, match="must be positive"):
        ActivationDynamics(smoothing=np.nan)
    with pytest.raises(ValueError, match="do not fit"):
        SHARP.activation([0.0, 1.0], [[0.5], [0.5], [0.5]])
    with pytest.raises(ValueError, match="increase"):
        SHARP.activation([0.0, 0.0], [[0.5], [0.5]])
    with pytest.raises(ValueError, match="between 0 and 1"):
        SHARP.excitation([0.0, 1.0], [[0.5], [np.nan]])
    with pytest.raises(ValueError, match="start must hold"):
        SHARP.activation([0.0, 1.0], [[0.5], [0.5]], start=[0.1, 0.2])
