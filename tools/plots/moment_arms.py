"""The figure of `edge-msk plot moment-arms`: how long muscles are and how they turn each joint, over the joint's range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from edge.errors import ConfigError, ModelError
from edge.msk.model import Model
from edge.msk.spline import FloatArray
from tools.plots.sheet import Block, Sheet, lay_out, legend, title
from train.plot_style import BLUE, COLOURS, FAINT

_STEPS = 181  # of a line

# Joints are counter-clockwise positive in the sagittal plane (edge.msk.model), others as in OpenSim: in anatomists' words.
_POSITIVE = {
    "hip": "flexion",
    "knee": "extension",
    "ankle": "dorsiflexion",
    "elbow": "flexion",
    "hip_adduction": "adduction",
}

_LINE: dict[str, Any] = {"color": BLUE}
_POINTS: dict[str, Any] = {"ls": "", "marker": "o", "ms": 3.4, "mfc": COLOURS[0], "mec": "none"}


@dataclass(frozen=True)
class Points:
    """A muscle at angles (n,) in rad: muscle-tendon lengths (n,) and moment arms (n,) in m."""

    angle_rad: FloatArray
    length_m: FloatArray
    arm_m: FloatArray


@dataclass(frozen=True)
class Sweep:
    """One muscle over the range of one angle that it crosses, the other angles held."""

    muscle: str
    row: str
    line: Points  # of our model
    samples: Points | None  # of OpenSim
    errors_mm: Mapping[str, float]  # ours less OpenSim's at its points; empty without them


def held_angles(model: Model, at_deg: Mapping[str, float]) -> FloatArray:
    """The angles (n_coordinates,) in rad at which the others are held, zero where nothing is said.

    Raises ModelError for an angle that the model does not have, ConfigError for one outside the stored range.
    """
    q = np.zeros(len(model.coordinate_names))
    for name, degrees in at_deg.items():
        index = angle_index(model, name)
        low, high = np.degrees([model.geometry.lower_rad[index], model.geometry.upper_rad[index]])
        if not low <= degrees <= high:
            raise ConfigError(
                f"--at {name}={degrees:g}: outside the range of the model '{model.name}', {low:.0f} to {high:.0f} deg: "
                "choose an angle within it"
            )
        q[index] = np.radians(degrees)
    return q


def angle_index(model: Model, name: str) -> int:
    """Place of an angle among the model's. Raises ModelError when it has none of that name."""
    if name not in model.coordinate_names:
        raise ModelError(f"model '{model.name}' has no angle '{name}': it has {', '.join(model.coordinate_names)}")
    return model.coordinate_names.index(name)


def crossings(model: Model, rows: Sequence[str], muscles: Sequence[str]) -> list[tuple[str, str]]:
    """(row, muscle) of each muscle that crosses each row. Raises ModelError for unknown names, or when there is none."""
    known = {m.name: m for m in model.muscles}
    for muscle in muscles:
        if muscle not in known:
            raise ModelError(f"model '{model.name}' has no muscle '{muscle}': it has {', '.join(model.muscle_names)}")
    for row in rows:
        angle_index(model, row)
    pairs = [(row, muscle) for row in rows for muscle in muscles if row in known[muscle].length.angles]
    if not pairs:
        raise ModelError(
            f"model '{model.name}': none of {', '.join(muscles)} crosses {', '.join(rows)}: choose other --muscles or --row"
        )
    return pairs


def angles_over_range(model: Model, row: str, steps: int) -> FloatArray:
    """Angles (steps,) in rad from one end of a row's stored range to the other."""
    index = angle_index(model, row)
    return np.linspace(model.geometry.lower_rad[index], model.geometry.upper_rad[index], steps)


def states(model: Model, row: str, angle_rad: FloatArray, held: FloatArray) -> FloatArray:
    """All angles (n, n_coordinates) in rad while one row takes the given ones (n,) and the others are held."""
    q = np.tile(held, (len(angle_rad), 1))
    q[:, angle_index(model, row)] = angle_rad
    return q


