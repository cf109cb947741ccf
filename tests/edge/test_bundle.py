from __future__ import annotations

import hashlib
import io
import json
import math
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tiny_bundle import tiny_bundle

from edge import bundle as module
from edge.bundle import Bundle, packaged_bundles
from edge.errors import BundleError, EdgeMskError, FileError, ModelError
from edge.signals.alignment import Alignment, SegmentQuality
from edge.signals.bank import Bank
from edge.signals.intake import BASE_CHANNELS
from edge.signals.layout import Layout
from edge.signals.movement_prior import BRISK, normal_equations

NAME = Path("subject.msk")
GOOD = tiny_bundle(NAME).to_bytes()
Parts = dict[str, bytes]


def parts_of(content: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: Parts, *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_manifest(change: Callable[[dict[str, Any]], object]) -> bytes:
    parts = parts_of(GOOD)
    manifest = json.loads(parts["manifest.json"])
    change(manifest)
    return zipped({**parts, "manifest.json": json.dumps(manifest).encode()})


def with_part(name: str, content: bytes, *, rehash: bool) -> bytes:
    parts = {**parts_of(GOOD), name: content}
    if rehash:
        manifest = json.loads(parts["manifest.json"])
        manifest[name.split(".", maxsplit=1)[0] + "_sha256"] = hashlib.sha256(content).hexdigest()
        parts["manifest.json"] = json.dumps(manifest).encode()
    return zipped(parts)


def refusal(content: bytes, kind: type[EdgeMskError] = BundleError) -> str:
    with pytest.raises(kind) as caught:
        Bundle.from_bytes(content, NAME)
    text = str(caught.value)
    assert text.startswith("subject.msk: ")
    assert "\n" not in text
    return text


def test_what_is_written_is_read(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "a" / "subject.msk")
    bundle.write()  # makes the folder
    again = Bundle.read(bundle.path)
    assert again.manifest == bundle.manifest
    assert again.network == bundle.network
    assert again.model.to_json() == bundle.model.to_json()
    assert again.path == bundle.path
    assert again.age_s == pytest.approx(0.03 + 1 / 100)
    assert [p.name for p in bundle.path.parent.iterdir()] == ["subject.msk"]


def test_the_same_bundle_is_the_same_bytes() -> None:
    assert tiny_bundle(NAME).to_bytes() == GOOD
    assert Bundle.from_bytes(GOOD, Path("elsewhere.msk")).to_bytes() == GOOD


SEGMENTS = ("pelvis", "thigh", "shank", "foot")


def alignment(names: tuple[str, ...] = SEGMENTS) -> Alignment:
    quality = SegmentQuality(12.5, 1.5, 0.02, float("nan"))
    turns = Rotation.random(len(names), random_state=1).as_matrix()
    return Alignment(names, turns, (quality,) * len(names), float("nan"))


def test_how_the_imus_sit_is_kept(tmp_path: Path) -> None:
    plain = Bundle.from_bytes(GOOD, NAME)
    assert plain.alignment is None
    assert "imu_alignment" not in json.loads(parts_of(GOOD)["manifest.json"])
    assert plain.segment_names == SEGMENTS
    plain.aligned(alignment(), tmp_path / "aligned.msk").write()
    again = Bundle.read(tmp_path / "aligned.msk").alignment
    assert again is not None
    assert again.segment_names == SEGMENTS
    np.testing.assert_array_equal(again.rotation, alignment().rotation)
    assert again.quality[0].dominance == 12.5
    assert math.isnan(again.quality[0].pose_spread_rad)
    assert plain.alignment is None


def without_first_segment(section: dict[str, Any]) -> None:
    del section["segments"][0]


def mirrored(section: dict[str, Any]) -> None:
    section["segments"][2]["rotation"][0] = [-x for x in section["segments"][2]["rotation"][0]]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            without_first_segment,
            "is of thigh, shank, foot, the model has pelvis, thigh, shank, foot: align the sensors anew",
        ),
        (mirrored, "a matrix is not a rotation: align the sensors anew"),
        (lambda section: section["segments"][1].pop("rotation"), "not an alignment of IMUs: 'rotation'"),
        (lambda section: section.clear(), "not an alignment of IMUs: 'segments'"),
        (
            lambda section: section["segments"][0].update(rotation=[[float("nan")] * 3] * 3),
            "a matrix is not a rotation",
        ),
        (lambda section: section.update(segments=3), "not an alignment of IMUs"),
    ],
)
def test_an_alignment_that_is_none_names_its_key(spoil: Callable[[dict[str, Any]], object], words: str) -> None:
    section = alignment().to_dict()
    spoil(section)
    text = refusal(with_manifest(lambda manifest: manifest.update(imu_alignment=section)))
    assert "`imu_alignment` in manifest.json" in text
    assert words in text


