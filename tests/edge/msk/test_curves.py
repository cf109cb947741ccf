from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.msk.curves import DEGROOTE_2016, MILLARD_2013, Curves

LENGTH = np.linspace(0.2, 1.8, 1001)
VELOCITY = np.linspace(-1.2, 1.2, 1001)
both = pytest.mark.parametrize("curves", [DEGROOTE_2016, MILLARD_2013], ids=lambda c: c.name)


def test_degroote_equals_opensim(opensim: ModuleType) -> None:
    muscle = opensim.DeGrooteFregly2016Muscle()
    muscle.set_passive_fiber_strain_at_one_norm_force(0.6)
    active = [muscle.calcActiveForceLengthMultiplier(x) for x in LENGTH]
    passive = [muscle.calcPassiveForceMultiplier(x) for x in LENGTH]
    velocity = [muscle.calcForceVelocityMultiplier(x) for x in VELOCITY]
    np.testing.assert_allclose(DEGROOTE_2016.active_force_length(LENGTH), active, rtol=0, atol=1e-12)
    np.testing.assert_allclose(DEGROOTE_2016.passive_force_length(LENGTH), passive, rtol=0, atol=1e-12)
    np.testing.assert_allclose(DEGROOTE_2016.force_velocity(VELOCITY), velocity, rtol=0, atol=1e-12)


def test_millard_equals_opensim(opensim: ModuleType) -> None:
    active = opensim.ActiveForceLengthCurve()
    active.setMinValue(0.0)  # as static optimisation's rigid tendon uses it
    for curve, ours, x in (
        (active, MILLARD_2013.active_force_length, np.linspace(0.3, 2.0, 1701)),
        (opensim.ForceVelocityCurve(), MILLARD_2013.force_velocity, np.linspace(-1.3, 1.3, 1301)),
        (opensim.FiberForceLengthCurve(), MILLARD_2013.passive_force_length, np.linspace(0.5, 2.0, 1501)),
    ):
        np.testing.assert_allclose(ours(x), [curve.calcValue(v) for v in x], rtol=0, atol=1e-6)


@both
def test_anchors(curves: Curves) -> None:
    """Isometric force 1 at the optimal length, none far from it; no force at the fastest shortening."""
    at = lambda curve, x: float(curve(np.array([x]))[0])  # noqa: E731
    assert at(curves.active_force_length, 1.0) == pytest.approx(1.0, abs=0.02)
    assert at(curves.active_force_length, 0.3) == pytest.approx(0.0, abs=0.03)
    assert at(curves.active_force_length, 1.9) == pytest.approx(0.0, abs=0.05)
    assert at(curves.force_velocity, 0.0) == pytest.approx(1.0, abs=0.01)
    assert at(curves.force_velocity, -1.0) == pytest.approx(0.0, abs=0.02)
    assert 1.3 < at(curves.force_velocity, 1.0) < 1.8
    assert at(curves.passive_force_length, 1.0) == pytest.approx(0.0, abs=0.02)
    assert at(curves.passive_force_length, 1.6 if curves is DEGROOTE_2016 else 1.7) == pytest.approx(1.0, abs=1e-6)


@both
def test_monotone_where_physiology_is(curves: Curves) -> None:
    assert np.all(np.diff(curves.force_velocity(VELOCITY)) >= -1e-15)
    assert np.all(np.diff(curves.passive_force_length(LENGTH)) >= -1e-15)
    assert np.all(curves.active_force_length(LENGTH) >= 0.0)


@both
@given(value=st.floats(-100, 100))
def test_finite_everywhere(curves: Curves, value: float) -> None:
    for curve in (curves.active_force_length, curves.force_velocity, curves.passive_force_length):
        assert np.isfinite(curve(np.array([value]))).all()
