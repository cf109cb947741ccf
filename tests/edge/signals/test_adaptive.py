from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge.signals.adaptive import AdaptiveDifferentiator
from edge.signals.differentiate import create
from edge.signals.differentiator import Derivatives
from edge.signals.kalman import KalmanSmoother
from edge.signals.learner import Learned
from edge.signals.movement_prior import BRISK, RATE_NOISE_RAD_S
from edge.signals.taps import Taps
from tests.edge.signals.made_up import RATE_HZ, even, feed, rmse, sampled, sensed, squares, stride, table
from tools.bench.derivative_gate import GATE, broken, ratios
from tools.bench.derivative_runs import run
from tools.bench.movements import movement

CHANNELS = 3
WALK = even(2500)
CLEAN = stride(WALK, CHANNELS, (0.0, 0.9))[0]
SENSED = sensed(CLEAN)


def inline(
    age_s: float = 0.05, channels: int = CHANNELS, rate_hz: float = RATE_HZ, **more: object
) -> AdaptiveDifferentiator:
    own = create("adaptive", n_joints=channels, rate_hz=rate_hz, age_s=age_s, background=False, **more)  # type: ignore[arg-type]
    assert isinstance(own, AdaptiveDifferentiator)
    return own


def bits(outputs: list[Derivatives | None]) -> list[bytes | None]:
    parts = ("q", "qd", "qdd", "rmse")
    return [
        None if o is None else b"".join([np.float64(o.t_s).tobytes(), *(getattr(o, name).tobytes() for name in parts)])
        for o in outputs
    ]


def same(one: list[Derivatives | None], other: list[Derivatives | None]) -> None:
    assert bits(one) == bits(other)


@pytest.mark.parametrize("age_s", [0.0, 0.05])
def test_it_learns_a_periodic_movement(age_s: float) -> None:
    """After 15 s it is far better than the smoother and than the filter for movement in general."""
    errors = {}
    for method in ("kalman", "fir", "adaptive"):
        own = create(method, n_joints=CHANNELS, rate_hz=RATE_HZ, age_s=age_s, background=False)
        errors[method] = rmse(feed(own, WALK, SENSED), WALK, CLEAN, 15.0)
    assert (errors["adaptive"] < 0.3 * errors["kalman"]).all()
    assert (errors["adaptive"] < 0.5 * errors["fir"]).all()


def test_for_the_first_window_it_is_the_kalman_smoother() -> None:
    own, kalman = inline(), KalmanSmoother(CHANNELS, RATE_HZ, 0.05)
    window = own.taps.samples
    for start in (0, 400):  # and after a gap
        part = slice(start, start + 150)
        one, other = (feed(d, WALK[part], SENSED[part]) for d in (own, kalman))
        for k, (a, b) in enumerate(zip(one, other, strict=True)):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                alike = np.array_equal([a.q, a.qd, a.qdd], [b.q, b.qd, b.qdd])
                assert alike == (k < window - 1), k
        own.restart()
        kalman.restart()


def test_a_frozen_one_gets_no_better() -> None:
    once = inline()
    feed(once, WALK[:300], SENSED[:300])
    frozen, learning = (inline(learned=once.learned, frozen=f) for f in (True, False))
    outputs = [feed(own, WALK, SENSED) for own in (frozen, learning)]
    assert frozen.learned is once.learned
    stays, learns = (rmse(o, WALK, CLEAN, 15.0) / rmse(o, WALK, CLEAN, 2.0, 7.0) for o in outputs)
    assert (stays > 0.9).all()
    assert (learns < 0.9).all()
    assert (rmse(outputs[1], WALK, CLEAN, 15.0) < 0.9 * rmse(outputs[0], WALK, CLEAN, 15.0)).all()


def test_standing_still_does_not_make_it_forget() -> None:
    times = even(6000)
    clean = stride(times, CHANNELS, (0.0, 0.9), (18.0, 0.0), (48.0, 0.9))[0]
    outputs = feed(inline(), times, sensed(clean))
    before, after = (rmse(outputs, times, clean, *span) for span in ((14.0, 18.0), (50.0, 54.0)))
    assert (after < 1.2 * before).all()