def test_an_alignment_of_another_limb_is_refused() -> None:
    with pytest.raises(
        BundleError, match=r"`imu_alignment` in manifest\.json is of thigh, shank, the model has pelvis"
    ):
        tiny_bundle(NAME).aligned(alignment(("thigh", "shank")), NAME)


def test_the_parts_are_a_plain_zip_that_anyone_can_open() -> None:
    parts = parts_of(GOOD)
    assert list(parts) == ["manifest.json", "model.json", "network.onnx"]
    manifest = json.loads(parts["manifest.json"])
    assert manifest["schema"] == "edge-msk/bundle"
    assert manifest["version"] == 1
    assert manifest["model_sha256"] == hashlib.sha256(parts["model.json"]).hexdigest()
    assert manifest["network_sha256"] == hashlib.sha256(parts["network.onnx"]).hexdigest()


def test_a_model_written_by_others_survives_a_second_writing() -> None:
    """Other white space is another hash, also in the log's copy of the bundle."""
    compact = json.dumps(json.loads(parts_of(GOOD)["model.json"])).encode()
    bundle = Bundle.from_bytes(with_part("model.json", compact, rehash=True), NAME)
    again = Bundle.from_bytes(bundle.to_bytes(), NAME)
    assert again.model.to_json() == bundle.model.to_json()


