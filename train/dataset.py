"""Trials as training material: network inputs from the device's own code, physics targets from zero-phase inverse dynamics.

There are no labels: what the network is asked for is that the equation of motion holds at the recorded movement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from edge.errors import TrialError
from edge.msk.chain import rotate
from edge.msk.contact_wrench import COMPONENTS, contact_answer, contact_map, wrench_of
from edge.msk.dynamics import Kinematics, inverse_dynamics
from edge.msk.hill import HillMuscles, MuscleMode
from edge.sensors import playback
from edge.sensors.frame import Frame
from edge.signals.bank import Bank, Recording
from edge.signals.differentiation import create_for
from edge.signals.differentiator import Derivatives, Differentiator
from edge.signals.features import View
from edge.signals.hookup import Hookup, Source
from edge.signals.intake import MAX_GAP_S, Intake, KinematicState, stack, unstack
from edge.signals.layout import Layout
from edge.trial import Trial
from train.sensor_quality import SensorQuality, imperfect_frames

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

_MOST_BYTES = 4 * 2**30  # of all windows together; training needs a small multiple of it


@dataclass(frozen=True)
class InputSettings:
    """How kinematics come about: what the device does, or (`causal` false) the zero-phase filter of a laboratory."""

    rate_hz: float
    causal: bool
    method: str
    age_s: float
    pelvis: bool = True
    """Whether there is a pelvis IMU; without, the base is taken to stand upright and still."""
    sensors: SensorQuality | None = None
    """What imperfect sensors make of the recording; None: it is taken as it is."""
    seed: int = 0  # of the sensors' noise
    bank: Bank | None = None
    """What other people's movement tells the differentiator."""


@dataclass(frozen=True)
class Stretch:
    """One uninterrupted stretch of a trial. Arrays over its frames."""

    trial: Trial
    time_s: FloatArray  # the trial's time
    motion: Kinematics  # as the device knows it
    sensed: FloatArray  # (frames, n_joints + 4) newest sample of the sensors, see `edge.signals.intake.KinematicState`
    inside: BoolArray  # see `usable`
    torque: FloatArray  # (frames, rows) zero-phase inverse dynamics with ground reaction, Nm; NaN when not asked for
    contact_free: FloatArray  # (frames, rows) contact-free inverse dynamics of `motion`, Nm
    contact_map: FloatArray  # (frames, rows, 3 + rows) of `motion`, see `edge.msk.contact_wrench`
    contact: FloatArray  # (frames, 3 + rows) measured, as a network would answer it; NaN where it is not known
    torque_per_activation: FloatArray  # (frames, rows, muscles) B = R^T diag(optimal force)
    passive_torque: FloatArray  # (frames, rows)


@dataclass(frozen=True)
class Windows:
    """Windows of stretches: what the network sees, and the frame that its answer describes."""

    feature: FloatArray  # (windows, window, features)
    stretch: IntArray  # (windows,) index of the stretch
    frame: IntArray  # (windows,) index of the described frame in its stretch
    time_s: FloatArray  # (windows,) of the described frame

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, which: BoolArray | IntArray) -> Windows:
        return Windows(self.feature[which], self.stretch[which], self.frame[which], self.time_s[which])


def kinematic_states(trial: Trial, settings: InputSettings) -> list[KinematicState]:
    """The trial's kinematics as the pipeline makes them, `t_s` in the trial's own time."""
    if not settings.causal:
        first, last = trial.time_s[0], trial.time_s[-1]
        count = int((last - first) * settings.rate_hz + 1e-6) + 1
        times = first + np.arange(count) / settings.rate_hz
        motion = trial.kinematics(times)
        if not settings.pelvis:
            nothing = np.zeros(len(times))
            motion = Kinematics(motion.q, motion.qd, motion.qdd, nothing, nothing, nothing, np.zeros((len(times), 2)))
        return unstack(times - first, motion)
    return _through_intake(trial, settings, partial(create_for, method=settings.method, bank=settings.bank))


