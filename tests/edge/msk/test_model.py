import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError
from edge.msk.curves import CurveParameters
from edge.msk.model import load_model, model_from_dict, packaged_models
from edge.msk.scaling import scale_segments, scale_uniformly

LEG = load_model("leg9")


@pytest.fixture
def raw() -> dict[str, Any]:
    return json.loads(LEG.to_json())


def test_round_trip(raw: dict[str, Any], tmp_path: Path) -> None:
    again = model_from_dict(raw, "here")
    assert again == LEG
    assert again.sha256 == LEG.sha256
    path = tmp_path / "leg.json"
    path.write_text(LEG.to_json())
    assert load_model(path) == LEG
    assert load_model(str(path)).to_dict() == LEG.to_dict()


def test_packaged_models_load() -> None:
    assert "leg9" in packaged_models()
    for name in packaged_models():
        assert load_model(name).name == name


def test_leg9_is_the_gait10_leg() -> None:
    """Numbers that stand in the OpenSim model."""
    assert LEG.joint_names == LEG.row_names == ("hip", "knee", "ankle")
    assert LEG.muscle_names == (
        "hamstrings", "bifemsh", "glut_max", "iliopsoas", "rect_fem", "vasti", "gastroc", "soleus", "tib_ant",
    )  # fmt: skip
    assert LEG.mass_kg == pytest.approx(72.6, abs=0.1)
    assert LEG.leg_length_m == pytest.approx(0.879, abs=0.001)
    assert LEG.torque_scale_nm == pytest.approx(LEG.mass_kg * 9.80665 * LEG.leg_length_m)
    assert [j.sign for j in LEG.joints] == [1.0, 1.0, 1.0]
    force = dict(zip(LEG.muscle_names, LEG.muscle_parameter("max_isometric_force_n"), strict=True))
    assert force["soleus"] == 5137.0
    assert force["vasti"] == 5000.0


def test_rows_are_chosen_among_the_angles_outside_the_chain() -> None:
    leg = load_model("leg43")
    assert leg.coordinate_names == ("hip", "knee", "ankle", "hip_adduction", "hip_rotation", "subtalar")
    assert leg.row_names == leg.coordinate_names
    walking = leg.with_rows(("subtalar", "hip", "knee", "ankle"))
    assert walking.row_names == ("hip", "knee", "ankle", "subtalar")
    np.testing.assert_array_equal(walking.row_index, [0, 1, 2, 5])
    assert model_from_dict(walking.to_dict(), "here") == walking
    assert walking.with_rows(leg.row_names) == leg
    with pytest.raises(ModelError, match="has no torque row 'elbow': it has hip, knee"):
        leg.with_rows(("hip", "knee", "ankle", "elbow"))
    with pytest.raises(ModelError, match="'ankle' cannot be left out"):
        leg.with_rows(("hip", "knee", "subtalar"))


