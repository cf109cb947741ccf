import inspect
import time

import numpy as np
import pytest
import quadprog
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import load_model
from edge.msk.staticopt import optimise, share_torque, solve
from tools.bench.sharing_problems import duality_gap, kkt_residual, random_problems

LEG = load_model("leg9")


def test_signature_is_the_one_that_everything_builds_on() -> None:
    parameters = inspect.signature(solve).parameters
    assert list(parameters)[:3] == ["moment_arm", "optimal_force", "torque"]
    defaults = {n: p.default for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    settled = {"lower": 0.01, "upper": 1.0, "reserve_nm": 1.0, "weight": None}
    assert {name: defaults[name] for name in settled} == settled
    assert len(defaults) == len(parameters) - 3  # whatever is added has a default
    assert inspect.signature(optimise).parameters == parameters


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6])
def test_optimal_on_many_frames(rows: int) -> None:
    """2e5 random frames in all, of which many ask for more than the muscles have; `tools.bench.staticopt` takes 1e6."""
    for muscles, frames in ((9, 32000), (43, 1500)):
        problem = random_problems(frames, muscles, rows, seed=rows)
        optimum = optimise(*problem)
        residual = kkt_residual(problem, optimum.activation, optimum.reserve_nm)
        gap = duality_gap(problem, optimum.activation, optimum.reserve_nm, optimum.multiplier)
        print(
            f"{rows} rows, {muscles} muscles, {frames} frames: KKT residual at most {residual.max():.1e}, duality gap "
            f"{gap.max():.1e}, Newton steps {optimum.iterations.mean():.1f}, at most {optimum.iterations.max()}"
        )
        assert residual.max() <= 1e-9
        assert gap.max() <= 1e-14
        assert optimum.iterations.max() < 50  # far from the limit of 100


def test_optimal_on_torques_beyond_all_reason() -> None:
    problem = random_problems(20000, 9, 3, seed=11, largest_nm=1e8)
    assert kkt_residual(problem, *solve(*problem)).max() <= 1e-8


def test_optimal_on_the_leg() -> None:
    """Every state and torque of a leg: also the plain residual, drive against activation, is small."""
    rng = np.random.default_rng(1)
    n = 20000
    q = LEG.lower_rad + rng.random((n, 3)) * (LEG.upper_rad - LEG.lower_rad)
    for mode in MuscleMode:
        state = HillMuscles.of(LEG, mode).evaluate(q, rng.normal(scale=3, size=(n, 3)))
        problem = (state.moment_arm_m, state.optimal_force_n, rng.normal(scale=[60, 60, 80], size=(n, 3)))
        activation, reserve = solve(*problem)
        assert kkt_residual(problem, activation, reserve).max() <= 1e-11
        drive = np.einsum("fmr,fm,fr->fm", problem[0], problem[1], reserve)
        assert np.abs(activation - np.clip(drive, 0.01, 1.0)).max() <= 1e-6


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("reserve_nm", [0.1, 1.0, 10.0])
def test_parity_with_quadprog(rows: int, reserve_nm: float) -> None:
    arm, force, torque = random_problems(60, 9, rows, seed=100 + rows, largest_nm=100.0)
    weight = np.random.default_rng(rows).uniform(0.2, 5.0, 9)
    activation, reserve = solve(arm, force, torque, reserve_nm=reserve_nm, weight=weight)
    for i in range(len(torque)):
        # min w a^2 + (r / rho)^2 over (a, r / rho): the matrix is then of one size throughout.
        cost = np.diag(np.concatenate([weight, np.ones(rows)]))
        equal = np.hstack([(arm[i] * force[i][:, None]).T, reserve_nm * np.eye(rows)])
        bounds = np.hstack([np.vstack([np.eye(9), -np.eye(9)]), np.zeros((18, rows))])
        found = quadprog.solve_qp(
            cost,
            np.zeros(9 + rows),
            np.vstack([equal, bounds]).T,
            np.concatenate([torque[i], np.full(9, 0.01), -np.ones(9)]),
            rows,
        )[0]
        np.testing.assert_allclose(activation[i], found[:9], atol=1e-7)
        np.testing.assert_allclose(reserve[i], found[9:] * reserve_nm, atol=1e-5)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    muscles=st.integers(0, 30),
    rows=st.integers(1, 6),
    lower=st.floats(-1, 0.5),
    span=st.floats(0.01, 10),
    reserve_nm=st.floats(0.5, 1e3),
)
def test_optimal_for_any_bounds_weights_and_reserves(
    seed: int, muscles: int, rows: int, lower: float, span: float, reserve_nm: float
) -> None:
    problem = random_problems(20, muscles, rows, seed)
    weight = 10 ** np.random.default_rng(seed).uniform(-1, 1, (20, muscles))
    settings_ = {"lower": lower, "upper": lower + span, "reserve_nm": reserve_nm, "weight": weight}
    residual = kkt_residual(problem, *solve(*problem, **settings_), **settings_)
    assert residual.max() <= 1e-8


