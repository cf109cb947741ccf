from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import savgol_coeffs

from edge.signals.savgol import SavitzkyGolay
from tests.edge.signals.made_up import RATE_HZ, cubic, even, feed, uneven


@pytest.mark.parametrize("age_s", [0.0, 0.05, 0.1])
def test_savgol_is_scipys_on_an_even_grid(age_s: float) -> None:
    times = even(200)
    values = np.random.default_rng(2).normal(size=(200, 3))
    outputs = feed(SavitzkyGolay(3, RATE_HZ, age_s), times, values)
    count = round((0.15 + age_s) * RATE_HZ)
    place = count - 1 - round(age_s * RATE_HZ)
    assert [out is None for out in outputs] == [k < count - 1 for k in range(200)]
    for order, name in enumerate(("q", "qd", "qdd")):
        weights = savgol_coeffs(count, 3, deriv=order, delta=1 / RATE_HZ, pos=place, use="dot")
        for k in range(count - 1, 200):
            expected = weights @ values[k - count + 1 : k + 1]
            np.testing.assert_allclose(getattr(outputs[k], name), expected, rtol=1e-9, atol=1e-9 * 100**order)


@pytest.mark.parametrize("age_s", [0.0, 0.05])
def test_savgol_reproduces_a_cubic_exactly_at_any_intervals(age_s: float) -> None:
    times = uneven(200)
    for out in feed(SavitzkyGolay(1, RATE_HZ, age_s), times, cubic(times)[0][:, None]):
        if out is not None:
            expected = [float(x) for x in cubic(np.array(out.t_s))]
            np.testing.assert_allclose([out.q[0], out.qd[0], out.qdd[0]], expected, atol=1e-8)
