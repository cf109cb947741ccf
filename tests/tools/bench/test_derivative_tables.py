"""The tables of derivatives on short recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge.signals.differentiator import Derivatives, Differentiator
from tools.bench.derivative_cost import costs
from tools.bench.derivative_gate import broken, ratios
from tools.bench.derivative_runs import OPENSIMRT, Run
from tools.bench.derivative_tables import adaptation, anchor_ages, by_age, by_person, markdown, settling
from tools.bench.derivative_torque import legs, torque_errors
from tools.bench.movements import Movement, join, movement, with_stops


@pytest.fixture(scope="module")
def walk(data: Path) -> Movement:
    return movement(data, "walk36").until(8.0)


def test_kalman_and_opensimrt_have_the_known_errors(walk: Movement) -> None:
    rows = by_age(walk, ["kalman", OPENSIMRT], [0.0, 0.05, 0.14], last_s=5.0)
    assert [(r["method"], r["age_ms"]) for r in rows] == [
        ("kalman", 0),
        ("kalman", 50),
        ("kalman", 140),
        (OPENSIMRT, 50),
        (OPENSIMRT, 140),
    ]
    at = {(r["method"], r["age_ms"]): r for r in rows}
    assert at["kalman", 0]["qdd_deg_s2"] > 3 * at["kalman", 50]["qdd_deg_s2"]
    late = at[OPENSIMRT, 140]
    assert (late["q_deg"], late["qd_deg_s"], late["qdd_deg_s2"]) == pytest.approx((0.22, 4.0, 98.0), rel=0.12)


def test_the_age_of_the_anchor_is_interpolated() -> None:
    def row(method: str, age: int, error: float) -> dict[str, object]:
        return {"method": method, "age_ms": age, "q_deg": error, "qd_deg_s": error, "qdd_deg_s2": error}

    rows = [row("a", 0, 400.0), row("a", 50, 4.0), row("a", 100, 2.0), row(OPENSIMRT, 50, 1.0)]
    assert anchor_ages(rows, (0.5, 40.0, 1000.0)) == [{"method": "a", "q_ms": None, "qd_ms": 25.0, "qdd_ms": 0.0}]


def test_people_count_alike_and_a_fitted_filter_can_be_put_in(walk: Movement, data: Path) -> None:
    others = [movement(data, "squats/walking1"), movement(data, "squats/walking2")]
    made: list[str] = []

    class Still(Differentiator):
        def push(self, t_s: float, q: np.ndarray, rate: np.ndarray | None = None) -> Derivatives | None:
            zero = np.zeros(self.n_joints)
            return Derivatives(t_s - self.age_s, q, zero, zero, self.age_s, np.zeros((3, self.n_joints)))

        def restart(self) -> None: ...

    def still(method: str, of: Movement, age_s: float) -> Differentiator:
        made.append(of.person)
        return Still(of.q.shape[1], 100.0, age_s)

    rows = by_person([walk, *others], ["kalman", "fir"], [0.05], make={"fir": still})
    assert made == ["treadmill_speeds", "squats", "squats"]
    kalman = [r["qdd_deg_s2"] for r in rows if r["method"] == "kalman"]
    assert [r["person"] for r in rows if r["method"] == "kalman"] == ["treadmill_speeds", "squats", "everyone"]
    assert kalman[2] == pytest.approx(np.sqrt((kalman[0] ** 2 + kalman[1] ** 2) / 2))
    assert all(r["qdd_deg_s2"] > 2 * kalman[2] for r in rows if r["method"] == "fir")


def settled_run(error: Sequence[float]) -> dict[str, object]:
    """Of an output every 10 ms with these errors of acceleration in deg/s2, from second 10 on."""
    time = 10.0 + np.arange(len(error)) / 100
    said = np.zeros((3, len(error), 2))
    said[2] = np.radians(np.array(error))[:, None]
    return dict(settling(Run(0.05, time, said, np.zeros_like(said)), 10.0, float(time[-1])))


def test_settling_takes_until_the_error_stays_near_its_last_level() -> None:
    done = settled_run([300.0] * 600 + [100.0] * 4400)
    assert done["settled_qdd_deg_s2"] == pytest.approx(100.0)
    assert done["first_2_s_qdd_deg_s2"] == pytest.approx(300.0)
    # The last second holds one part in 25 of the large error when it is back within 15 %.
    assert done["seconds"] == pytest.approx(6.0 + 1.0 + 0.05 - 0.04, abs=0.03)
    assert settled_run([100.0] * 5000)["seconds"] == pytest.approx(0.06, abs=0.011)
    lull = settled_run([300.0] * 200 + [100.0] * 150 + [300.0] * 250 + [100.0] * 4400)
    assert lull["seconds"] == pytest.approx(done["seconds"], abs=0.03)


def test_adaptation_has_a_row_per_method_and_part(walk: Movement, data: Path) -> None:
    change = join("change", walk, movement(data, "run81").until(9.0))
    rows = adaptation(change, ["kalman"], seeds=[0])
    assert [(r["method"], r["part"]) for r in rows] == [("kalman", "walking"), ("kalman", "running")]
    assert rows[1]["settled_qdd_deg_s2"] > 2 * rows[0]["settled_qdd_deg_s2"]
    assert rows[0]["seconds"] < 3.0


def test_the_gate_judges_every_part_and_lets_the_yardstick_pass(walk: Movement, data: Path) -> None:
    stops = with_stops("stops", walk)
    short = movement(data, "walk_12/2014001/C5_01")
    own = ratios([stops, short], "kalman", [0.05])
    assert {r["part"] for r in own} == {"whole", "1 standing", "2 walking", "3 standing"}
    assert all(r["worst"] == 1.0 for r in own)
    assert broken(own) == []
    rows = ratios([stops, short], "savgol", [0.1])
    assert [r["worst"] for r in rows] == sorted((r["worst"] for r in rows), reverse=True)
    assert rows[0]["worst"] == max(rows[0][f"{q}_ratio"] for q in ("q", "qd", "qdd"))
    assert broken(rows)[0]["movement"] == short.name
    assert broken([{"worst": float("nan")}])


def test_torque_is_late_with_the_ground_reaction_and_nearly_right_without_delay(walk: Movement, data: Path) -> None:
    rows = torque_errors(legs(data), walk, [OPENSIMRT, "kalman"], [0.0, 0.14], last_s=5.0)
    late, now = rows[0], rows[1]
    assert (late["method"], late["age_ms"], now["method"], now["age_ms"]) == (OPENSIMRT, 140, "kalman", 0)
    assert (late["hip_nm"], late["knee_nm"], late["ankle_nm"]) == pytest.approx((17.0, 13.0, 25.0), rel=0.35)
    assert now["ankle_nm"] < 0.1 * late["ankle_nm"]
    # Without delay the ground reaction is that of the same moment: only its lever arms are wrong.
    assert now["hip_nm"] == pytest.approx(now["free_hip_nm"], rel=0.05)


def test_cost_counts_pushes_in_products(walk: Movement) -> None:
    rows = costs(walk, ["kalman"])
    assert [r["joints"] for r in rows] == ["6", "3+3"]
    for row in rows:
        assert row["ratio"] == pytest.approx(row["push_us"] / row["product_us"])
        assert row["push_us"] > 1.0
        assert row["refit_ms"] is None


def test_cost_tells_the_refits_of_a_filter_that_learns(walk: Movement) -> None:
    for row in costs(walk, ["adaptive"]):
        assert 0.0 < row["refit_ms"] <= row["refit_max_ms"]


def test_tables_are_markdown() -> None:
    text = markdown([{"method": "kalman", "age_ms": 50, "q_deg": 0.23456, "q_ms": None}])
    assert text == "| method | age ms | q deg | q ms |\n|---|---|---|---|\n| kalman | 50 | 0.235 | - |"