def test_truncated_at_any_byte() -> None:
    step = max(len(GOOD) // 400, 1)
    for length in [*range(64), *range(64, len(GOOD), step), *range(len(GOOD) - 30, len(GOOD))]:
        assert "truncated or no bundle" in refusal(GOOD[:length])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_one_damaged_byte_is_refused_or_harmless(position: int, change: int) -> None:
    damaged = bytearray(GOOD)
    damaged[position] ^= change
    bundle = None
    with suppress(BundleError, ModelError):
        bundle = Bundle.from_bytes(bytes(damaged), NAME)
    if bundle is not None:  # a byte that carries nothing: a date, a flag
        assert bundle.to_bytes() == GOOD


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_bytes(content: bytes) -> None:
    refusal(content)
    refusal(b"PK\x03\x04" + content)


@pytest.mark.parametrize(("part", "field"), [("model.json", "model_sha256"), ("network.onnx", "network_sha256")])
def test_an_altered_part_names_its_field(part: str, field: str) -> None:
    content = parts_of(GOOD)[part]
    text = refusal(with_part(part, content.replace(b"0", b"1", 1), rehash=False))
    assert part in text
    assert f"`{field}`" in text
    assert "altered" in text


@pytest.mark.parametrize("field", ["model_sha256", "network_sha256"])
def test_a_wrong_hash_in_the_manifest_names_its_field(field: str) -> None:
    assert f"`{field}`" in refusal(with_manifest(lambda m: m.update({field: "0" * 64})))


@pytest.mark.parametrize("part", ["manifest.json", "model.json", "network.onnx"])
def test_a_missing_part_is_named(part: str) -> None:
    parts = parts_of(GOOD)
    del parts[part]
    assert f"holds no {part}" in refusal(zipped(parts))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(version=2), ["`version` is 2", "reads bundles of version 1"]),
        (lambda m: m.pop("version"), ["`version` is None"]),
        (lambda m: m.update(schema="other/bundle"), ["`schema`"]),
        (lambda m: m.update(colour="red"), ["`colour`"]),
        (lambda m: m["network"].update(colour="red"), ["`network.colour`"]),
        (lambda m: m.pop("rate_hz"), ["`rate_hz`", "required"]),
        (lambda m: m.update(rate_hz=0), ["`rate_hz`"]),
        (lambda m: m.update(rate_hz=float("inf")), ["`rate_hz`"]),
        (lambda m: m.update(rate_hz=1e9), ["`rate_hz`"]),
        (lambda m: m.update(rate_hz="fast"), ["`rate_hz`"]),
        (lambda m: m.update(inputs="raw"), ["`inputs`"]),
        (lambda m: m.update(muscle_mode="wrong"), ["`muscle_mode`"]),
        (lambda m: m["differentiator"].update(age_s=-1), ["`differentiator.age_s`"]),
        (lambda m: m["differentiator"].update(age_s=0.5), ["`differentiator.age_s`"]),
        (
            lambda m: m["differentiator"].update(method="magic"),
            ["`differentiator.method`", "'magic'", "kalman, savgol"],
        ),
        (lambda m: m["network"].update(head="magic"), ["`network.head`"]),
        (lambda m: m["network"].update(signals="smelt"), ["`network.signals`"]),
        (lambda m: m["network"].update(signals="raw"), ["`network.features` is 13", "needs 7"]),
        (lambda m: m["network"].update(pelvis=False), ["`network.features` is 13", "needs 9"]),
        (lambda m: m["network"].update(weight=0), ["`network.weight`"]),
        (lambda m: m["network"].update(outputs=4), ["`network.outputs` is 4", "needs 3"]),
        (lambda m: m["network"].update(head="activation"), ["`network.outputs` is 3", "needs 9"]),
        (lambda m: m["network"].update(features=12), ["`network.features` is 12", "needs 13"]),
        (lambda m: m["network"].update(look_ahead=5), ["`network.look_ahead` is 5", "window of 5"]),
        (lambda m: m["network"].update(window=1), ["`network.window`"]),
        (lambda m: m.update(network=3), ["`network`"]),
    ],
)
def test_a_manifest_that_does_not_fit_names_its_field(
    change: Callable[[dict[str, Any]], object], words: list[str]
) -> None:
    text = refusal(with_manifest(change))
    for word in words:
        assert word in text


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_no_object(content: bytes) -> None:
    assert "manifest.json" in refusal(zipped({**parts_of(GOOD), "manifest.json": content}))


def test_a_model_that_is_no_json() -> None:
    assert "model.json is not valid JSON" in refusal(with_part("model.json", b"{", rehash=True))


def test_a_model_that_is_none_is_named_with_the_bundle() -> None:
    assert "model.json" in refusal(with_part("model.json", b"{}", rehash=True), ModelError)


def test_a_part_that_announces_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST_PART", 2**20)
    bomb = zipped({**parts_of(GOOD), "network.onnx": bytes(50 * 2**20)})
    assert len(bomb) < 2**20
    assert "network.onnx is larger than 1 MiB" in refusal(bomb)


def test_a_part_that_is_larger_than_it_announces() -> None:
    """The announcement lies in the central directory; no more than that is unpacked, and the check sum then fails."""
    bomb = bytearray(zipped({**parts_of(GOOD), "network.onnx": bytes(5 * 2**20)}))
    place = bomb.rindex(b"PK\x01\x02")  # the last entry
    struct.pack_into("<I", bomb, place + 24, 100)
    assert "truncated or no bundle" in refusal(bytes(bomb))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_read_and_their_damage_is_refused(compression: int) -> None:
    content = zipped(parts_of(GOOD), compression=compression)
    assert Bundle.from_bytes(content, NAME).to_bytes() == GOOD
    damaged = bytearray(content)
    for position in range(100, 2000, 7):
        damaged[position] ^= 0x55
    refusal(bytes(damaged))