def sweep(model: Model, row: str, muscle: str, held: FloatArray, samples: Points | None) -> Sweep:
    """One muscle over one row, and its errors against OpenSim's points where they are given."""
    line = _evaluate(model, row, muscle, angles_over_range(model, row, _STEPS), held)
    errors = {}
    if samples is not None:
        ours = _evaluate(model, row, muscle, samples.angle_rad, held)
        for name, error in (
            ("length", ours.length_m - samples.length_m),
            ("moment_arm", ours.arm_m - samples.arm_m),
        ):
            errors[f"{name}_rms_mm"] = float(np.sqrt((error**2).mean()) * 1e3)
            errors[f"{name}_max_mm"] = float(np.abs(error).max() * 1e3)
    return Sweep(muscle, row, line, samples, errors)


def _evaluate(model: Model, row: str, muscle: str, angle_rad: FloatArray, held: FloatArray) -> Points:
    m, r = model.muscle_names.index(muscle), angle_index(model, row)
    length, arms = model.geometry.evaluate(states(model, row, angle_rad, held))
    return Points(angle_rad, length[:, m], arms[:, m, r])


def draw_moment_arms(sweeps: Sequence[Sweep], *, lengths: bool, width_mm: float, note: str) -> Sheet:
    """For each row a block of moment arms, all on one scale, and with `lengths` one of muscle-tendon lengths.

    Length panels show different lengths, but all in a row's block span the same number of mm: slopes can be compared.
    """
    rows = list(dict.fromkeys(s.row for s in sweeps))
    sampled = any(s.samples is not None for s in sweeps)
    blocks, contents = [], []
    for row in rows:
        own = [s for s in sweeps if s.row == row]
        name = row.replace("_", " ")
        x_label = f"{name} angle (deg)" + (f", {_POSITIVE[row]} positive" if row in _POSITIVE else "")
        for kind in ("arm", "length") if lengths else ("arm",):
            arm = kind == "arm"
            blocks.append(
                Block(
                    f"{name.capitalize()}: {'moment arm' if arm else 'muscle-tendon length'}",
                    len(own),
                    x_label,
                    f"{'moment arm' if arm else 'length'} (mm)",
                    share_y=arm,
                    title_lines=1 + sampled,
                )
            )
            contents.append((own, arm))
    keys = [("edge-msk", _LINE), ("OpenSim", _POINTS)] if sampled else []
    sheet = lay_out(blocks, width_mm=width_mm, legend=len(keys), note=note)
    for (own, arm), axes in zip(contents, sheet.axes, strict=True):
        for s, ax in zip(own, axes, strict=True):
            if arm:
                ax.axhline(0.0, color=FAINT, lw=0.6, zorder=1.0)
            ax.plot(np.degrees(s.line.angle_rad), _mm(s.line, arm), zorder=3.0, **_LINE)
            if s.samples is not None:
                ax.plot(np.degrees(s.samples.angle_rad), _mm(s.samples, arm), zorder=2.0, **_POINTS)
            ax.set_xlim(*np.degrees(s.line.angle_rad[[0, -1]]))
            title(ax, s.muscle.replace("_", " "), _errors_text(s, "moment_arm" if arm else "length"))
        if not arm:
            _same_span(own, axes)
    legend(sheet, keys)
    return sheet


def _mm(points: Points, arm: bool) -> FloatArray:
    return (points.arm_m if arm else points.length_m) * 1e3


def _errors_text(s: Sweep, kind: str) -> list[tuple[str, str]]:
    if not s.errors_mm:
        return []
    return [(f"RMS {_short(s.errors_mm[f'{kind}_rms_mm'])}, max {_short(s.errors_mm[f'{kind}_max_mm'])} mm", "")]


def _short(error_mm: float) -> str:
    return f"{error_mm:.2f}" if error_mm >= 0.005 else "<0.01"


def _same_span(sweeps: Sequence[Sweep], axes: Sequence[Axes]) -> None:
    ends = []
    for s in sweeps:
        values = [_mm(p, False) for p in (s.line, s.samples) if p is not None]
        ends.append((min(float(v.min()) for v in values), max(float(v.max()) for v in values)))
    half = 0.55 * max(high - low for low, high in ends)
    for ax, (low, high) in zip(axes, ends, strict=True):
        ax.set_ylim((low + high) / 2.0 - half, (low + high) / 2.0 + half)
