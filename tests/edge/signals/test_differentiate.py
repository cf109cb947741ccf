from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.signals import differentiate
from edge.signals.differentiate import Derivatives
from tests.edge.signals.made_up import RATE_HZ, cubic, even, feed, uneven


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
        assert out.q[0] == pytest.approx(q, abs=2e-3 if method == "fir" else 1e-3)
        assert out.qd[0] == pytest.approx(qd, abs=5e-2 if method == "fir" else 2e-2)
        # What is best for movement in general takes a swing of 57 degrees for too much to be all true.
        assert out.qdd[0] == pytest.approx(qdd, abs={"fir": 4.5 if age_s < 0.05 else 1.0}.get(method, 0.5))


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
