"""Losses without labels: how far an answer is from fulfilling the equation of motion.

With a rigid tendon the joint torques of activations a are B a + tau_passive, so that the Hill model and the muscle
geometry enter as matrices that were computed once by the NumPy reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TorqueTarget:
    """For the `torque` and `residual` heads: what inverse dynamics leaves to the network, in mass x gravity x leg length."""

    wanted: Tensor  # (windows, rows)
    deviation: Tensor  # (rows,) makes the rows count alike

    def loss(self, answer: Tensor, which: Tensor) -> dict[str, Tensor]:
        """Equation of motion, each row in units of its own deviation."""
        motion = (((answer - self.wanted[which]) / self.deviation) ** 2).mean()
        return {"motion": motion}


@dataclass(frozen=True)
class ActivationTarget:
    """For the `activation` head (Ma et al. 2025): equation of motion L_m, least effort L_p, bounds L_b.

    Bounds are kept by the sigmoid at the top and by a penalty below the least activation.
    """

    torque_per_activation: Tensor  # (windows, rows, muscles)
    wanted: Tensor  # (windows, rows) torque less passive torque, Nm
    deviation: Tensor  # (rows,) Nm
    effort_weight: float
    bound_weight: float
    lower: float

    def loss(self, answer: Tensor, which: Tensor) -> dict[str, Tensor]:
        torque = (self.torque_per_activation[which] @ answer[..., None])[..., 0]
        motion = (((torque - self.wanted[which]) / self.deviation) ** 2).mean()
        effort = (answer**2).mean()
        bounds = ((self.lower - answer).clamp_min(0.0) ** 2).mean()
        return {"motion": motion, "effort": self.effort_weight * effort, "bounds": self.bound_weight * bounds}


Target = TorqueTarget | ActivationTarget
