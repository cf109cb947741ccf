"""What OpenSim says of muscles' paths, for the moment-arm figure."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.errors import MissingExtraError, ModelError
from edge.msk.model import Model
from edge.msk.spline import FloatArray
from tools.limbs import limb_of
from tools.opensim_limb import OpenSimLimb
from tools.plots.moment_arms import Points, angle_index, angles_over_range, states

STEPS = 25


def opensim_points(
    osim: Path,
    model: Model,
    side: str,
    pairs: Sequence[tuple[str, str]],
    theirs: Mapping[str, str],
    held: FloatArray,
) -> list[Points]:
    """OpenSim's lengths and moment arms of (row, muscle) pairs over the row's range, the other angles held (rad).

    `theirs` are OpenSim's names, without the side suffix, of muscles that it calls otherwise. Raises MissingExtraError,
    FileError for a file that is no model, ModelError for a limb, muscle or coordinate that there is not.
    """
    if importlib.util.find_spec("opensim") is None:
        raise MissingExtraError("opensim", "opensim", "edge-msk plot moment-arms --osim")
    limb = limb_of(model)
    source = OpenSimLimb(osim, limb, side, [angle.name for angle in model.outside])
    places = [model.coordinate_names.index(angle.name) for angle in source.angles]
    suffix = limb.suffix.format(side=side)
    muscles = {m.getName(): m for m in source.model.getMuscles()}
    points = []
    for row, name in pairs:
        wanted = theirs.get(name, name) + suffix
        if wanted not in muscles:
            raise ModelError(
                f"{osim}: has no muscle '{wanted}': it has {', '.join(muscles)}: give the model that '{model.name}' was made "
                f"from, another --side, or its own name with --muscles {name}=..."
            )
        angle_rad = angles_over_range(model, row, STEPS)
        q = states(model, row, angle_rad, held)
        index = places.index(angle_index(model, row))
        length, arms = source.path_samples(muscles[wanted], q[:, places], [index])
        points.append(Points(angle_rad, length, arms[:, 0]))
    return points
