"""How exact and how fast static optimisation is: `python -m tools.bench.staticopt`.

Random problems of 1 to 6 rows, many beyond the muscles' strength, against the conditions of optimality and the bound that the
multipliers prove; then times: batches of the packaged models, single frames against quadprog, the start from the frame before,
and, where OpenSim is installed and EDGE_MSK_DATA names the recordings, OpenSim's own static optimisation. Ratios are medians of
repetitions that alternate, in one process, on one core.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import click
import numpy as np
import quadprog

from edge.msk.hill import HillMuscles, MuscleMode
from edge.msk.model import load_model, packaged_models
from edge.msk.staticopt import optimise, share_torque
from edge.trials import TrialSpec, load_trial
from tools.bench.sharing_problems import FloatArray, Problem, duality_gap, kkt_residual, random_problems

CHUNK = 20000
EXPONENTS = (1.0, 1.1, 1.5, 2.0, 3.0, 5.0, 10.0)
BATCH = 5000
SINGLE = 200
REPETITIONS = 5
OPENSIM_RANGES_S = ((0.5, 0.7), (0.5, 1.2))  # the second takes half a second longer
OPENSIM_RATE_HZ = 60.0
OPENSIM_CONVERGENCE = 1e-4  # its default


def exactness(frames: int) -> list[str]:
    """KKT residual and duality gap with the exponent 2, rows 1 to 6."""
    lines = [
        "| rows | muscles | frames | infeasible | KKT residual | duality gap | Newton steps, most |",
        "|" + "---|" * 7,
    ]
    for rows in range(1, 7):
        for muscles, share in ((9, 0.9), (43, 0.1)):
            wanted = round(frames * share / 6)
            worst, gap, steps, most, infeasible = 0.0, 0.0, 0, 0, 0
            for start in range(0, wanted, CHUNK):
                n = min(CHUNK, wanted - start)
                problem = random_problems(n, muscles, rows, seed=start + 100 * rows + muscles)
                found = optimise(*problem)
                worst = max(worst, float(kkt_residual(problem, found.activation, found.reserve_nm).max()))
                gap = max(gap, float(duality_gap(problem, found.activation, found.reserve_nm, found.multiplier).max()))
                steps, most = steps + int(found.iterations.sum()), max(most, int(found.iterations.max()))
                infeasible += int(found.infeasible().sum())
            lines.append(
                f"| {rows} | {muscles} | {wanted} | {infeasible / wanted:.0%} | {worst:.0e} | {gap:.0e} | "
                f"{steps / wanted:.1f}, {most} |"
            )
    return lines


def exponents(frames: int) -> list[str]:
    """The same for other exponents, and their cost in that of the exponent 2."""
    lines = [
        "| exponent | frames | KKT residual | duality gap | Newton steps, most | time / that of 2 |",
        "|" + "---|" * 6,
    ]
    problems = [random_problems(frames // 6, 9, rows, seed=rows) for rows in range(1, 7)]
    for exponent in EXPONENTS:
        worst = gap = 0.0
        steps: list[FloatArray] = []
        for problem in problems:
            found = optimise(*problem, exponent=exponent)
            answer = (found.activation, found.reserve_nm)
            worst = max(worst, float(kkt_residual(problem, *answer, exponent=exponent).max()))
            gap = max(gap, float(duality_gap(problem, *answer, found.multiplier, exponent=exponent).max()))
            steps.append(found.iterations.astype(np.float64))
        small: list[Problem] = [(a[:500], f[:500], t[:500]) for a, f, t in problems]
        ratio = _ratio(partial(_all, small, 2.0), partial(_all, small, exponent))
        count = np.concatenate(steps)
        lines.append(
            f"| {exponent:g} | {len(count)} | {worst:.0e} | {gap:.0e} | {count.mean():.1f}, {count.max():.0f} | {ratio:.1f} |"
        )
    return lines


def _all(problems: Sequence[Problem], exponent: float) -> None:
    for problem in problems:
        optimise(*problem, exponent=exponent)


def batches() -> list[str]:
    """Time of geometry, Hill muscle and static optimisation together, all frames at once."""
    lines = [
        "| model | rows | muscles | geometry and Hill us | static optimisation us | together us a frame |",
        "|" + "---|" * 6,
    ]
    for name in packaged_models():
        model = load_model(name)
        muscles = HillMuscles.of(model)
        rng = np.random.default_rng(0)
        q = model.lower_rad + rng.random((BATCH, len(model.joints))) * (model.upper_rad - model.lower_rad)
        qd = rng.normal(size=q.shape)
        state = muscles.evaluate(q, qd)
        # Torques that a share of the muscles makes, as in a movement: feasible, with many muscles at rest.
        share = 0.3 * rng.random(state.optimal_force_n.shape) * (rng.random(state.optimal_force_n.shape) < 0.5)
        active = np.matmul((share * state.optimal_force_n)[:, None, :], state.moment_arm_m)[:, 0]
        passive = np.matmul(state.passive_force_n[:, None, :], state.moment_arm_m)[:, 0]
        physics = _median(partial(muscles.evaluate, q, qd)) / BATCH * 1e6
        sharing = _median(partial(optimise, state.moment_arm_m, state.optimal_force_n, active)) / BATCH * 1e6
        whole = _median(partial(share_torque, muscles, q, qd, active + passive)) / BATCH * 1e6
        lines.append(
            f"| {name} | {len(model.row_names)} | {len(model.muscles)} | {physics:.1f} | {sharing:.1f} | {whole:.1f} |"
        )
    return lines


def against_quadprog() -> list[str]:
    """One frame after another, as a replay does, and all at once, against quadprog from Python."""
    lines = ["| problem | quadprog / one at a time | quadprog / all at once | largest difference |", "|" + "---|" * 4]
    for muscles, rows in ((9, 3), (43, 6)):
        arm, force, torque = random_problems(SINGLE, muscles, rows, seed=7, largest_nm=100.0)
        frames = [(arm[i : i + 1], force[i : i + 1], torque[i : i + 1]) for i in range(SINGLE)]
        difference = np.abs(optimise(arm, force, torque).activation - _all_by_quadprog(arm, force, torque)).max()
        reference = partial(_all_by_quadprog, arm, force, torque)
        one = _ratio(partial(_all, frames, 2.0), reference)
        together = _ratio(partial(optimise, arm, force, torque), reference)
        lines.append(f"| {muscles} muscles, {rows} rows | {one:.2f} | {together:.1f} | {difference:.0e} |")
    return lines


def _all_by_quadprog(arm: FloatArray, force: FloatArray, torque: FloatArray) -> FloatArray:
    return np.array([_quadprog(arm[i], force[i], torque[i]) for i in range(len(torque))])


def _quadprog(arm: FloatArray, force: FloatArray, torque: FloatArray) -> FloatArray:
    """Activations of one frame: reserves of 1 Nm, bounds 0.01 and 1."""
    muscles, rows = arm.shape
    equal = np.hstack([(arm * force[:, None]).T, np.eye(rows)])
    bounds = np.hstack([np.vstack([np.eye(muscles), -np.eye(muscles)]), np.zeros((2 * muscles, rows))])
    limits = np.concatenate([torque, np.full(muscles, 0.01), -np.ones(muscles)])
    found = quadprog.solve_qp(
        np.eye(muscles + rows), np.zeros(muscles + rows), np.vstack([equal, bounds]).T, limits, rows
    )
    answer: FloatArray = found[0][:muscles]
    return answer


def warm_starts(data: Path) -> list[str]:
    """A recorded walk frame by frame, from the frame before and without it."""
    lines = [
        "| exponent | Newton steps alone | from the frame before | time from the frame before / alone |",
        "|" + "---|" * 4,
    ]
    muscles, q, qd, torque = _walk(data, 100.0)
    state = muscles.evaluate(q, qd)
    active = torque - np.matmul(state.passive_force_n[:, None, :], state.moment_arm_m)[:, 0]
    frames = [
        (state.moment_arm_m[i : i + 1], state.optimal_force_n[i : i + 1], active[i : i + 1]) for i in range(len(q))
    ]
    for exponent in (2.0, 3.0):
        alone, following = partial(_steps, frames, exponent, False), partial(_steps, frames, exponent, True)
        ratio = _ratio(alone, following)
        lines.append(f"| {exponent:g} | {alone() / len(q):.2f} | {following() / len(q):.2f} | {ratio:.2f} |")
    return lines


def _steps(frames: Sequence[Problem], exponent: float, follow: bool) -> int:
    """Newton steps of all frames, one after another; `follow`: each from the multipliers of the one before."""
    start, steps = None, 0
    for frame in frames:
        found = optimise(*frame, exponent=exponent, start=start)
        start, steps = found.multiplier if follow else None, steps + int(found.iterations[0])
    return steps


def against_opensim(data: Path, oracle: ModuleType) -> list[str]:
    """A frame of gait10_walk, both legs: OpenSim's static optimisation against ours with its inverse dynamics.

    OpenSim's time is what half a second more of the recording takes, so that loading the model does not count.
    """
    folder = data / "gait10_walk"
    muscles, q, qd, torque = _walk(data, OPENSIM_RATE_HZ)

    def theirs(start_s: float, end_s: float) -> None:
        with tempfile.TemporaryDirectory() as out:
            oracle.static_optimisation(
                folder / "model.osim",
                folder / "ik.mot",
                folder / "external_loads.xml",
                Path(out),
                start_s=start_s,
                end_s=end_s,
                convergence=OPENSIM_CONVERGENCE,
            )

    def ours_alone() -> None:
        for i in range(len(q)):
            share_torque(muscles, q[i : i + 1], qd[i : i + 1], torque[i : i + 1])

    (short, long), seconds = OPENSIM_RANGES_S, OPENSIM_RANGES_S[1][1] - OPENSIM_RANGES_S[0][1]
    opensim, alone, batch = [], [], []
    for _ in range(3):
        opensim.append(
            (_seconds(lambda: theirs(*long)) - _seconds(lambda: theirs(*short))) / (seconds * OPENSIM_RATE_HZ)
        )
        alone.append(2.0 * _seconds(ours_alone) / len(q))
        batch.append(2.0 * _seconds(lambda: share_torque(muscles, q, qd, torque)) / len(q))
    frame = statistics.median(opensim)
    return [
        "| OpenSim ms a frame | OpenSim / ours, one at a time | OpenSim / ours, all at once |",
        "|---|---|---|",
        f"| {frame * 1e3:.1f} | {frame / statistics.median(alone):.0f} | {frame / statistics.median(batch):.0f} |",
    ]


def _walk(data: Path, rate_hz: float) -> tuple[HillMuscles, FloatArray, FloatArray, FloatArray]:
    """The right leg's muscles in gait10_walk, their angles and rates, and the torques."""
    folder = data / "gait10_walk"
    model = load_model("leg9")
    spec = TrialSpec(kinematics=folder / "ik.mot", external_loads=folder / "external_loads.xml", side="r")
    trial = load_trial(spec, model, name="gait10_walk")
    at = trial.times(rate_hz)
    return HillMuscles.of(model, MuscleMode.COMPAT), *trial.muscle_angles(at), trial.torque(at)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _median(call: Callable[[], object]) -> float:
    call()
    return statistics.median(_seconds(call) for _ in range(REPETITIONS))


