"""The musculoskeletal model: a planar chain with muscles, and its JSON file.

Signs: the sagittal plane has x forward and y up; every angle is counter-clockwise positive, so hip flexion, knee
extension, ankle dorsiflexion and elbow flexion are positive (the signs of OpenSim's gait10 and gait2392 models). Units are
SI: m, kg, N, rad. A model of other signs is converted once, at import, by each joint's `sign`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import ModelError
from edge.msk.anatomy import Base, BaseLink, Joint, Muscle, OutsideAngle, Segment
from edge.msk.curves import read_curve_parameters
from edge.msk.geometry import Geometry
from edge.msk.growth import part_names, read_inertia_terms, read_shares
from edge.msk.json_reader import Reader
from edge.msk.length_functions import Length, LengthPolynomial, LengthSpline, monomial_exponents, spline_shape
from edge.msk.spline import FloatArray, Spline

SCHEMA = "edge-msk/model"
SCHEMA_VERSION = 2

_LARGEST_PENNATION_RAD = 1.4706289056333368  # acos(0.1), OpenSim's own limit
_HIGHEST_DEGREE = 30
_MOST_INTERVALS = 200

_MODELS = Path(__file__).resolve().parent.parent / "data" / "models"


@dataclass(frozen=True)
class Model:
    """A planar musculoskeletal model. Arrays over joints, angles, rows and muscles follow the order of the tuples here."""

    name: str
    mass_kg: float  # of the whole body
    leg_length_m: float  # along the chain, joint to joint (one joint: along its segment), all joints at zero
    gravity_mps2: float
    base: Base
    joints: tuple[Joint, ...]
    segments: tuple[Segment, ...]
    muscles: tuple[Muscle, ...]
    source: Mapping[str, Any]
    outside: tuple[OutsideAngle, ...] = ()
    outside_rows: tuple[str, ...] = ()  # those of `outside` in which the muscles are balanced
    geometry: Geometry = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        geometry = Geometry.build(
            self.coordinate_names, [m.length for m in self.muscles], self._range_ends(0), self._range_ends(1)
        )
        object.__setattr__(self, "geometry", geometry)

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(j.name for j in self.joints)

    def in_rows(self, joint_torque: FloatArray) -> FloatArray:
        """Torques of the joints (..., n_joints) with zeros for the rows outside the chain: (..., n_rows)."""
        if not self.outside_rows:
            return joint_torque
        nothing = np.zeros((*joint_torque.shape[:-1], len(self.outside_rows)))
        return np.concatenate([joint_torque, nothing], axis=-1)

    @property
    def part_names(self) -> tuple[str, ...]:
        """What can be scaled: what the limb hangs on, from the trunk outwards, then the segments."""
        return part_names([s.name for s in self.segments])

    @property
    def coordinates(self) -> tuple[Joint | OutsideAngle, ...]:
        """All angles that muscles may cross: the joints', then those outside the chain."""
        return (*self.joints, *self.outside)

    @property
    def coordinate_names(self) -> tuple[str, ...]:
        return tuple(a.name for a in self.coordinates)

    @property
    def row_names(self) -> tuple[str, ...]:
        """The torque rows in which the muscles are balanced: the joints', then the chosen ones outside the chain."""
        return (*self.joint_names, *self.outside_rows)

    @property
    def row_index(self) -> npt.NDArray[np.intp]:
        """Where the rows stand among the coordinates, (n_rows,)."""
        names = self.coordinate_names
        return np.array([names.index(row) for row in self.row_names], dtype=np.intp)

    def with_rows(self, names: Sequence[str]) -> Model:
        """The model balanced in these rows: every joint's, and any of those outside the chain.

        Raises ModelError for a row that the model does not have, and for a joint left out.
        """
        unknown = [n for n in names if n not in self.coordinate_names]
        if unknown:
            raise ModelError(
                f"model '{self.name}' has no torque row '{unknown[0]}': it has {', '.join(self.coordinate_names)}"
            )
        lacking = [n for n in self.joint_names if n not in names]
        if lacking:
            raise ModelError(
                f"model '{self.name}': the torque row '{lacking[0]}' cannot be left out, it is a joint of the chain: "
                f"name it, or take another model"
            )
        return replace(self, outside_rows=tuple(o.name for o in self.outside if o.name in names))

    @property
    def muscle_names(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.muscles)

    @property
    def torque_scale_nm(self) -> float:
        """Mass x gravity x leg length: what makes torques of different people comparable."""
        return self.mass_kg * self.gravity_mps2 * self.leg_length_m

    def muscle_parameter(self, attribute: str) -> FloatArray:
        """One number of every muscle, shape (n_muscles,)."""
        return np.array([getattr(m, attribute) for m in self.muscles], dtype=np.float64)

    def _range_ends(self, end: int) -> FloatArray:
        return np.array([a.range_rad[end] for a in self.coordinates])

    @property
    def lower_rad(self) -> FloatArray:
        """Lower ends of the joints' ranges, (n_joints,)."""
        return self._range_ends(0)[: len(self.joints)]

    @property
    def upper_rad(self) -> FloatArray:
        """Upper ends of the joints' ranges, (n_joints,)."""
        return self._range_ends(1)[: len(self.joints)]

    def in_range(self, q: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether every angle of q (..., n_joints) or (..., n_coordinates) lies where the geometry is valid; shape (...)."""
        n = q.shape[-1]
        inside = (q >= self._range_ends(0)[:n]) & (q <= self._range_ends(1)[:n])
        return np.asarray(inside.all(axis=-1))

    def all_angles(self, values: FloatArray) -> FloatArray:
        """Angles or rates of the joints (..., n_joints) with zeros for those outside the chain: (..., n_coordinates).

        What already has all of them is returned as it is. Raises ValueError for any other number.
        """
        n, given = len(self.coordinate_names), values.shape[-1]
        if given == n:
            return values
        if given != len(self.joints):
            raise ValueError(f"expected {len(self.joints)} or {n} angles, found {given}")
        return np.concatenate([values, np.zeros((*values.shape[:-1], n - given))], axis=-1)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "name": self.name,
            "units": "m, kg, N, rad",
            "signs": "counter-clockwise positive in the sagittal plane, x forward, y up",
            "mass_kg": self.mass_kg,
            "leg_length_m": self.leg_length_m,
            "gravity_mps2": self.gravity_mps2,
            "base": {
                "links": [
                    {"coordinate": k.coordinate, "sign": k.sign, "offset_m": list(k.offset_m)} for k in self.base.links
                ],
                "position": None if self.base.position is None else list(self.base.position),
            },
            "joints": [
                {
                    "name": j.name,
                    "coordinate": j.coordinate,
                    "sign": j.sign,
                    "range_rad": list(j.range_rad),
                    "center": {"knots_rad": j.center.knots.tolist(), "xy_m": j.center.values.tolist()},
                }
                for j in self.joints
            ],
            "outside": [
                {"name": o.name, "coordinate": o.coordinate, "sign": o.sign, "range_rad": list(o.range_rad)}
                for o in self.outside
            ],
            "rows": list(self.row_names),
            "segments": [
                {
                    "name": s.name,
                    "mass_kg": s.mass_kg,
                    "com_m": list(s.com_m),
                    "inertia_kg_m2": s.inertia_kg_m2,
                    **({} if s.inertia_terms is None else {"inertia_terms_kg_m2": s.inertia_terms.to_dict()}),
                }
                for s in self.segments
            ],
            "muscles": [
                {
                    "name": m.name,
                    "max_isometric_force_n": m.max_isometric_force_n,
                    "optimal_fiber_length_m": m.optimal_fiber_length_m,
                    "tendon_slack_length_m": m.tendon_slack_length_m,
                    "pennation_at_optimal_rad": m.pennation_at_optimal_rad,
                    "max_contraction_velocity": m.max_contraction_velocity,
                    **({} if m.curves is None else {"curves": m.curves.to_dict()}),
                    "length": {
                        "angles": list(m.length.angles),
                        **(
                            {"degree": m.length.degree}
                            if isinstance(m.length, LengthPolynomial)
                            else {"intervals": list(m.length.intervals)}
                        ),
                        "coefficients_m": list(m.length.coefficients_m),
                    },
                    **({} if m.shares is None else {"shares": m.shares.to_dict()}),
                    "fit": dict(m.fit),
                }
                for m in self.muscles
            ],
            "source": dict(self.source),
        }

    def to_json(self) -> str:
        """The content of the model's file; lists of numbers stand on one line."""
        text = json.dumps(self.to_dict(), indent=1)
        return re.sub(r"\[[-+\d.eE,\s]+\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n"

    @property
    def sha256(self) -> str:
        """Hash of the model's content, whatever file it came from."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _range(r: Reader) -> tuple[float, float]:
    low, high = r.pair("range_rad")
    if low >= high:
        raise r.fail("range_rad", f"must increase, found {low:g} to {high:g}")
    return low, high


def _sign(r: Reader) -> float:
    sign = r.number("sign")
    if sign not in (-1.0, 1.0):
        raise r.fail("sign", f"must be 1 or -1, found {sign:g}")
    return sign


def _joint(r: Reader) -> Joint:
    c = r.child("center")
    try:
        center = Spline(c.array("knots_rad", (None,)), c.array("xy_m", (None, 2)))
    except ValueError as error:
        raise c.fail("knots_rad", str(error)) from None
    return Joint(r.text("name"), r.text("coordinate"), _sign(r), _range(r), center)


def _base(r: Reader) -> Base:
    links = tuple(BaseLink(c.text("coordinate"), _sign(c), c.pair("offset_m")) for c in r.children("links", empty=True))
    if r.get("position") is None:
        return Base(links, None)
    position = r.names("position")
    if len(position) != 2:
        raise r.fail("position", "must name the two coordinates of the base's place")
    return Base(links, (position[0], position[1]))


def _length(r: Reader, angle_names: Sequence[str]) -> Length:
    angles = r.names("angles")
    if any(a not in angle_names for a in angles):
        raise r.fail("angles", f"must name angles of the model {list(angle_names)}, found {list(angles)}")
    coefficients = r.array("coefficients_m", (None,))
    if "intervals" in r.data:
        intervals = r.whole_numbers("intervals", low=1, high=_MOST_INTERVALS, count=len(angles))
        wanted = math.prod(spline_shape(intervals))
        length: Length = LengthSpline(angles, intervals, tuple(coefficients.tolist()))
    else:
        degree = int(r.number("degree", low=0, high=_HIGHEST_DEGREE))
        if degree != r.number("degree"):
            raise r.fail("degree", f"must be a whole number, found {r.number('degree'):g}")
        wanted = len(monomial_exponents(len(angles), degree))
        length = LengthPolynomial(angles, degree, tuple(coefficients.tolist()))
    if len(coefficients) != wanted:
        raise r.fail("coefficients_m", f"must hold {wanted} numbers, found {len(coefficients)}")
    return length


def _muscle(r: Reader, angle_names: Sequence[str], parts: Sequence[str]) -> Muscle:
    length = _length(r.child("length"), angle_names)
    return Muscle(
        name=r.text("name"),
        max_isometric_force_n=r.number("max_isometric_force_n", low=0.0, strict=True),
        optimal_fiber_length_m=r.number("optimal_fiber_length_m", low=0.0, strict=True),
        tendon_slack_length_m=r.number("tendon_slack_length_m", low=0.0),
        pennation_at_optimal_rad=r.number("pennation_at_optimal_rad", low=0.0, high=_LARGEST_PENNATION_RAD),
        max_contraction_velocity=r.number("max_contraction_velocity", low=0.0, strict=True),
        length=length,
        fit=r.mapping("fit"),
        shares=read_shares(r.child("shares"), len(length.angles), parts) if "shares" in r.data else None,
        curves=read_curve_parameters(r.child("curves")) if "curves" in r.data else None,
    )


def model_from_dict(data: Any, where: str) -> Model:
    """The model of a parsed JSON object. `where` names its origin in messages. Raises ModelError."""
    r = Reader(where, data)
    if r.data.get("schema") != SCHEMA:
        raise ModelError(
            f"{where}: not an edge-msk model (no `schema`: {SCHEMA!r}): make one with `edge-msk import-model`"
        )
    if r.data.get("version") != SCHEMA_VERSION:
        raise ModelError(
            f"{where}: model file version {r.data.get('version')!r}, this program reads {SCHEMA_VERSION}: "
            "make it again with this program's `edge-msk import-model`"
        )
    joints = tuple(_joint(c) for c in r.children("joints"))
    outside = tuple(
        OutsideAngle(c.text("name"), c.text("coordinate"), _sign(c), _range(c))
        for c in r.children("outside", empty=True)
    )
    segments = tuple(
        Segment(
            c.text("name"),
            c.number("mass_kg", low=0.0, strict=True),
            c.pair("com_m"),
            c.number("inertia_kg_m2", low=0.0, strict=True),
            read_inertia_terms(c.child("inertia_terms_kg_m2")) if "inertia_terms_kg_m2" in c.data else None,
        )
        for c in r.children("segments")
    )
    if len(segments) != len(joints):
        raise r.fail("segments", f"must be as many as the joints ({len(joints)}), found {len(segments)}")
    names = [*(j.name for j in joints), *(o.name for o in outside)]
    r.require_different("joints", names)
    rows = r.names("rows")
    if rows != tuple(n for n in names if n in rows) or any(j.name not in rows for j in joints):
        raise r.fail("rows", f"must be the joints and then any of the angles outside, in their order: {names}")
    parts = part_names([s.name for s in segments])
    muscles = tuple(_muscle(c, names, parts) for c in r.children("muscles"))
    r.require_different("muscles", [m.name for m in muscles])
    return Model(
        name=r.text("name"),
        mass_kg=r.number("mass_kg", low=0.0, strict=True),
        leg_length_m=r.number("leg_length_m", low=0.0, strict=True),
        gravity_mps2=r.number("gravity_mps2", low=0.0, strict=True),
        base=_base(r.child("base")),
        joints=joints,
        segments=segments,
        muscles=muscles,
        source=r.mapping("source"),
        outside=outside,
        outside_rows=rows[len(joints) :],
    )


def packaged_models() -> list[str]:
    """Names of the models that come with the program."""
    return sorted(p.stem for p in _MODELS.glob("*.json"))


def model_path(name: str) -> Path:
    """The file of a packaged model."""
    return _MODELS / f"{name}.json"


def load_model(name_or_path: str | Path) -> Model:
    """A model of the package by its name (`leg9`), or of a JSON file by its path. Raises ModelError."""
    text = str(name_or_path)
    path = Path(text)
    if text in packaged_models():
        path = model_path(text)
    elif path.suffix != ".json":
        raise ModelError(f"model '{text}': no such model: give one of {', '.join(packaged_models())}, or a .json file")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}): check the path") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not valid JSON ({error}): make it again with `edge-msk import-model`") from None
    return model_from_dict(data, str(path))
