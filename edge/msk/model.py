"""The musculoskeletal model: a planar chain with muscles, and its JSON file.

Signs: the sagittal plane has x forward and y up; every angle is counter-clockwise positive, so hip flexion, knee
extension, ankle dorsiflexion and elbow flexion are positive (the signs of OpenSim's gait10 and gait2392 models). Units are
SI: m, kg, N, rad. A model of other signs is converted once, at import, by each joint's `sign`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import ModelError
from edge.msk.geometry import Geometry, LengthPolynomial
from edge.msk.spline import FloatArray, Spline

SCHEMA = "edge-msk/model"
SCHEMA_VERSION = 1

_LARGEST = 1e12  # of any number in a model file
_LARGEST_PENNATION_RAD = 1.4706289056333368  # acos(0.1), OpenSim's own limit
_HIGHEST_EXPONENT = 30

_MODELS = Path(__file__).resolve().parent.parent / "data" / "models"


@dataclass(frozen=True)
class Joint:
    """A revolute joint. `center` is its place in the parent segment's frame as a function of its own angle."""

    name: str
    coordinate: str  # name in OpenSim files, "{side}" stands for r or l
    sign: float  # our angle = sign * the OpenSim coordinate
    range_rad: tuple[float, float]  # where the muscle geometry was fitted and may be used
    center: Spline


@dataclass(frozen=True)
class Segment:
    """The rigid body that the joint of the same index moves, in a frame at the joint with the body's own axes."""

    name: str
    mass_kg: float
    com_m: tuple[float, float]
    inertia_kg_m2: float  # about the centre of mass, about the axis out of the plane


@dataclass(frozen=True)
class Base:
    """What the first joint hangs on (the pelvis): the names of its coordinates and the joint's place in its frame."""

    tilt: str
    position: tuple[str, str]
    joint_offset_m: tuple[float, float]


@dataclass(frozen=True)
class Muscle:
    """A Hill muscle with a rigid tendon; its path is `length` (m) as a polynomial in the angles of the joints it crosses."""

    name: str
    max_isometric_force_n: float
    optimal_fiber_length_m: float
    tendon_slack_length_m: float
    pennation_at_optimal_rad: float
    max_contraction_velocity: float  # optimal fibre lengths per second
    length: LengthPolynomial
    fit: Mapping[str, float] = field(default_factory=dict)  # errors of the polynomial against its source, in mm


