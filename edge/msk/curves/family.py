"""What a family of muscle curves consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.msk.spline import FloatArray

Curve = Callable[[FloatArray], FloatArray]
TendonCurve = Callable[[FloatArray, FloatArray], FloatArray]
Cosine = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
Parameters = Mapping[str, float | FloatArray]

LARGEST_EXPONENT = 500.0  # its power of e is still finite; no fibre or tendon comes near


@dataclass(frozen=True)
class Curves:
    """One set of curves, and what its authors' muscle takes for a tendon.

    Lengths are normalised by the optimal fibre length or the tendon's slack length, velocities by the maximal contraction
    velocity (lengthening positive), forces by the maximal isometric force. The curves are OpenSim 4.6's, unchanged: some
    fall below zero where no muscle works (a fibre shortening faster than its maximal velocity, a slack tendon). Whoever
    uses them decides what a push means.

    Curves of one set of parameters take arrays of any shape; those of several muscles with sets of their own take arrays
    (..., n_muscles).
    """

    name: str  # of the family; of several, joined by +
    active_force_length: Curve
    force_velocity: Curve  # at full activation
    passive_force_length: Curve
    tendon_force_length: TendonCurve  # of the normalised length and the strain at which the force is 1
    # By what OpenSim 4.6's muscle turns the fibre's force along the tendon when static optimisation asks for the optimal
    # force: of the fibre's normalised length, the muscle's thickness in m and the cosine of the pennation angle.
    opensim_cosine: Cosine
    tendon_strain: float | FloatArray  # at a force of 1
    fiber_damping: float  # force of the damper beside the fibre at the maximal contraction velocity
    resting_speed: float = 1.0  # maximal velocity of a fibre of no activation, as a part of a fully active one's

    def speed(self, activation: FloatArray) -> FloatArray:
        """Maximal contraction velocity at an activation: `force_velocity` is to be taken at the velocity over this."""
        return self.resting_speed + (1.0 - self.resting_speed) * activation


@dataclass(frozen=True)
class Family:
    """Curves of one shape: `make` gives those of all its parameters (all dimensionless), each a number or (n_muscles,)."""

    name: str
    defaults: Mapping[str, float]
    limits: Mapping[str, tuple[float, float]]  # of the values that `make` can take
    make: Callable[[Parameters], Curves]
    # The parameter, of a complete set within the limits, that contradicts the others, and what it must be.
    contradiction: Callable[[Mapping[str, float]], tuple[str, str] | None] = lambda _: None


def side_by_side(
    functions: Sequence[Callable[..., FloatArray]], groups: Sequence[npt.NDArray[np.intp]]
) -> Callable[..., FloatArray]:
    """One function of arrays (..., n_muscles) whose muscles `groups[i]` follow `functions[i]`."""
    if len(functions) == 1:
        return functions[0]
    count = sum(len(group) for group in groups)

    def function(*values: FloatArray) -> FloatArray:
        shape = np.broadcast_shapes((count,), *(np.shape(v) for v in values))
        result = np.empty(shape)
        for one, group in zip(functions, groups, strict=True):
            # `take` gives arrays without gaps, whose elements NumPy computes alike whatever stands beside them.
            result[..., group] = one(*(np.take(np.broadcast_to(v, shape), group, axis=-1) for v in values))
        return result

    return function
