"""What a network is shown of each moment: kinematics that were made of the signals, or the signals as the sensors gave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge.msk.dynamics import Kinematics
from edge.msk.model import Model
from edge.msk.segment_motion import segment_motion, segment_motion_width
from edge.signals.intake import KinematicState, single

FloatArray = npt.NDArray[np.float64]

Signals = Literal["derivatives", "segments", "raw"]
"""`derivatives`: angles, rates and accelerations of the moment that is described, from the differentiator. `segments`: of the
same moment, how the segments move in the world (`edge.msk.segment_motion`). `raw`: the newest sample on the grid, which lies the
differentiator's age after that moment."""

_BASE = 4  # tilt, tilt rate, acceleration forwards and upwards


@dataclass(frozen=True)
class View:
    """Which columns a network's window has, in this order.

    derivatives: q, qd, qdd of the joints; raw: q. Then with `pelvis` tilt, tilt rate, base acceleration x and y. segments: the
    columns of `segment_motion`, then with `pelvis` base acceleration x and y; without, of segments on an upright base at rest.
    """

    signals: Signals = "derivatives"
    pelvis: bool = True

    def width(self, n_joints: int) -> int:
        """Number of columns."""
        if self.signals == "segments":
            return segment_motion_width(n_joints) + (2 if self.pelvis else 0)
        return (3 if self.signals == "derivatives" else 1) * n_joints + (_BASE if self.pelvis else 0)

    def table(self, model: Model, motion: Kinematics, sensed: FloatArray) -> FloatArray:
        """Columns (frames, width) of many moments; sensed: (frames, n_joints + 4), see `KinematicState`."""
        n = motion.q.shape[1]
        if self.signals == "raw":
            return np.asarray(sensed if self.pelvis else sensed[:, :n])
        if self.signals == "segments":
            if self.pelvis:
                return np.hstack([segment_motion(model, motion), motion.base_acceleration])
            return segment_motion(model, Kinematics.on_fixed_base(motion.q, motion.qd, motion.qdd))
        joints = [motion.q, motion.qd, motion.qdd]
        base = [motion.tilt[:, None], motion.tilt_rate[:, None], motion.base_acceleration] if self.pelvis else []
        return np.hstack([*joints, *base])

    def write(self, model: Model, state: KinematicState, row: npt.NDArray[np.floating[Any]]) -> None:
        """The same of one state, into `row` (width,)."""
        n = len(state.q)
        if self.signals == "raw":
            row[:] = state.sensed[: len(row)]
            return
        if self.signals == "segments":
            row[:] = self.table(model, single(state), state.sensed[None])[0]
            return
        row[:n] = state.q
        row[n : 2 * n] = state.qd
        row[2 * n : 3 * n] = state.qdd
        if self.pelvis:
            row[3 * n] = state.tilt
            row[3 * n + 1] = state.tilt_rate
            row[3 * n + 2 :] = state.base_acceleration
