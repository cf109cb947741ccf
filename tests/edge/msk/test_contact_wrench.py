from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_chains import planar_chain, random_motion

from edge.msk.chain import joint_centers
from edge.msk.contact_wrench import COMPONENTS, contact_answer, contact_map, torque_per_wrench, wrench_of
from edge.msk.dynamics import ExternalForce, Kinematics, inverse_dynamics
from edge.msk.model import Model, load_model

FRAMES = 6


def random_external(frames: int, seed: int) -> ExternalForce:
    rng = np.random.default_rng(seed)
    return ExternalForce(
        rng.normal(size=(frames, 2)) * 500.0, rng.normal(size=(frames, 2)), rng.normal(size=frames) * 20.0
    )


def motion_of(model: Model, seed: int) -> Kinematics:
    """Random states within the range of the model's joints, wherever its joints' centres are splines too."""
    motion, rng = random_motion(len(model.joints), FRAMES, seed), np.random.default_rng(seed + 1)
    q = rng.uniform(model.lower_rad, model.upper_rad, motion.q.shape)
    return Kinematics(
        q,
        motion.qd,
        motion.qdd,
        motion.tilt,
        motion.tilt_rate,
        motion.tilt_acceleration,
        motion.base_acceleration,
    )


# leg9's knee centre glides; chains of one to five joints have centres that glide a lot.
MODELS = [
    *(load_model(name) for name in ("leg9", "knee13", "elbow5", "leg32")),
    *(planar_chain(n, seed=n) for n in (1, 2, 5)),
]


@pytest.mark.parametrize("model", MODELS, ids=[model.name for model in MODELS])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_force_and_a_moment_at_the_last_joint_have_the_torques_of_the_contact(model: Model, seed: int) -> None:
    motion, external = motion_of(model, seed), random_external(FRAMES, seed)
    wrench = wrench_of(model, motion.q, motion.tilt, external)
    assert wrench.shape == (FRAMES, len(COMPONENTS))
    np.testing.assert_array_equal(wrench[:, :2], external.force_n)
    added = np.einsum("fjc,fc->fj", torque_per_wrench(model, motion.q, motion.tilt), wrench)
    expected = inverse_dynamics(model, motion, external)
    scale = max(np.abs(expected).max(), 1.0)
    np.testing.assert_allclose(inverse_dynamics(model, motion) + added, expected, atol=1e-9 * scale)


def test_the_moment_is_that_about_the_ankle() -> None:
    """A leg that hangs straight down, and 100 N upwards 0.1 m before the ankle: 10 Nm."""
    model = load_model("leg9")
    q, tilt = np.zeros((1, 3)), np.zeros(1)
    before = joint_centers(model, q, tilt)[:, -1] + np.array([0.1, 0.0])
    upwards = ExternalForce(np.array([[0.0, 100.0]]), before, np.array([2.0]))
    np.testing.assert_allclose(wrench_of(model, q, tilt, upwards), [[0.0, 100.0, 12.0]], atol=1e-12)
    # The muscles of the ankle must hold against it.
    ankle = torque_per_wrench(model, q, tilt)[0, -1] @ [0.0, 100.0, 12.0]
    assert ankle == pytest.approx(-12.0)


@pytest.mark.parametrize("name", ["leg9", "leg32", "knee13", "elbow5"])
def test_an_answer_stands_for_a_contact_and_for_what_else_is_missing(name: str) -> None:
    model = load_model(name)
    motion, external = motion_of(model, 3), random_external(FRAMES, 3)
    rng, rows = np.random.default_rng(5), len(model.row_names)
    wrench = wrench_of(model, motion.q, motion.tilt, external)
    missing_nm = rng.normal(size=(FRAMES, rows)) * 40.0
    mapped = contact_map(model, motion.q, motion.tilt)
    answer = contact_answer(model, wrench, missing_nm, mapped)
    assert mapped.shape == (FRAMES, rows, 3 + rows)
    assert answer.shape == (FRAMES, 3 + rows)
    weight_n = model.torque_scale_nm / model.leg_length_m
    np.testing.assert_allclose(answer[:, :2] * weight_n, external.force_n, rtol=1e-12)
    np.testing.assert_allclose(answer[:, 2] * model.torque_scale_nm, wrench[:, 2], rtol=1e-12)
    torque = np.einsum("fra,fa->fr", mapped, answer) * model.torque_scale_nm
    np.testing.assert_allclose(torque, missing_nm, atol=1e-9)


def test_rows_outside_the_plane_are_of_the_rest_alone() -> None:
    model = load_model("leg32")
    motion = motion_of(model, 8)
    mapped = contact_map(model, motion.q, motion.tilt)
    joints = len(model.joints)
    assert model.row_names[joints:] == ("hip_adduction",)
    np.testing.assert_array_equal(mapped[:, joints:, :3], 0.0)
    np.testing.assert_array_equal(mapped[:, :, 3:], np.broadcast_to(np.eye(4), (FRAMES, 4, 4)))
    # What is missing is nothing but the contact: nothing is left beside it in the plane, and all of the torque outside.
    external = random_external(FRAMES, 8)
    wrench = wrench_of(model, motion.q, motion.tilt, external)
    of_contact = inverse_dynamics(model, motion, external) - inverse_dynamics(model, motion)
    outside = np.full((FRAMES, 1), 30.0)
    answer = contact_answer(model, wrench, np.hstack([of_contact, outside]), mapped)
    np.testing.assert_allclose(answer[:, 3:6], 0.0, atol=1e-12)
    np.testing.assert_allclose(answer[:, 6] * model.torque_scale_nm, 30.0, rtol=1e-12)