@pytest.mark.parametrize(("name", "reason"), [("missing.msk", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match=rf"cannot be read \({reason}.*: give a \.msk file"):
        Bundle.read(name)


def test_packaged_bundles_are_read_by_name() -> None:
    for name in packaged_bundles():
        assert Bundle.read(name).manifest.inputs == "causal"


def test_a_writing_that_fails_leaves_nothing_and_keeps_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "subject.msk"
    path.write_bytes(b"before")
    bundle = tiny_bundle(path)

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match=r"subject\.msk: cannot be written \(No space left on device\)"):
        bundle.write()
    assert [p.name for p in tmp_path.iterdir()] == ["subject.msk"]
    assert path.read_bytes() == b"before"


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="cannot be written"):
        tiny_bundle(tmp_path / "file" / "subject.msk").write()


LAYOUT = Layout(
    channels=("hip", "knee", "ankle", *BASE_CHANNELS),
    gyroscopes=("base_tilt",),
    rate_hz=100.0,
    age_s=0.03,
    scale=(1.0, 1.0, 1.0, 1.0, 10.0, 10.0),
)


def with_bank(layout: Layout = LAYOUT) -> Bundle:
    return replace(tiny_bundle(NAME), bank_part=Bank(layout, normal_equations(layout.taps, BRISK), 3, 60.0).to_bytes())


def test_a_bank_comes_back_with_its_bundle() -> None:
    content = with_bank().to_bytes()
    again = Bundle.from_bytes(content, NAME)
    assert again.bank is not None
    assert (again.bank.layout, again.bank.people) == (LAYOUT, 3)
    assert again.manifest.bank_sha256 == hashlib.sha256(again.bank_part or b"").hexdigest()
    assert again.to_bytes() == content


def test_without_a_bank_a_bundle_is_what_it_was_before_there_were_any() -> None:
    assert list(parts_of(GOOD)) == ["manifest.json", "model.json", "network.onnx"]
    assert "bank_sha256" not in json.loads(parts_of(GOOD)["manifest.json"])
    assert Bundle.from_bytes(GOOD, NAME).bank is None


def test_a_bank_that_is_missing_altered_or_not_announced() -> None:
    parts = parts_of(with_bank().to_bytes())
    without = {name: part for name, part in parts.items() if name != "bank.npz"}
    assert "holds no bank.npz, whose `bank_sha256`" in refusal(zipped(without))
    assert "bank.npz was altered: `bank_sha256`" in refusal(zipped({**parts, "bank.npz": parts["bank.npz"][:-1]}))
    # A part that the manifest does not know is nobody's word.
    assert Bundle.from_bytes(zipped({**parts_of(GOOD), "bank.npz": b"anything"}), NAME).bank is None
    manifest = json.loads(parts["manifest.json"])
    manifest["bank_sha256"] = hashlib.sha256(b"anything").hexdigest()
    broken = {**parts, "manifest.json": json.dumps(manifest).encode(), "bank.npz": b"anything"}
    assert refusal(zipped(broken)).startswith("subject.msk: bank.npz: is truncated or no bank")


@pytest.mark.parametrize(
    "change", [{"age_s": 0.05}, {"rate_hz": 200.0}, {"channels": ("knee", "hip", "ankle", *BASE_CHANNELS)}]
)
def test_a_bank_of_something_else_is_refused(change: dict[str, Any]) -> None:
    assert "bank.npz is for rate, age and joints" in refusal(with_bank(LAYOUT.model_copy(update=change)).to_bytes())
