from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from muscle_on_a_slider import OPENSIM_CLASS, each, on_a_slider, random_muscles, random_paths

from edge.errors import ModelError
from edge.msk.curves import DEGROOTE_2016, FAMILIES, MILLARD_2013, THELEN_2003, Curves, curves_named

VELOCITY = np.linspace(-1.2, 1.2, 1001)
every = pytest.mark.parametrize("curves", FAMILIES.values(), ids=FAMILIES)


def points(low: float, high: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, 10_000)


def test_degroote_equals_opensim(opensim: ModuleType) -> None:
    muscle = opensim.DeGrooteFregly2016Muscle()
    tendon = lambda x: DEGROOTE_2016.tendon_force_length(x, np.float64(0.049))  # noqa: E731
    for theirs, ours, x in (
        (muscle.calcActiveForceLengthMultiplier, DEGROOTE_2016.active_force_length, points(0.2, 1.8, 0)),
        (muscle.calcPassiveForceMultiplier, DEGROOTE_2016.passive_force_length, points(0.2, 1.8, 1)),
        (muscle.calcForceVelocityMultiplier, DEGROOTE_2016.force_velocity, points(-1.2, 1.2, 2)),
        (muscle.calcTendonForceMultiplier, tendon, points(0.95, 1.08, 3)),
    ):
        np.testing.assert_allclose(ours(x), [theirs(v) for v in x], rtol=0, atol=2e-14)


@pytest.mark.parametrize("strain", [0.02, 0.049, 0.1])
def test_degroote_tendon_of_another_strain_equals_opensim(opensim: ModuleType, strain: float) -> None:
    slider = on_a_slider(opensim, "DeGrooteFregly2016Muscle", tendon_strain_at_one_norm_force=strain)
    x = 1.0 + strain * points(-0.5, 1.6, 4)
    theirs = [slider.muscle.calcTendonForceMultiplier(v) for v in x]
    np.testing.assert_allclose(DEGROOTE_2016.tendon_force_length(x, np.float64(strain)), theirs, rtol=0, atol=2e-14)


def test_millard_equals_opensim(opensim: ModuleType) -> None:
    active = opensim.ActiveForceLengthCurve()
    active.setMinValue(0.0)  # as static optimisation's rigid tendon and a damped fibre use it
    for curve, ours, x in (
        (active, MILLARD_2013.active_force_length, points(0.3, 2.0, 0)),
        (opensim.ForceVelocityCurve(), MILLARD_2013.force_velocity, points(-1.3, 1.3, 1)),
        (opensim.FiberForceLengthCurve(), MILLARD_2013.passive_force_length, points(0.5, 2.0, 2)),
    ):
        np.testing.assert_allclose(ours(x), [curve.calcValue(v) for v in x], rtol=0, atol=6e-8)


@pytest.mark.parametrize("strain", [0.02, 0.049, 0.1])
def test_millard_tendon_equals_opensim(opensim: ModuleType, strain: float) -> None:
    curve = opensim.TendonForceLengthCurve()
    curve.setStrainAtOneNormForce(strain)
    x = 1.0 + strain * points(-0.5, 1.6, 3)
    theirs = [curve.calcValue(v) for v in x]
    np.testing.assert_allclose(MILLARD_2013.tendon_force_length(x, np.float64(strain)), theirs, rtol=0, atol=1e-8)


def test_thelen_equals_opensim(opensim: ModuleType) -> None:
    """OpenSim shows the curves of a Thelen2003Muscle only through a muscle's state."""
    muscles = random_muscles(40, seed=0)
    paths = random_paths(muscles, 250, seed=1, tendon_strain=0.06)
    activation = np.random.default_rng(2).uniform(0.01, 1.0, paths.length_m.shape)
    theirs = np.empty((5, *paths.length_m.shape))
    for m, properties in enumerate(each(muscles)):
        slider = on_a_slider(opensim, OPENSIM_CLASS["thelen2003"], **properties)
        muscle, state = slider.muscle, slider.state
        for i in range(len(activation)):
            slider.put(paths.length_m[i, m], 0.0)
            muscle.setActivation(state, float(activation[i, m]))
            muscle.setFiberLength(state, float(paths.fiber_length[i, m] * muscles.optimal_length_m[m]))
            slider.model.realizeDynamics(state)
            theirs[:, i, m] = (
                muscle.getActiveForceLengthMultiplier(state),
                muscle.getPassiveForceMultiplier(state),
                muscle.getTendonForce(state) / muscles.max_force_n[m],
                muscle.getForceVelocityMultiplier(state),
                muscle.getNormalizedFiberVelocity(state),
            )
    active, passive, tendon, velocity_force, velocity = theirs
    ours = THELEN_2003
    np.testing.assert_allclose(ours.active_force_length(paths.fiber_length), active, rtol=0, atol=1e-14)
    np.testing.assert_allclose(ours.passive_force_length(paths.fiber_length), passive, rtol=0, atol=1e-14)
    np.testing.assert_allclose(
        ours.tendon_force_length(paths.tendon_length, np.float64(0.04)), tendon, rtol=0, atol=1e-13
    )
    moderate = np.abs(velocity) < 10.0
    assert moderate.sum() > 8000
    assert (np.abs(velocity[moderate]) > 1.0).sum() > 1000
    assert ((velocity[moderate] > -1.0) & (velocity[moderate] < 0.0)).sum() > 1000
    found = ours.force_velocity(velocity / ours.speed(activation))
    np.testing.assert_allclose(found[moderate], velocity_force[moderate], rtol=1e-12, atol=1e-12)


