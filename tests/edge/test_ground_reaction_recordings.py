"""Plates, feet and doubts on real people: every recording of the data folder that has ground reaction."""

from pathlib import Path

import numpy as np
import pytest
from recorded_people import FLEXION_POSITIVE, Recorded, everyone, whole_treadmill_60s

from edge.contact import runs
from edge.errors import TrialError
from edge.ground_reaction import NO_PLATE, OFF_THE_FOOT, UNSURE, GroundReaction, read_ground_reaction
from edge.msk.scaling import scale_uniformly
from edge.storage import read_table


def read(person: Recorded, side: str, *, loads: bool) -> GroundReaction:
    return read_ground_reaction(
        person.forces, person.loads if loads else None, side=side, name=person.name, feet=person.feet()
    )


def pushed(reaction: GroundReaction) -> np.ndarray:
    return np.asarray(reaction.force_n[..., 1].sum(axis=1))


def test_every_contact_goes_to_the_foot_that_external_loads_name(data: Path) -> None:
    people = [p for p in everyone(data) if p.loads is not None and not p.split_belts]
    assert len(people) == 27
    for person in people:
        moved = read_table(person.kinematics).time_s
        for side in ("r", "l"):
            said, seen = read(person, side, loads=True), read(person, side, loads=False)
            within = (said.time_s >= moved[0]) & (said.time_s <= moved[-1])  # where the feet are known
            np.testing.assert_allclose(pushed(seen)[within], pushed(said)[within], atol=0.5, err_msg=person.name)
            np.testing.assert_array_equal(seen.valid[within], said.valid[within], err_msg=person.name)


def test_people_on_plates_without_external_loads(data: Path) -> None:
    """Squats, sitting and walking on several plates: right is the plate with the larger z, by the way they stood."""
    people = [p for p in everyone(data) if p.name.startswith("squats/")]
    assert len(people) == 8
    for person in people:
        first, second = (
            read_table(person.forces).column(f"ground_force_{k}_vy") for k in (1, 2)
        )  # right and left in all of them
        np.testing.assert_allclose(pushed(read(person, "r", loads=False)), first, atol=30.0, err_msg=person.name)
        np.testing.assert_allclose(pushed(read(person, "l", loads=False)), second, atol=30.0, err_msg=person.name)


def test_external_loads_that_put_all_plates_under_one_foot(data: Path) -> None:
    squats = next(p for p in everyone(data) if p.name == "squats/squats1")
    loads = squats.forces.with_name("squats1_external_forces.xml")
    with pytest.raises(
        TrialError, match=r"'ForcePlate2' is said to act on the right foot, but acts 0\.3\d m from it, on the left"
    ):
        read_ground_reaction(squats.forces, loads, side="r", name="t", feet=squats.feet())
    with pytest.raises(TrialError, match="no active force on a body of side 'l'"):
        read_ground_reaction(squats.forces, loads, side="l", name="t", feet=squats.feet())


def test_a_treadmill_of_a_minute(data: Path, tmp_path: Path) -> None:
    leg = scale_uniformly(FLEXION_POSITIVE, leg_length_m=0.921)
    person = Recorded("treadmill_60s", leg, data / "treadmill_60s" / "ik.sto", whole_treadmill_60s(data, tmp_path))
    right, left = (read(person, side, loads=False) for side in ("r", "l"))
    table = read_table(person.forces)
    np.testing.assert_array_equal(pushed(right), table.column("ground_force_vy"))
    np.testing.assert_array_equal(pushed(left), table.column("1_ground_force_vy"))
    assert right.valid.all()
    assert left.valid.all()
    assert right.notes[0].startswith("'ground_force': contacts: 55 of the right foot, the other 0.3")


