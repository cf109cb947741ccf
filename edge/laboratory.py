"""From a laboratory's axes to ours: which of them is up, which is forward, and a C3D's plates and markers in our terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge.c3d import SIGNED_AXES, Plate, Recording
from edge.contact import FloatArray, phases
from edge.errors import TrialError
from edge.force_plates import Plates, held

_VECTORS = {name: (1.0 if name[0] == "+" else -1.0) * np.eye(3)["xyz".index(name[1])] for name in SIGNED_AXES}

_LEVEL = 0.99  # cosine between a plate's normal and an axis
_TRAVEL_M = 0.5  # a shorter way does not tell which way is forward
_ALONG_ONE_AXIS = 2.0  # by which the way along one axis must exceed the other
_BESIDE_PLATE_M = 0.1
_MOST_BESIDE = 0.5  # of a plate's loaded samples


@dataclass(frozen=True)
class Axes:
    """The laboratory's axes that point forward and up, as `+x` to `-z`."""

    forward: str
    up: str

    @property
    def rotation(self) -> FloatArray:
        """What turns the laboratory's vectors into ours, (3, 3): forward, up, right."""
        forward, up = _VECTORS[self.forward], _VECTORS[self.up]
        return np.stack([forward, up, np.cross(forward, up)])


def find_axes(recording: Recording, *, forward: str | None = None, up: str | None = None) -> Axes:
    """The laboratory's axes, unless they are given: up by the plates and by where the markers are, forward by where they go.

    Without plates, up is what the file says of the screen. Forward is the axis nearest to the way that the markers go. Raises
    TrialError when that does not tell, naming what to set.
    """
    path = recording.path
    for said, key in ((forward, "forward"), (up, "up")):
        if said is not None and said not in _VECTORS:
            raise TrialError(f"{path}: {key} = '{said}': write one of {', '.join(_VECTORS)}")
    up = _up(recording) if up is None else up
    forward = _forward(recording, up) if forward is None else forward
    if forward[1] == up[1]:
        raise TrialError(f"{path}: forward = '{forward}' and up = '{up}' are one axis: correct them")
    return Axes(forward, up)


def _up(recording: Recording) -> str:
    if not recording.plates:
        if recording.screen_up is None:
            raise TrialError(
                f'{recording.path}: does not say which axis is up: set up = "+z" or another in the [[trial]]'
            )
        return recording.screen_up
    normal = recording.plates[0].normal
    axis = int(np.argmax(np.abs(normal)))
    if abs(normal[axis]) < _LEVEL:
        raise TrialError(
            f"{recording.path}: a force plate is tilted against the laboratory's axes, which cannot be used: give the ground "
            "reaction as a .mot file"
        )
    level = np.mean([plate.corners_m[:, axis].mean() for plate in recording.plates])
    heights = np.concatenate([marker[:, axis] - level for marker in recording.markers.values()] or [np.empty(0)])
    heights = heights[np.isfinite(heights)]
    if len(heights) == 0:
        return recording.screen_up or "+" + "xyz"[axis]
    return ("+" if np.median(heights) > 0 else "-") + "xyz"[axis]


def _forward(recording: Recording, up: str) -> str:
    ways = []
    for marker in recording.markers.values():
        seen = np.flatnonzero(np.isfinite(marker).all(axis=1))
        if len(seen) > len(marker) // 2:
            ways.append((marker[seen[-1]] - marker[seen[0]]) / (seen[-1] - seen[0]) * len(marker))
    way = np.median(ways, axis=0) if ways else np.zeros(3)
    way[_VECTORS[up] != 0.0] = 0.0
    longest, second, _ = np.sort(np.abs(way))[::-1]
    if longest < _TRAVEL_M or longest < _ALONG_ONE_AXIS * second:
        raise TrialError(
            f"{recording.path}: the markers do not tell which axis points forward (they go {longest:.2f} m along one and "
            f'{second:.2f} m along the other): set forward = "+x" or another in the [[trial]]'
        )
    axis = int(np.argmax(np.abs(way)))
    return ("+" if way[axis] > 0 else "-") + "xyz"[axis]


def markers(recording: Recording, axes: Axes) -> Mapping[str, FloatArray]:
    """The markers in our axes, (frames, 3) in m."""
    return {name: place @ axes.rotation.T for name, place in recording.markers.items()}


def force_plates(recording: Recording, axes: Axes) -> Plates:
    """The plates in our axes, with what is below a contact's threshold (20 N to begin, 10 N to end it) set to zero.

    A plate that is recorded as pulling gives the action of the foot: it is turned round. Raises TrialError for a file
    without plates, and for places of application that are not on the plate.
    """
    path = recording.path
    if not recording.plates:
        raise TrialError(f"{path}: holds no force plates: give the ground reaction as another file")
    time = np.arange(len(recording.plates[0].force_n)) / recording.plate_rate_hz
    forces, points, moments = [], [], []
    for k, plate in enumerate(recording.plates):
        force, point, moment = (v @ axes.rotation.T for v in (plate.force_n, plate.point_m, plate.moment_nm))
        if not np.isfinite(force).all():
            raise TrialError(f"{path}: the force of plate {k + 1} has gaps: fill them")
        if np.sum(force[:, 1] * np.abs(force[:, 1])) < 0.0:
            force, moment = -force, -moment
        touching = phases(time, force[:, 1]).stance
        _require_on_plate(recording, k, plate, point[touching] @ axes.rotation)
        forces.append(np.where(touching[:, None], force, 0.0))
        points.append(held(touching, point))
        moments.append(np.where(touching[:, None], moment, 0.0))
    names = tuple(f"plate {k + 1}" for k in range(len(forces)))
    return Plates(
        path, names, (None,) * len(names), time, np.stack(forces, 1), np.stack(points, 1), np.stack(moments, 1)
    )


def _require_on_plate(recording: Recording, k: int, plate: Plate, point_m: FloatArray) -> None:
    low, high = plate.corners_m.min(axis=0) - _BESIDE_PLATE_M, plate.corners_m.max(axis=0) + _BESIDE_PLATE_M
    beside = ~((point_m >= low) & (point_m <= high)).all(axis=1)
    if len(point_m) and beside.mean() > _MOST_BESIDE:
        far = np.median(np.linalg.norm(point_m - plate.corners_m.mean(axis=0), axis=1))
        raise TrialError(
            f"{recording.path}: the forces of plate {k + 1} act {far:.3g} m from its middle, beside it: check the units of its "
            "moments (ANALOG:UNITS) and the plate's corners and origin (FORCE_PLATFORM) in the file"
        )
