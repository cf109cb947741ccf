"""The subject bundle `.msk`: a zip of manifest, model and network, verified when it is read and written atomically."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.archive import LARGEST_PART, pack, unpack
from edge.errors import BundleError
from edge.msk.hill import MuscleMode
from edge.msk.model import Model, model_from_dict
from edge.signals import differentiate
from edge.signals.alignment import Alignment
from edge.signals.bank import Bank
from edge.storage import atomic_file

SCHEMA = "edge-msk/bundle"
SCHEMA_VERSION = 1

_MANIFEST = "manifest.json"
_MODEL = "model.json"
_NETWORK = "network.onnx"
_BANK = "bank.npz"
_PARTS = (_MANIFEST, _MODEL, _NETWORK)
_LARGEST_PART = LARGEST_PART

_BUNDLES = Path(__file__).resolve().parent / "data"


class DifferentiatorSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    method: str
    age_s: float = Field(ge=0, le=differentiate.REFERENCE_AGE_S)


class NetworkSettings(BaseModel):
    """What the runtime must know of the network to feed it and to understand its answer."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    head: Literal["residual", "torque", "activation"]
    architecture: str
    window: int = Field(ge=2, le=1000)
    look_ahead: int = Field(ge=0)
    features: int = Field(ge=1)
    outputs: int = Field(ge=1)