@dataclass(frozen=True)
class Model:
    """A planar musculoskeletal model. Arrays over joints, rows and muscles follow the order of the tuples here."""

    name: str
    mass_kg: float  # of the whole body
    leg_length_m: float  # along the chain, joint to joint, all joints at zero
    gravity_mps2: float
    base: Base
    joints: tuple[Joint, ...]
    segments: tuple[Segment, ...]
    muscles: tuple[Muscle, ...]
    source: Mapping[str, Any]
    geometry: Geometry = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        joint_names = self.joint_names
        object.__setattr__(self, "geometry", Geometry.build(joint_names, [m.length for m in self.muscles]))

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(j.name for j in self.joints)

    @property
    def row_names(self) -> tuple[str, ...]:
        """The torque rows in which the muscles are balanced: one for each joint."""
        return self.joint_names

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

    @property
    def lower_rad(self) -> FloatArray:
        return np.array([j.range_rad[0] for j in self.joints])

    @property
    def upper_rad(self) -> FloatArray:
        return np.array([j.range_rad[1] for j in self.joints])

    def in_range(self, q: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether every angle of q (..., n_joints) lies where the geometry is valid; shape (...)."""
        inside = (q >= self.lower_rad) & (q <= self.upper_rad)
        return np.asarray(inside.all(axis=-1))

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
                "tilt": self.base.tilt,
                "position": list(self.base.position),
                "joint_offset_m": list(self.base.joint_offset_m),
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
            "segments": [
                {"name": s.name, "mass_kg": s.mass_kg, "com_m": list(s.com_m), "inertia_kg_m2": s.inertia_kg_m2}
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
                    "length": {
                        "joints": list(m.length.joints),
                        "exponents": [list(e) for e in m.length.exponents],
                        "coefficients_m": list(m.length.coefficients_m),
                    },
                    "fit": dict(m.fit),
                }
                for m in self.muscles
            ],
            "source": dict(self.source),
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @property
    def sha256(self) -> str:
        """Hash of the model's content, whatever file it came from."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


class _Reader:
    """Reads a parsed JSON object and names the place of whatever is wrong in it."""

    def __init__(self, where: str, data: Any) -> None:
        if not isinstance(data, Mapping):
            raise ModelError(f"{where}: expected an object, found {type(data).__name__}")
        self.where = where
        self.data = data

    def fail(self, key: str, text: str) -> ModelError:
        return ModelError(f"{self.where}: `{key}` {text}: make the file again with `edge-msk import-model`")

    def get(self, key: str) -> Any:
        if key not in self.data:
            raise self.fail(key, "is missing")
        return self.data[key]

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, f"must be a text, found {value!r}")
        return value

    def number(self, key: str, *, low: float = -_LARGEST, high: float = _LARGEST, strict: bool = False) -> float:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
            raise self.fail(key, f"must be a finite number, found {value!r}")
        if value < low or (strict and value == low):
            raise self.fail(key, f"must be {'above' if strict else 'at least'} {low:g}, found {value:g}")
        if value > high:
            raise self.fail(key, f"must be at most {high:g}, found {value:g}")
        return float(value)

    def names(self, key: str) -> tuple[str, ...]:
        """A list of different texts."""
        value = self.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
            raise self.fail(key, f"must be a list of names, found {value!r}")
        _require_different(self, key, value)
        return tuple(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """An object of anything; empty when the key is missing."""
        value = self.data.get(key, {})
        if not isinstance(value, Mapping):
            raise self.fail(key, f"must be an object, found {type(value).__name__}")
        return dict(value)

    def array(self, key: str, shape: tuple[int | None, ...]) -> FloatArray:
        try:
            raw = np.array(self.get(key))
        except ValueError:  # rows of different lengths
            raise self.fail(key, "must be an array of numbers") from None
        if raw.size and raw.dtype.kind not in "iuf":
            raise self.fail(key, "must be an array of numbers")
        value = raw.astype(np.float64)
        fits = value.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, value.shape, strict=True)
        )
        if not fits or not np.all(np.isfinite(value)):
            raise self.fail(key, f"must be finite numbers of shape {shape}, found shape {value.shape}")
        return value

    def pair(self, key: str) -> tuple[float, float]:
        first, second = self.array(key, (2,))
        return float(first), float(second)

    def child(self, key: str) -> _Reader:
        return _Reader(f"{self.where}: {key}", self.get(key))

    def children(self, key: str) -> list[_Reader]:
        items = self.get(key)
        if not isinstance(items, Sequence) or isinstance(items, str) or not items:
            raise self.fail(key, "must be a list with at least one entry")
        return [_Reader(f"{self.where}: {key}[{i}]", item) for i, item in enumerate(items)]


