"""Bundles within a bundle: for other ages, and for inputs that no device has."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import tiny_bundle

from edge import bundle as module
from edge.bundle import Bundle
from edge.errors import BundleError
from edge.signals.alignment import Alignment, SegmentQuality

NAME = Path("subject.msk")
SEGMENTS = ("pelvis", "thigh", "shank", "foot")
PLAIN = tiny_bundle(NAME)  # 30 ms and a look-ahead of 10 ms
NOW = tiny_bundle(NAME, age_s=0.0, look_ahead=0, bias=0.1)
LATER = tiny_bundle(NAME, age_s=0.1, look_ahead=0, bias=0.2)
OFFLINE = tiny_bundle(NAME, age_s=0.0, look_ahead=2, inputs="zero-phase")
WHOLE = PLAIN.with_variants({"0ms": NOW, "100ms": LATER, "zero-phase": OFFLINE})


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_nested(content: bytes, name: str = "0ms") -> bytes:
    """The whole bundle with something else in the place of a variant, announced as it is."""
    parts = parts_of(WHOLE.to_bytes())
    manifest = json.loads(parts["manifest.json"])
    manifest["variants"][name] = hashlib.sha256(content).hexdigest()
    return zipped({**parts, "manifest.json": json.dumps(manifest).encode(), f"variants/{name}.msk": content})


def test_variants_are_read_as_they_were_written(tmp_path: Path) -> None:
    whole = replace(WHOLE, path=tmp_path / "a.msk")
    whole.write()
    again = Bundle.read(whole.path)
    assert again.to_bytes() == WHOLE.to_bytes()
    assert again.variant_names == ("0ms", "100ms", "zero-phase")
    assert again.manifest == WHOLE.manifest
    for name, own in (("0ms", NOW), ("100ms", LATER), ("zero-phase", OFFLINE)):
        nested = again.variants[name]
        assert nested.network == own.network
        assert nested.manifest == own.manifest
        assert nested.model is again.model  # read once
        assert nested.to_bytes() == own.to_bytes()
        assert nested.where.endswith(f"a.msk: variants/{name}.msk")


def test_the_age_decides() -> None:
    assert WHOLE.at() is WHOLE
    assert WHOLE.at(40.0) is WHOLE
    assert WHOLE.at(40.4) is WHOLE
    assert WHOLE.at(0.0).network == NOW.network
    assert WHOLE.at(99.6).network == LATER.network
    assert WHOLE.at(zero_phase=True).manifest.inputs == "zero-phase"
    assert WHOLE.at(20.0, zero_phase=True).age_s == pytest.approx(0.02)
    assert OFFLINE.at(zero_phase=True) is OFFLINE


@pytest.mark.parametrize("age_ms", [0.6, 20.0, 39.4, 300.0])
def test_an_age_that_is_not_there_names_those_that_are(age_ms: float) -> None:
    with pytest.raises(BundleError, match=rf"subject\.msk: .*age of {age_ms:g} ms: ask for one of 0, 40, 100 ms"):
        WHOLE.at(age_ms)
    with pytest.raises(BundleError, match="it has no zero-phase inputs"):
        PLAIN.at(zero_phase=True)


def test_how_the_imus_sit_holds_for_all() -> None:
    quality = SegmentQuality(1.0, 1.0, 0.0, 0.0)
    turned = Alignment(SEGMENTS, np.stack([np.eye(3)] * 4), (quality,) * 4, 1.0)
    aligned = WHOLE.aligned(turned, Path("other.msk"))
    again = Bundle.from_bytes(aligned.to_bytes(), aligned.path)
    for age_ms in (None, 0.0, 100.0):
        assert again.at(age_ms).alignment is not None
        assert again.at(age_ms).path == Path("other.msk")
    assert WHOLE.at(0.0).alignment is None
    # What was nested stays what it was, to the bit.
    assert again.variants["0ms"].to_bytes() == NOW.to_bytes()


def test_a_session_takes_one_along() -> None:
    assert WHOLE.alone.to_bytes() == PLAIN.to_bytes()
    assert PLAIN.alone.to_bytes() == PLAIN.to_bytes()
    assert WHOLE.at(0.0).alone.to_bytes() == NOW.to_bytes()


def test_a_part_is_not_written_over_the_whole(tmp_path: Path) -> None:
    whole = replace(WHOLE, path=tmp_path / "a.msk")
    part = whole.with_variants({"0ms": NOW}).at(0.0)
    with pytest.raises(BundleError, match=r"a\.msk: variants/0ms\.msk: is a part of the file"):
        part.write()
    assert not part.path.exists()


def test_what_is_nested_is_verified_with_its_place() -> None:
    parts = parts_of(WHOLE.to_bytes())
    altered = {**parts, "variants/0ms.msk": parts["variants/0ms.msk"] + b"\0"}
    with pytest.raises(BundleError, match=r"subject\.msk: variants/0ms\.msk was altered: `variants\.0ms`"):
        Bundle.from_bytes(zipped(altered), NAME)
    with pytest.raises(BundleError, match=r"^subject\.msk: variants/0ms\.msk: is truncated or no bundle"):
        Bundle.from_bytes(with_nested(b"nothing"), NAME)
    inner = parts_of(NOW.to_bytes())
    broken = zipped({**inner, "network.onnx": b"another"})
    with pytest.raises(BundleError, match=r"^subject\.msk: variants/0ms\.msk: network\.onnx was altered"):
        Bundle.from_bytes(with_nested(broken), NAME)


def test_what_does_not_belong_together_is_refused() -> None:
    other = replace(NOW, manifest=NOW.manifest.model_copy(update={"subject": "else"}))
    for nested, words in (
        (other, r"variants/x\.msk: is of another subject or model"),
        (tiny_bundle(NAME, age_s=0.0, look_ahead=0, model_name="leg10"), "is of another subject or model"),
        (WHOLE, r"variants/x\.msk: has `variants` of its own"),
        (tiny_bundle(NAME, bias=0.3), r"causal inputs and an age of 40 ms are in the bundle already"),
    ):
        with pytest.raises(BundleError, match=words):
            PLAIN.with_variants({"x": nested})
    with pytest.raises(BundleError, match="causal inputs and an age of 0 ms are in the bundle already"):
        PLAIN.with_variants({"a": NOW, "b": replace(NOW)})
    with pytest.raises(BundleError, match="has `variants` of its own"):
        Bundle.from_bytes(with_nested(WHOLE.to_bytes()), NAME)
    with pytest.raises(BundleError, match="`variants"):
        PLAIN.with_variants({"../x": NOW})


def test_all_parts_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = WHOLE.to_bytes()
    outer = sum(len(part) for name, part in parts_of(content).items() if name != "manifest.json")
    monkeypatch.setattr(module, "_LARGEST_TOTAL", outer - 1)
    with pytest.raises(BundleError, match=r"^subject\.msk: its parts are larger than"):
        Bundle.from_bytes(content, NAME)
    monkeypatch.setattr(module, "_LARGEST_TOTAL", outer + 1000)
    with pytest.raises(BundleError, match=r"^subject\.msk: variants/0ms\.msk: its parts are larger than"):
        Bundle.from_bytes(content, NAME)
