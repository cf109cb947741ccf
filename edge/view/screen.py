"""The live view in the terminal: what the muscles do, what the joints carry, in which state the device is.

It fits 80 x 24 characters: a model with more muscles than fit shows the most active ones. Drawing happens in a process
of its own, :mod:`edge.view.process`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.control.state import State
from edge.view.line import Header, Picture

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
    """Draws pictures.

    Args:
        header: the names.
        console: where to; decides by itself what the terminal can show.
    """

    def __init__(self, header: Header, console: Console) -> None:
        self._muscles, self._joints, self._rows = header.muscle_names, header.joint_names, header.joint_rows
        self._title = header.title
        self._console = console
        self._blocks = console.encoding.lower().startswith("utf")

    def render(self, picture: Picture) -> RenderableType:
        """Draw one picture."""
        notes = self._notes(picture)
        if picture.q is None:
            text = "waiting for the sensor's first samples (Ctrl-C stops)"
            return Group(Panel(text, title=self._title, width=self._width), *notes)
        muscles = self._muscle_panel(picture, sum(map(self._height, notes)))
        # The last line is for what the terminal echoes, as ^C: at the end of a full one it would shift the picture.
        return Group(self._head(picture), *notes, muscles, self._joint_panel(picture, picture.q), Text())

    @property
    def _width(self) -> int:
        return min(self._console.width, 80)

    def _height(self, text: Text) -> int:
        return len(text.wrap(self._console, self._console.width))

    def _head(self, picture: Picture) -> RenderableType:
        state = State(picture.state)
        line = Text.assemble(
            (f" {state.name} ", STATE_STYLE[state]),
            f"  {picture.elapsed_s:6.1f} s   {picture.estimates} estimates   age {picture.age_ms:5.1f} ms",
        )
        if not picture.familiar:
            line.append("   untrained movement", style="bold red")
        if picture.faults:
            line.append("   " + ", ".join(picture.faults), style="bold red")
        line.truncate(self._width, overflow="ellipsis")
        return line

    def _notes(self, picture: Picture) -> list[Text]:
        """What the user has to read: the first fault in words, the newest warning. Each in three lines at most."""
        notes = []
        if picture.explanation:
            notes.append(Text(picture.explanation, style="red"))
        if picture.warning:
            notes.append(Text(f"warning: {picture.warning}", style="yellow"))
        for note in notes:
            # Less than the lines hold, because a word that does not fit at the end of one moves to the next.
            note.truncate(3 * self._width - 30, overflow="ellipsis")
        return notes

    def _muscle_panel(self, picture: Picture, used_lines: int) -> RenderableType:
        activation, force = picture.activation, picture.force_n
        room = max(self._console.height - len(self._joints) - 8 - used_lines, 1)
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

    def _joint_panel(self, picture: Picture, q: Sequence[float]) -> RenderableType:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True)
        for _ in range(3):
            table.add_column(justify="right", no_wrap=True)
        table.add_row("", *(Text(head, style="dim") for head in ("angle", "torque", "command")))
        for joint, (name, row) in enumerate(zip(self._joints, self._rows, strict=True)):
            table.add_row(
                name,
                f"{math.degrees(q[joint]):7.1f} deg",
                f"{picture.torque_nm[row]:7.1f} Nm",
                f"{picture.command_nm[joint]:7.2f} Nm",
            )
        return Panel(table, title="joints", width=self._width, padding=(0, 1))
