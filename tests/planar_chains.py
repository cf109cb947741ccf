"""Made-up planar chains for tests of the dynamics, and where their parts are, written once more and for one state at a time.

What a test takes derivatives of is `places`, by finite differences: it shares no line with `edge.msk.chain`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edge.msk.dynamics import Kinematics
from edge.msk.model import Model, load_model
from edge.msk.spline import Spline

LEG = load_model("leg9")


def planar_chain(n_joints: int, seed: int, *, glide_m: float = 0.15, knots: int = 7) -> Model:
    """A chain of 1 or more joints with random masses, lengths and gliding centres, and no muscles.

    By default the centres glide far more than a knee's; 0 makes plain hinges, and 2 knots a glide on straight lines.
    """
    rng = np.random.default_rng(seed)
    at = np.linspace(-3.0, 3.0, knots)
    joints, segments = [], []
    for i in range(n_joints):
        link = np.array([0.05, -0.4]) + rng.normal(scale=0.05, size=2)
        center = (
            Spline(at, link + glide_m * rng.normal(size=(knots, 2))) if glide_m else Spline(np.zeros(1), link[None])
        )
        joints.append(replace(LEG.joints[0], name=f"joint{i}", range_rad=(-2.0, 2.0), center=center))
        segments.append(
            replace(
                LEG.segments[0],
                name=f"segment{i}",
                mass_kg=rng.uniform(1.0, 10.0),
                com_m=tuple(rng.normal(scale=0.2, size=2).tolist()),
                inertia_kg_m2=rng.uniform(0.01, 0.3),
            )
        )
    return replace(LEG, name=f"chain{n_joints}", joints=tuple(joints), segments=tuple(segments), muscles=())


def hung_at_the_base(model: Model) -> Model:
    """The chain with its first joint at the base's point, where it stays."""
    hinge = replace(model.joints[0], center=Spline(np.zeros(1), np.zeros((1, 2))))
    return replace(model, joints=(hinge, *model.joints[1:]))


def random_motion(n_joints: int, frames: int, seed: int) -> Kinematics:
    """Random states on a base that accelerates, turns and is tilted."""
    rng = np.random.default_rng(seed)
    # Away from the splines' knots, the whole numbers, where finite differences see the jump of a third derivative.
    q = rng.integers(-2, 2, (frames, n_joints)) + rng.uniform(0.05, 0.95, (frames, n_joints))
    qd, qdd = rng.normal(size=(2, frames, n_joints)) * np.array([3.0, 20.0])[:, None, None]
    tilt, tilt_rate, tilt_acceleration = rng.normal(size=(3, frames)) * np.array([0.5, 2.0, 10.0])[:, None]
    return Kinematics(q, qd, qdd, tilt, tilt_rate, tilt_acceleration, rng.normal(size=(frames, 2)) * 8.0)


def turn(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def frames_of(model: Model, q: np.ndarray, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Joint centres (n, 2) seen from the base's point, and segment angles (n,)."""
    angle, at, out, angles = tilt, np.zeros(2), [], []
    for i, joint in enumerate(model.joints):
        at = at + turn(angle) @ joint.center.evaluate(np.array(q[i]))[0]
        angle = angle + q[i]
        out.append(at)
        angles.append(angle)
    return np.array(out), np.array(angles)


def place_of(model: Model, q: np.ndarray, tilt: float, segment: int, at_m: np.ndarray) -> np.ndarray:
    """A point of a segment (2,) seen from the base's point."""
    centers, angles = frames_of(model, q, tilt)
    return centers[segment] + turn(angles[segment]) @ np.asarray(at_m)


def places(model: Model, q: np.ndarray, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Centres of mass (n, 2) seen from the base's point, and segment angles (n,)."""
    at = [place_of(model, q, tilt, i, np.array(s.com_m)) for i, s in enumerate(model.segments)]
    return np.array(at), frames_of(model, q, tilt)[1]


def slope(function: Callable[[float], np.ndarray], h: float = 1e-3) -> np.ndarray:
    """First derivative at zero, fourth order."""
    f = function
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def curvature(function: Callable[[float], np.ndarray], h: float = 1e-3) -> np.ndarray:
    """Second derivative at zero, fourth order."""
    f = function
    return (-f(2 * h) + 16 * f(h) - 30 * f(0.0) + 16 * f(-h) - f(-2 * h)) / (12 * h**2)
