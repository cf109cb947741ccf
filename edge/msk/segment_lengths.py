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


def reference_lengths_m(model: Model) -> dict[str, float]:
    """What a person of the model's own size measures.

    thigh: hip to knee; shank: knee to ankle; upper_arm: shoulder to elbow; forearm: elbow to wrist; foot: heel to toe; hand:
    wrist to finger tips; pelvis: its breadth across the hips. From joint to joint as the model has it with all angles at zero
    where it has both joints; the rest in proportion to them (Winter 2009). Raises ModelError for a model without such a pair of
    joints.
    """
    parts = model.part_names
    first = len(parts) - len(model.segments)
    centers: list[FloatArray] = [j.center.evaluate(np.zeros(()))[0] for j in model.joints]
    known = {parts[first + i]: float(np.hypot(*c)) for i, c in enumerate(centers[1:])}
    if model.base.links and not any(model.base.links[-1].offset_m):
        # The base's point is the joint before the part that carries the first joint.
        known[parts[first - 1]] = float(np.hypot(*centers[0]))
    known = {part: length for part, length in known.items() if part in _PER_HEIGHT and length > 0.0}
    if not known:
        raise ModelError(
            f"model '{model.name}' has no two joints between which a length can be measured: give factors instead"
        )
    height = sum(known.values()) / sum(_PER_HEIGHT[part] for part in known)
    return {part: known.get(part, _PER_HEIGHT[part] * height) for part in parts if part in _PER_HEIGHT}


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
