"""From kinematics to torques, activations and forces: the networks, the physics around them, and static optimisation."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.bundle import Bundle
from edge.members import Members
from edge.msk.contact_wrench import contact_map
from edge.msk.dynamics import Kinematics, inverse_dynamics
from edge.msk.hill import HillMuscles, MuscleState
from edge.msk.staticopt import LOWER_ACTIVATION, UPPER_ACTIVATION, share_at
from edge.novelty import LIMIT, HeldScore
from edge.signals.intake import KinematicState, single

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of the leg at one moment."""

    index: int
    time_s: float  # sensor's clock
    q: FloatArray  # (n_joints,) rad
    qd: FloatArray  # (n_joints,) rad/s
    qdd: FloatArray  # (n_joints,) rad/s2
    torque_nm: FloatArray  # (n_rows,)
    activation: FloatArray  # (n_muscles,)
    force_n: FloatArray  # (n_muscles,) along the tendon
    reserve_nm: FloatArray  # (n_rows,) what the muscles could not carry
    valid: bool
    """Every angle lies where the model's geometry is valid, no sensor was doubtful in the window, and the movement is not
    unlike all training."""
    novelty: float = math.nan
    """How unlike the training the movement has been lately (`edge.novelty.HeldScore`): above 1 it is refused. NaN where the
    bundle does not tell."""

    @property
    def familiar(self) -> bool:
        """Whether the movement is not known to be unlike all training."""
        return not self.novelty > LIMIT


class Estimator:
    """Kinematic states in, estimates out, one for each state once the longest window is full.

    Heads, of which each member of the bundle has one, where s = mass x gravity x leg length and B = R^T diag(optimal force):

    * `residual`: torque = contact-free inverse dynamics + s x answer, `torque`: torque = s x answer; `contact`: torque =
      contact-free inverse dynamics + that of the force and moment answered (`edge.msk.contact_wrench`); the mean of all such
      torques, by the members' weights, is shared by static optimisation, once.
    * `dual`: the answer over s are the multipliers y of static optimisation: activation = clip(B^T y, 0.01, 1); force by the
      Hill model.
    * `activation`: the answer, cut to 0 to 1; force by the Hill model.

    Where activations come from `dual` or `activation`, the mean of all, by weight, is the estimate's, torque is R^T force,
    and there is no reserve. A `residual` or `contact` member that was trained without a pelvis has its dynamics with an
    upright base at rest.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._model = bundle.model
        self._muscles = HillMuscles.of(bundle.model, bundle.manifest.muscle_mode)
        self._members = Members(bundle)
        self._novelty = bundle.novelty
        self._held = None if self._novelty is None else HeldScore(self._novelty.about, bundle.manifest.rate_hz)
        self._scale_nm = bundle.model.torque_scale_nm
        self._lower_rad, self._upper_rad = bundle.model.lower_rad, bundle.model.upper_rad
        settings = self._members.settings
        self._look_ahead = settings[0].look_ahead
        weight = [own.weight for own in settings]
        torques = [i for i, own in enumerate(settings) if own.head in ("residual", "contact", "torque")]
        of_torques = sum(weight[i] for i in torques)
        self._torques = [(i, weight[i] / of_torques) for i in torques]
        residuals = [(settings[i].pelvis, share) for i, share in self._torques if settings[i].head != "torque"]
        self._contacts = [(i, settings[i].pelvis, share) for i, share in self._torques if settings[i].head == "contact"]
        contacts = [i for i, _, _ in self._contacts]
        self._torque_answers = [(i, share) for i, share in self._torques if i not in contacts]
        # How much of the contact-free torque over the measured base, and over an upright one, is in the mean torque.
        self._measured_base = sum(share for pelvis, share in residuals if pelvis)
        self._upright_base = sum(share for pelvis, share in residuals if not pelvis)
        self._torque_weight = of_torques / sum(weight)
        self._activations = [
            (i, weight[i] / sum(weight), own.head == "dual") for i, own in enumerate(settings) if i not in torques
        ]
        self._states: deque[KinematicState] = deque(maxlen=bundle.window)
        self._multiplier: FloatArray | None = None
        self._count = 0

    def step(self, state: KinematicState) -> Estimate | None:
        """Take one state; None until the window is full. Raises EngineError."""
        if state.restarted:
            self._states.clear()
            self._multiplier = None
        self._states.append(state)
        self._members.push(state)
        if len(self._states) < (self._states.maxlen or 0):
            return None
        estimate = self._resolve(self._states[-1 - self._look_ahead], self._members.answers())
        self._count += 1
        return estimate

    def _resolve(self, state: KinematicState, answers: list[FloatArray]) -> Estimate:
        motion = single(state)
        muscles = self._muscles.evaluate(motion.q, motion.qd)
        if self._torques:
            torque = self._torque(motion, answers)
            # The multipliers of the moment before are near: they save steps, and change nothing else.
            solution = share_at(self._muscles, muscles, torque[None], start=self._multiplier)
            self._multiplier = solution.multiplier
            activation, force, reserve = solution.activation[0], solution.force_n[0], solution.reserve_nm[0]
        if self._activations:
            given = self._activation(muscles, answers)
            activation = self._torque_weight * activation + given if self._torques else given
            force = activation * muscles.optimal_force_n[0] + muscles.passive_force_n[0]
            torque = muscles.moment_arm_m[0].T @ force
            reserve = np.zeros_like(torque)
        novelty = math.nan
        if self._novelty is not None and self._held is not None:
            novelty = self._held.step(self._novelty.score(self._members.first_window))
        within = bool(((state.q >= self._lower_rad) & (state.q <= self._upper_rad)).all())
        return Estimate(
            index=self._count,
            time_s=state.t_s,
            q=state.q,
            qd=state.qd,
            qdd=state.qdd,
            torque_nm=torque,
            activation=activation,
            force_n=force,
            reserve_nm=reserve,
            valid=within and not novelty > LIMIT and all(seen.trusted for seen in self._states),
            novelty=novelty,
        )

    def _torque(self, motion: Kinematics, answers: list[FloatArray]) -> FloatArray:
        """The mean of the members that answer with torques (n_rows,), Nm."""
        torque = np.zeros(len(self._model.row_names))
        for i, share in self._torque_answers:
            torque += share * (answers[i] * self._scale_nm)
        for i, pelvis, share in self._contacts:
            tilt = motion.tilt if pelvis else np.zeros(1)
            torque += share * self._scale_nm * (contact_map(self._model, motion.q, tilt)[0] @ answers[i])
        if self._measured_base:
            torque += self._measured_base * self._model.in_rows(inverse_dynamics(self._model, motion))[0]
        if self._upright_base:
            upright = Kinematics.on_fixed_base(motion.q, motion.qd, motion.qdd)
            torque += self._upright_base * self._model.in_rows(inverse_dynamics(self._model, upright))[0]
        return torque

    def _activation(self, muscles: MuscleState, answers: list[FloatArray]) -> FloatArray:
        """What the members that answer with activations, or with multipliers, bring to the mean (n_muscles,)."""
        mean = np.zeros(len(self._model.muscles))
        for i, weight, dual in self._activations:
            if dual:
                drive = (muscles.moment_arm_m[0] @ answers[i]) * (muscles.optimal_force_n[0] / self._scale_nm)
                mean += weight * np.clip(drive, LOWER_ACTIVATION, UPPER_ACTIVATION)
            else:
                mean += weight * np.clip(answers[i], 0.0, 1.0)
        return mean
