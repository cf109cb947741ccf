"""One leg or arm of a recording: its kinematics, the forces on it, and the torques of its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge.errors import TrialError
from edge.ground_reaction import GroundReaction
from edge.msk.dynamics import ExternalForce, Kinematics, inverse_dynamics
from edge.msk.hip_adduction import hip_adduction_torque, lever_rule
from edge.msk.model import Model
from edge.msk.own_axes import SpatialJoints, torque_about_own_axes
from edge.signals import zero_phase

FloatArray = npt.NDArray[np.float64]

Side = Literal["r", "l"]
Adduction = Literal["lever", "space"]
ADDUCTION = "hip_adduction"  # the row outside the plane whose torque can be told from the ground reaction

_MOST_TORQUE_NM = 1e4  # ten times what a body gives in a jump: a unit is wrong, or a value is an outlier
_MOST_OUTSIDE = 0.5  # of a trial's frames


@dataclass(frozen=True)
class SpatialMotion:
    """A recording in three dimensions as the planar chain moves in it, filtered already. Arrays over the recording's rows."""

    q: FloatArray  # (rows, n_joints) rad: angles of the chain that points as the projected joint centres do
    base: FloatArray  # (rows, n_links + 2): angles of the base's links rad, position x and y m
    joints: SpatialJoints


