import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError
from edge.msk.growth import InertiaTerms, LengthShares, part_names
from edge.msk.model import load_model, model_from_dict

SHARES = LengthShares(
    1, {"shank": ((0.01, 0.0), (0.2, 0.001), (0.0, 0.0)), "foot": ((0.0, 0.02), (0.03, 0.0), (0.0, 0.0))}
)
TERMS = InertiaTerms(0.001, 0.1, 0.002, 0.003, 0.004)
_LEG = load_model("leg9")
_SOLEUS = replace(_LEG.muscles[7], shares=SHARES)
LEG = replace(_LEG, muscles=(_SOLEUS,), segments=tuple(replace(s, inertia_terms=TERMS) for s in _LEG.segments))


@pytest.mark.parametrize(
    ("segments", "parts"),
    [
        (("thigh", "shank", "foot"), ("pelvis", "thigh", "shank", "foot")),
        (("shank",), ("pelvis", "thigh", "shank")),
        (("upper_arm", "forearm"), ("trunk", "upper_arm", "forearm")),
        (("hand",), ("trunk", "upper_arm", "forearm", "hand")),
        (("pelvis",), ("base", "pelvis")),
        (("thigh", "foot"), ("base", "thigh", "foot")),
        (("link0", "link1"), ("base", "link0", "link1")),
    ],
)
def test_parts(segments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    assert part_names(segments) == parts


def test_round_trip() -> None:
    again = model_from_dict(json.loads(LEG.to_json()), "here")
    assert again == LEG
    assert again.muscles[0].shares == SHARES
    assert again.segments[0].inertia_terms == TERMS


def test_both_are_optional() -> None:
    raw = LEG.to_dict()
    del raw["muscles"][0]["shares"]
    for segment in raw["segments"]:
        del segment["inertia_terms_kg_m2"]
    model = model_from_dict(raw, "here")
    assert model.muscles[0].shares is None
    assert model.segments[0].inertia_terms is None
    assert model.to_dict() == raw


def test_array_of_shares() -> None:
    table = SHARES.array(("pelvis", "shank", "foot"))
    assert table.shape == (3, 3, 2)
    assert not table[0].any()
    np.testing.assert_array_equal(table[1, 1], [0.2, 0.001])
    assert LengthShares.of_array(1, ("pelvis", "shank", "foot"), table) == SHARES


def test_terms_of_a_stretched_segment() -> None:
    scaled = TERMS.scaled(np.array([2.0, 3.0, 5.0]), 0.5)
    assert scaled.total_kg_m2 == pytest.approx(0.5 * (0.001 * 4 + 0.1 * 9 + 0.002 * 6 + 0.003 * 10 + 0.004 * 15))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("muscles", 0, "shares"), [], r"muscles\[0\]: shares: expected an object"),
        (("muscles", 0, "shares", "degree"), 4, "`degree` must be at most 3"),
        (("muscles", 0, "shares", "degree"), 1.5, "`degree` must be a whole number"),
        (("muscles", 0, "shares", "degree"), 2, r"`shank` must be finite numbers of shape \(3, 3\)"),
        (("muscles", 0, "shares", "coefficients_m"), {}, "`coefficients_m` must name parts of the limb"),
        (("muscles", 0, "shares", "coefficients_m"), [[1.0]], "coefficients_m: expected an object"),
        (("muscles", 0, "shares", "coefficients_m", "femur"), [[0.0] * 2] * 3, r"must name parts of the limb \['pelvis'"),
        (("muscles", 0, "shares", "coefficients_m", "foot"), [[0.0, 0.0]], "`foot` must be finite numbers of shape"),
        (("muscles", 0, "shares", "coefficients_m", "foot"), [[0.0, float("nan")]] * 3, "`foot` must be finite numbers"),
        (("muscles", 0, "shares", "coefficients_m", "shank"), [[-1.0, 0.0]] * 3, "must add up to the length of the muscle"),
        (("segments", 0, "inertia_terms_kg_m2"), 3.0, r"segments\[0\]: inertia_terms_kg_m2: expected an object"),
        (("segments", 0, "inertia_terms_kg_m2"), {"xx": 1.0}, "`yy` is missing"),
        (("segments", 0, "inertia_terms_kg_m2", "yy"), -1.0, "`yy` must be at least 0"),
        (("segments", 0, "inertia_terms_kg_m2"), dict.fromkeys(("xx", "yy", "xy", "xz", "yz"), 0), "more than 0"),
    ],
)  # fmt: skip
def test_wrong_content(path: tuple[Any, ...], value: Any, said: str) -> None:
    raw: Any = copy.deepcopy(json.loads(LEG.to_json()))
    node = raw
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(ModelError, match=said) as error:
        model_from_dict(raw, "leg.json")
    assert str(error.value).startswith("leg.json: ")
    assert "import-model" in str(error.value) or said.endswith("expected an object")
