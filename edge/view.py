"""The live view in the terminal: what the muscles do, what the joints carry, in which state the device is.

It draws 10 times a second in a thread of its own from the loop's newest snapshot, a reference that it only reads,
and fits 80 x 24 characters: a model with more muscles than fit shows the most active ones.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.control.state import State
from edge.loop import Snapshot

FRAMES_PER_S = 10
BAR_CELLS = 34
EIGHTHS = " ▏▎▍▌▋▊▉█"
STATE_STYLE = {
    State.DISARMED: "bold white on blue",
    State.ARMED: "bold black on yellow",
    State.ACTIVE: "bold black on green",
    State.FAULT: "bold white on red",
}


def bar(fraction: float, cells: int, *, blocks: bool) -> str:
    """A bar of `cells` characters, filled by `fraction` (held to 0 to 1; nothing for NaN)."""
    filled = 0.0 if math.isnan(fraction) else min(max(fraction, 0.0), 1.0) * cells
    whole = int(filled)
    if not blocks:
        return "#" * round(filled) + "." * (cells - round(filled))
    part = EIGHTHS[int((filled - whole) * 8)] if whole < cells else ""
    return ("█" * whole + part).ljust(cells)


class View:
    """Draws snapshots.

    Args:
        latest: gives the newest snapshot, or None while there is none.
        muscle_names, joint_names: as in the model.
        joint_rows: for each joint, the index of its torque row in the estimate.
        title: what is running, for the head line.
        console: where to; decides by itself what the terminal can show.
    """

    def __init__(
        self,
        latest: Callable[[], Snapshot | None],
        *,
        muscle_names: Sequence[str],
        joint_names: Sequence[str],
        joint_rows: Sequence[int],
        title: str,
        console: Console,
    ) -> None:
        self._latest = latest
        self._muscles, self._joints, self._rows = tuple(muscle_names), tuple(joint_names), tuple(joint_rows)
        self._title = title
        self._console = console
        self._blocks = console.encoding.lower().startswith("utf")

    def show(self) -> AbstractContextManager[object]:
        """While inside, the view is drawn; where the console is no terminal, nothing is."""
        if not self._console.is_terminal:
            return nullcontext()
        return Live(
            get_renderable=self.render,
            console=self._console,
            refresh_per_second=FRAMES_PER_S,
            vertical_overflow="crop",
        )

    def render(self) -> RenderableType:
        """Draw the newest snapshot."""
        snapshot = self._latest()
        if snapshot is None:
            return Panel("waiting for the sensor's first samples (Ctrl-C stops)", title=self._title, width=self._width)
        return Group(self._head(snapshot), self._muscle_panel(snapshot), self._joint_panel(snapshot))

    @property
    def _width(self) -> int:
        return min(self._console.width, 80)

    def _head(self, snapshot: Snapshot) -> RenderableType:
        state = State(snapshot.command.state)
        line = Text.assemble(
            (f" {state.name} ", STATE_STYLE[state]),
            f"  {snapshot.elapsed_s:6.1f} s   {snapshot.estimates} estimates   age {snapshot.age_ms:5.1f} ms",
        )
        if snapshot.faults:
            line.append("   " + ", ".join(snapshot.faults), style="bold red")
        line.truncate(self._width, overflow="ellipsis")
        return line

    def _muscle_panel(self, snapshot: Snapshot) -> RenderableType:
        activation, force = snapshot.estimate.activation.tolist(), snapshot.estimate.force_n.tolist()
        room = max(self._console.height - len(self._joints) - 8, 1)
        shown = list(range(len(self._muscles)))
        if len(shown) > room:
            # In the model's order, so that bars do not jump about.
            shown = sorted(sorted(shown, key=lambda muscle: -activation[muscle])[:room])
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True, width=BAR_CELLS)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for muscle in shown:
            level = activation[muscle]
            style = "green" if level < 0.4 else "yellow" if level < 0.75 else "red"
            table.add_row(
                self._muscles[muscle],
                Text(bar(level, BAR_CELLS, blocks=self._blocks), style=style),
                f"{100.0 * level:4.0f} %",
                f"{force[muscle]:6.0f} N",
            )
        hidden = len(self._muscles) - len(shown)
        more = f" (the {len(shown)} most active of {len(self._muscles)})" if hidden else ""
        return Panel(table, title=f"{self._title}: activation and force{more}", width=self._width, padding=(0, 1))

    def _joint_panel(self, snapshot: Snapshot) -> RenderableType:
        estimate = snapshot.estimate
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True)
        for _ in range(3):
            table.add_column(justify="right", no_wrap=True)
        table.add_row("", *(Text(head, style="dim") for head in ("angle", "torque", "command")))
        for joint, (name, row) in enumerate(zip(self._joints, self._rows, strict=True)):
            table.add_row(
                name,
                f"{math.degrees(estimate.q[joint]):7.1f} deg",
                f"{estimate.torque_nm[row]:7.1f} Nm",
                f"{snapshot.command.torque_nm[joint]:7.2f} Nm",
            )
        return Panel(table, title="joints", width=self._width, padding=(0, 1))


def stderr_console() -> Console:
    """The console of the view: stderr, so that stdout stays free for results."""
    return Console(stderr=True, file=sys.stderr)