@dataclass(frozen=True)
class Trial:
    """One leg (or arm) of a recording, in the model's order, signs and radians, at the recording's own times."""

    name: str
    subject: str
    side: str
    model: Model  # scaled to the person
    time_s: FloatArray  # (rows,)
    angles: FloatArray  # (rows, n_coordinates) rad, as recorded; zero for those outside the chain that were not
    base: FloatArray  # (rows, n_links + 2): angles of the base's links rad, position x and y m, as recorded
    ground_reaction: GroundReaction | None
    start_s: float
    end_s: float
    touches_nothing: bool = False  # no ground reaction, because there is none
    spatial: SpatialMotion | None = None
    adduction: Adduction | None = None  # how the adduction torque is told; None: the best that the recording allows
    torques: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)  # given ones: row -> (time, Nm)

    @property
    def q(self) -> FloatArray:
        """The joints' angles (rows, n_joints) in rad, as recorded: what a sensor gives."""
        return self.angles[:, : len(self.model.joints)]

    def within(self, time_s: FloatArray) -> npt.NDArray[np.bool_]:
        return np.asarray((time_s >= self.start_s - 1e-9) & (time_s <= self.end_s + 1e-9))

    def times(self, rate_hz: float) -> FloatArray:
        """An even grid from the trial's start to its end."""
        count = math.floor((self.end_s - self.start_s) * rate_hz + 1e-6) + 1
        return self.start_s + np.arange(count) / rate_hz

    def own_times(self) -> FloatArray:
        """The recorded times from the trial's start to its end."""
        return self.time_s[self.within(self.time_s)]

    def frames_outside_model(self) -> dict[str, int]:
        """In how many recorded frames each angle leaves the range that the model's geometry is valid for; those that do.

        Raises TrialError when joints do in most of the trial: then a sign or a unit is wrong.
        """
        model, q = self.model, self.q[self.within(self.time_s)]
        outside = ~model.in_range(q)
        if outside.mean() > _MOST_OUTSIDE:
            joint = model.joints[int(np.argmax(np.maximum(model.lower_rad - q, q - model.upper_rad).max(axis=0)))]
            raise TrialError(
                f"{self.name}: '{joint.coordinate.format(side=self.side)}' leaves the model's valid range "
                f"({np.degrees(joint.range_rad[0]):.0f} to {np.degrees(joint.range_rad[1]):.0f} deg) in {outside.mean():.0%} of "
                "the frames: check the sign and unit of the column, or import a model with a wider range"
            )
        angles = self.angles[self.within(self.time_s)]
        counts = {
            a.name: int(((angles[:, i] < a.range_rad[0]) | (angles[:, i] > a.range_rad[1])).sum())
            for i, a in enumerate(model.coordinates)
        }
        return {name: count for name, count in counts.items() if count}

    def notes(self) -> list[str]:
        """What is to be known of how the torques come about, each in a few words."""
        found = list(self.ground_reaction.notes) if self.ground_reaction is not None else []
        if self.torques:
            found.append(f"torques of {', '.join(self.torques)} are those of the file")
        if ADDUCTION in self.model.row_names and ADDUCTION not in self.torques and self.ground_reaction is not None:
            if self._adduction_in_space():
                found.append("hip adduction torque from the ground reaction in space")
            elif self.adduction != "space":  # which is refused where it cannot be done
                found.append("hip adduction torque by the lever rule, which holds in steady walking alone")
        if self.spatial is not None and self.ground_reaction is not None and not self.ground_reaction.in_space:
            found.append("the ground reaction is known in the plane alone: it is taken as seen from the side")
        return found

    def _adduction_in_space(self) -> bool:
        known = self.spatial is not None and (self.ground_reaction is None or self.ground_reaction.in_space)
        return known and self.adduction != "lever"

    def kinematics(self, at_s: FloatArray) -> Kinematics:
        """Zero-phase kinematics at the given times, filtered over the whole recording as OpenSim does."""
        n, links = len(self.model.joints), self.model.base.links
        q, base = (self.q, self.base) if self.spatial is None else (self.spatial.q, self.spatial.base)
        value, rate, acceleration = self._derivatives(np.hstack([q, base]), at_s)
        tilt, tilt_rate, tilt_acceleration = np.zeros((3, len(at_s)))
        point_acceleration = acceleration[:, n + len(links) :]
        for k, link in enumerate(links):
            tilt = tilt + value[:, n + k]
            tilt_rate = tilt_rate + rate[:, n + k]
            tilt_acceleration = tilt_acceleration + acceleration[:, n + k]
            step = _turned(tilt, link.offset_m)
            across = np.stack([-step[:, 1], step[:, 0]], axis=1)
            point_acceleration = (
                point_acceleration + tilt_acceleration[:, None] * across - tilt_rate[:, None] ** 2 * step
            )
        return Kinematics(
            value[:, :n], rate[:, :n], acceleration[:, :n], tilt, tilt_rate, tilt_acceleration, point_acceleration
        )

    def _derivatives(self, values: FloatArray, at_s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        cutoff_hz = None if self.spatial is not None else zero_phase.CUTOFF_HZ
        return zero_phase.differentiate(self.time_s, values, at_s, cutoff_hz=cutoff_hz)

    def muscle_angles(self, at_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Zero-phase angles and rates (len(at_s), n_coordinates) that the muscles see, those outside the chain as recorded."""
        value, rate, _ = zero_phase.differentiate(self.time_s, self.angles, at_s)
        return value, rate

    def external_force(self, at_s: FloatArray) -> ExternalForce | None:
        """Ground reaction on this side's foot at the given times, seen from the base's point; None if not recorded."""
        if self.ground_reaction is None:
            return None
        value, _, _ = self._derivatives(self.base if self.spatial is None else self.spatial.base, at_s)
        links = self.model.base.links
        point, tilt = value[:, len(links) :], np.zeros(len(at_s))
        for k, link in enumerate(links):
            tilt = tilt + value[:, k]
            point = point + _turned(tilt, link.offset_m)
        return self.ground_reaction.seen_from(point, at_s)

    def torque(self, at_s: FloatArray) -> FloatArray:
        """Torques of the model's rows (len(at_s), n_rows) in Nm.

        Those that the trial gives are taken. The joints' others come from inverse dynamics with the recorded ground reaction:
        in space, about the joints' own axes, where the places of the joints are known. Hip adduction comes from the ground
        reaction. Raises TrialError when a torque is not known, and when it comes out as no body's.
        """
        torque = np.empty((len(at_s), len(self.model.row_names)))
        joints = len(self.model.joints)
        if not all(name in self.torques for name in self.model.joint_names):
            torque[:, :joints] = self._joint_torque(at_s)
        for i, row in enumerate(self.model.row_names):
            if row in self.torques:
                time, values = self.torques[row]
                torque[:, i] = np.interp(at_s, time, values)
            elif row == ADDUCTION:
                torque[:, i] = self._adduction_torque(at_s)
            elif i >= joints:
                raise TrialError(
                    f"{self.name}: the torque of the row '{row}' is not known: give it with `torque` in the [[trial]] (a .sto of "
                    "OpenSim's inverse dynamics), or do without the row (`edge-msk solve --rows`, or a model without it)"
                )
        wrong = ~(np.abs(torque) <= _MOST_TORQUE_NM)  # NaN too
        if wrong.any():
            frame, row_index = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            raise TrialError(
                f"{self.name}: inverse dynamics gives {torque[frame, row_index]:.3g} Nm at the "
                f"{self.model.row_names[row_index]} at time "
                f"{at_s[frame]:g} s, which is no body's: check the units of the ground reaction (N, m, Nm) and of the pelvis's "
                "position (m), and look for outliers"
            )
        return torque

    def _joint_torque(self, at_s: FloatArray) -> FloatArray:
        motion = self.kinematics(at_s)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.touches_nothing:
                return inverse_dynamics(self.model, motion)
            reaction = self._reaction()
            if self.spatial is None or not reaction.in_space:
                return inverse_dynamics(self.model, motion, self.external_force(at_s))
            force, moment = reaction.about_origin(at_s)
            joints = self._joints_at(at_s)
            external = torque_about_own_axes(self.model, motion.q, motion.tilt, joints, force, moment)
            return inverse_dynamics(self.model, motion) - external

    def _reaction(self) -> GroundReaction:
        if self.ground_reaction is None:
            raise TrialError(
                f"{self.name}: the trial has no ground reaction, so its joint torques are not known: "
                'add `ground_reaction` to its [[trial]], or contact = "none" if the limb touched nothing'
            )
        return self.ground_reaction

    def _joints_at(self, at_s: FloatArray) -> SpatialJoints:
        assert self.spatial is not None
        joints = self.spatial.joints
        shape = (len(at_s), *joints.axis.shape[1:])
        both = np.concatenate([joints.center_m, joints.axis], axis=1).reshape(len(self.time_s), -1)
        center, axis = np.split(self._derivatives(both, at_s)[0].reshape(len(at_s), -1, 3), 2, axis=1)
        return SpatialJoints(center.reshape(shape), axis.reshape(shape))

    def _adduction_torque(self, at_s: FloatArray) -> FloatArray:
        if self._adduction_in_space():
            return self._adduction_torque_in_space(at_s)
        if self.touches_nothing:
            raise TrialError(
                f"{self.name}: the torque of the row '{ADDUCTION}' is not known without contact but from places in space: "
                "name the person's OpenSim model with `osim`, or do without the row"
            )
        if self.adduction == "space":
            raise TrialError(
                f'{self.name}: hip_adduction = "space" needs `osim`, the person\'s OpenSim model, and a ground reaction in three '
                'dimensions: add them, or set hip_adduction = "lever"'
            )
        return lever_rule(self._reaction().at(at_s)[0][..., 1].sum(axis=1), self.model.leg_length_m)

    def _adduction_torque_in_space(self, at_s: FloatArray) -> FloatArray:
        motion, joints = self.kinematics(at_s), self._joints_at(at_s)
        nothing = np.zeros((len(at_s), 3))
        force, moment = (nothing, nothing) if self.touches_nothing else self._reaction().about_origin(at_s)
        mass = sum(segment.mass_kg for segment in self.model.segments)
        side: Side = "r" if self.side == "r" else "l"
        return hip_adduction_torque(
            force,
            nothing,
            joints.center_m[:, 0],
            motion.tilt + motion.q[:, 0],
            side,
            moment_nm=moment,
            limb_mass_kg=mass,
            limb_com_m=self._limb_com(motion, joints),
            gravity_mps2=self.model.gravity_mps2,
        )

    def _limb_com(self, motion: Kinematics, joints: SpatialJoints) -> FloatArray:
        """Centre of mass of the limb in space (frames, 3): each segment's lies on its link, as far along as in the plane."""
        total, mass = np.zeros((len(motion), 3)), 0.0
        for i, segment in enumerate(self.model.segments):
            along = 0.0
            if i + 1 < len(self.model.joints):
                link = self.model.joints[i + 1].center.evaluate(motion.q[:, i + 1])[0]
                along = float(np.mean(link @ np.array(segment.com_m) / (link**2).sum(axis=1)))
                step = joints.center_m[:, i + 1] - joints.center_m[:, i]
            else:
                step = np.zeros_like(total)
            total += segment.mass_kg * (joints.center_m[:, i] + along * step)
            mass += segment.mass_kg
        return total / mass


def _turned(angle: FloatArray, offset: tuple[float, float]) -> FloatArray:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * offset[0] - s * offset[1], s * offset[0] + c * offset[1]], axis=1)
