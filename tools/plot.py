"""`edge-msk plot`: figures of force curves, moment arms and solved trials, for papers and for looking twice.

    edge-msk plot curves --out curves.png
    edge-msk plot moment-arms --model leg9 --out arms.svg
    edge-msk plot trial --solved walk.sto --reference OpenSim=id.sto --out walk.png

matplotlib is loaded when something is drawn, so that help needs no extra.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edge.commands.options import FiniteRange
from edge.errors import ModelError
from edge.msk.curves import FAMILIES, curves_named
from edge.msk.model import load_model

if TYPE_CHECKING:
    from tools.plots.moment_arms import Points
    from tools.plots.sheet import Sheet

F = TypeVar("F", bound=Callable[..., Any])


def _output_options(command: F) -> F:
    """What every figure has: its file, its size, and how its figures of merit are told."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
        click.option(
            "--dpi", type=FiniteRange(50.0, 1200.0), default=200.0, show_default=True, help="Pixels per inch of a PNG."
        ),
        click.option(
            "--width-mm",
            type=FiniteRange(80.0, 500.0),
            default=183.0,
            show_default=True,
            help="Width of the figure; its height follows. 183 mm is two columns of a journal, 89 mm one.",
        ),
        click.option(
            "--out", type=click.Path(path_type=Path), required=True, help="The .png, .svg or .pdf file to write."
        ),
    ):
        command = option(command)
    return command


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Names between commas, each once; None for an option that was not given."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names or len(set(names)) != len(names):
        raise click.BadParameter("give names separated by commas, each once", context, parameter)
    return names


def _renamed(context: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, str] | None:
    """`a,b=theirs` as {a: a, b: theirs}."""
    names = _names(context, parameter, value)
    return None if names is None else _mapping(context, parameter, names)


def _mapping(context: click.Context, parameter: click.Parameter, entries: Sequence[str]) -> dict[str, str]:
    """`key=value` entries; a key without a value stands for itself."""
    found: dict[str, str] = {}
    for entry in entries:
        key, _, value = (part.strip() for part in entry.partition("="))
        if not key or key in found:
            raise click.BadParameter(f"'{entry}': give each name once", context, parameter)
        found[key] = value or key
    return found


def _angles(context: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, float]:
    """`hip=20,knee=-30` in degrees."""
    entries = _mapping(context, parameter, _names(context, parameter, value) or [])
    return {name: FiniteRange(-360.0, 360.0).convert(text, parameter, context) for name, text in entries.items()}


@click.group(epilog="\b\nExample:\n  edge-msk plot trial --solved walk.sto --reference OpenSim=id.sto --out walk.png")
def plot() -> None:
    """Figures of force curves, moment arms and solved trials (PNG, SVG or PDF)."""


@plot.command(epilog="\b\nExample:\n  edge-msk plot curves --curves degroote2016,millard2013 --out curves.png")
@click.option("--curves", "names", callback=_names, help="Families, separated by commas.  [default: all]")
@_output_options
def curves(names: list[str] | None, out: Path, width_mm: float, dpi: float, as_json: bool) -> None:
    """Force curves of muscle fibres (over length and velocity) and tendons (over strain)."""
    from tools.plots.curves import draw_curves
    from tools.plots.sheet import draw
    from train.plot_style import require_format

    require_format(out)
    families = [curves_named(name) for name in names or FAMILIES]
    sheet = draw(lambda: draw_curves(families, width_mm=width_mm), out, dpi)
    _report(out, sheet, as_json, {"curves": [family.name for family in families]}, [])


