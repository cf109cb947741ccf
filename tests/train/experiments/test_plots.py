"""Plots are written whole, in one style, the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import FileError
from train.experiments.plots import bars, heat_map, lines, scatter, traces


def draw_all(folder: Path) -> list[Path]:
    x = np.linspace(0.0, 1.0, 20)
    points = np.stack([x, x**2], axis=1)
    return [
        bars(folder / "bars.svg", ["a", "b"], {"one": [0.5, None], "two": [-0.2, 0.9]}, y_label="R2", goal=0.8),
        lines(folder / "lines.svg", {"a": (x, x**2)}, x_label="x", y_label="y", deviations={"a": 0.1 * x}),
        lines(folder / "log.svg", {"a": ([0.01, 100.0], [0.2, 0.9])}, x_label="x", y_label="y", log_x=True),
        heat_map(folder / "map.svg", np.array([[0.1, np.nan]]), ["r"], ["a", "b"], label="R2", low=0.0, high=1.0),
        scatter(folder / "points.svg", {"a": (points, x), "b": (points, x)}, colour_label="phase", cyclic=True),
        traces(folder / "traces.svg", {"soleus": {"truth": (x, x), "net": (x, x**2)}}, x_label="s", y_label="a"),
    ]


def test_the_same_numbers_make_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for first, second in zip(draw_all(tmp_path / "one"), draw_all(tmp_path / "two"), strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name
    assert len(list((tmp_path / "one").iterdir())) == 6
    assert "0.900" in (tmp_path / "one" / "bars.svg").read_text()


def test_a_file_of_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"\.png, \.svg, \.pdf"):
        lines(tmp_path / "x.txt", {}, x_label="", y_label="")


def test_nothing_to_draw_is_the_caller_s_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        bars(tmp_path / "x.png", ["a"], {"one": [None]}, y_label="R2")
