import numpy as np
import pytest

from edge.msk.chain import place_chain
from edge.msk.dynamics import ExternalForce, external_torque
from edge.msk.model import load_model
from edge.msk.own_axes import SpatialJoints, torque_about_own_axes

LEG = load_model("leg9")
RNG = np.random.default_rng(5)
N = 40
Q = LEG.lower_rad + RNG.random((N, 3)) * (LEG.upper_rad - LEG.lower_rad)
TILT = RNG.normal(scale=0.2, size=N)
BASE = RNG.normal(size=(N, 2))
FORCE = RNG.normal(size=(N, 3)) * [100.0, 800.0, 50.0]
POINT = RNG.normal(size=(N, 3))
MOMENT = RNG.normal(size=(N, 3)) * 20.0


def in_plane() -> SpatialJoints:
    """The planar chain's own joints, beside the plane by their depth, with axes across it."""
    centers = np.stack(place_chain(LEG, Q, TILT).centers, axis=1) + BASE[:, None]
    depth = np.broadcast_to([0.08, 0.1, 0.12], (N, 3))
    axis = np.zeros((N, 3, 3))
    axis[:, :, 2] = 1.0
    return SpatialJoints(np.concatenate([centers, depth[:, :, None]], axis=2), axis)


def test_axes_across_the_plane_give_the_planar_torque() -> None:
    """The force's third component and the depth of the joints then do nothing."""
    about_origin = MOMENT + np.cross(POINT, FORCE)
    planar = ExternalForce(FORCE[:, :2], POINT[:, :2] - BASE, MOMENT[:, 2])
    np.testing.assert_allclose(
        torque_about_own_axes(LEG, Q, TILT, in_plane(), FORCE, about_origin),
        external_torque(LEG, Q, TILT, planar),
        atol=1e-9,
    )


def test_an_oblique_axis_sees_the_moment_along_itself() -> None:
    """An ankle turned by 20 degrees about the vertical: cos of the moment across the plane, sin of that along the foot."""
    joints, about_origin = in_plane(), MOMENT + np.cross(POINT, FORCE)
    turned = joints.axis.copy()
    turned[:, 2] = [np.sin(np.radians(20.0)), 0.0, np.cos(np.radians(20.0))]
    straight = torque_about_own_axes(LEG, Q, TILT, joints, FORCE, about_origin)
    oblique = torque_about_own_axes(LEG, Q, TILT, SpatialJoints(joints.center_m, turned), FORCE, about_origin)
    about_ankle = about_origin - np.cross(joints.center_m[:, 2], FORCE)
    glide = straight[:, 2] - about_ankle[:, 2]  # work on the centre's glide, whatever the axis
    expected = about_ankle @ turned[0, 2] + glide
    np.testing.assert_allclose(oblique[:, 2], expected, atol=1e-9)
    np.testing.assert_array_equal(oblique[:, :2], straight[:, :2])
    assert np.abs(oblique - straight).max() > 10.0


def test_no_force_no_torque() -> None:
    nothing = np.zeros((N, 3))
    assert torque_about_own_axes(LEG, Q, TILT, in_plane(), nothing, nothing) == pytest.approx(np.zeros((N, 3)))
