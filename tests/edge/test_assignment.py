from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.assignment import Assignment, assign
from edge.errors import TrialError
from edge.feet import Foot
from edge.force_plates import Plates

T = np.arange(0, 2, 0.002)
LENGTH = 0.9


def foot(x: np.ndarray | float, z: float = 0.1) -> Foot:
    """A foot flat on the ground, its ankle at x; z NaN for a planar recording."""
    ankle = np.stack([np.broadcast_to(x, T.shape), np.full_like(T, 0.09), np.full_like(T, z)], axis=1)
    return Foot(T, ankle, np.zeros_like(T), np.zeros_like(T), LENGTH)


def plates(*given: tuple[np.ndarray, np.ndarray, np.ndarray | float], sides: tuple[str | None, ...] = ()) -> Plates:
    """Plates from vertical force, and place x and z."""
    force = [np.stack([0.1 * f, f, 0 * f], axis=1) for f, _, _ in given]
    point = [np.stack([x + 0 * T, 0 * T, z + 0 * T], axis=1) for _, x, z in given]
    names = tuple(f"plate {k + 1}" for k in range(len(given)))
    made = Plates(
        Path("grf.mot"),
        names,
        (None,) * len(given),
        T,
        np.stack(force, 1),
        np.stack(point, 1),
        np.zeros((len(T), len(given), 3)),
    )
    return replace(made, sides=sides or made.sides)


def stance(start: float, end: float, top: float = 700.0) -> np.ndarray:
    return top * np.clip(np.sin((T - start) / (end - start) * np.pi), 0, None) * ((start < T) & (end > T))


def given_to(found: Assignment, plate: int = 0) -> list[str]:
    """The owner of a plate's rows, in the order of the recording, each once; '?' where it is shared."""
    names = np.where(found.owned["r"][:, plate], "r", np.where(found.owned["l"][:, plate], "l", "-"))
    names = np.where(found.shared[:, plate], "?", names)
    return [str(a) for a, b in zip(names, ["", *names[:-1]], strict=True) if a not in (b, "-")]


FEET = {"r": foot(0.5), "l": foot(1.2, -0.1)}


def test_each_plate_to_the_foot_that_stands_on_it() -> None:
    found = assign(plates((stance(0.2, 0.8), 0.55, 0.1), (stance(0.7, 1.3), 1.3, -0.1)), FEET, whole=False, name="t")
    assert (given_to(found, 0), given_to(found, 1)) == (["r"], ["l"])
    assert not found.strays["r"].any()
    assert found.notes[0] == "'plate 1': contacts: 1 of the right foot, the other 0.60 m further away"


def test_feet_beside_each_other_are_told_by_depth_alone() -> None:
    """A squat: both feet are as far forward, so a planar recording cannot tell."""
    squat = plates((stance(0.0, 2.0), 0.05, 0.12), (stance(0.0, 2.0), 0.02, -0.14))
    found = assign(squat, {"r": foot(0.0), "l": foot(0.0, -0.1)}, whole=False, name="t")
    assert (given_to(found, 0), given_to(found, 1)) == (["r"], ["l"])
    planar = {"r": foot(0.0, np.nan), "l": foot(0.01, np.nan)}
    with pytest.raises(
        TrialError, match=r"t: grf.mot: whose foot stands on 'plate 1' cannot be told: .*give `external_loads`"
    ):
        assign(squat, planar, whole=False, name="t")


def test_one_foot_after_the_other_on_one_plate() -> None:
    """First the right foot, then both, then the left one; the place moves from one to the other while both are on it."""
    right, left = stance(0.1, 0.9), stance(0.7, 1.6)
    force = right + left
    place = (right * 0.55 + left * 1.25) / np.maximum(force, 1e-9)
    aside = (right * 0.1 - left * 0.1) / np.maximum(force, 1e-9)
    feet = {"r": foot(0.5 + 3.0 * np.clip(T - 0.9, 0, None)), "l": foot(1.2 - 3.0 * np.clip(0.7 - T, 0, None), -0.1)}
    found = assign(plates((force, place, aside)), feet, whole=False, name="t")
    assert given_to(found) == ["r", "?", "l"]
    between = T[found.shared[:, 0]]
    assert between.min() == pytest.approx(0.70, abs=0.01)
    assert between.max() == pytest.approx(0.90, abs=0.01)


