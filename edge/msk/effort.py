"""What a muscle's effort is taken to cost: the weights w of static optimisation's sum w a^p."""

from __future__ import annotations

import enum

import numpy as np

from edge.msk.hill import HillMuscles, MuscleState
from edge.msk.spline import FloatArray

# A muscle that can hardly pull has hardly any stress whatever its activation; its weight stays that of this share.
_LEAST_SHARE = 1e-3


class Effort(str, enum.Enum):
    """What is minimised.

    `activation`: sum a^p, every muscle alike (Kaufman et al. 1991; OpenSim's static optimisation). A muscle that a model
    splits into parts does more than the same muscle in one piece.
    `volume`: sum V a^p, V the volume of active tissue, F_o l_o up to the specific tension, divided by the mean of the
    muscles (Ackermann & van den Bogert 2010). It does not matter into how many parts a model splits a muscle.
    `stress`: sum (F / F_o)^p with the active force along the tendon F = a F_opt: the muscle's stress, as F_o is the
    physiological cross-section times the specific tension (Crowninshield & Brand 1981, who take p = 3). Not normalised: it
    is one at full isometric force. The force of the passive tissue is not in it.
    """

    ACTIVATION = "activation"
    VOLUME = "volume"
    STRESS = "stress"


def effort_weight(
    muscles: HillMuscles, effort: Effort, *, state: MuscleState | None = None, exponent: float = 2.0
) -> FloatArray | None:
    """The weights that `edge.msk.staticopt.solve` takes for an effort; None for equal ones.

    (n_muscles,) for `volume`, (frames, n_muscles) for `stress`, which depends on the muscles' state and on the exponent.
    Raises ValueError for `stress` without a state.
    """
    if effort is Effort.ACTIVATION:
        return None
    if effort is Effort.VOLUME:
        volume = muscles.max_force_n * muscles.optimal_length_m
        return np.asarray(volume / volume.mean())
    if state is None:
        raise ValueError("the weights of muscle stress need the muscles' state")
    return np.asarray(np.maximum(state.optimal_force_n / muscles.max_force_n, _LEAST_SHARE) ** exponent)
