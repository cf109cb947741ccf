from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from tiny_bundle import tiny_bundle, tiny_network, tiny_novelty, with_tiny_member

from edge.bundle import Bundle
from edge.errors import EngineError
from edge.estimator import Estimate, Estimator
from edge.msk.chain import joint_centers
from edge.msk.dynamics import ExternalForce, Kinematics, inverse_dynamics
from edge.msk.hill import HillMuscles
from edge.msk.model import load_model
from edge.msk.staticopt import optimise, solve
from edge.signals.features import Signals, View
from edge.signals.intake import KinematicState, stack

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
                sensed=rng.normal(0.0, 0.3, 7),
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


def network_by_hand(
    motion: list[KinematicState], last: int, weight: np.ndarray, view: View | None = None, length: int = WINDOW
) -> np.ndarray:
    seen = motion[last - length + 1 : last + 1]
    window = (view or View()).table(MODEL, stack(seen), np.array([s.sensed for s in seen])).astype(np.float32)
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


def test_dual_head_by_hand() -> None:
    weight, motion = weight_of(3, 0.02), states(30)
    estimates = run(Estimator(bundle("dual", weight=weight)), motion)
    muscles = HillMuscles.of(MODEL)
    for i, (estimate, described) in enumerate(zip(estimates, motion[WINDOW - 2 :], strict=False)):
        multiplier = network_by_hand(motion, i + WINDOW - 1, weight) / MODEL.torque_scale_nm
        state = muscles.evaluate(described.q, described.qd)
        strength = state.moment_arm_m * state.optimal_force_n[:, None]  # (muscles, rows), B^T
        np.testing.assert_allclose(estimate.activation, np.clip(strength @ multiplier, 0.01, 1.0), atol=1e-4)
        force = estimate.activation * state.optimal_force_n + state.passive_force_n
        np.testing.assert_allclose(estimate.force_n, force)
        np.testing.assert_allclose(estimate.torque_nm, state.moment_arm_m.T @ force)
        np.testing.assert_array_equal(estimate.reserve_nm, np.zeros(3))
    assert {0.01} < {round(a, 9) for e in estimates for a in e.activation}


def test_a_dual_network_that_knows_the_multipliers_says_what_static_optimisation_does() -> None:
    described = states(WINDOW)[-1]
    state = HillMuscles.of(MODEL).evaluate(described.q[None], described.qd[None])
    torque = np.array([[30.0, -20.0, 15.0]])
    optimum = optimise(state.moment_arm_m, state.optimal_force_n, torque)
    constant = tiny_network(
        FEATURES,
        3,
        window=WINDOW,
        weight=np.zeros((WINDOW * FEATURES, 3)),
        bias=optimum.multiplier[0] * MODEL.torque_scale_nm,
    )
    own = tiny_bundle(PATH, network=constant, head="dual", window=WINDOW, look_ahead=0)
    (estimate,) = run(Estimator(own), states(WINDOW))
    np.testing.assert_allclose(estimate.activation, optimum.activation[0], atol=1e-6)


VIEWS = [View(signals, pelvis) for signals in get_args(Signals) for pelvis in (True, False)]


@pytest.mark.parametrize("view", VIEWS)
def test_a_network_sees_its_own_view(view: View) -> None:
    width, motion = view.width(3), states(12)
    weight = np.random.default_rng(2).normal(0.0, 0.005, (WINDOW * width, 3))
    network = tiny_network(width, 3, window=WINDOW, weight=weight)
    own = tiny_bundle(
        PATH,
        network=network,
        head="torque",
        window=WINDOW,
        signals=view.signals,
        pelvis=view.pelvis,
    )
    for i, estimate in enumerate(run(Estimator(own), motion)):
        torque = network_by_hand(motion, i + WINDOW - 1, weight, view) * MODEL.torque_scale_nm
        np.testing.assert_allclose(estimate.torque_nm, torque, atol=2e-4)


