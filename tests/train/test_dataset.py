from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from walking import load_walk, write_moved_walk

from edge.errors import TrialError
from edge.msk.dynamics import external_torque
from edge.msk.hill import MuscleMode
from edge.msk.model import Model
from edge.sensors import playback
from edge.sensors.frame import FrameDecoder, encode
from edge.signals.intake import Intake
from edge.trial import Trial
from edge.trials import load_trials
from train import dataset
from train.dataset import InputSettings, make_stretches, make_windows, split_by_time

CAUSAL = InputSettings(100.0, True, "kalman", 0.05)
ZERO_PHASE = InputSettings(100.0, False, "kalman", 0.0)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, list[Trial]]:
    return load_walk(tmp_path_factory.mktemp("walk"))


def test_causal_inputs_are_the_devices_own(walk: tuple[Model, list[Trial]]) -> None:
    """What the pipeline computes from the bytes on the line is bit for bit what training sees."""
    _, trials = walk
    trial = trials[0]
    trained_on = dataset.kinematic_states(trial, CAUSAL)
    intake = Intake(
        trial.model.joint_names, gravity_mps2=trial.model.gravity_mps2, rate_hz=100.0, method="kalman", age_s=0.05
    )
    line = b"".join(encode(frame) for frame in playback.frames(trial))
    live = [state for frame in FrameDecoder().push(line) for state in intake.push(frame)]
    assert len(live) == len(trained_on) > 300
    for a, b in zip(live, trained_on, strict=True):
        assert a.t_s == b.t_s
        for name in ("q", "qd", "qdd", "base_acceleration"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_zero_phase_contact_free_plus_contact_is_the_torque(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    (stretch,) = make_stretches(trials[0], ZERO_PHASE, MuscleMode.CORRECT)
    external = trials[0].external_force(stretch.time_s)
    assert external is not None
    contact = external_torque(trials[0].model, stretch.motion.q, stretch.motion.tilt, external)
    np.testing.assert_allclose(stretch.contact_free - contact, stretch.torque, atol=1e-9)


def test_windows_never_leave_the_range_in_training(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    trial = replace(trials[0], start_s=1.0, end_s=2.0)
    stretches = make_stretches(trial, CAUSAL, MuscleMode.CORRECT)
    windows = make_windows(stretches, window=20, look_ahead=0, history=False)
    first_frame = windows.frame - 19
    assert stretches[0].time_s[first_frame].min() >= 1.0 - 1e-9
    assert windows.time_s.max() <= 2.0 + 1e-9
    tested = make_windows(stretches, window=20, look_ahead=0, history=True)
    assert tested.time_s.min() == pytest.approx(
        1.0, abs=0.011
    )  # history may be used, the frames judged are the range's


def test_look_ahead_describes_an_inner_frame(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    stretches = make_stretches(trials[0], CAUSAL, MuscleMode.CORRECT)
    windows = make_windows(stretches, window=20, look_ahead=5, history=False)
    np.testing.assert_array_equal(windows.feature[0, 20 - 1 - 5], stretches[0].feature[windows.frame[0]])


def test_no_frame_is_on_both_sides_of_the_split(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    stretches = [s for t in trials for s in make_stretches(t, CAUSAL, MuscleMode.CORRECT)]
    windows = make_windows(stretches, window=20, look_ahead=3, history=False)
    masks = split_by_time(windows, stretches, fraction=0.2, window=20)
    train, judge = (windows.take(mask) for mask in masks)

    def frames(part: dataset.Windows) -> set[tuple[int, int]]:
        last = part.frame + 3
        return {(s, f) for s, e in zip(part.stretch, last, strict=True) for f in range(e - 19, e + 1)}

    assert len(train) > len(judge) > 0
    assert not frames(train) & frames(judge)


def test_trials_too_short_are_refused(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    trial = replace(trials[0], start_s=1.0, end_s=1.1)
    stretches = make_stretches(trial, CAUSAL, MuscleMode.CORRECT)
    with pytest.raises(TrialError, match="too short"):
        make_windows(stretches, window=20, look_ahead=0, history=False)
    longer = make_stretches(replace(trials[0], start_s=1.0, end_s=1.3), CAUSAL, MuscleMode.CORRECT)
    windows = make_windows(longer, window=20, look_ahead=0, history=False)
    with pytest.raises(TrialError, match="0 windows are left to train on"):
        split_by_time(windows, longer, fraction=0.2, window=20)


def test_a_trial_without_ground_reaction_has_no_target(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    with pytest.raises(TrialError, match="no ground reaction"):
        make_stretches(replace(trials[0], ground_reaction=None), CAUSAL, MuscleMode.CORRECT)
    (stretch,) = make_stretches(replace(trials[0], ground_reaction=None), CAUSAL, MuscleMode.CORRECT, targets=False)
    assert np.isnan(stretch.torque).all()
    assert np.isfinite(stretch.contact_free).all()


@pytest.mark.parametrize("settings", [CAUSAL, ZERO_PHASE], ids=["causal", "zero-phase"])
def test_a_clock_that_does_not_start_at_zero_changes_nothing(
    walk: tuple[Model, list[Trial]], tmp_path: Path, settings: InputSettings
) -> None:
    """Inputs, targets and range move together: the same frames get the same features and the same torques."""
    model, trials = walk
    moved = load_trials(write_moved_walk(tmp_path, offset_s=1000.125), model)
    for a, b in zip(trials, moved, strict=True):
        (here,), (there,) = (make_stretches(t, settings, MuscleMode.CORRECT) for t in (a, b))
        np.testing.assert_allclose(there.time_s, here.time_s + 1000.125, atol=1e-9)
        np.testing.assert_array_equal(there.inside, here.inside)
        np.testing.assert_allclose(there.feature, here.feature, atol=1e-4)
        np.testing.assert_allclose(there.torque, here.torque, atol=1e-4)


def test_causal_inputs_describe_the_moment_of_their_target(walk: tuple[Model, list[Trial]]) -> None:
    """With 100 ms of age the device's kinematics agree best with the zero-phase ones of the same moment, not of another."""
    _, trials = walk
    (stretch,) = make_stretches(trials[0], replace(CAUSAL, age_s=0.1), MuscleMode.CORRECT)

    def error(shift_s: float) -> float:
        truth = trials[0].kinematics(stretch.time_s[stretch.inside] + shift_s)
        return float(np.abs(truth.qd - stretch.motion.qd[stretch.inside]).mean())

    assert error(0.0) < min(error(-0.01), error(0.01))


def test_windows_do_not_reach_across_a_gap(tmp_path: Path) -> None:
    model, _ = load_walk(tmp_path)
    (trial, _) = load_trials(write_moved_walk(tmp_path / "gap", without_s=(2.001, 2.079)), model)
    stretches = make_stretches(trial, CAUSAL, MuscleMode.CORRECT)
    assert len(stretches) == 2
    assert stretches[0].time_s[-1] < 2.001
    assert stretches[1].time_s[0] > 2.079
    windows = make_windows(stretches, window=20, look_ahead=3, history=True)
    for s, stretch in enumerate(stretches):
        own = windows.stretch == s
        assert windows.frame[own].min() >= 19 - 3
        assert windows.frame[own].max() <= len(stretch.time_s) - 1 - 3


def test_rows_too_far_apart_for_the_device_are_refused(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    every = slice(None, None, 7)  # 14 Hz
    sparse = replace(
        trials[0], time_s=trials[0].time_s[every], angles=trials[0].angles[every], base=trials[0].base[every]
    )
    with pytest.raises(TrialError, match="more than 50 ms apart"):
        make_stretches(sparse, CAUSAL, MuscleMode.CORRECT)


def test_angles_of_another_sign_are_refused(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    turned = replace(trials[0], angles=trials[0].angles * np.array([1.0, -1.0, 1.0]))
    with pytest.raises(TrialError, match=r"knee_angle_r.*check the sign"):
        make_stretches(turned, CAUSAL, MuscleMode.CORRECT)


def test_windows_beyond_the_memory_are_refused(
    walk: tuple[Model, list[Trial]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, trials = walk
    stretches = make_stretches(trials[0], CAUSAL, MuscleMode.CORRECT)
    monkeypatch.setattr(dataset, "_MOST_BYTES", 100_000)
    with pytest.raises(TrialError, match="GiB of memory"):
        make_windows(stretches, window=20, look_ahead=0, history=False)
