"""What we want: the assistance asked for, before anybody says whether it is allowed.

One law for now: each joint is helped by a fraction of the torque that the muscles are estimated to give there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, SupportsFloat


class Row(Protocol):
    """Numbers by index: a sequence or a vector."""

    def __getitem__(self, index: int, /) -> SupportsFloat: ...


class ProportionalAssist:
    """Wanted torque of a joint (Nm) = gain of that joint x estimated torque of that joint (Nm).

    Args:
        gain: one per joint, without unit; 0.1 takes over a tenth of the load.
        rows: for each joint, the index of its torque row in the estimate (a model may have rows that no joint drives).
    """

    def __init__(self, gain: Sequence[float], rows: Sequence[int]) -> None:
        if len(gain) != len(rows):
            raise ValueError(f"{len(gain)} gains for {len(rows)} joints")
        self._pairs = tuple(zip(map(float, gain), rows, strict=True))

    @property
    def enabled(self) -> bool:
        """Whether any joint is to be helped."""
        return any(gain for gain, _ in self._pairs)

    def wanted(self, torque_nm: Row) -> tuple[float, ...]:
        """The wanted torque of each joint in Nm, from the estimated torque of each row, shape ``(n_rows,)``.

        An estimate that is not finite gives a wanted torque that is not, with any gain: the safety must see it.
        """
        return tuple(gain * float(torque_nm[row]) for gain, row in self._pairs)