@every
def test_anchors(curves: Curves) -> None:
    """Isometric force 1 at the optimal length; no force at the fastest shortening; a tendon's force of 1 at its strain."""
    at = lambda curve, x: float(curve(np.array([x]))[0])  # noqa: E731
    assert at(curves.active_force_length, 1.0) == pytest.approx(1.0, abs=1e-9)
    assert at(curves.force_velocity, 0.0) == pytest.approx(1.0, abs=1e-9)
    assert at(curves.force_velocity, -1.0) == pytest.approx(0.0, abs=1e-9)
    assert 1.3 < at(curves.force_velocity, 1.0) < 1.8
    assert at(curves.passive_force_length, 1.0) == pytest.approx(0.0, abs=0.02)
    assert at(curves.passive_force_length, 1.7 if curves is MILLARD_2013 else 1.6) == pytest.approx(1.0, abs=1e-9)
    for strain in (0.01, curves.tendon_strain, 0.1):
        length = 1.0 + strain * np.array([0.0, 1.0])
        np.testing.assert_allclose(curves.tendon_force_length(length, np.float64(strain)), [0.0, 1.0], atol=1e-12)


@every
def test_monotone_where_physiology_is(curves: Curves) -> None:
    length = np.linspace(0.2, 1.8, 1001)
    assert np.all(np.diff(curves.force_velocity(VELOCITY)) >= -1e-15)
    assert np.all(np.diff(curves.passive_force_length(length)) >= -1e-15)
    assert np.all(curves.active_force_length(length) >= 0.0)
    assert np.all(np.diff(curves.tendon_force_length(np.linspace(1.0, 1.1, 1001), np.float64(0.05))) > 0.0)


@every
def test_curves_have_no_steps(curves: Curves) -> None:
    fine = np.linspace(-2.0, 1.8, 380_001)
    for curve in (curves.active_force_length, curves.force_velocity, curves.passive_force_length):
        assert np.abs(np.diff(curve(fine))).max() < 3e-3
    assert np.abs(np.diff(curves.tendon_force_length(fine[fine < 1.1], np.float64(0.05)))).max() < 3e-3


@every
@given(value=st.floats(-100, 100))
def test_finite_everywhere(curves: Curves, value: float) -> None:
    for curve in (curves.active_force_length, curves.force_velocity, curves.passive_force_length):
        assert np.isfinite(curve(np.array([value]))).all()
    assert np.isfinite(curves.tendon_force_length(np.array([value]), np.array([0.049]))).all()


def test_tendons_of_several_strains_at_once() -> None:
    strain = np.array([0.02, 0.05, 0.1])
    for curves in FAMILIES.values():
        np.testing.assert_allclose(curves.tendon_force_length(1.0 + strain, strain), 1.0, atol=1e-12)


def test_only_thelen_s_velocity_depends_on_the_activation() -> None:
    activation = np.array([0.0, 0.5, 1.0])
    assert THELEN_2003.speed(activation).tolist() == [0.25, 0.625, 1.0]
    for curves in (DEGROOTE_2016, MILLARD_2013):
        assert curves.speed(activation).tolist() == [1.0, 1.0, 1.0]


def test_families_by_name() -> None:
    for name, curves in FAMILIES.items():
        assert curves_named(name) is curves
        assert curves.name == name
    with pytest.raises(ModelError, match="`hill1938`: choose one of degroote2016, millard2013, thelen2003"):
        curves_named("hill1938")
