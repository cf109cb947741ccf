"""What OpenSim's own static optimisation works with, frame by frame: moment arms, strengths and torques.

The coordinates are filtered and differentiated by our `edge.signals.zero_phase`, which does what OpenSim's tools do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import opensim

from edge.signals import zero_phase
from edge.storage import Table, read_table
from tools.opensim_oracle import FloatArray, Storage
from tools.opensim_oracle_3d import Prepared3d

_ROTATIONAL = (
    1  # OpenSim's Coordinate::MotionType; a coupled coordinate (3, a kneecap's) is in rad even in files in degrees
)


@dataclass(frozen=True)
class MuscleRows:
    """Muscles at the times of a solution. Rows (coordinates) and muscles as OpenSim names them."""

    time_s: FloatArray  # (frames,)
    rows: tuple[str, ...]
    muscles: tuple[str, ...]
    q: FloatArray  # (frames, rows) rad, filtered, in OpenSim's signs
    qd: FloatArray  # (frames, rows) rad/s
    length_m: FloatArray  # (frames, muscles) muscle-tendon lengths
    moment_arm_m: FloatArray  # (frames, muscles, rows), with what a coupled kneecap adds
    optimal_force_n: FloatArray  # (frames, muscles) along the tendon at full activation, without passive force


class PosedModel:
    """An OpenSim model that is set to the frames of a recording, as it is or filtered at 6 Hz as OpenSim's tools do."""

    def __init__(self, model: Path, table: Table) -> None:
        self.model = opensim.Model(str(model))
        for coordinate in self.model.updCoordinateSet():
            coordinate.set_clamped(False)  # a recording may go beyond a joint's stop; held there it would jerk
        self.state = self.model.initSystem()
        self.coordinates: dict[str, Any] = {c.getName(): c for c in self.model.getCoordinateSet()}
        self.table = table
        self.recorded = [n for n in self.coordinates if n in self.table.columns]
        self.values = np.stack(
            [_in_si(self.table, n, self.coordinates[n].getMotionType()) for n in self.recorded], axis=1
        )

    def motion(self, at_s: FloatArray) -> tuple[Storage, Storage, Storage]:
        """Every recorded coordinate, its rate and its acceleration at the given times, by name."""
        parts = zero_phase.differentiate(self.table.time_s, self.values, at_s)
        q, qd, qdd = (Storage(at_s, dict(zip(self.recorded, part.T, strict=True))) for part in parts)
        return q, qd, qdd

    def frames(self, at_s: FloatArray | None) -> Iterator[int]:
        """Set the state to one frame after the other, its constraints met, and yield the frame's number.

        At the times `at_s` with filtered coordinates and speeds; None: at the recorded times, as recorded, without speeds.
        """
        if at_s is None:
            values, rates = self.values, np.zeros_like(self.values)
        else:
            values, rates, _ = zero_phase.differentiate(self.table.time_s, self.values, at_s)
        free = [(k, self.coordinates[n]) for k, n in enumerate(self.recorded) if not self.coordinates[n].get_locked()]
        for i in range(len(values)):
            for k, coordinate in free:
                coordinate.setValue(self.state, float(values[i, k]), False)
                coordinate.setSpeedValue(self.state, float(rates[i, k]))
            self.model.assemble(self.state)
            self.model.realizeVelocity(self.state)
            yield i


def _in_si(table: Table, name: str, motion_type: int) -> FloatArray:
    values = table.column(name)
    return np.radians(values) if table.in_degrees and motion_type == _ROTATIONAL else values


def muscle_state(model: Path, kinematics: Path, at_s: FloatArray, rows: Sequence[str]) -> MuscleRows:
    """Moment arms and strengths of all the model's muscles at the given times, for the coordinates `rows`."""
    posed = PosedModel(model, read_table(kinematics))
    muscles = list(posed.model.getMuscles())
    q, qd, _ = posed.motion(at_s)
    length = np.empty((len(at_s), len(muscles)))
    arm = np.empty((len(at_s), len(muscles), len(rows)))
    force = np.empty((len(at_s), len(muscles)))
    for i in posed.frames(at_s):
        for m, muscle in enumerate(muscles):
            length[i, m] = muscle.getLength(posed.state)
            # The very call that OpenSim's StaticOptimizationTarget makes.
            force[i, m] = muscle.calcInextensibleTendonActiveFiberForce(posed.state, 1.0)
            for r, name in enumerate(rows):
                arm[i, m, r] = muscle.computeMomentArm(posed.state, posed.coordinates[name])
    names = tuple(m.getName() for m in muscles)
    return MuscleRows(at_s, tuple(rows), names, q.stack(rows), qd.stack(rows), length, arm, force)


def leg_state(prepared: Prepared3d, at_s: FloatArray, rows: Sequence[str] | None = None) -> MuscleRows:
    """`muscle_state` of a prepared leg; by default for all its rows."""
    return muscle_state(prepared.model, prepared.kinematics, at_s, prepared.rows if rows is None else rows)


def row_torques(model: Path, kinematics: Path, forces: Storage, rows: Sequence[str]) -> FloatArray:
    """The torques (frames, rows) in Nm that muscles must give, from OpenSim's generalised forces named by coordinate.

    A coordinate that a constraint ties to a row's (the kneecap's to the knee's) hands its force on by its slope.
    """
    posed = PosedModel(model, read_table(kinematics))
    q, _, _ = posed.motion(forces.time_s)
    torque = forces.stack(rows)
    first = opensim.StdVectorInt()
    first.push_back(0)
    for constraint in posed.model.getConstraintSet():
        coupler = opensim.CoordinateCouplerConstraint.safeDownCast(constraint)
        if coupler is None:
            continue
        leaders = coupler.getIndependentCoordinateNames()
        leader, follower = leaders.get(0), coupler.getDependentCoordinateName()
        if leaders.getSize() == 1 and leader in rows and follower in forces.columns:
            function = coupler.getFunction()
            slope = [function.calcDerivative(first, opensim.Vector(1, float(v))) for v in q.columns[leader]]
            torque[:, rows.index(leader)] += np.array(slope) * forces.columns[follower]
    return torque


def leg_torques(prepared: Prepared3d, forces: Storage, rows: Sequence[str] | None = None) -> FloatArray:
    """`row_torques` of a prepared leg; by default for all its rows."""
    return row_torques(prepared.model, prepared.kinematics, forces, prepared.rows if rows is None else rows)
