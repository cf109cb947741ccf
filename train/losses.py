"""Losses without labels: how far a network's answers are from fulfilling the equation of motion.

With a rigid tendon the joint torques of activations a are B a + tau_passive, so that the Hill model and the muscle
geometry enter as matrices that were computed once by the NumPy reference. A torque that is not known is NaN: its row counts
for nothing in that window.

Every target names its terms and gives each a weight; a term whose weight is zero is left out. `train.balance` adds them up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from edge.msk.staticopt import LOWER_ACTIVATION, RESERVE_NM, UPPER_ACTIVATION
from train.sharing_layer import share

Terms = dict[str, Tensor]
_Any = TypeVar("_Any")
_Target = TypeVar("_Target", bound="Target")


class Target(Protocol):
    """What a network is asked for, at every window of a material."""

    @property
    def outputs(self) -> int:
        """How many outputs the network needs: the device's first, then those that only training uses."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Of each term."""

    def loss(self, answer: Tensor, which: Tensor) -> Terms:
        """The unweighted terms of answers (batch, outputs) to the windows `which` (batch,)."""

    def to(self: _Target, device: torch.device | str) -> _Target:
        """The same on another device."""


class _OnDevice:
    def to(self: _Any, device: torch.device | str) -> _Any:
        """With all tensors on another device."""
        own: Any = self
        parts = {field.name: getattr(own, field.name) for field in fields(own)}
        moved = {name: part.to(device) for name, part in parts.items() if isinstance(part, Tensor | _OnDevice)}
        return replace(own, **moved)  # type: ignore[no-any-return]


def off_by(value: Tensor, wanted: Tensor) -> Tensor:
    """How far a value is from what is wanted, zero where that is not known."""
    return torch.where(wanted.isnan(), 0.0, value - wanted)


def mean_known_square(value: Tensor, wanted: Tensor, deviation: Tensor | float = 1.0) -> Tensor:
    """Mean over what is known of ((value - wanted) / deviation)^2."""
    known = (~wanted.isnan()).sum().clamp_min(1)
    return ((off_by(value, wanted) / deviation) ** 2).sum() / known


def beyond_bounds(activation: Tensor) -> Tensor:
    """By how much each activation is outside its bounds."""
    return (LOWER_ACTIVATION - activation).clamp_min(0.0) + (activation - UPPER_ACTIVATION).clamp_min(0.0)


def torque_of(strength_nm: Tensor, activation: Tensor) -> Tensor:
    """B a, (batch, rows)."""
    return torch.einsum("brm,bm->br", strength_nm, activation)


@dataclass(frozen=True)
class TorqueTarget(_OnDevice):
    """For the `torque` and `residual` heads: what inverse dynamics leaves to the network, in mass x gravity x leg length."""

    wanted: Tensor  # (windows, rows)
    deviation: Tensor  # (rows,) makes the rows count alike
    weights: Mapping[str, float]

    @property
    def outputs(self) -> int:
        return self.wanted.shape[1]

    def loss(self, answer: Tensor, which: Tensor) -> Terms:
        """`motion`: the equation of motion, each row in units of its own deviation."""
        return {"motion": mean_known_square(answer, self.wanted[which], self.deviation)}


@dataclass(frozen=True)
class ContactTarget(_OnDevice):
    """For the `contact` head: the equation of motion with what is answered, and the measured contact itself.

    Where the leg is straight, a force along it makes no torque: the equation of motion alone leaves it open.
    """

    map: Tensor  # (windows, rows, answers) torque per answer, in mass x gravity x leg length
    motion: TorqueTarget
    measured: TorqueTarget  # (windows, answers)

    @property
    def outputs(self) -> int:
        return self.measured.outputs

    @property
    def weights(self) -> Mapping[str, float]:
        return self.motion.weights

    def loss(self, answer: Tensor, which: Tensor) -> Terms:
        """`motion` as of the residual head, `contact`: each component in units of its own deviation."""
        torque = torch.einsum("bra,ba->br", self.map[which], answer)
        return self.motion.loss(torque, which) | {"contact": self.measured.loss(answer, which)["motion"]}


