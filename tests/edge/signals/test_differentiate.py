from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import savgol_coeffs

from edge.errors import ConfigError
from edge.signals import differentiate
from edge.signals.differentiate import Derivatives, Differentiator
from edge.signals.kalman import KalmanSmoother
from edge.signals.savgol import SavitzkyGolay

RATE_HZ = 100.0
CUTOFF_HZ = 7.0


def even(count: int, rate_hz: float = RATE_HZ) -> np.ndarray:
    return 2.5 + np.arange(count) / rate_hz


def uneven(count: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(5).uniform(0.003, 0.02, count))


def feed(differentiator: Differentiator, times: np.ndarray, values: np.ndarray) -> list[Derivatives | None]:
    return [differentiator.push(float(t), row) for t, row in zip(times, values, strict=True)]


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


def cubic(t: np.ndarray) -> list[np.ndarray]:
    return [0.2 + 0.5 * t - 0.3 * t**2 + 0.05 * t**3, 0.5 - 0.6 * t + 0.15 * t**2, -0.6 + 0.3 * t]


def slow_sine(t: np.ndarray) -> list[np.ndarray]:
    w = 2 * np.pi * 0.4
    return [np.sin(w * t), w * np.cos(w * t), -(w**2) * np.sin(w * t)]


@pytest.mark.parametrize("method", differentiate.METHODS)
@pytest.mark.parametrize("age_s", [0.02, 0.05, 0.055, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("motion", [cubic, slow_sine])
@pytest.mark.parametrize("times", [even(400), uneven(400)])
def test_the_declared_age_is_true(
    method: str, age_s: float, motion: Callable[[np.ndarray], list[np.ndarray]], times: np.ndarray
) -> None:
    value = motion(times)[0][:, None]
    differentiator = differentiate.create(method, n_joints=1, rate_hz=RATE_HZ, age_s=age_s)
    for out, t in list(zip(feed(differentiator, times, value), times, strict=True))[200:]:
        assert out is not None
        assert out.age_s == age_s
        assert out.t_s == pytest.approx(t - age_s, abs=1e-12)
        q, qd, qdd = (float(x) for x in motion(np.array(t - age_s)))
        # A wrong age of one sample would be an error of 0.01 * 2.5 in q, and 0.06 in qd.
        assert out.q[0] == pytest.approx(q, abs=1e-3)
        assert out.qd[0] == pytest.approx(qd, abs=3e-2 if method == "fir" else 2e-2)
        # What is best for movement in general takes a swing of 57 degrees for too much to be all true.
        assert out.qdd[0] == pytest.approx(qdd, abs={"fir": 4.0, "adaptive": 1.0}.get(method, 0.5))


@pytest.mark.parametrize("age_s", [0.0, 0.05])
def test_savgol_reproduces_a_cubic_exactly_at_any_intervals(age_s: float) -> None:
    times = uneven(200)
    for out in feed(SavitzkyGolay(1, RATE_HZ, age_s), times, cubic(times)[0][:, None]):
        if out is not None:
            expected = [float(x) for x in cubic(np.array(out.t_s))]
            np.testing.assert_allclose([out.q[0], out.qd[0], out.qdd[0]], expected, atol=1e-8)


@pytest.mark.parametrize(("method", "age_s", "first"), [("kalman", 0.0, 14), ("kalman", 0.3, 30), ("savgol", 0.05, 19)])
def test_nothing_comes_while_it_warms_up(method: str, age_s: float, first: int) -> None:
    differentiator = differentiate.create(method, n_joints=2, rate_hz=RATE_HZ, age_s=age_s)
    outputs = feed(differentiator, even(60), np.zeros((60, 2)))
    assert [out is None for out in outputs] == [k < first for k in range(60)]
    assert outputs[first] is not None
    assert outputs[first].q.shape == outputs[first].qd.shape == outputs[first].qdd.shape == (2,)
    assert outputs[first].rmse.shape == (3, 2)


@pytest.mark.parametrize("method", differentiate.METHODS)
def test_a_moment_between_two_samples_can_be_asked_for(method: str) -> None:
    times = even(100)
    outputs = feed(differentiate.create(method, n_joints=1, rate_hz=RATE_HZ, age_s=0.047), times, times[:, None])
    assert outputs[-1] is not None
    assert outputs[-1].q[0] == pytest.approx(times[-1] - 0.047, abs=1e-6)


@pytest.mark.parametrize("method", differentiate.METHODS)
@pytest.mark.parametrize("again", [2.6, 2.599999, 1.0, float("nan")])
def test_time_must_increase(method: str, again: float) -> None:
    differentiator = differentiate.create(method, n_joints=1, rate_hz=RATE_HZ, age_s=0.05)
    differentiator.push(2.6, np.zeros(1))
    with pytest.raises(ValueError, match="time does not increase"):
        differentiator.push(again, np.zeros(1))
    differentiator.push(2.61, np.zeros(1))  # it goes on


@pytest.mark.parametrize(
    "wrong", [{"n_joints": 0}, {"rate_hz": 0.0}, {"rate_hz": float("nan")}, {"age_s": -0.01}, {"age_s": 0.31}]
)
def test_settings_that_cannot_be_used(wrong: dict[str, float]) -> None:
    settings = {"n_joints": 3, "rate_hz": 100.0, "age_s": 0.05, **wrong}
    with pytest.raises(ConfigError, match="cannot be used"):
        differentiate.create("kalman", **settings)  # type: ignore[arg-type]


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown method 'magic': use one of kalman, savgol"):
        differentiate.create("magic", n_joints=1, rate_hz=100.0, age_s=0.0)


def test_the_interface_is_the_agreed_one() -> None:
    signature = inspect.signature(differentiate.create)
    assert list(signature.parameters)[:5] == ["method", "n_joints", "rate_hz", "age_s", "background"]
    kinds = {p.kind for name, p in signature.parameters.items() if name != "method"}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}
    assert signature.parameters["background"].default is True
    assert list(Derivatives.__dataclass_fields__) == ["t_s", "q", "qd", "qdd", "age_s", "rmse"]
    differentiate.create("kalman", n_joints=1, rate_hz=100.0, age_s=0.0, background=False)


@pytest.mark.parametrize("method", differentiate.METHODS)
@pytest.mark.parametrize("age_s", [0.0, 0.05])
def test_the_measured_error_is_close_to_the_true_one(method: str, age_s: float) -> None:
    rng = np.random.default_rng(7)
    times = even(1200)
    w = 2 * np.pi * np.array([0.9, 1.3])
    truth = np.stack([np.sin(w * times[:, None]), w * np.cos(w * times[:, None]), -(w**2) * np.sin(w * times[:, None])])
    outputs = feed(
        differentiate.create(method, n_joints=2, rate_hz=RATE_HZ, age_s=age_s),
        times,
        truth[0] + rng.normal(0, 2e-3, truth[0].shape),
    )
    lag = round(age_s * RATE_HZ)
    said = [out for out in outputs[400:] if out is not None]
    error = np.array([[o.q, o.qd, o.qdd] for o in said]) - truth[:, 400 - lag : 1200 - lag].transpose(1, 0, 2)
    true_rmse = np.sqrt((error**2).mean(axis=0))
    measured = np.mean([o.rmse for o in said], axis=0)
    assert np.isfinite(measured).all()
    ratio = measured / true_rmse
    assert ratio[0].min() > 0.85
    assert ratio[0].max() < 1.15
    # The smoother expects rougher movements than a sine, so it owns up to more error than there is, most in the acceleration;
    # and a filter that has learned a sine is nearly as right as what it is measured by.
    assert ratio.min() > 0.85
    assert ratio.max() < (2.2 if method == "adaptive" else 1.8)


def test_the_error_is_unknown_until_there_is_something_to_compare_with() -> None:
    outputs = feed(differentiate.create("kalman", n_joints=1, rate_hz=100.0, age_s=0.05), even(100), np.zeros((100, 1)))
    known = [out is not None and bool(np.isfinite(out.rmse).all()) for out in outputs]
    first = known.index(True)
    # The first output is that of sample 14, of the moment of sample 9: 0.35 s after it, at sample 44, the truth is known.
    assert first == 44
    assert all(known[first:])


def test_an_error_is_measured_at_the_largest_age_too() -> None:
    rng = np.random.default_rng(1)
    times = even(300)
    outputs = feed(
        differentiate.create("savgol", n_joints=1, rate_hz=100.0, age_s=0.3), times, rng.normal(size=(300, 1))
    )
    assert outputs[-1] is not None
    assert (outputs[-1].rmse > 0).all()


@pytest.mark.parametrize("method", differentiate.METHODS)
def test_outputs_do_not_change_when_later_samples_do(method: str) -> None:
    rng = np.random.default_rng(3)
    times, values = even(160), rng.normal(size=(160, 2))
    other = values.copy()
    other[100:] += 5.0
    one, two = (
        feed(differentiate.create(method, n_joints=2, rate_hz=RATE_HZ, age_s=0.1), times, data)
        for data in (values, other)
    )
    for a, b in itertools.islice(zip(one, two, strict=True), 100):
        if a is not None and b is not None:
            for name in ("q", "qd", "qdd", "rmse"):
                assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    # And what was given out is not changed behind the receiver's back.
    held = one[99]
    assert held is not None
    again = feed(differentiate.create(method, n_joints=2, rate_hz=RATE_HZ, age_s=0.1), times[:100], values[:100])[-1]
    assert again is not None
    assert held.q.tobytes() == again.q.tobytes()