class Manifest(BaseModel):
    """manifest.json. Every hash is SHA-256 in hex."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_: Literal["edge-msk/bundle"] = Field(default="edge-msk/bundle", alias="schema")
    version: Literal[1] = 1
    program: str
    subject: str
    model_sha256: str
    network_sha256: str
    bank_sha256: str | None = None
    rate_hz: float = Field(ge=1, le=10_000)
    inputs: Literal["causal", "zero-phase"]
    muscle_mode: MuscleMode
    differentiator: DifferentiatorSettings
    network: NetworkSettings
    imu_alignment: dict[str, Any] | None = None
    training: dict[str, Any]
    validation: dict[str, Any]


@dataclass(frozen=True)
class Bundle:
    """A subject bundle in memory."""

    path: Path
    manifest: Manifest
    model: Model
    network: bytes
    bank_part: bytes | None = None
    """What other people's movement tells the differentiator, as `Bank.to_bytes` makes it."""

    @property
    def packaged(self) -> bool:
        """Whether it came with the program: nothing is written beside it."""
        return self.path.parent == _BUNDLES

    @property
    def bank(self) -> Bank | None:
        """What other people's movement tells the differentiator. Raises BundleError."""
        if self.bank_part is None:
            return None
        return Bank.from_bytes(self.bank_part, Path(f"{self.path}: {_BANK}"))

    @property
    def segment_names(self) -> tuple[str, ...]:
        """What carries the first joint, then what each joint moves."""
        return self.model.part_names[-len(self.model.segments) - 1 :]

    @property
    def alignment(self) -> Alignment | None:
        """How the segments' IMUs sit, where that is known. Raises BundleError."""
        if self.manifest.imu_alignment is None:
            return None
        try:
            return Alignment.from_dict(self.manifest.imu_alignment)
        except ValueError as error:
            raise BundleError(f"{self.path}: `imu_alignment` in {_MANIFEST}: {error}: align the sensors anew") from None

    @property
    def age_s(self) -> float:
        """How old the moment of an estimate is by design: the differentiator's delay and the look-ahead."""
        return self.manifest.differentiator.age_s + self.manifest.network.look_ahead / self.manifest.rate_hz

    @classmethod
    def read(cls, name_or_path: str | Path) -> Bundle:
        """Read and verify a bundle file, or the packaged one called `demo`. Raises BundleError naming file and field."""
        path = _BUNDLES / f"{name_or_path}.msk" if str(name_or_path) in packaged_bundles() else Path(name_or_path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise BundleError(
                f"{path}: cannot be read ({error.strerror}): give a .msk file, or one of: {', '.join(packaged_bundles())}"
            ) from None
        return cls.from_bytes(content, path)

    @classmethod
    def from_bytes(cls, content: bytes, path: Path) -> Bundle:
        """The bundle of a file's content; `path` names it in messages."""
        parts = unpack(
            content,
            path,
            kind="bundle",
            error=BundleError,
            required=_PARTS,
            optional=(_BANK,),
            largest=_LARGEST_PART,
        )
        manifest = _manifest(parts[_MANIFEST], path)
        for part, field, announced in (
            (_MODEL, "model_sha256", manifest.model_sha256),
            (_NETWORK, "network_sha256", manifest.network_sha256),
            (_BANK, "bank_sha256", manifest.bank_sha256),
        ):
            if announced is None:
                parts.pop(part, None)
                continue
            if part not in parts:
                raise BundleError(
                    f"{path}: holds no {part}, whose `{field}` is in the manifest: copy the bundle again or make it anew"
                )
            found = hashlib.sha256(parts[part]).hexdigest()
            if found != announced:
                raise BundleError(
                    f"{path}: {part} was altered: `{field}` in the manifest is {announced[:12]}..., the file's hash "
                    f"{found[:12]}...: copy the bundle again or make it anew"
                )
        model = model_from_dict(_json(parts[_MODEL], _MODEL, path), f"{path}: {_MODEL}")
        bundle = cls(path, manifest, model, parts[_NETWORK], parts.get(_BANK))
        bundle._check_fit()
        return bundle

    def aligned(self, alignment: Alignment, path: Path) -> Bundle:
        """The same with how the segments' IMUs sit, for another file. Raises BundleError for other segments."""
        manifest = self.manifest.model_copy(update={"imu_alignment": alignment.to_dict()})
        bundle = replace(self, path=path, manifest=manifest)
        bundle._check_fit()
        return bundle

    def _check_fit(self) -> None:
        network = self.manifest.network
        wanted = len(self.model.muscles) if network.head == "activation" else len(self.model.row_names)
        features = 3 * len(self.model.joints) + 4
        for field, have, need in (("outputs", network.outputs, wanted), ("features", network.features, features)):
            if have != need:
                raise BundleError(
                    f"{self.path}: `network.{field}` is {have}, the model '{self.model.name}' needs {need}: make the bundle anew"
                )
        settings = self.manifest.differentiator
        if settings.method not in differentiate.METHODS:
            raise BundleError(
                f"{self.path}: `differentiator.method` is '{settings.method}', this program knows "
                f"{', '.join(differentiate.METHODS)}: update the program or make the bundle anew"
            )
        if network.look_ahead >= network.window:
            raise BundleError(
                f"{self.path}: `network.look_ahead` is {network.look_ahead}, beyond the window of {network.window}: "
                "make the bundle anew"
            )
        alignment = self.alignment
        if alignment is not None and alignment.segment_names != self.segment_names:
            raise BundleError(
                f"{self.path}: `imu_alignment` in {_MANIFEST} is of {', '.join(alignment.segment_names)}, the model has "
                f"{', '.join(self.segment_names)}: align the sensors anew"
            )
        bank = self.bank
        if bank is not None:
            layout = bank.layout
            found = layout.rate_hz, layout.age_s, layout.channels[: len(self.model.joints)]
            own = self.manifest.rate_hz, settings.age_s, self.model.joint_names
            if found != own:
                raise BundleError(
                    f"{self.path}: {_BANK} is for rate, age and joints {found}, the bundle's are {own}: make the bundle anew"
                )

    def to_bytes(self) -> bytes:
        """The file's content: the same for the same bundle. The hashes are those of what is written."""
        model_hash, network_hash = content_hashes(self.model, self.network)
        bank_hash = None if self.bank_part is None else hashlib.sha256(self.bank_part).hexdigest()
        hashes = {"model_sha256": model_hash, "network_sha256": network_hash, "bank_sha256": bank_hash}
        parts = {_MODEL: self.model.to_json().encode(), _NETWORK: self.network}
        if self.bank_part is not None:
            parts[_BANK] = self.bank_part
        manifest = self.manifest.model_copy(update=hashes)
        # A bundle without a bank, or an alignment, is what it was before there were any, and is read by older programs.
        without = {name for name in ("bank_sha256", "imu_alignment") if getattr(manifest, name) is None}
        text = manifest.model_dump_json(by_alias=True, indent=1, exclude=without)
        return pack({_MANIFEST: text.encode(), **parts})

    def write(self) -> None:
        """Write the bundle to its path, whole or not at all. Raises FileError."""
        with atomic_file(self.path) as temporary:
            temporary.write_bytes(self.to_bytes())


def content_hashes(model: Model, network: bytes) -> tuple[str, str]:
    """The hashes that a manifest must carry for this model and network."""
    return hashlib.sha256(model.to_json().encode()).hexdigest(), hashlib.sha256(network).hexdigest()


def packaged_bundles() -> list[str]:
    """Names of the bundles that come with the program."""
    return sorted(p.stem for p in _BUNDLES.glob("*.msk"))


def _manifest(content: bytes, path: Path) -> Manifest:
    data = _json(content, _MANIFEST, path)
    if isinstance(data, dict) and data.get("schema") == SCHEMA and data.get("version") != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: `version` is {data.get('version')!r}, this program reads bundles of version {SCHEMA_VERSION}: "
            "make the bundle anew with this program"
        )
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        raise BundleError(f"{path}: `{key}` in {_MANIFEST}: {first['msg']}: make the bundle anew") from None


def _json(content: bytes, part: str, path: Path) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise BundleError(f"{path}: {part} is not valid JSON: copy the bundle again or make it anew") from None
