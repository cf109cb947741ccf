"""C3D recordings made up for tests: markers, and force plates whose channels are computed from what truly acts on them."""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ezc3d
import numpy as np

CALIBRATION = np.diag([2.0, 3.0, 5.0, 70.0, 110.0, 130.0]) + 0.1
"""Of plates of type 4."""


@dataclass
class TruePlate:
    """A plate in the laboratory's axes (m) and what the ground does there: force N, place m, free moment Nm."""

    corners_m: np.ndarray  # (4, 3), clockwise as the format wants it: the plate's z points into the ground
    force_n: np.ndarray  # (samples, 3)
    point_m: np.ndarray  # (samples, 3)
    twist_nm: np.ndarray  # (samples,) about the plate's own z
    kind: int = 2
    depth_m: float = 0.05  # of the sensor
    reverse: float = 1.0  # -1 for a file that holds what the foot does to the plate
    units: tuple[str, str] = ("N", "Nmm")

    def axes(self) -> np.ndarray:
        x = self.corners_m[0] - self.corners_m[1]
        z = np.cross(x, self.corners_m[0] - self.corners_m[3])
        y = np.cross(z, x)
        return np.stack([v / np.linalg.norm(v) for v in (x, y, z)], axis=1)

    def channels(self, per_metre: float) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Channels (samples, n), their units and the plate's ORIGIN, for positions of `per_metre` units."""
        axes = self.axes()
        force = self.reverse * self.force_n @ axes
        place = (self.point_m - self.corners_m.mean(axis=0)) @ axes
        moment_unit = {"Nmm": 1e3, "Nm": 1.0}[self.units[1]]
        twist = self.reverse * self.twist_nm
        moment = np.cross(place, force)
        moment[:, 2] += twist
        lever = np.array([0.0, 0.0, -self.depth_m])
        about_sensor = moment - np.cross(force, lever)
        units = [self.units[0]] * 3 + [self.units[1]] * 3
        origin = lever * per_metre
        if self.kind == 1:
            return np.column_stack([force, place[:, :2] * per_metre, twist * per_metre]), units, np.zeros(3)
        if self.kind == 2:
            return np.column_stack([force, about_sensor * moment_unit]), units, origin
        if self.kind == 4:
            six = np.column_stack([force, about_sensor * per_metre])
            return six @ np.linalg.inv(CALIBRATION).T, ["V"] * 6, origin
        a, b = 0.12, 0.2
        (mx, my, mz), (fx, fy, fz) = about_sensor.T, force.T
        corner = [(fz + i * mx / b + j * my / a) / 4 for i, j in ((1, -1), (1, 1), (-1, 1), (-1, -1))]
        eight = np.stack([fx / 2, fx / 2, (fy + mz / a) / 2, (fy - mz / a) / 2, *corner], axis=1)
        return eight, ["N"] * 8, np.array([a, b, -self.depth_m]) * per_metre


@dataclass
class Made:
    """A C3D to be written; all in m and the laboratory's axes."""

    markers: Mapping[str, np.ndarray] = field(default_factory=dict)  # (frames, 3)
    plates: Sequence[TruePlate] = ()
    rate_hz: float = 100.0
    per_frame: int = 10
    unit: str = "mm"
    point_parameters: Mapping[str, list[str]] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Written by a process of its own: ezc3d cannot write where OpenSim is loaded, whose vectors it takes for its own."""
        return _writer().submit(_written, self, path).result()

    def write_here(self, path: Path) -> Path:
        per_metre = {"mm": 1e3, "cm": 1e2, "m": 1.0}.get(self.unit, 1.0)
        c = ezc3d.c3d()
        point, analog = c["parameters"]["POINT"], c["parameters"]["ANALOG"]
        point["RATE"]["value"], point["UNITS"]["value"] = [self.rate_hz], [self.unit]
        point["LABELS"]["value"] = tuple(self.markers)
        frames = [len(m) for m in self.markers.values()] or [len(self.plates[0].force_n) // self.per_frame]
        data = np.ones((4, len(self.markers), frames[0]))
        for k, marker in enumerate(self.markers.values()):
            data[:3, k] = marker.T * per_metre
        c["data"]["points"] = data
        for name, value in self.point_parameters.items():
            c.add_parameter("POINT", name, value)
        made = [plate.channels(per_metre) for plate in self.plates]
        if made:
            widest = max(channels.shape[1] for channels, _, _ in made)
            numbers, used = np.zeros((widest, len(made))), 0
            for k, (channels, _, _) in enumerate(made):
                numbers[: channels.shape[1], k] = used + 1 + np.arange(channels.shape[1])
                used += channels.shape[1]
            analog["RATE"]["value"] = [self.rate_hz * self.per_frame]
            analog["LABELS"]["value"] = tuple(f"channel {i}" for i in range(used))
            analog["UNITS"]["value"] = tuple(unit for _, units, _ in made for unit in units)
            c["data"]["analogs"] = np.concatenate([channels for channels, _, _ in made], axis=1).T[None]
            self._describe(c, numbers, [origin for _, _, origin in made], per_metre)
        c.write(str(path))
        return path

    def _describe(self, c: ezc3d.c3d, numbers: np.ndarray, origins: list[np.ndarray], per_metre: float) -> None:
        plates = self.plates
        c.add_parameter("FORCE_PLATFORM", "USED", len(plates))
        # ezc3d's own way to add parameters makes reals of lists of whole numbers.
        whole = {"TYPE": np.array([plate.kind for plate in plates]), "CHANNEL": numbers.astype(int)}
        for name, value in whole.items():
            c["parameters"]["FORCE_PLATFORM"][name] = {
                "type": ezc3d.ezc3d.INT,
                "value": value,
                "description": "",
                "is_locked": False,
            }
        corners = np.stack([plate.corners_m.T for plate in plates], axis=2) * per_metre
        c.add_parameter("FORCE_PLATFORM", "CORNERS", corners)
        c.add_parameter("FORCE_PLATFORM", "ORIGIN", np.stack(origins, axis=1))
        c.add_parameter("FORCE_PLATFORM", "CAL_MATRIX", np.repeat(CALIBRATION[:, :, None], len(plates), axis=2))


def _written(recording: Made, path: Path) -> Path:
    return recording.write_here(path)


@functools.cache
def _writer() -> concurrent.futures.Executor:
    return concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
