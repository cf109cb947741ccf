"""The OpenSim side of `edge-msk import-model`: a model that is set to our angles and asked what it computes there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import FileError, MissingExtraError, ModelError
from edge.msk.model import Segment
from edge.msk.spline import FloatArray, Spline

_CENTER_KNOTS = 81
_CENTER_MM = 0.01  # a joint centre that moves less than this is constant


@dataclass(frozen=True)
class JointPlan:
    """Which coordinate of the OpenSim model becomes which joint, over which range of our angle (rad)."""

    name: str
    coordinate: str  # with {side}
    range_rad: tuple[float, float]


class OpenSimLeg:
    """The OpenSim side of the import: sets our angles in the model and asks it questions. Holds the Model alive."""

    def __init__(self, path: Path, side: str, plan: Sequence[JointPlan], base: tuple[str, tuple[str, str]]) -> None:
        try:
            import opensim
        except ImportError:
            raise MissingExtraError("opensim", "opensim", "import-model") from None
        if not path.is_file():
            raise FileError(f"{path}: no such file: give the path of an OpenSim model (.osim)")
        opensim.Logger.setLevelString("Error")
        try:
            self.model = opensim.Model(str(path))
            self.state = self.model.initSystem()
        except RuntimeError as error:
            # OpenSim puts where in its source the error was thrown first, and what is wrong behind it.
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = lines[1] if len(lines) > 1 and "thrown at" in lines[0] else lines[0]
            raise FileError(
                f"{path}: OpenSim cannot load this model ({reason}): open it in OpenSim to see why"
            ) from None
        self.osim = opensim
        self.path = path
        self.side = side
        self.plan = plan
        coordinates = {c.getName(): c for c in self.model.getCoordinateSet()}
        self.coordinates = [self._coordinate(coordinates, p.coordinate.format(side=side)) for p in plan]
        self.tilt = self._coordinate(coordinates, base[0])
        self.bodies = [self._moved_body(c) for c in self.coordinates]
        self.parent = self._frame_body(self.coordinates[0].getJoint().getParentFrame())
        self.couplers = self._couplers()
        self.signs = [self._sign(c, b) for c, b in zip(self.coordinates, self.bodies, strict=True)]

    def _coordinate(self, coordinates: Mapping[str, Any], name: str) -> Any:
        if name not in coordinates:
            raise ModelError(f"{self.path}: has no coordinate '{name}': it has {', '.join(sorted(coordinates))}")
        return coordinates[name]

    def _frame_body(self, frame: Any) -> Any:
        return self.model.getBodySet().get(frame.findBaseFrame().getName())

    def _moved_body(self, coordinate: Any) -> Any:
        return self._frame_body(coordinate.getJoint().getChildFrame())

    def _angle_in_ground(self, body: Any) -> float:
        """Angle of the body's x axis in the ground's sagittal plane."""
        x = body.expressVectorInGround(self.state, self.osim.Vec3(1, 0, 0))
        return float(np.arctan2(x.get(1), x.get(0)))

    def _couplers(self) -> list[tuple[Any, Any, Any]]:
        """Coordinates that follow one of ours by a function (a kneecap's): (follower, leader, function)."""
        ours = {c.getName(): c for c in self.coordinates}
        everyone = {c.getName(): c for c in self.model.getCoordinateSet()}
        found = []
        for constraint in self.model.getConstraintSet():
            coupler = self.osim.CoordinateCouplerConstraint.safeDownCast(constraint)
            if coupler is None:
                continue
            leaders = coupler.getIndependentCoordinateNames()
            names = [leaders.get(i) for i in range(leaders.getSize())]
            if len(names) == 1 and names[0] in ours:
                found.append((everyone[coupler.getDependentCoordinateName()], ours[names[0]], coupler.getFunction()))
        return found

    def _sign(self, coordinate: Any, body: Any) -> float:
        """+1 when a growing coordinate turns its body counter-clockwise, seen with x forward and y up."""
        angles = []
        for value in (0.0, 0.1):
            coordinate.setValue(self.state, value)
            self.model.realizePosition(self.state)
            angles.append(self._angle_in_ground(body))
        coordinate.setValue(self.state, 0.0)
        turn = float(np.angle(np.exp(1j * (angles[1] - angles[0]))))
        if abs(turn) < 0.05:
            raise ModelError(
                f"{self.path}: coordinate '{coordinate.getName()}' turns its body {turn:.3f} rad per 0.1 rad in the "
                "sagittal plane: it is no flexion of this plane"
            )
        return 1.0 if turn > 0 else -1.0

    def set_angles(self, q: Iterable[float]) -> None:
        for coordinate, sign, value in zip(self.coordinates, self.signs, q, strict=True):
            coordinate.setValue(self.state, float(sign * value), False)
        for follower, leader, function in self.couplers:
            value = self.osim.Vector(1, leader.getValue(self.state))
            follower.setValue(self.state, function.calcValue(value), False)
        self.model.realizePosition(self.state)

    def limits(self) -> tuple[FloatArray, FloatArray]:
        """Ends of the joints' ranges (rad), each (n_joints,)."""
        return np.array([p.range_rad[0] for p in self.plan]), np.array([p.range_rad[1] for p in self.plan])

    def origin_in(self, body: Any, frame: Any) -> FloatArray:
        place = body.findStationLocationInAnotherFrame(self.state, self.osim.Vec3(0), frame)
        return np.array([place.get(0), place.get(1)])

    def joint_center(self, index: int) -> Spline:
        """Where the joint's body has its origin in the frame of the body before it, over the joint's range."""
        before = self.parent if index == 0 else self.bodies[index - 1]
        low, high = self.plan[index].range_rad
        # A little beyond the range, so that the straight continuation begins outside of it.
        knots = np.linspace(low - 0.1, high + 0.1, _CENTER_KNOTS)
        q = np.zeros(len(self.plan))
        places = []
        for angle in knots:
            q[index] = angle
            self.set_angles(q)
            places.append(self.origin_in(self.bodies[index], before))
        values = np.array(places)
        if np.ptp(values, axis=0).max() < _CENTER_MM * 1e-3:
            return Spline(np.zeros(1), values.mean(axis=0)[None])
        return Spline(knots, values)

    def segment(self, index: int, name: str) -> Segment:
        """The body that a joint moves, with everything that hangs on it and is not a later joint's, at zero angles."""
        self.set_angles(np.zeros(len(self.plan)))
        frame = self.bodies[index]
        mass, moment, parts = 0.0, np.zeros(2), []
        for body in self._carried(index):
            m = float(body.getMass())
            place = body.findStationLocationInAnotherFrame(self.state, body.getMassCenter(), frame)
            xy = np.array([place.get(0), place.get(1)])
            mass += m
            moment += m * xy
            parts.append((m, xy, self._sagittal_inertia(body)))
        if mass <= 0.0:
            raise ModelError(
                f"{self.path}: the bodies moved by '{self.plan[index].name}' have no mass: give them theirs"
            )
        com = moment / mass
        inertia = sum(i + m * float(((xy - com) ** 2).sum()) for m, xy, i in parts)
        return Segment(name, mass, (float(com[0]), float(com[1])), float(inertia))

    def _sagittal_inertia(self, body: Any) -> float:
        """Moment of inertia about the ground's z axis through the body's centre of mass, in the present pose."""
        inertia = body.getInertia()
        m, p = inertia.getMoments(), inertia.getProducts()
        tensor = np.array(
            [[m.get(0), p.get(0), p.get(1)], [p.get(0), m.get(1), p.get(2)], [p.get(1), p.get(2), m.get(2)]]
        )
        ground = self.model.getGround()
        z = ground.expressVectorInAnotherFrame(self.state, self.osim.Vec3(0, 0, 1), body)
        axis = np.array([z.get(i) for i in range(3)])
        return float(axis @ tensor @ axis)

    def _carried(self, index: int) -> list[Any]:
        names = [b.getName() for b in self.bodies]
        parent_of = {
            self._base_name(j.getChildFrame()): self._base_name(j.getParentFrame()) for j in self.model.getJointSet()
        }
        carried = []
        for body in self.model.getBodySet():
            name = body.getName()
            while name not in names and name in parent_of:
                name = parent_of[name]
            if name == names[index]:
                carried.append(body)
        return carried

    @staticmethod
    def _base_name(frame: Any) -> str:
        return str(frame.findBaseFrame().getName())

    def path_samples(self, muscle: Any, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Length (n,) and moment arms (n, n_joints) in m of a muscle at our angles q (n, n_joints)."""
        lengths = np.empty(len(q))
        arms = np.empty_like(q)
        for i, row in enumerate(q):
            self.set_angles(row)
            lengths[i] = muscle.getLength(self.state)
            for j, (coordinate, sign) in enumerate(zip(self.coordinates, self.signs, strict=True)):
                arms[i, j] = sign * muscle.computeMomentArm(self.state, coordinate)
        return lengths, arms
