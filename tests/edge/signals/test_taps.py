from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.signals.taps import MOST_TAP_RATE_HZ, RATE_WINDOW_S, WINDOW_S, Taps

RATES_HZ = (60.0, 100.0, 125.0, 200.0, 1000.0)


@st.composite
def layouts(draw: st.DrawFn) -> Taps:
    n = draw(st.integers(1, 4))
    gyroscopes = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n))  # in any order
    return Taps(n, draw(st.sampled_from(RATES_HZ)), draw(st.floats(0.0, 0.3)), tuple(gyroscopes))


def random_samples(taps: Taps, rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, taps.width))


@pytest.mark.parametrize(
    ("rate_hz", "stride", "count", "rate_count", "ahead"),
    [
        (60.0, 1, 36, 12, 2),
        (100.0, 1, 60, 20, 3),
        (125.0, 1, 75, 25, 4),
        (200.0, 2, 60, 20, 6),
        (1000.0, 8, 75, 25, 30),
    ],
)
def test_sizes_by_rate(rate_hz: float, stride: int, count: int, rate_count: int, ahead: int) -> None:
    taps = Taps(3, rate_hz, 0.05, (1,))
    assert (taps.stride, taps.count, taps.rate_count, taps.ahead) == (stride, count, rate_count, ahead)
    assert taps.samples == stride * count
    assert taps.width == 4
    assert taps.outputs == 12
    assert taps.features == 3 * (count - 1) + rate_count + 3 + 1
    assert rate_hz / taps.stride <= MOST_TAP_RATE_HZ
    assert taps.samples / rate_hz == pytest.approx(WINDOW_S)
    assert taps.rate_count * stride / rate_hz == pytest.approx(RATE_WINDOW_S)


def test_channels_are_angles_unless_it_is_said() -> None:
    np.testing.assert_array_equal(Taps(3, 100.0, 0.0).scale, np.ones(3))
    np.testing.assert_array_equal(Taps(2, 100.0, 0.0, (), np.array([1.0, 57.3])).scale, [1.0, 57.3])


