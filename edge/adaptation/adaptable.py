"""A network that can be corrected for a wearer: its ONNX file holds a correction, of zeros at first, at a known place.

So a corrected network is made without an exporter, and is a network like any other to whatever runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.adaptation.readout import Prior
from edge.archive import array_bytes, array_from_bytes, pack, unpack
from edge.errors import BundleError, EngineError
from edge.inference.onnx_engine import OnnxEngine

FloatArray = npt.NDArray[np.float64]

_ABOUT, _NETWORK, _TAPS = "adaptation.json", "network.onnx", "taps.onnx"
_ARRAYS = ("gram", "row_deviation", "moving_deviation")
_FIX = "make the bundle anew"


class _About(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_: Literal["edge-msk/adaptation"] = Field(default="edge-msk/adaptation", alias="schema")
    version: Literal[1] = 1
    window: int = Field(ge=2, le=1000)
    features: int = Field(ge=1, le=1000)
    moving: int = Field(ge=1, le=1000)
    taps: int = Field(ge=1, le=4000)
    rows: int = Field(ge=1, le=100)
    place: int = Field(ge=0)
    rate_hz: float = Field(ge=1, le=10_000)


@dataclass(frozen=True, eq=False)
class Adaptable:
    """Everything that adaptation needs of one network.

    network: its ONNX file, whose correction (taps, rows) in float32 begins at byte `place`; it is added to the last answers, one
    a torque row. taps_network: an ONNX file that gives taps and those answers uncorrected, (1, taps + rows), of the same window.
    moving_deviation: (moving,) over everybody else's windows, of the leading columns, which tell how joints or segments move;
    what follows is the pelvis IMU's, which drifts.
    """

    network: bytes
    taps_network: bytes
    place: int
    window: int
    features: int
    prior: Prior
    moving_deviation: FloatArray
    rate_hz: float

    def corrected(self, correction: FloatArray | None) -> bytes:
        """The network's file with a correction (taps, rows); None: as it was trained. Raises EngineError."""
        if correction is None:
            return self.network
        if correction.shape != self.prior.shape or not np.isfinite(correction).all():
            raise EngineError(
                f"a correction {correction.shape} cannot be put into a network for {self.prior.shape} finite numbers: "
                "please report this"
            )
        content = np.ascontiguousarray(correction, dtype="<f4").tobytes()
        return self.network[: self.place] + content + self.network[self.place + len(content) :]

    def taps_engine(self) -> OnnxEngine:
        """What gives (taps + rows,) of a window. Raises EngineError."""
        return OnnxEngine(
            self.taps_network,
            window=self.window,
            features=self.features,
            outputs=sum(self.prior.shape),
            where="the network's dense layers",
        )

    def read(self, engine: OnnxEngine, windows: npt.NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        """Taps (m, taps) and uncorrected answers (m, rows) of windows (m, window, features). Raises EngineError."""
        taps, rows = self.prior.shape
        both = np.array([engine.infer(window) for window in windows]).reshape(len(windows), taps + rows)
        return both[:, :taps], both[:, taps:]

    def to_bytes(self) -> bytes:
        """As a file or a bundle holds it."""
        about = _About(
            window=self.window,
            features=self.features,
            moving=len(self.moving_deviation),
            taps=self.prior.shape[0],
            rows=len(self.prior.row_deviation),
            place=self.place,
            rate_hz=self.rate_hz,
        )
        arrays = (self.prior.gram, self.prior.row_deviation, self.moving_deviation)
        parts = {f"{name}.npy": array_bytes(array) for name, array in zip(_ARRAYS, arrays, strict=True)}
        json = about.model_dump_json(by_alias=True, indent=1).encode()
        return pack({_ABOUT: json, _NETWORK: self.network, _TAPS: self.taps_network, **parts})

    @classmethod
    def from_bytes(cls, content: bytes, path: Path) -> Adaptable:
        """The inverse; `path` names it in messages. Raises BundleError."""
        names = [f"{name}.npy" for name in _ARRAYS]
        required = (_ABOUT, _NETWORK, _TAPS, *names)
        parts = unpack(content, path, kind="adaptable network", error=BundleError, required=required)
        try:
            about = _About.model_validate_json(parts[_ABOUT])
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(p) for p in first["loc"])
            raise BundleError(f"{path}: `{key}` in {_ABOUT}: {first['msg']}: {_FIX}") from None
        shapes = ((about.taps, about.taps), (about.rows,), (about.moving,))
        try:
            arrays = [array_from_bytes(parts[n], shape) for n, shape in zip(names, shapes, strict=True)]
        except ValueError as error:
            raise BundleError(f"{path}: an array is not what {_ABOUT} says ({error}): {_FIX}") from None
        gram, row_deviation, moving_deviation = arrays
        if about.place + 4 * about.taps * about.rows > len(parts[_NETWORK]):
            raise BundleError(f"{path}: `place` in {_ABOUT} lies behind the end of {_NETWORK}: {_FIX}")
        if about.moving > about.features:
            raise BundleError(f"{path}: `moving` in {_ABOUT} is more than the network's features: {_FIX}")
        if not (row_deviation > 0.0).all():
            raise BundleError(f"{path}: the rows' deviations must be positive: {_FIX}")
        return cls(
            network=parts[_NETWORK],
            taps_network=parts[_TAPS],
            place=about.place,
            window=about.window,
            features=about.features,
            prior=Prior(gram, row_deviation),
            moving_deviation=moving_deviation,
            rate_hz=about.rate_hz,
        )
