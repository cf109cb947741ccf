"""Elastic tendons against OpenSim's own muscles: ten thousand random states of each, and the course of a movement."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from muscle_on_a_slider import OPENSIM_CLASS, Paths, Slider, each, on_a_slider, random_muscles, random_paths

from edge.msk.activation import ActivationDynamics
from edge.msk.elastic_tendon import ElasticMuscles, ElasticState
from edge.msk.hill import HillMuscles


def random_states(curves: str, seed: int, states: int) -> tuple[HillMuscles, Paths, np.ndarray]:
    muscles = random_muscles(40, seed=seed, curves=curves)
    paths = random_paths(muscles, states // 40, seed=seed + 1, tendon_strain=0.05)
    return muscles, paths, np.random.default_rng(seed + 2).uniform(0.01, 1.0, paths.length_m.shape)


def set_fibre(slider: Slider, muscles: HillMuscles, m: int, fiber_length: float, tendon_force_n: float) -> None:
    """The state of an OpenSim muscle: the tendon force of De Groote's, the fibre length of the others."""
    if hasattr(slider.muscle, "setNormalizedTendonForce"):
        slider.muscle.setNormalizedTendonForce(slider.state, float(tendon_force_n / muscles.max_force_n[m]))
    else:
        slider.muscle.setFiberLength(slider.state, float(fiber_length * muscles.optimal_length_m[m]))


@pytest.mark.parametrize(
    ("curves", "velocity_tolerance", "force_tolerance"),
    [("degroote2016", 2e-10, 1e-13), ("millard2013", 4e-7, 1e-8), ("thelen2003", 1e-10, 1e-12)],
)
def test_fibre_velocity_and_tendon_force_at_random_states(
    opensim: ModuleType, curves: str, velocity_tolerance: float, force_tolerance: float
) -> None:
    """OpenSim's right-hand side at fibres that move at a known velocity: ours puts them into balance."""
    muscles, paths, activation = random_states(curves, seed=10, states=12_000)
    elastic = ElasticMuscles.of(muscles)
    ours = elastic.equilibrium(activation, paths.length_m, 0.9 * paths.lengthening_mps)
    velocity, force = np.empty((2, *activation.shape))
    for m, properties in enumerate(each(muscles)):
        slider = on_a_slider(opensim, OPENSIM_CLASS[curves], **properties)
        for i in range(len(activation)):
            slider.put(paths.length_m[i, m], 0.0)
            slider.muscle.setActivation(slider.state, float(activation[i, m]))
            set_fibre(slider, muscles, m, ours.fiber_length[i, m], ours.tendon_force_n[i, m])
            slider.model.realizeDynamics(slider.state)
            velocity[i, m] = slider.muscle.getFiberVelocity(slider.state)
            force[i, m] = slider.muscle.getTendonForce(slider.state)
    velocity /= muscles.max_velocity * muscles.optimal_length_m
    # A fibre too fast to pull leaves its tendon slack, where no velocity balances it.
    pulls = ours.tendon_force_n > 1e-6 * muscles.max_force_n
    assert pulls.sum() > 10_000
    again = elastic.state(activation, paths.length_m, ours.fiber_length)
    for name, value in (("at a known velocity", ours), ("found from the length", again)):
        error = np.abs(value.fiber_velocity - velocity)[pulls].max()
        print(f"{curves} {name}: fibre velocity {error:.1e} v_max")
        assert error < velocity_tolerance
    error = (np.abs(ours.tendon_force_n - force) / muscles.max_force_n).max()
    print(f"{curves}: tendon force {error:.1e} F_o")
    assert error < force_tolerance


