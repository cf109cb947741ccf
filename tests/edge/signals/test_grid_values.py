from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge.errors import ConfigError
from edge.signals.alignment import Alignment, ImuRecording, SegmentQuality
from edge.signals.grid_values import AnglesAlone, AnglesAndBase, AnglesFromImus, GridValues, grid_values
from edge.signals.hookup import Hookup, Source
from edge.signals.intake import pelvis_channels
from tests.edge.signals.imu_chains import GRAVITY, SEGMENTS, Walk, ideal_imus, walk

JOINTS = ("hip", "knee", "ankle")


def joined(values: GridValues, *readings: tuple[float, ...], time_us: int = 0) -> np.ndarray:
    """The values of one reading of each group."""
    parts = [values.read(group, time_us, channels) for group, channels in enumerate(readings)]
    return np.concatenate([part for part in parts if part is not None])


def test_angles_of_two_boards_come_in_the_models_order() -> None:
    sources = [Source("a:", ("ankle", "hip")), Source("b:", ("pelvis", "knee"))]
    values = AnglesAndBase(Hookup(JOINTS, SEGMENTS, sources), 9.81)
    assert values.widths == (2, 1, 4)
    imu = pelvis_channels(0.2, 1.5, np.array([0.5, -0.25]), 9.81)
    q, rate = values.to_kinematics(joined(values, (0.3, 0.1), (0.2,), imu))
    assert values.unseen == ()
    assert values.settled
    np.testing.assert_allclose(q, [0.1, 0.2, 0.3, 0.2, 0.5, -0.25], atol=1e-12)
    np.testing.assert_allclose(rate, [np.nan, np.nan, np.nan, 1.5, np.nan, np.nan], atol=1e-12)


