from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.signals.kalman import KalmanSmoother
from tests.edge.signals.made_up import RATE_HZ, even, feed, uneven

CUTOFF_HZ = 7.0


def textbook(
    times: np.ndarray, z: np.ndarray, rate_hz: float
) -> tuple[np.ndarray, np.ndarray, Callable[..., np.ndarray]]:
    """Kalman filter of one channel (plain covariance update) and, on request, the Rauch-Tung-Striebel smoother.

    Returns filtered states and covariances over the samples, and a function that gives the smoothed state of sample `m`
    from the data up to sample `k`.
    """
    w = 2 * np.pi * CUTOFF_HZ
    density = w**6 / rate_hz
    measure = np.array([[1.0, 0.0, 0.0]])

    def matrices(dt: float) -> tuple[np.ndarray, np.ndarray]:
        f = np.array([[1, dt, dt**2 / 2], [0, 1, dt], [0, 0, 1.0]])
        g = density * np.array(
            [[dt**5 / 20, dt**4 / 8, dt**3 / 6], [dt**4 / 8, dt**3 / 3, dt**2 / 2], [dt**3 / 6, dt**2 / 2, dt]]
        )
        return f, g

    x, p = np.array([z[0], 0.0, 0.0]), np.diag([1.0, w**2, w**4]) * 1e3
    xs, ps, predicted = [], [], []
    for i in range(len(times)):
        f = np.eye(3)
        if i > 0:
            f, g = matrices(times[i] - times[i - 1])
            x, p = f @ x, f @ p @ f.T + g
        predicted.append((x, p, f))
        gain = p @ measure.T @ np.linalg.inv(measure @ p @ measure.T + 1.0)
        x = x + gain[:, 0] * (z[i] - x[0])
        p = (np.eye(3) - gain @ measure) @ p
        xs.append(x)
        ps.append(p)

    def smoothed(m: int, k: int) -> np.ndarray:
        state = xs[k]
        for i in range(k, m, -1):
            x_pred, p_pred, f = predicted[i]
            state = xs[i - 1] + ps[i - 1] @ f.T @ np.linalg.solve(p_pred, state - x_pred)
        return state

    return np.array(xs), np.array(ps), smoothed


@pytest.mark.parametrize("times", [even(250), uneven(250), np.concatenate([even(120), even(80) + 1.24])])
@pytest.mark.parametrize("age_s", [0.0, 0.05, 0.1, 0.3])
def test_kalman_is_the_textbook_filter_and_smoother(times: np.ndarray, age_s: float) -> None:
    rng = np.random.default_rng(1)
    z = np.stack([np.sin(2 * np.pi * times), 0.3 * np.cos(9 * times) + 0.1 * times], axis=1)
    z += rng.normal(0, 1e-3, z.shape)
    outputs = feed(KalmanSmoother(2, RATE_HZ, age_s), times, z)
    references = [textbook(times, z[:, c], RATE_HZ)[2] for c in range(2)]
    compared = 0
    for k, out in enumerate(outputs):
        if out is None:
            continue
        wanted = times[k] - age_s
        assert out.t_s == wanted
        distance = np.abs(times[: k + 1] - wanted)
        m = int(distance.argmin())
        if np.diff(np.sort(distance)[:2]) < 1e-9:
            continue  # half-way between two samples either may be taken
        shift = wanted - times[m]
        for c, smoothed in enumerate(references):
            q, qd, qdd = smoothed(m, k)
            expected = (q + shift * qd + shift**2 / 2 * qdd, qd + shift * qdd, qdd)
            got = (out.q[c], out.qd[c], out.qdd[c])
            scale = np.array(
                [1.0, 7.0, 50.0]
            )  # of the signal and its derivatives: no relative error where they cross zero
            assert np.abs(np.subtract(got, expected) / scale).max() < 1e-9
        compared += 1
    assert compared > 150


def test_settled_gains_change_nothing() -> None:
    """At even intervals the filter switches to constants; disturbed intervals must bring it back."""
    times = np.concatenate([even(150), [4.05, 4.06], 4.06 + np.arange(1, 150) / RATE_HZ])
    z = np.sin(5 * times)[:, None]
    fast, slow = KalmanSmoother(1, RATE_HZ, 0.1), KalmanSmoother(1, RATE_HZ, 0.1)
    for t, row in zip(times, z, strict=True):
        slow._settled = None
        a, b = fast.push(float(t), row), slow.push(float(t), row)
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            np.testing.assert_allclose([a.q, a.qd, a.qdd], [b.q, b.qd, b.qdd], rtol=1e-11, atol=1e-10)
    assert fast._settled is not None
