import numpy as np
import pytest
from planar_chains import planar_chain

from edge.errors import ModelError
from edge.msk.model import load_model
from edge.msk.scaling import scale_segments
from edge.msk.segment_lengths import factors_from_lengths, reference_lengths_m

LEG = load_model("leg9")


def test_lengths_of_a_leg() -> None:
    lengths = reference_lengths_m(LEG)
    assert list(lengths) == ["pelvis", "thigh", "shank", "foot"]
    assert lengths["thigh"] + lengths["shank"] == pytest.approx(LEG.leg_length_m)
    assert lengths["shank"] == pytest.approx(0.425, abs=0.001)
    # A man of 1.79 m.
    assert lengths["foot"] == pytest.approx(0.272, abs=0.002)
    assert lengths["pelvis"] == pytest.approx(0.342, abs=0.002)


def test_the_model_s_own_lengths_change_nothing() -> None:
    for name in ("leg9", "leg32_rajagopal", "knee5", "elbow5", "wrist5"):
        model = load_model(name)
        assert factors_from_lengths(model, reference_lengths_m(model)) == pytest.approx(
            dict.fromkeys(model.part_names, 1.0)
        )


def test_a_scaled_model_has_the_measured_lengths() -> None:
    measured = {"thigh": 0.41, "shank": 0.39, "foot": 0.25, "pelvis": 0.30}
    person = scale_segments(LEG, factors_from_lengths(LEG, measured), mass_kg=60.0)
    own = [float(np.hypot(*j.center.evaluate(np.zeros(()))[0])) for j in person.joints[1:]]
    assert own == pytest.approx([0.41, 0.39])
    assert person.leg_length_m == pytest.approx(0.80)
    assert person.segments[2].com_m[0] / LEG.segments[2].com_m[0] == pytest.approx(
        0.25 / reference_lengths_m(LEG)["foot"]
    )


def test_what_was_not_measured_grows_with_the_rest() -> None:
    reference = reference_lengths_m(LEG)
    factors = factors_from_lengths(LEG, {"thigh": 1.1 * reference["thigh"], "shank": 0.9 * reference["shank"]})
    together = (1.1 * reference["thigh"] + 0.9 * reference["shank"]) / (reference["thigh"] + reference["shank"])
    assert factors == pytest.approx({"pelvis": together, "thigh": 1.1, "shank": 0.9, "foot": together})


def test_limbs_of_one_joint() -> None:
    knee = reference_lengths_m(load_model("knee5"))
    assert list(knee) == ["pelvis", "thigh", "shank"]
    assert knee["thigh"] == pytest.approx(reference_lengths_m(load_model("leg10"))["thigh"])
    elbow = reference_lengths_m(load_model("elbow5"))
    assert elbow["upper_arm"] == pytest.approx(0.290, abs=0.001)
    assert elbow["forearm"] == pytest.approx(0.290 * 0.146 / 0.186, abs=0.001)
    assert knee["shank"] == pytest.approx(reference_lengths_m(load_model("leg10"))["shank"])  # ends at the ankle
    wrist = reference_lengths_m(load_model("wrist5"))
    assert list(wrist) == ["upper_arm", "forearm", "hand"]
    assert wrist["hand"] == pytest.approx(0.108 * 1.741)  # of the man whose hand it is (de Leva 1996)
    with pytest.raises(ModelError, match="has no length of a leg or an arm to compare with a person's"):
        reference_lengths_m(planar_chain(2, 0))


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ({"thigh": 41.0}, r"length of the thigh, 41 m, cannot be: the model's is 0.4\d+ m: give it in metres"),
        ({"thigh": 0.0}, "cannot be"),
        ({"thigh": float("nan")}, "cannot be"),
        ({"hand": 0.2}, "has no length of 'hand' to compare with: give any of pelvis, thigh, shank, foot"),
        ({}, "no length was given: give any of pelvis, thigh"),
    ],
)
def test_impossible_lengths(lengths: dict[str, float], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        factors_from_lengths(LEG, lengths)
