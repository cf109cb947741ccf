from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from demo_people import CAUSAL, ZERO_PHASE, material_of, people

from edge.manifest import Head
from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.staticopt import LOWER_ACTIVATION, optimise, share_torque
from train import estimates
from train.answers import wanted_answer
from train.baselines import KernelRidge
from train.estimates import BASELINES, Answers, average, baseline, figures, resolve, truth
from train.material import Material

MODE = MuscleMode.CORRECT
OF_TORQUE: tuple[Head, ...] = ("residual", "contact", "torque")


def exact_multipliers(material: Material) -> np.ndarray:
    """Of static optimisation at the state that the material knows, as a dual network would answer them."""
    arms = np.swapaxes(material.gather("torque_per_activation"), 1, 2)
    active = material.gather("torque") - material.gather("passive_torque")
    return optimise(arms, np.ones(arms.shape[:2]), active).multiplier * material.scale_nm


@pytest.mark.parametrize("inputs", ["zero-phase", "causal"])
@pytest.mark.parametrize("model", ["leg9", "leg32"])
@pytest.mark.parametrize("head", OF_TORQUE)
def test_what_is_wanted_of_a_head_gives_the_exact_torques(head: Head, model: str, inputs: str) -> None:
    material = material_of("ab", inputs, model=model)
    answers = resolve(head, wanted_answer(head, material.stretches, material.windows), material, MODE)
    np.testing.assert_allclose(answers.torque_nm, material.gather("torque"), atol=1e-9)
    np.testing.assert_array_equal(answers.time_s, material.windows.time_s)
    # Each person's torques are shared among their own muscles.
    for s, stretch in enumerate(material.stretches):
        own = material.windows.stretch == s
        motion = material.take(own).motion
        solution = share_torque(HillMuscles.of(stretch.trial.model, MODE), motion.q, motion.qd, answers.torque_nm[own])
        np.testing.assert_allclose(answers.activation[own], solution.activation, atol=1e-9)
        np.testing.assert_allclose(answers.force_n[own], solution.force_n, atol=1e-6)


def test_answers_are_alike_in_people_who_differ_in_mass_alone() -> None:
    """They are divided by mass x gravity x leg length: two who do the same, one of them heavier in every part."""
    (one,) = people("a")
    heavier = replace(
        one.model,
        mass_kg=2.0 * one.model.mass_kg,
        segments=tuple(
            replace(s, mass_kg=2.0 * s.mass_kg, inertia_kg_m2=2.0 * s.inertia_kg_m2) for s in one.model.segments
        ),
    )
    reaction = one.ground_reaction
    assert reaction is not None
    doubled = replace(reaction, force_n=2.0 * reaction.force_n, moment_nm=2.0 * reaction.moment_nm)
    other = replace(one, subject="b", model=heavier, ground_reaction=doubled)
    material = Material.of([one, other], ZERO_PHASE)
    half = len(material) // 2
    for head in OF_TORQUE:
        wanted = wanted_answer(head, material.stretches, material.windows)
        np.testing.assert_allclose(wanted[:half], wanted[half:], atol=1e-9)


@pytest.mark.parametrize("inputs", ["zero-phase", "causal"])
def test_exact_multipliers_give_the_activations_of_static_optimisation(inputs: str) -> None:
    material = material_of("ab", inputs)
    by_torque = estimates.from_torque(material.gather("torque"), material, MODE)
    answers = resolve("dual", exact_multipliers(material), material, MODE)
    np.testing.assert_allclose(answers.activation, by_torque.activation, atol=1e-8)
    np.testing.assert_allclose(answers.force_n, by_torque.force_n, atol=1e-4)
    assert answers.activation.min() == pytest.approx(LOWER_ACTIVATION)
    # No reserve carries anything: what the muscles make is the torque, where they are strong enough.
    np.testing.assert_allclose(answers.torque_nm, by_torque.torque_nm, atol=0.05)


def test_activations_make_hill_forces_and_the_torques_that_these_add_up_to() -> None:
    material = material_of("ab")
    raw = np.random.default_rng(0).normal(0.3, 0.4, (len(material), 9))
    # Outputs that only training uses follow the activations.
    answers = resolve("activation", np.hstack([raw, np.full_like(raw, 7.0)]), material, MODE)
    np.testing.assert_array_equal(answers.activation, np.clip(raw, 0.0, 1.0))
    for i in (0, len(material) - 1):
        muscles = HillMuscles.of(material.stretches[material.windows.stretch[i]].trial.model, MODE)
        state = muscles.evaluate(material.motion.q[i : i + 1], material.motion.qd[i : i + 1])
        force = answers.activation[i] * state.optimal_force_n[0] + state.passive_force_n[0]
        np.testing.assert_allclose(answers.force_n[i], force)
        np.testing.assert_allclose(answers.torque_nm[i], state.moment_arm_m[0].T @ force, rtol=1e-9)


