from __future__ import annotations

import json

import numpy as np
import pytest

from train.metrics import agreement, nrmse, r2


def test_r2_of_the_truth_and_of_the_columns_means() -> None:
    reference = np.random.default_rng(0).normal(size=(50, 3)) + np.array([0.0, 5.0, -2.0])
    assert r2(reference, reference) == 1.0
    assert r2(reference, np.broadcast_to(reference.mean(axis=0), reference.shape)) == pytest.approx(0.0)


def test_knowing_only_which_muscle_is_strong_earns_nothing() -> None:
    reference = np.array([[0.0, 10.0], [1.0, 11.0]])
    assert r2(reference, np.array([[0.5, 10.5], [0.5, 10.5]])) == pytest.approx(0.0)


def test_nrmse_is_over_each_columns_own_range() -> None:
    reference = np.array([[0.0, 0.0, 3.0], [1.0, 100.0, 3.0]])
    estimate = reference + np.array([0.1, 10.0, 5.0])
    assert nrmse(reference, estimate) == pytest.approx(0.1)  # the resting third column has no range to speak of


def test_agreement_separates_active_muscles_from_resting_ones() -> None:
    rng = np.random.default_rng(1)
    activation = np.stack([rng.uniform(0.01, 0.8, 100), np.full(100, 0.01)], axis=1)
    estimate = activation + np.array([0.01, 0.3])
    force = activation * 1000.0
    result = agreement((activation, estimate), (force, force), ["soleus", "resting"])
    assert result["muscles"]["soleus"]["active"]
    assert not result["muscles"]["resting"]["active"]
    assert result["active_muscles"]["activation_r2"] == result["muscles"]["soleus"]["activation_r2"] > 0.99
    assert result["pooled"]["activation_r2"] < 0.99
    assert result["pooled"]["force_r2"] == 1.0
    assert set(result["pooled"]) >= {"activation_r2", "force_r2", "activation_nrmse", "force_nrmse"}


def test_agreement_of_forces_alone() -> None:
    force = np.random.default_rng(2).uniform(0, 1000, (40, 2))
    result = agreement(None, (force, force), ["a", "b"])
    assert result["pooled"]["force_r2"] == 1.0
    assert "activation_r2" not in result["pooled"]


def test_a_muscle_that_never_moves_has_no_r2_and_still_makes_json() -> None:
    """0.01 has no exact binary form: the mean of many is not quite 0.01, and the variance not quite zero."""
    activation = np.stack([np.linspace(0.01, 0.8, 97), np.full(97, 0.01)], axis=1)
    result = agreement((activation, activation + 0.1), (activation, activation + 0.1), ["soleus", "resting"])
    assert result["muscles"]["resting"]["activation_r2"] is None
    assert result["muscles"]["resting"]["activation_nrmse"] is None
    assert result["muscles"]["resting"]["activation_rmse"] == pytest.approx(0.1)
    assert result["pooled"]["activation_nrmse"] == pytest.approx(0.1 / 0.79)
    json.dumps(result, allow_nan=False)


def test_standing_still_gives_the_keys_without_values() -> None:
    still = np.full((40, 2), 0.01)
    result = agreement((still, still), (still, still), ["a", "b"])
    assert result["pooled"]["activation_r2"] is None
    assert set(result["active_muscles"]) == set(result["pooled"])
    assert set(result["active_muscles"].values()) == {None}
    json.dumps(result, allow_nan=False)


def test_a_solvers_noise_is_no_range() -> None:
    """An interior-point solver leaves a resting muscle near its bound, not at it."""
    reference = np.stack([np.linspace(0.0, 1.0, 50), 0.01 + 1e-6 * np.sin(np.arange(50.0))], axis=1)
    assert nrmse(reference, reference + 0.05) == pytest.approx(0.05)
