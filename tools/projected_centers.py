"""Where a leg's joint centres are in space, by OpenSim's forward kinematics, and projected on the sagittal plane of the walk.

What a planar model needs of a recording in three dimensions (`edge.msk.segment_angles` takes the projected centres), and how
the joints' own axes lie, which a planar model takes as perpendicular to its plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.storage import Table
from tools.opensim_oracle import FloatArray
from tools.opensim_oracle_state import PosedModel

UP = np.array([0.0, 1.0, 0.0])
JOINTS = {"hip": ("hip_flexion", "femur"), "knee": ("knee_angle", "tibia"), "ankle": ("ankle_angle", "talus")}


@dataclass(frozen=True)
class JointCenters3d:
    """Places in the ground frame (m) and axes of one leg's joints; arrays over frames."""

    time_s: FloatArray  # (frames,)
    hip_m: FloatArray  # (frames, 3)
    knee_m: FloatArray  # (frames, 3)
    ankle_m: FloatArray  # (frames, 3)
    toes_m: FloatArray  # (frames, 3), the metatarsophalangeal joint
    pelvis_m: FloatArray  # (frames, 3)
    pelvis_axes: FloatArray  # (frames, 3, 3), columns: forward, up and right of the pelvis
    # (frames, 3, 3): turn of the segment below hip, knee and ankle per unit of the joint's coordinate, in OpenSim's signs.
    # Not of unit length where the joint couples turns to its angle (Rajagopal's knee).
    turn_axes: FloatArray

    @property
    def chain_m(self) -> FloatArray:
        """Hip, knee, ankle and toes, (frames, 4, 3)."""
        return np.stack([self.hip_m, self.knee_m, self.ankle_m, self.toes_m], axis=1)

    def heading(self) -> FloatArray:
        """Horizontal unit vector (3,) in which the pelvis looks on average: forward in the plane of the walk."""
        return _level(self.pelvis_axes[:, :, 0].mean(axis=0))

    def headings(self) -> FloatArray:
        """Horizontal unit vectors (frames, 3) in which the pelvis looks in every frame."""
        return _level(self.pelvis_axes[:, :, 0])


def _level(vector: FloatArray) -> FloatArray:
    level = vector * (1.0 - UP)
    return np.asarray(level / np.linalg.norm(level, axis=-1, keepdims=True))


def project(vectors: FloatArray, forward: FloatArray) -> FloatArray:
    """Forward and upward components (..., 2) of vectors (..., 3); `forward` is a unit vector (3,) or fits the vectors' shape."""
    return np.stack([(vectors * forward).sum(axis=-1), vectors[..., 1]], axis=-1)


def rightward(forward: FloatArray) -> FloatArray:
    """The normal (..., 3) of the plane: about it, flexion of the hip is positive."""
    return np.asarray(np.cross(forward, UP))


def joint_centers_3d(model: Path, table: Table, side: str, at_s: FloatArray | None = None) -> JointCenters3d:
    """Forward kinematics of a leg over a recording's coordinates.

    At the recorded times with the coordinates as recorded, or at `at_s` with the coordinates filtered at 6 Hz as OpenSim's
    tools do. Raises TrialError for a table that cannot be used.
    """
    posed = PosedModel(model, table)
    bodies = {name: posed.model.getBodySet().get(f"{body}_{side}") for name, (_, body) in JOINTS.items()}
    toes, pelvis = posed.model.getBodySet().get(f"toes_{side}"), posed.model.getBodySet().get("pelvis")
    coordinates = [posed.coordinates[f"{coordinate}_{side}"] for coordinate, _ in JOINTS.values()]
    time = table.time_s if at_s is None else at_s
    n = len(time)
    places = {name: np.empty((n, 3)) for name in (*JOINTS, "toes", "pelvis")}
    axes, turns = np.empty((n, 3, 3)), np.empty((n, 3, 3))
    for i in posed.frames(at_s):
        for name, body in {**bodies, "toes": toes, "pelvis": pelvis}.items():
            places[name][i] = _array(body.getPositionInGround(posed.state))
        rotation = pelvis.getTransformInGround(posed.state).R().asMat33()
        axes[i] = [[rotation.get(r, c) for c in range(3)] for r in range(3)]
        for j, (coordinate, body) in enumerate(zip(coordinates, bodies.values(), strict=True)):
            turns[i, j] = _turn(posed, coordinate, body)
    return JointCenters3d(
        time, places["hip"], places["knee"], places["ankle"], places["toes"], places["pelvis"], axes, turns
    )


def _turn(posed: PosedModel, coordinate: Any, body: Any) -> FloatArray:
    """Angular velocity (3,) in ground of a body when this coordinate alone moves, at unit speed."""
    for other in posed.coordinates.values():
        other.setSpeedValue(posed.state, 0.0)
    coordinate.setSpeedValue(posed.state, 1.0)
    posed.model.realizeVelocity(posed.state)
    return _array(body.getAngularVelocityInGround(posed.state))


def _array(vector: Any) -> FloatArray:
    return np.array([vector.get(i) for i in range(3)])