@pytest.mark.parametrize("pelvis", [True, False])
def test_contact_head_by_hand(pelvis: bool) -> None:
    """The torques of the force and the moment that the network answers, and of what it adds to each row."""
    view = View("segments", pelvis)
    weight = np.random.default_rng(3).normal(0.0, 0.001, (WINDOW * view.width(3), 6))
    network = tiny_network(view.width(3), 6, window=WINDOW, weight=weight)
    own = tiny_bundle(PATH, network=network, head="contact", window=WINDOW, signals="segments", pelvis=pelvis)
    motion = states(30)
    for i, estimate in enumerate(run(Estimator(own), motion)):
        described = stack([motion[i + WINDOW - 2]])
        answer = network_by_hand(motion, i + WINDOW - 1, weight, view)
        weight_n = MODEL.torque_scale_nm / MODEL.leg_length_m
        seen = described if pelvis else Kinematics.on_fixed_base(described.q, described.qd, described.qdd)
        ankle = joint_centers(MODEL, seen.q, seen.tilt)[:, -1]
        contact = ExternalForce(answer[None, :2] * weight_n, ankle, answer[None, 2] * MODEL.torque_scale_nm)
        torque = inverse_dynamics(MODEL, seen, contact)[0] + answer[3:] * MODEL.torque_scale_nm
        activation, force, reserve = shared_by_hand(motion[i + WINDOW - 2], torque)
        np.testing.assert_allclose(estimate.torque_nm, torque, atol=5e-4)
        np.testing.assert_allclose(estimate.activation, activation, atol=1e-5)
        np.testing.assert_allclose(estimate.force_n, force, atol=2e-2)
        np.testing.assert_allclose(estimate.reserve_nm, reserve, atol=1e-4)


def test_without_a_pelvis_a_residual_network_adds_to_an_upright_base_at_rest() -> None:
    """Also where others measure it: that is how the network was trained."""
    width, motion = View(pelvis=False).width(3), states(WINDOW)
    silent = tiny_network(width, 3, window=WINDOW, weight=np.zeros((WINDOW * width, 3)))
    own = tiny_bundle(PATH, network=silent, window=WINDOW, look_ahead=0, pelvis=False)
    (estimate,) = run(Estimator(own), motion)
    last = motion[-1]
    expected = inverse_dynamics(MODEL, Kinematics.on_fixed_base(last.q[None], last.qd[None], last.qdd[None]))[0]
    np.testing.assert_array_equal(estimate.torque_nm, expected)
    both = with_tiny_member(
        own,
        network=tiny_network(FEATURES, 3, window=WINDOW, weight=np.zeros((WINDOW * FEATURES, 3))),
        window=WINDOW,
        look_ahead=0,
    )
    (mixed,) = run(Estimator(both), motion)
    measured = inverse_dynamics(MODEL, stack([last]))[0]
    np.testing.assert_allclose(mixed.torque_nm, 0.5 * (measured + expected), rtol=1e-12)


def members(*kinds: tuple[str, View, int, float]) -> tuple[Bundle, list[np.ndarray]]:
    """A bundle of members, each by head, view, window and weight, and what its network is."""
    rng, networks, made = np.random.default_rng(7), [], None
    for head, view, window, weight in kinds:
        outputs = 9 if head == "activation" else 3
        matrix = rng.normal(0.0, 0.01, (window * view.width(3), outputs))
        network = tiny_network(view.width(3), outputs, window=window, weight=matrix)
        settings: dict[str, Any] = {
            **{"head": head, "window": window, "weight": weight, "look_ahead": 1, "network": network},
            **{"signals": view.signals, "pelvis": view.pelvis},
        }
        made = tiny_bundle(PATH, **settings) if made is None else with_tiny_member(made, **settings)
        networks.append(matrix)
    assert made is not None
    return made, networks


def test_torques_of_several_members_are_averaged_and_shared_once() -> None:
    kinds = (
        ("residual", View(), 4, 1.0),
        ("torque", View("raw"), 6, 2.0),
        ("torque", View("raw", pelvis=False), 3, 0.5),
        ("residual", View(), 5, 0.5),
    )
    made, networks = members(*kinds)
    motion = states(25)
    estimates = run(Estimator(made), motion)
    assert len(estimates) == 25 - 5  # the longest window must be full
    for i, estimate in enumerate(estimates):
        last = i + 5
        described = motion[last - 1]
        torque = np.zeros(3)
        for (head, view, window, weight), network in zip(kinds, networks, strict=True):
            own = network_by_hand(motion, last, network, view, window) * MODEL.torque_scale_nm
            if head == "residual":
                own = own + inverse_dynamics(MODEL, stack([described]))[0]
            torque += weight / 4.0 * own
        activation, force, reserve = shared_by_hand(described, torque)
        assert estimate.time_s == described.t_s
        np.testing.assert_allclose(estimate.torque_nm, torque, atol=5e-4)
        np.testing.assert_allclose(estimate.activation, activation, atol=2e-5)
        np.testing.assert_allclose(estimate.force_n, force, atol=2e-2)
        np.testing.assert_allclose(estimate.reserve_nm, reserve, atol=1e-4)