@given(layouts(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_folded_weights_say_of_samples_what_weights_say_of_features(taps: Taps, seed: int) -> None:
    """The loop multiplies samples by one matrix: the very numbers that weights of features give."""
    n = taps.n_joints
    samples = random_samples(taps, taps.samples + 5, seed)  # more than a window: the older ones have no say
    weights = np.random.default_rng(seed + 1).normal(size=(taps.features, taps.outputs))
    features, newest = taps.design(taps.tapped(samples), np.array([len(samples) - 1]))
    expected = (features @ weights)[0].reshape(4, n)
    expected[[0, 3]] += newest[0]
    folded, constant = taps.sample_weights(weights)
    assert folded.shape == (taps.outputs, taps.samples * taps.width)
    got = folded @ samples[-taps.samples :].reshape(-1) + constant
    np.testing.assert_allclose(got, expected.reshape(-1), rtol=1e-9, atol=1e-9)


@given(layouts(), st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_weights_of_the_newest_taps_alone_fold_into_the_newest_samples_alone(
    taps: Taps, seed: int, share: float
) -> None:
    count = 2 + round(share * (taps.count - 2))
    weights = np.random.default_rng(seed).normal(size=(taps.features, taps.outputs))
    for j in range(taps.n_joints):
        own = taps.joint(j)  # its taps but the newest, and then its gyroscope's
        weights[own[count - 1 : taps.count - 1]] = 0.0
        weights[own[taps.count - 1 + count :]] = 0.0
    whole, constant = taps.sample_weights(weights)
    part, same = taps.sample_weights(weights, count)
    np.testing.assert_array_equal(constant, same)
    size = count * taps.stride * taps.width
    assert part.shape == (taps.outputs, size)
    np.testing.assert_array_equal(part, whole[:, whole.shape[1] - size :])
    np.testing.assert_array_equal(whole[:, : whole.shape[1] - size], 0.0)
    assert (part[:, : taps.n_joints] != 0.0).all()  # the oldest that counts, counts


@given(layouts())
@settings(max_examples=40, deadline=None)
def test_every_feature_and_every_output_belongs_to_one_joint(taps: Taps) -> None:
    joints = range(taps.n_joints)
    newest = np.arange(taps.features)[taps.newest]
    constant = [taps.features - 1]
    numbers = np.concatenate([*(taps.joint(j) for j in joints), newest, constant])
    np.testing.assert_array_equal(np.sort(numbers), np.arange(taps.features))
    assert len(newest) == taps.n_joints
    outputs = np.concatenate([taps.of_joint(j) for j in joints])
    np.testing.assert_array_equal(np.sort(outputs), np.arange(taps.outputs))
    for j in joints:
        assert len(taps.joint(j)) == taps.count - 1 + (taps.rate_count if j in taps.gyroscopes else 0)


@given(layouts(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_joint_is_seen_in_its_own_features_only(taps: Taps, seed: int) -> None:
    samples = random_samples(taps, taps.samples, seed)
    row = np.array([taps.samples - 1])
    before, _ = taps.design(taps.tapped(samples), row)
    for j in range(taps.n_joints):
        columns = [j, *(taps.n_joints + i for i, g in enumerate(taps.gyroscopes) if g == j)]
        other = samples.copy()
        other[:, columns] = random_samples(taps, taps.samples, seed + 1)[:, columns]
        after, _ = taps.design(taps.tapped(other), row)
        changed = np.flatnonzero(before[0] != after[0])
        np.testing.assert_array_equal(changed, np.sort([*taps.joint(j), taps.newest.start + j]))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_an_offset_shows_in_the_newest_taps_alone(rate_hz: float) -> None:
    taps = Taps(2, rate_hz, 0.0, (1,))
    samples = random_samples(taps, taps.samples + 3, 7)
    rows = np.array([taps.samples - 1, taps.samples + 2])
    features, newest = taps.design(taps.tapped(samples), rows)
    offset = np.array([0.7, -1.1, 0.0])  # of both angles; a gyroscope's would be a turning
    moved, other = taps.design(taps.tapped(samples + offset), rows)
    np.testing.assert_allclose(other - newest, np.tile(offset[:2], (2, 1)), atol=1e-12)
    np.testing.assert_array_equal(features[:, taps.newest], newest)
    rest = np.delete(np.arange(taps.features), np.arange(taps.features)[taps.newest])
    np.testing.assert_allclose(moved[:, rest], features[:, rest], atol=1e-12)
    np.testing.assert_array_equal(features[:, -1], 1.0)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_tap_is_the_mean_of_its_samples(rate_hz: float) -> None:
    taps = Taps(1, rate_hz, 0.0, (0,))
    samples = random_samples(taps, 50, 3)
    expected = [samples[max(i + 1 - taps.stride, 0) : i + 1].mean(axis=0) for i in range(50)]
    np.testing.assert_allclose(taps.tapped(samples), expected, atol=1e-12)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_taps_lie_where_their_times_say(rate_hz: float) -> None:
    """Of a steady turning, a tap is the value at its time; features are theirs less the newest's, joint by joint."""
    taps = Taps(2, rate_hz, 0.0)
    before = taps.tap_times_s()
    assert before.shape == (taps.count,)
    times = (np.arange(taps.samples) - (taps.samples - 1)) / rate_hz
    features, newest = taps.design(taps.tapped(times[:, None] * np.array([1.0, -2.0])), np.array([taps.samples - 1]))
    np.testing.assert_allclose(newest[0], np.array([-1.0, 2.0]) * before[0], atol=1e-9)
    for j, rate in enumerate((1.0, -2.0)):
        np.testing.assert_allclose(features[0, taps.joint(j)], -rate * (before[1:] - before[0]), atol=1e-9)