@plot.command(
    "moment-arms", epilog="\b\nExample:\n  edge-msk plot moment-arms --model leg9 --osim gait10.osim --out arms.png"
)
@click.option("--model", "model_name", default="leg9", show_default=True, help="A packaged model or a model file.")
@click.option(
    "--osim", type=click.Path(path_type=Path), help="An OpenSim model (.osim): draw what OpenSim computes beside it."
)
@click.option("--side", type=click.Choice(["r", "l"]), default="r", show_default=True, help="Side of --osim.")
@click.option(
    "--muscles",
    callback=_renamed,
    help="Muscles, separated by commas; ours=theirs where --osim has another name, without side.  [default: all]",
)
@click.option(
    "--row",
    "rows",
    callback=_names,
    help="Joints or angles to move, separated by commas.  [default: the model's torque rows]",
)
@click.option(
    "--at",
    "at_deg",
    callback=_angles,
    help="Where the other angles are held, in degrees: hip=20,knee=-30.  [default: 0]",
)
@click.option("--no-length", is_flag=True, help="Moment arms alone, without muscle-tendon lengths.")
@_output_options
def moment_arms(
    model_name: str,
    osim: Path | None,
    side: str,
    muscles: dict[str, str] | None,
    rows: list[str] | None,
    at_deg: dict[str, float],
    no_length: bool,
    out: Path,
    width_mm: float,
    dpi: float,
    as_json: bool,
) -> None:
    """Moment arm and length of muscles over the stored range of every joint that they cross.

    With --osim the points that OpenSim computes are drawn beside it, and the titles tell how far they are apart.
    """
    from tools.plots.moment_arms import crossings, draw_moment_arms, held_angles, sweep
    from tools.plots.sheet import draw
    from train.plot_style import require_format

    require_format(out)
    model = load_model(model_name)
    held = held_angles(model, at_deg)
    pairs = crossings(model, rows or model.row_names, list(muscles or model.muscle_names))
    samples: Sequence[Points | None] = [None] * len(pairs)
    note = f"{model.name}, the other angles at " + (
        ", ".join(f"{name} {degrees:g}°" for name, degrees in at_deg.items()) + " (the rest at 0)" if at_deg else "0"
    )
    if osim is not None:
        from tools.plots.opensim_points import opensim_points

        samples = opensim_points(osim, model, side, pairs, muscles or {}, held)
        note += f"; points: {osim.name}"
        if model.source.get("sha256") != hashlib.sha256(osim.read_bytes()).hexdigest():
            click.echo(
                f"warning: {osim}: is not the file that '{model.name}' was made from ({model.source.get('file')}): where they "
                "differ, the errors are theirs too",
                err=True,
            )
    sweeps = [sweep(model, row, muscle, held, s) for (row, muscle), s in zip(pairs, samples, strict=True)]
    sheet = draw(lambda: draw_moment_arms(sweeps, lengths=not no_length, width_mm=width_mm, note=note), out, dpi)
    errors: dict[str, dict[str, Mapping[str, float]]] = {}
    for s in sweeps:
        errors.setdefault(s.row, {})[s.muscle] = s.errors_mm
    lines = [
        f"  {s.row:<14} {s.muscle:<16} moment arm RMS {s.errors_mm['moment_arm_rms_mm']:6.3f} max "
        f"{s.errors_mm['moment_arm_max_mm']:6.3f} mm   length RMS {s.errors_mm['length_rms_mm']:6.3f} max "
        f"{s.errors_mm['length_max_mm']:6.3f} mm"
        for s in sweeps
        if s.errors_mm
    ]
    _report(out, sheet, as_json, {"model": model.name, "at_deg": at_deg, "errors": errors}, lines)


