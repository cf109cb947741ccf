from __future__ import annotations

import numpy as np
import pytest

from edge.signals.differentiator import REFERENCE_AGE_S, Derivatives, Differentiator
from edge.signals.kalman import KalmanSmoother
from edge.signals.measured import Measured
from edge.signals.savgol import SavitzkyGolay
from tests.edge.signals.made_up import RATE_HZ, even, feed, sensed, stride


def test_what_it_measures_is_not_changed() -> None:
    times = even(200)
    values = sensed(stride(times, 2, (0.0, 0.9))[0])
    plain, measured = (
        feed(own, times, values) for own in (SavitzkyGolay(2, RATE_HZ, 0.05), Measured(SavitzkyGolay(2, RATE_HZ, 0.05)))
    )
    for one, other in zip(plain, measured, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert (one.t_s, one.age_s) == (other.t_s, other.age_s)
            np.testing.assert_array_equal([one.q, one.qd, one.qdd], [other.q, other.qd, other.qdd])


class Wrong(Differentiator):
    """A smoother whose answers are off by a constant."""

    OFF = np.array([[0.1], [2.0], [30.0]])

    def __init__(self, age_s: float) -> None:
        super().__init__(1, RATE_HZ, age_s)
        self._own = KalmanSmoother(1, RATE_HZ, age_s)

    def restart(self) -> None:
        self._own.restart()

    def push(self, t_s: float, q: np.ndarray, rate: np.ndarray | None = None) -> Derivatives | None:
        out = self._own.push(t_s, q, rate)
        if out is None:
            return None
        off = self.OFF[:, 0]
        return Derivatives(out.t_s, out.q + off[0], out.qd + off[1], out.qdd + off[2], out.age_s, out.rmse)


@pytest.mark.parametrize("age_s", [0.0, 0.05, REFERENCE_AGE_S])
def test_a_known_error_is_found(age_s: float) -> None:
    outputs = feed(Measured(Wrong(age_s)), even(400), np.zeros((400, 1)))
    assert outputs[-1] is not None
    np.testing.assert_allclose(outputs[-1].rmse, Wrong.OFF, rtol=1e-6)


def test_the_error_is_unknown_until_there_is_something_to_compare_with() -> None:
    own = Measured(KalmanSmoother(1, RATE_HZ, 0.05))
    for _ in range(2):
        known = [
            out is not None and bool(np.isfinite(out.rmse).all()) for out in feed(own, even(100), np.zeros((100, 1)))
        ]
        first = known.index(True)
        # The first output is that of sample 14, of the moment of sample 9: 0.35 s after it, at sample 44, the truth is known.
        assert first == 44
        assert all(known[first:])
        own.restart()  # and again


def test_an_error_is_measured_at_the_largest_age_too() -> None:
    values = np.random.default_rng(1).normal(size=(300, 1))
    outputs = feed(Measured(SavitzkyGolay(1, RATE_HZ, REFERENCE_AGE_S)), even(300), values)
    assert outputs[-1] is not None
    assert (outputs[-1].rmse > 0).all()
