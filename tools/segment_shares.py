"""How an OpenSim limb depends on the size of each of its parts: asked of copies of the model in which one part is stretched.

The parts are those of `edge.msk.growth.part_names`; each is a group of OpenSim's bodies.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge.msk.growth import HIGHEST_SHARE_DEGREE, InertiaTerms, LengthShares, part_names
from edge.msk.length_functions import monomial_exponents
from edge.msk.spline import FloatArray
from tools.length_fit import halton
from tools.opensim_limb import OpenSimLimb

_STATES = 300
_STEP = 0.02  # of a factor, to either side of one
_UNUSUAL_MM = 1.0  # where the shares fail to add up to the length, or a length bends, by this much, a path has jumped
_MOST_UNUSUAL = 0.2  # of the states; where there are more, no polynomial is asked to follow
_NOTHING_MM = 0.01  # a part that never matters more than this to a muscle has no share in it
_DIGITS = 6  # behind the point of a coefficient in m


def bodies_of_parts(limb: OpenSimLimb) -> dict[str, list[str]]:
    """Names of the bodies of each part of a limb, the ground among them.

    A body belongs to the nearest of the limb's joints and links on its way to the ground. What hangs on none of them belongs
    to the part before them.
    """
    parts = part_names(limb.limb.segments)
    before = len(parts) - len(limb.limb.segments)
    parent_of = limb.parents()
    part_of: dict[str, str] = {}
    for i, link in enumerate(limb.links):
        turned = str(link.getJoint().getChildFrame().findBaseFrame().getName())
        part_of[turned] = parts[max(before - len(limb.links) + i, 0)]
    above = limb.parent.getName()
    for body, part in zip((b.getName() for b in limb.bodies), parts[before:], strict=True):
        first = body
        while parent_of[first] != above:  # a wrist has massless bodies between the forearm and the hand
            first = parent_of[first]
        part_of[first] = part
        above = body
    rest = parts[max(before - len(limb.links) - 1, 0)]
    groups: dict[str, list[str]] = {part: [] for part in parts}
    for body in ("ground", *(b.getName() for b in limb.model.getBodySet())):
        nearest = body
        while nearest not in part_of and nearest in parent_of:
            nearest = parent_of[nearest]
        groups[part_of.get(nearest, rest)].append(body)
    return groups


def inertia_terms(limb: OpenSimLimb, index: int) -> InertiaTerms | None:
    """How the moment of inertia of a segment grows with its factors by OpenSim's rule; None without masses.

    The rule (Body::scaleInertialProperties): a body is a cylinder along the axis of its smallest moment of inertia, of the
    radius that follows from that and the length that follows from another. Axes of the segment's bodies are taken as parallel.
    """
    limb.set_angles(np.zeros(len(limb.angles)))
    terms = dict.fromkeys(("xx", "yy", "xy", "xz", "yz"), 0.0)
    masses, places = [], []
    for name in bodies_of_parts(limb)[limb.limb.segments[index]]:
        body = limb.model.getBodySet().get(name)
        place = body.findStationLocationInAnotherFrame(limb.state, body.getMassCenter(), limb.bodies[index])
        masses.append(float(body.getMass()))
        places.append((place.get(0), place.get(1)))
        moments = [float(body.getInertia().getMoments().get(i)) for i in range(3)]
        axis = int(np.argmin(moments))
        across = 0.5 * moments[axis]  # mass x radius^2 / 4
        along = max(moments[1 if axis == 0 else 0] - across, 0.0)  # mass x length^2 / 12
        if axis == 2:
            terms["xy"] += moments[2]
        else:
            terms[("xx", "yy")[axis]] += along
            terms[("yz", "xz")[axis]] += across
    mass, place_m = np.array(masses), np.array(places)
    if mass.sum() <= 0.0:
        return None
    spread = mass @ (place_m - mass @ place_m / mass.sum()) ** 2
    terms["xx"] += float(spread[0])
    terms["yy"] += float(spread[1])
    return InertiaTerms(**terms)


def length_shares(
    limb: OpenSimLimb, muscles: Mapping[str, tuple[Any, Sequence[str]]]
) -> dict[str, tuple[LengthShares, float]]:
    """The shares of muscles in their lengths, given as OpenSim's muscle and the names of the angles that it crosses.

    Returns the shares with the RMS error (mm) of what a change of one factor by one does to the length. A muscle whose path
    jumps at many states has none.
    """
    if not muscles:
        return {}
    low, high = limb.limits()
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=len(low))))
    q = low + np.concatenate([halton(_STATES, len(low)), corners]) * (high - low)
    names = [muscle.getName() for muscle, _ in muscles.values()]
    parts = bodies_of_parts(limb)
    here = _lengths(limb, names, q)
    true = np.empty((len(parts), 3, *here.shape))
    bend = np.zeros_like(here)
    for p, bodies in enumerate(parts.values()):
        for axis in range(3):
            both = []
            for step in (_STEP, -_STEP):
                factors = np.ones(3)
                factors[axis] += step
                both.append(_lengths(limb.stretched({body: factors.tolist() for body in bodies}), names, q))
            true[p, axis] = (both[0] - both[1]) / (2.0 * _STEP)
            bend = np.maximum(bend, np.abs(both[0] + both[1] - 2.0 * here))
    usual = np.maximum(np.abs(true.sum(axis=(0, 1)) - here), bend) < _UNUSUAL_MM * 1e-3
    angle_names = [a.name for a in limb.angles]
    found = {}
    for m, (name, (_, angles)) in enumerate(muscles.items()):
        kept = usual[:, m]
        if kept.mean() < 1.0 - _MOST_UNUSUAL:
            continue
        own = q[kept][:, [angle_names.index(a) for a in angles]]
        matters = np.abs(true[:, :, kept, m]).max(axis=(1, 2)) > _NOTHING_MM * 1e-3
        table, error = _fitted(own, true[:, :, kept, m] * matters[:, None, None])
        found[name] = LengthShares.of_array(HIGHEST_SHARE_DEGREE, list(parts), table), error
    return found


def _lengths(limb: OpenSimLimb, names: Sequence[str], q: FloatArray) -> FloatArray:
    """Lengths (n, n_muscles) in m of the named muscles at our angles q (n, n_angles)."""
    muscles = [limb.model.getMuscles().get(name) for name in names]
    lengths = np.empty((len(q), len(names)))
    for i, row in enumerate(q):
        limb.set_angles(row)
        lengths[i] = [muscle.getLength(limb.state) for muscle in muscles]
    return lengths


def _fitted(q: FloatArray, shares: FloatArray) -> tuple[FloatArray, float]:
    """Coefficients (n_parts, 3, n_terms) of least squares through shares (n_parts, 3, n), and the RMS error in mm."""
    exponents = np.array(monomial_exponents(q.shape[1], HIGHEST_SHARE_DEGREE))
    terms = (q[:, None, :] ** exponents).prod(axis=2)
    flat = shares.reshape(-1, len(q)).T
    table: FloatArray = np.linalg.lstsq(terms, flat, rcond=None)[0].round(_DIGITS)
    error = float(np.sqrt(((terms @ table - flat) ** 2).mean()) * 1e3)
    return table.T.reshape(*shares.shape[:2], -1), error