def test_the_truth_is_physics_alone() -> None:
    """Zero-phase dynamics and muscles, whatever the inputs of the material."""
    causal = material_of("ab", "causal")
    reference = truth(causal, MODE)
    np.testing.assert_array_equal(reference.torque_nm, causal.gather("torque"))
    last = causal.windows.stretch == 1
    trial = causal.stretches[1].trial
    muscles = HillMuscles.of(trial.model, MODE)
    times = causal.windows.time_s[last]
    solution = share_torque(muscles, *trial.muscle_angles(times), trial.torque(times))
    np.testing.assert_allclose(reference.activation[last], solution.activation, atol=1e-9)
    perfect = figures(reference, reference, causal)
    assert perfect["pooled"]["activation_r2"] == pytest.approx(1.0)
    assert perfect["torque_rmse_nm"] == {"hip": 0.0, "knee": 0.0, "ankle": 0.0}
    off = figures(reference, replace(reference, torque_nm=reference.torque_nm + np.array([1.0, 0.0, -2.0])), causal)
    assert off["torque_rmse_nm"] == pytest.approx({"hip": 1.0, "knee": 0.0, "ankle": 2.0})


def answers_of(material: Material, activation: float, torque_nm: float) -> Answers:
    shape = len(material), 9
    return Answers(
        material.windows.time_s,
        np.full((len(material), 3), torque_nm),
        np.full(shape, activation),
        np.zeros(shape),
    )


def test_torques_are_averaged_and_shared_once() -> None:
    material = material_of()
    one, other = (estimates.from_torque(material.gather("torque") + nm, material, MODE) for nm in (10.0, -10.0))
    together = average([one, other], material, MODE)
    np.testing.assert_allclose(together.torque_nm, material.gather("torque"), atol=1e-9)
    np.testing.assert_allclose(
        together.activation, estimates.from_torque(material.gather("torque"), material, MODE).activation, atol=1e-6
    )
    assert average([one], material, MODE) is one


def test_activations_are_averaged_with_what_the_torques_come_to() -> None:
    material = material_of()
    torques = [estimates.from_torque(material.gather("torque") + nm, material, MODE) for nm in (0.0, 0.0)]
    heads: tuple[Head, ...] = ("torque", "activation", "residual", "dual")
    said = [torques[0], answers_of(material, 0.2, 1e3), torques[1], answers_of(material, 0.8, 1e3)]
    together = average(said, material, MODE, heads=heads)
    np.testing.assert_allclose(together.activation, 0.5 * torques[0].activation + 0.25, atol=1e-9)
    np.testing.assert_allclose(
        together.torque_nm, estimates.from_activation(together.activation, material, MODE).torque_nm
    )
    # Of activations alone.
    alone = average([said[1], said[3]], material, MODE, heads=("activation", "dual"))
    np.testing.assert_allclose(alone.activation, 0.5)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("head", ["residual", "contact", "torque", "dual", "activation"])
def test_a_baseline_remembers_what_it_was_shown(name: str, head: Head) -> None:
    material = material_of("ab")
    recipe = replace(ZERO_PHASE, head=head)
    answers = baseline(name, material, material, recipe)
    assert figures(truth(material, MODE), answers, material)["pooled"]["activation_r2"] > 0.97


def test_neighbours_answer_as_those_nearest_did() -> None:
    """Told of one moment, each window gets its answer, with its own person's mass."""
    known, asked = material_of("a"), material_of("c", seconds=1.0)
    one = known.take(np.array([40, 40, 40]))
    answers = baseline("nearest_neighbours", one, asked, replace(ZERO_PHASE, head="torque"))
    expected = one.gather("torque")[0] / one.scale_nm[0] * asked.scale_nm
    np.testing.assert_allclose(answers.torque_nm, expected)


def test_where_the_contact_was_not_measured_a_baseline_learns_what_is_missing() -> None:
    (trial,) = people()
    known = trial.torque(trial.time_s)
    given = {row: (trial.time_s, known[:, i]) for i, row in enumerate(trial.model.joint_names)}
    material = Material.of([replace(trial, ground_reaction=None, torques=given)], ZERO_PHASE)
    found, expected = (
        baseline("nearest_neighbours", material, material, replace(ZERO_PHASE, head=head))
        for head in ("contact", "residual")
    )
    np.testing.assert_array_equal(found.torque_nm, expected.torque_nm)


def test_the_ridge_is_tuned_on_other_people_where_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned: list[tuple[np.ndarray, np.ndarray]] = []
    ridge = KernelRidge

    def listen(feature: np.ndarray, wanted: np.ndarray, *, tune: Any) -> KernelRidge:
        tuned.append(tune)
        return ridge(feature, wanted, tune=tune)

    monkeypatch.setattr(estimates, "KernelRidge", listen)
    many, few = material_of("abcde", seconds=0.5), material_of("abcd", seconds=0.5)
    for material in (many, few):
        estimates.Baseline("kernel_ridge", material, ZERO_PHASE)
    (train, judge), (_, at_the_end) = tuned
    assert set(many.people[train]).isdisjoint(many.people[judge])
    assert set(few.people[at_the_end]) == set("abcd")


def test_people_of_whom_little_is_known_count_more_in_baselines_too(monkeypatch: pytest.MonkeyPatch) -> None:
    material = material_of("ab")
    less = material.take((material.people == "a") | (np.arange(len(material)) % 10 == 0))
    seen: list[int] = []
    monkeypatch.setattr(estimates, "NearestNeighbours", lambda feature, wanted: seen.append(len(np.unique(wanted))))
    for even in (False, True):
        estimates.Baseline("nearest_neighbours", less, replace(CAUSAL, head="torque", even_people=even))
    assert seen[1] < seen[0] == 3 * len(less)


def test_no_other_baseline() -> None:
    with pytest.raises(ValueError, match="'lasso'"):
        baseline("lasso", material_of(), material_of(), ZERO_PHASE)
