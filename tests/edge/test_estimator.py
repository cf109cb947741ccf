from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import tiny_bundle, tiny_network

from edge.bundle import Bundle
from edge.errors import EngineError
from edge.estimator import Estimate, Estimator
from edge.msk.dynamics import Kinematics, inverse_dynamics
from edge.msk.hill import HillMuscles
from edge.msk.model import load_model
from edge.msk.staticopt import solve
from edge.signals.intake import KinematicState, features, stack

MODEL = load_model("leg9")
FEATURES = 13
WINDOW = 4
PATH = Path("subject.msk")


def states(count: int, *, seed: int = 0) -> list[KinematicState]:
    """A random smooth motion inside the model's range."""
    rng = np.random.default_rng(seed)
    middle, half = (MODEL.lower_rad + MODEL.upper_rad) / 2, (MODEL.upper_rad - MODEL.lower_rad) / 2
    phase, speed = rng.uniform(0, 6, 3), rng.uniform(0.5, 1.0, 3)
    found = []
    for k in range(count):
        t = k / 100
        found.append(
            KinematicState(
                t_s=t,
                q=middle + 0.5 * half * np.sin(speed * t + phase),
                qd=0.5 * half * speed * np.cos(speed * t + phase),
                qdd=-0.5 * half * speed**2 * np.sin(speed * t + phase),
                tilt=0.2 * np.sin(t),
                tilt_rate=0.2 * np.cos(t),
                tilt_acceleration=-0.2 * np.sin(t),
                base_acceleration=rng.normal(size=2),
                restarted=k == 0,
            )
        )
    return found


def bundle(head: Any, *, look_ahead: int = 1, weight: np.ndarray | None = None, bias: float = 0.0) -> Bundle:
    outputs = 9 if head == "activation" else 3
    network = tiny_network(FEATURES, outputs, window=WINDOW, weight=weight, bias=bias)
    return tiny_bundle(PATH, network=network, head=head, window=WINDOW, look_ahead=look_ahead)


def run(target: Estimator, motion: list[KinematicState]) -> list[Estimate]:
    return [estimate for state in motion if (estimate := target.step(state)) is not None]


def weight_of(outputs: int, scale: float) -> np.ndarray:
    return np.random.default_rng(9).normal(0.0, scale, (WINDOW * FEATURES, outputs))


def network_by_hand(motion: list[KinematicState], last: int, weight: np.ndarray) -> np.ndarray:
    window = features(stack(motion[last - WINDOW + 1 : last + 1])).astype(np.float32)
    answer: np.ndarray = window.ravel() @ weight.astype(np.float32)
    return answer.astype(np.float64)


