"""Static optimisation: which muscle activations carry given joint torques with the least effort.

Per frame, with B = R^T diag(optimal force) and reserves r that keep every problem solvable:

    min  sum_m w_m a_m^p + sum_j (r_j / rho)^2    subject to   B a + r = tau,   lower <= a <= upper

(Crowninshield & Brand 1981.) The dual has one unknown y = r / rho^2 per torque row, whatever the number of muscles:
(p / 2) w a^(p - 1) = B^T y between the bounds. With p = 2 it is solved exactly (`quadratic_sharing`), with any other p >= 1 by
Newton's method, each of whose steps is such a problem (`power_sharing`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.msk.effort import Effort, effort_weight
from edge.msk.hill import HillMuscles, MuscleState
from edge.msk.power_sharing import solve_power
from edge.msk.quadratic_sharing import BoolArray, IntArray, QuadraticProblem, solve_dual
from edge.msk.spline import FloatArray

LOWER_ACTIVATION = 0.01
UPPER_ACTIVATION = 1.0
RESERVE_NM = 1.0
LEAST_RESERVE_NM = 1e-3
RESERVE_LIMIT_NM = 1.0
LARGEST_EXPONENT = 10.0  # beyond it rounding leaves frames unsolved


@dataclass(frozen=True)
class Optimum:
    """What static optimisation found, frame by frame."""

    activation: FloatArray  # (frames, muscles)
    reserve_nm: FloatArray  # (frames, rows)
    multiplier: FloatArray  # (frames, rows), 1/Nm: half of what one Nm more of torque would add to the cost
    iterations: IntArray  # (frames,), Newton steps

    def infeasible(self, limit_nm: float = RESERVE_LIMIT_NM) -> BoolArray:
        """The frames (frames,) in which some row needed a reserve above `limit_nm`.

        In all others the activations carry the torque to within the limit. Where the squares of a frame's reserves sum up to
        more than reserve_nm^2 sum w (upper^p - lower^p), no activations at all can carry its torque, or they would have
        been cheaper; and the squares of the least reserves that would do sum up to at most that much less. (lower >= 0.)
        """
        return np.asarray((np.abs(self.reserve_nm) > limit_nm).any(axis=1))


def solve(
    moment_arm: npt.ArrayLike,
    optimal_force: npt.ArrayLike,
    torque: npt.ArrayLike,
    *,
    lower: float = LOWER_ACTIVATION,
    upper: float = UPPER_ACTIVATION,
    reserve_nm: float = RESERVE_NM,
    weight: npt.ArrayLike | None = None,
    exponent: float = 2.0,
    start: npt.ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Activations (frames, muscles) and reserves (frames, rows) in Nm of many frames: `optimise` without the rest."""
    optimum = optimise(
        moment_arm,
        optimal_force,
        torque,
        lower=lower,
        upper=upper,
        reserve_nm=reserve_nm,
        weight=weight,
        exponent=exponent,
        start=start,
    )
    return optimum.activation, optimum.reserve_nm


def optimise(
    moment_arm: npt.ArrayLike,
    optimal_force: npt.ArrayLike,
    torque: npt.ArrayLike,
    *,
    lower: float = LOWER_ACTIVATION,
    upper: float = UPPER_ACTIVATION,
    reserve_nm: float = RESERVE_NM,
    weight: npt.ArrayLike | None = None,
    exponent: float = 2.0,
    start: npt.ArrayLike | None = None,
) -> Optimum:
    """Static optimisation of many frames.

    moment_arm: (frames, muscles, rows) in m; optimal_force: (frames, muscles) in N, the force of full activation;
    torque: (frames, rows) in Nm, what the active muscle forces must add up to (passive torques already taken off);
    weight: (muscles,) or (frames, muscles), positive, default 1 (`edge.msk.effort`); reserve_nm: the reserve torque that
    costs as much as one full activation, at least 0.001; exponent: 1 to 10; start: multipliers (frames, rows) near the
    answer, such as those of the frame before: they save steps and change nothing else.

    Never fails on finite input: a torque beyond the muscles' strength shows as a large reserve (`Optimum.infeasible`). There
    the activations of muscles between their bounds lose digits with the square of a small reserve_nm: they are within 1e-9 at
    1 Nm and 1e-5 at 0.01 Nm. They are unique for exponents above 1. With 1 they are so unless two sets of muscles carry the
    same torque at the same cost; two equal muscles then share it equally. With exponents above 5 the cost of small
    activations drowns in rounding: at 10 those under 0.03 are not resolved, and those under 0.1 where another row's torque
    cannot be carried.
    Raises ValueError for wrong shapes, bounds, exponents or non-finite input.
    """
    arms = np.asarray(moment_arm, dtype=np.float64)
    force = np.asarray(optimal_force, dtype=np.float64)
    tau = np.asarray(torque, dtype=np.float64)
    if arms.ndim != 3 or force.shape != arms.shape[:2] or tau.shape != (arms.shape[0], arms.shape[2]):
        raise ValueError(
            "moment_arm (frames, muscles, rows), optimal_force (frames, muscles) and torque (frames, rows) do not fit: "
            f"{arms.shape}, {force.shape}, {tau.shape}"
        )
    if arms.shape[2] == 0:
        raise ValueError("static optimisation needs at least one torque row")
    _check_settings(lower, upper, reserve_nm, exponent)
    w = np.ones_like(force) if weight is None else np.broadcast_to(np.asarray(weight, dtype=np.float64), force.shape)
    if not np.all(w > 0):
        raise ValueError("static optimisation needs positive weights")
    if not (np.isfinite(arms).all() and np.isfinite(force).all() and np.isfinite(tau).all() and np.isfinite(w).all()):
        raise ValueError("static optimisation needs finite moment arms, forces, torques and weights")
    # Scaling the muscles by w^(1/p) turns every problem into one with unit weights and own bounds.
    root = np.sqrt(w) if exponent == 2.0 else w ** (1.0 / exponent)
    strength = arms * force[..., None]  # (frames, muscles, rows), Nm of full activation
    problem = QuadraticProblem(
        b=np.ascontiguousarray(np.swapaxes(strength / root[..., None], 1, 2)),
        tau=tau,
        low=lower * root,
        high=upper * root,
        rho2=np.full((len(tau), 1), reserve_nm**2),
    )
    first = None if start is None else _near(start, problem)
    if exponent == 2.0:
        multiplier, iterations = solve_dual(problem, problem.start() if first is None else first)
        effort = np.clip(problem.drive(multiplier), problem.low, problem.high)
    else:
        effort, multiplier, iterations = solve_power(problem, exponent, first)
    # Clipped again after the division, whose rounding may leave the bounds by one unit in the last place.
    activation = np.clip(effort / root, lower, upper)
    # What the clipped activations leave over is the reserve: the torque balance holds to rounding error.
    reserve = tau - np.matmul(activation[:, None, :], strength)[:, 0]
    return Optimum(activation, reserve, multiplier, iterations)