def test_a_foot_on_two_plates_has_both() -> None:
    both = plates((stance(0.2, 0.8), 0.45, 0.1), (stance(0.3, 0.8, 300.0), 0.62, 0.1))
    found = assign(both, FEET, whole=False, name="t")
    assert found.owned["r"].any(axis=0).tolist() == [True, True]
    assert not found.owned["l"].any()


def test_other_steps_of_the_same_plate() -> None:
    """A treadmill's belt: the feet come back to it, once the wrong one."""
    force = stance(0.1, 0.5) + stance(0.7, 1.0) + stance(1.3, 1.9)
    x = np.where(T < 0.6, 0.55, np.where(T < 1.2, 1.25, 0.6))
    z = np.where(T < 0.6, 0.1, np.where(T < 1.2, -0.1, 0.1))
    found = assign(plates((force, x, z)), FEET, whole=False, name="t")
    assert given_to(found) == ["r", "l", "r"]
    assert found.notes == (
        "'plate 1': contacts: 2 of the right foot and 1 of the left foot, the other 0.56 m further away",
    )


def test_where_it_does_not_matter_a_filter_s_tail_is_the_contact_s() -> None:
    """Filters draw the place of a vanishing force to zero, past the other foot."""
    force = stance(0.2, 0.8)
    x = np.where(force > 15.0, 0.55, 0.55 - 3.0 * (15.0 - force) / 15.0)
    found = assign(plates((force, x, 0.1)), {"r": foot(0.5), "l": foot(-0.6, -0.1)}, whole=False, name="t")
    assert given_to(found) == ["r"]
    strays = found.strays["r"][:, 0]
    assert strays.any()
    moments = force * np.abs(x - 0.55)
    assert (moments[strays] > 3.0).all()
    assert (moments[(force > 0) & ~strays] < 10.0).all()


def test_a_force_that_is_nobody_s() -> None:
    lone = plates((stance(0.2, 0.8), 5.0, 0.0))
    with pytest.raises(TrialError, match=r"acts 4\.29 m from the right sole and 3\.59 m from the left one"):
        assign(lone, FEET, whole=False, name="t")
    small = plates((stance(0.2, 0.8) + stance(1.0, 1.1, 40.0), np.where(T < 0.9, 0.55, 5.0), 0.1))
    found = assign(small, FEET, whole=False, name="t")
    assert given_to(found) == ["r", "r"]
    assert found.strays["r"][T > 0.9].any()


def test_an_empty_plate() -> None:
    found = assign(plates((0 * T, 0.0, 0.0)), FEET, whole=False, name="t")
    assert not found.owned["r"].any()
    assert found.notes == ("'plate 1': no contacts",)


def test_what_is_said_is_kept() -> None:
    said = plates((stance(0.2, 0.8), 0.55, 0.1), sides=("r",))
    for feet in ({}, {"r": FEET["r"]}, FEET):
        found = assign(said, feet, whole=True, name="t")
        assert found.owned["r"].all()
        assert not found.strays["r"].any()
    with pytest.raises(
        TrialError, match=r"'plate 1' is said to act on the left foot, but acts 0\.\d+ m from it, on the right one"
    ):
        assign(replace(said, sides=("l",)), FEET, whole=True, name="t")


def test_a_crossing_step_on_a_belt_that_is_named() -> None:
    """The name says the belt. Whose foot is on it is seen, unless the user said it of the whole recording."""
    force = stance(0.1, 0.9) + stance(1.0, 1.4)
    x, z = np.where(T < 0.95, 0.55, 1.25), np.where(T < 0.95, 0.1, -0.1)
    belt = plates((force, x, z), sides=("r",))
    assert given_to(assign(belt, FEET, whole=False, name="t")) == ["r", "l"]
    whole = assign(belt, FEET, whole=True, name="t")
    assert whole.owned["r"].all()
    assert whole.strays["r"][(T > 1.05) & (T < 1.35)].all()
    assert not whole.strays["r"][T < 0.95].any()


def test_only_contacts_that_begin_or_end_within_the_feet_s_recording_are_known() -> None:
    half = len(T) // 2
    short = {
        side: Foot(*(a[:half] for a in (f.time_s, f.ankle_m, f.heading_rad, f.pitch_rad)), LENGTH)
        for side, f in FEET.items()
    }
    force = stance(0.2, 0.6) + stance(0.7, 1.2) + stance(1.4, 1.8)
    found = assign(plates((force, 0.55, 0.1)), short, whole=False, name="t")
    owned = found.owned["r"][:, 0]
    assert owned[(force > 0) & (T < 1.2)].all()
    assert not owned[T > 1.2].any()
    assert not found.shared.any()
