import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge.msk.hip_adduction import HIP_ADDUCTION_LEVER, hip_adduction_torque, lever_rule
from edge.storage import read_table

G = 9.80665
UPRIGHT = np.zeros(1)


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=float)


HIP, UNDER_FOOT, LEG_COM, LEG_KG, WEIGHT = row(0, 0.9, 0.1), row(0, 0, 0.02), row(0, 0.5, 0.08), 10.0, 700.0


def mirrored(vector: np.ndarray) -> np.ndarray:
    return vector * [1.0, 1.0, -1.0]


def test_standing_on_one_leg_takes_the_abductors() -> None:
    """By hand, from the ground up: 700 N 8 cm inside the hip turn the leg inwards; 98 N of leg 2 cm inside it help."""
    got = hip_adduction_torque(
        row(0, WEIGHT, 0), UNDER_FOOT, HIP, UPRIGHT, "r", limb_mass_kg=LEG_KG, limb_com_m=LEG_COM
    )
    assert got[0] == pytest.approx(-WEIGHT * 0.08 + LEG_KG * G * 0.02, rel=1e-12)


def test_standing_on_one_leg_seen_from_above_the_hip() -> None:
    """The same torque holds up all that is not the leg: its weight times its lever about the hip."""
    rest = WEIGHT - LEG_KG * G
    place = (
        WEIGHT * UNDER_FOOT[0, 2] - LEG_KG * G * LEG_COM[0, 2]
    ) / rest  # the body's centre of mass is over the foot
    got = hip_adduction_torque(
        row(0, WEIGHT, 0), UNDER_FOOT, HIP, UPRIGHT, "r", limb_mass_kg=LEG_KG, limb_com_m=LEG_COM
    )
    assert -got[0] == pytest.approx(rest * (HIP[0, 2] - place), rel=1e-12)


def test_the_left_leg_is_the_right_one_mirrored() -> None:
    rng = np.random.default_rng(1)
    force, point, hip, com = rng.normal(size=(4, 20, 3))
    angle, moment = rng.normal(size=20), rng.normal(size=(20, 3))
    right = hip_adduction_torque(
        force, point, hip, angle, "r", moment_nm=moment, limb_mass_kg=9.0, limb_com_m=com, gravity_mps2=9.8
    )
    left = hip_adduction_torque(
        mirrored(force),
        mirrored(point),
        mirrored(hip),
        angle,
        "l",
        moment_nm=-mirrored(moment),  # a moment mirrors the other way round
        limb_mass_kg=9.0,
        limb_com_m=mirrored(com),
        gravity_mps2=9.8,
    )
    np.testing.assert_allclose(left, right, atol=1e-12)


def test_a_force_outwards_is_held_by_the_adductors() -> None:
    """The ground pushes the right foot to the right (sliding apart): the leg must be drawn inwards, positive."""
    got = hip_adduction_torque(row(0, 0, 30.0), row(0, 0, 0.1), HIP, UPRIGHT, "r")
    assert got[0] == pytest.approx(30.0 * 0.9, rel=1e-12)


def test_a_level_thigh_adducts_about_the_vertical() -> None:
    """Seated: weight has no lever about the vertical axis; a push outwards at the foot, 0.4 m ahead of the hip, has 0.4 m."""
    level = np.array([np.pi / 2])
    assert hip_adduction_torque(row(0, 500.0, 0), UNDER_FOOT, HIP, level, "r")[0] == pytest.approx(0.0, abs=1e-12)
    got = hip_adduction_torque(row(0, 0, 30.0), row(0.4, 0.4, 0.1), HIP, level, "r")
    assert got[0] == pytest.approx(30.0 * 0.4, rel=1e-12)
    turned = hip_adduction_torque(row(0, 1.0, 0), HIP, HIP, level, "r", moment_nm=row(0, 5.0, 0))
    assert turned[0] == pytest.approx(-5.0, rel=1e-12)  # the plate turns the leg inwards: abductors


