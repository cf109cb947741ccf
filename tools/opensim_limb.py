"""The OpenSim side of `edge-msk import-model`: a model that is set to our angles and asked what it computes there."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import FileError, ModelError
from edge.msk.anatomy import Base, BaseLink, Segment
from edge.msk.spline import FloatArray, Spline
from tools.limbs import AnglePlan, Limb, MassPlan
from tools.opensim_module import load_opensim

STANDARD_MASS_KG = 75.0  # of the body, where a model's bodies do not say it
ASSUMED_MASS = f"{STANDARD_MASS_KG:g} kg, assumed: the OpenSim model is not of a whole body"
_TRUNK = ("pelvis", "torso")  # a model with such a body is one of the whole body

_ROTATIONAL = 1  # OpenSim's Coordinate::MotionType
_CENTER_KNOTS = 81
_CENTER_MM = 0.01  # a joint centre that moves less than this is constant


class OpenSimLimb:
    """An OpenSim model that is set to our angles of one limb and asked questions. Holds the Model alive.

    Angles q are the limb's joints, its neighbours and those of its angles out of the plane that are named in `extra`.
    Raises FileError, ModelError and MissingExtraError.
    """

    def __init__(self, path: Path, limb: Limb, side: str = "r", extra: Collection[str] = ()) -> None:
        opensim = load_opensim("import-model")
        if not path.is_file():
            raise FileError(f"{path}: no such file: give the path of an OpenSim model (.osim)")
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
        self.limb = limb
        self.outside = (*limb.neighbours, *(a for a in limb.out_of_plane if a.name in extra))
        self.angles = (*limb.joints, *self.outside)
        coordinates = {c.getName(): c for c in self.model.getCoordinateSet()}
        for coordinate in coordinates.values():  # whatever pose the model was saved in
            if coordinate.getMotionType() == _ROTATIONAL and not coordinate.get_locked():
                coordinate.setValue(self.state, 0.0, False)
        self.coordinates = [self._coordinate(coordinates, a.coordinate) for a in self.angles]
        self.links = [self._coordinate(coordinates, name) for name in limb.links]
        self.couplers = self._couplers()
        self.bodies = [self._turned_body(a, c) for a, c in zip(limb.joints, self.coordinates, strict=False)]
        self.parent = self._frame_body(self.coordinates[0].getJoint().getParentFrame())
        self.signs = [
            self._sign(c, self._turned_body(a, c)) if a.in_plane else 1.0
            for a, c in zip(self.angles, self.coordinates, strict=True)
        ]
        self.link_signs = [self._sign(c, self._turned_body(None, c)) for c in self.links]

    def _coordinate(self, coordinates: Mapping[str, Any], pattern: str) -> Any:
        name = pattern.format(side=self.side)
        if name not in coordinates:
            raise ModelError(f"{self.path}: has no coordinate '{name}': it has {', '.join(sorted(coordinates))}")
        return coordinates[name]

    def _frame_body(self, frame: Any) -> Any:
        return self.model.getBodySet().get(frame.findBaseFrame().getName())

    def _turned_body(self, angle: AnglePlan | None, coordinate: Any) -> Any:
        if angle is not None and angle.body is not None:
            return self.model.getBodySet().get(angle.body)
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
            coordinate.setValue(self.state, value, False)
            self._follow()
            angles.append(self._angle_in_ground(body))
        coordinate.setValue(self.state, 0.0, False)
        self._follow()
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
        self._follow()

    def _follow(self) -> None:
        """Set the coordinates that follow ours, and bring the model's places up to date."""
        for follower, leader, function in self.couplers:
            value = self.osim.Vector(1, leader.getValue(self.state))
            follower.setValue(self.state, function.calcValue(value), False)
        self.model.realizePosition(self.state)

    def limits(self) -> tuple[FloatArray, FloatArray]:
        """Ends of the angles' ranges (rad), each (n_angles,)."""
        return np.array([a.range_rad[0] for a in self.angles]), np.array([a.range_rad[1] for a in self.angles])

    def origin_in(self, body: Any, frame: Any) -> FloatArray:
        place = body.findStationLocationInAnotherFrame(self.state, self.osim.Vec3(0), frame)
        return np.array([place.get(0), place.get(1)])

    def joint_center(self, index: int) -> Spline:
        """Where the joint's body has its origin in the frame of the body before it, over the joint's range."""
        before = self.parent if index == 0 else self.bodies[index - 1]
        low, high = self.angles[index].range_rad
        # A little beyond the range, so that the straight continuation begins outside of it.
        knots = np.linspace(low - 0.1, high + 0.1, _CENTER_KNOTS)
        q = np.zeros(len(self.angles))
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
        self.set_angles(np.zeros(len(self.angles)))
        frame = self.bodies[index]
        mass, moment, parts = 0.0, np.zeros(2), []
        for body in self._carried(index):
            m = float(body.getMass())
            place = body.findStationLocationInAnotherFrame(self.state, body.getMassCenter(), frame)
            xy = np.array([place.get(0), place.get(1)])
            mass += m
            moment += m * xy
            parts.append((m, xy, self._sagittal_inertia(body)))
        if mass <= 0.0 and self.limb.mass is not None:
            return self._standard_segment(self.limb.mass, name)
        if mass <= 0.0:
            raise ModelError(
                f"{self.path}: the bodies moved by '{self.angles[index].name}' have no mass: give them theirs"
            )
        com = moment / mass
        inertia = sum(i + m * float(((xy - com) ** 2).sum()) for m, xy, i in parts)
        return Segment(name, mass, (float(com[0]), float(com[1])), float(inertia))

    @staticmethod
    def _standard_segment(plan: MassPlan, name: str) -> Segment:
        mass = plan.mass_fraction * STANDARD_MASS_KG
        reach = plan.com_fraction * plan.length_m
        com = (reach * plan.direction[0], reach * plan.direction[1])
        return Segment(name, mass, com, mass * (plan.gyration_fraction * plan.length_m) ** 2)

    def base(self, first_center: Spline) -> tuple[Base, Spline]:
        """What the limb hangs on, and the first joint's centre seen from its point.

        The point is the first joint itself when its place in the base is fixed by one link (a hip in the pelvis), else the
        origin of the body that carries the joint (a knee's thigh, an elbow's upper arm).
        """
        self.set_angles(np.zeros(len(self.angles)))
        carriers = [self._turned_body(None, c) for c in self.links]
        steps = [self.origin_in(later, earlier) for earlier, later in itertools.pairwise(carriers)]
        if self.limb.position is not None and len(self.links) == 1:
            steps.append(first_center.evaluate(np.zeros(()))[0])
            first_center = Spline(np.zeros(1), np.zeros((1, 2)))
        elif self.links:
            steps.append(np.zeros(2))
        links = tuple(
            BaseLink(pattern, sign, (float(step[0]), float(step[1])))
            for pattern, sign, step in zip(self.limb.links, self.link_signs, steps, strict=True)
        )
        return Base(links, self.limb.position), first_center

    def length_m(self, centers: Sequence[Spline]) -> float:
        """Along the chain, joint to joint, or to the end of a single segment."""
        if len(centers) > 1:
            return float(sum(np.hypot(*c.evaluate(np.zeros(()))[0]) for c in centers[1:]))
        self.set_angles(np.zeros(len(self.angles)))
        if self.limb.mass is not None:
            return self.limb.mass.length_m
        if self.limb.end_body is not None:
            end = self.model.getBodySet().get(self.limb.end_body.format(side=self.side))
            return float(np.hypot(*self.origin_in(end, self.bodies[0])))
        # A segment without a joint at its end: twice the way to its centre of mass.
        return 2.0 * float(np.hypot(*self.segment(0, "end").com_m))

    @property
    def massless(self) -> bool:
        """Whether the model's bodies have no mass."""
        return float(self.model.getTotalMass(self.state)) <= 0.0

    @property
    def standard_mass(self) -> bool:
        """Whether the model does not say what the whole body weighs: its bodies are massless, or those of a limb alone."""
        trunk = any(word in body.getName().lower() for body in self.model.getBodySet() for word in _TRUNK)
        return self.massless or (self.limb.position is None and not trunk)

    def body_mass_kg(self) -> float:
        """Of the whole body: segments are scaled by a person's mass over it."""
        return STANDARD_MASS_KG if self.standard_mass else float(self.model.getTotalMass(self.state))

    def gravity_mps2(self) -> float:
        return float(-self.model.getGravity().get(1))

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

    def parents(self) -> dict[str, str]:
        """Of every body the name of the one that it is joined to, towards the ground."""
        return {
            self._base_name(j.getChildFrame()): self._base_name(j.getParentFrame()) for j in self.model.getJointSet()
        }

    def _carried(self, index: int) -> list[Any]:
        names = [b.getName() for b in self.bodies]
        parent_of = self.parents()
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

    def stretched(self, factors: Mapping[str, Sequence[float]]) -> OpenSimLimb:
        """This limb with bodies (or the ground) scaled by factors along their axes, as OpenSim's scale tool does it.

        Every body keeps its mass.
        """
        scales = self.osim.ScaleSet()
        for body, three in factors.items():
            scale = self.osim.Scale()
            scale.setSegmentName(body)
            scale.setScaleFactors(self.osim.Vec3(*(float(f) for f in three)))
            scale.setApply(True)
            scales.cloneAndAppend(scale)
        other = copy(self)
        other.model = self.model.clone()
        other.model.scale(other.model.initSystem(), scales, True)
        other.state = other.model.initSystem()
        names = {c.getName(): c for c in other.model.getCoordinateSet()}
        other.coordinates = [names[c.getName()] for c in self.coordinates]
        other.links = [names[c.getName()] for c in self.links]
        other.couplers = other._couplers()
        other.bodies = [other.model.getBodySet().get(b.getName()) for b in self.bodies]
        other.parent = other.model.getBodySet().get(self.parent.getName())
        return other

    def lengths(self, muscle: Any, q: FloatArray) -> FloatArray:
        """Lengths (n,) in m of a muscle at our angles q (n, n_angles)."""
        found = np.empty(len(q))
        for i, row in enumerate(q):
            self.set_angles(row)
            found[i] = muscle.getLength(self.state)
        return found

    def path_samples(
        self, muscle: Any, q: FloatArray, angles: Sequence[int] | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Length (n,) and moment arms in m of a muscle at our angles q (n, n_angles).

        Moment arms are those about the angles of the given indices, or all: (n, len(angles)).
        """
        wanted = range(len(self.angles)) if angles is None else angles
        lengths = np.empty(len(q))
        arms = np.empty((len(q), len(wanted)))
        for i, row in enumerate(q):
            self.set_angles(row)
            lengths[i] = muscle.getLength(self.state)
            for k, j in enumerate(wanted):
                arms[i, k] = self.signs[j] * muscle.computeMomentArm(self.state, self.coordinates[j])
        return lengths, arms
