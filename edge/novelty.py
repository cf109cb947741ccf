"""How far a window of kinematics is from everything that a network was trained on: an untrained task is refused, not estimated.

A window is standardised, reduced to its principal components and the size of what they leave out, and measured in a metric in
which the windows of one person (or repetition) lie about one unit from the nearest of the others. What was trained on is a
union of balls around prototypes; the radius of each says how far from it others' windows were met. The score is the distance
to the nearest ball's centre in units of its radius: above 1 the window is further out than trained movement gets.
`train.novelty` fits it without labels.

A task is untrained even where it passes through the postures of a trained one: one stands between sitting down and getting up.
So what a session is judged by is `HeldScore`: it refuses as soon as most of the last 0.1 s is new, and trusts again once nothing
was new for 1.5 s.
"""

from __future__ import annotations

import json
import math
from collections import deque
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.archive import array_bytes, array_from_bytes, pack, unpack
from edge.errors import BundleError

FloatArray = npt.NDArray[np.float64]

SCHEMA = "edge-msk/novelty"
VERSION = 1
LIMIT = 1.0
"""Above it a window, or a session, is untrained."""
LEAST = 1e-9
"""No deviation and no radius is smaller: rounding would be new."""

_ABOUT = "about.json"
_ARRAYS = ("centre", "scale", "components", "metric", "prototypes", "radius")
_LARGEST_PART = 2**24
_MOST_FRAMES = 20  # of a window: its neighbours say the same
_FARTHEST = 1e6  # standard deviations; what lies beyond is as new, and its square is still a number
_AT_ONCE = 2048  # windows in one go, to bound the memory
_FIX = "make the bundle anew"


