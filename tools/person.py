"""A recorded person's own OpenSim model, for trials that name it with the key `osim`.

It gives the planar model the person's masses, segments and, where it has them, muscles. And where it moves in three
dimensions, its joint centres, projected on the sagittal plane, give the angles of the planar chain: those of the 3-D model put
the chain's segments elsewhere than they are (edge.msk.segment_angles).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from edge.errors import FileError, ModelError, TrialError
from edge.msk.model import Model, load_model
from edge.msk.own_axes import SpatialJoints
from edge.msk.scaling import scale_segments
from edge.msk.segment_angles import angles_from_centers
from edge.signals import zero_phase
from edge.storage import Table, write_text
from edge.trial import SpatialMotion
from tools.import_opensim import IMPORT_FORMAT, import_limb
from tools.limbs import Limb, limb_of
from tools.opensim_limb import OpenSimLimb
from tools.projected_centers import joint_centers_3d

_MOST_HEADING = 0.35  # rad: of a walk to the ground's x axis, whose plane the ground reaction is taken in
_OUT_OF_PLANE = "hip_adduction_{side}"  # a recording with this coordinate is in three dimensions


def person_model(osim: Path, model: Model, side: str) -> Model:
    """`model` with the masses and segments of a person's OpenSim model, and its muscles where it has those of `model`.

    Otherwise ours are scaled to its segments. Muscles take minutes to import and are kept in the user's cache. Raises
    FileError, ModelError or MissingExtraError.
    """
    limb = limb_of(model)
    beside = [angle.name for angle in model.outside]
    ranges = {angle.name: angle.range_rad for angle in model.coordinates}
    body = import_limb(
        osim, limb, name=model.name, side=side, rows=model.outside_rows, angles=beside, ranges_rad=ranges, muscles={}
    )
    if _has_muscles(osim, limb, side, model.muscle_names):
        return _imported(osim, limb, model, side)
    lengths = zip(_links(body), _links(model), strict=True)
    factors = [person / ours for person, ours in lengths]
    # Of pelvis and foot the chain does not say the size: they are taken to be as large as the segments beside them.
    first, last = (factors[0], factors[-1]) if factors else (body.leg_length_m / model.leg_length_m,) * 2
    by_segment = zip((segment.name for segment in model.segments), [*factors, last], strict=True)
    scaled = scale_segments(model, {**dict.fromkeys(model.part_names, first), **dict(by_segment)})
    return replace(body, muscles=scaled.muscles, source={**body.source, "muscles": dict(model.source)})


def _links(model: Model) -> list[float]:
    """Distances in m from joint to joint, all joints at zero."""
    return [float(np.hypot(*joint.center.evaluate(np.zeros(()))[0])) for joint in model.joints[1:]]


def _has_muscles(osim: Path, limb: Limb, side: str, names: Sequence[str]) -> bool:
    suffix = limb.suffix.format(side=side)
    source = OpenSimLimb(osim, limb, side)  # its model must outlive the muscles that it hands out
    there = {muscle.getName() for muscle in source.model.getMuscles()}
    return bool(names) and all(name + suffix in there for name in names)


def _imported(osim: Path, limb: Limb, model: Model, side: str) -> Model:
    key = hashlib.sha256(osim.read_bytes())
    key.update(json.dumps([IMPORT_FORMAT, model.sha256, side]).encode())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-msk" / "people"
    path = cache / f"{key.hexdigest()[:32]}.json"
    try:
        return load_model(path)
    except ModelError:  # not there yet, or damaged: made again
        click.echo(f"importing {len(model.muscles)} muscles of {osim} (kept in {cache})", err=True)
    person = import_limb(
        osim,
        limb,
        name=model.name,
        side=side,
        rows=model.outside_rows,
        angles=[angle.name for angle in model.outside],
        ranges_rad={angle.name: angle.range_rad for angle in model.coordinates},
        muscles={name: name for name in model.muscle_names},
    )
    try:
        write_text(path, person.to_json())
    except FileError as error:
        click.echo(f"warning: the imported model is not kept: {error}", err=True)
    return person


def spatial_motion(osim: Path, person: Model, table: Table, side: str) -> SpatialMotion | None:
    """The planar chain's motion in a recording in three dimensions; None for one in the plane, whose angles are the chain's.

    The plane is the ground's x and y. Raises TrialError when the person walks elsewhere than along x.
    """
    if limb_of(person).name != "leg" or _OUT_OF_PLANE.format(side=side) not in table.columns:
        return None
    places = joint_centers_3d(osim, table, side, table.time_s)
    heading = places.heading()
    turned = float(np.arctan2(-heading[2], heading[0]))
    if abs(turned) > _MOST_HEADING:
        raise TrialError(
            f"{table.path}: the person walks {np.degrees(turned):.0f} deg to the ground's x axis: turn the recording, so that "
            "they walk along x"
        )
    limb = OpenSimLimb(osim, limb_of(person), side)
    toes = limb.model.getBodySet().get(f"toes_{side}")
    end_x, end_y = limb.origin_in(toes, limb.bodies[-1])
    (link,) = person.base.links
    columns = (
        np.stack([table.column(link.coordinate)], axis=1) * link.sign * (np.pi / 180.0 if table.in_degrees else 1.0)
    )
    tilt = zero_phase.differentiate(table.time_s, columns, table.time_s)[0][:, 0]
    found = angles_from_centers(person, places.chain_m[:, :, :2], (float(end_x), float(end_y)), tilt)
    c, s = np.cos(tilt), np.sin(tilt)
    x, y = link.offset_m
    pelvis = places.hip_m[:, :2] - np.stack([c * x - s * y, s * x + c * y], axis=1)
    signs = np.array([joint.sign for joint in person.joints])
    joints = SpatialJoints(places.chain_m[:, : len(signs)], places.turn_axes * signs[:, None])
    return SpatialMotion(found.q, np.column_stack([tilt, pelvis]), joints)
