from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_chains import planar_chain

from edge.errors import ModelError
from edge.msk.chain import joint_centers
from edge.msk.dynamics import Kinematics, inverse_dynamics
from edge.msk.growth import InertiaTerms, LengthShares
from edge.msk.hill import HillMuscles
from edge.msk.length_functions import monomial_exponents
from edge.msk.loads import with_load
from edge.msk.model import Model, load_model, model_from_dict
from edge.msk.scaling import scale_segments, scale_uniformly
from edge.msk.segment_lengths import reference_lengths_m, stature_m

PARTS = ("pelvis", "thigh", "shank", "foot")
RNG = np.random.default_rng(0)


def with_growth(model: Model) -> Model:
    """The model with shares that add up to each muscle's length at zero angles, and terms that do to the moments of inertia."""

    at_zero = model.geometry.evaluate(np.zeros(3))[0]

    def shares(muscle_index: int) -> LengthShares:
        terms = len(monomial_exponents(len(model.muscles[muscle_index].length.angles), 3))
        table = RNG.normal(scale=0.005, size=(len(PARTS), 3, terms))
        table[1, 1, 0] += at_zero[muscle_index] - table[..., 0].sum()
        return LengthShares.of_array(3, PARTS, table)

    return replace(
        model,
        muscles=tuple(replace(m, shares=shares(i)) for i, m in enumerate(model.muscles)),
        segments=tuple(
            replace(s, inertia_terms=InertiaTerms(*(s.inertia_kg_m2 * np.array([0.1, 0.6, 0.1, 0.1, 0.1])).tolist()))
            for s in model.segments
        ),
    )


def without_growth(model: Model) -> Model:
    return replace(
        model,
        muscles=tuple(replace(m, shares=None) for m in model.muscles),
        segments=tuple(replace(s, inertia_terms=None) for s in model.segments),
    )


LEG = without_growth(load_model("leg9"))
GROWN = with_growth(LEG)
Q = LEG.lower_rad + RNG.random((30, 3)) * (LEG.upper_rad - LEG.lower_rad)
ZERO = np.zeros(30)
STILL = Kinematics(Q, 0 * Q, 0 * Q, ZERO, ZERO, ZERO, np.zeros((30, 2)))
FACTORS = {"pelvis": (1.1, 0.9, 1.05), "thigh": (1.2, 0.95), "shank": 1.06, "foot": (0.9, 1.1, 1.0)}

size = st.floats(0.8, 1.25)
factors_of_a_leg = st.fixed_dictionaries({part: st.tuples(size, size, size) for part in PARTS})


@pytest.mark.parametrize("model", [LEG, GROWN], ids=["without shares", "with shares"])
class TestUniform:
    def test_nothing_given_changes_nothing(self, model: Model) -> None:
        assert scale_uniformly(model) is model
        assert scale_uniformly(model, mass_kg=model.mass_kg, leg_length_m=model.leg_length_m) is model
        assert scale_segments(model, {"thigh": 1.0}) is model

    def test_lengths_and_moment_arms_grow_with_the_leg(self, model: Model) -> None:
        big = scale_uniformly(model, leg_length_m=1.1 * model.leg_length_m)
        for ours, theirs in zip(big.geometry.evaluate(Q), model.geometry.evaluate(Q), strict=True):
            np.testing.assert_allclose(ours, 1.1 * theirs, atol=1e-11)
        np.testing.assert_allclose(joint_centers(big, Q, ZERO), 1.1 * joint_centers(model, Q, ZERO), atol=1e-12)
        assert big.leg_length_m == pytest.approx(1.1 * model.leg_length_m)
        assert big.base.links[0].offset_m == pytest.approx([1.1 * v for v in model.base.links[0].offset_m])

    def test_fibres_keep_their_place_on_the_force_curves(self, model: Model) -> None:
        big = scale_uniformly(model, mass_kg=100.0, leg_length_m=1.0)
        rate = RNG.normal(size=(30, 3))
        ours, theirs = HillMuscles.of(big).evaluate(Q, rate), HillMuscles.of(model).evaluate(Q, rate)
        np.testing.assert_allclose(ours.fiber_length, theirs.fiber_length, atol=1e-12)
        np.testing.assert_allclose(ours.optimal_force_n, theirs.optimal_force_n, rtol=1e-9)

    def test_torques_scale_with_mass_gravity_and_leg_length(self, model: Model) -> None:
        person = scale_uniformly(model, mass_kg=95.0, leg_length_m=1.0)
        np.testing.assert_allclose(
            inverse_dynamics(person, STILL) / person.torque_scale_nm,
            inverse_dynamics(model, STILL) / model.torque_scale_nm,
            atol=1e-12,
        )

    def test_inertia_scales_with_mass_and_length_squared(self, model: Model) -> None:
        person = scale_uniformly(model, mass_kg=2 * model.mass_kg, leg_length_m=3 * model.leg_length_m)
        for ours, theirs in zip(person.segments, model.segments, strict=True):
            assert ours.mass_kg == pytest.approx(2 * theirs.mass_kg)
            assert ours.inertia_kg_m2 == pytest.approx(18 * theirs.inertia_kg_m2)


