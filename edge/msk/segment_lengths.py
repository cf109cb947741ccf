"""Factors of size from lengths measured on a person."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edge.errors import ModelError
from edge.msk.model import Model
from edge.msk.spline import FloatArray

_LEAST, _MOST = 0.4, 2.5  # of a factor: beyond, a length was given in another unit

# Lengths over stature, Winter 2009 (after Drillis & Contini 1966), figure 4.1: pelvis across the hips; hip to knee to ankle; heel
# to toe; shoulder to elbow to wrist; wrist to finger tips.
_PER_HEIGHT = {
    "pelvis": 0.191,
    "thigh": 0.530 - 0.285,
    "shank": 0.285 - 0.039,
    "foot": 0.152,
    "upper_arm": 0.186,
    "forearm": 0.146,
    "hand": 0.108,
}
# Wrist to third knuckle over stature: 0.0862 m of 1.741 m, de Leva 1996, tables 1 and 4, men. What a model of the hand alone has.
_KNUCKLE_PER_HEIGHT = 0.0862 / 1.741


def reference_lengths_m(model: Model) -> dict[str, float]:
    """What a person of the model's own size measures.

    thigh: hip to knee; shank: knee to ankle; upper_arm: shoulder to elbow; forearm: elbow to wrist; foot: heel to toe; hand:
    wrist to finger tips; pelvis: its breadth across the hips. From joint to joint as the model has it with all angles at zero
    where it has both joints; the rest in proportion to them (Winter 2009). Raises ModelError for a model of none of these parts.
    """
    known, height = _own_lengths_m(model), stature_m(model)
    return {part: known.get(part, _PER_HEIGHT[part] * height) for part in model.part_names if part in _PER_HEIGHT}


def stature_m(model: Model) -> float:
    """Height of the person whom the model's own lengths fit in the mean (Winter 2009; a hand: de Leva 1996).

    Raises ModelError for a model without a length of a leg or an arm.
    """
    known = _own_lengths_m(model)
    if known:
        return sum(known.values()) / sum(_PER_HEIGHT[part] for part in known)
    if model.part_names[-1] == "hand":
        return model.leg_length_m / _KNUCKLE_PER_HEIGHT
    raise ModelError(
        f"model '{model.name}' has no length of a leg or an arm to compare with a person's: give factors of size instead"
    )


def hip_to_ankle_m(model: Model) -> float:
    """Length of the model's leg, all joints at zero. Raises ModelError for a model without thigh and shank."""
    known = _own_lengths_m(model)
    if "thigh" in known and "shank" in known:
        return known["thigh"] + known["shank"]
    raise ModelError(
        f"model '{model.name}' has no leg from hip to ankle, so leg_length_m does not scale it: give height_m"
    )


def _own_lengths_m(model: Model) -> dict[str, float]:
    """Of the parts whose both joints the model has."""
    parts = model.part_names
    first = len(parts) - len(model.segments)
    centers: list[FloatArray] = [j.center.evaluate(np.zeros(()))[0] for j in model.joints]
    known = {parts[first + i]: float(np.hypot(*c)) for i, c in enumerate(centers[1:])}
    if model.base.links and not any(model.base.links[-1].offset_m):
        # The base's point is the joint before the part that carries the first joint.
        known[parts[first - 1]] = float(np.hypot(*centers[0]))
    if len(model.joints) == 1 and parts[-1] == "shank":
        known["shank"] = model.leg_length_m  # its model ends at the ankle
    return {part: length for part, length in known.items() if part in _PER_HEIGHT and length > 0.0}


def factors_from_lengths(model: Model, lengths_m: Mapping[str, float]) -> dict[str, float]:
    """Factors for `scale_segments` from measured lengths of parts, as `reference_lengths_m` describes them.

    A part that was not measured grows as the measured ones do together. Raises ModelError for a part that cannot be measured
    in this model and for a length that no person of the kind has; a length in cm is such a one.
    """
    reference = reference_lengths_m(model)
    for part, length in lengths_m.items():
        if part not in reference:
            raise ModelError(
                f"model '{model.name}' has no length of '{part}' to compare with: give any of {', '.join(reference)}"
            )
        if not _LEAST <= length / reference[part] <= _MOST:
            raise ModelError(
                f"length of the {part}, {length:g} m, cannot be: the model's is {reference[part]:.3f} m: give it in metres"
            )
    if not lengths_m:
        raise ModelError(f"no length was given: give any of {', '.join(reference)}")
    together = sum(lengths_m.values()) / sum(reference[part] for part in lengths_m)
    return {part: lengths_m[part] / reference[part] if part in lengths_m else together for part in model.part_names}
