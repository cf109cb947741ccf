from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_bundle import tiny_bundle, with_tiny_member

from edge.errors import BundleError
from edge.manifest import MANIFEST, Manifest, Member, NetworkSettings
from edge.signals.features import View

PLAIN = tiny_bundle(Path("subject.msk")).manifest
LATER = {"bank_sha256", "novelty_sha256", "members", "variants", "imu_alignment"}


def test_fields_that_came_later_are_left_out_where_nothing_needs_them() -> None:
    """Programs that know nothing of them refuse what they do not know."""
    data = json.loads(PLAIN.to_bytes())
    assert not LATER & set(data)
    assert not {"signals", "pelvis", "weight"} & set(data["network"])
    assert Manifest.from_bytes(PLAIN.to_bytes(), "a") == PLAIN


def test_what_is_not_the_default_is_written() -> None:
    own = tiny_bundle(Path("a.msk"), signals="raw", pelvis=False, weight=0.5)
    manifest = with_tiny_member(own, weight=2.0).manifest
    data = json.loads(manifest.to_bytes())
    assert data["network"] | {"signals": "raw", "pelvis": False, "weight": 0.5} == data["network"]
    (member,) = data["members"]
    assert (member["weight"], len(member["sha256"])) == (2.0, 64)
    assert "signals" not in member
    again = Manifest.from_bytes(manifest.to_bytes(), "a")
    assert again == manifest
    assert again.network.view == View("raw", pelvis=False)
    assert isinstance(again.members[0], Member)
    assert again.networks == (again.network, again.members[0])


def test_what_is_hashed_is_named_by_part_and_field() -> None:
    manifest = with_tiny_member(tiny_bundle(Path("a.msk"))).manifest
    manifest = manifest.model_copy(update={"variants": {"0ms": "ab"}, "novelty_sha256": "cd"})
    found = {part: field for part, (field, _) in manifest.hashes.items()}
    assert found == {
        "model.json": "model_sha256",
        "network.onnx": "network_sha256",
        "novelty.npz": "novelty_sha256",
        "member_2.onnx": "members.0.sha256",
        "variants/0ms.msk": "variants.0ms",
    }


@pytest.mark.parametrize("name", ["", "../up", "a/b", "UP", "a.b", "-a", "a" * 33, "ä", "a\n"])
def test_a_variant_s_name_is_no_path(name: str) -> None:
    data = json.loads(PLAIN.to_bytes()) | {"variants": {name: "00"}}
    with pytest.raises(BundleError, match=rf"^a: `variants\..*in {MANIFEST}"):
        Manifest.from_bytes(json.dumps(data).encode(), "a")


def test_there_are_not_more_members_or_variants_than_anyone_needs() -> None:
    member = NetworkSettings(head="torque", architecture="x", window=2, look_ahead=0, features=1, outputs=1)
    for key, value in (
        ("members", [member.model_dump() | {"sha256": "00"}] * 16),
        ("variants", {f"v{i}": "00" for i in range(17)}),
    ):
        data = json.loads(PLAIN.to_bytes()) | {key: value}
        with pytest.raises(BundleError, match=f"`{key}`"):
            Manifest.from_bytes(json.dumps(data).encode(), "a")
