"""`edge-msk import-model`: one leg or arm of an OpenSim model becomes our planar model file.

Everything is asked of OpenSim itself (segment masses, joint centres, muscle lengths and moment arms), so that whatever
joint or path type a model uses, the result describes what OpenSim computes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from edge.errors import FileError, ModelError
from edge.msk.geometry import Geometry, LengthPolynomial, monomial_exponents
from edge.msk.model import Base, Joint, Model, Muscle
from edge.msk.spline import FloatArray
from edge.storage import write_text
from tools.opensim_leg import JointPlan, OpenSimLeg

MAX_DEGREE = {1: 12, 2: 10, 3: 6}  # by number of crossed joints; the degree used is chosen by held-out error
_CROSSING_MM = 0.05  # a muscle crosses a joint when its moment arm ever exceeds this
_ENOUGH_MM = 0.05  # RMS error of moment arms at which a higher degree is not tried
_SAMPLES = 1500

LEG_PLAN = (
    JointPlan("hip", "hip_flexion_{side}", (np.radians(-35.0), np.radians(70.0))),
    JointPlan("knee", "knee_angle_{side}", (np.radians(-105.0), np.radians(10.0))),
    JointPlan("ankle", "ankle_angle_{side}", (np.radians(-40.0), np.radians(35.0))),
)


def _halton(count: int, dimensions: int) -> FloatArray:
    """Evenly spread points of the unit cube (Halton 1960), the same on every machine."""
    points = np.empty((count, dimensions))
    for d, prime in zip(range(dimensions), (2, 3, 5, 7), strict=False):
        for i in range(count):
            fraction, value, n = 1.0, 0.0, i + 1
            while n:
                fraction /= prime
                value += fraction * (n % prime)
                n //= prime
            points[i, d] = value
    return points


def fit_length(
    q: FloatArray, length: FloatArray, arms: FloatArray, joints: tuple[str, ...], degree: int
) -> tuple[LengthPolynomial, FloatArray]:
    """Least-squares polynomial through lengths (n,) and moment arms (n, joints) together.

    Angles are centred and scaled for the fit and expanded back, so that the stored coefficients belong to plain angles.
    Returns the polynomial and its coefficients as an array.
    """
    exponents = monomial_exponents(q.shape[1], degree)
    table = np.array(exponents)
    scale = np.maximum(np.abs(q).max(axis=0), 1e-6)
    u = q / scale
    powers = u[:, None, :] ** table[None]
    value = powers.prod(axis=2)
    rows = [value]
    targets = [length]
    for j in range(q.shape[1]):
        lowered = table.copy()
        lowered[:, j] = np.maximum(lowered[:, j] - 1, 0)
        rows.append(-table[:, j] * (u[:, None, :] ** lowered[None]).prod(axis=2) / scale[j])
        targets.append(arms[:, j])
    solution = np.linalg.lstsq(np.concatenate(rows), np.concatenate(targets), rcond=None)[0]
    coefficients = solution / (scale[None] ** table).prod(axis=1)
    return LengthPolynomial(joints, exponents, tuple(coefficients.tolist())), coefficients


def _errors(poly: LengthPolynomial, q: FloatArray, length: FloatArray, arms: FloatArray) -> dict[str, float]:
    got_length, got_arms = Geometry.build(poly.joints, [poly]).evaluate(q)
    dl, dr = got_length[:, 0] - length, got_arms[:, 0] - arms
    return {
        "length_rms_mm": float(np.sqrt((dl**2).mean()) * 1e3),
        "length_max_mm": float(np.abs(dl).max() * 1e3),
        "moment_arm_rms_mm": float(np.sqrt((dr**2).mean()) * 1e3),
        "moment_arm_max_mm": float(np.abs(dr).max() * 1e3),
    }


def crossed_joints(leg: OpenSimLeg, muscle: Any) -> list[int]:
    """Joints on whose angle the muscle's length depends.

    Not those with a moment arm alone: OpenSim's wrapping leaves noise of a millimetre at joints a muscle never reaches.
    """
    low, high = leg.limits()
    probe = low + _halton(40, len(leg.plan)) * (high - low)
    length, arms = leg.path_samples(muscle, probe)
    crossed = []
    for j in np.flatnonzero(np.abs(arms).max(axis=0) > _CROSSING_MM * 1e-3):
        moved = probe.copy()
        moved[:, j] = np.roll(probe[:, j], 1)
        if np.abs(leg.path_samples(muscle, moved)[0] - length).max() > _CROSSING_MM * 1e-3:
            crossed.append(int(j))
    return crossed


def import_muscle(leg: OpenSimLeg, muscle: Any, name: str) -> Muscle:
    """One muscle: its parameters, and the polynomial of the lowest degree whose held-out error is small enough."""
    low, high = leg.limits()
    crossed = crossed_joints(leg, muscle)
    if not crossed:
        names = ", ".join(p.name for p in leg.plan)
        raise ModelError(f"{leg.path}: muscle '{muscle.getName()}' crosses none of {names}: leave it out of --muscles")
    unit = _halton(_SAMPLES, len(crossed))
    # The corners of the range too: polynomials go astray there first.
    corners = np.array(list(itertools.product((0.0, 0.5, 1.0), repeat=len(crossed))))
    q = np.zeros((len(unit) + len(corners), len(leg.plan)))
    q[:, crossed] = low[crossed] + np.concatenate([unit, corners]) * (high[crossed] - low[crossed])
    length, arms = leg.path_samples(muscle, q)
    q, arms = q[:, crossed], arms[:, crossed]
    joints = tuple(leg.plan[j].name for j in crossed)
    # Every 7th point: a stride in step with the Halton bases 2, 3 and 5 would hold out a whole corner of the range. The
    # corners themselves always stay in the fit: held out, they would be extrapolated to.
    held_out = (np.arange(len(q)) % 7 == 3) & (np.arange(len(q)) < len(unit))
    best: tuple[float, int] | None = None
    for degree in range(2, MAX_DEGREE[len(crossed)] + 1):
        poly, _ = fit_length(q[~held_out], length[~held_out], arms[~held_out], joints, degree)
        error = _errors(poly, q[held_out], length[held_out], arms[held_out])["moment_arm_rms_mm"]
        if best is None or error < 0.97 * best[0]:
            best = (error, degree)
        if error < _ENOUGH_MM:
            break
    assert best is not None
    poly, _ = fit_length(q, length, arms, joints, best[1])
    fit = {"degree": float(best[1]), "held_out_moment_arm_rms_mm": best[0], **_errors(poly, q, length, arms)}
    return Muscle(
        name=name,
        max_isometric_force_n=float(muscle.getMaxIsometricForce()),
        optimal_fiber_length_m=float(muscle.getOptimalFiberLength()),
        tendon_slack_length_m=float(muscle.getTendonSlackLength()),
        pennation_at_optimal_rad=float(muscle.getPennationAngleAtOptimalFiberLength()),
        max_contraction_velocity=float(muscle.getMaxContractionVelocity()),
        length=poly,
        fit=fit,
    )


def import_leg(
    path: Path,
    *,
    name: str,
    side: str,
    muscles: Sequence[str] | None,
    plan: Sequence[JointPlan] = LEG_PLAN,
    progress: Any = None,
) -> Model:
    """Make a planar model of one leg. `muscles` are names without the side suffix; None takes all of that side
    that cross a joint of the plan.

    Raises FileError, ModelError or MissingExtraError.
    """
    leg = OpenSimLeg(path, side, plan, ("pelvis_tilt", ("pelvis_tx", "pelvis_ty")))
    suffix = f"_{side}"
    available = {m.getName(): m for m in leg.model.getMuscles()}
    of_side = [n.removesuffix(suffix) for n in available if n.endswith(suffix)]
    wanted = list(muscles) if muscles else [n for n in of_side if crossed_joints(leg, available[n + suffix])]
    if not wanted:
        raise ModelError(
            f"{path}: no muscle of side '{side}' crosses {', '.join(p.name for p in plan)}: take another --side"
        )
    twice = [n for i, n in enumerate(wanted) if n in wanted[:i]]
    if twice:
        raise ModelError(f"{path}: muscle '{twice[0]}' is asked for twice: name it once in --muscles")
    missing = [n for n in wanted if n not in of_side]
    if missing:
        raise ModelError(f"{path}: has no muscle '{missing[0]}{suffix}': it has {', '.join(of_side)}")
    centers = [leg.joint_center(i) for i in range(len(plan))]
    segments = tuple(leg.segment(i, s) for i, s in enumerate(("thigh", "shank", "foot")))
    built = []
    for muscle_name in wanted:
        built.append(import_muscle(leg, available[muscle_name + suffix], muscle_name))
        if progress is not None:
            progress(muscle_name)
    at_zero = [c.evaluate(np.zeros(()))[0] for c in centers]
    offset = at_zero[0]
    gravity = leg.model.getGravity()
    leg_length = float(sum(np.hypot(*c) for c in at_zero[1:]))
    return Model(
        name=name,
        mass_kg=float(leg.model.getTotalMass(leg.state)),
        leg_length_m=leg_length,
        gravity_mps2=float(-gravity.get(1)),
        base=Base("pelvis_tilt", ("pelvis_tx", "pelvis_ty"), (float(offset[0]), float(offset[1]))),
        joints=tuple(
            Joint(p.name, p.coordinate, s, (float(p.range_rad[0]), float(p.range_rad[1])), c)
            for p, s, c in zip(plan, leg.signs, centers, strict=True)
        ),
        segments=segments,
        muscles=tuple(built),
        source={
            "model": str(leg.model.getName()),
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "side": side,
            "software": f"OpenSim {leg.osim.GetVersion()}",
            "credits": str(leg.model.getCredits()).strip(),
        },
    )


@click.command(
    "import-model",
    epilog="Example:\n\n  edge-msk import-model gait10dof18musc.osim --side r --out leg9.json",
)
@click.argument("osim", type=click.Path(path_type=Path))
@click.option("--side", type=click.Choice(["r", "l"]), default="r", show_default=True, help="Which leg.")
@click.option(
    "--muscles",
    help="Muscles to take, without the side suffix, separated by commas. Default: all that cross a joint of that leg.",
)
@click.option("--name", help="Name of the model. Default: the name of the output file.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The model file to write (.json).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def import_model(osim: Path, side: str, muscles: str | None, name: str | None, out: Path, as_json: bool) -> None:
    """Make a planar model file of one leg of an OpenSim model.

    Masses, joint centres, muscle lengths and moment arms are asked of OpenSim itself; lengths become polynomials whose
    degree is chosen by held-out error. The file says how large the errors are and in which range of angles it is valid.
    """
    wanted = [m.strip() for m in muscles.split(",") if m.strip()] if muscles else None
    if out.suffix != ".json":
        raise FileError(f"{out}: a model file ends in .json: name it so")
    model = import_leg(
        osim,
        name=name or out.stem,
        side=side,
        muscles=wanted,
        progress=lambda muscle: click.echo(f"fitted {muscle}", err=True),
    )
    write_text(out, model.to_json())
    if as_json:
        fits = {m.name: dict(m.fit) for m in model.muscles}
        click.echo(json.dumps({"out": str(out), "model": model.name, "sha256": model.sha256, "muscles": fits}))
        return
    click.echo(f"{'muscle':<16}{'degree':>7}{'length RMS':>12}{'arm RMS':>10}{'arm max':>10}  (mm)", err=True)
    for m in model.muscles:
        click.echo(
            f"{m.name:<16}{m.fit['degree']:>7.0f}{m.fit['length_rms_mm']:>12.3f}"
            f"{m.fit['moment_arm_rms_mm']:>10.3f}{m.fit['moment_arm_max_mm']:>10.3f}",
            err=True,
        )
    click.echo(f"wrote {out}", err=True)
