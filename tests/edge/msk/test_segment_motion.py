from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planar_chains import curvature, frames_of, planar_chain, random_motion, slope

from edge.msk.dynamics import Kinematics
from edge.msk.model import Model, load_model
from edge.msk.segment_motion import segment_motion, segment_motion_width

MODELS = [load_model("leg9"), load_model("knee13"), load_model("elbow5"), *(planar_chain(n, seed=n) for n in (1, 3))]


def moved(model: Model, motion: Kinematics, frame: int, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Joint centres and segment angles a time h after a frame, written down once more."""
    q = motion.q[frame] + h * motion.qd[frame] + 0.5 * h**2 * motion.qdd[frame]
    tilt = motion.tilt[frame] + h * motion.tilt_rate[frame] + 0.5 * h**2 * motion.tilt_acceleration[frame]
    return frames_of(model, q, float(tilt))


@pytest.mark.parametrize("model", MODELS, ids=[model.name for model in MODELS])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_it_is_the_motion_of_the_parts_in_the_world(model: Model, seed: int) -> None:
    """Against finite differences along the movement."""
    n, frames = len(model.joints), 3
    motion = random_motion(n, frames, seed)
    found = segment_motion(model, motion)
    assert found.shape == (frames, segment_motion_width(n))
    for i in range(frames):
        spin = slope(lambda h, i=i: moved(model, motion, i, h)[1])
        spin_rate = curvature(lambda h, i=i: moved(model, motion, i, h)[1])
        place = moved(model, motion, i, 0.0)[0][-1]
        velocity = slope(lambda h, i=i: moved(model, motion, i, h)[0][-1])
        expected = np.concatenate([spin, spin_rate, place / model.leg_length_m, velocity / model.leg_length_m])
        np.testing.assert_allclose(found[i], expected, atol=1e-6 * max(np.abs(expected).max(), 1.0))


def test_it_does_not_depend_on_where_a_joint_has_its_zero() -> None:
    """Rates of turn and their derivatives are those of the segments, whatever angle a laboratory calls zero."""
    model = planar_chain(3, seed=4, glide_m=0.0)
    motion = random_motion(3, 4, 4)
    shifted = type(motion)(motion.q + 0.3, *(getattr(motion, n) for n in list(motion.__dataclass_fields__)[1:]))
    np.testing.assert_array_equal(segment_motion(model, motion)[:, :6], segment_motion(model, shifted)[:, :6])