def test_height_gives_the_leg_length_unless_that_is_given() -> None:
    assert scale_uniformly(LEG, height_m=1.75).leg_length_m == pytest.approx(0.491 * 1.75)  # Winter 2009
    assert scale_uniformly(LEG, height_m=1.75, leg_length_m=0.9).leg_length_m == pytest.approx(0.9)


def test_a_knee_model_is_scaled_as_the_leg_that_it_is_part_of() -> None:
    knee, leg = load_model("knee13"), load_model("leg10")  # of the same OpenSim model
    for size in ({"height_m": 1.75}, {"leg_length_m": 0.9}):
        one, whole = scale_uniformly(knee, **size, mass_kg=60.0), scale_uniformly(leg, **size, mass_kg=60.0)
        factor = whole.leg_length_m / leg.leg_length_m
        assert one.leg_length_m == pytest.approx(factor * knee.leg_length_m)
        ours, generic = ({m.name: m for m in model.muscles} for model in (one, knee))
        for name in ours:
            assert ours[name].optimal_fiber_length_m == pytest.approx(factor * generic[name].optimal_fiber_length_m)
        assert one.segments[0].mass_kg == pytest.approx(knee.segments[0].mass_kg * 60.0 / knee.mass_kg)


@pytest.mark.parametrize(("name", "part", "per_height"), [("elbow6", "upper_arm", 0.186), ("wrist5", "hand", 0.108)])
def test_an_arm_is_scaled_by_height_in_proportion(name: str, part: str, per_height: float) -> None:
    model = load_model(name)
    person = scale_uniformly(model, height_m=1.80)
    assert stature_m(person) == pytest.approx(1.80)
    assert reference_lengths_m(person)[part] == pytest.approx(per_height * 1.80)
    assert person.leg_length_m / model.leg_length_m == pytest.approx(1.80 / stature_m(model))
    with pytest.raises(ModelError, match=f"'{name}' has no leg from hip to ankle, so leg_length_m .*: give height_m"):
        scale_uniformly(model, leg_length_m=0.9)


def test_a_man_s_mass_leaves_his_arm_as_heavy_as_an_arm_is() -> None:
    for name, most_nm in (("elbow6", 3.5), ("wrist5", 0.5)):
        model = scale_uniformly(load_model(name), mass_kg=80.0)
        held = Kinematics.on_fixed_base(np.array([[np.pi / 2]]))
        assert 0.5 * most_nm < abs(inverse_dynamics(model, held)[0, 0]) < most_nm


def test_a_chain_of_unknown_parts_has_no_height() -> None:
    chain = planar_chain(2, 0)
    with pytest.raises(ModelError, match="no length of a leg or an arm to compare with a person's: give factors"):
        scale_uniformly(chain, height_m=1.75)
    assert scale_uniformly(chain, mass_kg=2 * chain.mass_kg).segments[0].mass_kg == pytest.approx(
        2 * chain.segments[0].mass_kg
    )