class _Listener(Differentiator):
    """Keeps what a differentiator gets; describes nothing."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(len(layout.channels), layout.rate_hz, layout.age_s)
        self.layout = layout
        self.heard: list[list[tuple[float, FloatArray]]] = []

    def push(self, t_s: float, q: FloatArray, rate: FloatArray | None = None) -> Derivatives | None:
        gyroscopes = list(self.layout.taps.gyroscopes)
        rates = np.zeros(0) if rate is None else rate[gyroscopes]
        self.heard[-1].append((t_s, np.concatenate([q, rates])))
        return None

    def restart(self) -> None:
        self.heard.append([])


def sensor_recordings(trial: Trial, settings: InputSettings) -> tuple[Layout, list[Recording]]:
    """What a differentiator gets within the trial's range, as `edge.signals.bank` takes it, in uninterrupted stretches.

    And the layout of its channels.
    """
    made: list[_Listener] = []

    def make(layout: Layout) -> _Listener:
        made.append(_Listener(layout))
        return made[0]

    _through_intake(trial, settings, make)
    recordings = []
    for heard in made[0].heard:
        times = np.array([t_s for t_s, _ in heard])
        inside = trial.within(trial.time_s[0] + times)
        if inside.any():
            recordings.append((times[inside], np.array([sample for _, sample in heard])[inside]))
    return made[0].layout, recordings


def _through_intake(
    trial: Trial, settings: InputSettings, make: Callable[[Layout], Differentiator]
) -> list[KinematicState]:
    names = trial.model.joint_names
    intake = Intake(
        names,
        gravity_mps2=trial.model.gravity_mps2,
        rate_hz=settings.rate_hz,
        method=make,
        age_s=settings.age_s,
        hookup=Hookup(names, (trial.model.part_names[0],), (Source(),), base=settings.pelvis),
    )
    with closing(intake):
        return [state for frame in sensor_frames(trial, settings) for state in intake.push(frame)]


def sensor_frames(trial: Trial, settings: InputSettings) -> list[Frame]:
    """What the sensors on the person would have sent."""
    if settings.sensors is None:
        return playback.frames(trial)
    return imperfect_frames(trial, settings.sensors, rate_hz=settings.rate_hz, seed=settings.seed)


def usable(trial: Trial, time_s: FloatArray) -> BoolArray:
    """Which moments lie within the trial's range and within its recordings, and have a ground reaction that is not in doubt."""
    recorded = (time_s >= trial.time_s[0]) & (time_s <= trial.time_s[-1])
    if trial.ground_reaction is not None:
        recorded &= (time_s >= trial.ground_reaction.time_s[0]) & (time_s <= trial.ground_reaction.time_s[-1])
        recorded &= trial.ground_reaction.valid_at(time_s)
    return np.asarray(trial.within(time_s) & recorded)


def make_stretches(trial: Trial, settings: InputSettings, mode: MuscleMode, *, targets: bool = True) -> list[Stretch]:
    """The trial's stretches with inputs and, unless `targets` is false, the torques to learn.

    Raises TrialError when it has no usable frame, and for targets no ground reaction.
    """
    trial.frames_outside_model()
    states = kinematic_states(trial, settings)
    if not states:
        raise TrialError(
            f"{trial.name}: gives no kinematics: its rows lie more than {MAX_GAP_S * 1e3:.0f} ms apart, or it is shorter than "
            "the differentiator's start: take a recording with a higher rate, or a longer one"
        )
    starts = [i for i, s in enumerate(states) if s.restarted or i == 0]
    muscles = HillMuscles.of(trial.model, mode)
    stretches = []
    for first, end in zip(starts, [*starts[1:], len(states)], strict=True):
        motion = stack(states[first:end])
        time = trial.time_s[0] + np.array([s.t_s for s in states[first:end]])
        state = muscles.evaluate(motion.q, motion.qd)
        torque = trial.torque(time) if targets else np.full((len(time), len(trial.model.row_names)), np.nan)
        contact_free = trial.model.in_rows(inverse_dynamics(trial.model, motion))
        mapped = contact_map(trial.model, motion.q, motion.tilt)
        stretches.append(
            Stretch(
                trial=trial,
                time_s=time,
                motion=motion,
                sensed=np.array([s.sensed for s in states[first:end]]),
                inside=usable(trial, time),
                torque=torque,
                contact_free=contact_free,
                contact_map=mapped,
                contact=_measured_contact(trial, time, torque - contact_free, mapped, pelvis=settings.pelvis),
                torque_per_activation=np.swapaxes(state.moment_arm_m * state.optimal_force_n[..., None], 1, 2),
                passive_torque=np.einsum("fm,fmr->fr", state.passive_force_n, state.moment_arm_m),
            )
        )
    if not any(s.inside.any() for s in stretches):
        raise TrialError(
            f"{trial.name}: gives no usable frame between {trial.start_s:g} and {trial.end_s:g} s: widen the range"
        )
    return stretches


