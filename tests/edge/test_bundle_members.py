"""Bundles of several networks."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import tiny_bundle, tiny_network, tiny_novelty, tiny_settings, with_tiny_member

from edge.bundle import Bundle
from edge.errors import BundleError, EngineError
from edge.members import Members

NAME = Path("subject.msk")
PLAIN = tiny_bundle(NAME)
THREE = with_tiny_member(
    with_tiny_member(PLAIN, head="torque", signals="raw", window=9, weight=2.0), head="activation", pelvis=False
)


def parts_of(bundle: Bundle) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle.to_bytes())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_members_are_read_as_they_were_written() -> None:
    content = THREE.to_bytes()
    again = Bundle.from_bytes(content, NAME)
    assert again.manifest == THREE.manifest
    assert again.networks == THREE.networks
    assert [settings.head for settings, _ in again.networks] == ["residual", "torque", "activation"]
    assert again.window == 9
    assert again.to_bytes() == content
    assert list(parts_of(THREE)) == [
        *("manifest.json", "model.json", "network.onnx", "member_2.onnx", "member_3.onnx"),
    ]


def test_a_member_that_is_missing_or_altered_names_its_field() -> None:
    parts = parts_of(THREE)
    altered = {**parts, "member_3.onnx": parts["member_3.onnx"] + b"\0"}
    with pytest.raises(BundleError, match=r"member_3\.onnx was altered: `members\.1\.sha256`"):
        Bundle.from_bytes(zipped(altered), NAME)
    del parts["member_2.onnx"]
    with pytest.raises(BundleError, match=r"holds no member_2\.onnx, whose `members\.0\.sha256` is in the manifest"):
        Bundle.from_bytes(zipped(parts), NAME)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"look_ahead": 2},
            r"`members\.0\.look_ahead` is 2, that of `network` 1: members must describe the same moment",
        ),
        ({"look_ahead": 1, "window": 9, "outputs": 4}, r"`members\.0\.outputs` is 4, the model 'leg9' needs 3"),
        ({"head": "activation", "outputs": 3}, r"`members\.0\.outputs` is 3, the model 'leg9' needs 9"),
        ({"signals": "raw", "features": 13}, r"`members\.0\.features` is 13, the model 'leg9' needs 7"),
        ({"pelvis": False, "features": 13}, r"`members\.0\.features` is 13, the model 'leg9' needs 9"),
    ],
)
def test_a_member_that_does_not_fit_names_its_field(settings: dict[str, Any], words: str) -> None:
    own = {key: value for key, value in settings.items() if key not in ("outputs", "features")}
    wrong = tiny_settings(PLAIN.model, **own).model_copy(update=settings)
    with pytest.raises(BundleError, match=words):
        PLAIN.with_member(wrong, tiny_network(13, 3))


def test_the_pelvis_is_needed_where_any_member_was_trained_with_it() -> None:
    without = tiny_bundle(NAME, pelvis=False)
    assert PLAIN.needs_pelvis
    assert not without.needs_pelvis
    assert not with_tiny_member(without, head="torque", signals="raw", pelvis=False).needs_pelvis
    assert with_tiny_member(without).needs_pelvis
    assert with_tiny_member(PLAIN, pelvis=False).needs_pelvis


def test_a_score_of_novelty_comes_back_with_its_bundle() -> None:
    """It is the first member's windows that it looks at."""
    part = tiny_novelty(5, 13, radius=1.0).to_bytes()
    own = replace(THREE, novelty_part=part)
    content = own.to_bytes()
    again = Bundle.from_bytes(content, NAME)
    assert again.novelty_part == part
    assert again.to_bytes() == content
    assert PLAIN.novelty is None
    parts = parts_of(own)
    with pytest.raises(BundleError, match=r"novelty\.npz was altered: `novelty_sha256`"):
        Bundle.from_bytes(zipped({**parts, "novelty.npz": part + b"\0"}), NAME)
    del parts["novelty.npz"]
    with pytest.raises(BundleError, match=r"holds no novelty\.npz, whose `novelty_sha256` is in the manifest"):
        Bundle.from_bytes(zipped(parts), NAME)


def test_a_score_of_novelty_that_is_none_or_for_other_windows_is_refused() -> None:
    for part, words in (
        (b"nothing", r"subject\.msk: novelty\.npz: is truncated or no novelty score"),
        (
            tiny_novelty(9, 7, radius=1.0).to_bytes(),
            r"novelty\.npz is for windows of 9 x 7, those of `network` are 5 x 13: make the bundle anew",
        ),
    ):
        with pytest.raises(BundleError, match=words):
            Bundle.from_bytes(replace(PLAIN, novelty_part=part).to_bytes(), NAME)


def test_a_network_that_is_not_what_the_manifest_says_is_named() -> None:
    wrong = with_tiny_member(PLAIN, network=tiny_network(13, 4))
    with pytest.raises(EngineError, match=r"subject\.msk: member_2\.onnx: the network takes"):
        Members(wrong)
