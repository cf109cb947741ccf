"""The kinds of plots that experiments make. Each writes one file and returns its path.

To be imported where it is used: it needs matplotlib, which comes with the extra `experiment`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from train.plot_style import BLUE, COLOURS, DASHES, FAINT, GREY, INK, MM_PER_INCH, require_format, save, styled

FloatArray = npt.NDArray[np.float64]

SERIES = (BLUE, *COLOURS, INK, GREY)
_DPI = 200.0
_WIDTH_MM = 170.0
_MARKERS = "osD^vPX"
_INCHES_PER_BAR = 0.1
_SHORT_NAME = 24  # characters, of which four stand beside each other


def bars(
    out: Path,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    y_label: str,
    deviations: Mapping[str, Sequence[float | None]] | None = None,
    goal: float | None = None,
    y_from: float | None = None,
) -> Path:
    """Horizontal bars: one for each series in every group, with its value beside it; None is left out.

    deviations: half-lengths of the whiskers. goal: a line across. y_from: where the axis begins; default 0, or below it.
    """
    require_format(out)
    known = [v for values in series.values() for v in values if v is not None]
    if not known:
        raise ValueError("nothing to draw")
    first = min(0.0, *known) if y_from is None else y_from
    width, thick = _WIDTH_MM / MM_PER_INCH, 0.8 / max(len(series), 1)
    height = 0.75 + len(groups) * (0.08 + len(series) * _INCHES_PER_BAR * 1.3)
    with styled():
        figure = Figure(figsize=(width, height), layout="constrained")
        ax = figure.add_subplot()
        for k, (name, values) in enumerate(series.items()):
            spread = [0.0] * len(values) if deviations is None else [d or 0.0 for d in deviations[name]]
            for i, value in enumerate(values):
                if value is None:
                    continue
                at, shown = i + (k + 0.5) * thick - 0.4, max(value, first)
                colour = SERIES[k % len(SERIES)]
                ax.barh(at, shown - first, 0.9 * thick, left=first, color=colour, label=name if i == 0 else None)
                if spread[i] > 0.0:
                    ax.plot([shown - spread[i], shown + spread[i]], [at, at], color=GREY, linewidth=0.6)
                ax.annotate(
                    f"{value:.3f}",
                    (shown + spread[i], at),
                    (2, 0),
                    "data",
                    "offset points",
                    va="center",
                    size=6.0,
                    color=GREY,
                )
        if goal is not None:
            ax.axvline(goal, color=INK, linestyle=":", linewidth=0.8)
        ax.set_yticks(range(len(groups)), groups)
        ax.set_ylim(len(groups) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0.0)
        highest = max(*known, goal or first)
        ax.set_xlim(first, highest + 0.08 * (highest - first) if highest > first else first + 1.0)
        ax.set_xlabel(y_label)
        if len(series) > 1:
            across = 4 if max(map(len, series)) <= _SHORT_NAME else 3
            figure.legend(loc="outside upper left", ncols=min(len(series), across))
        save(figure, out, _DPI)
    return out


def lines(
    out: Path,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    deviations: Mapping[str, Sequence[float]] | None = None,
    log_x: bool = False,
    y_from: float | None = None,
) -> Path:
    """Curves (x, y) with a marker at every point and, with `deviations`, a band."""
    require_format(out)
    with styled():
        figure = Figure(figsize=(0.62 * _WIDTH_MM / MM_PER_INCH, 2.9), layout="constrained")
        ax = figure.add_subplot()
        for k, (name, (x, y)) in enumerate(series.items()):
            colour, dash = SERIES[k % len(SERIES)], DASHES[k % len(DASHES)]
            ax.plot(x, y, dash, color=colour, marker=_MARKERS[k % len(_MARKERS)], markersize=3.0, label=name)
            if deviations is not None and name in deviations:
                spread = np.asarray(deviations[name])
                ax.fill_between(x, np.asarray(y) - spread, np.asarray(y) + spread, color=colour, alpha=0.15, lw=0)
        if log_x:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # the style has no exponents
        if y_from is not None:
            ax.set_ylim(bottom=y_from)
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
        if len(series) > 1:
            figure.legend(loc="outside upper left", ncols=min(len(series), 2))
        save(figure, out, _DPI)
    return out


def heat_map(
    out: Path, values: FloatArray, rows: Sequence[str], columns: Sequence[str], *, label: str, low: float, high: float
) -> Path:
    """A table of numbers (rows, columns) with the size of each as its colour; NaN stays white."""
    require_format(out)
    with styled():
        height = 0.9 + 0.22 * len(rows)
        figure = Figure(figsize=(1.4 + 0.42 * len(columns), height), layout="constrained")
        ax = figure.add_subplot()
        image = ax.imshow(np.clip(values, low, high), cmap="cividis", vmin=low, vmax=high, aspect="auto")
        for (i, k), value in np.ndenumerate(values):
            if np.isfinite(value):
                dark = np.clip(value, low, high) < (low + high) / 2.0
                ax.text(k, i, f"{value:.2f}", ha="center", va="center", size=6.0, color="white" if dark else INK)
        ax.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
        ax.set_yticks(range(len(rows)), rows)
        ax.tick_params(length=0.0)
        figure.colorbar(image, ax=ax, label=label, shrink=0.8)
        save(figure, out, _DPI)
    return out


def scatter(
    out: Path,
    panels: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    colour_label: str,
    cyclic: bool = False,
    x_label: str = "",
    y_label: str = "",
) -> Path:
    """One panel for each (points (n, 2), value (n,)): points in the plane, coloured by a value on a common scale."""
    require_format(out)
    low = min(float(value.min()) for _, value in panels.values())
    high = max(float(value.max()) for _, value in panels.values())
    with styled():
        across = min(len(panels), 3)
        down = -(-len(panels) // across)
        side = _WIDTH_MM / MM_PER_INCH / 3.0
        figure = Figure(figsize=(across * side + 0.5, down * side), layout="constrained")
        axes = np.atleast_1d(figure.subplots(down, across)).reshape(-1)
        for ax, (name, (points, value)) in zip(axes, panels.items(), strict=False):
            colours = "twilight" if cyclic else "cividis"
            image = ax.scatter(points[:, 0], points[:, 1], c=value, s=2.0, cmap=colours, vmin=low, vmax=high, lw=0)
            ax.set_title(name, size=7.0, loc="left")
            ax.set_xlabel(x_label)
            ax.set_ylabel(y_label)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        figure.colorbar(image, ax=axes.tolist(), label=colour_label, shrink=0.8)
        save(figure, out, _DPI)
    return out


def traces(
    out: Path, panels: Mapping[str, Mapping[str, tuple[FloatArray, FloatArray]]], *, x_label: str, y_label: str
) -> Path:
    """One small panel for each name with its curves (x, y), the first of which is the reference, in black."""
    require_format(out)
    with styled():
        across = min(len(panels), 4)
        down = -(-len(panels) // across)
        figure = Figure(figsize=(_WIDTH_MM / MM_PER_INCH, 0.5 + 1.15 * down), layout="constrained")
        axes = np.atleast_1d(figure.subplots(down, across, sharex=True, sharey=True)).reshape(-1)
        for i, (ax, (name, curves)) in enumerate(zip(axes, panels.items(), strict=False)):
            for k, (label, (x, y)) in enumerate(curves.items()):
                colour = INK if k == 0 else SERIES[(k - 1) % len(SERIES)]
                ax.plot(x, y, color=colour, linestyle=DASHES[k % len(DASHES)], label=label if i == 0 else None, lw=0.9)
            ax.set_title(name, size=7.0, loc="left")
            ax.axhline(0.0, color=FAINT, lw=0.4, zorder=0)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        figure.supxlabel(x_label, size=7.0)
        figure.supylabel(y_label, size=7.0)
        figure.legend(loc="outside upper left", ncols=4)
        save(figure, out, _DPI)
    return out