def shared_by_hand(state: KinematicState, torque: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    muscles = HillMuscles.of(MODEL).evaluate(state.q[None], state.qd[None])
    passive = muscles.moment_arm_m[0].T @ muscles.passive_force_n[0]
    activation, reserve = solve(muscles.moment_arm_m, muscles.optimal_force_n, (torque - passive)[None])
    return activation[0], activation[0] * muscles.optimal_force_n[0] + muscles.passive_force_n[0], reserve[0]


def test_a_row_outside_the_plane_is_the_network_s_alone() -> None:
    """Hip adduction has no inverse dynamics here: a residual network gives all of it."""
    leg = load_model("leg32")
    motion, weight = states(WINDOW), weight_of(4, 0.005)
    network = tiny_network(FEATURES, 4, window=WINDOW, weight=weight)
    target = Estimator(tiny_bundle(PATH, network=network, window=WINDOW, look_ahead=0, model_name="leg32"))
    (estimate,) = run(target, motion)
    answer = network_by_hand(motion, WINDOW - 1, weight) * leg.torque_scale_nm
    free = inverse_dynamics(leg, stack([motion[-1]]))[0]
    np.testing.assert_allclose(estimate.torque_nm, answer + np.append(free, 0.0), atol=2e-4)
    assert estimate.activation.shape == (32,)
    assert estimate.reserve_nm.shape == (4,)


@pytest.mark.parametrize("head", ["residual", "torque"])
@pytest.mark.parametrize("look_ahead", [0, 1, 3])
def test_torque_heads_by_hand(head: str, look_ahead: int) -> None:
    weight, motion = weight_of(3, 0.005), states(30)
    estimates = run(Estimator(bundle(head, look_ahead=look_ahead, weight=weight)), motion)
    assert len(estimates) == 30 - WINDOW + 1
    for i, estimate in enumerate(estimates):
        last = i + WINDOW - 1
        described = motion[last - look_ahead]
        torque = network_by_hand(motion, last, weight) * MODEL.torque_scale_nm
        if head == "residual":
            torque = torque + inverse_dynamics(MODEL, stack([described]))[0]
        activation, force, reserve = shared_by_hand(described, torque)
        assert (estimate.index, estimate.time_s, estimate.valid) == (i, described.t_s, True)
        for name in ("q", "qd", "qdd"):
            np.testing.assert_array_equal(getattr(estimate, name), getattr(described, name))
        np.testing.assert_allclose(estimate.torque_nm, torque, atol=2e-4)  # the network is float32
        np.testing.assert_allclose(estimate.activation, activation, atol=1e-5)
        np.testing.assert_allclose(estimate.force_n, force, atol=1e-2)
        np.testing.assert_allclose(estimate.reserve_nm, reserve, atol=1e-4)
        # The muscles, and what they leave, carry the torque.
        arms = HillMuscles.of(MODEL).evaluate(described.q, described.qd).moment_arm_m
        np.testing.assert_allclose(arms.T @ estimate.force_n + estimate.reserve_nm, estimate.torque_nm, atol=1e-9)


def test_a_silent_residual_network_leaves_exact_inverse_dynamics() -> None:
    motion = states(20)
    silent = np.zeros((WINDOW * FEATURES, 3))
    for estimate, described in zip(
        run(Estimator(bundle("residual", look_ahead=0, weight=silent)), motion), motion[WINDOW - 1 :], strict=True
    ):
        np.testing.assert_array_equal(estimate.torque_nm, inverse_dynamics(MODEL, stack([described]))[0])


def test_activation_head_by_hand() -> None:
    weight, motion = weight_of(9, 0.05), states(30)
    estimates = run(Estimator(bundle("activation", weight=weight)), motion)
    raw = np.array([network_by_hand(motion, i + WINDOW - 1, weight) for i in range(len(estimates))])
    assert raw.min() < 0  # what is outside of 0 to 1 is cut
    muscles = HillMuscles.of(MODEL)
    for estimate, answer, described in zip(estimates, raw, motion[WINDOW - 2 :], strict=False):
        state = muscles.evaluate(described.q, described.qd)
        np.testing.assert_allclose(estimate.activation, np.clip(answer, 0.0, 1.0), atol=1e-5)
        force = estimate.activation * state.optimal_force_n + state.passive_force_n
        np.testing.assert_allclose(estimate.force_n, force)
        np.testing.assert_allclose(estimate.torque_nm, state.moment_arm_m.T @ force)
        np.testing.assert_array_equal(estimate.reserve_nm, np.zeros(3))


def test_a_restart_refills_the_window_and_nothing_old_is_left() -> None:
    weight = weight_of(3, 0.005)
    motion = states(30)
    later = states(12, seed=5)
    target = Estimator(bundle("residual", weight=weight))
    run(target, motion)
    after = [target.step(state) for state in later]
    assert [e is None for e in after] == [k < WINDOW - 1 for k in range(12)]
    fresh = run(Estimator(bundle("residual", weight=weight)), later)
    for a, b in zip([e for e in after if e is not None], fresh, strict=True):
        assert a.index == b.index + 27  # the count goes on
        for name in ("torque_nm", "activation", "force_n", "reserve_nm"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()


def test_a_restart_while_the_window_fills() -> None:
    target = Estimator(bundle("residual"))
    motion = states(20)
    cut = [replace(state, restarted=k in (0, 2)) for k, state in enumerate(motion)]
    assert [target.step(state) is None for state in cut] == [k < 2 + WINDOW - 1 for k in range(20)]


@pytest.mark.parametrize("joint", range(3))
@pytest.mark.parametrize("side", [-1, 1])
def test_outside_the_range_of_the_geometry_an_estimate_is_not_valid(joint: int, side: int) -> None:
    motion = states(WINDOW)
    q = motion[-1].q.copy()
    limit = (MODEL.lower_rad, MODEL.upper_rad)[side > 0][joint]
    for excess, valid in ((-1e-9, True), (1e-6, False), (0.5, False)):
        q[joint] = limit + side * excess
        estimates = run(Estimator(bundle("residual", look_ahead=0)), [*motion[:-1], replace(motion[-1], q=q.copy())])
        assert estimates[-1].valid is valid
        assert np.isfinite(estimates[-1].force_n).all()


def test_a_network_that_fails_says_so() -> None:
    weight = weight_of(3, 1.0)
    weight[0] = 1e38
    target = Estimator(bundle("torque", weight=weight))
    motion = [replace(state, q=state.q + 100.0) for state in states(WINDOW)]
    with pytest.raises(EngineError, match=r"subject\.msk: the network gave a value that is not a number"):
        run(target, motion)


def test_features_and_states_of_a_wrong_model_are_told_at_the_start() -> None:
    wrong = tiny_bundle(PATH, network=tiny_network(FEATURES, 4), head="residual")
    with pytest.raises(EngineError, match="the network takes"):
        Estimator(wrong)


def test_what_was_given_out_is_not_changed_later() -> None:
    target, motion = Estimator(bundle("residual")), states(20)
    first = run(target, motion[:WINDOW])[0]
    kept = {name: getattr(first, name).copy() for name in ("q", "torque_nm", "activation", "force_n", "reserve_nm")}
    run(target, motion[WINDOW:])
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(first, name), value)


def test_stacked_states_are_kinematics() -> None:
    assert isinstance(stack(states(2)), Kinematics)
