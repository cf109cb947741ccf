"""`edge-msk import-model`: one limb of an OpenSim model becomes our planar model file.

Everything is asked of OpenSim itself (segment masses, joint centres, muscle lengths and moment arms), so that whatever
joint or path type a model uses, the result describes what OpenSim computes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from edge.errors import FileError, ModelError
from edge.msk.anatomy import Joint, Muscle, OutsideAngle
from edge.msk.length_functions import LengthPolynomial
from edge.msk.model import Model
from edge.msk.spline import FloatArray
from edge.storage import write_text
from tools.length_fit import choose_length, halton, jumps, sample_states
from tools.limbs import LIMBS, Limb
from tools.opensim_curves import curve_parameters
from tools.opensim_limb import ASSUMED_MASS, OpenSimLimb
from tools.segment_shares import inertia_terms, length_shares

IMPORT_FORMAT = 3  # counts changes of what an import makes of the same OpenSim model
_PROBES = 150
_STEP_RAD = 1e-4
_CROSSING_MM = 0.05  # a muscle crosses an angle when its length ever changes by more than this with it


def crossed_angles(limb: OpenSimLimb, muscle: Any) -> list[int]:
    """Angles on which the muscle's length depends.

    Not those with a moment arm alone: OpenSim's wrapping leaves noise of a millimetre at joints a muscle never reaches.
    """
    low, high = limb.limits()
    probe = low + halton(40, len(low)) * (high - low)
    length = limb.lengths(muscle, probe)
    crossed = []
    for j in range(len(low)):
        moved = probe.copy()
        moved[:, j] = np.roll(probe[:, j], 1)
        if np.abs(limb.lengths(muscle, moved) - length).max() > _CROSSING_MM * 1e-3:
            crossed.append(j)
    return crossed


def _contradiction_mm(limb: OpenSimLimb, muscle: Any, q: FloatArray, crossed: list[int]) -> float:
    """How far OpenSim's moment arms are from the derivative of its own lengths: no function can follow both.

    RMS in mm over the states but the worst twentieth, which may be jumps.
    """
    _, arms = limb.path_samples(muscle, q, crossed)
    slopes = np.empty_like(arms)
    for k, j in enumerate(crossed):
        step = np.zeros(q.shape[1])
        step[j] = _STEP_RAD
        slopes[:, k] = (limb.lengths(muscle, q + step) - limb.lengths(muscle, q - step)) / (2.0 * _STEP_RAD)
    error = np.sort(np.abs(slopes + arms).max(axis=1))[: round(0.95 * len(q))]
    return float(np.sqrt((error**2).mean()) * 1e3)


def import_muscle(limb: OpenSimLimb, muscle: Any, name: str) -> Muscle:
    """One muscle: its parameters, and the function of its crossed angles whose held-out error is small enough."""
    crossed = crossed_angles(limb, muscle)
    if not crossed:
        names = ", ".join(a.name for a in limb.angles)
        raise ModelError(f"{limb.path}: muscle '{muscle.getName()}' crosses none of {names}: leave it out of --muscles")
    low, high = (end[crossed] for end in limb.limits())
    states, held_out = sample_states(low, high)
    q = np.zeros((len(states), len(limb.angles)))
    q[:, crossed] = states
    length, arms = limb.path_samples(muscle, q, crossed)
    usual = ~jumps(states, length, arms, low, high)
    function, fit = choose_length(
        tuple(limb.angles[j].name for j in crossed),
        states[usual],
        length[usual],
        arms[usual],
        low,
        high,
        held_out[usual],
    )
    fit["excluded_states"] = float((~usual).sum())
    fit["contradiction_mm"] = _contradiction_mm(limb, muscle, q[:: max(1, len(q) // _PROBES)], crossed)
    return Muscle(
        name=name,
        max_isometric_force_n=float(muscle.getMaxIsometricForce()),
        optimal_fiber_length_m=float(muscle.getOptimalFiberLength()),
        tendon_slack_length_m=float(muscle.getTendonSlackLength()),
        pennation_at_optimal_rad=float(muscle.getPennationAngleAtOptimalFiberLength()),
        max_contraction_velocity=float(muscle.getMaxContractionVelocity()),
        length=function,
        fit=fit,
        curves=curve_parameters(limb.osim, muscle, f"{limb.path}: muscle '{muscle.getName()}'"),
    )


def _chosen(limb: OpenSimLimb, muscles: Mapping[str, str] | None) -> dict[str, Any]:
    """OpenSim's muscles under our names. Raises ModelError for one that does not exist or is asked for twice."""
    suffix = limb.limb.suffix.format(side=limb.side)
    of_limb = {m.getName().removesuffix(suffix): m for m in limb.model.getMuscles() if m.getName().endswith(suffix)}
    if muscles is None:
        own = set(range(len(limb.limb.joints)))
        chosen = {name: muscle for name, muscle in of_limb.items() if own & set(crossed_angles(limb, muscle))}
        if not chosen:
            raise ModelError(
                f"{limb.path}: no muscle of side '{limb.side}' crosses {', '.join(a.name for a in limb.limb.joints)}: "
                "take another --side"
            )
        return chosen
    for theirs in muscles.values():
        if theirs not in of_limb:
            raise ModelError(f"{limb.path}: has no muscle '{theirs}{suffix}': it has {', '.join(of_limb)}")
    return {ours: of_limb[theirs] for ours, theirs in muscles.items()}


