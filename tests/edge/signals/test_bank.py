"""Banks are fitted on movement with a rhythm that the movement prior knows nothing of: several people, slightly different."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import BundleError
from edge.signals.bank import Bank, PersonSums, Recording, fit_bank, person_sums, sensor_noise
from edge.signals.differentiate import create
from edge.signals.differentiation import create_for
from edge.signals.hindsight import Hindsight
from edge.signals.layout import Layout
from edge.signals.movement_prior import BRISK, NOISE_RAD, RATE_NOISE_RAD_S, NormalEquations, normal_equations
from edge.signals.taps import Taps

RATE_HZ, AGE_S = 100.0, 0.03
TAPS = Taps(2, RATE_HZ, AGE_S)


def movement(person: int, seconds: float, start_s: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, angles (m, 2) in rad and rates of somebody who walks at 1 Hz, or nearly so, with four harmonics."""
    draw = np.random.default_rng(person)
    rhythm = 2.0 * np.pi * (1.0 + 0.05 * draw.normal())
    times = start_s + np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    q, qd = np.zeros((len(times), 2)), np.zeros((len(times), 2))
    for harmonic in range(1, 5):
        size = 0.4 / harmonic**1.5 * (1.0 + 0.1 * draw.normal(size=2))
        phase = np.array([0.0, 0.8]) * harmonic + 0.1 * draw.normal(size=2)
        angle = harmonic * rhythm * times[:, None] + phase
        q += size * np.sin(angle)
        qd += size * harmonic * rhythm * np.cos(angle)
    return times, q, qd


def noisy(recording: Recording, seed: int, noise_rad: float = NOISE_RAD) -> Recording:
    times, q = recording
    return times, q + np.random.default_rng(seed).normal(0.0, noise_rad, q.shape)


def walk(person: int, seconds: float) -> Recording:
    times, q, _ = movement(person, seconds)
    return times, q


def sums_of(person: int, seconds: float, *, noise: bool = True, taps: Taps = TAPS) -> PersonSums:
    recording = walk(person, seconds)
    found = person_sums([noisy(recording, person)] if noise else [recording], taps, noisy=noise)
    assert found is not None
    return found


def rate_error(method: str, person: int, bank: NormalEquations | None) -> float:
    times, q, qd = movement(person, 4.0)
    _, samples = noisy((times, q), 77)
    own = create(method, n_joints=2, rate_hz=RATE_HZ, age_s=AGE_S, background=False, bank=bank)
    wrong = []
    for t, sample in zip(times.tolist(), samples, strict=True):
        out = own.push(t, sample)
        if out is not None and t > 1.0:
            wrong.append(out.qd - np.array([np.interp(out.t_s, times, column) for column in qd.T]))
    return float(np.sqrt(np.mean(np.square(wrong))))


def test_other_peoples_movement_beats_movement_in_general_on_somebody_new() -> None:
    bank = fit_bank([sums_of(person, 10.0) for person in range(1, 7)], TAPS)
    assert rate_error("fir", 99, bank) < 0.75 * rate_error("fir", 99, None)


def test_an_adaptive_filter_learns_from_there() -> None:
    bank = fit_bank([sums_of(person, 10.0) for person in range(1, 7)], TAPS)
    assert rate_error("adaptive", 99, bank) < 0.97 * rate_error("adaptive", 99, None)


def test_recordings_without_noise_serve_a_noisy_sensor_as_well_once_it_is_told_of_the_noise() -> None:
    people = range(1, 7)
    sensor = fit_bank([sums_of(person, 10.0) for person in people], TAPS)
    laboratory = fit_bank([sums_of(person, 10.0, noise=False) for person in people], TAPS)
    untold = [person_sums([walk(person, 10.0)], TAPS) for person in people]
    trusting = fit_bank([sums for sums in untold if sums is not None], TAPS)
    errors = [rate_error("fir", 99, bank) for bank in (sensor, laboratory, trusting)]
    assert errors[1] == pytest.approx(errors[0], rel=0.1)
    assert errors[2] > 1.03 * errors[1]


