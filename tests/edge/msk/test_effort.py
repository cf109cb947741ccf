import numpy as np
import pytest

from edge.msk.effort import Effort, effort_weight
from edge.msk.hill import HillMuscles
from edge.msk.model import load_model
from edge.msk.staticopt import SharingOptions, share_torque, solve

LEG = load_model("leg9")
MUSCLES = HillMuscles.of(LEG)


def states(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    q = LEG.lower_rad + rng.random((n, 3)) * (LEG.upper_rad - LEG.lower_rad)
    return q, rng.normal(size=(n, 3)), rng.normal(size=(n, 3)) * 40


def test_activation_weighs_every_muscle_alike() -> None:
    assert effort_weight(MUSCLES, Effort.ACTIVATION) is None


def test_volume_has_mean_one_and_the_order_of_the_muscles() -> None:
    weight = effort_weight(MUSCLES, Effort.VOLUME)
    assert weight is not None
    assert weight.mean() == pytest.approx(1.0)
    volume = LEG.muscle_parameter("max_isometric_force_n") * LEG.muscle_parameter("optimal_fiber_length_m")
    np.testing.assert_allclose(weight / weight[0], volume / volume[0])


def test_stress_is_that_of_the_active_force_over_the_isometric_one() -> None:
    """The weighted cost of an activation is the muscle's stress to the exponent."""
    q, qd, _ = states(20, seed=1)
    state = MUSCLES.evaluate(q, qd)
    weight = effort_weight(MUSCLES, Effort.STRESS, state=state, exponent=3.0)
    assert weight is not None
    strong = state.optimal_force_n > 0.01 * MUSCLES.max_force_n
    stress = 0.4 * state.optimal_force_n / MUSCLES.max_force_n
    np.testing.assert_allclose((weight * 0.4**3)[strong], (stress**3)[strong])
    assert (weight > 0.0).all()


def test_stress_needs_a_state() -> None:
    with pytest.raises(ValueError, match="need the muscles' state"):
        effort_weight(MUSCLES, Effort.STRESS)


@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_least_stress_is_least_over_forces(exponent: float) -> None:
    """min sum (F / F_o)^p over the forces themselves, whatever the muscles' lengths: optimal forces drop out of it."""
    q, qd, torque = states(60, seed=2)
    options = SharingOptions(exponent=exponent, effort=Effort.STRESS, lower=0.0, upper=100.0)
    solution = share_torque(MUSCLES, q, qd, torque, options=options)
    state = solution.state
    passive = np.einsum("fmr,fm->fr", state.moment_arm_m, state.passive_force_n)
    share, _ = solve(
        state.moment_arm_m,
        np.broadcast_to(MUSCLES.max_force_n, state.optimal_force_n.shape),
        torque - passive,
        exponent=exponent,
        lower=0.0,
        upper=100.0,
    )
    force = solution.force_n - state.passive_force_n
    strong = (state.optimal_force_n > 0.05 * MUSCLES.max_force_n).all(axis=1)
    free = strong & (np.abs(solution.reserve_nm) < 1.0).all(axis=1)  # no bound is met
    assert free.sum() > 30
    np.testing.assert_allclose(force[free], (share * MUSCLES.max_force_n)[free], atol=0.01)


def test_volume_does_not_mind_into_how_many_parts_a_muscle_is_split() -> None:
    """Two halves of a muscle, each of half its force and volume, do what the whole did; with equal weights they do more."""
    arm = np.array([[[0.05], [0.04]]])
    force = np.array([[2000.0, 1500.0]])
    split_arm, split_force = arm[:, [0, 0, 1]], np.array([[1000.0, 1000.0, 1500.0]])
    for exponent in (2.0, 3.0):
        how = {"exponent": exponent, "lower": 0.0}
        whole, _ = solve(arm, force, [[60.0]], weight=[2.0, 1.5], **how)
        parts, _ = solve(split_arm, split_force, [[60.0]], weight=[1.0, 1.0, 1.5], **how)
        np.testing.assert_allclose(parts[0], whole[0, [0, 0, 1]], rtol=1e-9)
        equal, _ = solve(arm, force, [[60.0]], **how)
        halves, _ = solve(split_arm, split_force, [[60.0]], **how)
        assert (halves[0, :2] < equal[0, 0] - 0.01).all() if exponent == 2.0 else abs(halves[0, 0] - equal[0, 0]) > 0.01


@pytest.mark.parametrize("effort", Effort)
def test_every_effort_carries_the_torque(effort: Effort) -> None:
    q, qd, torque = states(50, seed=3)
    solution = share_torque(MUSCLES, q, qd, torque, options=SharingOptions(effort=effort))
    carried = np.einsum("fmr,fm->fr", solution.state.moment_arm_m, solution.force_n)
    np.testing.assert_allclose(carried + solution.reserve_nm, torque, atol=1e-9)
