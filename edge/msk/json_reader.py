"""Reading a parsed JSON object of a model file, naming the place of whatever is wrong in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge.errors import ModelError
from edge.msk.spline import FloatArray

LARGEST = 1e12  # of any number in a model file


class Reader:
    """Reads a parsed JSON object and names the place of whatever is wrong in it."""

    def __init__(self, where: str, data: Any) -> None:
        if not isinstance(data, Mapping):
            raise ModelError(f"{where}: expected an object, found {type(data).__name__}")
        self.where = where
        self.data = data

    def fail(self, key: str, text: str) -> ModelError:
        return ModelError(f"{self.where}: `{key}` {text}: make the file again with `edge-msk import-model`")

    def get(self, key: str) -> Any:
        if key not in self.data:
            raise self.fail(key, "is missing")
        return self.data[key]

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise self.fail(key, f"must be a text, found {value!r}")
        return value

    def number(self, key: str, *, low: float = -LARGEST, high: float = LARGEST, strict: bool = False) -> float:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
            raise self.fail(key, f"must be a finite number, found {value!r}")
        if value < low or (strict and value == low):
            raise self.fail(key, f"must be {'above' if strict else 'at least'} {low:g}, found {value:g}")
        if value > high:
            raise self.fail(key, f"must be at most {high:g}, found {value:g}")
        return float(value)

    def names(self, key: str) -> tuple[str, ...]:
        """A list of different texts."""
        value = self.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v for v in value):
            raise self.fail(key, f"must be a list of names, found {value!r}")
        self.require_different(key, value)
        return tuple(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """An object of anything; empty when the key is missing."""
        value = self.data.get(key, {})
        if not isinstance(value, Mapping):
            raise self.fail(key, f"must be an object, found {type(value).__name__}")
        return dict(value)

    def array(self, key: str, shape: tuple[int | None, ...]) -> FloatArray:
        try:
            raw = np.array(self.get(key))
        except ValueError:  # rows of different lengths
            raise self.fail(key, "must be an array of numbers") from None
        if raw.size and raw.dtype.kind not in "iuf":
            raise self.fail(key, "must be an array of numbers")
        value = raw.astype(np.float64)
        fits = value.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, value.shape, strict=True)
        )
        if not fits or not np.all(np.isfinite(value)):
            raise self.fail(key, f"must be finite numbers of shape {shape}, found shape {value.shape}")
        return value

    def whole_numbers(self, key: str, *, low: int, high: int, count: int) -> tuple[int, ...]:
        value = self.array(key, (count,))
        if np.any(value < low) or np.any(value > high) or np.any(value != np.round(value)):
            raise self.fail(key, f"must be whole numbers from {low} to {high}")
        return tuple(int(v) for v in value)

    def pair(self, key: str) -> tuple[float, float]:
        first, second = self.array(key, (2,))
        return float(first), float(second)

    def child(self, key: str) -> Reader:
        return Reader(f"{self.where}: {key}", self.get(key))

    def children(self, key: str, *, empty: bool = False) -> list[Reader]:
        items = self.get(key)
        if not isinstance(items, Sequence) or isinstance(items, str) or not (items or empty):
            raise self.fail(key, "must be a list" + ("" if empty else " with at least one entry"))
        return [Reader(f"{self.where}: {key}[{i}]", item) for i, item in enumerate(items)]

    def require_different(self, key: str, names: Sequence[str]) -> None:
        if len(set(names)) != len(names):
            raise self.fail(key, f"must have different names, found {list(names)}")