def test_the_noise_of_recordings_is_not_in_what_is_to_be_said() -> None:
    """Of a target whose own noise is left in, some is foretold by the very samples that make it: here nearly all there is."""
    still = np.arange(6000) / RATE_HZ, np.zeros((6000, 2))
    found = person_sums([noisy(still, 3)], TAPS)
    assert found is not None
    rates = found.sums.targets[:-1, 2:6] / NOISE_RAD**2  # all but the constant, which is no sample
    hindsight = Hindsight(TAPS).noise_products(np.ones(2))[:-1, 2:6]
    assert np.abs(rates).max() < 0.15 * np.abs(hindsight).max()


@pytest.mark.parametrize("rate_hz", [100.0, 250.0])
def test_the_expected_noise_is_that_of_many_draws(rate_hz: float) -> None:
    taps = Taps(2, rate_hz, AGE_S, (1,), np.array([1.0, 2.0]))
    size = np.array([NOISE_RAD, 2.0 * NOISE_RAD, 2.0 * RATE_NOISE_RAD_S])
    samples = np.random.default_rng(2).normal(0.0, size, (40_000, 3))
    rows = np.arange(taps.samples, len(samples))
    drawn = np.zeros((taps.features, taps.features))
    for some in np.array_split(rows, 20):
        table, _ = taps.design(taps.tapped(samples), some)
        table[:, -1] = 0.0  # the constant has no noise
        drawn += table.T @ table / len(rows)
    expected = sensor_noise(taps)
    np.testing.assert_allclose(expected.features, drawn, atol=0.05 * np.abs(drawn).max())
    # The truth has none: of the values, given relative to the newest tap, it is that tap's, with the sign turned.
    newest = taps.newest.start + np.arange(2)
    for j in range(2):
        value, rate, acceleration, ahead = taps.of_joint(j)
        np.testing.assert_array_equal(expected.targets[:, value], -expected.features[:, newest[j]])
        np.testing.assert_array_equal(expected.targets[:, ahead], expected.targets[:, value])
        assert not expected.targets[:, [rate, acceleration]].any()


def test_a_person_is_the_mean_over_all_that_was_seen_of_them() -> None:
    one, other = noisy(walk(1, 5.0), 1), noisy(walk(2, 9.0), 2)
    parts = [person_sums([recording], TAPS) for recording in (one, other)]
    both = person_sums([one, other], TAPS)
    assert both is not None
    assert parts[0] is not None
    assert parts[1] is not None
    assert both.seconds == pytest.approx(parts[0].seconds + parts[1].seconds)
    share = parts[0].seconds / both.seconds
    mean = share * parts[0].sums.features + (1.0 - share) * parts[1].sums.features
    np.testing.assert_allclose(both.sums.features, mean, rtol=1e-9, atol=1e-12)


def test_a_recording_in_pieces_is_the_same_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = noisy(walk(1, 8.0), 1)
    whole = person_sums([recording], TAPS)
    monkeypatch.setattr("edge.signals.bank._PIECE", 37)
    pieces = person_sums([recording], TAPS)
    assert whole is not None
    assert pieces is not None
    assert pieces.seconds == whole.seconds
    np.testing.assert_allclose(pieces.sums.targets, whole.sums.targets, rtol=1e-9, atol=1e-12)


def test_nobody_is_known_by_too_short_a_recording() -> None:
    assert person_sums([walk(1, 0.9)], TAPS) is None
    assert person_sums([], TAPS) is None
    with pytest.raises(ValueError, match="at least one person"):
        fit_bank([], TAPS)


def test_people_count_alike_but_for_those_of_whom_little_is_known() -> None:
    ones = NormalEquations(np.ones((TAPS.features, TAPS.features)), np.ones((TAPS.features, TAPS.outputs)))
    zeros = NormalEquations(0.0 * ones.features, 0.0 * ones.targets)
    prior = normal_equations(TAPS, BRISK)

    def share(one_s: float, other_s: float) -> float:
        """What the first of two people counts for."""
        bank = fit_bank([PersonSums(ones, one_s), PersonSums(zeros, other_s)], TAPS)
        weight = (bank.targets - prior.targets * 10.0 / (one_s + other_s))[0, 0]
        return float(weight)

    assert share(20.0, 20.0) == pytest.approx(0.5)
    assert 0.45 < share(300.0, 3000.0) < 0.5
    assert share(1.0, 60.0) < 0.15


