"""A sheet of small panels with fixed places, and its file. Lengths are inches, matplotlib's unit, where no name says otherwise.

Every place is computed from the sizes of the type, not by a layout solver: the same panels always make the same sheet, and a
sheet of two hundred panels takes no longer to lay out than one of four.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from edge.errors import ConfigError
from train.plot_style import GREY, MM_PER_INCH, TYPE_PT, save, styled

_LONGEST_PX, _MOST_PX = 65_000, 250_000_000  # of a PNG's side, which is Agg's limit, and in all, which take 1 GB

# Inches.
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.60, 0.14, 0.06, 0.06
_EDGE = 0.08  # of texts at the left
_GAP, _GAP_WITH_LABELS = 0.22, 0.36  # between columns
_OVERHANG = 0.06  # of a title beyond its panel
_LINE = 0.125  # of a panel's title
_HEADING, _X_LABEL, _TICKS, _BETWEEN = 0.22, 0.17, 0.19, 0.12
_LEGEND_LINE = 0.18
_STEPS = [1, 2, 2.5, 5, 10]  # between numbers of an axis


@dataclass(frozen=True)
class Block:
    """A group of panels under one heading. Its axes are labelled once, or with `x_label` None panel by panel."""

    heading: str
    panels: int
    x_label: str | None
    y_label: str
    share_y: bool = True  # one vertical scale for all its panels
    title_lines: int = 1
    panel_height: float = 0.92  # inches
    narrowest: float = 1.0  # panel that more columns would make
    summary: Sequence[str] = ()  # lines at the right of the heading

    @property
    def top(self) -> float:
        """Inches above the first row of panels."""
        return _HEADING + _LINE * (max(len(self.summary), 1) - 1) if self.heading else 0.0

    @property
    def rise(self) -> float:
        """Inches above each panel."""
        return _LINE * self.title_lines + 0.05

    @property
    def row(self) -> float:
        """Inches from one row of panels to the next."""
        below = _TICKS + _X_LABEL if self.x_label is None else 0.0
        return self.rise + self.panel_height + below

    @property
    def bottom(self) -> float:
        """Inches below the last row of panels."""
        return _BETWEEN + (0.0 if self.x_label is None else _TICKS + _X_LABEL)


@dataclass(frozen=True)
class Sheet:
    """An empty figure with its panels, one list for each block."""

    figure: Figure
    axes: list[list[Axes]]

    @property
    def panels(self) -> int:
        return sum(len(block) for block in self.axes)

    @property
    def size_mm(self) -> tuple[float, float]:
        width, height = self.figure.get_size_inches() * MM_PER_INCH
        return round(float(width), 1), round(float(height), 1)


def columns(block: Block, width: float) -> int:
    """How many panels stand side by side: as many as fit, with the rows filled evenly."""
    gap = _GAP if block.share_y else _GAP_WITH_LABELS
    fit = max(1, int((width - _LEFT - _RIGHT + gap) / (block.narrowest + gap)))
    return math.ceil(block.panels / math.ceil(block.panels / fit))


def lay_out(blocks: Sequence[Block], *, width_mm: float, legend: int = 0, note: str = "") -> Sheet:
    """Empty panels for the blocks, one below the other, under `legend` keys and a line of small text.

    To be called, as everything that draws, from the function that `draw` is given.
    """
    width = width_mm / MM_PER_INCH
    across = [columns(b, width) for b in blocks]
    down = [math.ceil(b.panels / n) for b, n in zip(blocks, across, strict=True)]
    tall = [b.top + rows * b.row + b.bottom for b, rows in zip(blocks, down, strict=True)]
    keys = math.ceil(legend / legend_columns(width_mm))
    head = _TOP + _LEGEND_LINE * (keys + bool(note))
    figure = Figure(figsize=(width, head + sum(tall) - _BETWEEN + _BOTTOM))
    if note:
        _text(figure, _EDGE, _TOP + _LEGEND_LINE * keys, note, va="top", color=GREY)
    axes, top = [], head
    for block, n, rows, height in zip(blocks, across, down, tall, strict=True):
        axes.append(_block(figure, block, n, rows, top))
        top += height
    return Sheet(figure, axes)


def _inches_x(figure: Figure, x: float) -> float:
    return x / float(figure.get_size_inches()[0])


def _inches_y(figure: Figure, from_top: float) -> float:
    return 1.0 - from_top / float(figure.get_size_inches()[1])


def _text(figure: Figure, x: float, from_top: float, text: str, **style: Any) -> Text:
    return figure.text(_inches_x(figure, x), _inches_y(figure, from_top), text, **style)


def _block(figure: Figure, block: Block, n: int, rows: int, top: float) -> list[Axes]:
    width, height = (float(v) for v in figure.get_size_inches())
    gap = _GAP if block.share_y else _GAP_WITH_LABELS
    panel_width = (width - _LEFT - _RIGHT - (n - 1) * gap) / n
    first_row = top + block.top
    made: list[Axes] = []
    for i in range(block.panels):
        row, column = divmod(i, n)
        low = first_row + row * block.row + block.rise + block.panel_height
        left = _LEFT + column * (panel_width + gap)
        shared = made[0] if made else None
        ax = figure.add_axes(
            (left / width, 1.0 - low / height, panel_width / width, block.panel_height / height),
            sharex=None if block.x_label is None else shared,
            sharey=shared if block.share_y else None,
        )
        ax.xaxis.set_major_locator(MaxNLocator(nbins=max(3, int(panel_width / 0.36)), steps=_STEPS))
        ax.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=_STEPS))
        # On a common scale the numbers stand at the left and below the lowest panel alone.
        ax.tick_params(labelbottom=block.x_label is None or i + n >= block.panels)
        ax.tick_params(labelleft=column == 0 or not block.share_y)
        ax.xaxis.labelpad = 2.0
        made.append(ax)
    heading = _text(figure, _EDGE, top + 0.06, block.heading, va="top", weight="bold", size=8.0)
    room = figure.bbox.width - (_RIGHT + _OVERHANG) * figure.dpi - heading.get_window_extent().x1
    for i, line in enumerate(block.summary):
        _shrink(_text(figure, width - _RIGHT, top + 0.07 + i * _LINE, line, va="top", ha="right", color=GREY), room)
    middle = first_row + block.rise + ((rows - 1) * block.row + block.panel_height) / 2.0
    _text(figure, _EDGE, middle, block.y_label, va="center", rotation="vertical")
    if block.x_label is not None:
        centre = _LEFT + (width - _LEFT - _RIGHT) / 2.0
        _text(figure, centre, first_row + rows * block.row + _TICKS, block.x_label, ha="center", va="top")
    return made


def title(ax: Axes, name: str, figures: Sequence[tuple[str, str]] = ()) -> None:
    """A panel's name, and below it lines of (text, colour of the square before it, if any) with its figures of merit."""
    rise = 2.5
    for line, colour in reversed(figures):
        if colour:
            _above(ax, "■", 0.0, rise, size=6.0, color=colour)
        _above(ax, line, 8.0 if colour else 0.0, rise, size=6.3, color=GREY)
        rise += 72.0 * _LINE
    _above(ax, name, 0.0, rise, size=TYPE_PT)


