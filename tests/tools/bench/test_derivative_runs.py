"""Runs of differentiators over movements, and OpenSimRT's filter against OpenSimRT's own output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.signals.differentiate import METHODS
from edge.storage import read_table
from tools.bench.derivative_runs import OPENSIMRT, opensimrt, opensimrt_weights, run
from tools.bench.movements import Movement, Part

COLUMNS = ("hip_flexion_r", "knee_angle_r", "ankle_angle_r", "knee_angle_l")


def sway(seconds: float = 6.0) -> Movement:
    time = np.arange(round(seconds * 100)) / 100
    q = 0.4 * np.sin(2 * np.pi * 0.8 * time[:, None] + np.arange(3))
    return Movement("sway", "p", "sway", time, q, ("a", "b", "c"), (Part("sway", 0.0, float(time[-1])),))


@pytest.mark.parametrize("method", [*METHODS, OPENSIMRT])
def test_every_method_comes_near_a_slow_movement(method: str) -> None:
    done = run(method, sway(), 0.1)
    assert done.said.shape == done.true.shape == (3, len(done.time_s), 3)
    np.testing.assert_array_less(done.rmse(1.0, 5.5), [0.4, 6.0, 200.0])
    assert done.time_s[-1] == pytest.approx(5.99 - 0.1, abs=0.011)


def test_errors_are_taken_in_the_range_that_is_asked_for() -> None:
    done = run("kalman", sway(), 0.05)
    assert np.isnan(done.rmse(100.0)).all()
    whole, first, second = (done.rmse(*between) ** 2 for between in ((1.0, 5.0), (1.0, 3.0), (3.0, 5.0)))
    np.testing.assert_allclose(whole, (first + second) / 2, rtol=1e-2)


def test_the_seed_and_the_reading_of_jitter_matter() -> None:
    first = run("kalman", sway(), 0.05).rmse(1.0)
    np.testing.assert_array_equal(first, run("kalman", sway(), 0.05).rmse(1.0))
    assert not np.array_equal(first, run("kalman", sway(), 0.05, seed=1).rmse(1.0))
    assert not np.array_equal(first, run("kalman", sway(), 0.05, jitter="true").rmse(1.0))


def test_opensimrt_filter_gives_what_opensimrt_published(data: Path) -> None:
    folder = data / "opensimrt_gait"
    ik = read_table(folder / "ik.mot")
    grid = np.arange(0.0, ik.time_s[-1] + 1e-9, 0.01)
    even = np.stack([np.interp(grid, ik.time_s, ik.column(name)) for name in COLUMNS], axis=1)
    time, said = opensimrt(grid, even, 14)
    for derivative, file in enumerate(("q", "qd", "qdd")):
        table = read_table(folder / f"filter_M35F6D14S3_{file}.sto")
        np.testing.assert_allclose(time[: len(table.time_s)], table.time_s, atol=1e-9)
        for i, name in enumerate(COLUMNS):
            published = table.column(name)
            error = np.sqrt(np.mean((said[derivative, : len(published), i] - published) ** 2))
            assert error < 0.01 * np.std(published), (file, name)


def test_opensimrt_filter_keeps_lines_and_fills_lost_samples() -> None:
    weights = opensimrt_weights(14)
    line = 3.0 + 2.0 * np.arange(35) / 100
    np.testing.assert_allclose(weights @ line, [line[20], 2.0, 0.0], atol=1e-8)
    stamps = np.delete(np.arange(100) / 100, [40, 41, 70])
    time, said = opensimrt(stamps, (3.0 + 2.0 * stamps)[:, None], 14)
    np.testing.assert_allclose(said[0, :, 0], 3.0 + 2.0 * time, atol=1e-9)
    np.testing.assert_allclose(time, np.arange(20, 86) / 100, atol=1e-9)
