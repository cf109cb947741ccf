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

from edge.msk.curves import DEGROOTE_2016, MILLARD_2013, CurveParameters, Curves, curves_of
from edge.msk.model import Model
from edge.msk.spline import FloatArray

# Of the optimal length. A fibre beyond is held there, so that wild angles neither divide by zero nor overflow.
SHORTEST_FIBER, LONGEST_FIBER = 0.01, 3.0


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
    def of(cls, model: Model, mode: MuscleMode = MuscleMode.CORRECT, curves: str | None = None) -> HillMuscles:
        """The muscles of a model. curves: `degroote2016`, `millard2013` or `thelen2003`, which all muscles then follow.

        None: in `compat` the family of each muscle in the model file, that is in the OpenSim model (Millard's where it has
        none), in `correct` De Groote's. A muscle has its own parameters where the family is its own; of another family it
        has the default ones and its own passive strain at unit force, which is a property of the person (0.6 of De
        Groote's where the file has none). Raises ModelError for other curves.
        """
        optimal = model.muscle_parameter("optimal_fiber_length_m")
        return cls(
            model=model,
            mode=mode,
            curves=curves_of([_curves(m.curves, mode, curves) for m in model.muscles]),
            max_force_n=model.muscle_parameter("max_isometric_force_n"),
            optimal_length_m=optimal,
            slack_length_m=model.muscle_parameter("tendon_slack_length_m"),
            height_m=optimal * np.sin(model.muscle_parameter("pennation_at_optimal_rad")),
            max_velocity=model.muscle_parameter("max_contraction_velocity"),
        )

    def evaluate(self, q: FloatArray, qd: FloatArray) -> MuscleState:
        """Muscle states at the angles q and rates qd in rad and rad/s, both (..., n_joints) or (..., n_coordinates)."""
        length, arms = self.model.geometry.evaluate(self.model.all_angles(q))
        # The chain rule: the muscle lengthens where the joint turns against its moment arm.
        lengthening = -np.matmul(arms, self.model.all_angles(qd)[..., None])[..., 0]
        arm = arms if len(self.model.row_names) == arms.shape[-1] else arms[..., self.model.row_index]
        return self.on_path(length, lengthening, arm)

    def on_path(self, length_m: FloatArray, lengthening_mps: FloatArray, moment_arm_m: FloatArray) -> MuscleState:
        """Muscle states at lengths of muscle and tendon and their rates, both (..., n_muscles), wherever they come from.

        moment_arm_m (..., n_muscles, n_rows) is only passed on.
        """
        shortest, longest = SHORTEST_FIBER * self.optimal_length_m, LONGEST_FIBER * self.optimal_length_m
        along = np.clip(length_m - self.slack_length_m, shortest, longest)
        fiber = np.hypot(along, self.height_m)
        cos_pennation = along / fiber
        normalised = fiber / self.optimal_length_m
        velocity = lengthening_mps * cos_pennation / (self.max_velocity * self.optimal_length_m)
        active = self.curves.active_force_length(normalised) * self.curves.force_velocity(velocity)
        if self.mode is MuscleMode.COMPAT:
            # Static optimisation leaves passive forces out.
            cos_active = self.curves.opensim_cosine(normalised, self.height_m, cos_pennation)
            passive = np.zeros_like(active)
        else:
            cos_active = cos_pennation
            # The curve falls below zero under a fifth of the optimal length, where no fibre can be; it never pushes.
            passive_curve = np.maximum(self.curves.passive_force_length(normalised), 0.0)
            passive = self.max_force_n * passive_curve * cos_pennation
        # A fibre that shortens faster than its maximal velocity gives no force; it never pushes.
        optimal = self.max_force_n * np.maximum(active, 0.0) * cos_active
        return MuscleState(length_m, moment_arm_m, normalised, velocity, cos_pennation, optimal, passive)


def _curves(own: CurveParameters | None, mode: MuscleMode, name: str | None) -> CurveParameters:
    """What a muscle of its `own` curves follows in a mode, or under the name of a family."""
    if name is None:
        if own is not None and mode is MuscleMode.COMPAT:
            return own
        name = (MILLARD_2013 if mode is MuscleMode.COMPAT else DEGROOTE_2016).name
    return CurveParameters(name) if own is None else own.in_family(name)