def _measured_contact(
    trial: Trial, time: FloatArray, missing_nm: FloatArray, mapped: FloatArray, *, pelvis: bool
) -> FloatArray:
    """What the recorded forces are as a network's answer: at the zero-phase places of the joints.

    Without a pelvis IMU the limb hangs on an upright base: the force is then seen in the base's axes, where it has the same
    torques.
    """
    wrench = np.full((len(time), len(COMPONENTS)), 0.0 if trial.touches_nothing else np.nan)
    external = trial.external_force(time)
    if external is not None:
        motion = trial.kinematics(time)
        wrench = wrench_of(trial.model, motion.q, motion.tilt, external)
        if not pelvis:
            wrench[:, :2] = rotate((np.cos(motion.tilt), -np.sin(motion.tilt)), wrench[:, :2])
    return contact_answer(trial.model, wrench, missing_nm, mapped)


def make_windows(
    stretches: Sequence[Stretch], *, window: int, look_ahead: int, history: bool, view: View | None = None
) -> Windows:
    """All windows whose described frame lies inside its trial's range.

    `history`: whether a window may reach back before the range, as on a device that has been running (tests); in training
    every frame of a window lies inside.
    view: what the network is shown; default all derivatives.
    """
    seen = View() if view is None else view
    frames = sum(len(seq.time_s) for seq in stretches)
    needed = frames * window * seen.width(len(stretches[0].trial.model.joints)) * 8
    if needed > _MOST_BYTES:
        raise TrialError(
            f"the trials' {frames} frames in windows of {window} need {needed / 2**30:.0f} GiB of memory: use a smaller --window "
            "or --rate, or fewer trials"
        )
    parts, stretch_index, frame_index, times = [], [], [], []
    for s, seq in enumerate(stretches):
        table = seen.table(seq.trial.model, seq.motion, seq.sensed)
        ranged = seq.trial.within(seq.time_s)
        for last in range(window - 1, len(seq.time_s)):
            described = last - look_ahead
            if not seq.inside[described]:
                continue
            if not history and not ranged[last - window + 1 : last + 1].all():
                continue
            parts.append(table[last - window + 1 : last + 1])
            stretch_index.append(s)
            frame_index.append(described)
            times.append(seq.time_s[described])
    if not parts:
        raise TrialError(
            f"the trials are too short for a window of {window} frames: lengthen their ranges or use a smaller --window"
        )
    return Windows(np.array(parts), np.array(stretch_index), np.array(frame_index), np.array(times))


def gather(stretches: Sequence[Stretch], windows: Windows, attribute: str) -> FloatArray:
    """An array of the stretches at the described frames, (windows, ...)."""
    return _at_frames([getattr(stretch, attribute) for stretch in stretches], windows)


def _at_frames(values: Sequence[FloatArray], windows: Windows) -> FloatArray:
    first = np.concatenate([[0], np.cumsum([len(own) for own in values])])
    return np.asarray(np.concatenate(values)[first[windows.stretch] + windows.frame])


def scales(stretches: Sequence[Stretch], windows: Windows) -> FloatArray:
    """Mass x gravity x leg length of each window's person, (windows, 1) in Nm."""
    per_stretch = np.array([s.trial.model.torque_scale_nm for s in stretches])
    return np.asarray(per_stretch[windows.stretch][:, None])


def described_motion(stretches: Sequence[Stretch], windows: Windows) -> Kinematics:
    """Kinematics of the described frames, as the device knows them."""
    names = ("q", "qd", "qdd", "tilt", "tilt_rate", "tilt_acceleration", "base_acceleration")
    columns = {n: _at_frames([getattr(stretch.motion, n) for stretch in stretches], windows) for n in names}
    return Kinematics(**columns)
