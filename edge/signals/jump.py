"""Whether a value jumped as no limb can: a glitch of a sensor or of a line that passed all check sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.signals.problems import Problems

FloatArray = npt.NDArray[np.float64]

JUMP_MEMORY_S = 0.7
"""So long a jump is in what differentiators look at."""
_MOST_RATE_RAD_S = 40.0  # twice the knee's in kicking a ball
_MOST_STEP_RAD = 0.2
_MOST_FORCE_STEP_MPS2 = 200.0  # of the base's acceleration, from one sample to the next
_ACCELERATIONS = 2  # the last values of a sample


class JumpCheck:
    """Compares each sample with the one before. `names`: of the joints, and of what carries the first."""

    def __init__(self, names: Sequence[str], problems: Problems) -> None:
        self._names, self._problems = tuple(names), problems
        self.restart()

    def restart(self) -> None:
        """The next sample is the first."""
        self._t_s = math.nan
        self._last: FloatArray | None = None

    def add(self, t_s: float, q: FloatArray) -> bool:
        """Take a sample: angles and tilt in rad, then two accelerations in m/s2; whether it jumped."""
        last, self._last = self._last, q.copy()
        seconds, self._t_s = t_s - self._t_s, t_s
        if last is None:
            return False
        step = np.abs(q - last)
        worst = int(step[:-_ACCELERATIONS].argmax())
        if step[worst] > _MOST_RATE_RAD_S * seconds + _MOST_STEP_RAD:
            self._tell(self._names[worst], f"by {math.degrees(step[worst]):.0f} deg", seconds)
            return True
        if step[-_ACCELERATIONS:].max() > _MOST_FORCE_STEP_MPS2:
            self._tell(self._names[-1], f"by {step[-_ACCELERATIONS:].max():.0f} m/s2", seconds)
            return True
        return False

    def _tell(self, name: str, much: str, seconds: float) -> None:
        self._problems.add(
            f"jump:{name}",
            f"the {name} jumped {much} within {seconds * 1e3:.3g} ms, which no limb does: look for glitches of its sensor, its "
            "wiring, or a turn that is counted wrongly",
        )
