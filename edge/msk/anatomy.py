"""The parts of a musculoskeletal model: joints, the segments they move, what the chain hangs on, and muscles.

Signs and units are those of `edge.msk.model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.msk.curves import CurveParameters
from edge.msk.growth import InertiaTerms, LengthShares
from edge.msk.length_functions import Length
from edge.msk.spline import Spline


@dataclass(frozen=True)
class Joint:
    """A revolute joint. `center` is its place in the parent segment's frame as a function of its own angle.

    The parent of the first joint is the base; its frame has the base's point as origin.
    """

    name: str
    coordinate: str  # name in OpenSim files, "{side}" stands for r or l
    sign: float  # our angle = sign * the OpenSim coordinate
    range_rad: tuple[float, float]  # where the muscle geometry was fitted and may be used
    center: Spline


@dataclass(frozen=True)
class OutsideAngle:
    """An angle that muscles cross and in which they may have to balance a torque, but that is no joint of the chain.

    It lies outside the plane (hip adduction), or is a neighbour of the chain (the hip of a knee model). Unless it is
    measured it is taken as zero.
    """

    name: str
    coordinate: str
    sign: float
    range_rad: tuple[float, float]


@dataclass(frozen=True)
class Segment:
    """The rigid body that the joint of the same index moves, in a frame at the joint with the body's own axes."""

    name: str
    mass_kg: float
    com_m: tuple[float, float]
    inertia_kg_m2: float  # about the centre of mass, about the axis out of the plane
    inertia_terms: InertiaTerms | None = None  # for factors that are not the same along all axes


@dataclass(frozen=True)
class BaseLink:
    """One turn on the way from the measured base to the chain, and the step that follows it in the turned frame."""

    coordinate: str
    sign: float
    offset_m: tuple[float, float]


@dataclass(frozen=True)
class Base:
    """What the chain hangs on: a leg on the pelvis, a knee on the thigh, an elbow on the upper arm.

    Its angle in the world is the sum of the links' angles, its point the measured position plus the links' steps. Without
    links it does not turn; without position it does not move.
    """

    links: tuple[BaseLink, ...]
    position: tuple[str, str] | None


@dataclass(frozen=True)
class Muscle:
    """A Hill muscle; its path is `length` (m), a function of the angles that it crosses."""

    name: str
    max_isometric_force_n: float
    optimal_fiber_length_m: float
    tendon_slack_length_m: float
    pennation_at_optimal_rad: float
    max_contraction_velocity: float  # optimal fibre lengths per second
    length: Length
    fit: Mapping[str, float] = field(default_factory=dict)  # errors of the length's function against its source, in mm
    shares: LengthShares | None = None  # what each part of the limb contributes to the length
    curves: CurveParameters | None = None  # of the model that it comes from; None: not known
