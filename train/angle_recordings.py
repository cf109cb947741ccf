"""Recordings of one or two joint angles that came with electromyograms: knees, an elbow, wrists.

Their files are no OpenSim tables: plain text, angles among raw EMG columns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import medfilt

from edge.errors import FileError
from edge.storage import read_text

FloatArray = npt.NDArray[np.float64]

KNEE_RATE_HZ = 50.0
KNEE_EMG_RATE_HZ = 1000.0
KNEE_EMG = ("rect_fem", "bifemlh", "vas_med", "semiten")  # the muscles of a knee file's first columns
ELBOW_RATE_HZ = 50.0
WRIST_RATE_HZ = 1000.0  # the source states none

_KNEE_ROWS_PER_SAMPLE = 20  # angles of 50 Hz, filled up to the EMG's 1000 Hz
_KNEE_COLUMN = 4
_ELBOW_COLUMN = 1
_ELBOW_DEG_PER_COUNT = -180.0 / 4000.0  # no scale is stated: this makes a curl 95 deg; flexion is negative in the file
_WRIST_COLUMNS = (4, 5)
_WRIST_MEDIAN_ROWS = 9  # single rows read zero


def knee_angle(path: Path) -> tuple[FloatArray, FloatArray]:
    """Times (rows,) in s and the knee's angle (rows, 1) in rad, in the file's sign, which differs between people."""
    values = _column(path, "\t", _KNEE_COLUMN)[::_KNEE_ROWS_PER_SAMPLE][:-1]  # the last is of another moment in some
    return np.arange(len(values)) / KNEE_RATE_HZ, np.radians(values[:, None])


def knee_emg(path: Path) -> tuple[FloatArray, FloatArray]:
    """Times (rows,) in s and the raw electromyograms (rows, muscles of KNEE_EMG) in mV."""
    columns = [_column(path, "\t", c) for c in range(len(KNEE_EMG))]
    count = min(len(column) for column in columns)  # some end a little before the angle does
    return np.arange(count) / KNEE_EMG_RATE_HZ, np.stack([column[:count] for column in columns], axis=1)


def elbow_angle(path: Path) -> tuple[FloatArray, FloatArray]:
    """Times (rows,) in s and the elbow's flexion (rows, 1) in rad from its lowest value."""
    counts = _column(path, "\t", _ELBOW_COLUMN) * _ELBOW_DEG_PER_COUNT
    return np.arange(len(counts)) / ELBOW_RATE_HZ, np.radians(counts - counts.min())[:, None]


def wrist_angles(path: Path) -> tuple[FloatArray, FloatArray]:
    """Times (rows,) in s and the wrist's two angles (rows, 2) in rad, in whole degrees, without the rows that read zero."""
    columns = [medfilt(_column(path, ",", c), _WRIST_MEDIAN_ROWS) for c in _WRIST_COLUMNS]
    return np.arange(len(columns[0])) / WRIST_RATE_HZ, np.radians(np.stack(columns, axis=1))


def _column(path: Path, separator: str, index: int) -> FloatArray:
    """The numbers of one column; rows that hold none, such as a header's, are left out. Raises FileError."""
    numbers = []
    for line in read_text(path).splitlines():
        fields = line.split(separator)
        if len(fields) > index:
            try:
                numbers.append(float(fields[index]))
            except ValueError:
                continue
    if not numbers:
        raise FileError(f"{path}: holds no angle in column {index + 1}: it is damaged or of another kind")
    return np.array(numbers)