CHANGES = {
    "sudden stop": ((0.0, 0.9), (7.0, 0.0)),
    "sudden start": ((0.0, 0.0), (4.0, 0.9)),
    "faster": ((0.0, 0.9), (7.0, 1.5)),
    "slower": ((0.0, 1.3), (7.0, 0.5)),
    "stop and go": ((0.0, 0.9), (6.0, 0.0), (8.5, 0.9)),
}


@pytest.mark.parametrize("age_s", [0.0, 0.05])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_it_is_never_worse_than_the_kalman_smoother(change: str, channels: int, age_s: float) -> None:
    """In each part of a movement that changes within 0.3 s; 1 % of the samples are lost."""
    paces, times = CHANGES[change], even(1200)
    edges = [max(start, 0.7) for start, _ in paces] + [12.0]
    found: dict[str, list[list[np.ndarray]]] = {"kalman": [], "adaptive": []}
    for seed in range(2 if channels == 1 else 1):  # of one channel there is less to average over
        clean = stride(times, channels, *paces, seed=seed)[0]
        values, kept = sensed(clean, seed), np.random.default_rng(seed).random(1200) >= 0.01
        for method, draws in found.items():
            own = create(method, n_joints=channels, rate_hz=RATE_HZ, age_s=age_s, background=False)
            outputs = feed(own, times[kept], values[kept])
            draws.append([squares(outputs, times, clean, *span).mean(axis=1) for span in pairwise(edges)])
    kalman, adaptive = (np.sqrt(np.mean(draws, axis=0)) for draws in found.values())
    assert (adaptive <= 1.1 * kalman).all()


@pytest.mark.parametrize("rate_hz", [60.0, 200.0, 1000.0])
def test_other_rates(rate_hz: float) -> None:
    times = even(round(9.0 * rate_hz), rate_hz)
    clean = stride(times, 2, (0.0, 1.0))[0]
    values = sensed(clean)
    kalman, own = KalmanSmoother(2, rate_hz, 0.05), inline(0.05, 2, rate_hz)
    ratio = rmse(feed(own, times, values), times, clean, 3.0) / rmse(feed(kalman, times, values), times, clean, 3.0)
    assert (ratio < 0.8).all()


