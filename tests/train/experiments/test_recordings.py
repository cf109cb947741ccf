"""Everyone of the data folder as trials."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from edge.errors import FileError
from edge.msk.hill import MuscleMode
from train.answers import truth
from train.experiments.recordings import (
    KNEE_EXTENSION,
    Recorded,
    elbow,
    knee_bending,
    knee_file,
    runs,
    seated_extension,
    sit_to_stands,
    squats,
    walkers,
)


def usable_s(trial: Recorded) -> float:
    at = trial.own_times()
    assert trial.ground_reaction is not None
    return float(trial.ground_reaction.valid_at(at).sum() * np.median(np.diff(at)))


def test_everybody_walks_as_people_do(data: Path) -> None:
    """The largest torques are those of walking, at all but the fastest speed, and each joint bends its own way."""
    trials = walkers(data, sides=("r",))
    assert len({t.subject for t in trials}) == 18
    assert len(trials) == 33
    seconds: dict[str, float] = defaultdict(float)
    for trial in trials:
        seconds[trial.subject] += usable_s(trial)
        at = trial.own_times()
        at = at[trial.ground_reaction.valid_at(at)]  # type: ignore[union-attr]
        torque = trial.torque(at) / trial.model.torque_scale_nm
        hip, knee, ankle = torque.T
        most = 2.0 if trial.speed_mps and trial.speed_mps > 1.8 else 1.0
        assert 0.06 < hip.max() < 0.25 * most, trial.name
        assert np.abs(knee).max() < 0.16 * most, trial.name
        assert -0.24 < ankle.min() < -0.14, trial.name  # push-off
        assert trial.task == "walking"
        assert trial.speed_mps is not None
        assert 0.8 < trial.speed_mps < 2.2, trial.name
        assert np.degrees(trial.q[:, 1].min()) < -50.0, trial.name  # the swing's bent knee
        assert not trial.frames_outside_model()
    assert min(seconds.values()) > 1.7  # of one leg
    assert seconds["treadmill_60s"] > 60.0
    speeds = {t.name: t.speed_mps for t in trials}
    assert speeds["treadmill_speeds/walk36 r"] == 1.0
    for person in {t.subject for t in trials if t.subject.startswith("walk_12/")}:
        slow, fast = sorted(t.name for t in trials if t.subject == person)
        assert speeds[slow] < speeds[fast], person


def test_other_tasks_are_one_person_s_who_also_walks(data: Path) -> None:
    made = {"squats": squats(data, sides=("l",)), "sit-to-stand": sit_to_stands(data, sides=("l",))}
    for task, trials in made.items():
        assert [t.task for t in trials] == [task] * 2
        assert {(t.subject, t.side) for t in trials} == {("squats", "l")}
        for trial in trials:
            assert usable_s(trial) > 13.0
            assert np.degrees(trial.q[:, 1].min()) < -80.0
    (run,) = runs(data, sides=("r",))
    assert (run.subject, run.task, run.speed_mps) == ("treadmill_speeds", "running", 2.25)


def test_knees_are_straight_at_zero_and_bend_below(data: Path) -> None:
    """The files' signs differ between people; the torque holds the shank against gravity."""
    standing, seated = knee_bending(data, model="knee5"), seated_extension(data, model="knee13")
    assert [t.subject for t in standing] == [f"subject{k}" for k in (1, 3, 4, 5, 6, 7, 8)]
    for upright, level in zip(standing, seated, strict=True):
        assert upright.subject == level.subject
        assert max(upright.q.max(), level.q.max()) == 0.0
        assert -130.0 < np.degrees(upright.q.min()) < -90.0
        assert upright.model.mass_kg == 75.0
        bent = (upright.q[:, 0] < -1.0) & (upright.q[:, 0] > -1.6)
        torque, activation, _ = truth(upright, upright.time_s, MuscleMode.COMPAT)
        assert -14.0 < torque[bent, 0].mean() < -7.0  # flexors lift the shank of one who stands
        assert activation[bent].sum(axis=1).mean() > 0.5
        torque, _, _ = truth(level, level.time_s, MuscleMode.COMPAT)
        assert 9.0 < np.percentile(torque[:, 0], 90) < 18.0  # extensors that of one who sits
        assert knee_file(data, level).name == f"{level.subject}_seated_extension.txt"
        assert level.task == KNEE_EXTENSION


def test_the_elbow_bends_to_a_right_angle(data: Path) -> None:
    (trial,) = elbow(data)
    assert trial.touches_nothing
    assert np.degrees(trial.q.max()) == pytest.approx(90.2, abs=0.1)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"holds no.*--data"):
        knee_bending(tmp_path)
    with pytest.raises(FileError, match=r"anthropometrics\.csv"):
        walkers(tmp_path)
    (tmp_path / "walk_12").mkdir()
    (tmp_path / "walk_12" / "anthropometrics.csv").write_text("subjectID,mass\nx,heavy\n")
    with pytest.raises(FileError, match=r"anthropometrics\.csv: no table of subjectID, mass.*published"):
        walkers(tmp_path)
