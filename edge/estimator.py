"""From kinematics to torques, activations and forces: the network, the physics around it, and static optimisation."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.bundle import Bundle
from edge.inference.onnx_engine import OnnxEngine
from edge.msk.dynamics import inverse_dynamics
from edge.msk.hill import HillMuscles
from edge.msk.staticopt import share_torque
from edge.signals.intake import KinematicState, single, write_features

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
    valid: bool  # every angle lies where the model's geometry is valid, and no sensor was doubtful in the window


class Estimator:
    """Kinematic states in, estimates out, one for each state once the window is full.

    Heads: `residual`: torque = contact-free inverse dynamics + network, then static optimisation; `torque`: torque =
    network, then static optimisation; `activation`: activation = network, then the Hill model. Networks speak in
    torque / (mass x gravity x leg length).
    """

    def __init__(self, bundle: Bundle) -> None:
        network = bundle.manifest.network
        self._model = bundle.model
        self._muscles = HillMuscles.of(bundle.model, bundle.manifest.muscle_mode)
        self._head = network.head
        self._scale_nm = bundle.model.torque_scale_nm
        self._look_ahead = network.look_ahead
        self._lower_rad, self._upper_rad = bundle.model.lower_rad, bundle.model.upper_rad
        self._engine = OnnxEngine(
            bundle.network,
            window=network.window,
            features=network.features,
            outputs=network.outputs,
            where=str(bundle.path),
        )
        self._states: deque[KinematicState] = deque(maxlen=network.window)
        # Every row is written twice, a window apart, so that the last `window` rows always lie in one piece.
        self._rows = np.zeros((2 * network.window, network.features), dtype=np.float32)
        self._row = 0
        self._count = 0

    def step(self, state: KinematicState) -> Estimate | None:
        """Take one state; None until the window is full. Raises EngineError."""
        if state.restarted:
            self._states.clear()
        self._states.append(state)
        window = len(self._rows) // 2
        write_features(state, self._rows[self._row])
        self._rows[self._row + window] = self._rows[self._row]
        self._row = (self._row + 1) % window
        if len(self._states) < window:
            return None
        answer = self._engine.infer(self._rows[self._row : self._row + window])
        described = self._states[-1 - self._look_ahead]
        estimate = self._resolve(described, answer)
        self._count += 1
        return estimate

    def _resolve(self, state: KinematicState, answer: FloatArray) -> Estimate:
        motion = single(state)
        if self._head == "activation":
            muscles = self._muscles.evaluate(motion.q, motion.qd)
            activation = np.clip(answer, 0.0, 1.0)
            force = activation * muscles.optimal_force_n[0] + muscles.passive_force_n[0]
            torque = muscles.moment_arm_m[0].T @ force
            reserve = np.zeros_like(torque)
        else:
            torque = answer * self._scale_nm
            if self._head == "residual":
                torque = torque + self._model.in_rows(inverse_dynamics(self._model, motion))[0]
            solution = share_torque(self._muscles, motion.q, motion.qd, torque[None])
            activation, force, reserve = solution.activation[0], solution.force_n[0], solution.reserve_nm[0]
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
            valid=bool(((state.q >= self._lower_rad) & (state.q <= self._upper_rad)).all())
            and all(seen.trusted for seen in self._states),
        )