def test_torques_and_activations_meet_in_the_activations() -> None:
    kinds = (("activation", View(), 4, 1.0), ("torque", View(), 5, 2.0), ("dual", View("raw"), 4, 3.0))
    made, networks = members(*kinds)
    motion = states(15)
    muscles = HillMuscles.of(MODEL)
    for i, estimate in enumerate(run(Estimator(made), motion)):
        last = i + 4
        described = motion[last - 1]
        state = muscles.evaluate(described.q, described.qd)
        said = [
            network_by_hand(motion, last, network, view, window)
            for (_, view, window, _), network in zip(kinds, networks, strict=True)
        ]
        shared, _, _ = shared_by_hand(described, said[1] * MODEL.torque_scale_nm)
        drive = (state.moment_arm_m * state.optimal_force_n[:, None]) @ (said[2] / MODEL.torque_scale_nm)
        activation = (np.clip(said[0], 0.0, 1.0) + 2.0 * shared + 3.0 * np.clip(drive, 0.01, 1.0)) / 6.0
        np.testing.assert_allclose(estimate.activation, activation, atol=1e-4)
        force = estimate.activation * state.optimal_force_n + state.passive_force_n
        np.testing.assert_allclose(estimate.force_n, force)
        np.testing.assert_allclose(estimate.torque_nm, state.moment_arm_m.T @ force)
        np.testing.assert_array_equal(estimate.reserve_nm, np.zeros(3))


def test_equal_members_are_as_one() -> None:
    weight, motion = weight_of(3, 0.005), states(20)
    one = bundle("residual", weight=weight)
    two = with_tiny_member(one, network=one.network, window=WINDOW, look_ahead=1)
    for a, b in zip(run(Estimator(one), motion), run(Estimator(two), motion), strict=True):
        np.testing.assert_allclose(a.activation, b.activation, atol=1e-12)


def test_the_start_of_static_optimisation_changes_nothing() -> None:
    """It begins where the moment before ended; each moment alone gives the same, in and beyond the muscles' strength."""
    for scale in (0.005, 0.2):
        weight, motion = weight_of(3, scale), states(15)
        estimates = run(Estimator(bundle("residual", look_ahead=0, weight=weight)), motion)
        for i, estimate in enumerate(estimates):
            alone = run(Estimator(bundle("residual", look_ahead=0, weight=weight)), motion[i : i + WINDOW])[0]
            assert alone.torque_nm.tobytes() == estimate.torque_nm.tobytes()
            np.testing.assert_allclose(alone.activation, estimate.activation, atol=1e-9)
            np.testing.assert_allclose(alone.reserve_nm, estimate.reserve_nm, rtol=1e-9, atol=1e-8)
    assert any(np.abs(e.reserve_nm).max() > 1.0 for e in estimates)


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


def test_without_a_score_every_movement_is_familiar() -> None:
    for estimate in run(Estimator(bundle("residual")), states(10)):
        assert np.isnan(estimate.novelty)
        assert estimate.familiar


def test_movement_unlike_the_training_is_not_valid_as_long_as_it_is_held() -> None:
    """One state is new, among 120 that are not: half a second is refused from the first window that has it."""
    motion = states(120)
    lengths = [
        np.linalg.norm(View().table(MODEL, stack(motion[i - 3 : i + 1]), np.zeros((4, 7)))) for i in range(3, 120)
    ]
    wild = replace(motion[50], base_acceleration=np.array([100.0, 0.0]))
    radius = 1.5 * max(lengths)
    part = tiny_novelty(WINDOW, FEATURES, radius=radius, hold_s=0.5).to_bytes()
    target = Estimator(replace(bundle("residual"), novelty_part=part))
    new = range(50 - 3, 50 - 3 + WINDOW)  # windows with that state, by index
    for i, estimate in enumerate(run(target, [*motion[:50], wild, *motion[51:]])):
        familiar = not new[0] <= i < new[-1] + 50
        assert (estimate.familiar, estimate.valid) == (familiar, familiar)
        if familiar:
            assert estimate.novelty == pytest.approx(max(lengths[max(i - 49, 0) : i + 1]) / radius, rel=1e-5)
        else:
            assert estimate.novelty > 1.0


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
