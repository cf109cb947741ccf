"""Offline, zero-phase kinematics as OpenSim makes them: the physics targets of training, and inverse dynamics of files.

OpenSim pads a recording at both ends with its point reflection, filters it forwards and backwards with a third-order
Butterworth low-pass, and differentiates a quintic spline through the result.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import make_interp_spline
from scipy.signal import butter, filtfilt

FloatArray = npt.NDArray[np.float64]

CUTOFF_HZ = 6.0
_ORDER = 3
_EVEN = 1e-2  # of a sample period: how far a stamp may lie from an even grid without interpolation


def low_pass(time_s: FloatArray, values: FloatArray, cutoff_hz: float = CUTOFF_HZ) -> FloatArray:
    """Zero-phase low-pass of evenly sampled values (rows, columns), padded by half the record as OpenSim does.

    Raises ValueError when the sampling rate is not at least twice the cut-off.
    """
    rate = (len(time_s) - 1) / (time_s[-1] - time_s[0])
    if rate <= 2.0 * cutoff_hz:
        raise ValueError(f"a recording at {rate:.4g} Hz cannot be filtered at {cutoff_hz:g} Hz")
    pad = len(time_s) // 2
    padded = np.concatenate(
        [2.0 * values[:1] - values[pad:0:-1], values, 2.0 * values[-1:] - values[-2 : -pad - 2 : -1]], axis=0
    )
    b, a = butter(_ORDER, 2.0 * cutoff_hz / rate)
    return np.asarray(filtfilt(b, a, padded, axis=0, padtype=None)[pad : pad + len(values)])


def evenly(time_s: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The recording on an even grid of as many rows from its start to its end, by cubic spline where its own is not even."""
    grid = np.linspace(time_s[0], time_s[-1], len(time_s))
    if np.abs(time_s - grid).max() <= _EVEN * (grid[1] - grid[0]):
        return grid, values
    return grid, np.asarray(make_interp_spline(time_s, values, k=3)(grid))


def differentiate(
    time_s: FloatArray, values: FloatArray, at_s: FloatArray, *, cutoff_hz: float | None = CUTOFF_HZ
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Filtered values and their first two derivatives at the times `at_s`; each (len(at_s), columns).

    values: (rows, columns) at `time_s`; at least six rows. `cutoff_hz` None is for values that are filtered already.
    """
    grid, even = evenly(time_s, values)
    spline = make_interp_spline(grid, even if cutoff_hz is None else low_pass(grid, even, cutoff_hz), k=5)
    return (
        np.asarray(spline(at_s)),
        np.asarray(spline.derivative(1)(at_s)),
        np.asarray(spline.derivative(2)(at_s)),
    )


def impulse_taps(rate_hz: float, later: float, reach_s: float) -> FloatArray:
    """The zero-phase filter as weights of the samples around a moment: (3, 2 reach + 1) for value, rate and acceleration.

    The moment lies `later` sample intervals (0 to 1) after the middle one of 2 reach + 1 even samples, oldest first, where
    reach is `reach_s` in samples. Filter and spline are linear, so their answers to one impulse say everything. Beyond
    the reach the answers are cut; what that would do to a parabola is mended with the smallest change of the weights.
    """
    reach = round(reach_s * rate_hz)
    middle = 4 * reach
    times = np.arange(2 * middle + 1) / rate_hz
    impulse = np.zeros((len(times), 1))
    impulse[middle] = 1.0
    # What sample k (counted from the middle one) adds at the moment is what the middle one adds k samples earlier.
    number = np.arange(-reach, reach + 1)
    at = times[middle] + (later - number) / rate_hz
    taps = np.stack([part[:, 0] for part in differentiate(times, impulse, at)])
    powers = (number - later) ** np.arange(3)[:, None]  # of the samples' times from the moment, in intervals
    wanted = np.diag([1.0, rate_hz, 2.0 * rate_hz**2])
    return np.asarray(taps + np.linalg.solve(powers @ powers.T, (wanted - taps @ powers.T).T).T @ powers)