@pytest.mark.parametrize("age_s", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("periodic", [True, False])
def test_the_reported_error_is_the_true_one(age_s: float, periodic: bool) -> None:
    """Once it has settled: while it still learns, what it was wrong by in the last 2 s is not what it is wrong by now."""
    times = even(4000)
    clean = stride(times, 2, (0.0, 0.9))[0] if periodic else sampled(BRISK, times, 2)[0]
    outputs = feed(inline(age_s, 2), times, sensed(clean))
    true = squares(outputs, times, clean, 20.0).mean(axis=1)
    said = [o.rmse**2 for o in outputs[2000 + round(age_s * RATE_HZ) : -30] if o is not None]
    np.testing.assert_allclose(np.sqrt(np.mean(said, axis=(0, 2)) / true), 1.0, atol=0.15)


def test_the_error_is_not_known_until_the_first_truth_is() -> None:
    known = [o is not None and bool(np.isfinite(o.rmse).all()) for o in feed(inline(), WALK[:200], SENSED[:200])]
    first = known.index(True)
    # 0.8 s make the first window's truth; the piece that holds it is used when the next one is whole.
    assert 80 <= first <= 105
    assert all(known[first:])


def test_a_restart_keeps_what_was_learned() -> None:
    once, fresh = inline(), inline()
    feed(once, WALK[:1500], SENSED[:1500])
    kept = once.learned
    once.restart()
    assert once.learned is kept
    earlier = WALK[1500:] - 1000.0  # its clock may have started anew
    own, other = (feed(d, earlier, SENSED[1500:]) for d in (once, fresh))
    at = rmse(own, earlier, CLEAN[1500:], 0.7, 2.5), rmse(other, earlier, CLEAN[1500:], 0.7, 2.5)
    assert (at[0] < 0.5 * at[1]).all()
    assert once.learned.movement_s > kept.movement_s


def test_what_was_learned_may_go_to_a_fresh_one() -> None:
    once = inline()
    feed(once, WALK[:1500], SENSED[:1500])
    assert isinstance(once.learned, Learned)
    assert 13.0 < once.learned.movement_s < 15.0
    fresh, stranger = inline(learned=once.learned), inline()
    own, other = (feed(d, WALK[1500:], SENSED[1500:]) for d in (fresh, stranger))
    # It is the smoother until its first truth, and from then on what it was.
    at = [rmse(outputs, WALK[1500:], CLEAN[1500:], 1.5, 3.5) for outputs in (own, other)]
    assert (at[0] < 0.6 * at[1]).all()


def test_samples_at_uneven_intervals_and_missing_ones() -> None:
    """Samples come when they like, and a burst of them is lost now and then; stamps tell when they were taken."""
    rng = np.random.default_rng(3)
    fine = even(25_000, 1000.0)
    clean = stride(fine, CHANNELS, (0.0, 0.9))[0]
    taken = np.arange(0, 25_000, 10)
    taken[1:-1] += rng.integers(-4, 5, len(taken) - 2)
    kept = rng.random(len(taken)) >= 0.02
    for start in (500, 900, 1300):
        kept[start : start + 8] = False
    times, values = fine[taken[kept]], sensed(clean[taken[kept]])
    errors = [
        rmse(feed(own, times, values), fine, clean, 10.0) for own in (KalmanSmoother(CHANNELS, RATE_HZ, 0.05), inline())
    ]
    assert (errors[1] < 0.7 * errors[0]).all()


def test_a_gyroscope_helps_and_a_channel_without_one_may_be_beside() -> None:
    turning = stride(WALK, CHANNELS, (0.0, 0.9), (12.0, 1.3))
    rates = turning[1] + np.random.default_rng(4).normal(0.0, RATE_NOISE_RAD_S, turning[1].shape)
    rates[:, 1] = np.nan
    plain, helped = (
        np.sqrt(squares(feed(inline(0.0, gyroscopes=own), WALK, sensed(turning[0]), rates), WALK, turning[0], 1.0, 8.0))
        for own in ((), (2, 0))
    )
    assert (helped[:, [0, 2]] < 0.8 * plain[:, [0, 2]]).all()
    assert (helped[:, 1] < 1.1 * plain[:, 1]).all()


def test_the_unit_of_a_channel_does_not_matter() -> None:
    unit = np.array([57.3, 1e-3])
    values = SENSED[:700, :2]
    plain, scaled = inline(channels=2), inline(channels=2, scale=unit)
    (_, one), (_, other) = (table(feed(d, WALK[:700], values * u)) for d, u in ((plain, 1.0), (scaled, unit)))
    size = np.abs(one).max(axis=1)[:, None]
    np.testing.assert_allclose(other / unit / size, one / size, atol=1e-5)


def play(own: AdaptiveDifferentiator, seed: int) -> list[Derivatives | None]:
    """As fast as it goes: a movement with gaps in it, a burst that is lost, and two restarts."""
    rng = np.random.default_rng(seed)
    times = even(1500)
    values = sensed(stride(times, own.n_joints, (0.0, 0.9), (8.0, 1.4), seed=seed)[0], seed)
    kept = rng.random(1500) >= 0.02
    kept[400:430] = False
    outputs = []
    for i, k in enumerate(np.flatnonzero(kept)):
        if i in (333, 1000):
            own.restart()
        outputs.append(own.push(float(times[k]), values[k]))
    own.close()
    return outputs


def test_the_background_gives_the_same_bits() -> None:
    """Whoever is first, and however many threads of this kind and of others are at work."""
    seeds = range(4)
    expected = [play(inline(channels=4), seed) for seed in seeds]
    fields = {"n_joints": 4, "rate_hz": RATE_HZ, "age_s": 0.05}
    started = [create("adaptive", **fields) for _ in seeds]
    with ThreadPoolExecutor(len(seeds)) as loops:  # four loops, each with a learner beside it
        got = list(loops.map(play, started, seeds))
    for one, other in zip(got, expected, strict=True):
        assert len(one) > 1400
        same(one, other)


def test_the_background_has_learned_the_same() -> None:
    behind = create("adaptive", n_joints=CHANNELS, rate_hz=RATE_HZ, age_s=0.05)
    assert isinstance(behind, AdaptiveDifferentiator)
    here = inline()
    for start, end in ((0, 500), (500, 1003)):  # just after a piece was handed over, and in the middle of one
        feed(behind, WALK[start:end], SENSED[start:end])
        one = behind.learned
        feed(here, WALK[start:end], SENSED[start:end])
        other = here.learned
        assert one.movement_s == other.movement_s
        assert one.sums.features.tobytes() == other.sums.features.tobytes()
        assert one.sums.targets.tobytes() == other.sums.targets.tobytes()
    assert here.waits == 0
    assert behind.waits >= 0
    behind.close()


def test_no_thread_is_left_behind() -> None:
    def filters() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name.startswith("filter")]

    before = len(filters())
    own = create("adaptive", n_joints=1, rate_hz=RATE_HZ, age_s=0.0)
    feed(own, WALK[:50], SENSED[:50, :1])
    assert len(filters()) == before + 1
    own.close()
    own.close()
    assert len(filters()) == before
    feed(inline(channels=1), WALK[:50], SENSED[:50, :1])
    assert len(filters()) == before


