"""The figure of `edge-msk plot curves`: the force curves that fibres and tendons of the Hill muscle can have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.msk.curves import Curves
from edge.msk.spline import FloatArray
from tools.plots.sheet import Block, Sheet, lay_out, legend, title
from train.plot_style import BLUE, COLOURS, FAINT, INK

_AUTHORS = {
    "degroote2016": "De Groote et al. 2016",
    "millard2013": "Millard et al. 2013",
    "thelen2003": "Thelen 2003",
}
_STYLES: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "ls": "-"},
    {"color": COLOURS[0], "ls": "--"},
    {"color": COLOURS[3], "ls": "-."},
    {"color": INK, "ls": ":"},
)
_POINTS = 401
_LENGTH, _VELOCITY, _STRAIN = (0.4, 1.8), (-1.0, 1.0), (-0.01, 0.07)
_FORCE = (-0.05, 1.85)  # a passive fibre or a tendon goes on beyond


def draw_curves(families: Sequence[Curves], *, width_mm: float) -> Sheet:
    """Active and passive force over fibre length, force over fibre velocity and over tendon strain, all on one scale."""
    length, velocity, strain = (np.linspace(*ends, _POINTS) for ends in (_LENGTH, _VELOCITY, _STRAIN))
    panels: tuple[tuple[str, str, FloatArray, float], ...] = (
        ("active force-length", "fibre length (normalised)", length, 1.0),
        ("passive force-length", "fibre length (normalised)", length, 1.0),
        ("force-velocity", "fibre velocity (lengthening +)", velocity, 0.0),
        ("tendon force-strain", "tendon strain (%)", 100.0 * strain, 0.0),
    )
    block = Block("", len(panels), None, "force (normalised)", panel_height=1.4)
    sheet = lay_out([block], width_mm=width_mm, legend=len(families))
    (axes,) = sheet.axes
    for family, style in zip(families, _STYLES, strict=False):
        forces = (
            family.active_force_length(length),
            family.passive_force_length(length),
            family.force_velocity(velocity),
            family.tendon_force_length(1.0 + strain, np.full_like(strain, family.tendon_strain)),
        )
        for ax, (_, _, x, _), force in zip(axes, panels, forces, strict=True):
            ax.plot(x, force, **style)
    for ax, (name, x_label, x, neutral) in zip(axes, panels, strict=True):
        ax.axvline(neutral, color=FAINT, lw=0.6, zorder=1.0)
        ax.set_xlim(x[0], x[-1])
        ax.set_ylim(*_FORCE)
        ax.set_xlabel(x_label)
        title(ax, name)
    legend(sheet, [(_AUTHORS.get(f.name, f.name), style) for f, style in zip(families, _STYLES, strict=False)])
    return sheet
