"""Repetitions, envelopes, and what of a knee's recording trains and tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.errors import TrialError
from edge.msk.model import load_model
from train.experiments.first_paper import recipe
from train.experiments.knee import envelopes, last_repetition, repetitions, with_network, without_network
from train.experiments.recordings import KNEE_FLEXION, Recorded
from train.material import Material
from train.splits import shared_frames


def bendings(count: int, *, every_s: float = 3.0, rate_hz: float = 50.0) -> Recorded:
    """A knee that bends to 80 deg for half of every period, with a tremble on the way."""
    model = load_model("knee5")
    time = np.arange(round(count * every_s * rate_hz)) / rate_hz
    angles = np.zeros((len(time), len(model.coordinates)))
    bent = np.clip(0.5 - 0.9 * np.cos(2.0 * np.pi * time / every_s), 0.0, 1.0)
    angles[:, 0] = -np.radians(80.0) * bent + 0.01 * np.sin(40.0 * time)
    return Recorded(
        "made up", "s", "r", model, time, angles, np.zeros((len(time), 4)), None, 0.0, float(time[-1]),
        touches_nothing=True, task=KNEE_FLEXION,
    )  # fmt: skip


def test_repetitions_run_from_rest_to_rest() -> None:
    found = repetitions(bendings(4))
    assert len(found) == 4
    assert found[0][0] == 0.0
    assert found[-1][1] == pytest.approx(11.98)
    np.testing.assert_allclose([start for start, _ in found[1:]], [3.0, 6.0, 9.0], atol=0.1)
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]


def test_a_single_bending_cannot_be_split() -> None:
    with pytest.raises(TrialError, match="made up: 1 bendings"):
        repetitions(bendings(1))


@pytest.mark.parametrize("look_ahead", [0, 7])
def test_no_frame_of_the_last_repetition_is_trained_on(look_ahead: int) -> None:
    trial = bendings(3)
    seen = replace(recipe(False, 0.0), look_ahead=look_ahead)
    material = Material.of([trial], seen)
    train, test = last_repetition(material, [trial], seen)
    assert shared_frames(material, train, test, window=seen.window, look_ahead=look_ahead) == 0
    assert not (train & test).any()
    assert train.sum() > 500
    assert test.sum() > 200
    assert material.windows.time_s[test].min() > repetitions(trial)[-1][0]
    assert (~train & ~test).sum() <= seen.window  # one window more on either side would touch the other


def test_an_envelope_follows_the_burst_and_not_the_drift() -> None:
    time = np.arange(4000) / 1000.0
    burst = (time > 1.5) & (time < 2.5)
    noise = np.random.default_rng(0).normal(size=len(time))
    raw = np.stack([noise * burst + 5.0 * np.sin(2.0 * np.pi * 0.5 * time), noise], axis=1)
    found = envelopes(time, raw, np.array([0.8, 2.0, 3.2]))
    assert found.shape == (3, 2)
    assert found[1, 0] > 0.4
    assert np.abs(found[[0, 2], 0]).max() < 0.02
    assert np.ptp(found[:, 1]) < 0.5


def test_people_are_judged_each_and_together(data: Path) -> None:
    rows = without_network(data, model="knee5", people=2, causal=False, age_ms=0.0)
    methods = ["nearest neighbours + SO", "kernel ridge + SO", "static optimisation"]
    assert [(r.method, r.person) for r in rows] == [(m, p) for m in methods for p in ("subject1", "subject3", "all")]
    pooled = {row.method: row for row in rows if row.person == "all"}
    assert pooled["kernel ridge + SO"].activation_r2 > 0.99  # type: ignore[operator]
    truth = pooled["static optimisation"]
    assert (truth.activation_r2, truth.cc) == (1.0, pytest.approx(1.0))
    assert set(truth.more) == {"emg", "emg_bifemlh", "emg_semiten"}
    assert 0.5 < float(truth.more["emg"] or 0.0) < 0.9


def test_a_network_is_tested_on_the_other_movement_too(data: Path) -> None:
    rows = with_network(
        data,
        model="knee13",
        people=1,
        causal=False,
        age_ms=0.0,
        method="ours",
        changes={"head": "residual"},
        seed=0,
        steps=1,
    )
    assert [(r.task, r.person) for r in rows] == [
        (f"knee13, {task}", person)
        for task in ("standing flexion, last repetition", "seated extension, not trained")
        for person in ("subject1", "all")
    ]
    # Nothing touches the shank: contact-free inverse dynamics is the answer, whatever a network that hardly learned says.
    assert all(row.torque_rmse_nm < 1e-4 for row in rows)  # type: ignore[operator]
    assert rows[1].activation_r2 > 0.999  # type: ignore[operator]
    assert rows[3].activation_r2 < 0.9  # type: ignore[operator]  # the hip that sits is not measured
    assert set(rows[0].more) == {"emg", "emg_rect_fem", "emg_bifemlh", "emg_vas_med", "emg_semiten"}
