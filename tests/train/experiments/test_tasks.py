"""What trains and what is tested, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from demo_material import demo_material

from edge.novelty import About
from train.experiments.held_out import ZERO_PHASE
from train.experiments.report import Row, Settings
from train.experiments.tasks import METHODS, NOVELTY, TASKS, _plots, cells, flagged, held_out
from train.splits import shared_frames

SETTINGS = Settings(Path("data"), Path("out"), seeds=2)


class FirstAngle:
    """A score that is the first feature of a window's last frame."""

    about = About(window=20, features=13, components=1, prototypes=1, groups=2, flagged=0.0, settle_s=0.05, hold_s=1.0)

    def scores(self, windows: np.ndarray) -> np.ndarray:
        return np.asarray(windows[:, -1, 0])


def test_what_is_refused_stays_so_for_a_second() -> None:
    material = demo_material()
    score = np.zeros((len(material), 20, 13))
    score[30:36, -1, 0] = 2.0  # long enough for the median of 50 ms
    score[80, -1, 0] = 2.0  # and not
    made = replace(material, windows=replace(material.windows, feature=score))
    by_window, by_session = flagged(FirstAngle(), made, 100.0)  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.flatnonzero(by_window), [*range(30, 36), 80])
    start = np.flatnonzero(by_session)[0]
    assert 30 < start <= 33
    assert by_session[start:].all()  # the recording ends before the second does


@pytest.mark.parametrize(
    ("task", "trained", "tested"),
    [
        ("uneven", {"squats1"}, {"squatsAsym1"}),
        ("rising", {"squats1", "squatsAsym1"}, {"STS1", "STSweakLegs1"}),
    ],
)
def test_trials_are_on_the_side_that_their_names_say(
    data: Path, task: str, trained: set[str], tested: set[str]
) -> None:
    held = held_out(data, task, "leg9", ZERO_PHASE)
    names = [stretch.trial.name.split("/")[1].split()[0] for stretch in held.whole.stretches]
    assert {names[s] for s in held.training.windows.stretch} == trained
    assert {names[s] for s in held.tested.windows.stretch} == tested
    assert not (held.train & held.test).any()
    recipe = ZERO_PHASE.recipe()
    assert shared_frames(held.whole, held.train, held.test, window=20, look_ahead=recipe.look_ahead) == 0


def test_every_cell_is_there_once() -> None:
    made = cells(SETTINGS, list(TASKS), "leg9", None)
    assert len({cell.key for cell in made}) == len(made) == len(TASKS) * 3 * (1 + 2 * len(METHODS))
    quick = cells(replace(SETTINGS, quick=True), ["squats"], "leg9", None)
    assert len(quick) == 2


def test_plots_show_what_is_refused(tmp_path: Path) -> None:
    title = TASKS["squats"].title
    rows = [
        Row(title, "residual head", "zero-phase", seed=0, activation_r2=-0.3),
        Row(title, NOVELTY, "zero-phase", more={"flagged": 0.0, "flagged_windows": 0.1}),
    ]
    assert [path.name for path in _plots(rows, tmp_path)] == ["tasks_methods.png", "tasks_refused.png"]