def test_a_loaded_limb_is_scaled_with_its_load() -> None:
    """As the limb and the load that are scaled first, by factors that are or are not the same along all axes."""
    at, q = np.array([0.03, -0.30]), np.array([[0.4, -0.6, 0.1]])
    moving = Kinematics(q, 0 * q, 1.0 + 0 * q, np.zeros(1), np.zeros(1), np.zeros(1), np.zeros((1, 2)))
    for factors in (dict.fromkeys(PARTS, 1.2), {"shank": (1.0, 1.2, 1.0)}):
        x, y = at * (1.2 if "thigh" in factors else np.array([1.0, 1.2]))
        scaled_then_loaded = with_load(scale_segments(GROWN, factors), "shank", 20.0, (float(x), float(y)))
        loaded_then_scaled = scale_segments(with_load(GROWN, "shank", 20.0, (0.03, -0.30)), factors)
        assert loaded_then_scaled.segments[1].inertia_kg_m2 == pytest.approx(
            scaled_then_loaded.segments[1].inertia_kg_m2
        )
        np.testing.assert_allclose(
            inverse_dynamics(loaded_then_scaled, moving), inverse_dynamics(scaled_then_loaded, moving), rtol=1e-9
        )


@pytest.mark.parametrize("model", [LEG, GROWN], ids=["without shares", "with shares"])
def test_a_scaled_model_is_a_model_file(model: Model) -> None:
    person = scale_segments(model, FACTORS, mass_kg=50.0)
    assert model_from_dict(person.to_dict(), "here") == person


@pytest.mark.parametrize(
    "arguments", [{"mass_kg": 0.0}, {"leg_length_m": -1.0}, {"height_m": float("nan")}, {"mass_kg": float("inf")}]
)
def test_impossible_people(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        scale_uniformly(LEG, **arguments)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf"), (1.0, 0.0), (), (1.0,) * 4, [[1.0]], "1 1"])
def test_impossible_factors(factor: object) -> None:
    with pytest.raises(ValueError, match=r"'thigh'|convert"):
        scale_segments(LEG, {"thigh": factor})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="mass must be positive"):
        scale_segments(LEG, {}, mass_kg=-3.0)


def test_a_part_that_the_model_does_not_have() -> None:
    with pytest.raises(ModelError, match=r"'leg9' has no part 'femur' to scale: it has pelvis, thigh, shank, foot"):
        scale_segments(LEG, {"femur": 1.1})


def test_joint_centres_scale_with_the_part_they_lie_in() -> None:
    person = scale_segments(LEG, FACTORS)
    (x, y), (px, py) = LEG.base.links[0].offset_m, person.base.links[0].offset_m
    assert (px, py) == pytest.approx((1.1 * x, 0.9 * y))
    knee, ankle = person.joints[1].center.values, person.joints[2].center.values
    np.testing.assert_allclose(knee, LEG.joints[1].center.values * [1.2, 0.95])
    np.testing.assert_allclose(ankle, LEG.joints[2].center.values * 1.06)
    at_zero = [np.hypot(*j.center.evaluate(np.zeros(()))[0]) for j in person.joints]
    assert person.leg_length_m == pytest.approx(sum(at_zero))
    for ours, theirs, factor in zip(
        person.segments, LEG.segments, ((1.2, 0.95), (1.06, 1.06), (0.9, 1.1)), strict=True
    ):
        assert ours.com_m == pytest.approx(tuple(np.multiply(theirs.com_m, factor)))


def test_the_pelvis_alone() -> None:
    """It moves the hip and what crosses it, and nothing else."""
    person = scale_segments(GROWN, {"pelvis": 1.2})
    assert person.segments == tuple(
        replace(s, inertia_kg_m2=pytest.approx(s.inertia_kg_m2), inertia_terms=s.inertia_terms) for s in GROWN.segments
    )
    assert person.joints == GROWN.joints
    assert person.leg_length_m == GROWN.leg_length_m
    assert person.base.links[0].offset_m == pytest.approx([1.2 * v for v in GROWN.base.links[0].offset_m])


def test_both_rules_of_mass() -> None:
    own = np.array([s.mass_kg for s in LEG.segments])
    growth = np.array([1.2 * 0.95 * 0.5 * (1.2 + 0.95), 1.06**3, 0.9 * 1.1 * 1.0])

    def masses(model: Model) -> np.ndarray:
        return np.array([s.mass_kg for s in model.segments])

    kept = scale_segments(LEG, FACTORS, mass_kg=100.0)
    assert kept.mass_kg == 100.0
    np.testing.assert_allclose(masses(kept), own * 100.0 / LEG.mass_kg)
    np.testing.assert_allclose(masses(scale_segments(LEG, FACTORS)), own)
    grown = scale_segments(LEG, FACTORS, preserve_mass_distribution=False)
    np.testing.assert_allclose(masses(grown), own * growth)
    # The rest of the body is not known: it grows as the leg does on average.
    assert grown.mass_kg / LEG.mass_kg == pytest.approx((own @ growth) / own.sum())
    fixed = scale_segments(LEG, FACTORS, mass_kg=100.0, preserve_mass_distribution=False)
    np.testing.assert_allclose(masses(fixed), masses(grown) * 100.0 / grown.mass_kg)


