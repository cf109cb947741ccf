"""The modes of the device and the only ways from one to another.

``DISARMED -> ARMED -> ACTIVE``; every mode can fall to ``FAULT``; from ``FAULT`` the only way out is ``DISARMED``, and
only by an explicit re-arm. The numbers are those of the wire protocol's command flags.
"""

from __future__ import annotations

import enum


class State(enum.IntEnum):
    """The mode of the device."""

    DISARMED = 0
    """Estimates only: the command is zero."""
    ARMED = 1
    """The user allows assistance; waiting for a healthy cycle. The command is zero."""
    ACTIVE = 2
    """Assistance within the limits."""
    FAULT = 3
    """Something was wrong: the command ramps to zero and stays there until re-armed."""


ALLOWED = frozenset(
    {
        (State.DISARMED, State.ARMED),
        (State.ARMED, State.ACTIVE),
        (State.ARMED, State.DISARMED),
        (State.ACTIVE, State.DISARMED),
        (State.DISARMED, State.FAULT),
        (State.ARMED, State.FAULT),
        (State.ACTIVE, State.FAULT),
        (State.FAULT, State.DISARMED),
    }
)
"""Every allowed (from, to)."""


def transition(current: State, wanted: State) -> State:
    """Return ``wanted`` if the step from ``current`` is allowed.

    Raises:
        ValueError: the step is not in :data:`ALLOWED`. That is an error in our program, never in the user's input.
    """
    if (current, wanted) not in ALLOWED:
        raise ValueError(f"the state cannot go from {current.name} to {wanted.name}")
    return wanted
