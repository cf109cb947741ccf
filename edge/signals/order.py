"""Whether joint angles lie where joints can be; if not, whether they would in another order, with other signs, or in degrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from edge.errors import SensorError
from edge.signals.problems import Problems

FloatArray = npt.NDArray[np.float64]

MARGIN_RAD = 0.1
"""So far outside its range a joint may be: a person more flexible than the model, a sensor that is a little off."""
_BLOCK_S = 1.0
_FIRST_BLOCK_S = 0.5
_OUTSIDE_SHARE = 0.1  # of the samples of a block; less is a moment, not an arrangement
_FITTING_SHARE = 0.99
_FAR_RAD = 0.35
_MOST_NAMED = 3
_MOST_JOINTS = 4  # more have too many orders, one of which would always fit


@dataclass(frozen=True, slots=True)
class _Arrangement:
    """Which of the channels is each joint's, and with which sign."""

    channel: tuple[int, ...]
    sign: tuple[int, ...]

    @property
    def changes(self) -> int:
        """How far it is from the channels as they are."""
        return sum(c != i for i, c in enumerate(self.channel)) + sum(s < 0 for s in self.sign)


class OrderCheck:
    """Looks at a second of angles after the other.

    Angles outside the joints' ranges that fit in another order, or with other signs, are a problem, named with the nearest
    such. A person may move further than the model; that alone is none. Angles of the first half second that are far
    outside, in two joints at least (or in the only one), and fit in no arrangement but as degrees, are refused: a person at
    rest has small angles, so that a reading in degrees is no full turn.
    """

    def __init__(
        self, names: Sequence[str], ranges_rad: Sequence[tuple[float, float]], rate_hz: float, problems: Problems
    ) -> None:
        self.wrong = False
        self._names, self._problems = tuple(names), problems
        self._low = np.array([low for low, _ in ranges_rad]) - MARGIN_RAD
        self._high = np.array([high for _, high in ranges_rad]) + MARGIN_RAD
        self._first = max(round(_FIRST_BLOCK_S * rate_hz), 2)
        self._usual = max(round(_BLOCK_S * rate_hz), 2)
        self._size = self._first
        self._block: list[FloatArray] = []

    def add(self, angles: FloatArray) -> None:
        """Take the angles (n_joints,) of the next moment of the grid, rad. Raises SensorError."""
        self._block.append(angles)
        if len(self._block) >= self._size:
            self._judge(np.array(self._block), first=self._size == self._first)
            self._block.clear()
            self._size = self._usual

    def _judge(self, angles: FloatArray, *, first: bool) -> None:
        fits = self._fit(angles)
        found = [] if fits >= 1.0 - _OUTSIDE_SHARE else self._fitting(angles)
        if found and not self.wrong:
            self._problems.add(
                "order",
                "the joint angles lie outside the joints' ranges, and would fit as "
                f"{'; or as '.join(map(self._describe, found[:_MOST_NAMED]))}: mend the sensor's order of channels and signs, or "
                "`channels` and `sign` of [[sensor]] in the configuration",
            )
        self.wrong = bool(found)
        if first and not found and fits < _OUTSIDE_SHARE:
            self._refuse_degrees(angles)

    def _fit(self, angles: FloatArray) -> float:
        """Share of the samples at which every joint is in its range."""
        return float(((angles >= self._low) & (angles <= self._high)).all(axis=1).mean())

    def _fitting(self, angles: FloatArray) -> list[_Arrangement]:
        """In which every joint would be in its range, those with the fewest changes first."""
        n = len(self._names)
        if n > _MOST_JOINTS:
            return []
        fits = (a for a in _arrangements(n) if self._fit(angles[:, list(a.channel)] * a.sign) >= _FITTING_SHARE)
        return sorted(fits, key=lambda a: a.changes)

    def _refuse_degrees(self, angles: FloatArray) -> None:
        middle = np.median(angles, axis=0)
        beyond = _FAR_RAD - MARGIN_RAD
        far = (middle < self._low - beyond) | (middle > self._high + beyond)
        if far.sum() >= min(2, len(self._names)) and self._fit(np.radians(angles)) >= _FITTING_SHARE:
            values = ", ".join(f"{name} {value:.3g}" for name, value in zip(self._names, middle, strict=True))
            raise SensorError(
                f"the joint angles ({values}) are none that a limb has in rad: make the sensor send radians if these are "
                "degrees, or set its zero (`zero_deg` of [[sensor]] in the configuration) if it has none yet"
            )

    def _describe(self, found: _Arrangement) -> str:
        names = [("-" if sign < 0 else "") + self._names[i] for i, sign in zip(found.channel, found.sign, strict=True)]
        return ", ".join(f"{joint} = {name}" for joint, name in zip(self._names, names, strict=True))


def _arrangements(n: int) -> Iterator[_Arrangement]:
    """Every order, and every choice of signs. Not both at once: in a squat, hip and knee fit as each other's negative too."""
    straight, positive = tuple(range(n)), (1,) * n
    for channel in permutations(straight):
        yield _Arrangement(channel, positive)
    for sign in product((1, -1), repeat=n):
        yield _Arrangement(straight, sign)
