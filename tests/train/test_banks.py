from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from walking import CHEAP, load_walk, run, write_walk

from edge.bundle import Bundle
from edge.signals.bank import Bank, person_sums
from edge.signals.intake import BASE_CHANNELS
from edge.trial import Trial
from train import dataset
from train.banks import fit_banks
from train.dataset import InputSettings, sensor_recordings

FIR = InputSettings(100.0, True, "fir", 0.05)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    """Three, of whom one has recordings of both legs; the legs of a walk are other movements to a bank."""
    _, (right, left) = load_walk(tmp_path_factory.mktemp("walk"))
    half = 0.5 * (right.start_s + right.end_s)
    return [
        replace(right, subject="a"),
        replace(left, subject="b", end_s=half),
        replace(left, subject="c", start_s=half),
        replace(right, subject="c", start_s=half),
    ]


def same(one: Bank | None, other: Bank | None) -> bool:
    assert one is not None
    assert other is not None
    return bool(np.array_equal(one.sums.features, other.sums.features))


def test_what_a_differentiator_gets_of_a_trials_range(people: list[Trial]) -> None:
    trial = replace(people[0], start_s=1.0, end_s=3.0)
    layout, ((times, samples),) = sensor_recordings(trial, FIR)
    assert layout.channels == (*trial.model.joint_names, *BASE_CHANNELS)
    assert layout.gyroscopes == ("base_tilt",)
    assert samples.shape == (201, 7)
    np.testing.assert_allclose(times + trial.time_s[0], np.linspace(1.0, 3.0, 201), atol=1e-9)
    inside = (trial.time_s >= 1.0 - 1e-9) & (trial.time_s <= 3.0 + 1e-9)
    np.testing.assert_array_equal(samples[:, :3], trial.q[inside].astype(np.float32))  # rounded as on the wire
    np.testing.assert_allclose(np.gradient(samples[:, 3], times), samples[:, 6], atol=0.1)  # the tilt's measured rate


def test_each_persons_bank_is_of_all_the_others(people: list[Trial]) -> None:
    banks = fit_banks(people, FIR)
    assert banks.everyone is not None
    assert banks.everyone.people == 3
    assert set(banks.others) == {"a", "b", "c"}
    without_c = fit_banks(people[:2], FIR).everyone
    assert same(banks.others["c"], without_c)
    assert not same(banks.others["b"], without_c)
    assert not same(banks.others["a"], banks.everyone)
    sums = [person_sums(sensor_recordings(p, FIR)[1], banks.everyone.layout.taps, noisy=False) for p in people[:2]]
    assert same(without_c, Bank.fit([s for s in sums if s is not None], banks.everyone.layout))


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (FIR, 1),
        (replace(FIR, method="kalman"), 4),
        (replace(FIR, causal=False), 4),
    ],
)
def test_no_bank_of_one_person_or_where_none_is_used(people: list[Trial], settings: InputSettings, count: int) -> None:
    banks = fit_banks(people[:count], settings)
    assert banks.everyone is None
    assert set(banks.others.values()) == {None}


def test_who_is_seen_for_too_short_is_nobody(people: list[Trial]) -> None:
    glimpse = replace(people[1], end_s=people[1].start_s + 0.5)
    assert fit_banks([people[0], glimpse], FIR).everyone is None


def test_training_and_device_differentiate_alike_with_a_bank(people: list[Trial]) -> None:
    banks = fit_banks(people, FIR)
    trial = people[0]
    settings = replace(FIR, bank=banks.others["a"])
    ours = dataset.kinematic_states(trial, settings)
    plain = dataset.kinematic_states(trial, FIR)
    assert len(ours) == len(plain)
    assert any(a.qdd.tobytes() != b.qdd.tobytes() for a, b in zip(ours, plain, strict=True))


@pytest.fixture(scope="module")
def two_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trials file of two people, a leg each."""
    path = write_walk(tmp_path_factory.mktemp("two"))
    path.write_text(path.read_text().replace('"demo"', '"other"', 1))
    return path


@pytest.mark.usefixtures("quick_export")
def test_a_bundle_holds_the_bank_of_all_and_says_so(
    two_people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Bank | None] = []
    states = dataset.kinematic_states

    def listen(trial: Trial, settings: InputSettings) -> list[dataset.KinematicState]:
        given.append(settings.bank)
        return states(trial, settings)

    monkeypatch.setattr(dataset, "kinematic_states", listen)
    out = tmp_path / "two.msk"
    arguments = [
        "train",
        "--trials",
        str(two_people),
        "--steps",
        "2",
        "--differentiator",
        "fir",
        "--out",
        str(out),
        *CHEAP,
    ]
    code, stdout, _ = run(*arguments, "--json")
    assert code == 0
    bundle = Bundle.read(out)
    assert bundle.bank is not None
    assert bundle.bank.people == 2
    assert json.loads(stdout)["bank"] == bundle.manifest.training["bank"]
    assert bundle.manifest.training["bank"]["people"] == 2
    # Each network input was made with the other person alone.
    assert [bank.people for bank in given if bank is not None] == [1, 1]
    assert not same(given[0], given[1])
    code, _, stderr = run(*arguments)
    assert code == 0
    assert "bank of the differentiator: 2 people" in stderr.replace("\n", " ")
    # The device uses it: evaluation runs through the device's own pipeline.
    code, stdout, stderr = run("evaluate", str(out), "--trials", str(two_people), "--json")
    assert code == 0, stderr


@pytest.mark.usefixtures("quick_export")
def test_one_person_gives_no_bank_and_that_is_said(trials: Path, tmp_path: Path) -> None:
    out = tmp_path / "one.msk"
    code, _, stderr = run(
        *("train", "--trials", str(trials), "--steps", "2", "--differentiator", "adaptive", "--out", str(out), *CHEAP)
    )
    assert code == 0, stderr
    assert "bank of the differentiator: none" in stderr
    assert Bundle.read(out).bank is None