def test_small_reserves_keep_the_digits_that_are_promised() -> None:
    for reserve_nm, promised in ((0.1, 1e-7), (0.01, 1e-5), (0.001, 1e-2)):
        problem = random_problems(5000, 9, 3, seed=21)
        residual = kkt_residual(problem, *solve(*problem, reserve_nm=reserve_nm), reserve_nm=reserve_nm)
        assert residual.max() <= promised


def test_weight_shifts_the_load() -> None:
    """Two equal muscles: the activations are as the inverse weights."""
    activation, _ = solve(np.full((1, 2, 1), 0.05), np.full((1, 2), 1000.0), [[30.0]], weight=[1.0, 3.0])
    assert activation[0, 0] == pytest.approx(3.0 * activation[0, 1], rel=1e-12)


def test_weights_per_frame_and_in_all() -> None:
    problem = random_problems(10, 5, 2, seed=3)
    weight = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(
        solve(*problem, weight=weight)[0], solve(*problem, weight=np.broadcast_to(weight, (10, 5)))[0]
    )


def test_too_much_torque_shows_as_reserve() -> None:
    activation, reserve = solve(np.full((1, 1, 1), 0.05), np.full((1, 1), 1000.0), [[200.0]])
    assert activation[0, 0] == 1.0
    assert reserve[0, 0] == pytest.approx(150.0)


def test_muscles_without_strength_rest_at_the_lower_bound() -> None:
    activation, reserve = solve(np.full((2, 3, 2), 0.05), np.zeros((2, 3)), [[5.0, -7.0], [0.0, 0.0]])
    np.testing.assert_array_equal(activation, 0.01)
    np.testing.assert_array_equal(reserve, [[5.0, -7.0], [0.0, 0.0]])


def test_one_muscle_by_hand() -> None:
    """min a^2 + r^2 with 50 a + r = 20: a = 50 * 20 / 2501."""
    activation, reserve = solve([[[0.05]]], [[1000.0]], [[20.0]])
    assert activation[0, 0] == pytest.approx(1000.0 / 2501.0, rel=1e-13)
    assert reserve[0, 0] == pytest.approx(20.0 - 50000.0 / 2501.0, rel=1e-9)


def test_a_frame_has_the_same_bits_alone_and_among_others() -> None:
    """A replay solves one frame at a time, an evaluation all at once."""
    for muscles, rows in ((9, 3), (43, 4), (6, 2)):
        problem = random_problems(300, muscles, rows, seed=muscles)
        activation, reserve = solve(*problem)
        for i in range(300):
            alone = solve(*(part[i : i + 1] for part in problem))
            np.testing.assert_array_equal(alone[0][0], activation[i])
            np.testing.assert_array_equal(alone[1][0], reserve[i])


def test_share_torque_has_the_same_bits_alone_and_among_others() -> None:
    rng = np.random.default_rng(2)
    q = LEG.lower_rad + rng.random((200, 3)) * (LEG.upper_rad - LEG.lower_rad)
    qd, torque = rng.normal(size=(200, 3)) * 3, rng.normal(size=(200, 3)) * 60
    for mode in MuscleMode:
        muscles = HillMuscles.of(LEG, mode)
        together = share_torque(muscles, q, qd, torque)
        for i in range(200):
            alone = share_torque(muscles, q[i : i + 1], qd[i : i + 1], torque[i : i + 1])
            np.testing.assert_array_equal(alone.activation[0], together.activation[i])
            np.testing.assert_array_equal(alone.force_n[0], together.force_n[i])
            np.testing.assert_array_equal(alone.reserve_nm[0], together.reserve_nm[i])


