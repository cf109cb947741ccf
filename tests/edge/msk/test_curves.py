from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from muscle_on_a_slider import (
    OPENSIM_CLASS,
    each,
    on_a_slider,
    opensim_properties,
    random_muscles,
    random_parameters,
    random_paths,
)

from edge.errors import ModelError
from edge.msk.curves import (
    DEGROOTE_2016,
    FAMILIES,
    MILLARD_2013,
    THELEN_2003,
    CurveParameters,
    Curves,
    curves_named,
    curves_of,
    read_curve_parameters,
)
from edge.msk.curves.parameters import FAMILY_SHAPES
from edge.msk.json_reader import Reader

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


@pytest.mark.parametrize("own", ["default", "random"])
def test_thelen_equals_opensim(opensim: ModuleType, own: str) -> None:
    """OpenSim shows the curves of a Thelen2003Muscle only through a muscle's state."""
    parameters = [CurveParameters("thelen2003")] * 40 if own == "default" else random_parameters("thelen2003", 40, 3)
    muscles = random_muscles(40, seed=0, parameters=parameters)
    paths = random_paths(muscles, 250, seed=1, tendon_strain=0.06)
    activation = np.random.default_rng(2).uniform(0.01, 1.0, paths.length_m.shape)
    theirs = np.empty((5, *paths.length_m.shape))
    for m, properties in enumerate(each(muscles)):
        curves = opensim_properties(opensim, parameters[m])
        slider = on_a_slider(opensim, OPENSIM_CLASS["thelen2003"], **properties, **curves)
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
    ours = muscles.curves
    np.testing.assert_allclose(ours.active_force_length(paths.fiber_length), active, rtol=0, atol=1e-14)
    np.testing.assert_allclose(ours.passive_force_length(paths.fiber_length), passive, rtol=1e-13, atol=1e-14)
    found = ours.tendon_force_length(paths.tendon_length, np.asarray(ours.tendon_strain))
    np.testing.assert_allclose(found, tendon, rtol=1e-12, atol=1e-13)
    moderate = np.abs(velocity) < 10.0
    assert moderate.sum() > 8000
    assert (np.abs(velocity[moderate]) > 1.0).sum() > 1000
    assert ((velocity[moderate] > -1.0) & (velocity[moderate] < 0.0)).sum() > 1000
    found = ours.force_velocity(velocity / ours.speed(activation))
    np.testing.assert_allclose(found[moderate], velocity_force[moderate], rtol=1e-12, atol=1e-12)


def test_degroote_of_other_parameters_equals_opensim(opensim: ModuleType) -> None:
    for i, parameters in enumerate(random_parameters("degroote2016", 10, seed=5)):
        slider = on_a_slider(opensim, "DeGrooteFregly2016Muscle", **opensim_properties(opensim, parameters))
        ours, x = curves_of([parameters]), points(0.2, 1.8, i)[:1000]
        for theirs, curve in (
            (slider.muscle.calcActiveForceLengthMultiplier, ours.active_force_length),
            (slider.muscle.calcPassiveForceMultiplier, ours.passive_force_length),
        ):
            np.testing.assert_allclose(curve(x), [theirs(v) for v in x], rtol=1e-12, atol=2e-14)


def test_millard_of_other_parameters_equals_opensim(opensim: ModuleType) -> None:
    for i, parameters in enumerate(random_parameters("millard2013", 20, seed=6)):
        slopes = {"concentric_slope": 0.005 * i, "eccentric_slope": 0.005 * i, "active_min_force": 0.01 * (i % 3)}
        own = CurveParameters("millard2013", {**parameters.values, **slopes})
        assert read_curve_parameters(Reader("m", own.to_dict())) == own
        theirs, ours = opensim_properties(opensim, own), curves_of([own])
        for name, curve, x in (
            ("ActiveForceLengthCurve", ours.active_force_length, points(0.1, 2.2, i)),
            ("ForceVelocityCurve", ours.force_velocity, points(-1.3, 1.3, i)),
            ("FiberForceLengthCurve", ours.passive_force_length, points(0.5, 2.0, i)),
        ):
            values = [theirs[name].calcValue(v) for v in x[:1000]]
            np.testing.assert_allclose(curve(x[:1000]), values, rtol=1e-12, atol=2e-7, err_msg=f"{name} {own}")


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


