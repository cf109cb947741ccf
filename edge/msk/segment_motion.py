"""How a limb's segments move in the world, in numbers that are alike in people of different size, posture and markers.

Which angle a joint has depends on where a laboratory puts its markers and its zero; how fast segments turn, and where the last
joint is from the first, in lengths of the limb, hardly does.
"""

from __future__ import annotations

import numpy as np

from edge.msk.chain import chain_rates, perp, place_chain
from edge.msk.dynamics import Kinematics
from edge.msk.model import Model
from edge.msk.spline import FloatArray


def segment_motion_width(n_joints: int) -> int:
    """Number of columns of `segment_motion`."""
    return 2 * n_joints + 4


def segment_motion(model: Model, motion: Kinematics) -> FloatArray:
    """(frames, 2 n_joints + 4): rates of turn (rad/s) of the segments in the world, and their accelerations (rad/s2); place of
    the last joint's centre from the base's point, and its velocity relative to that point, in limb lengths (per s), x then y.
    """
    chain = place_chain(model, motion.q, motion.tilt)
    rates = chain_rates(chain, motion.qd)
    tilt_rate = motion.tilt_rate[:, None]
    place = chain.centers[-1]
    velocity = rates.center_velocity[-1] + tilt_rate * perp(place)
    spin = np.cumsum(motion.qd, axis=1) + tilt_rate
    spin_rate = np.cumsum(motion.qdd, axis=1) + motion.tilt_acceleration[:, None]
    return np.hstack([spin, spin_rate, place / model.leg_length_m, velocity / model.leg_length_m])
