"""What a family of muscle curves consists of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.msk.spline import FloatArray

Curve = Callable[[FloatArray], FloatArray]
TendonCurve = Callable[[FloatArray, FloatArray], FloatArray]

LARGEST_EXPONENT = 500.0  # its power of e is still finite; no fibre or tendon comes near


@dataclass(frozen=True)
class Curves:
    """One family of curves, and what its authors' muscle takes for a tendon.

    Lengths are normalised by the optimal fibre length or the tendon's slack length, velocities by the maximal contraction
    velocity (lengthening positive), forces by the maximal isometric force. The curves are OpenSim 4.6's, unchanged: some
    fall below zero where no muscle works (a fibre shortening faster than its maximal velocity, a slack tendon). Whoever
    uses them decides what a push means.
    """

    name: str
    active_force_length: Curve
    force_velocity: Curve  # at full activation
    passive_force_length: Curve
    tendon_force_length: TendonCurve  # of the normalised length and the strain at which the force is 1
    tendon_strain: float  # at a force of 1
    fiber_damping: float  # force of the damper beside the fibre at the maximal contraction velocity
    resting_speed: float = 1.0  # maximal velocity of a fibre of no activation, as a part of a fully active one's

    def speed(self, activation: FloatArray) -> FloatArray:
        """Maximal contraction velocity at an activation: `force_velocity` is to be taken at the velocity over this."""
        return self.resting_speed + (1.0 - self.resting_speed) * activation
