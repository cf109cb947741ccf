import numpy as np
import pytest

from edge.timing import Distribution


def test_nothing_measured_is_none() -> None:
    assert Distribution().summary() == {"p50": None, "p99": None, "max": None}


def test_percentiles_and_maximum() -> None:
    times = Distribution(capacity=1000)
    values = np.random.default_rng(1).normal(5.0, 1.0, 500)
    for value in values:
        times.add(float(value))
    summary = times.summary()
    assert summary["p50"] == pytest.approx(np.percentile(values, 50), abs=1e-3)
    assert summary["p99"] == pytest.approx(np.percentile(values, 99), abs=1e-3)
    assert summary["max"] == pytest.approx(values.max(), abs=1e-3)


def test_a_full_ring_keeps_the_newest_and_the_largest_of_all() -> None:
    times = Distribution(capacity=4)
    for value in (99.0, 1.0, 2.0, 3.0, 4.0, 5.0):
        times.add(value)
    assert times.count == 6
    assert times.summary() == {"p50": 3.5, "p99": pytest.approx(4.97), "max": 99.0}