def import_limb(
    path: Path,
    limb: Limb,
    *,
    name: str,
    side: str = "r",
    rows: Collection[str] = (),
    angles: Collection[str] = (),
    ranges_rad: Mapping[str, tuple[float, float]] | None = None,
    muscles: Mapping[str, str] | None = None,
    licence: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Model:
    """Make a planar model of one limb.

    `rows` are angles beside the joints in which the muscles shall be balanced too, `angles` are such that only their lengths
    shall depend on; `ranges_rad` widens or narrows the limb's own ranges of angles by name. `muscles` maps our names to OpenSim's
    without the side suffix; None takes all of that side that cross a joint of the limb; an empty mapping takes none, and
    the result serves inverse dynamics alone. Raises FileError, ModelError or MissingExtraError.
    """
    if ranges_rad:
        limb = limb.with_ranges(ranges_rad)
    known = [a.name for a in (*limb.neighbours, *limb.out_of_plane)]
    unknown = [angle for angle in (*rows, *angles) if angle not in known]
    if unknown:
        raise ModelError(
            f"a {limb.name} has no angle '{unknown[0]}' beside its joints: "
            + (f"choose of {', '.join(known)}" if known else "leave it out")
        )
    source = OpenSimLimb(path, limb, side, {*rows, *angles})
    chosen = _chosen(source, muscles)
    centers = [source.joint_center(i) for i in range(len(limb.joints))]
    base, first = source.base(centers[0])
    built = []
    for muscle_name, muscle in chosen.items():
        built.append(import_muscle(source, muscle, muscle_name))
        if progress is not None:
            progress(muscle_name)
    shares = length_shares(source, {m.name: (chosen[m.name], m.length.angles) for m in built})
    built = [
        replace(m, shares=shares[m.name][0], fit={**m.fit, "shares_rms_mm": shares[m.name][1]})
        if m.name in shares
        else m
        for m in built
    ]
    return Model(
        name=name,
        mass_kg=source.body_mass_kg(),
        leg_length_m=source.length_m(centers),
        gravity_mps2=source.gravity_mps2(),
        base=base,
        joints=tuple(
            Joint(a.name, a.coordinate, s, a.range_rad, c)
            for a, s, c in zip(limb.joints, source.signs, (first, *centers[1:]), strict=False)
        ),
        segments=tuple(
            replace(source.segment(i, s), inertia_terms=inertia_terms(source, i)) for i, s in enumerate(limb.segments)
        ),
        muscles=tuple(built),
        outside=tuple(
            OutsideAngle(a.name, a.coordinate, s, a.range_rad)
            for a, s in zip(source.outside, source.signs[len(limb.joints) :], strict=True)
        ),
        outside_rows=tuple(a.name for a in source.outside if a.name in rows),
        source={
            "model": str(source.model.getName()),
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "side": side,
            "software": f"OpenSim {source.osim.GetVersion()}",
            "credits": str(source.model.getCredits()).strip(),
            "licence": licence or "not stated to edge-msk import-model; see the credits",
            **({"body_mass": ASSUMED_MASS} if source.standard_mass else {}),
            **({"segment_masses": limb.mass.source} if source.massless and limb.mass else {}),
        },
    )


def _names(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()


def muscle_names(text: str | None) -> dict[str, str] | None:
    """`a,b=theirs`, our names for OpenSim's, as {a: a, b: theirs}. Raises ModelError for a name given twice."""
    names: dict[str, str] = {}
    for entry in (text or "").replace(",", " ").split():
        ours, _, theirs = entry.partition("=")
        if ours in names:
            raise ModelError(f"muscle '{ours}' is asked for twice: name it once in --muscles")
        names[ours] = theirs or ours
    return names or None


@click.command(
    "import-model",
    epilog="""Example:

\b
  edge-msk import-model gait10dof18musc.osim --out leg9.json
  edge-msk import-model gait2392.osim --rows hip_adduction --angles hip_rotation,subtalar --out leg.json
  edge-msk import-model arm26.osim --limb elbow --muscles TRIlong,TRIlat,TRImed,BIClong,BICshort --out elbow5.json
  edge-msk import-model wrist.osim --limb wrist --muscles FCR,FCU,ECRL,ECRB,ECU=ECU_pre-surgery --out wrist5.json""",
)
@click.argument("osim", type=click.Path(path_type=Path))
@click.option(
    "--limb", "limb_name", type=click.Choice(list(LIMBS)), default="leg", show_default=True, help="Which limb."
)
@click.option("--side", type=click.Choice(["r", "l"]), default="r", show_default=True, help="Which side of it.")
@click.option(
    "--rows",
    help="Torque rows beside the joints', separated by commas: hip_adduction, hip_rotation, subtalar for a leg.",
)
@click.option(
    "--angles", help="Angles beside the joints that muscle lengths shall depend on, without a torque row: as --rows."
)
@click.option(
    "--muscles",
    help="Muscles to take, without the side suffix, separated by commas; ours=theirs renames one. Default: all that cross a "
    "joint of the limb.",
)
@click.option("--licence", help="Licence of the OpenSim model, kept in the file.")
@click.option("--name", help="Name of the model. Default: the name of the output file.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The model file to write (.json).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def import_model(
    osim: Path,
    limb_name: str,
    side: str,
    rows: str | None,
    angles: str | None,
    muscles: str | None,
    licence: str | None,
    name: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Make a planar model file of one limb of an OpenSim model.

    Masses, joint centres, muscle lengths and moment arms are asked of OpenSim itself; lengths become polynomials, or splines
    where no polynomial follows, chosen by held-out error. The file says how large the errors are and in which range of
    angles it is valid.
    """
    if out.suffix != ".json":
        raise FileError(f"{out}: a model file ends in .json: name it so")
    model = import_limb(
        osim,
        LIMBS[limb_name],
        name=name or out.stem,
        side=side,
        rows=_names(rows),
        angles=_names(angles),
        muscles=muscle_names(muscles),
        licence=licence,
        progress=lambda muscle: click.echo(f"fitted {muscle}", err=True),
    )
    write_text(out, model.to_json())
    if as_json:
        fits = {m.name: dict(m.fit) for m in model.muscles}
        click.echo(json.dumps({"out": str(out), "model": model.name, "sha256": model.sha256, "muscles": fits}))
        return
    click.echo(f"{'muscle':<16}{'function':<12}{'length RMS':>12}{'arm RMS':>10}{'arm max':>10}  (mm)", err=True)
    for m in model.muscles:
        kind = (
            f"degree {m.length.degree}" if isinstance(m.length, LengthPolynomial) else f"spline {m.length.intervals[0]}"
        )
        click.echo(
            f"{m.name:<16}{kind:<12}{m.fit['length_rms_mm']:>12.3f}"
            f"{m.fit['moment_arm_rms_mm']:>10.3f}{m.fit['moment_arm_max_mm']:>10.3f}",
            err=True,
        )
    click.echo(f"wrote {out}", err=True)