def test_the_place_is_not_read_where_nothing_touches() -> None:
    nowhere = row(np.nan, np.nan, np.nan)
    assert hip_adduction_torque(row(0, 0, 0), nowhere, HIP, UPRIGHT, "r", moment_nm=nowhere)[0] == 0.0
    swinging = hip_adduction_torque(row(0, 0, 0), nowhere, HIP, UPRIGHT, "r", limb_mass_kg=LEG_KG, limb_com_m=LEG_COM)
    assert swinging[0] == pytest.approx(LEG_KG * G * 0.02, rel=1e-12)


def test_a_mass_needs_a_place() -> None:
    with pytest.raises(ValueError, match="limb_mass_kg needs limb_com_m"):
        hip_adduction_torque(row(0, 1, 0), HIP, HIP, UPRIGHT, "r", limb_mass_kg=10.0)


def test_lever_rule() -> None:
    np.testing.assert_allclose(lever_rule(np.array([0.0, 700.0]), 0.9), [0.0, -0.0506 * 0.9 * 700.0])
    assert HIP_ADDUCTION_LEVER == 0.0506
    np.testing.assert_allclose(lever_rule(np.array([700.0]), 0.9, lever=0.08), [-0.08 * 0.9 * 700.0])
    # In legs: the foot that stands 8 cm inside the hip of a leg of 0.9 m.
    np.testing.assert_allclose(
        lever_rule(np.array([WEIGHT]), 0.9, lever=0.08 / 0.9),
        hip_adduction_torque(row(0, WEIGHT, 0), UNDER_FOOT, HIP, UPRIGHT, "r"),
    )


def test_a_step_against_opensim_s_inverse_dynamics_in_space(data: Path, opensim: ModuleType) -> None:
    """The right foot's step on its plate in `gait2392_walk`; the leg weighs 16 % of the body (Winter 2009)."""
    posed_model = importlib.import_module("tools.opensim_oracle_state").PosedModel
    folder = data / "gait2392_walk"
    theirs, plate = read_table(folder / "id.sto"), read_table(folder / "subject01_walk1_grf.mot")
    stance = (theirs.time_s > 0.65) & (theirs.time_s < 1.4)
    at_s, true = theirs.time_s[stance], theirs.column("hip_adduction_r_moment")[stance]
    posed = posed_model(folder / "model.osim", read_table(folder / "ik.mot"))
    joints = posed.model.getJointSet()
    centers = np.empty((len(at_s), 3, 3))  # hip, knee, ankle
    for i in posed.frames(at_s):
        for k, name in enumerate(("hip_r", "knee_r", "ankle_r")):
            centers[i, k] = joints.get(name).getChildFrame().getPositionInGround(posed.state).to_numpy()
    hip, knee, ankle = (centers[:, k] for k in range(3))
    mass = posed.model.getTotalMass(posed.state)

    def column(stem: str) -> np.ndarray:
        return np.stack([np.interp(at_s, plate.time_s, plate.raw(stem + axis)) for axis in "xyz"], axis=1)

    force, point, moment = column("ground_force_v"), column("ground_force_p"), column("ground_torque_")
    thigh = np.arctan2(*(knee - hip)[:, [0, 1]].T * [[1], [-1]])
    still = hip_adduction_torque(
        force,
        point,
        hip,
        thigh,
        "r",
        moment_nm=moment,
        limb_mass_kg=0.161 * mass,
        limb_com_m=hip + 0.45 * (ankle - hip),
    )
    length = np.linalg.norm(hip - knee, axis=1).mean() + np.linalg.norm(knee - ankle, axis=1).mean()
    for name, torque, limit in (("at rest", still, 5.0), ("lever rule", lever_rule(force[:, 1], length), 15.0)):
        rmse = np.sqrt(((torque - true) ** 2).mean())
        print(f"gait2392_walk, right step, hip adduction, {name}: RMSE {rmse:.1f} Nm of {true.std():.1f} Nm")
        assert rmse < limit
