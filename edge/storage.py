"""Tables of time series: OpenSim's .mot and .sto, and .csv. Read whole, checked once, written atomically."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import FileError, TrialError

FloatArray = npt.NDArray[np.float64]
_Row = tuple[int, list[str]]  # line number in the file, values


@dataclass(frozen=True)
class Table:
    """Time series of named columns. `in_degrees` is what the header says of angles; None where the format has no such word."""

    path: Path
    time_s: FloatArray  # (rows,), strictly increasing
    columns: tuple[str, ...]  # without time
    data: FloatArray  # (rows, columns)
    in_degrees: bool | None

    def column(self, name: str) -> FloatArray:
        """One column (rows,). Raises TrialError when it is missing, stands twice or is not finite."""
        values = self.raw(name)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise TrialError(
                f"{self.path}: column '{name}' is not a number at time {self.time_s[bad[0]]:g} s "
                f"({len(bad)} of {len(values)} rows): fill the gap, or remove those rows at the file's start or end"
            )
        return values

    def raw(self, name: str) -> FloatArray:
        """One column (rows,) that may hold NaN. Raises TrialError when it is missing or stands twice."""
        found = self.columns.count(name)
        if found == 0:
            raise TrialError(f"{self.path}: has no column '{name}': it has {_some(self.columns)}")
        if found > 1:
            raise TrialError(f"{self.path}: column '{name}' stands {found} times: remove all but one")
        return self.data[:, self.columns.index(name)]


def _some(names: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def read_text(path: Path) -> str:
    """The text of a file. Raises FileError that says why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(f"{path}: is not a text file: it is damaged or of another kind, give another one") from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}): check the path and its permissions") from None
    except ValueError as error:  # a NUL in the path
        raise FileError(f"{path!r}: cannot be read ({error}): check the path") from None


def read_table(path: Path) -> Table:
    """Read a .mot, .sto or .csv file. Raises FileError or TrialError naming the file, the place and the mend."""
    if path.suffix.lower() in (".c3d", ".trc"):
        raise FileError(
            f"{path}: holds markers, no joint angles: name the person's OpenSim model as `osim` in the [[trial]] (inverse "
            "kinematics then finds the angles), or give them as a .mot, .sto or .csv file"
        )
    text = read_text(path)
    if path.suffix.lower() == ".csv":
        names, rows, in_degrees = _split_csv(path, text)
    elif path.suffix.lower() in (".mot", ".sto"):
        names, rows, in_degrees = _split_storage(path, text)
    else:
        raise FileError(f"{path}: unknown kind of file '{path.suffix}': give a .mot, .sto or .csv file")
    data = _numbers(path, names, rows)
    time = data[:, 0]
    if not np.all(np.isfinite(time)):
        raise TrialError(f"{path}: the time column holds values that are not numbers: mend the file")
    backward = np.flatnonzero(np.diff(time) <= 0)
    if len(backward):
        row = int(backward[0]) + 1
        raise TrialError(
            f"{path}: time does not increase at row {row + 1} ({time[row - 1]:g} s, then {time[row]:g} s): "
            "sort the rows and remove duplicates"
        )
    return Table(path, time.copy(), tuple(names[1:]), data[:, 1:].copy(), in_degrees)


def _split_storage(path: Path, text: str) -> tuple[list[str], list[_Row], bool | None]:
    lines = text.splitlines()
    ends = [i for i, line in enumerate(lines) if line.strip().lower() == "endheader"]
    if not ends:
        raise FileError(f"{path}: not an OpenSim table (no line 'endheader'): export it from OpenSim again")
    in_degrees: bool | None = None
    declared_rows: int | None = None
    for line in lines[: ends[0]]:
        key, _, value = line.partition("=")
        word = value.strip().lower()
        if key.strip().lower() == "indegrees":
            if word not in ("yes", "no"):
                raise FileError(f"{path}: header says inDegrees={value.strip()}: write inDegrees=yes or inDegrees=no")
            in_degrees = word == "yes"
        if key.strip().lower() in ("nrows", "datarows") and word.isdigit():
            declared_rows = int(word)
    if in_degrees is None and any(line.startswith("# SIMM Motion File Header") for line in lines[: ends[0]]):
        in_degrees = True  # the old format knows nothing else, and OpenSim reads it so
    start = ends[0] + 1
    while start < len(lines) and not lines[start].strip():
        start += 1
    if start >= len(lines):
        raise FileError(f"{path}: ends after its header: the file is truncated, copy or export it again")
    names = lines[start].split()
    rows = [(i + 1, lines[i].split()) for i in range(start + 1, len(lines)) if lines[i].strip()]
    if declared_rows is not None and len(rows) < declared_rows:
        raise FileError(
            f"{path}: header announces {declared_rows} rows, the file holds {len(rows)}: it is truncated, copy it again "
            "(if the recording is whole, correct nRows)"
        )
    return names, rows, in_degrees


def _split_csv(path: Path, text: str) -> tuple[list[str], list[_Row], bool | None]:
    try:
        numbered = [(i + 1, row) for i, row in enumerate(csv.reader(text.splitlines())) if any(v.strip() for v in row)]
    except csv.Error as error:
        raise FileError(f"{path}: is not a table of comma-separated values ({error}): export it again") from None
    if not numbered:
        raise FileError(f"{path}: is empty: export the recording again")
    return [name.strip() for name in numbered[0][1]], numbered[1:], None


def _numbers(path: Path, names: Sequence[str], rows: Sequence[_Row]) -> FloatArray:
    if path.suffix.lower() == ".csv" and len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise FileError(f"{path}: its values are not separated by commas: export it with commas, and decimal points")
    if not names or names[0].lower() != "time":
        raise TrialError(f"{path}: the first column is '{names[0] if names else ''}', not 'time': name it so")
    if len(rows) < 2:
        raise TrialError(f"{path}: holds {len(rows)} rows of data: a recording needs at least 2")
    data = np.empty((len(rows), len(names)))
    for i, (line, row) in enumerate(rows):
        if len(row) != len(names):
            raise FileError(
                f"{path}: line {line} has {len(row)} values for {len(names)} columns: "
                "the file is truncated or malformed, export it again"
            )
        try:
            data[i] = [float(value) if value.strip() else np.nan for value in row]
        except ValueError:
            bad = next(k for k, value in enumerate(row) if not _is_number(value))
            raise FileError(
                f"{path}: line {line}, column '{names[bad]}': '{row[bad]}' is not a number: mend the file"
                + (" (decimals are written with a point)" if "," in row[bad] else "")
            ) from None
    return data


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip()
    return True


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does not.

    Raises FileError when the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise FileError(
            f"{path}: cannot be written ({error.strerror}): choose a folder that you may write to"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror}): free space or choose another folder") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_sto(path: Path, title: str, columns: Sequence[str], time_s: FloatArray, data: FloatArray) -> None:
    """Write an OpenSim storage file (rows, columns), whole or not at all."""
    if data.shape != (len(time_s), len(columns)):
        raise ValueError(f"data {data.shape} does not fit {len(time_s)} rows of {len(columns)} columns")

    def lines() -> Iterable[str]:
        yield f"{title}\nversion=1\nnRows={len(time_s)}\nnColumns={len(columns) + 1}\ninDegrees=no\nendheader\n"
        yield "\t".join(["time", *columns]) + "\n"
        for t, row in zip(time_s, data, strict=True):
            # Fifteen digits tell rows apart even on a clock that counts from 1970.
            yield "\t".join([f"{t:.15g}", *(f"{value:.10g}" for value in row)]) + "\n"

    write_text(path, "".join(lines()))
