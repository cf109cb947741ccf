"""Starts from known multipliers, and frames that the muscles cannot carry."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from edge.msk.hill import HillMuscles
from edge.msk.model import load_model
from edge.msk.staticopt import SharingOptions, optimise, share_torque, solve
from tools.bench.sharing_problems import Problem, kkt_residual, random_problems

LEG = load_model("leg9")


def starts(multiplier: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "the answer": multiplier,
        "near": multiplier * (1.0 + 0.05 * rng.normal(size=multiplier.shape)),
        "zero": np.zeros_like(multiplier),
        "of another frame": np.roll(multiplier, 1, axis=0),
        "wild": 10 ** rng.uniform(-3, 12, multiplier.shape) * rng.choice([-1.0, 1.0], multiplier.shape),
    }


@pytest.mark.parametrize("rows", [1, 3, 6])
def test_the_start_changes_nothing_but_the_steps(rows: int) -> None:
    problem = random_problems(4000, 9, rows, seed=61 + rows)
    cold = optimise(*problem)
    for name, start in starts(cold.multiplier, seed=rows).items():
        warm = optimise(*problem, start=start)
        difference = np.abs(warm.activation - cold.activation).max()
        print(
            f"{rows} rows, start {name}: activations differ by {difference:.1e}, {warm.iterations.mean():.2f} Newton steps"
        )
        assert difference <= 1e-9
        assert np.abs(warm.reserve_nm - cold.reserve_nm).max() <= 1e-9 * (1.0 + np.abs(problem[2]).max())
        assert kkt_residual(problem, warm.activation, warm.reserve_nm).max() <= 1e-9


@pytest.mark.parametrize("exponent", [1.0, 1.5, 3.0])
def test_the_start_changes_nothing_with_other_exponents(exponent: float) -> None:
    problem = random_problems(600, 9, 3, seed=65)
    cold = optimise(*problem, exponent=exponent)
    for start in starts(cold.multiplier, seed=65).values():
        warm = optimise(*problem, exponent=exponent, start=start)
        assert np.abs(warm.activation - cold.activation).max() <= 1e-8


def stride(frames: int) -> Problem:
    """A smooth movement of the leg at 100 Hz with torques of a walk's size."""
    phase = 2.0 * np.pi * np.arange(frames) / 110.0
    q = np.stack([0.2 + 0.35 * np.cos(phase), -0.5 + 0.4 * np.sin(phase + 0.4), 0.1 * np.sin(2.0 * phase)], axis=1)
    state = HillMuscles.of(LEG).evaluate(q, np.gradient(q, 0.01, axis=0))
    torque = np.stack([40.0 * np.sin(phase), 25.0 * np.cos(2.0 * phase), -45.0 * np.sin(phase) ** 2], axis=1)
    return state.moment_arm_m, state.optimal_force_n, torque


def test_the_frame_before_saves_steps() -> None:
    """At 100 Hz mostly one Newton step is left."""
    problem = stride(220)
    for exponent, saved in ((2.0, 0.7), (3.0, 0.9)):
        start, cold, warm = None, 0, 0
        for i in range(220):
            frame = tuple(part[i : i + 1] for part in problem)
            alone = optimise(*frame, exponent=exponent)
            after = optimise(*frame, exponent=exponent, start=start)
            np.testing.assert_allclose(after.activation, alone.activation, atol=1e-9)
            start, cold, warm = after.multiplier, cold + alone.iterations[0], warm + after.iterations[0]
        print(f"p = {exponent:g}: {cold / 220:.2f} Newton steps a frame, {warm / 220:.2f} from the frame before")
        assert warm <= saved * cold


