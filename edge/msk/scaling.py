"""A model for a person of another size: linear scaling, as OpenSim's scale tool does it (Delp et al. 2007).

Every part of the limb has a factor along each of its axes. Joint centres scale with the part in which they lie, centres of mass
and moments of inertia with their segment, muscle paths with the parts along them. A segment may stand for several bodies of an
OpenSim model (a foot is talus, calcaneus and toes); then the result is OpenSim's when these have the same factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edge.errors import ModelError
from edge.msk.anatomy import Base, Segment
from edge.msk.model import Model
from edge.msk.muscle_scaling import scale_muscle
from edge.msk.segment_lengths import hip_to_ankle_m, stature_m
from edge.msk.spline import FloatArray, Spline

Factor = float | Sequence[float] | FloatArray
"""Of one part: the same along all axes, or along x and y (z then is their mean), or along x, y and z."""


def scale_segments(
    model: Model,
    factors: Mapping[str, Factor],
    *,
    mass_kg: float | None = None,
    preserve_mass_distribution: bool = True,
    scale_strength: bool = False,
) -> Model:
    """The model whose parts are scaled by factors, named as in `model.part_names`; a part that is not named keeps its size.

    Masses: with `preserve_mass_distribution` every segment keeps its fraction of the body's mass, `mass_kg` or the model's.
    Without it masses grow with the product of the three factors, and the rest of the body as the limb does on average; with
    `mass_kg` all of them are then brought to that total.

    Moments of inertia: exactly with the square of a factor that is the same along all axes, else as a cylinder
    (`InertiaTerms`); a segment without those as a rod from its joint through its centre of mass.

    Muscles: see `scale_muscle`; those without shares grow as the chain of parts does along which they run. Maximal forces stay,
    as in OpenSim, or with `scale_strength` grow with mass over length (Correa & Pandy 2011).

    Raises ModelError for a part that the model does not have, and where a muscle's length would vanish; ValueError for factors
    and masses that are not positive.
    """
    parts = model.part_names
    unknown = [part for part in factors if part not in parts]
    if unknown:
        raise ModelError(f"model '{model.name}' has no part '{unknown[0]}' to scale: it has {', '.join(parts)}")
    if mass_kg is not None and not 0.0 < mass_kg < float("inf"):
        raise ValueError(f"mass must be positive: {mass_kg}")
    table = np.array([_three(part, factors.get(part, 1.0)) for part in parts])
    if (table == 1.0).all() and mass_kg in (None, model.mass_kg):
        return model
    count = len(model.segments)
    growth = table[-count:].prod(axis=1)
    own = np.array([s.mass_kg for s in model.segments])
    limb_growth = float(own @ growth / own.sum())
    if preserve_mass_distribution:
        growth, limb_growth = np.ones(count), 1.0
    total = model.mass_kg * limb_growth if mass_kg is None else mass_kg
    masses = own * growth * (total / (model.mass_kg * limb_growth))
    joints = tuple(
        replace(j, center=Spline(j.center.knots, j.center.values * f[:2]))
        for j, f in zip(model.joints, table[-count - 1 : -1], strict=True)
    )
    ranges = {j.name: j.range_rad for j in model.joints} | {o.name: o.range_rad for o in model.outside}
    muscles = [
        scale_muscle(m, parts, table, _along_the_chain(model, table, m.length.angles), ranges) for m in model.muscles
    ]
    if scale_strength:
        muscles = [
            replace(
                m,
                max_isometric_force_n=m.max_isometric_force_n
                * (total / model.mass_kg)
                * (before.optimal_fiber_length_m / m.optimal_fiber_length_m),
            )
            for m, before in zip(muscles, model.muscles, strict=True)
        ]
    return replace(
        model,
        mass_kg=total,
        leg_length_m=_leg_length(model, table),
        base=_scaled_base(model.base, table[:-count]),
        joints=joints,
        segments=tuple(
            _scaled_segment(s, f, mass)
            for s, f, mass in zip(model.segments, table[-count:], masses.tolist(), strict=True)
        ),
        muscles=tuple(muscles),
    )


def scale_uniformly(
    model: Model,
    *,
    mass_kg: float | None = None,
    leg_length_m: float | None = None,
    height_m: float | None = None,
) -> Model:
    """The model with the person's mass, and with their leg length (hip to ankle) or else the lengths that go with their height.

    What is not given stays the model's. Lengths of segments, paths, fibres and tendons grow with the leg, or with the height
    over the one that goes with the model's own lengths (`stature_m`); masses with the body's, moments of inertia with both;
    maximal forces stay. Raises ModelError for a leg length where the model has no thigh and shank, and for a height where it
    has no part of known proportion; ValueError for what is not positive.
    """
    if any(value is not None and not 0.0 < value < float("inf") for value in (mass_kg, leg_length_m, height_m)):
        raise ValueError(f"mass, leg length and height must be positive: {mass_kg}, {leg_length_m}, {height_m}")
    factor = 1.0
    if leg_length_m is not None:
        factor = leg_length_m / hip_to_ankle_m(model)
    elif height_m is not None:
        factor = height_m / stature_m(model)
    return scale_segments(model, dict.fromkeys(model.part_names, factor), mass_kg=mass_kg)


def _three(part: str, factor: Factor) -> FloatArray:
    given = np.atleast_1d(np.asarray(factor, dtype=np.float64))
    if given.ndim != 1 or len(given) not in (1, 2, 3) or not ((given > 0.0) & np.isfinite(given)).all():
        raise ValueError(
            f"factors of '{part}' must be positive, one for all axes, or those of x and y, or of x, y and z: {factor}"
        )
    if len(given) == 2:
        return np.append(given, given.mean())
    return np.broadcast_to(given, 3)


def _lengthwise(vector: FloatArray, factors: FloatArray) -> float:
    """How much longer a vector (2,) of a part becomes with its factors (3,)."""
    length = float(np.hypot(*vector))
    return float(np.hypot(*(vector * factors[:2]))) / length if length > 0.0 else float(factors.mean())


def _scaled_base(base: Base, factors: FloatArray) -> Base:
    """Each link turns one of the parts that lie before the chain, whose factors these are (n_parts, 3); the last, the last."""
    first = len(factors) - len(base.links)
    carriers = [factors[max(first + i, 0)].tolist() for i in range(len(base.links))]
    return replace(
        base,
        links=tuple(
            replace(k, offset_m=(k.offset_m[0] * f[0], k.offset_m[1] * f[1]))
            for k, f in zip(base.links, carriers, strict=True)
        ),
    )


def _scaled_segment(segment: Segment, factors: FloatArray, mass_kg: float) -> Segment:
    com = np.array(segment.com_m)
    gained = mass_kg / segment.mass_kg
    terms = None if segment.inertia_terms is None else segment.inertia_terms.scaled(factors, gained)
    if terms is None or np.ptp(factors) == 0.0:
        inertia = segment.inertia_kg_m2 * gained * _lengthwise(com, factors) ** 2
    else:
        inertia = terms.total_kg_m2
    x, y = (com * factors[:2]).tolist()
    return replace(
        segment,
        mass_kg=mass_kg,
        com_m=(x, y),
        inertia_kg_m2=inertia,
        inertia_terms=terms,
    )


def _spans(model: Model) -> FloatArray:
    """From joint to joint at zero angles, of the part that carries the chain and of each segment: (1 + n_segments, 2).

    The last segment's is twice the way to its centre of mass.
    """
    centers = [j.center.evaluate(np.zeros(()))[0] for j in model.joints]
    steps = [np.array(k.offset_m) for k in model.base.links[-1:]]
    before = steps[0] if steps and steps[0].any() else centers[0]
    return np.array([before, *centers[1:], 2.0 * np.array(model.segments[-1].com_m)])


def _along_the_chain(model: Model, factors: FloatArray, angles: Sequence[str]) -> float:
    """How much longer the way becomes from the part before the first of a muscle's joints to the one behind the last.

    factors: (n_parts, 3). A muscle that crosses none of the chain's joints is taken to run along all of it.
    """
    crossed = [i for i, name in enumerate(model.joint_names) if name in angles] or range(len(model.joints))
    run = slice(min(crossed), max(crossed) + 2)
    spans, own = _spans(model)[run], factors[-len(model.segments) - 1 :][run]
    before = np.hypot(*spans.T).sum()
    return float(np.hypot(*(spans * own[:, :2]).T).sum() / before) if before > 0.0 else float(own.mean())


def _leg_length(model: Model, factors: FloatArray) -> float:
    """Of the scaled model; factors: (n_parts, 3)."""
    spans, own = _spans(model), factors[-len(model.segments) - 1 :]
    if len(model.joints) == 1:
        return model.leg_length_m * _lengthwise(spans[-1], own[-1])
    before, after = (np.hypot(*s[1:-1].T).sum() for s in (spans, spans * own[:, :2]))
    return model.leg_length_m * float(after / before)