def _require_different(r: _Reader, key: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise r.fail(key, f"must have different names, found {list(names)}")


def _joint(r: _Reader) -> Joint:
    low, high = r.pair("range_rad")
    if low >= high:
        raise r.fail("range_rad", f"must increase, found {low:g} to {high:g}")
    sign = r.number("sign")
    if sign not in (-1.0, 1.0):
        raise r.fail("sign", f"must be 1 or -1, found {sign:g}")
    c = r.child("center")
    try:
        center = Spline(c.array("knots_rad", (None,)), c.array("xy_m", (None, 2)))
    except ValueError as error:
        raise c.fail("knots_rad", str(error)) from None
    return Joint(r.text("name"), r.text("coordinate"), sign, (low, high), center)


def _muscle(r: _Reader, joint_names: Sequence[str]) -> Muscle:
    length = r.child("length")
    joints = length.names("joints")
    if any(j not in joint_names for j in joints):
        raise length.fail("joints", f"must name joints of the model {list(joint_names)}, found {list(joints)}")
    coefficients = length.array("coefficients_m", (None,))
    if len(coefficients) == 0:
        raise length.fail("coefficients_m", "must hold at least one number")
    exponents = length.array("exponents", (len(coefficients), len(joints)))
    if np.any(exponents < 0) or np.any(exponents > _HIGHEST_EXPONENT) or np.any(exponents != np.round(exponents)):
        raise length.fail("exponents", f"must be whole numbers from 0 to {_HIGHEST_EXPONENT}")
    return Muscle(
        name=r.text("name"),
        max_isometric_force_n=r.number("max_isometric_force_n", low=0.0, strict=True),
        optimal_fiber_length_m=r.number("optimal_fiber_length_m", low=0.0, strict=True),
        tendon_slack_length_m=r.number("tendon_slack_length_m", low=0.0),
        pennation_at_optimal_rad=r.number("pennation_at_optimal_rad", low=0.0, high=_LARGEST_PENNATION_RAD),
        max_contraction_velocity=r.number("max_contraction_velocity", low=0.0, strict=True),
        length=LengthPolynomial(
            joints, tuple(tuple(int(v) for v in e) for e in exponents), tuple(coefficients.tolist())
        ),
        fit=r.mapping("fit"),
    )


def model_from_dict(data: Any, where: str) -> Model:
    """The model of a parsed JSON object. `where` names its origin in messages. Raises ModelError."""
    r = _Reader(where, data)
    if r.data.get("schema") != SCHEMA:
        raise ModelError(
            f"{where}: not an edge-msk model (no `schema`: {SCHEMA!r}): make one with `edge-msk import-model`"
        )
    if r.data.get("version") != SCHEMA_VERSION:
        raise ModelError(
            f"{where}: model file version {r.data.get('version')!r}, this program reads {SCHEMA_VERSION}: "
            "make it again with this program's `edge-msk import-model`"
        )
    base = r.child("base")
    position = base.names("position")
    if len(position) != 2:
        raise base.fail("position", "must name the two coordinates of the base's place")
    joints = tuple(_joint(c) for c in r.children("joints"))
    segments = tuple(
        Segment(
            c.text("name"),
            c.number("mass_kg", low=0.0, strict=True),
            c.pair("com_m"),
            c.number("inertia_kg_m2", low=0.0, strict=True),
        )
        for c in r.children("segments")
    )
    if len(segments) != len(joints):
        raise r.fail("segments", f"must be as many as the joints ({len(joints)}), found {len(segments)}")
    names = [j.name for j in joints]
    _require_different(r, "joints", names)
    muscles = tuple(_muscle(c, names) for c in r.children("muscles"))
    _require_different(r, "muscles", [m.name for m in muscles])
    return Model(
        name=r.text("name"),
        mass_kg=r.number("mass_kg", low=0.0, strict=True),
        leg_length_m=r.number("leg_length_m", low=0.0, strict=True),
        gravity_mps2=r.number("gravity_mps2", low=0.0, strict=True),
        base=Base(base.text("tilt"), (position[0], position[1]), base.pair("joint_offset_m")),
        joints=joints,
        segments=segments,
        muscles=muscles,
        source=r.mapping("source"),
    )


def packaged_models() -> list[str]:
    """Names of the models that come with the program."""
    return sorted(p.stem for p in _MODELS.glob("*.json"))


def load_model(name_or_path: str | Path) -> Model:
    """A model of the package by its name (`leg9`), or of a JSON file by its path. Raises ModelError."""
    text = str(name_or_path)
    path = Path(text)
    if text in packaged_models():
        path = _MODELS / f"{text}.json"
    elif path.suffix != ".json":
        raise ModelError(f"model '{text}': no such model: give one of {', '.join(packaged_models())}, or a .json file")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}): check the path") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not valid JSON ({error}): make it again with `edge-msk import-model`") from None
    return model_from_dict(data, str(path))
