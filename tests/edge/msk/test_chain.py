import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_chains import LEG, frames_of, place_of, planar_chain, random_motion, slope

from edge.errors import ModelError
from edge.msk.chain import joint_centers, point_jacobian
from edge.msk.dynamics import ExternalForce, external_torque

CHAINS = settings(deadline=None, max_examples=30)
SEEDS = st.integers(0, 10**6)


@CHAINS
@given(n=st.integers(1, 4), seed=SEEDS)
def test_joint_centers_are_where_the_links_put_them(n: int, seed: int) -> None:
    model, motion = planar_chain(n, seed), random_motion(n, 3, seed)
    got = joint_centers(model, motion.q, motion.tilt)
    assert got.shape == (3, n, 2)
    for i in range(3):
        np.testing.assert_allclose(got[i], frames_of(model, motion.q[i], motion.tilt[i])[0], atol=1e-13)


@CHAINS
@given(n=st.integers(1, 4), seed=SEEDS, data=st.data())
def test_jacobian_is_the_derivative_of_the_place(n: int, seed: int, data: st.DataObject) -> None:
    model, motion = planar_chain(n, seed), random_motion(n, 2, seed)
    segment = data.draw(st.integers(0, n - 1))
    at = np.random.default_rng(seed).normal(scale=0.3, size=2)
    got = point_jacobian(model, motion.q, motion.tilt, f"segment{segment}", at)
    assert got.shape == (2, 2, n)
    for i in range(2):
        q, tilt = motion.q[i], motion.tilt[i]
        for j, unit in enumerate(np.eye(n)):
            wanted = slope(lambda h, q=q, t=tilt, u=unit: place_of(model, q + h * u, t, segment, at))
            np.testing.assert_allclose(got[i, :, j], wanted, atol=1e-8)
    assert (got[:, :, segment + 1 :] == 0.0).all()


def test_a_point_may_differ_from_frame_to_frame() -> None:
    motion = random_motion(3, 5, 1)
    at = np.random.default_rng(2).normal(size=(5, 2))
    together = point_jacobian(LEG, motion.q, motion.tilt, "shank", at)
    for i in range(5):
        alone = point_jacobian(LEG, motion.q[i : i + 1], motion.tilt[i : i + 1], "shank", at[i])
        np.testing.assert_array_equal(alone[0], together[i])


def test_jacobian_transposed_gives_the_torques_of_a_force() -> None:
    motion, rng = random_motion(3, 6, 3), np.random.default_rng(4)
    at, force = rng.normal(scale=0.1, size=2), rng.normal(size=(6, 2)) * 500
    jacobian = point_jacobian(LEG, motion.q, motion.tilt, "foot", at)
    point = np.array([place_of(LEG, q, t, 2, at) for q, t in zip(motion.q, motion.tilt, strict=True)])
    wanted = external_torque(LEG, motion.q, motion.tilt, ExternalForce(force, point, np.zeros(6)))
    np.testing.assert_allclose(np.einsum("fxj,fx->fj", jacobian, force), wanted, atol=1e-10)


def test_unknown_segment() -> None:
    q = np.zeros((1, 3))
    with pytest.raises(ModelError, match="no segment 'hand': give one of thigh, shank, foot"):
        point_jacobian(LEG, q, np.zeros(1), "hand", np.zeros(2))
