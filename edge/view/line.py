"""What travels from the loop to the process that draws: a header once, then pictures, each one line of JSON.

Small and without NumPy or rich, because both ends import it: the loop writes it, the view reads it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.loop import Snapshot


@dataclass(frozen=True, slots=True)
class Header:
    """What does not change: the names, and for each joint the index of its torque row in the estimate."""

    title: str
    muscle_names: Sequence[str]
    joint_names: Sequence[str]
    joint_rows: Sequence[int]

    def line(self) -> bytes:
        """Return it as it is sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Header:
        """Read what :meth:`line` wrote."""
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment: rad, Nm, N and fractions as in the estimate; `warning` is the newest, "" while there was none;
    `familiar`: the movement is not unlike all training.

    `q` is None until the first estimate; nothing but the state and the warning has a meaning before.
    """

    state: int = 0
    warning: str = ""
    elapsed_s: float = 0.0
    estimates: int = 0
    age_ms: float = 0.0
    faults: Sequence[str] = ()
    explanation: str = ""
    familiar: bool = True
    q: Sequence[float] | None = None
    torque_nm: Sequence[float] = ()
    activation: Sequence[float] = ()
    force_n: Sequence[float] = ()
    command_nm: Sequence[float] = ()

    @classmethod
    def parse(cls, line: bytes) -> Picture:
        """Read what :func:`picture_line` wrote."""
        return cls(**json.loads(line))


def picture_line(snapshot: Snapshot | None, warning: str = "") -> bytes:
    """Return a snapshot as it is sent; None while there is no estimate."""
    if snapshot is None:
        fields: dict[str, object] = {"warning": warning}
    else:
        estimate = snapshot.estimate
        fields = {
            "state": int(snapshot.command.state),
            "warning": warning,
            "elapsed_s": snapshot.elapsed_s,
            "estimates": snapshot.estimates,
            "age_ms": snapshot.age_ms,
            "faults": snapshot.faults,
            "explanation": snapshot.explanation,
            "familiar": estimate.familiar,
            "q": estimate.q.tolist(),
            "torque_nm": estimate.torque_nm.tolist(),
            "activation": estimate.activation.tolist(),
            "force_n": estimate.force_n.tolist(),
            "command_nm": snapshot.command.torque_nm,
        }
    return json.dumps(fields).encode() + b"\n"
