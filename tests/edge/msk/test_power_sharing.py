"""Static optimisation with exponents other than 2: optimal by a bound that its own multipliers prove, and by another solver."""

from typing import Any

import numpy as np
import pytest
import quadprog
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from edge.msk.hill import HillMuscles
from edge.msk.model import load_model
from edge.msk.staticopt import LARGEST_EXPONENT, optimise, solve
from tools.bench.sharing_problems import Problem, duality_gap, kkt_residual, random_problems

LEG = load_model("leg9")
# What is promised of each exponent: the KKT residual and the duality gap.
PROMISED = {
    1.0: (1e-9, 1e-9),
    1.001: (1e-9, 1e-13),
    1.1: (1e-9, 1e-13),
    1.5: (1e-9, 1e-13),
    2.0: (1e-9, 1e-13),
    3.0: (1e-9, 1e-13),
    5.0: (1e-9, 1e-12),
    10.0: (1e-8, 1e-5),
}


@pytest.mark.parametrize("exponent", PROMISED)
def test_optimal_on_many_frames(exponent: float) -> None:
    """Feasible and infeasible frames of 1 to 6 rows, with two lower bounds."""
    kkt, gap = PROMISED[exponent]
    residuals, gaps, steps = [], [], []
    for rows in range(1, 7):
        for muscles, frames in ((9, 700), (43, 60)):
            problem = random_problems(frames, muscles, rows, seed=rows)
            for lower in (0.01, 0.0):
                optimum = optimise(*problem, exponent=exponent, lower=lower)
                found = (optimum.activation, optimum.reserve_nm)
                residuals.append(kkt_residual(problem, *found, lower=lower, exponent=exponent))
                if lower:  # else the cost that the gap is compared with may be nothing
                    gaps.append(duality_gap(problem, *found, optimum.multiplier, lower=lower, exponent=exponent))
                steps.append(optimum.iterations)
    residual, worst, count = np.concatenate(residuals).max(), np.concatenate(gaps).max(), np.concatenate(steps)
    print(
        f"p = {exponent:g}: {len(count)} frames, KKT residual at most {residual:.1e}, duality gap {worst:.1e}, Newton steps "
        f"{count.mean():.1f}, at most {count.max()}"
    )
    assert residual <= kkt
    assert worst <= gap


@pytest.mark.parametrize("exponent", [1.0, 1.2, 1.5, 3.0, 5.0, 10.0])
def test_optimal_on_the_leg(exponent: float) -> None:
    rng = np.random.default_rng(1)
    n = 500
    q = LEG.lower_rad + rng.random((n, 3)) * (LEG.upper_rad - LEG.lower_rad)
    state = HillMuscles.of(LEG).evaluate(q, rng.normal(scale=3, size=(n, 3)))
    problem = (state.moment_arm_m, state.optimal_force_n, rng.normal(scale=[60, 60, 80], size=(n, 3)))
    optimum = optimise(*problem, exponent=exponent)
    assert kkt_residual(problem, optimum.activation, optimum.reserve_nm, exponent=exponent).max() <= 1e-9
    gap = duality_gap(problem, optimum.activation, optimum.reserve_nm, optimum.multiplier, exponent=exponent)
    assert gap.max() <= 1e-9


def by_scipy(problem: Problem, i: int, exponent: float, lower: float) -> np.ndarray:
    """Activations of one frame by SciPy's SLSQP over activations and reserves, from its answer with p = 2."""
    arm, force, torque = (part[i] for part in problem)
    strength = (arm * force[:, None]).T
    rows, muscles = strength.shape
    first, reserve = solve(*(part[i : i + 1] for part in problem), lower=lower)

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        a, r = x[:muscles], x[muscles:]
        slope = np.concatenate([exponent * a ** (exponent - 1.0), 2.0 * r])
        return float((a**exponent).sum() + (r**2).sum()), slope

    found: Any = minimize(
        cost,
        np.concatenate([first[0], reserve[0]]),
        jac=True,
        method="SLSQP",
        bounds=[(lower, 1.0)] * muscles + [(None, None)] * rows,
        constraints={
            "type": "eq",
            "fun": lambda x: strength @ x[:muscles] + x[muscles:] - torque,
            "jac": lambda _: np.hstack([strength, np.eye(rows)]),
        },
        options={"ftol": 1e-15, "maxiter": 500},
    )
    answer: np.ndarray = found.x[:muscles]
    return answer


@pytest.mark.parametrize(("exponent", "close"), [(1.5, 1e-5), (3.0, 1e-5), (5.0, 1e-3)])
def test_parity_with_scipy(exponent: float, close: float) -> None:
    """A general solver stops far earlier than this one: it is as close as its own tolerance lets it be."""
    problem = random_problems(12, 9, 3, seed=31, largest_nm=60.0)
    activation, _ = solve(*problem, exponent=exponent)
    for i in range(len(activation)):
        np.testing.assert_allclose(activation[i], by_scipy(problem, i, exponent, 0.01), atol=close)