def test_angles_outside_the_chain_are_zero_unless_given() -> None:
    leg = load_model("leg32")
    q = np.array([[0.1, -0.4, 0.2]])
    np.testing.assert_array_equal(leg.all_angles(q), [[0.1, -0.4, 0.2, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(leg.all_angles(leg.all_angles(q)), leg.all_angles(q))
    with pytest.raises(ValueError, match="expected 3 or 6 angles, found 2"):
        leg.all_angles(q[:, :2])


PAPERS = {
    "leg10": ("hip knee ankle", "psoas rect_fem bifemlh semimem iliacus vas_int vas_lat vas_med lat_gas med_gas"),
    "knee5": ("knee", "bifemlh bifemsh semiten med_gas lat_gas"),
    "elbow5": ("elbow", "TRIlong TRIlat TRImed BIClong BICshort"),
    "elbow6": ("elbow", "TRIlong TRIlat TRImed BIClong BICshort BRA"),
    "wrist5": ("wrist", "FCR FCU ECRL ECRB ECU"),
}


@pytest.mark.parametrize("name", PAPERS)
def test_models_of_the_papers(name: str) -> None:
    joints, muscles = PAPERS[name]
    model = load_model(name)
    assert " ".join(model.joint_names) == " ".join(model.row_names) == joints
    assert " ".join(model.muscle_names) == muscles


@pytest.mark.parametrize(
    ("name", "count", "rows"), [("leg32", 32, 4), ("leg32_rajagopal", 32, 4), ("leg43", 43, 6), ("knee13", 13, 1)]
)
def test_large_models(name: str, count: int, rows: int) -> None:
    model = load_model(name)
    assert len(model.muscles) == count
    assert len(model.row_names) == rows
    assert model.source["licence"]
    assert model.source["sha256"]


def test_who_flexes_and_who_extends() -> None:
    """Knee extension, elbow flexion, wrist flexion and hip adduction are positive."""

    def arm(name: str, muscle: str, row: str) -> float:
        model = load_model(name)
        q = 0.5 * (model.lower_rad + model.upper_rad)
        _, arms = model.geometry.evaluate(model.all_angles(q))
        return float(arms[model.muscle_names.index(muscle), model.coordinate_names.index(row)])

    assert arm("knee13", "vas_lat", "knee") > 0.02
    assert arm("knee5", "bifemsh", "knee") < -0.005
    assert arm("elbow6", "BRA", "elbow") > 0.01
    assert arm("elbow6", "TRIlat", "elbow") < -0.01
    assert arm("wrist5", "FCR", "wrist") > 0.005
    assert arm("wrist5", "ECRB", "wrist") < -0.005
    assert arm("leg32", "glut_med2", "hip_adduction") < -0.02
    assert arm("leg32", "add_long", "hip_adduction") > 0.02
    assert arm("leg32_rajagopal", "glmed2", "hip_adduction") < -0.02
    assert arm("leg32_rajagopal", "vaslat", "knee") > 0.02


def test_signs_of_the_moment_arms() -> None:
    """Who flexes and who extends: hip flexion, knee extension and ankle dorsiflexion are positive."""
    _, arms = LEG.geometry.evaluate(np.array([0.1, -0.4, 0.0]))
    sign = {m: tuple(np.sign(np.round(arms[i], 4)).astype(int)) for i, m in enumerate(LEG.muscle_names)}
    assert sign == {
        "hamstrings": (-1, -1, 0), "bifemsh": (0, -1, 0), "glut_max": (-1, 0, 0), "iliopsoas": (1, 0, 0),
        "rect_fem": (1, 1, 0), "vasti": (0, 1, 0), "gastroc": (0, -1, -1), "soleus": (0, 0, -1), "tib_ant": (0, 0, 1),
    }  # fmt: skip


def test_in_range() -> None:
    middle = 0.5 * (LEG.lower_rad + LEG.upper_rad)
    outside = middle.copy()
    outside[1] = LEG.upper_rad[1] + 1e-6
    np.testing.assert_array_equal(LEG.in_range(np.stack([middle, outside, LEG.lower_rad])), [True, False, True])
    assert bool(LEG.in_range(middle))
    assert not bool(LEG.in_range(np.full(3, np.nan)))


def test_the_hash_is_of_the_content(raw: dict[str, Any]) -> None:
    raw["muscles"][0]["max_isometric_force_n"] += 1.0
    assert model_from_dict(raw, "here").sha256 != LEG.sha256


@pytest.mark.parametrize("name", ["leg11", "", "leg9 ", "no/such/model", "leg9.osim"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(ModelError, match=r"no such model: give one of .*leg9.*\.json"):
        load_model(name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00garbage\x80", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "expected an object"),
        (b"3", "expected an object"),
        (b"{}", "not an edge-msk model"),
        (b'{"schema": "edge-msk/model", "version": 1}', "version 1, this program reads 2"),
    ],
)
def test_unusable_file(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "leg.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=said) as error:
        load_model(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_directory(tmp_path: Path) -> None:
    (tmp_path / "leg.json").mkdir()
    with pytest.raises(ModelError, match=r"leg.json: cannot be read"):
        load_model(tmp_path / "leg.json")


def test_truncated_anywhere(tmp_path: Path) -> None:
    text = LEG.to_json()
    for cut in range(1, len(text) - 2, len(text) // 40):
        path = tmp_path / "leg.json"
        path.write_text(text[:cut])
        with pytest.raises(ModelError, match=r"leg.json"):
            load_model(path)


WRONG = [None, "text", [], {}, True, float("nan"), float("inf"), 10**400, -1.0]


def _walk(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The keys of every object, of the first and only the first entry of each list."""
    found: list[tuple[Any, ...]] = []
    if isinstance(node, dict):
        for key, value in node.items():
            found += [(*path, key), *_walk(value, (*path, key))]
    elif isinstance(node, list) and node and isinstance(node[0], dict):
        found += _walk(node[0], (*path, 0))
    return found


FREE = {
    "source",
    "fit",
    "units",
    "signs",
    "sign",
    "shares",
    "curves",
    "inertia_terms_kg_m2",
}  # of any content, or checked on its own below
KEYS = [p for p in _walk(LEG.to_dict()) if not FREE & {str(k) for k in p}]


@pytest.mark.parametrize("path", KEYS, ids=lambda p: ".".join(map(str, p)))
def test_every_key_is_required_and_checked(raw: dict[str, Any], path: tuple[Any, ...]) -> None:
    parent: Any = raw
    for key in path[:-1]:
        parent = parent[key]
    value = parent.pop(path[-1])
    with pytest.raises(ModelError, match=str(path[-1])):
        model_from_dict(raw, "here")
    refused = []
    for wrong in WRONG:
        if type(wrong) is type(value) and not isinstance(value, list | float):
            continue
        parent[path[-1]] = wrong
        try:
            model_from_dict(raw, "here")
        except ModelError as error:
            refused.append(str(error))
    for text in refused:
        assert str(path[-1]) in text or "not an edge-msk model" in text
        assert "\n" not in text
    assert len(refused) >= 6


def _set(*path: Any) -> Callable[[dict[str, Any], Any], None]:
    def change(raw: dict[str, Any], value: Any) -> None:
        node: Any = raw
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "value", "said"),
    [
        (_set("joints", 0, "sign"), 2.0, r"joints\[0\]: `sign` must be 1 or -1"),
        (_set("joints", 1, "range_rad"), [0.5, -0.5], r"joints\[1\]: `range_rad` must increase"),
        (_set("joints", 1, "range_rad"), [0.5], r"`range_rad` must be finite numbers of shape \(2,\)"),
        (_set("joints", 1, "range_rad"), ["a", "b"], "`range_rad` must be an array of numbers"),
        (_set("joints", 1, "range_rad"), [[1], [2, 3]], "`range_rad` must be an array of numbers"),
        (_set("joints", 2, "name"), "hip", "`joints` must have different names"),
        (_set("joints", 1, "center", "knots_rad"), [0.0, 0.0], "center: `"),
        (_set("joints", 0, "center", "knots_rad"), [], "center: `"),
        (_set("joints", 0, "center", "xy_m"), [[1.0, 2.0, 3.0]], "`xy_m` must be finite numbers of shape"),
        (_set("segments"), [], "`segments` must be a list with at least one entry"),
        (_set("segments", 0, "mass_kg"), 0, "`mass_kg` must be above 0"),
        (_set("muscles", 3, "name"), "soleus", "`muscles` must have different names"),
        (
            _set("muscles", 3, "pennation_at_optimal_rad"),
            1.5,
            r"muscles\[3\]: `pennation_at_optimal_rad` must be at most",
        ),
        (_set("muscles", 0, "length", "angles"), ["hip", "elbow"], r"muscles\[0\]: length: `angles` must name angles"),
        (_set("muscles", 0, "length", "angles"), ["hip", "hip"], "`angles` must have different names"),
        (_set("muscles", 0, "length", "angles"), 3, "`angles` must be a list of names"),
        (_set("muscles", 0, "length", "degree"), 10**9, "`degree` must be at most 30"),
        (_set("muscles", 0, "length", "degree"), 2, r"`coefficients_m` must hold 6 numbers, found 45"),
        (_set("muscles", 0, "length", "degree"), 2.5, "`degree` must be a whole number"),
        (_set("muscles", 0, "length", "intervals"), [4], r"`intervals` must be finite numbers of shape \(2,\)"),
        (_set("muscles", 0, "length", "intervals"), [4, 0], "`intervals` must be whole numbers from 1 to 200"),
        (_set("muscles", 0, "length", "intervals"), [4, 1e9], "`intervals` must be whole numbers from 1 to 200"),
        (_set("muscles", 0, "length", "intervals"), [4, 4], r"`coefficients_m` must hold 49 numbers, found 45"),
        (_set("rows"), ["hip", "knee"], "`rows` must be the joints and then any of the angles outside"),
        (_set("rows"), ["knee", "hip", "ankle"], "`rows` must be the joints"),
        (_set("rows"), ["hip", "knee", "ankle", "hip_adduction"], "`rows` must be the joints"),
        (_set("outside"), [{"name": "hip"}], r"outside\[0\]: `coordinate` is missing"),
        (
            _set("outside"),
            [{"name": "hip", "coordinate": "a", "sign": 1, "range_rad": [0, 1]}],
            "`joints` must have different names",
        ),
        (
            _set("base", "links"),
            [{"coordinate": "pelvis_tilt", "sign": 0.5, "offset_m": [0, 0]}],
            "`sign` must be 1 or -1",
        ),
        (_set("muscles", 0, "fit"), [1], "`fit` must be an object"),
        (_set("source"), "gait10", "`source` must be an object"),
        (_set("base", "position"), ["pelvis_tx"], "`position` must name the two coordinates"),
        (_set("base", "position"), [1, 2], "`position` must be a list of names"),
        (_set("gravity_mps2"), -9.8, "`gravity_mps2` must be above 0"),
    ],
)
def test_wrong_content(
    raw: dict[str, Any], change: Callable[[dict[str, Any], Any], None], value: Any, said: str
) -> None:
    changed = copy.deepcopy(raw)
    change(changed, value)
    with pytest.raises(ModelError, match=said) as error:
        model_from_dict(changed, "leg.json")
    assert str(error.value).startswith("leg.json: ")
    assert "import-model" in str(error.value)


def test_as_many_segments_as_joints(raw: dict[str, Any]) -> None:
    raw["segments"].pop()
    with pytest.raises(ModelError, match=r"`segments` must be as many as the joints \(3\), found 2"):
        model_from_dict(raw, "leg.json")


def test_a_muscle_keeps_the_curves_of_its_own() -> None:
    """Through the file and through scaling; without an entry it has none."""
    own = [
        None,
        *(CurveParameters("thelen2003", {"active_width": 0.5 + 0.01 * i}) for i in range(len(LEG.muscles) - 1)),
    ]
    model = replace(LEG, muscles=tuple(replace(m, curves=c) for m, c in zip(LEG.muscles, own, strict=True)))
    assert "curves" not in model.to_dict()["muscles"][0]
    again = model_from_dict(json.loads(model.to_json()), "here")
    assert again == model
    for scaled in (scale_segments(again, {"thigh": 1.1}), scale_uniformly(again, leg_length_m=1.1)):
        assert [m.curves for m in scaled.muscles] == own


def test_a_wrong_parameter_of_a_muscle_s_curves_is_named(raw: dict[str, Any]) -> None:
    raw["muscles"][2]["curves"] = CurveParameters("thelen2003").to_dict() | {"passive_strain": -1.0}
    with pytest.raises(
        ModelError, match=r"here: muscles\[2\]: curves: `passive_strain` must be at least 0.01, found -1"
    ):
        model_from_dict(raw, "here")
