"""The figure of `edge-msk plot trial`: small multiples of a solved trial, its references below, their agreement above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tools.plots.comparison import Agreement, Comparison, figures_text
from tools.plots.series import Channel, Quantity
from tools.plots.sheet import Block, Sheet, lay_out, legend, shorten, title
from train.plot_style import BLUE, COLOURS, DASHES, FAINT, INK

MOST_REFERENCES = len(COLOURS)

_HEADINGS = {Quantity.TORQUE: "Joint torque", Quantity.ACTIVATION: "Muscle activation", Quantity.FORCE: "Muscle force"}
_Y_LABELS = {Quantity.TORQUE: "torque (Nm)", Quantity.ACTIVATION: "activation", Quantity.FORCE: "force (N)"}
_LONG_CLOCK_S = 1000.0
_SOLVED: dict[str, Any] = {"color": BLUE}
_RESERVE: dict[str, Any] = {"color": INK, "lw": 0.7, "ls": ":"}


def draw_trial(shown: Comparison, *, free_scale: bool, width_mm: float) -> Sheet:
    """Panels of a solved trial, its references behind it, their agreement above."""
    # A clock that counts from 1970 leaves no room for its numbers: seconds then count from the beginning.
    origin_s = 0.0 if abs(shown.period_s[0]) < _LONG_CLOCK_S else float(np.floor(shown.period_s[0]))
    blocks = [
        Block(
            _HEADINGS[quantity],
            len(names),
            "time (s)" if origin_s == 0.0 else f"time (s) after {origin_s:.0f} s",
            _Y_LABELS[quantity],
            share_y=not free_scale,
            # So that the figures of merit need not shrink, nor with several references the squares before them.
            narrowest=1.1 if len(shown.references) < 2 else 1.26,
            summary=_summary(shown, quantity),
            title_lines=1 + sum(quantity in by_quantity for by_quantity in shown.each.values()),
        )
        for quantity, names in shown.panels.items()
    ]
    keys = [(shown.solved.label, _SOLVED)]
    keys += [(reference.label, _reference_style(i)) for i, reference in enumerate(shown.references)]
    if any(row in shown.solved.reserve_nm for row in shown.panels.get(Quantity.TORQUE, ())):
        keys.append(("reserve torque", _RESERVE))
    sheet = lay_out(blocks, width_mm=width_mm, legend=len(keys))
    for (quantity, names), axes in zip(shown.panels.items(), sheet.axes, strict=True):
        for name, ax in zip(names, axes, strict=True):
            _panel(ax, shown, quantity, name, origin_s)
        if quantity is not Quantity.TORQUE:
            _from_zero(axes)
    legend(sheet, keys)
    return sheet


def _summary(shown: Comparison, quantity: Quantity) -> list[str]:
    """The agreement of all panels of a quantity, one line a reference, where there is more than one panel to sum up."""
    if len(shown.panels[quantity]) == 1:
        return []
    return [
        f"{shorten(label, 1.6)}: {_typeset(pooled[quantity], quantity)}"
        for label, pooled in shown.pooled.items()
        if quantity in pooled
    ]


def _typeset(a: Agreement, quantity: Quantity) -> str:
    return figures_text(a, quantity).replace("R2", "R²").replace("-", "−")


def _panel(ax: Axes, shown: Comparison, quantity: Quantity, name: str, origin_s: float) -> None:
    def line(channel: Channel | None, **style: Any) -> None:
        if channel is not None:
            _line(ax, channel, shown.period_s, origin_s, **style)

    for i, reference in enumerate(shown.references):
        line(reference.channels[quantity].get(name), zorder=2.0, **_reference_style(i))
    line(shown.solved.channels[quantity][name], zorder=3.0, **_SOLVED)
    if quantity is Quantity.TORQUE:
        ax.axhline(0.0, color=FAINT, lw=0.6, zorder=1.0)
        line(shown.solved.reserve_nm.get(name), zorder=2.5, **_RESERVE)
    ax.set_xlim(shown.period_s[0] - origin_s, shown.period_s[1] - origin_s)
    lines = []
    for i, reference in enumerate(shown.references):
        agreement = shown.each[reference.label].get(quantity, {}).get(name)
        if agreement is not None:
            lines.append((_typeset(agreement, quantity), COLOURS[i] if len(shown.references) > 1 else ""))
    title(ax, name.replace("_", " "), lines)


def _from_zero(axes: Sequence[Axes]) -> None:
    """Begin vertical axes at zero, below which no muscle's force or activation is; a measured envelope can be."""
    for ax in axes:
        together = [ax, *(other for other in axes if ax.get_shared_y_axes().joined(ax, other))]
        if min(other.dataLim.y0 for other in together) >= 0.0:
            ax.set_ylim(bottom=0.0)


def _reference_style(index: int) -> dict[str, Any]:
    # Broad below ours, each narrower than the one before: where they agree all can be seen.
    return {"color": COLOURS[index], "ls": DASHES[index], "lw": (2.8, 2.1, 1.7, 1.7)[index]}


def _line(ax: Axes, channel: Channel, period_s: tuple[float, float], origin_s: float, **style: Any) -> None:
    first, last = period_s
    # One row beyond the ends, so that the line reaches them.
    low = max(0, int(np.searchsorted(channel.time_s, first)) - 1)
    high = int(np.searchsorted(channel.time_s, last, side="right")) + 1
    ax.plot(channel.time_s[low:high] - origin_s, channel.values[low:high], **style)