def _check_settings(lower: float, upper: float, reserve_nm: float, exponent: float) -> None:
    finite = math.isfinite(lower) and math.isfinite(upper) and math.isfinite(reserve_nm)
    if not (finite and lower < upper and reserve_nm >= LEAST_RESERVE_NM):
        raise ValueError(
            f"static optimisation needs finite lower < upper and reserve_nm of at least {LEAST_RESERVE_NM:g}: "
            f"{lower}, {upper}, {reserve_nm}"
        )
    if not 1.0 <= exponent <= LARGEST_EXPONENT:
        raise ValueError(f"static optimisation needs an exponent from 1 to {LARGEST_EXPONENT:g}: {exponent}")
    if exponent != 2.0 and lower < 0.0:
        raise ValueError(
            f"static optimisation with the exponent {exponent:g} needs a lower bound of at least 0: {lower}; the power of a "
            "negative activation is no effort"
        )


def _near(start: npt.ArrayLike, problem: QuadraticProblem) -> FloatArray:
    """The given multipliers, brought within what the multipliers of the answer can be at all."""
    given = np.asarray(start, dtype=np.float64)
    if given.shape != problem.tau.shape:
        raise ValueError(f"start must have the shape of the torque {problem.tau.shape}, found {given.shape}")
    if not np.isfinite(given).all():
        raise ValueError("static optimisation needs a finite start")
    largest = np.maximum(np.abs(problem.low), np.abs(problem.high))
    carried = np.matmul(np.abs(problem.b), largest[..., None])[..., 0]
    bound = (np.abs(problem.tau) + carried) / problem.rho2
    return np.clip(given, -bound, bound)


@dataclass(frozen=True)
class SharingOptions:
    """How torques are shared among muscles; see `optimise`."""

    exponent: float = 2.0
    effort: Effort = Effort.ACTIVATION
    lower: float = LOWER_ACTIVATION
    upper: float = UPPER_ACTIVATION
    reserve_nm: float = RESERVE_NM
    reserve_limit_nm: float = RESERVE_LIMIT_NM  # above it a frame is infeasible


@dataclass(frozen=True)
class MuscleSolution:
    """Muscle activations, forces and reserves that carry given joint torques."""

    activation: FloatArray  # (frames, n_muscles)
    force_n: FloatArray  # (frames, n_muscles), along the tendon, active and passive
    reserve_nm: FloatArray  # (frames, n_rows)
    state: MuscleState
    multiplier: FloatArray  # (frames, n_rows), 1/Nm; a start for the frames after
    infeasible: BoolArray  # (frames,), some row needed a reserve above the limit


def share_torque(
    muscles: HillMuscles,
    q: FloatArray,
    qd: FloatArray,
    torque_nm: FloatArray,
    *,
    options: SharingOptions | None = None,
    start: FloatArray | None = None,
) -> MuscleSolution:
    """Share joint torques (frames, n_rows) among the muscles at the angles q and rates qd that they take (rad, rad/s).

    start: multipliers (frames, n_rows) of frames nearby. Raises ValueError as `optimise` does.
    """
    return share_at(muscles, muscles.evaluate(q, qd), torque_nm, options=options, start=start)


def share_at(
    muscles: HillMuscles,
    state: MuscleState,
    torque_nm: FloatArray,
    *,
    options: SharingOptions | None = None,
    start: FloatArray | None = None,
) -> MuscleSolution:
    """`share_torque` among muscles whose states (frames, ...) are known already."""
    how = SharingOptions() if options is None else options
    passive_torque = np.matmul(state.passive_force_n[:, None, :], state.moment_arm_m)[:, 0]
    optimum = optimise(
        state.moment_arm_m,
        state.optimal_force_n,
        torque_nm - passive_torque,
        lower=how.lower,
        upper=how.upper,
        reserve_nm=how.reserve_nm,
        weight=effort_weight(muscles, how.effort, state=state, exponent=how.exponent),
        exponent=how.exponent,
        start=start,
    )
    return MuscleSolution(
        activation=optimum.activation,
        force_n=optimum.activation * state.optimal_force_n + state.passive_force_n,
        reserve_nm=optimum.reserve_nm,
        state=state,
        multiplier=optimum.multiplier,
        infeasible=optimum.infeasible(how.reserve_limit_nm),
    )