def test_angles_alone_stand_on_an_upright_base_at_rest() -> None:
    sources = [Source("a:", ("ankle", "hip")), Source("b:", ("knee",))]
    values = grid_values(Hookup(JOINTS, SEGMENTS, sources, base=False), 9.81, None)
    assert isinstance(values, AnglesAlone)
    assert (values.widths, values.gyroscopes, values.settled, values.unseen) == ((2, 1), (), True, ())
    q, rate = values.to_kinematics(joined(values, (0.3, 0.1), (0.2,)))
    np.testing.assert_array_equal(q, [0.1, 0.2, 0.3, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(rate, [np.nan, np.nan, np.nan, 0.0, np.nan, np.nan])


def test_in_the_usual_order_nothing_is_copied() -> None:
    values = AnglesAndBase(Hookup(JOINTS, SEGMENTS, [Source()]), 9.81)
    grid = np.arange(7.0)
    q, rate = values.to_kinematics(grid)
    assert np.shares_memory(q, grid)
    np.testing.assert_array_equal(q, np.arange(6.0))
    assert rate[3] == 6.0


# --- angles from IMUs

MOUNTING = Rotation.random(4, random_state=7)
HEADING = np.array([0.3, -2.0, 3.0, 1.0])


def alignment(names: tuple[str, ...] = SEGMENTS) -> Alignment:
    quality = SegmentQuality(np.nan, np.nan, np.nan, np.nan)
    return Alignment(names, MOUNTING.as_matrix()[: len(names)], (quality,) * len(names), np.nan)


def leg(*sources: Source) -> AnglesFromImus:
    return AnglesFromImus(Hookup(JOINTS, SEGMENTS, sources), GRAVITY, alignment())


def sent(readings: ImuRecording, k: int, segments: tuple[str, ...], sign: float = 1.0) -> tuple[float, ...]:
    parts = [
        (sign * readings.quaternion[k, i], readings.specific_force[k, i], readings.angular_rate[k, i])
        for i in map(SEGMENTS.index, segments)
    ]
    return tuple(np.concatenate([np.concatenate(part) for part in parts]).tolist())


def check(values: AnglesFromImus, motion: Walk, k: int, got: tuple[np.ndarray, np.ndarray], atol: float = 1e-9) -> None:
    forward = (
        math.cos(motion.heading[k]) * motion.acceleration[k, 0]
        - math.sin(motion.heading[k]) * motion.acceleration[k, 2]
    )
    np.testing.assert_allclose(got[0], [*motion.q[k], motion.tilt[k], forward, motion.acceleration[k, 1]], atol=atol)
    np.testing.assert_allclose(got[1], [*motion.qd[k], motion.tilt_rate[k], np.nan, np.nan], atol=atol)
    assert values.unseen == ()


def test_four_imus_in_one_frame_in_any_order_are_the_leg() -> None:
    order = ("foot", "pelvis", "shank", "thigh")
    values, motion = leg(Source("a:", order)), walk(2.0)
    assert values.widths == (40,)
    assert values.gyroscopes == (0, 1, 2, 3)
    readings = ideal_imus(motion, MOUNTING, HEADING)
    for k in range(0, 200, 10):
        grid = joined(values, sent(readings, k, order), time_us=10_000 * k)
        check(values, motion, k, values.to_kinematics(grid))


def test_two_boards_and_signs_that_change() -> None:
    values, motion = leg(Source("a:", ("thigh",)), Source("b:", ("shank", "pelvis", "foot"))), walk(2.0)
    assert values.widths == (10, 30)
    readings = ideal_imus(motion, MOUNTING, HEADING)
    before = None
    for k in range(200):
        sign = -1.0 if k % 3 else 1.0
        parts = sent(readings, k, ("thigh",), sign), sent(readings, k, ("shank", "pelvis", "foot"), sign)
        grid = joined(values, *parts, time_us=10_000 * k)
        if before is not None:
            # Half way between two samples, as the grid may lie, the straight line is as good as the samples are dense.
            q, _ = values.to_kinematics(0.5 * (before + grid))
            np.testing.assert_allclose(q[:3], 0.5 * (motion.q[k - 1] + motion.q[k]), atol=2e-4)
        before = grid


def test_a_hinge_that_points_up_is_said_to_be_unseen() -> None:
    values = leg(Source("a:", SEGMENTS))
    readings = ideal_imus(walk(0.1, turning=False), MOUNTING, np.zeros(4))
    on_the_side = Rotation.from_rotvec([np.pi / 2, 0.0, 0.0])
    for i in (2, 3):
        readings.quaternion[:, i] = (
            on_the_side * Rotation.from_quat(readings.quaternion[:, i][:, [1, 2, 3, 0]])
        ).as_quat()[:, [3, 0, 1, 2]]
    q, _ = values.to_kinematics(joined(values, sent(readings, 0, SEGMENTS)))
    assert values.unseen == ("shank", "foot")
    assert np.isnan(q).tolist() == [False, True, True, False, False, False]


def test_the_base_of_encoders_is_unseen_on_its_side() -> None:
    values = AnglesAndBase(Hookup(JOINTS, SEGMENTS, [Source()]), 9.81)
    root = math.sqrt(0.5)
    values.to_kinematics(joined(values, (0.1, 0.2, 0.3), (root, root, 0.0, 0.0, 0.0, 0.0, -9.81, 0.0, 0.0, 0.0)))
    assert values.unseen == ("pelvis",)
    values.to_kinematics(joined(values, (0.1, 0.2, 0.3), pelvis_channels(0.1, 0.0, np.zeros(2), 9.81)))
    assert values.unseen == ()


def test_imus_without_orientation_give_nothing_until_their_rate_is_known() -> None:
    pytest.importorskip("vqf")
    values, motion = leg(Source("a:", SEGMENTS)), walk(0.5, turning=False)
    readings = ideal_imus(motion, MOUNTING, HEADING)
    readings.quaternion[:, 1:3] = 0.0  # thigh and shank
    got = [values.read(0, 10_000 * k, sent(readings, k, SEGMENTS)) for k in range(50)]
    assert [part is None for part in got] == [k < 20 for k in range(50)]
    assert not values.settled


def test_without_an_alignment_imus_are_no_leg() -> None:
    hookup = Hookup(JOINTS, SEGMENTS, [Source("a:", SEGMENTS)])
    assert isinstance(grid_values(hookup, 9.81, alignment()), AnglesFromImus)
    with pytest.raises(
        ConfigError, match="the bundle has no `imu_alignment`: take a bundle that has one, or name joints"
    ):
        grid_values(hookup, 9.81, None)
    with pytest.raises(ValueError, match="segments"):
        grid_values(hookup, 9.81, alignment(("pelvis", "thigh")))
    # Encoders need none, and what the bundle has of IMUs does not matter to them.
    assert isinstance(grid_values(Hookup(JOINTS, SEGMENTS, [Source()]), 9.81, alignment()), AnglesAndBase)
