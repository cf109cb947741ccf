"""How far the planar model is from three dimensions, on one stride: the figures of `tools.bench.planar_vs_3d`."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


# A leg that walks in the plane, and one that is turned outwards by 15 degrees: its knee's and ankle's axes are.
@pytest.mark.parametrize(
    ("name", "start_s", "end_s", "side", "in_the_plane_nm"),
    [("gait2392_walk", 0.7, 1.7, "r", (1.5, 1.0, 1.5)), ("overground_s01", 1.8, 2.6, "l", (2.0, 8.0, 5.0))],
)
def test_joint_centres_bring_the_plane_close_and_own_axes_closer(
    data: Path,
    opensim: ModuleType,
    tmp_path: Path,
    name: str,
    start_s: float,
    end_s: float,
    side: str,
    in_the_plane_nm: tuple[float, ...],
) -> None:
    bench, trials = (importlib.import_module(f"tools.{m}") for m in ("bench.planar_vs_3d", "opensim_oracle_trials"))
    trial = trials.trials_3d(data, side)[name].within(start_s, end_s)
    comparison = bench.compare(trial, tmp_path)
    print(bench.report([comparison]))
    assert len(comparison.time_s) >= 60
    assert comparison.reference_nm.std(axis=0).min() > 10.0
    assert comparison.rmse_nm("angles")[0] > comparison.rmse_nm("centres")[0]
    assert (comparison.rmse_nm("centres") <= in_the_plane_nm).all()
    assert (comparison.rmse_nm("own axes") <= (1.0, 0.8, 0.2)).all()
    assert (comparison.r2("own axes") >= 0.998).all()
    # The joints' own axes explain what the plane leaves open, and little else does.
    rest, plane = comparison.rmse_nm("own axes"), comparison.rmse_nm("centres")
    np.testing.assert_allclose(np.hypot(rest, comparison.axes_nm()), plane, atol=0.3)
