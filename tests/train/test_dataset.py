from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo_people import people
from walking import load_walk, write_moved_walk

from edge.errors import TrialError
from edge.msk.dynamics import Kinematics, external_torque, inverse_dynamics
from edge.msk.hill import MuscleMode
from edge.msk.model import Model
from edge.sensors import playback
from edge.sensors.frame import FrameDecoder, Kind, encode
from edge.signals.features import View
from edge.signals.hookup import Hookup, Source
from edge.signals.intake import Intake, stack
from edge.trial import Trial
from edge.trials import load_trials
from train import dataset
from train.dataset import InputSettings, Stretch, make_stretches, make_windows
from train.sensor_quality import USUAL

CAUSAL = InputSettings(100.0, True, "kalman", 0.05)
ZERO_PHASE = InputSettings(100.0, False, "kalman", 0.0)


def table_of(stretch: Stretch, view: View | None = None) -> np.ndarray:
    return (view or View()).table(stretch.trial.model, stretch.motion, stretch.sensed)


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
        for name in ("q", "qd", "qdd", "base_acceleration", "sensed"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_zero_phase_contact_free_plus_contact_is_the_torque(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    (stretch,) = make_stretches(trials[0], ZERO_PHASE, MuscleMode.CORRECT)
    external = trials[0].external_force(stretch.time_s)
    assert external is not None
    contact = external_torque(trials[0].model, stretch.motion.q, stretch.motion.tilt, external)
    np.testing.assert_allclose(stretch.contact_free - contact, stretch.torque, atol=1e-9)


def test_without_a_pelvis_the_base_stands_upright_and_still(walk: tuple[Model, list[Trial]]) -> None:
    """As on a device whose line carries no pelvis IMU, or on which nobody asks for it."""
    model, trials = walk
    for settings in (CAUSAL, ZERO_PHASE):
        (stretch,) = make_stretches(trials[0], replace(settings, pelvis=False), MuscleMode.CORRECT)
        motion = stretch.motion
        for name in ("tilt", "tilt_rate", "tilt_acceleration", "base_acceleration"):
            np.testing.assert_array_equal(getattr(motion, name), 0.0)
        np.testing.assert_array_equal(stretch.sensed[:, 3:], 0.0)
        upright = Kinematics.on_fixed_base(motion.q, motion.qd, motion.qdd)
        np.testing.assert_array_equal(stretch.contact_free, inverse_dynamics(trials[0].model, upright))
    intake = Intake(
        model.joint_names,
        gravity_mps2=model.gravity_mps2,
        rate_hz=100.0,
        method="kalman",
        age_s=0.05,
        hookup=Hookup(model.joint_names, ("pelvis",), (Source(),), base=False),
    )
    angles = [frame for frame in playback.frames(trials[0]) if frame.kind == Kind.ANGLES]
    live = stack([state for frame in angles for state in intake.push(frame)])
    (stretch,) = make_stretches(trials[0], replace(CAUSAL, pelvis=False), MuscleMode.CORRECT)
    for name in ("q", "qd", "qdd"):
        np.testing.assert_array_equal(getattr(live, name), getattr(stretch.motion, name))


@pytest.mark.parametrize("pelvis", [True, False])
@pytest.mark.parametrize("settings", [CAUSAL, ZERO_PHASE], ids=["causal", "zero-phase"])
def test_the_contact_is_what_was_measured_and_explains_the_torques(
    walk: tuple[Model, list[Trial]], settings: InputSettings, pelvis: bool
) -> None:
    (_, trials), scale = walk, walk[1][0].model.torque_scale_nm
    trial = trials[0]
    (stretch,) = make_stretches(trial, replace(settings, pelvis=pelvis), MuscleMode.CORRECT)
    missing = np.einsum("fra,fa->fr", stretch.contact_map, stretch.contact) * scale
    np.testing.assert_allclose(stretch.contact_free + missing, stretch.torque, atol=1e-9)
    external = trial.external_force(stretch.time_s)
    assert external is not None
    force = stretch.contact[:, :2] * scale / trial.model.leg_length_m
    np.testing.assert_allclose(np.hypot(*force.T), np.hypot(*external.force_n.T), atol=1e-9)
    if pelvis:
        np.testing.assert_allclose(force, external.force_n, atol=1e-9)
    if settings.causal:
        return
    # The wrench alone has the torques of the contact, over a measured base and over an upright one.
    motion = trial.kinematics(stretch.time_s)
    of_wrench = np.einsum("fra,fa->fr", stretch.contact_map[:, :, :3], stretch.contact[:, :3]) * scale
    np.testing.assert_allclose(of_wrench, -external_torque(trial.model, motion.q, motion.tilt, external), atol=1e-9)


def test_where_torques_are_given_the_contact_is_not_known(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    known = trials[0].torque(trials[0].time_s)
    given = {row: (trials[0].time_s, known[:, i]) for i, row in enumerate(trials[0].model.joint_names)}
    bare = replace(trials[0], ground_reaction=None, torques=given)
    (stretch,) = make_stretches(bare, ZERO_PHASE, MuscleMode.CORRECT)
    assert np.isnan(stretch.contact).all()
    (measured,) = make_stretches(trials[0], ZERO_PHASE, MuscleMode.CORRECT)
    np.testing.assert_allclose(stretch.torque, measured.torque, atol=0.5)  # interpolated between the rows
    (in_the_air,) = make_stretches(
        replace(trials[0], ground_reaction=None, touches_nothing=True), ZERO_PHASE, MuscleMode.CORRECT
    )
    np.testing.assert_allclose(in_the_air.contact, 0.0, atol=1e-12)


def test_a_row_outside_the_plane_has_torque_and_no_contact_free_part() -> None:
    (trial,) = people(model="leg32")
    (stretch,) = make_stretches(trial, ZERO_PHASE, MuscleMode.CORRECT)
    assert stretch.torque.shape[1] == 4
    np.testing.assert_array_equal(stretch.contact_free[:, 3], 0.0)
    assert stretch.torque_per_activation.shape[1:] == (4, 32)
    np.testing.assert_allclose(stretch.contact[:, 6] * trial.model.torque_scale_nm, stretch.torque[:, 3], rtol=1e-9)


@pytest.mark.parametrize("pelvis", [True, False])
def test_windows_show_what_the_view_asks_for(walk: tuple[Model, list[Trial]], pelvis: bool) -> None:
    _, trials = walk
    (stretch,) = make_stretches(trials[0], CAUSAL, MuscleMode.CORRECT)
    for signals in ("derivatives", "segments", "raw"):
        view = View(signals, pelvis)  # type: ignore[arg-type]
        windows = make_windows([stretch], window=3, look_ahead=1, history=False, view=view)
        assert windows.feature.shape[1:] == (3, view.width(3))
        k, last = 50, int(windows.frame[50]) + 1
        np.testing.assert_array_equal(windows.feature[k], table_of(stretch, view)[last - 2 : last + 1])


def test_imperfect_sensors_are_what_the_differentiator_gets(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    clean, noisy, again, other = (
        stack(dataset.kinematic_states(trials[0], settings))
        for settings in (
            CAUSAL,
            replace(CAUSAL, sensors=USUAL),
            replace(CAUSAL, sensors=USUAL),
            replace(CAUSAL, sensors=USUAL, seed=1),
        )
    )
    np.testing.assert_array_equal(noisy.qdd, again.qdd)
    assert np.abs(noisy.qdd - other.qdd).max() > 1.0
    count = min(len(clean), len(noisy))
    error = np.degrees(np.sqrt(((clean.q[:count] - noisy.q[:count]) ** 2).mean(axis=0)))
    assert 0.01 < error.min() < error.max() < 1.0


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
    np.testing.assert_array_equal(windows.feature[0, 20 - 1 - 5], table_of(stretches[0])[windows.frame[0]])


def test_trials_too_short_are_refused(walk: tuple[Model, list[Trial]]) -> None:
    _, trials = walk
    trial = replace(trials[0], start_s=1.0, end_s=1.1)
    stretches = make_stretches(trial, CAUSAL, MuscleMode.CORRECT)
    with pytest.raises(TrialError, match="too short"):
        make_windows(stretches, window=20, look_ahead=0, history=False)


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
        np.testing.assert_allclose(table_of(there), table_of(here), atol=1e-4)
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