@pytest.mark.parametrize(
    ("curves", "tolerance"), [("degroote2016", 2e-10), ("millard2013", 4e-8), ("thelen2003", 2e-8)]
)
def test_equilibrium_at_random_states(opensim: ModuleType, curves: str, tolerance: float) -> None:
    """OpenSim stops at 1e-10 (De Groote) and 1e-8 of the maximal force. Only De Groote's has one for a moving muscle."""
    muscles, paths, activation = random_states(curves, seed=20, states=10_000)
    lengthening = 0.5 * paths.lengthening_mps if curves == "degroote2016" else np.zeros_like(paths.length_m)
    ours = ElasticMuscles.of(muscles).equilibrium(activation, paths.length_m, lengthening)
    fiber, force = np.empty((2, *activation.shape))
    for m, properties in enumerate(each(muscles)):
        slider = on_a_slider(opensim, OPENSIM_CLASS[curves], **properties)
        for i in range(len(activation)):
            slider.put(paths.length_m[i, m], lengthening[i, m])
            slider.muscle.setActivation(slider.state, float(activation[i, m]))
            slider.muscle.computeInitialFiberEquilibrium(slider.state)
            slider.model.realizeDynamics(slider.state)
            fiber[i, m] = slider.muscle.getFiberLength(slider.state)
            force[i, m] = slider.muscle.getTendonForce(slider.state)
    errors = (
        np.abs(ours.fiber_length - fiber / muscles.optimal_length_m).max(),
        (np.abs(ours.tendon_force_n - force) / muscles.max_force_n).max(),
    )
    print(f"{curves} equilibrium: fibre {errors[0]:.1e} l_o, force {errors[1]:.1e} F_o")
    assert max(errors) < tolerance


MEAN, SWING, EXCITATION_RATE = 0.45, 0.35, 2.0 * np.pi * 3.0
LENGTH_RATE = 2.0 * np.pi * 1.5
DYNAMICS = {
    "degroote2016": ActivationDynamics(0.015, 0.060, smoothing=0.1),
    "millard2013": ActivationDynamics(0.010, 0.040),
    "thelen2003": ActivationDynamics(0.015, 0.050),
}


@pytest.mark.parametrize("curves", OPENSIM_CLASS)
def test_course_of_a_movement(opensim: ModuleType, curves: str) -> None:
    """Excitation to activation to fibre to force, against OpenSim's variable-step integration of the same muscle."""
    muscles = random_muscles(3, seed=30, curves=curves)
    time = np.linspace(0.0, 0.4, 801)
    middle = 1.01 * muscles.slack_length_m + muscles.optimal_length_m
    amplitude = 0.25 * muscles.optimal_length_m
    length = middle + amplitude * np.sin(LENGTH_RATE * time)[:, None]
    excitation = np.repeat((MEAN + SWING * np.sin(EXCITATION_RATE * time + 1.0))[:, None], 3, axis=1)
    activation = DYNAMICS[curves].activation(time, excitation)
    ours = ElasticMuscles.of(muscles).integrate(time, activation, length, tolerance=1e-7)
    shown = slice(0, None, 40)
    for m, properties in enumerate(each(muscles)):
        path = opensim.Sine(float(amplitude[m]), LENGTH_RATE, 0.0, float(middle[m]))
        theirs = _integrated(opensim, curves, properties, path, time[shown], activation[0, m], ours, muscles, m)
        errors = np.abs(
            theirs
            - np.stack(
                [
                    activation[shown, m],
                    ours.fiber_length[shown, m] * muscles.optimal_length_m[m],
                    ours.tendon_force_n[shown, m],
                ],
                axis=1,
            )
        ).max(axis=0) / [1.0, muscles.optimal_length_m[m], muscles.max_force_n[m]]
        print(f"{curves} course: activation {errors[0]:.1e}, fibre {errors[1]:.1e} l_o, force {errors[2]:.1e} F_o")
        # What is left is the excitation as straight lines of half a millisecond.
        assert errors.max() < 1e-5
        assert np.ptp(theirs[:, 2]) > 0.3 * muscles.max_force_n[m]


def _integrated(
    opensim: ModuleType,
    curves: str,
    properties: dict[str, float],
    path: Any,
    time: np.ndarray,
    activation: float,
    start: ElasticState,
    muscles: HillMuscles,
    m: int,
) -> np.ndarray:
    """Activation, fibre length (m) and tendon force (N) of OpenSim's muscle at `time`."""
    slider = on_a_slider(
        opensim,
        OPENSIM_CLASS[curves],
        length_m=path,
        excitation=opensim.Sine(SWING, EXCITATION_RATE, 1.0, MEAN),
        **properties,
    )
    slider.muscle.setActivation(slider.state, float(activation))
    set_fibre(slider, muscles, m, start.fiber_length[0, m], start.tendon_force_n[0, m])
    manager = opensim.Manager(slider.model)
    manager.setIntegratorAccuracy(1e-9)
    manager.initialize(slider.state)
    course = []
    for t in time:
        state = manager.integrate(float(t)) if t > 0.0 else slider.state
        slider.model.realizeDynamics(state)
        course.append(
            [
                slider.muscle.getActivation(state),
                slider.muscle.getFiberLength(state),
                slider.muscle.getTendonForce(state),
            ]
        )
    return np.array(course)
