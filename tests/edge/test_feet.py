from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.feet import Foot, locate, unmeasured
from edge.msk.model import load_model
from edge.msk.scaling import scale_uniformly
from edge.storage import read_table

LEG = load_model("leg9")
LENGTH = LEG.leg_length_m


def placed(side: str = "r", **angles: float) -> Foot:
    """The foot of a leg in one posture, in degrees, with the pelvis at (1, 0.95, 0.2)."""
    names = {"angles": ("hip", "knee", "ankle"), "pelvis": ("tilt", "list", "rotation"), "hip": ("adduction", "turn")}
    rows = {k: np.radians([[angles.get(n, 0.0) for n in group]]) for k, group in names.items()}
    return locate(LEG, side, np.zeros(1), rows["angles"], rows["pelvis"], np.array([[1.0, 0.95, 0.2]]), rows["hip"])


def still(ankle: tuple[float, float, float] = (0.0, 0.09, 0.1), heading: float = 0.0, pitch: float = 0.0) -> Foot:
    return Foot(np.zeros(1), np.array([ankle]), np.array([heading]), np.array([pitch]), 0.9)


def test_a_standing_leg() -> None:
    right, left = placed("r"), placed("l")
    hip = np.array([1.0, 0.95]) + LEG.base.links[0].offset_m
    assert right.ankle_m[0, 1] == pytest.approx(hip[1] - LENGTH, abs=0.01)
    assert right.ankle_m[0, 2] - 0.2 == pytest.approx(0.1 * LENGTH, abs=1e-9)
    np.testing.assert_allclose(left.ankle_m[0] - right.ankle_m[0], [0, 0, -0.2 * LENGTH], atol=1e-12)
    assert right.pitch_rad[0] == pytest.approx(0.0)
    assert right.heading_rad[0] == pytest.approx(0.0)


@pytest.mark.parametrize("side", ["r", "l"])
def test_signs_are_opensim_s(side: str) -> None:
    """Hip flexion brings the foot forward, adduction to the middle, a list lowers the right, a turn to the left looks left."""
    stands, out = placed(side).ankle_m[0], 1.0 if side == "r" else -1.0
    assert placed(side, hip=20).ankle_m[0, 0] > stands[0] + 0.2
    assert placed(side, knee=-60).ankle_m[0, 0] < stands[0] - 0.2
    assert out * (placed(side, adduction=10).ankle_m[0, 2] - stands[2]) < -0.1
    assert placed(side, ankle=20).pitch_rad[0] == pytest.approx(np.radians(20))
    turned = placed(side, rotation=30)
    assert turned.heading_rad[0] == pytest.approx(np.radians(30))
    assert out * (turned.ankle_m[0, 0] - stands[0]) > 0.03


def test_a_planar_recording_has_no_depth() -> None:
    foot = locate(
        LEG, "r", np.zeros(1), np.zeros((1, 3)), np.zeros((1, 3)), np.array([[0, 1, np.nan]]), np.zeros((1, 2))
    )
    assert np.isnan(foot.ankle_m[0, 2])
    assert np.isfinite(foot.ankle_m[0, :2]).all()
    assert foot.outside(np.array([[foot.ankle_m[0, 0] + 0.1, 0.0, 5.0]]))[0] == 0.0


@pytest.mark.parametrize(
    ("point", "away"),
    [
        ((0.0, 0.1), 0.0),
        ((0.2, 0.1), 0.0),
        ((0.307, 0.1), 0.1),
        ((-0.172, 0.1), 0.1),
        ((0.1, 0.2495), 0.1),
        ((0.337, 0.3195), np.hypot(0.13, 0.17)),
    ],
)
def test_how_far_a_point_lies_outside_the_sole(point: tuple[float, float], away: float) -> None:
    for turn in (0.0, 0.7, np.pi):
        c, s = np.cos(turn), np.sin(turn)
        ahead, right = point[0], point[1] - 0.1
        there = np.array([[c * ahead + s * right, 0.0, 0.1 - s * ahead + c * right]])
        assert still(heading=turn).outside(there)[0] == pytest.approx(away, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(-1, 1), st.floats(-0.08, 0.23), st.floats(-3, 3))
def test_points_of_the_sole_are_on_it(pitch: float, ahead: float, heading: float) -> None:
    flat = still(heading=heading)
    assert flat.outside(flat.on_sole(ahead))[0] == pytest.approx(0.0, abs=1e-9)
    lifted = still(pitch=pitch, heading=heading)
    distance = np.linalg.norm(lifted.on_sole(ahead)[0] - lifted.ankle_m[0])
    assert distance == pytest.approx(0.9 * np.hypot(ahead, 0.1))