def test_several_muscles_are_each_what_they_are_alone() -> None:
    muscles = [p for family in FAMILIES for p in (CurveParameters(family), *random_parameters(family, 3, seed=7))]
    order = np.random.default_rng(8).permutation(len(muscles))
    muscles = [muscles[i] for i in order]
    together, alone = curves_of(muscles), [curves_of([m]) for m in muscles]
    x = np.random.default_rng(9).uniform(-0.9, 1.7, (50, 3, len(muscles)))
    strain = np.broadcast_to(together.tendon_strain, (len(muscles),))
    for i, one in enumerate(alone):
        for name in ("active_force_length", "force_velocity", "passive_force_length"):
            found = getattr(together, name)(x)[..., i]
            assert found.tobytes() == getattr(one, name)(x[..., i]).tobytes(), (name, muscles[i])
        assert one.tendon_strain == strain[i] == muscles[i].values["tendon_strain"]
        tendon = together.tendon_force_length(1.0 + 0.05 * x, strain)[..., i]
        assert tendon.tobytes() == one.tendon_force_length(1.0 + 0.05 * x[..., i], strain[i]).tobytes()
        np.testing.assert_array_equal(together.speed(np.full(len(muscles), 0.4))[i], one.speed(np.array(0.4)))
    assert together.active_force_length(x[0, 0]).shape == (len(muscles),)


def test_muscles_of_one_set_share_its_curves() -> None:
    for name, family in FAMILIES.items():
        assert curves_of([CurveParameters(name)] * 3) is family
        assert curves_of([CurveParameters(name, CurveParameters(name).values)]) is family
        curves = curves_of(random_parameters(name, 1, seed=1) * 5)
        assert curves.active_force_length(np.ones((2, 3))).shape == (2, 3)


@pytest.mark.parametrize("name", FAMILIES)
@given(data=st.data())
def test_whatever_is_accepted_makes_curves(name: str, data: st.DataObject) -> None:
    """Parameters anywhere in the limits are refused, or the forces are finite and grow with velocity and stretch."""
    limits = FAMILY_SHAPES[name].limits
    values = data.draw(st.fixed_dictionaries({}, optional={k: st.floats(*ends) for k, ends in limits.items()}))
    try:
        parameters = read_curve_parameters(Reader("m", CurveParameters(name, values).to_dict()))
    except ModelError:
        assume(False)
    curves, x = curves_of([parameters]), np.linspace(-2.0, 3.0, 2001)
    active = curves.active_force_length(x)
    assert np.all((active >= -1e-12) & (active <= 1.2))
    for grows in (curves.force_velocity(x), curves.passive_force_length(x)):
        assert np.isfinite(grows).all()
        assert np.all(np.diff(grows) >= -1e-12 * np.abs(grows[1:]) - 1e-12)
    assert float(curves.active_force_length(np.ones(1))[0]) == pytest.approx(1.0, abs=2e-6)
    assert float(curves.force_velocity(np.zeros(1))[0]) == pytest.approx(1.0, abs=2e-6)
    one = 1.0 + np.array([parameters.values["passive_strain"]])
    assert float(curves.passive_force_length(one)[0]) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(
    ("family", "entry", "message"),
    [
        ("thelen2003", {"KshapeActive": 0.5}, "`KshapeActive` is no parameter of thelen2003, which has active_"),
        ("thelen2003", {"active_width": 0.0}, "`active_width` must be at least 0.001, found 0"),
        ("thelen2003", {"passive_strain": float("nan")}, "`passive_strain` must be a finite number"),
        ("millard2013", {"active_min_length": 0.8}, "`active_transition_length` must be above active_min_"),
        ("millard2013", {"active_slope": 5.0}, "`active_slope` does not fit"),
        ("millard2013", {"passive_slack_strain": 0.7}, "`passive_strain` must be above passive_slack_strain"),
        ("millard2013", {"passive_strain": 5.0}, "`passive_low_stiffness` must be below 0.2, found 0.2"),
        ("millard2013", {"eccentric_slope": 0.15}, "`eccentric_slope` must be below 0.15, found 0.15"),
        ("millard2013", {"max_lengthening_force": 9.0}, "`max_lengthening_force` must be below 5.5, found 9"),
    ],
)
def test_a_wrong_entry_is_named(family: str, entry: dict[str, float], message: str) -> None:
    with pytest.raises(ModelError, match=f"soleus: curves: {message}"):
        read_curve_parameters(Reader("soleus: curves", CurveParameters(family).to_dict() | entry))


def test_an_entry_has_a_family_and_all_its_parameters() -> None:
    entry = CurveParameters("thelen2003").to_dict()
    assert entry == {"family": "thelen2003", **CurveParameters("thelen2003").values}
    for key in entry:
        with pytest.raises(ModelError, match=f"soleus: curves: `{key}` is missing"):
            read_curve_parameters(Reader("soleus: curves", {k: v for k, v in entry.items() if k != key}))
    with pytest.raises(
        ModelError, match="`family` must be one of degroote2016, millard2013, thelen2003, found 'hill1938'"
    ):
        read_curve_parameters(Reader("soleus: curves", entry | {"family": "hill1938"}))
    with pytest.raises(ModelError, match="there are no muscle curves `hill1938`"):
        CurveParameters("hill1938")
