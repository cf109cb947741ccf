"""Where a network comes from: what its manifest says of each training trial, and whether a test uses one of them again."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.bundle import Bundle
from edge.trial import Trial

FloatArray = npt.NDArray[np.float64]

_SAME_TIME_S = 1e-9


def describe(trial: Trial) -> dict[str, Any]:
    """What the manifest keeps of a training trial: whose it is, its range, and hashes of the numbers it was made from."""
    reaction = trial.ground_reaction
    return {
        "subject": trial.subject,
        "side": trial.side,
        "start_s": trial.start_s,
        "end_s": trial.end_s,
        "mass_kg": trial.model.mass_kg,
        "leg_length_m": trial.model.leg_length_m,
        "kinematics_sha256": kinematics_hash(trial),
        "ground_reaction_sha256": None
        if reaction is None
        else _hash(reaction.time_s, reaction.force_n, reaction.point_m, reaction.moment_nm),
    }


def kinematics_hash(trial: Trial) -> str:
    """SHA-256 of the recording's times, joint angles and base, whatever the format of its file."""
    return _hash(np.hstack([trial.time_s[:, None], trial.q, trial.base]))


def trained_on(bundle: Bundle, trial: Trial, times: FloatArray) -> npt.NDArray[np.bool_]:
    """Which of a trial's moments (n,) lie in a range that the bundle's network was trained on."""
    seen = np.zeros(len(times), dtype=bool)
    own = kinematics_hash(trial)
    for known in bundle.manifest.training.get("trials", []):
        if known.get("kinematics_sha256") == own:
            seen |= (times >= known["start_s"] - _SAME_TIME_S) & (times <= known["end_s"] + _SAME_TIME_S)
    return seen


def _hash(*arrays: FloatArray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()
