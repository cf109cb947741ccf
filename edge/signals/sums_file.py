"""Normal equations of a filter as bytes: a zip of a description in JSON and two arrays, which `numpy.load` reads too.

float64 comes back bit for bit. What is damaged, of another version, or does not fit its own description is refused in words.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.archive import array_bytes, array_from_bytes, pack, unpack
from edge.errors import EdgeMskError
from edge.signals.layout import Layout
from edge.signals.movement_prior import NormalEquations

VERSION = 1
"""Goes up when sums of before mean something else now: with the layout of the taps, or with what the targets are."""

_ABOUT = "about.json"
_FEATURES = "features.npy"
_TARGETS = "targets.npy"
_LARGEST_PART = 2**27  # 4000 features


class About(BaseModel):
    """What every such file says of itself; each kind says more."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    schema_: str = Field(alias="schema")
    version: int = VERSION
    program: str
    layout: Layout
    features_sha256: str = ""
    targets_sha256: str = ""


A = TypeVar("A", bound=About)


def to_bytes(about: About, sums: NormalEquations) -> bytes:
    """The same content gives the same bytes. The hashes are filled in."""
    parts = {_FEATURES: array_bytes(sums.features), _TARGETS: array_bytes(sums.targets)}
    hashes = {f"{Path(name).stem}_sha256": sha256(part).hexdigest() for name, part in parts.items()}
    text = about.model_copy(update=hashes).model_dump_json(by_alias=True, indent=1)
    return pack({_ABOUT: text.encode(), **parts})


def from_bytes(
    content: bytes, path: Path, kind: type[A], *, what: str, fix: str, error: type[EdgeMskError]
) -> tuple[A, NormalEquations]:
    """The inverse. what: "filter", "bank"; fix: what the user shall do about one that cannot be used.

    Raises `error` naming the file, the field and the fix.
    """
    parts = unpack(content, path, kind=what, error=error, required=(_ABOUT, _FEATURES, _TARGETS), largest=_LARGEST_PART)
    try:
        data = json.loads(parts[_ABOUT])
    except (ValueError, RecursionError):
        raise error(f"{path}: {_ABOUT} is not valid JSON: {fix}") from None
    schema = kind.model_fields["schema_"].default
    if not isinstance(data, dict) or data.get("schema") != schema:
        raise error(f"{path}: `schema` in {_ABOUT} is not '{schema}': it is no {what}: {fix}")
    if data.get("version") != VERSION:
        raise error(
            f"{path}: `version` is {data.get('version')!r}, this program reads a {what} of version {VERSION}: {fix}"
        )
    try:
        about = kind.model_validate(data)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise error(f"{path}: `{field}` in {_ABOUT}: {first['msg']}: {fix}") from None
    for name, announced in ((_FEATURES, about.features_sha256), (_TARGETS, about.targets_sha256)):
        if sha256(parts[name]).hexdigest() != announced:
            raise error(f"{path}: {name} was altered: its hash is not `{Path(name).stem}_sha256` in {_ABOUT}: {fix}")
    taps = about.layout.taps
    try:
        features = array_from_bytes(parts[_FEATURES], (taps.features, taps.features))
        targets = array_from_bytes(parts[_TARGETS], (taps.features, taps.outputs))
    except ValueError as problem:
        raise error(f"{path}: its arrays do not fit its `layout` ({problem}): {fix}") from None
    return about, NormalEquations(features, targets)
