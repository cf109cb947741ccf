from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trial_files import table

from edge.errors import TrialError
from edge.force_plates import Plates, crossing, find_columns, held
from edge.storage import Table, read_table

T = np.arange(101) / 1000.0


def columns(force: str, place: str, moment: str | None, axes: str = "xyz") -> dict[str, np.ndarray]:
    """A plate with recognisable numbers: forces 1, 700, 3, places 10 20 30, moments 4 5 6."""
    one = np.ones_like(T)
    numbers = {"x": (1.0, 10.0, 4.0), "y": (700.0, 20.0, 5.0), "z": (3.0, 30.0, 6.0)}
    stems = [(0, force), (1, place), *([(2, moment)] if moment else [])]
    return {stem + axis: numbers[axis][k] * one for k, stem in stems for axis in axes}


def tabled(folder: Path, *plates: dict[str, np.ndarray]) -> Table:
    path = folder / "grf.mot"
    path.write_text(table({"time": T} | {n: v for plate in plates for n, v in plate.items()}, degrees=None))
    return read_table(path)


def plates(force: np.ndarray, point: np.ndarray | None = None, moment: np.ndarray | None = None) -> Plates:
    """One plate with the forces (rows, 3)."""
    nothing = np.zeros_like(force)
    made = [a[:, None] for a in (force, nothing if point is None else point, nothing if moment is None else moment)]
    return Plates(Path("made"), ("plate 1",), (None,), np.arange(len(force)) / 1000.0, *made)


@pytest.mark.parametrize(
    ("force", "place", "moment", "side"),
    [
        ("ground_force_v", "ground_force_p", "ground_torque_", None),
        ("1_ground_force_v", "1_ground_force_p", "1_ground_torque_", None),
        ("l_ground_force_v", "l_ground_force_p", "l_ground_torque_", "l"),
        ("ground_force_r_v", "ground_force_r_p", "ground_torque_r_", "r"),
        ("R_ground_force_v", "R_ground_force_p", "R_ground_moment_", "r"),
        ("ground_force_left_v", "ground_force_left_p", "ground_force_left_m", "l"),
        ("ground_force_1_v", "ground_force_1_p", "ground_force_1_m", None),
        ("right_v", "right_p", "right_m", "r"),
        ("calibrated_v", "calibrated_p", None, None),
        ("l_and_r_v", "l_and_r_p", None, None),
    ],
)
def test_columns_are_found_by_their_names(
    tmp_path: Path, force: str, place: str, moment: str | None, side: str | None
) -> None:
    found = find_columns(tabled(tmp_path, columns(force, place, moment)))
    assert found.sides == (side,)
    np.testing.assert_array_equal(found.force_n[5, 0], [1, 700, 3])
    np.testing.assert_array_equal(found.point_m[5, 0], [10, 20, 30])
    np.testing.assert_array_equal(found.moment_nm[5, 0], [4, 5, 6] if moment else [0, 0, 0])


def test_several_plates_and_other_columns(tmp_path: Path) -> None:
    found = find_columns(
        tabled(
            tmp_path,
            {"emg": T, "vx": T, "noforce_vx": T},
            columns("ground_force_v", "ground_force_p", "ground_torque_"),
            columns("1_ground_force_v", "1_ground_force_p", "1_ground_torque_"),
        )
    )
    assert found.names == ("ground_force", "1_ground_force")
    assert found.force_n.shape == (101, 2, 3)


def test_a_planar_file_has_no_third_dimension(tmp_path: Path) -> None:
    found = find_columns(
        tabled(tmp_path, columns("force_v", "force_p", "force_m", axes="xy") | {"force_mz": 6.0 + 0 * T})
    )
    assert np.isnan(found.force_n[..., 2]).all()
    assert np.isnan(found.point_m[..., 2]).all()
    np.testing.assert_array_equal(found.moment_nm[5, 0], [4, 5, 6])
    assert np.isfinite(found.crossing()[0][..., :2]).all()
    assert not found.implausible().any()


def test_no_column_is_a_force(tmp_path: Path) -> None:
    with pytest.raises(
        TrialError, match=r"grf.mot: no column is named as a force .*rename them, or give `external_loads`"
    ):
        find_columns(tabled(tmp_path, {"Fx": T, "Fy": T}))


def test_nothing_ever_touches() -> None:
    point = np.full((5, 3), np.nan)
    np.testing.assert_array_equal(held(np.zeros(5, dtype=bool), point), np.zeros((5, 3)))


vectors = st.tuples(*[st.floats(-300, 300)] * 3)


@settings(max_examples=200, deadline=None)
@given(vectors, st.floats(20, 1500), st.tuples(*[st.floats(-2, 2)] * 3), vectors)
def test_the_crossing_is_the_same_force(
    force: tuple[float, float, float], up: float, place: tuple[float, float, float], moment: tuple[float, float, float]
) -> None:
    """Moved to where it crosses the ground, with what moment is left there, a force turns any point as before."""
    f, p, m = np.array([force[0], up, force[2]]), np.array(place), np.array(moment)
    there, free = crossing(f, p, m)
    assert there[1] == p[1]
    before, after = np.cross(p, f) + m, np.cross(there, f) + np.array([0.0, free, 0.0])
    np.testing.assert_allclose(after, before, atol=1e-7 * (1.0 + np.abs(before).max()))


def test_a_small_force_s_place_stays_the_file_s() -> None:
    there, free = crossing(np.array([0.0, 5.0, 0.0]), np.zeros(3), np.array([3.0, 2.0, 1.0]))
    np.testing.assert_array_equal(there, np.zeros(3))
    assert free == 2.0


def standing(rows: int = 100) -> np.ndarray:
    return np.tile([20.0, 700.0, -10.0], (rows, 1))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ([0.0, -60.0, 0.0], "pulls"),
        ([150.0, 100.0, 0.0], "slips forward"),
        ([0.0, 100.0, -150.0], "slips sideways"),
        ([20.0, 1300.0, -10.0], "jumps"),
    ],
)
def test_a_force_that_no_floor_gives(row: list[float], why: str) -> None:
    force = standing()
    force[50:52] = row
    assert np.flatnonzero(plates(force).implausible()[:, 0]).tolist() == [50, 51], why


def test_a_moment_that_no_foot_gives() -> None:
    moment = np.zeros((100, 3))
    moment[30, 1], moment[60, 1] = -130.0, 60.0
    assert np.flatnonzero(plates(standing(), moment=moment).implausible()[:, 0]).tolist() == [30]


def test_what_people_do_is_possible() -> None:
    """A running impact (1500 N in 20 ms), heels that slide a little, an empty plate's noise of 3 N."""
    t = np.arange(400) / 1000.0
    impact = np.clip((t - 0.1) / 0.02, 0.0, 1.0) * 1500.0
    assert not plates(np.stack([0.5 * impact, impact, -0.2 * impact], axis=1)).implausible().any()
    noise = np.random.default_rng(0).normal(0.0, 1.0, (400, 3))
    assert not plates(noise).implausible().any()
    slow = plates(standing(50))
    jump = np.where(np.arange(50)[:, None] > 25, 2.0, 1.0) * slow.force_n[:, 0]
    at_100_hz = Plates(slow.path, slow.names, slow.sides, slow.time_s * 10, jump[:, None], slow.point_m, slow.moment_nm)
    assert not at_100_hz.implausible().any()