class About(BaseModel):
    """What the file says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    schema_: Literal["edge-msk/novelty"] = Field(default="edge-msk/novelty", alias="schema")
    version: Literal[1] = 1
    window: int = Field(ge=1, le=1000)  # frames
    features: int = Field(ge=1, le=1000)
    components: int = Field(ge=1, le=100)
    prototypes: int = Field(ge=1, le=10_000)
    groups: int = Field(ge=2)
    """People or repetitions that the limit was found on, each left out in turn."""
    flagged: float = Field(ge=0, le=1)
    """Share of the left-out windows above the limit."""
    settle_s: float = Field(default=0.1, ge=0, le=1)
    """A held score is made of running medians over so long, and flags half of it late: a jolt is no new task."""
    hold_s: float = Field(default=1.5, ge=0, le=60)
    """And it is the worst of the medians of so long."""
    arrays_sha256: dict[str, str] = {}


def frames_of(window: int) -> slice:
    """Which frames of a window are looked at: all of a short one, evenly chosen ones of a long one, always the newest."""
    step = -(-window // _MOST_FRAMES)
    return slice((window - 1) % step, None, step)


class Novelty:
    """The score. Not for several threads at once: `score` works in its own memory.

    centre, scale (frames, features): standardise; components (k, frames x features): orthonormal; metric (k + 1, k + 1);
    prototypes (m, k + 1), in the metric; radius (m,). Frames are those of `frames_of(about.window)`.
    """

    def __init__(
        self,
        about: About,
        *,
        centre: FloatArray,
        scale: FloatArray,
        components: FloatArray,
        metric: FloatArray,
        prototypes: FloatArray,
        radius: FloatArray,
    ) -> None:
        self.about = about
        self._arrays = dict(zip(_ARRAYS, (centre, scale, components, metric, prototypes, radius), strict=True))
        self._frames = frames_of(about.window)
        self._centre, self._per_scale = centre, 1.0 / scale
        self._components = components.astype(np.float32)
        self._metric = metric.astype(np.float32)
        self._twice = np.ascontiguousarray(-2.0 * prototypes, dtype=np.float32)
        self._square = (prototypes**2).sum(axis=1).astype(np.float32)
        self._per_radius = (1.0 / radius**2).astype(np.float32)
        self._standard = np.zeros(centre.shape)
        self._flat = np.zeros(centre.size, dtype=np.float32)
        self._place = np.zeros(about.components + 1, dtype=np.float32)
        self._own = np.zeros(about.components + 1, dtype=np.float32)
        self._distance = np.zeros(about.prototypes, dtype=np.float32)

    def score(self, window: npt.NDArray[np.floating[Any]]) -> float:
        """Of one window (window, features), of any float type; infinite where a value is no number."""
        standard, flat, place, own, distance = self._standard, self._flat, self._place, self._own, self._distance
        np.subtract(window[self._frames], self._centre, out=standard)
        np.multiply(standard, self._per_scale, out=standard)
        np.maximum(standard, -_FARTHEST, out=standard)
        np.minimum(standard, _FARTHEST, out=standard)
        flat[:] = standard.reshape(-1)
        np.dot(self._components, flat, out=place[:-1])
        place[-1] = math.sqrt(max(float(flat @ flat) - float(place[:-1] @ place[:-1]), 0.0))
        np.dot(self._metric, place, out=own)
        np.dot(self._twice, own, out=distance)
        np.add(distance, self._square, out=distance)
        np.add(distance, own @ own, out=distance)
        np.multiply(distance, self._per_radius, out=distance)
        square = float(distance.min())
        return math.sqrt(max(square, 0.0)) if math.isfinite(square) else math.inf

    def scores(self, windows: npt.NDArray[np.floating[Any]]) -> FloatArray:
        """Of windows (n, window, features): (n,), what `score` says of each, to rounding."""
        parts = [self._part(windows[i : i + _AT_ONCE]) for i in range(0, len(windows), _AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _part(self, windows: npt.NDArray[np.floating[Any]]) -> FloatArray:
        standard = (windows[:, self._frames] - self._centre) * self._per_scale
        flat = np.clip(standard, -_FARTHEST, _FARTHEST).reshape(len(windows), -1).astype(np.float32)
        own = places(flat, self._components) @ self._metric.T
        distance = own @ self._twice.T
        distance += self._square
        distance += (own**2).sum(axis=1)[:, None]
        distance *= self._per_radius
        square = distance.min(axis=1).astype(np.float64)
        return np.where(np.isfinite(square), np.sqrt(np.maximum(square, 0.0)), np.inf)

    def to_bytes(self) -> bytes:
        """The same score gives the same bytes."""
        parts = {f"{name}.npy": array_bytes(array) for name, array in self._arrays.items()}
        hashes = {Path(name).stem: sha256(part).hexdigest() for name, part in parts.items()}
        text = self.about.model_copy(update={"arrays_sha256": hashes}).model_dump_json(by_alias=True, indent=1)
        return pack({_ABOUT: text.encode(), **parts})

    @classmethod
    def from_bytes(cls, content: bytes, path: Path) -> Novelty:
        """The inverse of `to_bytes`; `path` names the content in messages. Raises BundleError naming the field and the fix."""
        names = [f"{name}.npy" for name in _ARRAYS]
        parts = unpack(
            content, path, kind="novelty score", error=BundleError, required=(_ABOUT, *names), largest=_LARGEST_PART
        )
        about = _about(parts[_ABOUT], path)
        for name in _ARRAYS:
            if sha256(parts[f"{name}.npy"]).hexdigest() != about.arrays_sha256.get(name):
                raise BundleError(f"{path}: {name}.npy was altered: its hash is not `arrays_sha256.{name}`: {_FIX}")
        frames = len(range(about.window)[frames_of(about.window)])
        k = about.components + 1
        shapes = (
            (frames, about.features),
            (frames, about.features),
            (k - 1, frames * about.features),
            (k, k),
            (about.prototypes, k),
            (about.prototypes,),
        )
        try:
            arrays = {
                name: array_from_bytes(parts[f"{name}.npy"], shape) for name, shape in zip(_ARRAYS, shapes, strict=True)
            }
        except ValueError as problem:
            raise BundleError(f"{path}: an array does not fit {_ABOUT} ({problem}): {_FIX}") from None
        for name in ("scale", "radius"):
            if arrays[name].min() < LEAST:
                raise BundleError(f"{path}: {name}.npy holds {arrays[name].min():g}, less than {LEAST:g}: {_FIX}")
        return cls(about, **arrays)


def places(flat: npt.NDArray[Any], components: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Components of standardised windows (n, frames x features), and the size of what they leave out: (n, k + 1)."""
    inside = flat @ components.T
    left = np.maximum((flat**2).sum(axis=1) - (inside**2).sum(axis=1), 0.0)
    return np.concatenate([inside, np.sqrt(left)[:, None]], axis=1)


class HeldScore:
    """What a session is judged by, sample by sample: the worst of the last `hold_s`, of running medians over `settle_s`."""

    def __init__(self, about: About, rate_hz: float) -> None:
        self._last: deque[float] = deque(maxlen=max(round(about.settle_s * rate_hz), 1))
        self._medians = np.full(max(round(about.hold_s * rate_hz), 1), -np.inf)
        self._next = 0

    def step(self, score: float) -> float:
        """Take the newest window's score. A gap in the samples needs nothing: what was new before it stays so."""
        self._last.append(score)
        self._medians[self._next] = sorted(self._last)[len(self._last) // 2]
        self._next = (self._next + 1) % len(self._medians)
        return float(self._medians.max())


def _about(content: bytes, path: Path) -> About:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        raise BundleError(f"{path}: {_ABOUT} is not valid JSON: {_FIX}") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise BundleError(f"{path}: `schema` in {_ABOUT} is not '{SCHEMA}': it is no novelty score: {_FIX}")
    if data.get("version") != VERSION:
        raise BundleError(
            f"{path}: `version` is {data.get('version')!r}, this program reads novelty scores of version {VERSION}: {_FIX}"
        )
    try:
        return About.model_validate(data)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: `{field}` in {_ABOUT}: {first['msg']}: {_FIX}") from None