def layout(*gyroscopes: str) -> Layout:
    return Layout(channels=("knee", "ankle"), gyroscopes=gyroscopes, rate_hz=RATE_HZ, age_s=AGE_S, scale=(1.0, 1.0))


def test_bytes_give_the_same_bank_back() -> None:
    bank = Bank.fit([sums_of(1, 5.0), sums_of(2, 5.0)], layout())
    again = Bank.from_bytes(bank.to_bytes(), Path("x"))
    assert again.sums.features.tobytes() == bank.sums.features.tobytes()
    assert again.sums.targets.tobytes() == bank.sums.targets.tobytes()
    assert (again.layout, again.people) == (bank.layout, 2)
    assert again.seconds == pytest.approx(bank.seconds, abs=0.01)
    assert again.sums_for(layout()) is again.sums
    with pytest.raises(BundleError, match=r"subject.msk: bank.npz: .*truncated.*copy"):
        Bank.from_bytes(bank.to_bytes()[:-9], Path("subject.msk: bank.npz"))


def test_a_gyroscope_that_is_not_worn_is_left_out() -> None:
    """Exactly: sums without some features are those of the others."""
    with_one, without = layout("ankle"), layout()
    times, q, qd = movement(4, 20.0)
    drawn = np.random.default_rng(8).normal(0.0, RATE_NOISE_RAD_S, len(q))
    samples = np.column_stack([noisy((times, q), 4)[1], qd[:, 1] + drawn])
    both = person_sums([(times, samples)], with_one.taps)
    plain = person_sums([(times, samples[:, :2])], without.taps)
    assert both is not None
    assert plain is not None
    fitted = Bank.fit([both], with_one).sums_for(without)
    np.testing.assert_allclose(fitted.targets, fit_bank([plain], without.taps).targets, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fitted.features, fit_bank([plain], without.taps).features, rtol=1e-9, atol=1e-9)


def test_a_gyroscope_that_nobody_wore_has_no_say_at_first() -> None:
    bank = Bank.fit([sums_of(person, 10.0) for person in (1, 2, 3)], layout())
    worn = layout("knee")
    weights = bank.sums_for(worn).solve()
    rates = worn.taps.joint(0)[worn.taps.count - 1 :]
    assert len(rates) == worn.taps.rate_count
    assert not weights[rates].any()
    np.testing.assert_allclose(np.delete(weights, rates, axis=0), bank.sums.solve(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"age_s": 0.05}, "`age_s` is 0.03, the session's is 0.05"),
        ({"rate_hz": 200.0}, "`rate_hz` is 100.0"),
        ({"channels": ("ankle", "knee")}, "`channels`"),
    ],
)
def test_a_bank_of_other_channels_is_refused(change: dict[str, object], words: str) -> None:
    bank = Bank.fit([sums_of(1, 5.0)], layout())
    with pytest.raises(BundleError) as caught:
        create_for(layout().model_copy(update=change), "fir", bank=bank)
    assert words in str(caught.value)


def test_a_session_differentiates_with_all_that_it_was_given() -> None:
    """Its channels, their scale, its gyroscopes, and the bank."""
    bank = Bank.fit([sums_of(person, 10.0) for person in (1, 2, 3)], layout())
    worn = layout("knee").model_copy(update={"scale": (1.0, 1.0)})
    own = create_for(worn, "fir", bank=bank)
    reference = create("fir", n_joints=2, rate_hz=RATE_HZ, age_s=AGE_S, gyroscopes=(0,), bank=bank.sums_for(worn))
    times, q = noisy(walk(9, 2.0), 9)
    for t, sample in zip(times.tolist(), q, strict=True):
        rate = np.array([0.3, np.nan])
        one, other = own.push(t, sample, rate), reference.push(t, sample, rate)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_array_equal(one.qdd, other.qdd)