def test_the_multiplier_is_half_of_what_more_torque_costs() -> None:
    arm, force, torque = random_problems(50, 9, 3, seed=66, largest_nm=50.0)
    change = 1e-5

    def cost(exponent: float, by: np.ndarray) -> np.ndarray:
        activation, reserve = solve(arm, force, torque + by, exponent=exponent)
        return (activation**exponent).sum(axis=1) + (reserve**2).sum(axis=1)

    for exponent in (1.5, 2.0, 3.0):
        multiplier = optimise(arm, force, torque, exponent=exponent).multiplier
        for row in range(3):
            by = np.zeros(3)
            by[row] = change
            growth = (cost(exponent, by) - cost(exponent, -by)) / (2.0 * change)
            np.testing.assert_allclose(growth, 2.0 * multiplier[:, row], rtol=1e-3, atol=1e-6)


def test_wrong_starts() -> None:
    problem = random_problems(3, 9, 3, seed=67)
    with pytest.raises(ValueError, match="shape of the torque"):
        solve(*problem, start=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="finite start"):
        solve(*problem, start=np.full((3, 3), np.nan))


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_infeasible_frames_are_flagged_with_the_reserve_that_they_needed(exponent: float) -> None:
    """SciPy's bounded least squares says what the muscles cannot carry at the least."""
    arm, force, torque = random_problems(150, 9, 3, seed=71, largest_nm=500.0)
    optimum = optimise(arm, force, torque, exponent=exponent)
    flagged = optimum.infeasible(1.0)
    assert 20 < flagged.sum() < 130
    reserve = np.linalg.norm(optimum.reserve_nm, axis=1)
    slack = 9.0 * (1.0 - 0.01**exponent)  # reserve_nm^2 sum w (upper^p - lower^p)
    for i in range(len(torque)):
        strength = (arm[i] * force[i][:, None]).T
        least = float(np.sqrt(2.0 * lsq_linear(strength, torque[i], (0.01, 1.0), tol=1e-12, max_iter=500).cost))
        assert reserve[i] >= least - 1e-6
        assert reserve[i] ** 2 <= least**2 + slack + 1e-6
        if least > np.sqrt(3.0):  # in some row more than the limit
            assert flagged[i]
        if reserve[i] ** 2 > slack:
            assert least > 0.0
    carried = np.einsum("fmr,fm,fm->fr", arm, force, optimum.activation)
    assert np.abs(carried - torque)[~flagged].max() <= 1.0


def test_share_torque_reports_infeasible_frames() -> None:
    muscles = HillMuscles.of(LEG)
    q = np.zeros((3, 3))
    torque = np.array([[20.0, 10.0, -30.0], [20.0, 10.0, -3000.0], [900.0, 10.0, -30.0]])
    solution = share_torque(muscles, q, q, torque)
    np.testing.assert_array_equal(solution.infeasible, [False, True, True])
    assert solution.reserve_nm[1, 2] < -1000.0
    assert solution.reserve_nm[2, 0] > 100.0
    lenient = share_torque(muscles, q, q, torque, options=SharingOptions(reserve_limit_nm=5000.0))
    assert not lenient.infeasible.any()


def test_share_torque_passes_its_options_on() -> None:
    muscles = HillMuscles.of(LEG)
    rng = np.random.default_rng(72)
    q = LEG.lower_rad + rng.random((40, 3)) * (LEG.upper_rad - LEG.lower_rad)
    torque = rng.normal(size=(40, 3)) * 50
    options = SharingOptions(exponent=3.0, lower=0.02, upper=0.8, reserve_nm=2.0)
    solution = share_torque(muscles, q, np.zeros_like(q), torque, options=options)
    state = solution.state
    passive = np.einsum("fmr,fm->fr", state.moment_arm_m, state.passive_force_n)
    activation, reserve = solve(
        state.moment_arm_m,
        state.optimal_force_n,
        torque - passive,
        exponent=3.0,
        lower=0.02,
        upper=0.8,
        reserve_nm=2.0,
    )
    np.testing.assert_allclose(solution.activation, activation, atol=1e-12)
    np.testing.assert_allclose(solution.reserve_nm, reserve, atol=1e-9)
    again = share_torque(muscles, q, np.zeros_like(q), torque, options=options, start=solution.multiplier)
    np.testing.assert_allclose(again.activation, solution.activation, atol=1e-9)
