"""The demonstration's recording: it obeys mechanics, is made the same each time, and other commands can read it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge.msk.model import Model, load_model
from edge.storage import Table, read_table
from edge.trials import load_trials
from tools.normative_gait import PeriodicCurve, normative_gait, speed_of_stride_mps, stride_length_m
from tools.synthesise import newton_error_n, synthesise
from tools.walking import HEEL_M, SIDES, Gait, Walk, average_gait, walk

MASS_KG = 75.0
WEIGHT_N = MASS_KG * 9.80665


@pytest.fixture(scope="module")
def leg() -> Model:
    return load_model("leg9")


@pytest.fixture(scope="module")
def gait(leg: Model) -> Gait:
    return average_gait(leg)


def make(gait: Gait, *, speed_mps: float = 1.3, swing: float = 0.0, variability: float = 0.0, seed: int = 1) -> Walk:
    return walk(
        gait,
        seconds=12.0,
        rate_hz=100.0,
        mass_kg=MASS_KG,
        speed_mps=speed_mps,
        speed_swing_mps=swing,
        speed_period_s=7.0,
        variability=variability,
        seed=seed,
    )


@pytest.fixture(scope="module")
def steady(gait: Gait) -> Walk:
    return make(gait)


@pytest.fixture(scope="module")
def varied(gait: Gait) -> Walk:
    return make(gait, swing=0.25, variability=0.02)


def whole_strides(w: Walk) -> np.ndarray:
    """Frames of a whole number of strides, as evenly spaced positions in the cycle that times belong to."""
    cycle = np.arange(1.0, np.floor(w.cycle[-1]), 0.001)
    return np.interp(cycle, w.cycle, w.time_s)


def average(w: Walk, values: np.ndarray) -> float:
    return float(np.interp(whole_strides(w), w.time_s, values).mean())


def test_forces_and_motion_obey_newton(varied: Walk) -> None:
    assert newton_error_n(varied, MASS_KG, 9.80665) < 0.003 * WEIGHT_N


def test_feet_carry_the_body_and_do_not_speed_it_up(steady: Walk) -> None:
    total = steady.force_n["r"] + steady.force_n["l"]
    assert average(steady, total[:, 1]) == pytest.approx(WEIGHT_N, rel=1e-4)
    assert abs(average(steady, total[:, 0])) < 1e-4 * WEIGHT_N


def test_steady_walking_repeats_and_the_left_leg_follows_half_a_cycle_later(steady: Walk) -> None:
    strides_per_s = (steady.cycle[-1] - steady.cycle[0]) / steady.time_s[-1]
    early = steady.time_s[steady.time_s < 8.0]
    for values in (steady.q_rad, steady.force_n):
        for column in range(values["r"].shape[1]):
            right, left = values["r"][:, column], values["l"][:, column]
            span = float(np.ptp(right))
            now = np.interp(early, steady.time_s, right)
            later = np.interp(early + 2.0 / strides_per_s, steady.time_s, right)
            shifted = np.interp(early + 0.5 / strides_per_s, steady.time_s, left)
            # Linear interpolation at the corners of the force is what is left.
            assert np.abs(later - now).max() < 0.02 * span
            assert np.abs(shifted - now).max() < 0.02 * span


@pytest.mark.parametrize("name", ["steady", "varied"])
def test_no_force_in_swing(name: str, request: pytest.FixtureRequest) -> None:
    w: Walk = request.getfixturevalue(name)
    for side, later in (("r", 0.0), ("l", 0.5)):
        own = np.mod(w.cycle + later, 1.0)
        swing = (own > 0.70) & (own < 0.95)
        assert np.abs(w.force_n[side][swing]).max() == 0.0
        assert w.force_n[side][:, 1].min() >= 0.0


@pytest.mark.parametrize("name", ["steady", "varied"])
def test_pressure_stays_under_the_foot_and_moves_forward_under_it(name: str, request: pytest.FixtureRequest) -> None:
    w: Walk = request.getfixturevalue(name)
    for side, later in (("r", 0.0), ("l", 0.5)):
        loaded = w.force_n[side][:, 1] > 20.0
        forward = (w.pressure_m[side] - w.ankle_m[side])[:, 0]
        assert forward[loaded].min() > -2.0 * HEEL_M
        assert forward[loaded].max() < 0.18
        assert np.all(w.pressure_m[side][:, 1] == 0.0)
        own = np.mod(w.cycle + later, 1.0)
        midstance = (own[1:] > 0.05) & (own[1:] < 0.48) & (own[:-1] < own[1:])
        assert np.diff(forward)[midstance].min() > 0.0


def test_planted_foot_stays_where_it_is(steady: Walk) -> None:
    for stride in range(2, 8):
        planted = (steady.cycle > stride + 0.10) & (steady.cycle < stride + 0.40)
        ankle = steady.ankle_m["r"][planted]
        assert np.ptp(ankle[:, 0]) < 0.03
        assert 0.06 < ankle[:, 1].min() < ankle[:, 1].max() < 0.11


@pytest.mark.parametrize("speed_mps", [1.0, 1.3, 1.6])
def test_walker_advances_at_the_speed_asked_for(gait: Gait, speed_mps: float) -> None:
    w = make(gait, speed_mps=speed_mps)
    assert (w.pelvis_m[-1, 0] - w.pelvis_m[0, 0]) / w.time_s[-1] == pytest.approx(speed_mps, rel=0.01)
    strides_per_s = (w.cycle[-1] - w.cycle[0]) / w.time_s[-1]
    published = float(stride_length_m(np.array([speed_mps]))[0])
    assert speed_mps / strides_per_s == pytest.approx(published, rel=0.01)


def test_faster_walking_has_higher_force_peaks(gait: Gait) -> None:
    peaks = [float(make(gait, speed_mps=v).force_n["r"][:, 1].max()) / WEIGHT_N for v in (1.0, 1.3, 1.6)]
    assert peaks == sorted(peaks)
    assert 1.0 < peaks[0] < peaks[-1] < 1.3


def test_angles_stay_where_the_leg_model_is_valid(leg: Model, gait: Gait) -> None:
    w = make(gait, speed_mps=1.5, swing=0.25, variability=0.03, seed=4)
    for side in SIDES:
        assert np.all(leg.in_range(w.q_rad[side]))


def test_joint_moments_are_those_of_walking(leg: Model, tmp_path: Path) -> None:
    """Inverse dynamics as the product does it; per kg the moments have the size and sign that walking has."""
    arguments = ["--out-dir", str(tmp_path), "--speed-swing-mps", "0", "--variability", "0", "--seconds", "10"]
    assert CliRunner().invoke(synthesise, arguments).exit_code == 0
    trials = load_trials(tmp_path / "trials.toml", leg)
    assert [t.side for t in trials] == ["r", "l"]
    for trial in trials:
        torque = trial.torque(trial.times(100.0)) / MASS_KG
        hip, knee, ankle = torque.T
        assert -1.7 < ankle.min() < -1.3
        assert ankle.max() < 0.3
        assert 0.25 < np.sort(knee)[-len(knee) // 20] < 0.6
        assert hip.min() < -0.3
        assert 0.6 < hip.max() < 1.2
        assert abs(hip.mean()) < 0.15


def invoke(folder: Path, *more: str) -> dict[str, object]:
    arguments = ["--out-dir", str(folder), "--seconds", "6", "--json", *more]
    result = CliRunner().invoke(synthesise, arguments)
    assert result.exit_code == 0, result.output
    summary: dict[str, object] = json.loads(result.stdout)
    return summary


def test_same_seed_gives_the_same_files_and_another_does_not(tmp_path: Path) -> None:
    for folder, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        invoke(tmp_path / folder, "--seed", seed)
    names = ["walk.mot", "walk_grf.mot", "walk_grf.xml", "trials.toml"]
    a, b, c = ([(tmp_path / folder / name).read_bytes() for name in names] for folder in "abc")
    assert a == b
    assert a[0] != c[0]
    assert a[1] != c[1]


def test_files_can_be_read_and_agree_with_each_other(tmp_path: Path) -> None:
    summary = invoke(tmp_path)
    assert summary["frames"] == 601
    assert sorted(p.name for p in tmp_path.iterdir()) == ["trials.toml", "walk.mot", "walk_grf.mot", "walk_grf.xml"]
    motion: Table = read_table(tmp_path / "walk.mot")
    force = read_table(tmp_path / "walk_grf.mot")
    assert motion.in_degrees is True
    assert motion.columns[:3] == ("pelvis_tilt", "pelvis_tx", "pelvis_ty")
    assert {f"{name}_{side}" for name in ("hip_flexion", "knee_angle", "ankle_angle") for side in "rl"} == set(
        motion.columns[3:]
    )
    assert motion.column("knee_angle_r").min() < -50.0  # flexion is negative in these models
    assert np.allclose(np.diff(motion.time_s), 0.01)
    assert np.array_equal(motion.time_s, force.time_s)
    vertical = force.column("ground_force_1_vy") + force.column("ground_force_2_vy")
    assert vertical.mean() == pytest.approx(WEIGHT_N, rel=0.03)
    assert np.isfinite(force.data).all()


def test_twenty_seconds_stay_below_a_megabyte(tmp_path: Path) -> None:
    summary = invoke(tmp_path, "--seconds", "20")
    assert isinstance(summary["bytes"], int)
    assert summary["bytes"] < 1_000_000


def test_several_speeds_in_one_call(tmp_path: Path, leg: Model) -> None:
    invoke(tmp_path, "--speed-mps", "1.0", "--speed-mps", "1.6")
    trials = load_trials(tmp_path / "trials.toml", leg)
    assert len(trials) == 4
    assert {p.name for p in tmp_path.glob("*.mot")} == {
        "walk_1.mot",
        "walk_1_grf.mot",
        "walk_1.6.mot",
        "walk_1.6_grf.mot",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--speed-mps", "0.7"], "0.6 to 2.0 m/s"),
        (["--speed-mps", "1.2", "--speed-mps", "1.2"], "stands twice"),
        (["--seconds", "1"], "--seconds"),
        (["--mass-kg", "-3"], "--mass-kg"),
        (["--seconds", "nan"], "nan is not a finite number"),
        (["--speed-mps", "nan"], "nan is not a finite number"),
        (["--speed-period-s", "inf"], "inf is not a finite number"),
    ],
)
def test_wrong_usage_is_refused_and_writes_nothing(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(synthesise, ["--out-dir", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2
    assert said in result.output
    assert not (tmp_path / "out").exists()


def test_walk_refuses_a_speed_at_which_nobody_walks(gait: Gait) -> None:
    with pytest.raises(ValueError, match="range of walking"):
        make(gait, speed_mps=2.5)


def test_periodic_curve_integrates_twice() -> None:
    cycle = np.arange(64) / 64
    curve = PeriodicCurve.fit(2.0 + np.cos(2 * np.pi * cycle) + 0.5 * np.sin(6 * np.pi * cycle), 5)
    assert curve.mean == pytest.approx(2.0)
    integral = curve.integrated_twice(1.25)
    t = np.linspace(0.0, 1.0, 20001)
    second = np.gradient(np.gradient(integral(1.25 * t), t), t)
    assert np.allclose(second[5:-5], (curve(1.25 * t) - 2.0)[5:-5], atol=1e-3)
    assert integral.mean == 0.0


def test_published_curves_are_kept() -> None:
    gait = normative_gait()
    cycle = np.arange(1000) / 1000
    assert gait.hip_flexion(cycle).max() == pytest.approx(33.7, abs=1.0)
    assert gait.knee_flexion(cycle).max() == pytest.approx(63.4, abs=1.0)
    assert gait.ankle_dorsiflexion(cycle).min() == pytest.approx(-19.9, abs=1.5)
    assert gait.force_at(cycle).mean() == pytest.approx(0.5)
    assert gait.force_at(cycle).max() == pytest.approx(1.14, abs=0.06)
    assert speed_of_stride_mps(float(stride_length_m(np.array([1.1]))[0])) == pytest.approx(1.1)