def _above(ax: Axes, text: str, right_pt: float, rise_pt: float, **style: Any) -> None:
    made = ax.annotate(text, (0.0, 1.0), (right_pt, rise_pt), "axes fraction", "offset points", va="baseline", **style)
    inch = ax.figure.dpi
    _shrink(made, ax.bbox.width + (_OVERHANG - right_pt / 72.0) * inch)


def _shrink(text: Text, room: float) -> None:
    """Make a text smaller that is wider than `room` pixels. Letters do not shrink quite in proportion: three times."""
    for _ in range(3):
        wide = text.get_window_extent().width
        if wide > room:
            text.set_fontsize(float(text.get_fontsize()) * room / wide)


def legend_columns(width_mm: float) -> int:
    """Keys of a legend that stand side by side."""
    return max(1, int(width_mm / 45.0))


def legend(sheet: Sheet, keys: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """The keys (label, style of its line) above all panels, in rows from the left."""
    figure = sheet.figure
    width = float(figure.get_size_inches()[0])
    n = legend_columns(sheet.size_mm[0])
    for row in range(math.ceil(len(keys) / n)):
        own = keys[row * n : (row + 1) * n]
        figure.legend(
            [Line2D([], [], **style) for _, style in own],
            # A label that begins with an underscore would be left out.
            [" " * label.startswith("_") + shorten(label, (width - _EDGE) / len(own) - 0.6) for label, _ in own],
            loc="upper left",
            bbox_to_anchor=(_inches_x(figure, _EDGE), _inches_y(figure, _TOP + row * _LEGEND_LINE - 0.02)),
            ncols=n,
            borderaxespad=0.0,
            borderpad=0.0,
            columnspacing=2.0,
            handlelength=2.2,
        )


def shorten(text: str, width_in: float) -> str:
    """A text cut in its middle to about this width at the size of a legend."""
    room = max(8, int(width_in / 0.058))
    if len(text) <= room:
        return text
    return f"{text[: room // 2 - 1]}…{text[-(room - room // 2) :]}"


def draw(make: Callable[[], Sheet], out: Path, dpi: float) -> Sheet:
    """Make a sheet in our own style, whatever the user's matplotlibrc says, and write it whole or not at all.

    Raises ConfigError for a picture too large to be one, FileError when it cannot be written.
    """
    with styled():
        sheet = make()
        width, height = (float(v) * dpi for v in sheet.figure.get_size_inches())
        if out.suffix.lower() == ".png" and (max(width, height) > _LONGEST_PX or width * height > _MOST_PX):
            raise ConfigError(
                f"{out}: {sheet.panels} panels at {dpi:g} dpi make a picture of {width:.0f} x {height:.0f} pixels, which is "
                "too large: choose fewer panels or a lower --dpi, or write an .svg"
            )
        save(sheet.figure, out, dpi)
    return sheet
