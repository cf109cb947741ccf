import numpy as np
import pytest

from edge.msk.samples import checked_times, place, slopes


def test_place_between_frames() -> None:
    time = np.array([0.0, 1.0, 3.0])
    assert [place(time, t) for t in (0.0, 0.25, 1.0, 2.0, 3.0)] == [(0, 0.0), (0, 0.25), (1, 0.0), (1, 0.5), (1, 1.0)]
    assert place(time, -1.0) == (0, -1.0)


def test_slopes_of_a_parabola_are_exact_at_uneven_times() -> None:
    time = np.array([0.0, 0.3, 1.0, 1.2])
    np.testing.assert_allclose(slopes(time, time[:, None] ** 2), 2.0 * time[:, None], atol=1e-12)
    np.testing.assert_allclose(slopes(time[:2], 3.0 * time[:2, None]), [[3.0], [3.0]])


def test_refused_times() -> None:
    assert checked_times([0, 1]).dtype == np.float64
    for times in ([0.0], [[0.0, 1.0]], 1.0):
        with pytest.raises(ValueError, match="at least 2"):
            checked_times(times)
    for times in ([0.0, 0.0], [1.0, 0.0], [0.0, np.nan], [0.0, np.inf]):
        with pytest.raises(ValueError, match="finite and increase"):
            checked_times(times)