def test_inertia_of_a_stretched_segment() -> None:
    person = scale_segments(GROWN, {"thigh": (1.2, 0.9, 1.1)})
    expected = 0.1 * 1.44 + 0.6 * 0.81 + 0.1 * (1.2 * 0.9 + 1.2 * 1.1 + 0.9 * 1.1)
    assert person.segments[0].inertia_kg_m2 == pytest.approx(expected * GROWN.segments[0].inertia_kg_m2)
    # Without terms a segment is a rod through its centre of mass, nearly along y.
    rod = scale_segments(LEG, {"thigh": (1.0, 0.9, 1.0)}).segments[0]
    assert rod.inertia_kg_m2 == pytest.approx(0.81 * LEG.segments[0].inertia_kg_m2, rel=1e-3)


def test_muscles_without_shares_grow_as_the_bones_along_which_they_run() -> None:
    person = scale_segments(LEG, {"thigh": 1.1, "shank": 0.9})

    def growth(name: str) -> float:
        i = LEG.muscle_names.index(name)
        ratio = person.muscles[i].optimal_fiber_length_m / LEG.muscles[i].optimal_fiber_length_m
        slack = person.muscles[i].tendon_slack_length_m / LEG.muscles[i].tendon_slack_length_m
        np.testing.assert_allclose(person.geometry.evaluate(Q)[0][:, i], ratio * LEG.geometry.evaluate(Q)[0][:, i])
        assert slack == pytest.approx(ratio)
        return float(ratio)

    assert 1.05 < growth("glut_max") < 1.1  # pelvis and thigh
    assert 0.98 < growth("vasti") < 1.02  # thigh and shank
    assert 0.9 < growth("soleus") < 0.95  # shank and foot
    assert growth("hamstrings") == pytest.approx(growth("rect_fem"))


@settings(max_examples=20, deadline=None)
@given(factors_of_a_leg)
def test_length_is_the_sum_of_the_shares(factors: Mapping[str, tuple[float, float, float]]) -> None:
    person = scale_segments(GROWN, factors)
    for i, (muscle, scaled) in enumerate(zip(GROWN.muscles, person.muscles, strict=True)):
        assert muscle.shares is not None
        table, s = muscle.shares.array(PARTS), np.array([factors[p] for p in PARTS])
        q = Q[:, [GROWN.joint_names.index(a) for a in muscle.length.angles]]
        terms = (q[:, None, :] ** np.array(monomial_exponents(q.shape[1], 3))).prod(axis=2)
        ratio = (s * table[..., 0]).sum() / table[..., 0].sum()
        expected = ratio * GROWN.geometry.evaluate(Q)[0][:, i] + terms @ ((s - ratio)[..., None] * table).sum(
            axis=(0, 1)
        )
        np.testing.assert_allclose(person.geometry.evaluate(Q)[0][:, i], expected, atol=1e-12)
        assert scaled.optimal_fiber_length_m == pytest.approx(ratio * muscle.optimal_fiber_length_m)
        assert scaled.tendon_slack_length_m == pytest.approx(ratio * muscle.tendon_slack_length_m)


@settings(max_examples=20, deadline=None)
@given(factors_of_a_leg, factors_of_a_leg)
def test_scaling_twice_is_scaling_by_the_products(
    first: Mapping[str, tuple[float, float, float]], second: Mapping[str, tuple[float, float, float]]
) -> None:
    twice = scale_segments(scale_segments(GROWN, first, mass_kg=60.0), second, mass_kg=80.0)
    once = scale_segments(GROWN, {p: tuple(np.multiply(first[p], second[p])) for p in PARTS}, mass_kg=80.0)
    for ours, theirs in zip(twice.geometry.evaluate(Q), once.geometry.evaluate(Q), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)
    for name in ("optimal_fiber_length_m", "tendon_slack_length_m", "max_isometric_force_n"):
        np.testing.assert_allclose(twice.muscle_parameter(name), once.muscle_parameter(name))
    assert twice.leg_length_m == pytest.approx(once.leg_length_m)
    np.testing.assert_allclose([s.com_m for s in twice.segments], [s.com_m for s in once.segments])
    assert [s.mass_kg for s in twice.segments] == pytest.approx([s.mass_kg for s in once.segments])


