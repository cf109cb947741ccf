"""Muscles whose tendon stretches: an offline reference for what the rigid tendon of `hill` leaves out.

The fibre's part of the length along the tendon, s = l_m cos(phi), is the state (Zajac 1989; Millard et al. 2013, section 2):

    l_m = sqrt(s^2 + (l_o sin(phi_o))^2),   cos(phi) = s / l_m,   dl_m/dt = ds/dt cos(phi),   l_t = l_mt - s
    [a f_l(l_m / l_o) f_v(v_m) + f_p(l_m / l_o) + beta v_m] cos(phi) = f_t(l_t / l_ts),   v_m = dl_m/dt / (v_max l_o)

with f_t the tendon's curve and beta the damping beside the fibre. A tendon only pulls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import ModelError
from edge.msk.hill import LONGEST_FIBER, SHORTEST_FIBER, HillMuscles
from edge.msk.implicit import Residual, integrate
from edge.msk.roots import find_root
from edge.msk.samples import checked_times, place, slopes
from edge.msk.spline import FloatArray

FASTEST_FIBER = 10.0  # maximal contraction velocities; without damping some force balances have no velocity at all
_LEAST_DAMPING_OF_FLAT = 1e-3  # below which OpenSim changes Millard's curves
_LEAST_DAMPING = 1e-14  # so that a fibre on which nothing pulls has a velocity: none
_TOLERANCE = 1e-6  # optimal fibre lengths in a step: about 1e-5 of the maximal force in a short tendon


@dataclass(frozen=True)
class ElasticState:
    """Fibres and tendons; arrays of shape (..., n_muscles)."""

    fiber_length: FloatArray  # in optimal fibre lengths
    fiber_velocity: FloatArray  # in maximal contraction velocities, lengthening positive
    cos_pennation: FloatArray
    tendon_length: FloatArray  # in slack lengths
    tendon_force_n: FloatArray


@dataclass(frozen=True)
class ElasticMuscles:
    """Muscles with elastic tendons. Curves and parameters are those of `muscles`; passive force counts in both its modes."""

    muscles: HillMuscles
    tendon_strain: FloatArray  # (n_muscles,) at the maximal isometric force
    fiber_damping: float | FloatArray  # force at the maximal contraction velocity, in maximal isometric forces

    @classmethod
    def of(
        cls, muscles: HillMuscles, *, tendon_strain: npt.ArrayLike | None = None, fiber_damping: float | None = None
    ) -> ElasticMuscles:
        """Elastic tendons for rigid ones.

        tendon_strain: at the maximal isometric force, one for all or one of each muscle; None: the curves' own, as for
        fiber_damping (by default De Groote 2016: 0.049 and 0; Millard 2013: 0.049 and 0.1; Thelen 2003: 0.04 and 0).
        Fibres of an activation below 0.01 want damping: their velocity has nothing else to hold on to.
        Raises ModelError for a muscle without a tendon, ValueError for a strain that is not positive, for a negative damping
        and for one below 0.001 with a force-velocity curve that is flat beyond the maximal velocity (Millard's).
        """
        if not np.all(muscles.slack_length_m > 0.0):
            missing = muscles.model.muscle_names[int(np.argmin(muscles.slack_length_m))]
            raise ModelError(
                f"muscle `{missing}` of model `{muscles.model.name}` has a tendon of no length, which cannot stretch: "
                "compute it with the rigid tendon, or give it a tendon_slack_length_m"
            )
        strain = np.broadcast_to(
            np.asarray(muscles.curves.tendon_strain if tendon_strain is None else tendon_strain, dtype=np.float64),
            muscles.slack_length_m.shape,
        )
        damping = muscles.curves.fiber_damping if fiber_damping is None else float(fiber_damping)
        if not (
            np.all(strain > 0.0) and np.isfinite(strain).all() and np.isfinite(damping).all() and np.all(damping >= 0)
        ):
            raise ValueError(f"tendon strain must be positive and fibre damping not negative: {strain}, {damping}")
        fast = muscles.curves.force_velocity(np.outer([-2.0, -1.0, 1.0, 2.0], np.ones_like(strain)))
        flat = ~np.all(np.diff(fast, axis=0) > 0.0, axis=0)
        if np.any(flat & (damping < _LEAST_DAMPING_OF_FLAT)):
            raise ValueError(
                f"`{muscles.curves.name}` leaves the velocity of a fast fibre open: its fibre damping must be at least "
                f"{_LEAST_DAMPING_OF_FLAT:g}, not {np.min(damping):g}"
            )
        return cls(muscles, strain, damping)

    def equilibrium(
        self, activation: npt.ArrayLike, length_m: npt.ArrayLike, lengthening_mps: npt.ArrayLike = 0.0
    ) -> ElasticState:
        """The state in which fibre and tendon pull equally, the tendon at a constant length.

        activation, length_m (of muscle and tendon) and lengthening_mps: (..., n_muscles). A muscle too short to be
        stretched has a slack tendon and no force.
        """
        activation, length, lengthening = self._checked(activation, length_m, lengthening_mps)
        rate = lengthening / self.muscles.optimal_length_m
        lowest, highest = np.full(length.shape, SHORTEST_FIBER), np.full(length.shape, LONGEST_FIBER)
        # At this length the tendon is slack: the fibre cannot be longer in equilibrium.
        slack = np.clip((length - self.muscles.slack_length_m) / self.muscles.optimal_length_m, lowest, highest)
        along = find_root(lambda s: self._imbalance(activation, length, s, rate), lowest, slack)
        return self._state(length, along, rate)

    def state(self, activation: npt.ArrayLike, length_m: npt.ArrayLike, fiber_length: npt.ArrayLike) -> ElasticState:
        """The state of fibres of a given length (in optimal fibre lengths); all (..., n_muscles).

        Their velocity is the one at which fibre and tendon pull equally, at most 10 maximal contraction velocities. A
        fibre cannot be shorter than the muscle is thick.
        """
        activation, length, fiber = self._checked(activation, length_m, fiber_length)
        along = np.sqrt(np.maximum(fiber**2 - self._height**2, SHORTEST_FIBER**2))
        cosine = along / np.hypot(along, self._height)
        fastest = FASTEST_FIBER * self.muscles.max_velocity / cosine
        rate = find_root(lambda v: self._imbalance(activation, length, along, v), -fastest, fastest)
        return self._state(length, along, rate)

    def integrate(
        self,
        time_s: npt.ArrayLike,
        activation: npt.ArrayLike,
        length_m: npt.ArrayLike,
        *,
        tolerance: float = _TOLERANCE,
    ) -> ElasticState:
        """The course of fibres and tendons over a recording, from equilibrium at its first moment.

        time_s: (frames,), increasing; activation and length_m (of muscle and tendon): (frames, n_muscles). Between the
        frames the activation is a straight line, the length a cubic. tolerance: error of the fibre length in a step, in
        optimal fibre lengths. The first moment is taken at a constant tendon length: what that is worth fades within a
        few hundredths of a second. Returns (frames, n_muscles). Raises ValueError for shapes that do not fit, times that
        do not increase and values that are not finite.
        """
        time = checked_times(time_s)
        activation, length, _ = self._checked(activation, length_m, 0.0)
        if length.shape != (len(time), len(self.muscles.max_force_n)):
            raise ValueError(
                "time_s (frames,), activation and length_m (frames, n_muscles) do not fit: "
                f"{time.shape}, {activation.shape}, {length.shape}"
            )
        lengthening = slopes(time, length)

        def balance(t: float) -> Residual:
            i, u = place(time, t)
            now = activation[i] + u * (activation[i + 1] - activation[i])
            h = time[i + 1] - time[i]
            cubic = (
                length[i]
                + u * u * (3.0 - 2.0 * u) * (length[i + 1] - length[i])
                + h * u * (1.0 - u) * ((1.0 - u) * lengthening[i] - u * lengthening[i + 1])
            )
            return lambda along, rate: self._imbalance(now, cubic, along, rate)

        start = self.equilibrium(activation[0], length[0], lengthening[0])
        along, rate = integrate(
            balance,
            time,
            start.fiber_length * start.cos_pennation,
            lengthening[0] / self.muscles.optimal_length_m,
            low=SHORTEST_FIBER,
            high=LONGEST_FIBER,
            tolerance=tolerance,
        )
        return self._state(length, along, rate)

    @property
    def _height(self) -> FloatArray:
        """Thickness of the muscles in optimal fibre lengths."""
        return self.muscles.height_m / self.muscles.optimal_length_m

    def _checked(
        self, activation: npt.ArrayLike, length: npt.ArrayLike, other: npt.ArrayLike
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The three as arrays of one shape that ends in the muscles."""
        arrays = [np.asarray(x, dtype=np.float64) for x in (activation, length, other)]
        if not all(np.isfinite(x).all() for x in arrays):
            raise ValueError("activations, lengths and velocities must be finite")
        if not np.all((arrays[0] >= 0.0) & (arrays[0] <= 1.0)):
            raise ValueError("activations must lie between 0 and 1")
        a, b, c, _ = np.broadcast_arrays(*arrays, self.muscles.max_force_n)
        return a, b, c

    def _tendon(self, length: FloatArray, along: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Length in slack lengths and force in maximal isometric forces."""
        normalised = (length - along * self.muscles.optimal_length_m) / self.muscles.slack_length_m
        force = self.muscles.curves.tendon_force_length(normalised, self.tendon_strain)
        return normalised, np.maximum(force, 0.0)

    def _imbalance(self, activation: FloatArray, length: FloatArray, along: FloatArray, rate: FloatArray) -> FloatArray:
        """By how much the fibre pulls more than the tendon, in maximal isometric forces.

        along: s in optimal fibre lengths; rate: ds/dt in optimal fibre lengths per second.
        """
        curves = self.muscles.curves
        fiber = np.hypot(along, self._height)
        cosine = along / fiber
        velocity = rate * cosine / self.muscles.max_velocity
        active = curves.active_force_length(fiber) * curves.force_velocity(velocity / curves.speed(activation))
        # As under the rigid tendon, the passive curve never pushes.
        passive = np.maximum(curves.passive_force_length(fiber), 0.0)
        damping = (self.fiber_damping + _LEAST_DAMPING) * velocity
        pull: FloatArray = (activation * active + passive + damping) * cosine
        return pull - self._tendon(length, along)[1]

    def _state(self, length: FloatArray, along: FloatArray, rate: FloatArray) -> ElasticState:
        fiber = np.hypot(along, self._height)
        cosine = along / fiber
        tendon, force = self._tendon(length, along)
        return ElasticState(
            fiber_length=fiber,
            fiber_velocity=rate * cosine / self.muscles.max_velocity,
            cos_pennation=cosine,
            tendon_length=tendon,
            tendon_force_n=self.muscles.max_force_n * force,
        )
