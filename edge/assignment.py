"""Whose foot stands on a force plate: every contact's place compared with both feet, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge.contact import ON_N, BoolArray, FloatArray, phases, runs
from edge.errors import TrialError
from edge.feet import Foot
from edge.force_plates import Plates

SIDES = ("r", "l")
_NAMES = {"r": "right", "l": "left"}

_REACH_M = 0.06  # beyond the sole: what the place of a foot may be wrong by
_APART_M = 0.08  # by which the other foot must be further away
_STRAY_NM = 3.0  # moment of a force beyond the foot's reach that may be neglected
_SURE_S = 0.04  # how long a foot must be clear to have a contact, and how hard it must press: below, filters' tails and
_SURE_N = 50.0  # plates' offsets move the place of a small force from one foot to the other
_MOST_LOST = 0.05  # of a plate's impulse: what may stay without a foot


@dataclass(frozen=True)
class Assignment:
    """Which plate's force acts on which foot, row by row."""

    owned: Mapping[str, BoolArray]  # for r and l: (rows, plates)
    strays: Mapping[str, BoolArray]  # (rows, plates), owned by the foot, but too far from it to act on it alone
    missed: Mapping[str, BoolArray]  # (rows, plates), strays of the other foot that act on this one
    shared: BoolArray  # (rows, plates), loaded by both feet while one follows the other on it, or by who knows which
    notes: tuple[str, ...]  # what was found, one for each plate


def assign(plates: Plates, feet: Mapping[str, Foot], *, whole: bool, name: str) -> Assignment:
    """Give each plate's force to a foot.

    A row is clear where the force goes through the ground within 6 cm of one foot's sole and the other foot is 8 cm further
    away, for 40 ms and with 50 N at its highest; a row between takes the foot of the nearest clear row of its contact, and a
    contact without any is that of the one foot that the plate knows. So a plate on which one foot follows the other is
    divided between them (it is shared meanwhile), and a foot on two plates has both. Where a foot is known, rows stray whose
    distance beyond those 6 cm makes a moment above 3 Nm.

    A plate of a known side is that foot's if `whole` or if a foot is not known; else it is divided like the others, once it
    is sure that it is not the other foot's. `feet` may lack those that no plate without a side needs; nothing is known before
    and after their recording. Raises TrialError when a plate is said to be one foot's while the other stands on it, and when
    it cannot be told whose it is.
    """
    point, _ = plates.crossing()
    away = {side: _distances(foot, plates, point) for side, foot in feet.items()}
    shape = plates.force_n.shape[:2]
    owned = {side: np.zeros(shape, dtype=bool) for side in SIDES}
    shared = np.zeros(shape, dtype=bool)
    notes = []
    for k, plate in enumerate(plates.names):
        said = plates.sides[k]
        if said is not None and set(feet) == set(SIDES):
            _require_place(plates, k, said, away, name)
        if said is not None and (whole or set(feet) != set(SIDES)):
            owned[said][:, k] = True
            notes.append(f"'{plate}': the {_NAMES[said]} foot's, as its name says")
            continue
        whose, shared[:, k], note = _divide(plates, k, away["r"][:, k], away["l"][:, k], name)
        for i, side in enumerate(SIDES):
            owned[side][:, k] = whose == i
        notes.append(f"'{plate}': {note}")
    if shared.any():
        shared |= _both_stand(plates, feet, owned, shared)
    push = np.linalg.norm(np.nan_to_num(plates.force_n), axis=-1)
    strays = {side: np.zeros(shape, dtype=bool) for side in SIDES}
    for side, distance in away.items():
        beyond = np.where(np.isfinite(distance), np.maximum(distance - _REACH_M, 0.0), 0.0)
        strays[side] = owned[side] & (push * beyond > _STRAY_NM)
    missed = {side: np.zeros(shape, dtype=bool) for side in SIDES}
    for side, distance in away.items():
        missed[side] = strays["l" if side == "r" else "r"] & (distance < _REACH_M)
    return Assignment(owned, strays, missed, shared, tuple(notes))


def _both_stand(
    plates: Plates, feet: Mapping[str, Foot], owned: Mapping[str, BoolArray], shared: BoolArray
) -> BoolArray:
    """Rows (rows, plates) around shared ones of the same contact in which both feet are on the ground by their movement.

    The place of the sum leaves the first foot only some time after the second one has begun to carry.
    """
    both = np.ones(len(plates.time_s), dtype=bool)
    for side, foot in feet.items():
        own = np.where(owned[side], plates.force_n[..., 1], 0.0).sum(axis=1)
        stands = foot.standing(np.interp(foot.time_s, plates.time_s, own) >= ON_N)
        both &= np.interp(plates.time_s, foot.time_s, stands.astype(float)) > 0.0
    wider = np.zeros_like(shared)
    for k in range(shared.shape[1]):
        for run in runs(both & (plates.force_n[:, k, 1] > 0.0)):
            wider[run, k] = shared[run, k].any()
    return wider