def test_moment_arms_are_the_derivative_of_the_scaled_length() -> None:
    person = scale_segments(GROWN, FACTORS)
    step = 1e-6
    _, arms = person.geometry.evaluate(Q)
    for j in range(3):
        e = step * np.eye(3)[j]
        slope = (person.geometry.evaluate(Q + e)[0] - person.geometry.evaluate(Q - e)[0]) / (2 * step)
        np.testing.assert_allclose(arms[..., j], -slope, atol=1e-7)


def test_strength_with_mass_over_length() -> None:
    kept = scale_segments(GROWN, FACTORS, mass_kg=2.0 * GROWN.mass_kg)
    np.testing.assert_array_equal(
        kept.muscle_parameter("max_isometric_force_n"), GROWN.muscle_parameter("max_isometric_force_n")
    )
    strong = scale_segments(GROWN, FACTORS, mass_kg=2.0 * GROWN.mass_kg, scale_strength=True)
    volume = strong.muscle_parameter("max_isometric_force_n") * strong.muscle_parameter("optimal_fiber_length_m")
    before = GROWN.muscle_parameter("max_isometric_force_n") * GROWN.muscle_parameter("optimal_fiber_length_m")
    np.testing.assert_allclose(volume, 2.0 * before)


def test_a_muscle_of_which_nothing_would_be_left() -> None:
    shares = LengthShares(0, {"pelvis": ((-0.5,), (0.0,), (0.0,)), "thigh": ((0.0,), (0.7,), (0.0,))})
    leg = replace(LEG, muscles=(replace(LEG.muscles[2], shares=shares),))
    assert scale_segments(leg, {"thigh": 1.1}).muscles[0].optimal_fiber_length_m > 0.0
    with pytest.raises(ModelError, match="'glut_max' would have no length"):
        scale_segments(leg, {"pelvis": 1.5})


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("knee5", ("pelvis", "thigh", "shank")),
        ("elbow6", ("trunk", "upper_arm", "forearm")),
        ("wrist5", ("trunk", "upper_arm", "forearm", "hand")),
    ],
)
def test_other_limbs(name: str, parts: tuple[str, ...]) -> None:
    model = load_model(name)
    assert model.part_names == parts
    big = scale_segments(model, dict.fromkeys(parts, 1.2), mass_kg=2.0 * model.mass_kg)
    assert big.leg_length_m == pytest.approx(1.2 * model.leg_length_m)
    assert big.segments[0].inertia_kg_m2 == pytest.approx(2.0 * 1.44 * model.segments[0].inertia_kg_m2)
    np.testing.assert_allclose(big.joints[0].center.values, 1.2 * model.joints[0].center.values)
    for ours, theirs in zip(big.base.links, model.base.links, strict=True):
        assert ours.offset_m == pytest.approx([1.2 * v for v in theirs.offset_m])
    # The joint's place scales with the part before it alone.
    before = scale_segments(model, {parts[-2]: 1.2})
    np.testing.assert_allclose(before.joints[0].center.values, 1.2 * model.joints[0].center.values)
    assert before.segments[0].com_m == model.segments[0].com_m
    assert before.leg_length_m == pytest.approx(model.leg_length_m)


def test_a_knee_hangs_on_thigh_and_pelvis() -> None:
    knee = load_model("knee5")
    wide = scale_segments(knee, {"pelvis": (1.2, 0.9)})
    (x, y), (wx, wy) = knee.base.links[0].offset_m, wide.base.links[0].offset_m
    assert (wx, wy) == pytest.approx((1.2 * x, 0.9 * y))
    assert wide.joints == knee.joints


def test_a_chain_of_other_names_hangs_on_one_base() -> None:
    tail = replace(LEG, segments=tuple(replace(s, name=f"tail{i}") for i, s in enumerate(LEG.segments)))
    assert tail.part_names == ("base", "tail0", "tail1", "tail2")
    ours = scale_segments(tail, {"base": 1.1, "tail0": 0.9})
    theirs = scale_segments(LEG, {"pelvis": 1.1, "thigh": 0.9})
    assert ours.muscles == theirs.muscles
    assert ours.base == theirs.base