def walk(belt: float = 0.0) -> tuple[Foot, np.ndarray]:
    """A foot that stands 0.6 s and swings 0.4 s, on ground that moves back at `belt` m/s; and when it stands."""
    t = np.arange(0, 4, 0.01)
    phase = t % 1.0
    stands = phase < 0.6
    swing = np.clip((phase - 0.6) / 0.4, 0, 1)
    step = np.floor(t) + swing - np.sin(2 * np.pi * swing) / (2 * np.pi)
    lift = 0.08 * np.sin(np.pi * swing) ** 2
    x = 1.4 * step - belt * t
    ankle = np.stack([x, 0.09 + lift, np.full_like(t, 0.1)], axis=1)
    return Foot(t, ankle, np.zeros_like(t), 0.3 * np.sin(2 * np.pi * swing) * (swing > 0), 0.9), stands


@pytest.mark.parametrize("belt", [0.0, 1.4])
def test_a_foot_that_is_low_and_still_stands(belt: float) -> None:
    foot, stands = walk(belt)
    found = foot.standing(stands)
    wrong = found != stands
    assert wrong.mean() < 0.08  # the first and last instants of a swing are low and slow as well
    assert not wrong[(foot.time_s % 1.0 > 0.1) & (foot.time_s % 1.0 < 0.55)].any()
    assert not found[(foot.time_s % 1.0 > 0.68) & (foot.time_s % 1.0 < 0.92)].any()


def test_where_no_plate_measures() -> None:
    foot, stands = walk()
    measured = stands & (foot.time_s > 0.9) & (foot.time_s < 2.9)  # the second and third steps of four
    unknown = unmeasured(foot, measured)
    assert unknown[stands & ~measured].all()
    assert not unknown[measured].any()
    assert not unknown[(foot.time_s % 1.0 > 0.72) & (foot.time_s % 1.0 < 0.92)].any()


def test_an_unloaded_foot_where_plates_have_felt_it_is_measured() -> None:
    """A sitting person's feet on the plates, which feel nothing for a while; and a treadmill."""
    t = np.arange(0, 4, 0.01)
    foot = Foot(t, np.tile([0.0, 0.09, 0.1], (len(t), 1)), 0 * t, 0 * t, 0.9)
    assert not unmeasured(foot, (t < 1) | (t > 2)).any()
    assert unmeasured(foot, np.zeros(len(t), dtype=bool)).all()
    belt, stands = walk(belt=1.4)
    assert not unmeasured(belt, stands & (belt.time_s % 1.0 < 0.55)).any()


def test_other_times() -> None:
    foot, _ = walk()
    between = foot.at(np.array([-1.0, 0.805, 99.0]))
    np.testing.assert_allclose(between.ankle_m[1], foot.ankle_m[80:82].mean(axis=0), atol=1e-12)
    np.testing.assert_array_equal(between.ankle_m[[0, 2]], foot.ankle_m[[0, -1]])


@pytest.mark.parametrize(
    ("folder", "kinematics", "model", "length", "knee", "worst_m"),
    [
        ("gait2392_walk", "ik.mot", "model.osim", None, 1.0, 0.003),
        ("overground_s01", "ik.mot", "model.osim", 0.893, -1.0, 0.06),
        ("squats", "squats1_ik.mot", "model.osim", 0.796, -1.0, 0.06),
        ("walk_12/2014007", "C4_04_ik_full.mot", "model_without_muscles.osim", 0.873, -1.0, 0.04),
    ],
)
def test_ankles_are_where_opensim_has_them(
    data: Path,
    opensim: object,
    folder: str,
    kinematics: str,
    model: str,
    length: float | None,
    knee: float,
    worst_m: float,
) -> None:
    """With `leg9` scaled by one factor, the joint's centre stays within a few centimetres on other models."""
    table = read_table(data / folder / kinematics)
    rows = np.linspace(0, len(table.time_s) - 1, 15).astype(int)
    osim = opensim.Model(str(data / folder / model))  # type: ignore[attr-defined]
    state = osim.initSystem()
    coordinates = {c.getName(): c for c in osim.getCoordinateSet()}
    leg = scale_uniformly(LEG, leg_length_m=length)

    def angle(*names: str) -> np.ndarray:
        return np.radians(np.stack([table.column(n)[rows] for n in names], axis=1))

    for side in ("r", "l"):
        pelvis = np.stack([table.column(f"pelvis_t{axis}")[rows] for axis in "xyz"], axis=1)
        foot = locate(
            leg,
            side,
            table.time_s[rows],
            angle(*(f"{n}_{side}" for n in ("hip_flexion", "knee_angle", "ankle_angle"))) * [1.0, knee, 1.0],
            angle("pelvis_tilt", "pelvis_list", "pelvis_rotation"),
            pelvis,
            angle(f"hip_adduction_{side}", f"hip_rotation_{side}"),
        )
        for i, row in enumerate(rows):
            for name, value in zip(table.columns, table.data[row], strict=True):
                if name not in coordinates:
                    continue
                turns = not name.startswith("pelvis_t") or name == "pelvis_tilt"
                coordinates[name].setValue(
                    state, float(np.radians(value) if turns and "beta" not in name else value), False
                )
            osim.assemble(state)
            osim.realizePosition(state)
            talus = osim.getBodySet().get(f"talus_{side}").getPositionInGround(state).to_numpy()
            assert np.abs(foot.ankle_m[i] - talus).max() < worst_m
