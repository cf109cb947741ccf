"""Movements nobody made, what a cheap sensor says of them, and how far a differentiator is from their truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.stats import t as student

from edge.signals import zero_phase
from edge.signals.differentiator import Derivatives, Differentiator
from edge.signals.movement_prior import AMPLITUDE_RAD, Matern

RATE_HZ = 100.0
NOISE_RAD = np.radians(0.1)
_STEP_RAD = 2.0 * np.pi / 4096  # of a 12-bit encoder
_CHANGE_S = 0.3  # in which a stride changes its pace: sudden for a leg


def even(count: int, rate_hz: float = RATE_HZ) -> np.ndarray:
    return 2.5 + np.arange(count) / rate_hz


def uneven(count: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(5).uniform(0.003, 0.02, count))


def cubic(t: np.ndarray) -> list[np.ndarray]:
    """Value, rate and acceleration."""
    return [0.2 + 0.5 * t - 0.3 * t**2 + 0.05 * t**3, 0.5 - 0.6 * t + 0.15 * t**2, -0.6 + 0.3 * t]


def stride(times: np.ndarray, channels: int, *paces: tuple[float, float], seed: int = 0) -> np.ndarray:
    """Values, rates, accelerations (3, m, channels) of a stride of six harmonics, as large as walking's.

    paces: from when on in s, counted from the first time, the stride is repeated how many times a second; each pace passes into
    the next within 0.3 s. 0 is standing still.
    """
    rng = np.random.default_rng(seed)
    number = np.arange(1, 7)[:, None]
    size = np.radians(25.0) * rng.uniform(0.5, 1.0, (6, channels)) / number**1.7
    shift = rng.uniform(0.0, 2.0 * np.pi, (6, channels))
    t = times - times[0]
    turn, speed, change = paces[0][1] * t, np.full_like(t, paces[0][1]), np.zeros_like(t)
    for (_, before), (start, after) in pairwise(paces):
        x = np.clip((t - start) / _CHANGE_S, 0.0, 1.0)
        step = after - before
        turn += step * (_CHANGE_S * x**4 * (2.5 - 3.0 * x + x * x) + np.maximum(t - start - _CHANGE_S, 0.0))
        speed += step * x**3 * (10.0 - 15.0 * x + 6.0 * x * x)
        change += step * 30.0 * x**2 * (1.0 - x) ** 2 / _CHANGE_S
    angle = 2.0 * np.pi * number[:, :, None] * turn + shift[:, :, None]
    own = 2.0 * np.pi * number  # of the angle by the turn
    wave, slope, curve = (
        np.einsum("kc,kcm->mc", factor, values)
        for factor, values in ((size, np.sin(angle)), (size * own, np.cos(angle)), (-size * own**2, np.sin(angle)))
    )
    return np.stack([wave, slope * speed[:, None], curve * speed[:, None] ** 2 + slope * change[:, None]])


def sampled(process: Matern, times: np.ndarray, channels: int, seed: int = 0) -> np.ndarray:
    """Values and rates (2, m, channels) of a process: waves of all frequencies up to 25 Hz, as large as its spectrum says.

    The spectrum of a Matern covariance is a Student distribution with as many degrees of freedom as it has halves.
    """
    rng, count = np.random.default_rng(seed), 500
    w = 2.0 * np.pi * 25.0 / count * (np.arange(count) + rng.random(count))
    spread = 2.0 * np.pi * process.corner_hz / np.sqrt(process.halves)
    share = student.pdf(w / spread, process.halves)
    size = AMPLITUDE_RAD * np.sqrt(share / share.sum())[:, None] * rng.normal(size=(2, count, channels))
    wave, slope = np.cos(np.outer(times, w)), np.sin(np.outer(times, w))
    return np.stack([wave @ size[0] + slope @ size[1], wave @ (w[:, None] * size[1]) - slope @ (w[:, None] * size[0])])


def sensed(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """0.1 degree of white noise, then 12 bits to the turn."""
    noise = np.random.default_rng(seed).normal(0.0, NOISE_RAD, values.shape)
    return np.round((values + noise) / _STEP_RAD) * _STEP_RAD


def feed(
    differentiator: Differentiator, times: np.ndarray, values: np.ndarray, rates: np.ndarray | None = None
) -> list[Derivatives | None]:
    measured = [None] * len(times) if rates is None else list(rates)
    return [differentiator.push(float(t), q, rate) for t, q, rate in zip(times, values, measured, strict=True)]


def table(outputs: list[Derivatives | None]) -> tuple[np.ndarray, np.ndarray]:
    """Moments (k,) and what was said of them (3, k, channels)."""
    said = [out for out in outputs if out is not None]
    return np.array([out.t_s for out in said]), np.array([(o.q, o.qd, o.qdd) for o in said]).transpose(1, 0, 2)


def squares(
    outputs: list[Derivatives | None], times: np.ndarray, clean: np.ndarray, start_s: float = 0.0, end_s: float = np.inf
) -> np.ndarray:
    """Mean square errors (3, channels) against the zero-phase derivatives of the clean values on even `times`.

    Of moments from `start_s` to `end_s` after the first time; not of the last 0.3 s, where the zero-phase filter's padding shows.
    """
    moments, said = table(outputs)
    within = (moments >= times[0] + start_s) & (moments < min(times[0] + end_s, times[-1] - 0.3))
    truth = np.stack(zero_phase.differentiate(times, clean, moments[within]))
    return np.asarray(((said[:, within] - truth) ** 2).mean(axis=1))


def rmse(
    outputs: list[Derivatives | None], times: np.ndarray, clean: np.ndarray, start_s: float = 0.0, end_s: float = np.inf
) -> np.ndarray:
    """(3,): root mean square errors over all channels; see `squares`."""
    return np.asarray(np.sqrt(squares(outputs, times, clean, start_s, end_s).mean(axis=1)))
