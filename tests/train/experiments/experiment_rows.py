"""Cells for the tests, of a module that a worker's process can import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from train.experiments.report import Row


def two_rows(data: Path, *, task: str, figure: float) -> Sequence[Row]:
    """Leaves a mark in the folder of recordings each time that it works."""
    done = data / f"{task}-{figure}"
    done.write_text(done.read_text() + "again" if done.exists() else "once")
    return [Row(task, "a", seed=0, activation_r2=figure), Row(task, "b", seed=0, activation_r2=figure / 2)]


def failing(data: Path) -> Sequence[Row]:
    raise ZeroDivisionError(str(data))


def killed(data: Path) -> Sequence[Row]:
    import os

    os._exit(1)