@dataclass(frozen=True)
class SharedTorqueTarget(_OnDevice):
    """For the `torque` and `residual` heads: that static optimisation makes the true torques' activations of the network's.

    A Nm counts by what it does to the muscles: little where many strong ones share it, nothing where it only stretches
    ligaments. Where a row's torque is not known, both problems are without the row.
    """

    torque: TorqueTarget
    scale_nm: Tensor  # (windows, 1) mass x gravity x leg length
    known_nm: Tensor  # (windows, rows) what the answer's torque lacks to that of the active muscles
    strength_nm: Tensor  # (windows, rows, muscles), zero in rows that are not known
    multiplier: Tensor  # (windows, rows) 1/Nm, of the true torques
    activation: Tensor  # (windows, muscles) of the true torques
    deviation: float  # root mean square of the activations' deviations from their means: squared errors become 1 - R2

    @property
    def outputs(self) -> int:
        return self.torque.outputs

    @property
    def weights(self) -> Mapping[str, float]:
        return self.torque.weights

    def loss(self, answer: Tensor, which: Tensor) -> Terms:
        """`motion` as without the layer, and `muscles`: squared error of the activations, pooled as R2 is."""
        terms = self.torque.loss(answer, which)
        active = answer * self.scale_nm[which] + self.known_nm[which]
        shared = share(active, self.strength_nm[which], start=self.multiplier[which])
        return terms | {"muscles": (((shared - self.activation[which]) / self.deviation) ** 2).mean()}


@dataclass(frozen=True)
class DualTarget(_OnDevice):
    """For the `dual` head, whose answers are static optimisation's multipliers y times mass x gravity x leg length.

    a = clip(B^T y, lower, upper) are the activations of least effort of whatever torque they make; of the equation of motion
    remains B a + rho^2 y = tau.
    """

    strength_nm: Tensor  # (windows, rows, muscles)
    wanted_nm: Tensor  # (windows, rows) torque less passive torque
    deviation_nm: Tensor  # (rows,)
    scale_nm: Tensor  # (windows, 1)
    weights: Mapping[str, float]

    @property
    def outputs(self) -> int:
        return self.wanted_nm.shape[1]

    def loss(self, answer: Tensor, which: Tensor) -> Terms:
        """`motion`: each row in units of its own deviation. Zero at the solution of static optimisation and nowhere else.

        The gradient passes the bounds as if they were not there: a resting muscle has none otherwise, although it is what a
        torque may lack.
        """
        multiplier = answer / self.scale_nm[which]
        drive = drive_of(self.strength_nm[which], multiplier)
        activation = drive + (drive.clamp(LOWER_ACTIVATION, UPPER_ACTIVATION) - drive).detach()
        torque = torque_of(self.strength_nm[which], activation) + RESERVE_NM**2 * multiplier
        return {"motion": mean_known_square(torque, self.wanted_nm[which], self.deviation_nm)}


def drive_of(strength_nm: Tensor, multiplier: Tensor) -> Tensor:
    """B^T y, (batch, muscles)."""
    return torch.einsum("brm,br->bm", strength_nm, multiplier)


def dual_cost(strength_nm: Tensor, torque_nm: Tensor, multiplier: Tensor) -> Tensor:
    """What static optimisation's multipliers minimise, (batch,): convex, with the gradient B a + rho^2 y - tau.

    sum_m (a d - a^2 / 2) + rho^2 y.y / 2 - tau.y with d = B^T y, a = clip(d): minus half the effort at its least.
    """
    drive = drive_of(strength_nm, multiplier)
    activation = drive.clamp(LOWER_ACTIVATION, UPPER_ACTIVATION)
    of_muscles = (activation * (drive - 0.5 * activation)).sum(dim=1)
    return of_muscles + (multiplier * (0.5 * RESERVE_NM**2 * multiplier - torque_nm)).sum(dim=1)


@dataclass(frozen=True)
class DualGapTarget(_OnDevice):
    """For the `dual` head, by the dual problem itself: how far its cost is above the least (a Fenchel-Young loss).

    Blondel, Martins & Niculae 2020 (J. Mach. Learn. Res. 21:35). Near the solution it is half the squared error of the
    activations that are free, so that each Nm counts by what it does to the muscles; it is convex in the answer, and its
    gradient, the equation of motion's residual, does not vanish where muscles are at their bounds. Where a row's torque is
    not known, the problem is without the row.
    """

    strength_nm: Tensor  # (windows, rows, muscles), zero in rows that are not known
    torque_nm: Tensor  # (windows, rows) torque less passive torque, zero in rows that are not known
    scale_nm: Tensor  # (windows, 1)
    least: Tensor  # (windows,) cost at the solution
    deviation: float  # root mean square of the activations' deviations from their means
    weights: Mapping[str, float]

    @property
    def outputs(self) -> int:
        return self.torque_nm.shape[1]

    def loss(self, answer: Tensor, which: Tensor) -> Terms:
        """`gap`, in units in which the squared error of activations is 1 - R2."""
        strength = self.strength_nm[which]
        cost = dual_cost(strength, self.torque_nm[which], answer / self.scale_nm[which])
        unit = 0.5 * strength.shape[2] * self.deviation**2
        return {"gap": (cost - self.least[which]).mean() / unit}


