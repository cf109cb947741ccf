"""What a bundle says of itself: the fields of manifest.json, their limits, and the names of the other parts.

Fields that came later are left out where they hold their defaults: a bundle that does not need them is what it was before there
were any, and is read by older programs.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from edge.errors import BundleError
from edge.msk.hill import MuscleMode
from edge.signals import differentiate
from edge.signals.features import Signals, View

SCHEMA = "edge-msk/bundle"
SCHEMA_VERSION = 1

MANIFEST = "manifest.json"
MODEL = "model.json"
NETWORK = "network.onnx"
BANK = "bank.npz"
NOVELTY = "novelty.npz"

Head = Literal["residual", "contact", "torque", "dual", "activation"]
"""What a network answers, see `edge.estimator.Estimator`."""
MOST_MEMBERS = 16
MOST_VARIANTS = 16

_VariantName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]


def member_part(number: int) -> str:
    """The part of a further member's network; the first one's is `network.onnx`, so they are numbered from 2."""
    return f"member_{number}.onnx"


def variant_part(name: str) -> str:
    """The part of the nested bundle called `name`."""
    return f"variants/{name}.msk"


class _Fields(BaseModel):
    """Fields of a manifest; those of `later` are left out where they hold their defaults."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        known = type(self).model_fields
        unused = {n for n in self.later if getattr(self, n) == known[n].get_default(call_default_factory=True)}
        return {name: value for name, value in fields.items() if name not in unused}


class DifferentiatorSettings(_Fields):
    method: str
    age_s: float = Field(ge=0, le=differentiate.REFERENCE_AGE_S)


class NetworkSettings(_Fields):
    """What the runtime must know of a network to feed it and to understand its answer.

    signals, pelvis: what it is shown (`edge.signals.features.View`); weight: of its answer among those of all members.
    """

    later = frozenset({"signals", "pelvis", "weight"})

    head: Head
    architecture: str
    window: int = Field(ge=2, le=1000)
    look_ahead: int = Field(ge=0)
    features: int = Field(ge=1)
    outputs: int = Field(ge=1)
    signals: Signals = "derivatives"
    pelvis: bool = True
    weight: float = Field(default=1.0, gt=0, le=1e6)

    @property
    def view(self) -> View:
        return View(self.signals, self.pelvis)


class Member(NetworkSettings):
    """A further network, with the hash of its part."""

    sha256: str


class Manifest(_Fields):
    """manifest.json. Every hash is SHA-256 in hex."""

    later = frozenset({"bank_sha256", "imu_alignment", "members", "variants", "novelty_sha256"})

    schema_: Literal["edge-msk/bundle"] = Field(default="edge-msk/bundle", alias="schema")
    version: Literal[1] = 1
    program: str
    subject: str
    model_sha256: str
    network_sha256: str
    bank_sha256: str | None = None
    novelty_sha256: str | None = None
    rate_hz: float = Field(ge=1, le=10_000)
    inputs: Literal["causal", "zero-phase"]
    muscle_mode: MuscleMode
    differentiator: DifferentiatorSettings
    network: NetworkSettings
    members: list[Member] = Field(default_factory=list, max_length=MOST_MEMBERS - 1)
    variants: dict[_VariantName, str] = Field(default_factory=dict, max_length=MOST_VARIANTS)
    imu_alignment: dict[str, Any] | None = None
    training: dict[str, Any]
    validation: dict[str, Any]

    @property
    def networks(self) -> tuple[NetworkSettings, ...]:
        """Of all members, the first one's first."""
        return (self.network, *self.members)

    @property
    def age_s(self) -> float:
        """How old the moment of an estimate is by design: the differentiator's delay and the look-ahead."""
        return self.differentiator.age_s + self.network.look_ahead / self.rate_hz

    @property
    def hashes(self) -> dict[str, tuple[str, str]]:
        """For each other part that there is: the field with its hash, and the hash."""
        parts = {
            MODEL: ("model_sha256", self.model_sha256),
            NETWORK: ("network_sha256", self.network_sha256),
        }
        for part, field in ((BANK, "bank_sha256"), (NOVELTY, "novelty_sha256")):
            announced = getattr(self, field)
            if announced is not None:
                parts[part] = field, announced
        for i, member in enumerate(self.members):
            parts[member_part(i + 2)] = f"members.{i}.sha256", member.sha256
        for name, announced in self.variants.items():
            parts[variant_part(name)] = f"variants.{name}", announced
        return parts

    def to_bytes(self) -> bytes:
        return self.model_dump_json(by_alias=True, indent=1).encode()

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Manifest:
        """The inverse; `where` names the bundle in messages. Raises BundleError naming the field."""
        data = parse_json(content, MANIFEST, where)
        if isinstance(data, dict) and data.get("schema") == SCHEMA and data.get("version") != SCHEMA_VERSION:
            raise BundleError(
                f"{where}: `version` is {data.get('version')!r}, this program reads bundles of version {SCHEMA_VERSION}: "
                "make the bundle anew with this program"
            )
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors()[0]
            key = repr(".".join(str(p) for p in first["loc"]))[1:-1]  # a message is one line
            raise BundleError(f"{where}: `{key}` in {MANIFEST}: {first['msg']}: make the bundle anew") from None


def parse_json(content: bytes, part: str, where: str) -> Any:
    """A part as JSON. Raises BundleError."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise BundleError(f"{where}: {part} is not valid JSON: copy the bundle again or make it anew") from None