def test_share_torque_balances_the_torque() -> None:
    rng = np.random.default_rng(4)
    q = LEG.lower_rad + rng.random((100, 3)) * (LEG.upper_rad - LEG.lower_rad)
    torque = rng.normal(size=(100, 3)) * 50
    solution = share_torque(HillMuscles.of(LEG), q, np.zeros_like(q), torque)
    carried = np.einsum("fmr,fm->fr", solution.state.moment_arm_m, solution.force_n)
    np.testing.assert_allclose(carried + solution.reserve_nm, torque, atol=1e-9)


def test_no_frames_and_no_muscles() -> None:
    activation, reserve = solve(np.zeros((0, 9, 3)), np.zeros((0, 9)), np.zeros((0, 3)))
    assert activation.shape == (0, 9)
    assert reserve.shape == (0, 3)
    activation, reserve = solve(np.zeros((2, 0, 3)), np.zeros((2, 0)), np.ones((2, 3)))
    assert activation.shape == (2, 0)
    np.testing.assert_array_equal(reserve, 1.0)


def test_input_is_left_alone() -> None:
    problem = random_problems(50, 9, 3, seed=5)
    before = [part.copy() for part in problem]
    solve(*problem)
    for part, old in zip(problem, before, strict=True):
        np.testing.assert_array_equal(part, old)


@pytest.mark.parametrize(
    "shapes",
    [
        ((4, 9, 3), (4, 9), (4, 2)),
        ((4, 9, 3), (4, 8), (4, 3)),
        ((4, 9, 3), (5, 9), (4, 3)),
        ((4, 9, 3), (4, 9), (5, 3)),
        ((9, 3), (9,), (3,)),
        ((4, 9, 3), (4, 9), (3,)),
        ((4, 9, 0), (4, 9), (4, 0)),
    ],
)
def test_wrong_shapes(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match=r"row|fit"):
        solve(*(np.ones(shape) for shape in shapes))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_non_finite_input(bad: float, where: int) -> None:
    problem = random_problems(3, 9, 3, seed=6)
    problem[where].reshape(-1)[4] = bad
    with pytest.raises(ValueError, match="finite"):
        solve(*problem)


@pytest.mark.parametrize(
    "arguments",
    [
        {"lower": 1.0},
        {"lower": 0.5, "upper": 0.2},
        {"upper": np.inf},
        {"lower": -np.inf},
        {"lower": np.nan},
        {"upper": np.nan},
        {"reserve_nm": 0.0},
        {"reserve_nm": -1.0},
        {"reserve_nm": 1e-4},
        {"reserve_nm": np.nan},
        {"reserve_nm": np.inf},
        {"weight": 0.0},
        {"weight": -1.0},
        {"weight": np.nan},
        {"weight": np.inf},
        {"weight": np.ones(8)},
        {"weight": np.ones((2, 9))},
    ],
)
def test_wrong_bounds_reserves_and_weights(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"static optimisation|broadcast"):
        solve(*random_problems(3, 9, 3, seed=7), **arguments)


def test_one_frame_costs_well_under_a_tick() -> None:
    """Typically 0.25 ms: at 100 Hz a fortieth of the period. The fastest of many, as other processes disturb."""
    rng = np.random.default_rng(8)
    muscles = HillMuscles.of(LEG)
    q = LEG.lower_rad + rng.random((1, 3)) * (LEG.upper_rad - LEG.lower_rad)
    torque = rng.normal(size=(1, 3)) * 40
    times = []
    for _ in range(100):
        start = time.perf_counter()
        share_torque(muscles, q, np.zeros((1, 3)), torque)
        times.append(time.perf_counter() - start)
    print(f"share_torque, one frame: fastest {min(times) * 1e6:.0f} us, median {np.median(times) * 1e6:.0f} us")
    assert min(times) < 1e-3
