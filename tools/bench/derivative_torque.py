"""What errors and delay of the derivatives do to the joint torques of the moment at which the command leaves.

Inverse dynamics of both legs of `walk36` with the estimated angles, rates and accelerations of a moment `age` ago, against those
of the true kinematics of now. The ground reaction and the base's motion are taken as known exactly at the moment that is
described, as sensors synchronised with the angles would give them: so both are as late as the derivatives are. `free` is the
same without the ground reaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.msk.dynamics import Kinematics, inverse_dynamics
from edge.msk.model import load_model
from edge.trial import Side, Trial
from edge.trials import TrialSpec, load_trial
from tools.bench.derivative_runs import FloatArray, Run, run
from tools.bench.derivative_tables import END_S, LAST_S, Progress, Row, silent, usable_ages
from tools.bench.movements import Jitter, Movement

MASS_KG = 57.0  # of the person; the geometry is the generic model's
LEG_LENGTH_M = 0.826

_SIDES: tuple[Side, ...] = ("r", "l")


@dataclass(frozen=True)
class Leg:
    trial: Trial
    channels: slice  # of the movement


def legs(data: Path) -> list[Leg]:
    """Both legs of walk36, with the ground reaction."""
    folder, model = data / "treadmill_speeds" / "walk36", load_model("leg9")
    n = len(model.joints)
    specs = [
        TrialSpec(
            kinematics=folder / "ik.sto",
            ground_reaction=folder / "XLD.mot",
            side=side,
            mass_kg=MASS_KG,
            leg_length_m=LEG_LENGTH_M,
        )
        for side in _SIDES
    ]
    return [Leg(load_trial(spec, model, name="walk36"), slice(i * n, (i + 1) * n)) for i, spec in enumerate(specs)]


def torque_errors(
    both: Sequence[Leg],
    walk: Movement,
    methods: Sequence[str],
    ages_s: Sequence[float],
    *,
    seed: int = 0,
    jitter: Jitter = "hidden",
    last_s: float = LAST_S,
    progress: Progress = silent,
) -> list[Row]:
    """RMSE in Nm over both legs and the recording's last seconds, with and without the ground reaction."""
    jobs = [(method, age) for method in methods for age in usable_ages(method, ages_s)]
    rows = []
    for method, age in progress(jobs, "torque"):
        own = run(method, walk, age, seed=seed, jitter=jitter)
        errors = [_errors(leg, own, walk, last_s) for leg in both]
        total, free = np.sqrt(np.mean([(e**2).mean(axis=1) for e in errors], axis=0))
        names = both[0].trial.model.joint_names
        rows.append(
            {
                "method": method,
                "age_ms": round(age * 1e3),
                **{f"{name}_nm": float(x) for name, x in zip(names, total, strict=True)},
                **{f"free_{name}_nm": float(x) for name, x in zip(names, free, strict=True)},
            }
        )
    return rows


def _errors(leg: Leg, own: Run, walk: Movement, last_s: float) -> FloatArray:
    """(2, frames, joints) Nm: with the ground reaction and without."""
    kept = (own.time_s >= walk.duration_s - last_s) & (own.time_s + own.age_s <= walk.duration_s - END_S)
    then = own.time_s[kept]
    now = then + own.age_s
    q, qd, qdd = own.said[:, kept, leg.channels]
    estimated = replace(leg.trial.kinematics(then), q=q, qd=qd, qdd=qdd)
    true = leg.trial.kinematics(now)

    def torque(motion: Kinematics, at_s: FloatArray, contact: bool) -> FloatArray:
        force = leg.trial.external_force(at_s) if contact else None
        return inverse_dynamics(leg.trial.model, motion, force)

    return np.stack([torque(estimated, then, c) - torque(true, now, c) for c in (True, False)])
