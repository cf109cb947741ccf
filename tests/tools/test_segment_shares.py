from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edge.msk.length_functions import monomial_exponents
from tools.limbs import LIMBS
from tools.opensim_limb import OpenSimLimb
from tools.segment_shares import bodies_of_parts, inertia_terms, length_shares

PARTS = ("pelvis", "thigh", "shank", "foot")


@pytest.fixture(scope="module")
def leg(data: Path, opensim: ModuleType) -> OpenSimLimb:
    return OpenSimLimb(data / "gait10_walk" / "model.osim", LIMBS["leg"])


def test_bodies_of_a_leg_and_a_knee(data: Path, opensim: ModuleType) -> None:
    path = data / "walk_12" / "rajagopal2016_generic.osim"
    leg = bodies_of_parts(OpenSimLimb(path, LIMBS["leg"], "l"))
    assert list(leg) == list(PARTS)
    assert leg["thigh"] == ["femur_l", "patella_l"]
    assert leg["shank"] == ["tibia_l"]
    assert leg["foot"] == ["talus_l", "calcn_l", "toes_l"]
    assert {"ground", "pelvis", "torso", "femur_r", "hand_l"} <= set(leg["pelvis"])
    knee = bodies_of_parts(OpenSimLimb(path, LIMBS["knee"], "l"))
    assert knee == {
        "pelvis": leg["pelvis"],
        "thigh": leg["thigh"],
        "shank": [*leg["shank"], *leg["foot"]],
    }


def test_bodies_of_an_arm_and_a_wrist(data: Path, opensim: ModuleType) -> None:
    arm = OpenSimLimb(data / "arm26_elbow" / "model.osim", LIMBS["elbow"])
    assert bodies_of_parts(arm) == {
        "trunk": ["ground", "base"],
        "upper_arm": ["r_humerus"],
        "forearm": ["r_ulna_radius_hand"],
    }
    wrist = OpenSimLimb(data / "wrist_emg" / "wrist.osim", LIMBS["wrist"])
    parts = bodies_of_parts(wrist)
    assert {"ground", "ulna", "radius"} <= set(parts["forearm"])
    assert {"scaphoid", "capitate", "metacarpal2"} <= set(parts["hand"])
    assert parts["trunk"] == parts["upper_arm"] == []
    assert inertia_terms(wrist, 0) is None


def test_inertia_terms_are_those_of_cylinders(leg: OpenSimLimb) -> None:
    """Of the shank, one body along y: its own numbers."""
    terms = inertia_terms(leg, 1)
    tibia = leg.model.getBodySet().get("tibia_r").getInertia().getMoments()
    assert terms is not None
    assert (terms.xx, terms.xy, terms.yz) == (0.0, 0.0, 0.0)
    assert terms.xz == pytest.approx(0.5 * tibia.get(1))
    assert terms.yy == pytest.approx(tibia.get(0) - 0.5 * tibia.get(1))


def test_shares_add_up_to_the_length(leg: OpenSimLimb) -> None:
    muscles = {
        "soleus": (leg.model.getMuscles().get("soleus_r"), ("ankle",)),
        "hamstrings": (leg.model.getMuscles().get("hamstrings_r"), ("hip", "knee")),
    }
    found = length_shares(leg, muscles)
    assert list(found["soleus"][0].coefficients_m) == ["shank", "foot"]
    assert list(found["hamstrings"][0].coefficients_m) == ["pelvis", "thigh", "shank"]
    low, high = leg.limits()
    q = low + np.random.default_rng(1).random((30, 3)) * (high - low)
    for name, (muscle, angles) in muscles.items():
        shares, error_mm = found[name]
        assert error_mm < 0.3
        own = q[:, [("hip", "knee", "ankle").index(a) for a in angles]]
        terms = (own[:, None, :] ** np.array(monomial_exponents(len(angles), shares.degree))).prod(axis=2)
        total = terms @ shares.array(PARTS).sum(axis=(0, 1))
        np.testing.assert_allclose(total, leg.lengths(muscle, q), atol=1.5e-3)


def test_a_stretched_copy_leaves_the_limb_as_it_is(leg: OpenSimLimb) -> None:
    muscle = leg.model.getMuscles().get("soleus_r")
    q = np.array([[0.1, -0.3, 0.2]])
    before = leg.lengths(muscle, q)
    longer = leg.stretched({"tibia_r": (1.0, 1.1, 1.0)})
    assert longer.lengths(longer.model.getMuscles().get("soleus_r"), q)[0] > before[0] + 0.02
    np.testing.assert_array_equal(leg.lengths(muscle, q), before)
    np.testing.assert_allclose(longer.joint_center(2).values, leg.joint_center(2).values * [1.0, 1.1], atol=1e-12)


def test_no_muscles(leg: OpenSimLimb) -> None:
    assert length_shares(leg, {}) == {}
