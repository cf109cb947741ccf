"""The subject bundle `.msk`: a zip of manifest, model and networks, verified when it is read and written atomically.

A bundle may hold further whole bundles of the same subject, its variants: for another age of the estimates, or with inputs that
no device has. They share its model and how the IMUs sit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.archive import LARGEST_PART, LARGEST_TOTAL, pack, unpack
from edge.bundle_fit import SAME_AGE_MS, check_fit
from edge.errors import BundleError
from edge.manifest import (
    BANK,
    MANIFEST,
    MODEL,
    NETWORK,
    NOVELTY,
    DifferentiatorSettings,
    Head,
    Manifest,
    Member,
    NetworkSettings,
    member_part,
    parse_json,
    variant_part,
)
from edge.msk.model import Model, model_from_dict
from edge.msk.scaling import scale_uniformly
from edge.novelty import Novelty
from edge.signals.alignment import Alignment
from edge.signals.bank import Bank
from edge.storage import atomic_file

__all__ = [
    "Bundle",
    "DifferentiatorSettings",
    "Head",
    "Manifest",
    "Member",
    "NetworkSettings",
    "content_hashes",
    "packaged_bundles",
]

_LARGEST_PART = LARGEST_PART
_LARGEST_TOTAL = LARGEST_TOTAL

_BUNDLES = Path(__file__).resolve().parent / "data"


@dataclass(frozen=True)
class Bundle:
    """A subject bundle in memory."""

    path: Path
    manifest: Manifest
    model: Model
    network: bytes
    bank_part: bytes | None = None
    """What other people's movement tells the differentiator, as `Bank.to_bytes` makes it."""
    member_networks: tuple[bytes, ...] = ()
    """Of the members beside the first, in the order of `Manifest.members`."""
    novelty_part: bytes | None = None
    """How unlike the training a window is, as `Novelty.to_bytes` makes it."""
    variants: Mapping[str, Bundle] = field(default_factory=dict)
    """Nested bundles by name; these have none. Ask `at` for one, which knows how the IMUs sit."""
    variant: str = ""
    """Of a nested bundle its name; its `path` is that of the whole file."""

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.path}: {variant_part(self.variant)}" if self.variant else str(self.path)

    @property
    def packaged(self) -> bool:
        """Whether it came with the program: nothing is written beside it."""
        return self.path.parent == _BUNDLES

    @property
    def bank(self) -> Bank | None:
        """What other people's movement tells the differentiator. Raises BundleError."""
        return None if self.bank_part is None else Bank.from_bytes(self.bank_part, Path(f"{self.where}: {BANK}"))

    @property
    def novelty(self) -> Novelty | None:
        """How unlike the training a window of the first member is. Raises BundleError."""
        if self.novelty_part is None:
            return None
        return Novelty.from_bytes(self.novelty_part, Path(f"{self.where}: {NOVELTY}"))

    @property
    def networks(self) -> tuple[tuple[NetworkSettings, bytes], ...]:
        """Every member's settings and network, the first one's first."""
        return tuple(zip(self.manifest.networks, (self.network, *self.member_networks), strict=True))

    @property
    def needs_pelvis(self) -> bool:
        """Whether any member was trained with the IMU of what carries the first joint."""
        return any(network.pelvis for network in self.manifest.networks)

    @property
    def window(self) -> int:
        """States that the longest window of all members takes."""
        return max(network.window for network in self.manifest.networks)

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
            raise BundleError(f"{self.where}: `imu_alignment` in {MANIFEST}: {error}: align the sensors anew") from None

    @property
    def age_s(self) -> float:
        """How old the moment of an estimate is by design: the differentiator's delay and the look-ahead."""
        return self.manifest.age_s

    @property
    def variant_names(self) -> tuple[str, ...]:
        return tuple(self.variants)

    def at(self, age_ms: float | None = None, *, zero_phase: bool = False) -> Bundle:
        """This bundle, or the variant of it, whose estimates are of a moment `age_ms` ago, to within 0.5 ms.

        age_ms: None is the bundle's own age. zero_phase: the one whose inputs look into the future, for recordings. Raises
        BundleError naming the ages that there are.
        """
        if age_ms is None and not zero_phase:
            return self
        inputs = "zero-phase" if zero_phase else "causal"
        found = [bundle for bundle in (self, *self.variants.values()) if bundle.manifest.inputs == inputs]
        for bundle in found:
            if age_ms is None or abs(bundle.age_s * 1e3 - age_ms) <= SAME_AGE_MS:
                return bundle._sitting_as(self)
        ages = ", ".join(f"{age_s * 1e3:g}" for age_s in sorted(bundle.age_s for bundle in found))
        wanted = f"{inputs} inputs" if age_ms is None else f"{inputs} inputs and an age of {age_ms:g} ms"
        there = f"ask for one of {ages} ms" if ages else f"it has no {inputs} inputs"
        raise BundleError(f"{self.path}: holds nothing for {wanted}: {there}, or train one")

    def _sitting_as(self, whole: Bundle) -> Bundle:
        """With how the IMUs sit from the whole bundle, where that knows it."""
        alignment = whole.manifest.imu_alignment
        if self is whole or alignment is None:
            return self
        return replace(self, manifest=self.manifest.model_copy(update={"imu_alignment": alignment}))

    @property
    def alone(self) -> Bundle:
        """The same without its variants: all that a session needs of it."""
        return replace(self, variants={}, manifest=self.manifest.model_copy(update={"variants": {}}))

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
        manifest, parts = _verified(content, path, _LARGEST_TOTAL)
        model = model_from_dict(parse_json(parts[MODEL], MODEL, str(path)), f"{path}: {MODEL}")
        left = _LARGEST_TOTAL - sum(map(len, parts.values()))
        variants = {}
        for name in manifest.variants:
            where = Path(f"{path}: {variant_part(name)}")
            own, own_parts = _verified(parts[variant_part(name)], where, left)
            left -= sum(map(len, own_parts.values()))
            variants[name] = cls._of_parts(own, own_parts, model, path, variant=name)
        bundle = cls._of_parts(manifest, parts, model, path, variants=variants)
        check_fit(bundle)
        return bundle

    @classmethod
    def _of_parts(
        cls,
        manifest: Manifest,
        parts: Mapping[str, bytes],
        model: Model,
        path: Path,
        *,
        variants: Mapping[str, Bundle] | None = None,
        variant: str = "",
    ) -> Bundle:
        return cls(
            path,
            manifest,
            model,
            parts[NETWORK],
            bank_part=parts.get(BANK),
            member_networks=tuple(parts[member_part(i + 2)] for i in range(len(manifest.members))),
            novelty_part=parts.get(NOVELTY),
            variants=variants or {},
            variant=variant,
        )

    def worn_by(
        self, *, mass_kg: float | None = None, leg_length_m: float | None = None, height_m: float | None = None
    ) -> Bundle:
        """The same with the model scaled to a wearer, see `edge.msk.scaling.scale_uniformly`. Raises ModelError, ValueError."""
        model = scale_uniformly(self.model, mass_kg=mass_kg, leg_length_m=leg_length_m, height_m=height_m)
        variants = {name: replace(own, model=model) for name, own in self.variants.items()}
        return replace(self, model=model, variants=variants)

    @property
    def of_many(self) -> bool:
        """Whether it was trained on several people, so that its model is nobody's."""
        trials = self.manifest.training.get("trials", [])
        return len({trial.get("subject") for trial in trials if isinstance(trial, dict)}) > 1

    def aligned(self, alignment: Alignment, path: Path) -> Bundle:
        """The same with how the segments' IMUs sit, for another file. Raises BundleError for other segments."""
        manifest = self.manifest.model_copy(update={"imu_alignment": alignment.to_dict()})
        variants = {name: replace(own, path=path) for name, own in self.variants.items()}
        bundle = replace(self, path=path, manifest=manifest, variants=variants, variant="")
        check_fit(bundle)
        return bundle

    def with_member(self, settings: NetworkSettings, network: bytes) -> Bundle:
        """The same with one more member. Raises BundleError for one that does not describe the same moment."""
        member = Member(**settings.model_dump(), sha256=_hash(network))
        manifest = self.manifest.model_copy(update={"members": [*self.manifest.members, member]})
        bundle = replace(self, manifest=manifest, member_networks=(*self.member_networks, network))
        check_fit(bundle)
        return bundle

    def with_variants(self, variants: Mapping[str, Bundle]) -> Bundle:
        """The same with these nested bundles, in place of those that it has. Raises BundleError for another subject's."""
        nested = {name: replace(own, path=self.path, variant=name) for name, own in variants.items()}
        hashes = {name: _hash(own.to_bytes()) for name, own in nested.items()}
        # Names are checked as those of a file are.
        content = self.manifest.model_copy(update={"variants": hashes}).to_bytes()
        bundle = replace(self, manifest=Manifest.from_bytes(content, str(self.path)), variants=nested)
        check_fit(bundle)
        return bundle

    def to_bytes(self) -> bytes:
        """The file's content: the same for the same bundle. The hashes are those of what is written."""
        model_hash, network_hash = content_hashes(self.model, self.network)
        parts = {MODEL: self.model.to_json().encode(), NETWORK: self.network}
        for part, content in ((BANK, self.bank_part), (NOVELTY, self.novelty_part)):
            if content is not None:
                parts[part] = content
        parts |= {member_part(i): content for i, content in enumerate(self.member_networks, 2)}
        nested = {name: bundle.to_bytes() for name, bundle in self.variants.items()}
        parts |= {variant_part(name): content for name, content in nested.items()}
        members = zip(self.manifest.members, self.member_networks, strict=True)
        manifest = self.manifest.model_copy(
            update={
                "model_sha256": model_hash,
                "network_sha256": network_hash,
                "bank_sha256": None if self.bank_part is None else _hash(self.bank_part),
                "novelty_sha256": None if self.novelty_part is None else _hash(self.novelty_part),
                "members": [own.model_copy(update={"sha256": _hash(content)}) for own, content in members],
                "variants": {name: _hash(content) for name, content in nested.items()},
            }
        )
        return pack({MANIFEST: manifest.to_bytes(), **parts})

    def write(self) -> None:
        """Write the bundle to its path, whole or not at all. Raises FileError; BundleError for a variant alone."""
        if self.variant:
            raise BundleError(
                f"{self.where}: is a part of the file: write the whole bundle, or this one to another path"
            )
        with atomic_file(self.path) as temporary:
            temporary.write_bytes(self.to_bytes())


