from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from loop_fakes import snapshot
from rich.console import Console

from edge.config import load_config
from edge.control.explain import explain
from edge.control.safety import Fault
from edge.control.state import State
from edge.loop import Snapshot
from edge.view.line import Header, Picture, picture_line
from edge.view.screen import View, bar

STALE = explain(Fault.STALE, load_config(None).safety_limits(("knee",), [(-1.0, 1.0)]))


def console(*, width: int = 80, height: int = 24, encoding: str = "utf-8") -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=file, width=width, height=height, force_terminal=True, color_system=None)


def header(n_muscles: int = 9) -> Header:
    return Header("demo", [f"muscle_{index}" for index in range(n_muscles)], ("hip", "knee", "ankle"), (0, 1, 2))


def drawn(latest: Snapshot | None, target: Console, n_muscles: int = 9, *, warning: str = "") -> list[str]:
    """As it goes through the pipe."""
    view = View(Header.parse(header(n_muscles).line()), target)
    with target.capture() as capture:
        target.print(view.render(Picture.parse(picture_line(latest, warning))))
    return capture.get().splitlines()


def joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip() for line in lines)


@pytest.mark.parametrize("n_muscles", [1, 9, 30, 200])
@pytest.mark.parametrize(("explanation", "warning"), [("", ""), (STALE, ""), (STALE, "the log is lost " * 30)])
def test_it_fits_80_by_24(n_muscles: int, explanation: str, warning: str) -> None:
    latest = snapshot(n_muscles, faults=("stale_sensor", "sequence_gap"), explanation=explanation)
    lines = drawn(latest, console(), n_muscles, warning=warning)
    assert len(lines) <= 23  # and the cursor's line
    assert max(map(len, lines)) <= 80


def test_it_shows_state_age_muscles_and_joints() -> None:
    text = "\n".join(drawn(snapshot(faults=("deadline",)), console()))
    for part in (
        "ACTIVE",
        "12.5 s",
        "1234 estimates",
        "31.2 ms",
        "deadline",
        "muscle_8",
        "50 %",
        "1500 N",
        "10.0 deg",
        "55.5 Nm",
        "3.00 Nm",
    ):
        assert part in text


def test_a_fault_is_explained_in_full() -> None:
    lines = drawn(snapshot(faults=("stale_sensor",), state=State.FAULT, explanation=STALE), console())
    assert lines[0].startswith(" FAULT ")
    assert STALE in joined(lines)
    assert "muscle_8" in joined(lines)


def test_untrained_movement_is_marked_while_it_goes_on() -> None:
    known = snapshot()
    new = replace(known, estimate=replace(known.estimate, familiar=False))
    assert "untrained" not in drawn(known, console())[0]
    assert "untrained movement" in drawn(new, console())[0]


def test_the_newest_warning_is_shown() -> None:
    assert "warning: no [log] any more" in joined(drawn(snapshot(), console(), warning="no [log] any more"))
    assert "warning: no log" in joined(drawn(None, console(), warning="no log"))


def test_too_many_muscles_show_the_most_active() -> None:
    text = "\n".join(drawn(snapshot(30), console(), 30))
    assert "most active of 30" in text
    assert "muscle_29" in text
    assert "muscle_0 " not in text


def test_numbers_that_are_not_finite_do_not_break_it() -> None:
    latest = snapshot(level=np.nan)
    assert "nan" in "\n".join(drawn(latest, console()))


def test_nothing_yet() -> None:
    assert "waiting" in "\n".join(drawn(None, console()))


def test_bars() -> None:
    assert bar(0.5, 4, blocks=True) == "██  "
    assert bar(0.6, 4, blocks=True) == "██▍ "
    assert bar(2.0, 4, blocks=True) == "████"
    assert bar(-1.0, 4, blocks=True) == "    "
    assert bar(float("nan"), 4, blocks=True) == "    "
    assert bar(0.5, 4, blocks=False) == "##.."


def test_a_terminal_without_unicode_gets_plain_bars() -> None:
    latest = snapshot(level=1.0)
    assert "####" in "\n".join(drawn(latest, console(encoding="ascii")))