def _ratio(unit: Callable[[], object], other: Callable[[], object]) -> float:
    """Time of `other` in times of `unit`: the median over repetitions that alternate."""
    unit()
    other()
    ratios = []
    for _ in range(REPETITIONS):
        base = _seconds(unit)
        ratios.append(_seconds(other) / base)
    return statistics.median(ratios)


@click.command()
@click.option("--frames", type=click.IntRange(min=100), default=1_000_000, show_default=True, help="Random frames.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="EDGE_MSK_DATA",
    help="The recordings, for what needs a walk. Default: the environment variable EDGE_MSK_DATA.",
)
def main(frames: int, data: Path | None) -> None:
    """Print the tables of docs/physics.md on static optimisation."""
    _print("Exponent 2, random frames", exactness(frames))
    _print("Other exponents, random frames of 9 muscles", exponents(max(frames // 20, 60)))
    _print("A batch", batches())
    _print("quadprog", against_quadprog())
    if data is None:
        click.echo("No recordings: set EDGE_MSK_DATA to their folder for the walk and OpenSim.")
        return
    _print("gait10_walk at 100 Hz, one frame after another", warm_starts(data))
    if importlib.util.find_spec("opensim") is None:
        click.echo("OpenSim is not installed: pip install 'edge-msk[opensim]'")
        return
    _print("OpenSim, gait10_walk, both legs", against_opensim(data, importlib.import_module("tools.opensim_oracle")))


def _print(title: str, lines: Sequence[str]) -> None:
    click.echo(f"\n{title}\n")
    for line in lines:
        click.echo(line)


if __name__ == "__main__":
    main()
