"""The parameters that a muscle's own force curves have, their JSON form, and the curves of several muscles together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.errors import ModelError
from edge.msk.curves import degroote, millard, thelen
from edge.msk.curves.family import Curves, Family, side_by_side
from edge.msk.json_reader import Reader

FAMILY_SHAPES: dict[str, Family] = {f.name: f for f in (degroote.FAMILY, millard.FAMILY, thelen.FAMILY)}

DEGROOTE_2016, MILLARD_2013, THELEN_2003 = (f.make(f.defaults) for f in FAMILY_SHAPES.values())
FAMILIES: dict[str, Curves] = {c.name: c for c in (DEGROOTE_2016, MILLARD_2013, THELEN_2003)}


def curves_named(name: str) -> Curves:
    """The family of a name of `FAMILIES` with its default parameters. Raises ModelError for any other."""
    if name not in FAMILIES:
        raise ModelError(f"there are no muscle curves `{name}`: choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]


@dataclass(frozen=True)
class CurveParameters:
    """A muscle's force curves: a family and its parameters; those that are not given are the family's own.

    All are dimensionless: fibre lengths are normalised by the optimal one, slopes by force 1 and length or velocity 1.
    Raises ModelError for a family that does not exist. The parameters:

    * all: passive_strain of the fibre and tendon_strain at a force of 1.
    * thelen2003 (OpenSim's name): active_width (KshapeActive), passive_shape (KshapePassive), force_velocity_shape (Af),
      max_lengthening_force (Flen).
    * degroote2016: active_width_scale.
    * millard2013: fibre lengths active_min_length, active_transition_length and active_max_length, active_slope of the
      shallow ascent, active_min_force; passive_slack_strain (at no force), passive_low_stiffness,
      passive_relative_stiffness (at a force of 1, over the secant's), passive_curviness; concentric_slope,
      concentric_near_slope, isometric_slope, eccentric_slope and eccentric_near_slope at and near the maximal velocities,
      max_lengthening_force, concentric_curviness, eccentric_curviness.
    """

    family: str
    values: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        curves_named(self.family)
        object.__setattr__(self, "values", {**FAMILY_SHAPES[self.family].defaults, **self.values})

    def in_family(self, name: str) -> CurveParameters:
        """This muscle with curves of the named family: the muscle's own, or default ones that keep its passive strain.

        How far a fibre can be stretched until it carries its maximal force is a property of the muscle, whoever describes
        it. Raises ModelError for a family that does not exist.
        """
        if name == self.family:
            return self
        return CurveParameters(name, {"passive_strain": self.values["passive_strain"]})

    def to_dict(self) -> dict[str, Any]:
        return {"family": self.family, **self.values}


def read_curve_parameters(r: Reader) -> CurveParameters:
    """The `curves` of a muscle in a model file, with all parameters of its family.

    Raises ModelError that names the key that is missing or wrong.
    """
    name = r.text("family")
    if name not in FAMILY_SHAPES:
        raise r.fail("family", f"must be one of {', '.join(FAMILY_SHAPES)}, found {name!r}")
    family = FAMILY_SHAPES[name]
    unknown = [key for key in r.data if key not in ("family", *family.defaults)]
    if unknown:
        raise r.fail(str(unknown[0]), f"is no parameter of {name}, which has {', '.join(family.defaults)}")
    values = {key: r.number(key, low=low, high=high) for key, (low, high) in family.limits.items()}
    if (problem := family.contradiction(values)) is not None:
        raise r.fail(*problem)
    return CurveParameters(name, values)


def curves_of(muscles: Sequence[CurveParameters]) -> Curves:
    """The curves of these muscles, to be taken of arrays (..., n_muscles); of any arrays where all muscles are alike."""
    families = list(dict.fromkeys(m.family for m in muscles))
    groups = [np.array([i for i, m in enumerate(muscles) if m.family == name]) for name in families]
    parts = [_of_one_family([muscles[i] for i in group]) for group in groups]
    if len(parts) == 1:
        return parts[0]

    def together(attribute: str) -> Any:
        """A number of every muscle, (n_muscles,)."""
        result = np.empty(len(muscles))
        for part, group in zip(parts, groups, strict=True):
            result[group] = getattr(part, attribute)
        return result

    return Curves(
        name="+".join(families),
        active_force_length=side_by_side([p.active_force_length for p in parts], groups),
        force_velocity=side_by_side([p.force_velocity for p in parts], groups),
        passive_force_length=side_by_side([p.passive_force_length for p in parts], groups),
        tendon_force_length=side_by_side([p.tendon_force_length for p in parts], groups),
        opensim_cosine=side_by_side([p.opensim_cosine for p in parts], groups),
        tendon_strain=together("tendon_strain"),
        fiber_damping=together("fiber_damping"),
        resting_speed=together("resting_speed"),
    )


def _of_one_family(muscles: Sequence[CurveParameters]) -> Curves:
    family = FAMILY_SHAPES[muscles[0].family]
    sets = [m.values for m in muscles]
    if all(s == family.defaults for s in sets):
        return FAMILIES[family.name]
    if all(s == sets[0] for s in sets):
        return family.make(sets[0])
    columns = {key: np.array([s[key] for s in sets]) for key in family.defaults}
    # A number where all are alike: Millard's tables then stay one, and the rest is faster.
    return family.make({key: float(c[0]) if np.all(c == c[0]) else c for key, c in columns.items()})