@pytest.mark.parametrize("rows", [1, 3, 6])
def test_the_linear_case_agrees_with_quadprog(rows: int) -> None:
    """p = 1 is a quadratic program that is not strictly convex; quadprog needs a little curvature to solve it."""
    arm, force, torque = random_problems(40, 9, rows, seed=41, largest_nm=100.0)
    activation, reserve = solve(arm, force, torque, exponent=1.0)
    curvature = 1e-7
    for i in range(len(torque)):
        equal = np.hstack([(arm[i] * force[i][:, None]).T, np.eye(rows)])
        bounds = np.hstack([np.vstack([np.eye(9), -np.eye(9)]), np.zeros((18, rows))])
        found = quadprog.solve_qp(
            np.diag(np.concatenate([np.full(9, curvature), np.full(rows, 2.0)])),
            -np.concatenate([np.ones(9), np.zeros(rows)]),
            np.vstack([equal, bounds]).T,
            np.concatenate([torque[i], np.full(9, 0.01), -np.ones(9)]),
            rows,
        )[0]
        ours = activation[i].sum() + (reserve[i] ** 2).sum()
        theirs = found[:9].sum() + (found[9:] ** 2).sum()
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)
        np.testing.assert_allclose(activation[i], found[:9], atol=1e-4)


# One state of the leg, solved once by an interior-point method with 160 digits.
REFERENCE_STRENGTH_NM = np.array(
    [
        [-120.0, 0.0, -95.0, 150.0, 80.0, 0.0, 0.0, 0.0, 0.0],
        [-70.0, -30.0, 0.0, 0.0, 45.0, 240.0, -55.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -90.0, -160.0, 60.0],
    ]
)
REFERENCE_TORQUE_NM = np.array([40.0, -25.0, -70.0])
REFERENCE = {
    1.0: [0.01, 0.01, 0.01, 0.275644444444, 0.01, 0.01, 0.488109504132, 0.166668872676, 0.01],
    1.1: [0.01, 0.01, 0.01, 0.275645177716, 0.01, 0.01, 0.488098080336, 0.166676869649, 0.01],
    1.5: [0.0161391820714, 0.0557196702534, 0.01, 0.280560356341, 0.01, 0.01, 0.455323016251, 0.185118198271, 0.01],
    3.0: [0.0624170593367, 0.190400074917, 0.01, 0.317593589757, 0.01, 0.01, 0.323036199809, 0.259538190728, 0.01],
    5.0: [
        0.109658960341,
        0.238269857378,
        0.01,
        0.309872383114,
        0.0953508013364,
        0.01,
        0.306659900394,
        0.268753296563,
        0.01,
    ],
    10.0: [
        0.16531968838,
        0.269169161004,
        0.01,
        0.302985265671,
        0.191757150471,
        0.01,
        0.297847591242,
        0.273710728242,
        0.01,
    ],
}


@pytest.mark.parametrize("exponent", REFERENCE)
def test_parity_with_a_hundred_digits(exponent: float) -> None:
    activation, _ = solve(REFERENCE_STRENGTH_NM.T[None], np.ones((1, 9)), REFERENCE_TORQUE_NM[None], exponent=exponent)
    np.testing.assert_allclose(activation[0], REFERENCE[exponent], atol=1e-9)


def test_one_muscle_by_hand() -> None:
    """min a^3 + r^2 with 50 a + r = 20: 3 a^2 = 100 (20 - 50 a)."""
    activation, _ = solve([[[0.05]]], [[1000.0]], [[20.0]], exponent=3.0)
    assert activation[0, 0] == pytest.approx((-5000.0 + np.sqrt(5000.0**2 + 4.0 * 3.0 * 2000.0)) / 6.0, rel=1e-12)


def test_the_linear_case_takes_the_cheapest_muscle_first() -> None:
    """Muscles of 50, 40 and 30 Nm: one after another up to its bound, but for what the reserve of 1 / (2 * 40) Nm does."""
    arm, force = np.full((1, 3, 1), 0.05), np.array([[800.0, 1000.0, 600.0]])
    activation, reserve = solve(arm, force, [[75.0]], exponent=1.0)
    assert reserve[0, 0] == pytest.approx(1.0 / 80.0, rel=1e-9)
    np.testing.assert_allclose(activation[0], [(75.0 - 50.0 - 0.3 - 1.0 / 80.0) / 40.0, 1.0, 0.01], rtol=1e-9)


@pytest.mark.parametrize("exponent", [1.0, 1.5, 3.0, 10.0])
def test_equal_muscles_share_equally(exponent: float) -> None:
    activation, _ = solve(np.full((1, 4, 1), 0.05), np.full((1, 4), 1000.0), [[60.0]], exponent=exponent)
    np.testing.assert_allclose(activation, 0.3, rtol=1e-3)
    assert np.ptp(activation) <= 1e-12