def test_steps_on_the_other_foot_s_belt(data: Path) -> None:
    """overground_s04 (a treadmill of two belts, whatever its name): from 3.08 to 3.74 s the left foot stands on the right
    belt too, with up to 250 N that the published external loads give to the swinging right leg."""
    person = next(p for p in everyone(data) if p.name == "overground_s04")
    said, seen = read(person, "r", loads=True), read(person, "r", loads=False)
    crossing = (said.time_s > 3.25) & (said.time_s < 3.6)
    assert pushed(said)[crossing].max() > 90.0
    assert pushed(seen)[crossing].max() == 0.0
    assert said.doubts[OFF_THE_FOOT][crossing].mean() > 0.5
    left, misses = read(person, "l", loads=False), read(person, "l", loads=True)
    np.testing.assert_allclose((pushed(left) - pushed(misses))[crossing], pushed(said)[crossing], atol=1.0)
    assert misses.doubts[UNSURE][crossing].any()
    assert left.doubts[UNSURE][(left.time_s > 3.1) & (left.time_s < 3.18)].all()
    elsewhere = (seen.time_s < 3.0) | (seen.time_s > 3.8)
    np.testing.assert_allclose(pushed(seen)[elsewhere], pushed(said)[elsewhere], atol=1.0)


def test_a_runner_on_two_belts(data: Path) -> None:
    person = next(p for p in everyone(data) if p.name == "run81")
    right = read(person, "r", loads=False)
    belts = read_table(person.forces)
    both = belts.column("l_ground_force_vy") + belts.column("ground_force_vy")
    left = read(person, "l", loads=False)
    known = right.time_s > 0.1  # the step that the recording begins in is too short to be told, and marked
    np.testing.assert_allclose((pushed(right) + pushed(left))[known], both[known], atol=60.0)
    assert right.doubts[UNSURE][~known & (both > 50.0)].all()
    # In a run one foot is on the ground at a time: what the right one has is a whole step or nothing.
    steps = [c for c in runs(pushed(right) > 50.0) if c.stop - c.start > 5]
    peaks = [pushed(right)[c].max() for c in steps]
    assert len(steps) == 76
    assert min(peaks) > 1000.0


def test_where_people_stand_beside_the_plates(data: Path) -> None:
    """walk_12: two plates, one step on each. The C3D's own events say when the other steps began and ended."""
    ezc3d = pytest.importorskip("ezc3d")
    early, late, count = [], [], 0
    for person in [p for p in everyone(data) if p.name.startswith("walk_12")]:
        recording = ezc3d.c3d(str(person.forces).replace("_grf.mot", ".c3d"))["parameters"]["EVENT"]
        when = recording["TIMES"]["value"][0] * 60.0 + recording["TIMES"]["value"][1]
        for side, word in (("r", "Right"), ("l", "Left")):
            found = read(person, side, loads=True)
            unknown = found.doubts[NO_PLATE]
            assert not unknown[pushed(found) > 20.0].any()
            said = [
                (t, label.startswith("Foot Strike"))
                for t, label, of in zip(
                    when, recording["LABELS"]["value"], recording["CONTEXTS"]["value"], strict=False
                )
                if of == word
            ]
            measured = found.time_s[pushed(found) > 0.0]
            for t, strikes in said:
                if measured[0] - 0.05 < t < measured[-1] + 0.08:
                    continue  # the measured step's own
                count += 1
                if strikes:
                    starts = [found.time_s[r.start] for r in runs(unknown) if r.start > 0]
                    early.append(t - min(starts, key=lambda s: abs(s - t)))
                else:
                    ends = [found.time_s[r.stop - 1] for r in runs(unknown) if r.stop < len(unknown)]
                    late.append(min(ends, key=lambda s: abs(s - t)) - t)
    assert count > 60
    assert -0.02 <= min(early) <= max(early) < 0.07
    assert -0.02 <= min(late) <= max(late) < 0.07


def test_how_much_is_doubtful(data: Path) -> None:
    """Rows beside the foot come from filters that draw the place of a small force away; the OpenSim example has few."""
    share = {}
    for person in everyone(data):
        if person.name in {"gait10_walk", "gait2392_walk", "overground_s01"}:
            last = read_table(person.kinematics).time_s[-1]
            found = [read(person, side, loads=True) for side in ("r", "l")]
            share[person.name] = max(float((~f.valid[f.time_s <= last]).mean()) for f in found)
    assert share["gait10_walk"] < 0.01
    assert share["gait2392_walk"] < 0.01
    assert 0.03 < share["overground_s01"] < 0.05