def _distances(foot: Foot, plates: Plates, point_m: FloatArray) -> FloatArray:
    """How far outside a foot's sole the forces act, (rows, plates) in m; infinite outside the foot's recording."""
    here = foot.at(plates.time_s)
    away = np.stack([here.outside(point_m[:, k]) for k in range(len(plates.names))], axis=1)
    away[(plates.time_s < foot.time_s[0] - 1e-9) | (plates.time_s > foot.time_s[-1] + 1e-9)] = np.inf
    return away


def _require_place(plates: Plates, k: int, own: str, away: Mapping[str, FloatArray], name: str) -> None:
    """Raise TrialError when a force that is said to be one foot's acts on the other over the recording as a whole."""
    weight = np.where(np.isfinite(away["r"][:, k]), np.maximum(plates.force_n[:, k, 1], 0.0), 0.0)
    if not weight.any():
        return
    mean = {side: np.average(np.where(weight > 0.0, away[side][:, k], 0.0), weights=weight) for side in SIDES}
    other = "l" if own == "r" else "r"
    if mean[own] > mean[other] + _APART_M and mean[other] < _REACH_M:
        raise TrialError(
            f"{name}: {plates.path.name}: the force '{plates.names[k]}' is said to act on the {_NAMES[own]} foot, but acts "
            f"{mean[own]:.2f} m from it, on the {_NAMES[other]} one: correct `external_loads` (or the names of the columns), or "
            "leave it out to have the plates assigned by place"
        )


def _divide(
    plates: Plates, k: int, right_m: FloatArray, left_m: FloatArray, name: str
) -> tuple[FloatArray, BoolArray, str]:
    """Whose each row of a plate is (0 right, 1 left, -1 nobody's), where the feet share it, and a note."""
    up = plates.force_n[:, k, 1]
    known = np.isfinite(right_m) & np.isfinite(left_m)
    loaded = phases(plates.time_s, up).stance & known
    nearest = np.minimum(right_m, left_m)
    apart = np.abs(np.where(known, right_m, 0.0) - np.where(known, left_m, 0.0))
    near = (left_m < right_m).astype(float)
    clear = loaded & (nearest < _REACH_M) & (apart > _APART_M)
    for side in range(2):
        for run in runs(clear & (near == side)):
            lasts = plates.time_s[run.stop - 1] - plates.time_s[run.start]
            clear[run] = lasts >= _SURE_S - 1e-9 and up[run].max() >= _SURE_N
    only = np.unique(near[clear])
    whose = np.full(len(up), -1.0)
    shared = np.zeros(len(up), dtype=bool)
    for run in runs(np.asarray(plates.force_n[:, k, :2].any(axis=1))):
        rows = np.arange(run.start, run.stop)
        sure = rows[clear[run]]
        if len(sure) == 0:
            if len(only) == 1 and known[run].any():
                whose[run] = only[0]
            else:
                shared[run] = loaded[run]
            continue
        after = sure[np.minimum(np.searchsorted(sure, rows), len(sure) - 1)]
        before = sure[np.maximum(np.searchsorted(sure, rows, side="right") - 1, 0)]
        whose[run] = near[np.where(np.abs(rows - before) <= np.abs(after - rows), before, after)]
        shared[run] = (near[before] != near[after]) & loaded[run]
    if up[loaded & (whose < 0)].sum() > _MOST_LOST * up[loaded].sum():
        raise TrialError(
            f"{name}: {plates.path.name}: whose foot stands on '{plates.names[k]}' cannot be told: its force acts "
            f"{np.median(right_m[loaded]):.2f} m from the right sole and {np.median(left_m[loaded]):.2f} m from the left one: "
            "give `external_loads`, which says it (or is the unit of the angles wrong?)"
        )
    counts = [len(runs(loaded & (whose == i))) for i in range(2)]
    feet = [f"{count} of the {_NAMES[side]} foot" for side, count in zip(SIDES, counts, strict=True) if count]
    if not feet:
        return whose, shared, "no contacts"
    return whose, shared, f"contacts: {' and '.join(feet)}, the other {np.median(apart[clear]):.2f} m further away"
