from pathlib import Path

import pytest

from edge.errors import FileError, ModelError
from edge.scale_set import part_factors, read_scale_set


def entry(body: str = "femur_r", scales: str = "1.1 0.9 1", apply: str = "true") -> str:
    return f"<Scale><scales> {scales}</scales><segment>{body}</segment><apply>{apply}</apply></Scale>"


def written(tmp_path: Path, *entries: str) -> Path:
    path = tmp_path / "scale_set.xml"
    path.write_text(
        f'<OpenSimDocument Version="40500"><ScaleSet name="s"><objects>{"".join(entries)}</objects></ScaleSet></OpenSimDocument>'
    )
    return path


def test_factors_of_bodies(tmp_path: Path) -> None:
    path = written(tmp_path, entry(), entry("tibia_r", "2 2 2", apply="false"), entry("talus_r", "1e0\n1.5\t.5"))
    assert read_scale_set(path) == {
        "femur_r": (1.1, 0.9, 1.0),
        "tibia_r": (1.0, 1.0, 1.0),
        "talus_r": (1.0, 1.5, 0.5),
    }


def test_the_same_twice_is_once(tmp_path: Path) -> None:
    assert read_scale_set(written(tmp_path, entry(), entry())) == {"femur_r": (1.1, 0.9, 1.0)}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ((), "holds no <Scale>"),
        ((entry(""),), "Scale 1 names no <segment>"),
        ((entry(), "<Scale/>"), "Scale 2 names no <segment>"),
        ((entry(), entry(scales="1 1 1")), "'femur_r' is scaled twice, differently"),
        ((entry(scales="1 1"),), "<scales> of 'femur_r' must be three numbers, found '1 1'"),
        ((entry(scales="1 1 one"),), "must be three numbers, found '1 1 one'"),
        ((entry(scales=""),), "must be three numbers, found ''"),
        ((entry(scales="1 1 0"),), "must be above 0"),
        ((entry(scales="1 -1 1"),), "must be above 0"),
        ((entry(scales="1 nan 1"),), "must be above 0"),
        ((entry(scales="1 inf 1"),), "must be above 0"),
    ],
)
def test_wrong_content(tmp_path: Path, entries: tuple[str, ...], said: str) -> None:
    path = written(tmp_path, *entries)
    with pytest.raises(FileError, match=said) as error:
        read_scale_set(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "content", [None, b"", b"not XML", b"\xff\x00", b"<a>", b'<?xml version="1.0" encoding="no"?><a/>']
)
def test_unusable_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "set.xml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=r"set.xml: (cannot be read|not valid XML)"):
        read_scale_set(path)


def test_factors_of_parts() -> None:
    scales = {
        "pelvis": (1.0, 1.1, 1.2),
        "femur_l": (0.9, 0.9, 0.9),
        "tibia_l": (2.0, 1.0, 1.0),
        "calcn_l": (1.0, 1.0, 3.0),
    }
    assert part_factors(scales, ("pelvis", "thigh", "shank", "foot"), "l") == {
        "pelvis": (1.0, 1.1, 1.2),
        "thigh": (0.9, 0.9, 0.9),
        "shank": (2.0, 1.0, 1.0),
        "foot": (1.0, 1.0, 3.0),
    }
    with pytest.raises(ModelError, match="has no factors of 'femur_r' for the thigh: it has calcn_l, femur_l, pelvis"):
        part_factors(scales, ("pelvis", "thigh"), "r")
    with pytest.raises(ModelError, match="it has none"):
        part_factors({}, ("upper_arm",), "r")


def test_the_scale_sets_of_twelve_people(data: Path) -> None:
    found = [read_scale_set(path) for path in sorted((data / "walk_12").glob("*/scale_set.xml"))]
    assert len(found) == 12
    assert found[0]["femur_r"] == pytest.approx((1.20090365, 0.93846584, 1.20090365))
    for scales in found:
        for side in "rl":
            part_factors(scales, ("pelvis", "thigh", "shank", "foot"), side)
            part_factors(scales, ("trunk", "upper_arm", "forearm", "hand"), side)