def test_a_sample_that_is_refused_leaves_nothing_behind() -> None:
    own, undisturbed = inline(gyroscopes=(1,)), inline(gyroscopes=(1,))
    rates = np.zeros((700, CHANNELS))
    expected = feed(undisturbed, WALK[:700], SENSED[:700], rates)
    outputs = []
    for k in range(700):
        if k % 50 == 7:
            with pytest.raises(ValueError, match="time does not increase"):
                own.push(float(WALK[k - 1]), SENSED[k] + 1.0, rates[k] + 1.0)
            with pytest.raises(ValueError, match="are missing"):
                own.push(float(WALK[k]) - 0.001, SENSED[k] + 1.0)
        outputs.append(own.push(float(WALK[k]), SENSED[k], rates[k]))
    same(outputs, expected)


@pytest.mark.parametrize(("age_s", "most"), [(0.05, (0.08, 2.3, 120.0)), (0.0, (0.23, 9.2, 215.0))])
def test_a_walk_that_it_has_known_for_half_a_minute(data: Path, age_s: float, most: tuple[float, float, float]) -> None:
    """12 bits, 0.1 degree of noise, jitter and lost samples."""
    walk = movement(data, "walk36")
    error = run("adaptive", walk, age_s).rmse(walk.duration_s - 30.0)
    assert (error <= most).all(), error


@pytest.mark.parametrize("name", ["walk with stops", "walk to squats", "squats/squats1"])
def test_the_gate_on_what_it_cannot_know(data: Path, name: str) -> None:
    """The whole gate, over all movements: `python -m tools.bench.derivatives DATA --table movements`."""
    rows = ratios([movement(data, name)], "adaptive", (0.0, 0.05))
    assert rows
    assert not broken(rows, GATE)


@pytest.mark.parametrize("background", [False, True])
def test_a_failure_beside_the_loop_leaves_the_safe_filters_alone(
    background: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taps = Taps(2, RATE_HZ, 0.05)
    filter_ = AdaptiveDifferentiator(taps, background=background)
    times = np.arange(1200) / RATE_HZ
    clean = 0.3 * np.sin(2.0 * np.pi * np.outer(times, [0.9, 1.8]))

    def broken(*arguments: object) -> None:
        raise MemoryError("no memory left")

    for i, t in enumerate(times):
        if i == 600:
            monkeypatch.setattr(filter_._learner, "learn", broken)
        out = filter_.push(float(t), clean[i])
    assert filter_.failure == "MemoryError: no memory left"
    assert out is not None
    np.testing.assert_allclose(out.q, 0.3 * np.sin(2.0 * np.pi * np.array([0.9, 1.8]) * (times[-1] - 0.05)), atol=0.01)
    assert filter_.learned.movement_s > 3.0
    filter_.close()


def test_a_value_that_is_no_number_passes() -> None:
    taps = Taps(1, RATE_HZ, 0.05)
    filter_ = AdaptiveDifferentiator(taps, background=False)
    times = np.arange(800) / RATE_HZ
    clean = 0.3 * np.sin(2.0 * np.pi * 0.9 * times)[:, None]
    clean[500] = np.nan
    outputs = [filter_.push(float(t), q) for t, q in zip(times, clean, strict=True)]
    assert all(out is not None and np.isfinite(out.qdd).all() for out in outputs[600:])
