"""Whether joint angles between IMUs are such as a limb has: where they are not, an IMU sits otherwise than its alignment says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.signals.problems import Problems

FloatArray = npt.NDArray[np.float64]

FAR_RAD = 0.35
"""So far outside its range no wearer moves a joint, more flexible than the model or not."""
_BLOCK_S = 1.0
_SHARE = 0.5  # of the samples of a block


class PostureCheck:
    """Looks at a second of angles after the other: in more than half of it, some joint must not be far outside its range.

    Between walking and what two exchanged or turned IMUs make of it lie tens of degrees; a strap that slips by less is not seen.
    """

    def __init__(
        self, names: Sequence[str], ranges_rad: Sequence[tuple[float, float]], rate_hz: float, problems: Problems
    ) -> None:
        self.wrong = False
        self._names, self._problems = tuple(names), problems
        self._low = np.array([low for low, _ in ranges_rad]) - FAR_RAD
        self._high = np.array([high for _, high in ranges_rad]) + FAR_RAD
        self._size = max(round(_BLOCK_S * rate_hz), 2)
        self._block: list[FloatArray] = []

    def add(self, angles: FloatArray) -> None:
        """Take the angles (n_joints,) of the next moment of the grid, rad."""
        self._block.append(angles)
        if len(self._block) < self._size:
            return
        block = np.array(self._block)
        self._block.clear()
        far = (block < self._low) | (block > self._high)
        wrong = bool(far.any(axis=1).mean() > _SHARE)
        if wrong and not self.wrong:
            worst = int(far.sum(axis=0).argmax())
            self._problems.add(
                "posture",
                f"the {self._names[worst]}'s angle between its IMUs is {np.degrees(np.median(block[:, worst])):.0f} deg, which "
                "no limb has: check that each IMU is on the segment that `channels` of [[sensor]] says, and has not moved there "
                "since the alignment",
            )
        self.wrong = wrong
