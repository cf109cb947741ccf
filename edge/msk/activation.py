"""Activation dynamics: how the activation of a muscle follows its excitation, and which excitation an activation took.

First order, faster up than down, and slower the more a muscle is active on the way up (Winters 1995; Thelen 2003):

    da/dt = (u - a) / tau,   tau = tau_a (0.5 + 1.5 a) where u > a,   tau_d / (0.5 + 1.5 a) elsewhere

or, smooth, a mixture of the two rates by a hyperbolic tangent (De Groote et al. 2016):

    da/dt = [ (1/2 + f) / (tau_a z) + (1/2 - f) z / tau_d ] (u - a),   z = 0.5 + 1.5 a,   f = tanh(b (u - a)) / 2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.msk.implicit import Residual, integrate
from edge.msk.roots import find_root
from edge.msk.samples import checked_times, place, slopes
from edge.msk.spline import FloatArray

_TOLERANCE = 1e-7


@dataclass(frozen=True)
class ActivationDynamics:
    """Time constants of the calcium's release and uptake, and the steepness of the change between them.

    The defaults are those of OpenSim's DeGrooteFregly2016Muscle but for the smoothing, which is 0.1 there and so in the paper:
    so flat a tangent hardly tells up from down (OpenSim recommends 10). None changes at once, as in OpenSim's
    Thelen2003Muscle (0.015 and 0.050 s) and Millard2012EquilibriumMuscle (0.010 and 0.040 s).
    """

    activation_s: float = 0.015
    deactivation_s: float = 0.060
    smoothing: float | None = None

    def __post_init__(self) -> None:
        constants = [self.activation_s, self.deactivation_s, 1.0 if self.smoothing is None else self.smoothing]
        if not all(np.isfinite(c) and c > 0.0 for c in constants):
            raise ValueError(f"time constants and smoothing must be positive: {self}")

    def rate(self, excitation: npt.ArrayLike, activation: npt.ArrayLike) -> FloatArray:
        """da/dt in 1/s; excitation and activation (...) from 0 to 1."""
        u, a = np.asarray(excitation, dtype=np.float64), np.asarray(activation, dtype=np.float64)
        up, down = self._speeds(a)
        if self.smoothing is None:
            speed = np.where(u > a, up, down)
        else:
            share = 0.5 + 0.5 * np.tanh(self.smoothing * (u - a))
            speed = share * up + (1.0 - share) * down
        value: FloatArray = speed * (u - a)
        return value

    def activation(
        self, time_s: npt.ArrayLike, excitation: npt.ArrayLike, start: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Activations (frames, n) that follow excitations (frames, n), straight lines between the times (frames,).

        start: (n,) activations at the first time; None: the excitations there, held for long. Right to 1e-7 in a step.
        Raises ValueError for shapes that do not fit, times that do not increase and values not from 0 to 1.
        """
        time, u = _checked(time_s, excitation)
        first = u[0] if start is None else np.asarray(start, dtype=np.float64)
        if first.shape != u[0].shape or not np.all((first >= 0.0) & (first <= 1.0)):
            raise ValueError(f"start must hold an activation from 0 to 1 for each of the {u.shape[1]} excitations")

        def equation(t: float) -> Residual:
            i, between = place(time, t)
            now = u[i] + between * (u[i + 1] - u[i])
            return lambda a, rate: rate - self.rate(now, a)

        return integrate(equation, time, first, self.rate(u[0], first), low=0.0, high=1.0, tolerance=_TOLERANCE)[0]

    def excitation(self, time_s: npt.ArrayLike, activation: npt.ArrayLike) -> FloatArray:
        """Excitations (frames, n) that activations (frames, n) at the times (frames,) took.

        The activations' rate is that of the parabola through three neighbours. An excitation outside 0 to 1 says that no
        excitation makes the activation change so fast. Raises ValueError as `activation` does.
        """
        time, a = _checked(time_s, activation)
        wanted = slopes(time, a)
        up, down = self._speeds(a)
        if self.smoothing is None:
            exact: FloatArray = a + wanted / np.where(wanted > 0.0, up, down)
            return exact
        furthest = a + wanted / np.minimum(up, down)
        return find_root(lambda u: self.rate(u, a) - wanted, np.minimum(a, furthest), np.maximum(a, furthest))

    def _speeds(self, activation: FloatArray) -> tuple[FloatArray, FloatArray]:
        """1 / tau in 1/s on the way up and down."""
        z = 0.5 + 1.5 * activation
        return 1.0 / (self.activation_s * z), z / self.deactivation_s


def _checked(time_s: npt.ArrayLike, value: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    time, x = checked_times(time_s), np.asarray(value, dtype=np.float64)
    if x.ndim != 2 or len(x) != len(time):
        raise ValueError(f"times (frames,) and values (frames, n) do not fit: {time.shape}, {x.shape}")
    if not np.all((x >= 0.0) & (x <= 1.0)):
        raise ValueError("excitations and activations must lie between 0 and 1")
    return time, x
