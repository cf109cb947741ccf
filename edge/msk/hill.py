"""The Hill muscle with a rigid tendon: from joint angles and rates to what one unit of activation does.

With a rigid tendon the fibre length follows from the angles, so that the force along the tendon is linear in the
activation (Zajac 1989; Millard et al. 2013, section 2):

    l_m cos(phi) = l_mt - l_ts,   l_m sin(phi) = l_o sin(phi_o)
    F = F_o [a f_l(l_m / l_o) f_v(v_m / (v_max l_o)) + f_p(l_m / l_o)] cos(phi)
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from edge.msk.curves import DEGROOTE_2016, MILLARD_2013, Curves
from edge.msk.model import Model
from edge.msk.spline import FloatArray

# Of the optimal length. A fibre beyond is held there, so that wild angles neither divide by zero nor overflow.
_SHORTEST_FIBER, _LONGEST_FIBER = 0.01, 3.0


class MuscleMode(str, enum.Enum):
    """`correct` is the physics above; `compat` copies what OpenSim's static optimisation does, for comparison with it."""

    CORRECT = "correct"
    COMPAT = "compat"


@dataclass(frozen=True)
class MuscleState:
    """Muscles at a state of the joints; arrays of shape (..., n_muscles) unless said otherwise."""

    length_m: FloatArray  # of muscle and tendon
    moment_arm_m: FloatArray  # (..., n_muscles, n_rows)
    fiber_length: FloatArray  # in optimal fibre lengths
    fiber_velocity: FloatArray  # in maximal contraction velocities, lengthening positive
    cos_pennation: FloatArray
    optimal_force_n: FloatArray  # along the tendon, of full activation
    passive_force_n: FloatArray  # along the tendon


@dataclass(frozen=True)
class HillMuscles:
    """The muscles of a model with their parameters as arrays, ready to be evaluated."""

    model: Model
    mode: MuscleMode
    curves: Curves
    max_force_n: FloatArray
    optimal_length_m: FloatArray
    slack_length_m: FloatArray
    height_m: FloatArray  # l_o sin(phi_o): the constant thickness of the muscle
    max_velocity: FloatArray

    @classmethod
    def of(cls, model: Model, mode: MuscleMode = MuscleMode.CORRECT) -> HillMuscles:
        optimal = model.muscle_parameter("optimal_fiber_length_m")
        return cls(
            model=model,
            mode=mode,
            curves=MILLARD_2013 if mode is MuscleMode.COMPAT else DEGROOTE_2016,
            max_force_n=model.muscle_parameter("max_isometric_force_n"),
            optimal_length_m=optimal,
            slack_length_m=model.muscle_parameter("tendon_slack_length_m"),
            height_m=optimal * np.sin(model.muscle_parameter("pennation_at_optimal_rad")),
            max_velocity=model.muscle_parameter("max_contraction_velocity"),
        )

    def evaluate(self, q: FloatArray, qd: FloatArray) -> MuscleState:
        """Muscle states at the angles q and rates qd, both (..., n_joints), in rad and rad/s."""
        length, arm = self.model.geometry.evaluate(q)
        # The chain rule: the muscle lengthens where the joint turns against its moment arm.
        lengthening = -np.matmul(arm, qd[..., None])[..., 0]
        shortest, longest = _SHORTEST_FIBER * self.optimal_length_m, _LONGEST_FIBER * self.optimal_length_m
        along = np.clip(length - self.slack_length_m, shortest, longest)
        fiber = np.hypot(along, self.height_m)
        cos_pennation = along / fiber
        normalised = fiber / self.optimal_length_m
        velocity = lengthening * cos_pennation / (self.max_velocity * self.optimal_length_m)
        active = self.curves.active_force_length(normalised) * self.curves.force_velocity(velocity)
        if self.mode is MuscleMode.COMPAT:
            # OpenSim 4.6's Millard2012EquilibriumMuscle takes the pennation angle at the *normalised* fibre length when
            # static optimisation asks for the optimal force, and static optimisation leaves passive forces out.
            cos_active = np.sqrt(np.maximum(1.0 - (self.height_m / normalised) ** 2, 0.0))
            passive = np.zeros_like(active)
        else:
            cos_active = cos_pennation
            # The curve falls below zero under a fifth of the optimal length, where no fibre can be; it never pushes.
            passive_curve = np.maximum(self.curves.passive_force_length(normalised), 0.0)
            passive = self.max_force_n * passive_curve * cos_pennation
        # A fibre that shortens faster than its maximal velocity gives no force; it never pushes.
        optimal = self.max_force_n * np.maximum(active, 0.0) * cos_active
        return MuscleState(length, arm, normalised, velocity, cos_pennation, optimal, passive)
