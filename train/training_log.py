"""Curves of a training for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from edge.cli import missing_extra
from edge.errors import FileError


class TrainingLog(Protocol):
    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Values at a step, each a curve of its own."""


class _Nothing:
    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Nobody looks."""


@contextmanager
def training_log(folder: Path | None, *, after: int = 0) -> Iterator[TrainingLog]:
    """A log in a folder, or one that keeps nothing. What stands there behind step `after` is replaced.

    Raises MissingExtraError without the package `tensorboard`, FileError when the folder cannot be written.
    """
    if folder is None:
        yield _Nothing()
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise missing_extra(error, "a training log") or error from None
    try:
        writer = SummaryWriter(str(folder), purge_step=after + 1)
    except OSError as error:
        raise FileError(
            f"{folder}: cannot be written ({error.strerror}): choose a folder that you may write to"
        ) from None
    try:
        yield _Curves(writer)
    finally:
        writer.close()


class _Writer(Protocol):
    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...


class _Curves:
    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    def write(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