def test_a_large_exponent_levels_the_load_and_a_small_one_does_not() -> None:
    """Crowninshield & Brand 1981: the higher the exponent, the more muscles share. The largest activation falls with it."""
    problem = random_problems(200, 9, 2, seed=51, largest_nm=30.0)
    most = [solve(*problem, exponent=p)[0].max(axis=1).mean() for p in (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)]
    assert all(np.diff(most) < 0.0)


def test_close_exponents_give_close_activations() -> None:
    problem = random_problems(300, 9, 3, seed=52)
    exact = optimise(*problem)
    for exponent in (1.9999, 2.0001):
        near = optimise(*problem, exponent=exponent)
        np.testing.assert_allclose(near.activation, exact.activation, atol=1e-3)
        np.testing.assert_allclose(near.multiplier, exact.multiplier, atol=1e-3, rtol=1e-3)


def test_weights_are_those_of_the_power() -> None:
    problem = random_problems(100, 9, 3, seed=53)
    weight = 10 ** np.random.default_rng(53).uniform(-1, 1, (100, 9))
    for exponent in (1.0, 1.5, 3.0):
        optimum = optimise(*problem, exponent=exponent, weight=weight)
        found = (optimum.activation, optimum.reserve_nm)
        assert kkt_residual(problem, *found, exponent=exponent, weight=weight).max() <= 1e-8
        assert duality_gap(problem, *found, optimum.multiplier, exponent=exponent, weight=weight).max() <= 1e-9


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    muscles=st.integers(0, 20),
    rows=st.integers(1, 6),
    exponent=st.one_of(st.floats(1.0, 10.0), st.floats(1.0, LARGEST_EXPONENT)),
    lower=st.sampled_from([0.0, 1e-6, 0.01, 0.3]),
    span=st.floats(0.01, 10),
    reserve_nm=st.floats(0.5, 100),
    largest_nm=st.sampled_from([1.0, 300.0, 1e6]),
)
def test_never_fails(
    seed: int,
    muscles: int,
    rows: int,
    exponent: float,
    lower: float,
    span: float,
    reserve_nm: float,
    largest_nm: float,
) -> None:
    """Any exponent, bounds and reserves: finite, within the bounds, in balance (and no RuntimeWarning)."""
    problem = random_problems(10, muscles, rows, seed, largest_nm)
    how = {"lower": lower, "upper": lower + span, "reserve_nm": reserve_nm, "exponent": exponent}
    optimum = optimise(*problem, **how)
    assert np.isfinite(optimum.multiplier).all()
    assert np.isfinite(kkt_residual(problem, optimum.activation, optimum.reserve_nm, **how)).all()


def test_a_frame_has_the_same_bits_alone_and_among_others() -> None:
    for exponent in (1.0, 1.5, 3.0, 10.0):
        problem = random_problems(60, 9, 3, seed=54)
        together = optimise(*problem, exponent=exponent)
        for i in range(60):
            alone = optimise(*(part[i : i + 1] for part in problem), exponent=exponent)
            np.testing.assert_array_equal(alone.activation[0], together.activation[i])
            np.testing.assert_array_equal(alone.reserve_nm[0], together.reserve_nm[i])
            np.testing.assert_array_equal(alone.multiplier[0], together.multiplier[i])


def test_no_frames_and_no_muscles() -> None:
    activation, reserve = solve(np.zeros((0, 9, 3)), np.zeros((0, 9)), np.zeros((0, 3)), exponent=3.0)
    assert activation.shape == (0, 9)
    assert reserve.shape == (0, 3)
    activation, reserve = solve(np.zeros((2, 0, 3)), np.zeros((2, 0)), np.ones((2, 3)), exponent=3.0)
    assert activation.shape == (2, 0)
    np.testing.assert_array_equal(reserve, 1.0)


@pytest.mark.parametrize("exponent", [1.0, 1.3, 4.0])
def test_nothing_to_carry(exponent: float) -> None:
    activation, reserve = solve(
        np.full((1, 3, 2), 0.05), np.full((1, 3), 900.0), np.zeros((1, 2)), lower=0.0, exponent=exponent
    )
    np.testing.assert_array_equal(activation, 0.0)
    np.testing.assert_array_equal(reserve, 0.0)


@pytest.mark.parametrize("exponent", [0.99, 0.0, -2.0, 10.5, np.nan, np.inf])
def test_wrong_exponents(exponent: float) -> None:
    with pytest.raises(ValueError, match="exponent from 1 to 10:"):
        solve(*random_problems(3, 9, 3, seed=55), exponent=exponent)


@pytest.mark.parametrize("exponent", [1.0, 3.0, 4.0])
def test_a_negative_activation_has_no_power(exponent: float) -> None:
    with pytest.raises(ValueError, match="lower bound of at least 0"):
        solve(*random_problems(3, 9, 3, seed=56), exponent=exponent, lower=-0.1)