@dataclass(frozen=True)
class ActivationTarget(_OnDevice):
    """For the `activation` head: equation of motion in units of its deviation, least effort, bounds. All terms are means.

    The weight of the effort is what matters: at 1 the least loss is where one deviation of a torque's error costs as much as
    full activation.
    """

    strength_nm: Tensor  # (windows, rows, muscles)
    wanted_nm: Tensor  # (windows, rows) torque less passive torque
    deviation_nm: Tensor  # (rows,)
    weights: Mapping[str, float]

    @property
    def outputs(self) -> int:
        return self.strength_nm.shape[2]

    def loss(self, answer: Tensor, which: Tensor) -> Terms:
        """`motion`, `effort` (mean squared activation), `bounds` (mean squared violation)."""
        torque = torque_of(self.strength_nm[which], answer)
        return {
            "motion": mean_known_square(torque, self.wanted_nm[which], self.deviation_nm),
            "effort": (answer**2).mean(),
            "bounds": (beyond_bounds(answer) ** 2).mean(),
        }


@dataclass(frozen=True)
class ForceOutputs(_OnDevice):
    """What muscle forces as further outputs are held to: the network answers with force / F_o, along the tendon."""

    moment_arm_m: Tensor  # (windows, rows, muscles)
    isometric_n: Tensor  # (windows, muscles) F_o
    active_n: Tensor  # (windows, muscles) force of full activation
    passive_n: Tensor  # (windows, muscles)


@dataclass(frozen=True)
class PapersTarget(_OnDevice):
    """For the `activation` head, the losses of Ma et al.: equation of motion, muscle force, least effort, bounds.

    In units of Nm and N, summed over rows and muscles. With `forces` the network has the muscle forces as further outputs:
    they enter the equation of motion, and the Hill model ties them to the activations (the first paper); without, the Hill
    model's forces do (the second).
    """

    strength_nm: Tensor  # (windows, rows, muscles)
    wanted_nm: Tensor  # (windows, rows) torque less passive torque
    passive_nm: Tensor  # (windows, rows) passive torque
    exponent: float  # beta of the effort
    weights: Mapping[str, float]
    forces: ForceOutputs | None = None

    @property
    def outputs(self) -> int:
        return self.strength_nm.shape[2] * (1 if self.forces is None else 2)

    def loss(self, answer: Tensor, which: Tensor) -> Terms:
        """`motion` L_m in Nm^2, `force` L_f in N^2 (with `forces`), `effort` L_p and `bounds` L_b."""
        activation = answer[:, : self.strength_nm.shape[2]]
        terms: Terms = {}
        if self.forces is None:
            torque = torque_of(self.strength_nm[which], activation)
        else:
            force = answer[:, activation.shape[1] :] * self.forces.isometric_n[which]
            hill = activation * self.forces.active_n[which] + self.forces.passive_n[which]
            terms["force"] = ((force - hill) ** 2).sum(dim=1).mean()
            torque = torque_of(self.forces.moment_arm_m[which], force) - self.passive_nm[which]
        return {
            "motion": (off_by(torque, self.wanted_nm[which]) ** 2).sum(dim=1).mean(),
            **terms,
            "effort": (activation**self.exponent).sum(dim=1).mean(),
            "bounds": (beyond_bounds(activation) ** 2).sum(dim=1).mean(),
        }


@dataclass(frozen=True)
class SupervisedTarget(_OnDevice):
    """For the `activation` head, with labels: the papers' comparison."""

    activation: Tensor  # (windows, muscles) of static optimisation
    force: Tensor  # (windows, muscles) along the tendon, in F_o
    weights: Mapping[str, float]

    @property
    def outputs(self) -> int:
        return 2 * self.activation.shape[1]

    def loss(self, answer: Tensor, which: Tensor) -> Terms:
        """`activation` and `force`: mean squared errors."""
        activation, force = answer.chunk(2, dim=1)
        return {
            "activation": ((activation - self.activation[which]) ** 2).mean(),
            "force": ((force - self.force[which]) ** 2).mean(),
        }