def content_hashes(model: Model, network: bytes) -> tuple[str, str]:
    """The hashes that a manifest must carry for this model and network."""
    return _hash(model.to_json().encode()), _hash(network)


def packaged_bundles() -> list[str]:
    """Names of the bundles that come with the program."""
    return sorted(p.stem for p in _BUNDLES.glob("*.msk"))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _verified(content: bytes, path: Path, most: int) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest, and every part that it announces, with its hash verified. most: bytes of all parts together."""

    def read(required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, bytes]:
        return unpack(
            content,
            path,
            kind="bundle",
            error=BundleError,
            required=required,
            optional=optional,
            largest=_LARGEST_PART,
            total=most,
        )

    manifest = Manifest.from_bytes(read((MANIFEST,))[MANIFEST], str(path))
    hashes = manifest.hashes
    always = (MODEL, NETWORK)
    parts = read(always, tuple(part for part in hashes if part not in always))
    for part, (key, announced) in hashes.items():
        if part not in parts:
            raise BundleError(
                f"{path}: holds no {part}, whose `{key}` is in the manifest: copy the bundle again or make it anew"
            )
        found = _hash(parts[part])
        if found != announced:
            raise BundleError(
                f"{path}: {part} was altered: `{key}` in the manifest is {announced[:12]}..., the file's hash "
                f"{found[:12]}...: copy the bundle again or make it anew"
            )
    return manifest, parts
