from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from edge.msk.model import load_model
from edge.msk.segment_motion import segment_motion, segment_motion_width
from edge.signals.features import Signals, View
from edge.signals.intake import KinematicState, stack

VIEWS = [View(signals, pelvis) for signals in get_args(Signals) for pelvis in (True, False)]
MODELS = {1: load_model("knee13"), 3: load_model("leg9")}


def random_states(count: int, n_joints: int) -> list[KinematicState]:
    rng = np.random.default_rng(4)
    return [
        KinematicState(
            k / 100,
            *rng.normal(size=(3, n_joints)),
            *rng.normal(size=3).tolist(),
            rng.normal(size=2),
            rng.normal(size=n_joints + 4),
            k == 0,
        )
        for k in range(count)
    ]


def table_of(view: View, states: list[KinematicState]) -> np.ndarray:
    model = MODELS[len(states[0].q)]
    return view.table(model, stack(states), np.array([state.sensed for state in states]))


@pytest.mark.parametrize("n_joints", [1, 3])
@pytest.mark.parametrize("view", VIEWS)
def test_the_features_of_training_and_of_the_device_are_the_same(view: View, n_joints: int) -> None:
    states = random_states(5, n_joints)
    table = table_of(view, states)
    assert table.shape == (5, view.width(n_joints))
    for state, expected in zip(states, table, strict=True):
        for dtype in (np.float64, np.float32):
            row = np.empty(view.width(n_joints), dtype=dtype)
            view.write(MODELS[n_joints], state, row)
            np.testing.assert_array_equal(row, expected.astype(dtype))


@pytest.mark.parametrize(
    ("signals", "pelvis", "width"),
    [("derivatives", True, 13), ("raw", False, 3), ("raw", True, 7), ("segments", True, 12), ("segments", False, 10)],
)
def test_the_order_of_the_columns(signals: Signals, pelvis: bool, width: int) -> None:
    (state,) = random_states(1, 3)
    row = np.empty(width)
    View(signals, pelvis).write(MODELS[3], state, row)
    if signals == "raw":
        np.testing.assert_array_equal(row, state.sensed[:width])
    elif signals == "segments":
        own = segment_motion_width(3)
        still = replace(state, tilt=0.0, tilt_rate=0.0, tilt_acceleration=0.0)
        np.testing.assert_array_equal(row[:own], segment_motion(MODELS[3], stack([state if pelvis else still]))[0])
        np.testing.assert_array_equal(row[own:], state.base_acceleration if pelvis else [])
    else:
        columns = [*state.q, *state.qd, *state.qdd, state.tilt, state.tilt_rate, *state.base_acceleration]
        np.testing.assert_array_equal(row, columns)


@pytest.mark.parametrize("signals", get_args(Signals))
def test_without_a_pelvis_nothing_of_the_base_is_seen(signals: Signals) -> None:
    """Also where somebody measures it: that is how such a network was trained."""
    (state,) = random_states(1, 3)
    other = replace(
        state,
        tilt=0.7,
        tilt_rate=-2.0,
        tilt_acceleration=30.0,
        base_acceleration=np.array([1.0, -2.0]),
        sensed=np.concatenate([state.sensed[:3], np.ones(4)]),
    )
    view = View(signals, pelvis=False)
    np.testing.assert_array_equal(table_of(view, [state]), table_of(view, [other]))
