"""Which coordinates of an OpenSim model become the joints, the further angles and the base of one of our limbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from edge.errors import ModelError
from edge.msk.model import Model


@dataclass(frozen=True)
class AnglePlan:
    """Which coordinate of the OpenSim model becomes which angle, over which range of it (deg).

    `body` is the body that the angle turns, where it is not the child of the coordinate's own joint.
    """

    name: str
    coordinate: str  # with {side}
    range_deg: tuple[float, float]
    body: str | None = None
    in_plane: bool = True  # its sign then is found in the plane; otherwise OpenSim's is kept

    @property
    def range_rad(self) -> tuple[float, float]:
        return float(np.radians(self.range_deg[0])), float(np.radians(self.range_deg[1]))


@dataclass(frozen=True)
class MassPlan:
    """Mass of a segment for models whose bodies have none, as fractions of the body's mass and of the segment's length."""

    mass_fraction: float
    length_m: float
    com_fraction: float
    gyration_fraction: float
    direction: tuple[float, float]  # from the joint along the segment, in its body's frame
    source: str


@dataclass(frozen=True)
class Limb:
    """A planar chain, the angles beside it that muscles may cross, and what it hangs on."""

    name: str
    joints: tuple[AnglePlan, ...]
    segments: tuple[str, ...]
    links: tuple[str, ...]  # coordinates from the measured base to the chain, with {side}
    position: tuple[str, str] | None
    neighbours: tuple[AnglePlan, ...] = ()  # angles that muscles cross; always part of the model
    out_of_plane: tuple[AnglePlan, ...] = ()  # part of the model when their torque rows are asked for
    suffix: str = "_{side}"  # of muscle names
    end_body: str | None = None  # whose origin ends the segment of a limb of one joint
    mass: MassPlan | None = None

    def with_ranges(self, ranges_rad: Mapping[str, tuple[float, float]]) -> Limb:
        """The limb with other ranges (rad) of the angles that are named."""

        def ranged(angles: tuple[AnglePlan, ...]) -> tuple[AnglePlan, ...]:
            return tuple(
                replace(a, range_deg=tuple(np.degrees(ranges_rad[a.name]))) if a.name in ranges_rad else a
                for a in angles
            )

        return replace(
            self,
            joints=ranged(self.joints),
            neighbours=ranged(self.neighbours),
            out_of_plane=ranged(self.out_of_plane),
        )


HIP = AnglePlan("hip", "hip_flexion_{side}", (-35.0, 90.0))
KNEE = AnglePlan("knee", "knee_angle_{side}", (-115.0, 10.0))
ANKLE = AnglePlan("ankle", "ankle_angle_{side}", (-40.0, 35.0))
# Beyond it the long heads of arm26 jump by millimetres from one side of a wrapping surface to another.
SHOULDER = AnglePlan("shoulder", "r_shoulder_elev", (-40.0, 28.0))
ELBOW = AnglePlan("elbow", "r_elbow_flex", (0.0, 130.0))

# de Leva 1996 (J Biomech 29:1223), table 4, male hand, wrist to third knuckle; about the axis across the hand.
_HAND = MassPlan(0.0061, 0.0862, 0.790, 0.513, (0.0, -1.0), "de Leva 1996, male hand, of 75 kg")

LIMBS = {
    limb.name: limb
    for limb in (
        Limb(
            "leg",
            joints=(HIP, KNEE, ANKLE),
            segments=("thigh", "shank", "foot"),
            links=("pelvis_tilt",),
            position=("pelvis_tx", "pelvis_ty"),
            out_of_plane=(
                AnglePlan("hip_adduction", "hip_adduction_{side}", (-10.0, 10.0), in_plane=False),
                AnglePlan("hip_rotation", "hip_rotation_{side}", (-15.0, 15.0), in_plane=False),
                AnglePlan("subtalar", "subtalar_angle_{side}", (-15.0, 15.0), in_plane=False),
            ),
        ),
        Limb(
            "knee",
            joints=(KNEE,),
            segments=("shank",),
            links=("pelvis_tilt", "hip_flexion_{side}"),
            position=("pelvis_tx", "pelvis_ty"),
            neighbours=(HIP, ANKLE),
            end_body="talus_{side}",
        ),
        Limb(
            "elbow",
            joints=(ELBOW,),
            segments=("forearm",),
            links=("r_shoulder_elev",),
            position=None,
            neighbours=(SHOULDER,),
            suffix="",
        ),
        Limb(
            "arm",
            joints=(SHOULDER, ELBOW),
            segments=("upper_arm", "forearm"),
            links=(),
            position=None,
            suffix="",
        ),
        Limb(
            "wrist",
            joints=(AnglePlan("wrist", "flexion", (-70.0, 70.0), body="capitate"),),
            segments=("hand",),
            links=(),
            position=None,
            neighbours=(AnglePlan("deviation", "deviation", (-20.0, 30.0), in_plane=False),),
            suffix="",
            mass=_HAND,
        ),
    )
}


def limb_of(model: Model) -> Limb:
    """How a model's angles are found in OpenSim. Raises ModelError for a model of no limb of ours."""
    joints = [(joint.name, joint.coordinate) for joint in model.joints]
    for limb in LIMBS.values():
        if [(angle.name, angle.coordinate) for angle in limb.joints] == joints:
            beside = {angle.name for angle in limb.neighbours}
            outside = {angle.name for angle in model.outside}
            if beside <= outside <= beside | {angle.name for angle in limb.out_of_plane}:
                return limb
    raise ModelError(
        f"model '{model.name}': its angles {', '.join(model.coordinate_names)} are not those of any limb that "
        "`edge-msk import-model` makes: no OpenSim model can be compared with it"
    )