@plot.command(
    epilog="\b\nExample:\n  edge-msk plot trial --solved walk.sto --reference OpenSim=id.sto --reference OpenSim=so_force.sto "
    "--out walk.png"
)
@click.option("--solved", required=True, metavar="[LABEL=]FILE", help="What `edge-msk solve` wrote, or another result.")
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="[LABEL=]FILE",
    help="What it is compared with; give it once for each file. Files of one label are one reference.",
)
@click.option("--model", "model_name", default="leg9", show_default=True, help="A packaged model or a model file.")
@click.option(
    "--side", type=click.Choice(["r", "l"]), default="r", show_default=True, help="Side in the names of columns."
)
@click.option("--torque", is_flag=True, help="Draw joint torques.")
@click.option("--activation", is_flag=True, help="Draw muscle activations.")
@click.option("--force", is_flag=True, help="Draw muscle forces. Without any of the three all are drawn.")
@click.option("--muscles", callback=_names, help="Muscles, separated by commas.  [default: all]")
@click.option("--start-s", type=FiniteRange(), help="Draw and compare from here.  [default: the beginning]")
@click.option("--end-s", type=FiniteRange(), help="Draw and compare up to here.  [default: the end]")
@click.option("--free-scale", is_flag=True, help="Give every panel its own vertical scale.")
@_output_options
def trial(
    solved: str,
    references: tuple[str, ...],
    model_name: str,
    side: str,
    torque: bool,
    activation: bool,
    force: bool,
    muscles: list[str] | None,
    start_s: float | None,
    end_s: float | None,
    free_scale: bool,
    out: Path,
    width_mm: float,
    dpi: float,
    as_json: bool,
) -> None:
    """Torques, activations and forces of a solved trial, beside references of the same recording.

    A reference is another file of `solve` or `evaluate`, or OpenSim's: inverse dynamics (knee_angle_r_moment), and static
    optimisation or computed muscle control (soleus_r: activations where no value is above 1.5, forces otherwise). R2 and
    RMSE are taken at the moments of the sparser of the two files within their common time. A muscle whose reference
    hardly moves is called at rest: its R2 would mean nothing.
    """
    from tools.plots.comparison import compare, figures_text
    from tools.plots.series import Quantity, read_series
    from tools.plots.sheet import draw
    from tools.plots.trial import MOST_REFERENCES, draw_trial
    from train.plot_style import require_format

    require_format(out)
    if start_s is not None and end_s is not None and start_s >= end_s:
        raise click.UsageError(f"--start-s {start_s:g} must be before --end-s {end_s:g}")
    ours, files = _labelled(solved)
    labelled: dict[str, list[Path]] = {}
    for label, path in map(_labelled, references):
        labelled.setdefault(label, []).append(path)
    if ours in labelled:
        raise click.UsageError(f"--reference: '{ours}' is the label of --solved: give LABEL=FILE")
    if len(labelled) > MOST_REFERENCES:
        raise click.UsageError(
            f"--reference: {len(labelled)} labels, of which at most {MOST_REFERENCES} can be told apart: files of one "
            "reference take one label (LABEL=FILE)"
        )
    model = load_model(model_name)
    if unknown := [m for m in muscles or [] if m not in model.muscle_names]:
        raise ModelError(
            f"model '{model.name}' has no muscle '{unknown[0]}': it has {', '.join(model.muscle_names)}: give --muscles of these"
        )
    chosen = [q for q, asked in zip(Quantity, (torque, activation, force), strict=True) if asked]
    shown = compare(
        read_series(ours, [files], model, side),
        [read_series(label, paths, model, side) for label, paths in labelled.items()],
        chosen or None,
        muscles,
        start_s,
        end_s,
    )
    for label, lacking in shown.lacking.items():
        for quantity, names in lacking.items():
            click.echo(f"warning: {label}: has no {quantity.value} of {', '.join(names)}", err=True)
    sheet = draw(lambda: draw_trial(shown, free_scale=free_scale, width_mm=width_mm), out, dpi)
    figures = {
        label: {
            quantity.value: {
                "pooled": asdict(shown.pooled[label][quantity]),
                "channels": {name: asdict(a) for name, a in channels.items()},
            }
            for quantity, channels in by_quantity.items()
        }
        for label, by_quantity in shown.each.items()
    }
    lines = [
        f"  {label}: {quantity.value:<10}  {figures_text(a, quantity)}"
        for label, by_quantity in shown.pooled.items()
        for quantity, a in by_quantity.items()
    ]
    _report(out, sheet, as_json, {"period_s": shown.period_s, "references": figures}, lines)


def _labelled(text: str) -> tuple[str, Path]:
    """`LABEL=FILE` or `FILE`, whose label is its name. A file whose own name has a '=' is taken as it is."""
    label, equals, path = text.partition("=")
    if equals and label and not Path(text).exists():
        return label, Path(path)
    return Path(text).name, Path(text)


def _report(out: Path, sheet: Sheet, as_json: bool, more: Mapping[str, Any], lines: Sequence[str]) -> None:
    width, height = sheet.size_mm
    if as_json:
        click.echo(
            json.dumps({"out": str(out), "panels": sheet.panels, "size_mm": [width, height], **more}, allow_nan=False)
        )
        return
    click.echo(f"{sheet.panels} panels, {width:g} x {height:g} mm -> {out}")
    for line in lines:
        click.echo(line)
