"""What a limb carries: a weight in the hand, the links of an exoskeleton on its segments, and the exoskeleton's torque.

A load is a rigid body fixed to a segment: it moves with it and does not slip. It changes the segment's mass, centre of mass
and inertia (parallel axes), so that all dynamics hold as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.errors import ModelError
from edge.msk.anatomy import Segment
from edge.msk.chain import segment_index
from edge.msk.dynamics import ExternalForce, Kinematics, inverse_dynamics
from edge.msk.model import Model
from edge.msk.spline import FloatArray


@dataclass(frozen=True)
class Load:
    """A rigid body fixed to a segment."""

    segment: str
    mass_kg: float
    at_m: tuple[float, float]  # place of its centre of mass in the segment's frame
    inertia_kg_m2: float = 0.0  # about its centre of mass, about the axis out of the plane; 0 for a point mass


def with_load(
    model: Model, segment: str, mass_kg: float, at_m: tuple[float, float], inertia_kg_m2: float = 0.0
) -> Model:
    """The model with a load on a segment: a dumbbell is a mass at the hand's place in the forearm's frame.

    `mass_kg` stays the body's own, and muscles stay. A model that is scaled later is scaled with its load: load a person's
    model, not the generic one. Raises ModelError for an unknown segment and for a mass, place or inertia that no body has.
    """
    index = segment_index(model, segment)
    if not (0.0 <= mass_kg < math.inf and 0.0 <= inertia_kg_m2 < math.inf and np.all(np.isfinite(at_m))):
        raise ModelError(
            f"load on '{segment}': {mass_kg:g} kg, {inertia_kg_m2:g} kg m2 at {tuple(at_m)} m: give a mass and an inertia "
            "of zero or more, and a finite place"
        )
    if mass_kg == 0.0 and inertia_kg_m2 == 0.0:
        return model
    segments = list(model.segments)
    segments[index] = _joined(segments[index], mass_kg, at_m, inertia_kg_m2)
    return replace(model, segments=tuple(segments))


def _joined(segment: Segment, mass_kg: float, at_m: tuple[float, float], inertia_kg_m2: float) -> Segment:
    total = segment.mass_kg + mass_kg
    across, up = at_m[0] - segment.com_m[0], at_m[1] - segment.com_m[1]
    share = mass_kg / total
    # In x and in y, so that it grows with the square of each; the load's own, of unknown shape, in equal halves.
    xx = segment.mass_kg * share * across**2 + 0.5 * inertia_kg_m2
    yy = segment.mass_kg * share * up**2 + 0.5 * inertia_kg_m2
    terms = segment.inertia_terms
    return replace(
        segment,
        mass_kg=total,
        com_m=(segment.com_m[0] + share * across, segment.com_m[1] + share * up),
        inertia_kg_m2=segment.inertia_kg_m2 + xx + yy,
        inertia_terms=None if terms is None else replace(terms, xx=terms.xx + xx, yy=terms.yy + yy),
    )


class Exoskeleton:
    """An exoskeleton worn on a limb: the limb's model with its links, and the torque that is left to the person.

    Assumed: every link moves with its segment (cuffs do not slip), the exoskeleton's axes are the joints', and a drive acts
    with a pure torque between the two segments of its joint, the first joint's against the base. What it hangs on the base
    (a hip belt, a battery) acts, as the trunk does, only through the base's measured motion. Friction belongs to the torque.
    """

    def __init__(
        self, model: Model, loads: Sequence[Load] = (), drive_inertia_kg_m2: Mapping[str, float] | None = None
    ) -> None:
        """`drive_inertia_kg_m2` names joints: gear ratio squared x inertia of the rotor that turns with the joint.

        It is zero where the torque is measured at the joint, behind the gear. Raises ModelError.
        """
        for load in loads:
            model = with_load(model, load.segment, load.mass_kg, load.at_m, load.inertia_kg_m2)
        self.model = model  # of the limb with the links on it
        self._drive_inertia = np.zeros(len(model.joints))
        for joint, inertia in (drive_inertia_kg_m2 or {}).items():
            if joint not in model.joint_names or not 0.0 <= inertia < math.inf:
                raise ModelError(
                    f"exoskeleton: drive inertia of {inertia:g} kg m2 at '{joint}': give zero or more, at one of "
                    f"{', '.join(model.joint_names)}"
                )
            self._drive_inertia[model.joint_names.index(joint)] = inertia

    def biological_torque(
        self, motion: Kinematics, torque_nm: FloatArray, external: ExternalForce | None = None
    ) -> FloatArray:
        """Joint torques (frames, n_joints) in Nm that the muscles give while the exoskeleton gives `torque_nm`, as many.

        Inverse dynamics of limb and links, less the exoskeleton's torque; positive in the joint's positive direction.
        """
        total = inverse_dynamics(self.model, motion, external) + self._drive_inertia * motion.qdd
        return total - torque_nm
