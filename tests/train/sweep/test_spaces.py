from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import SPACE, Toy, ToyTrainer

from edge.errors import ConfigError
from train.sweep.spaces import Choice, Float, Int, Value, apply, parsed, suggest, usual, value_at


@dataclass(frozen=True)
class Letters:
    a: float = 1.0
    b: int = 0
    c: int = 2


class Drawn:
    """A trial that gives what it is told to, and notes what it is asked."""

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values
        self.asked: dict[str, tuple[object, ...]] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.asked[name] = (low, high, log)
        return float(self.values[name])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        self.asked[name] = (low, high, step)
        return int(self.values[name])

    def suggest_categorical(self, name: str, choices: tuple[Value, ...]) -> Value:
        self.asked[name] = choices
        return self.values[name]


ALL: dict[str, Value] = {"trainer.rate": 0.2, "trainer.steps": 6, "shape": "edged", "sizes.corners": 5}


def test_ranges_are_asked_as_they_are_and_conditional_ones_where_they_count() -> None:
    trial = Drawn(ALL)
    assert suggest(trial, SPACE, Toy()) == ALL
    assert trial.asked["trainer.rate"] == (0.01, 1.0, True)
    assert trial.asked["trainer.steps"] == (2, 8, 2)
    assert "sizes.corners" not in suggest(Drawn({**ALL, "shape": "round"}), SPACE, Toy())
    fixed = {path: over for path, over in SPACE.items() if path != "shape"}
    assert "sizes.corners" not in suggest(Drawn(ALL), fixed, Toy())
    assert "sizes.corners" in suggest(Drawn(ALL), fixed, Toy(shape="edged"))


@given(
    rate=st.floats(0.01, 1.0), steps=st.integers(1, 10), corners=st.integers(3, 6), shape=st.sampled_from(("a", "b"))
)
def test_what_is_applied_is_what_is_there(rate: float, steps: int, corners: int, shape: str) -> None:
    values: dict[str, Value] = {"trainer.rate": rate, "trainer.steps": steps, "sizes.corners": corners, "shape": shape}
    recipe = Toy(sizes={"other": 1.0})
    changed = apply(recipe, values)
    assert changed == Toy(shape, 1.0, {"other": 1.0, "corners": corners}, ToyTrainer(rate, steps))
    assert {path: value_at(changed, path) for path in values} == values
    assert recipe == Toy(sizes={"other": 1.0})


def test_values_that_a_user_wrote() -> None:
    assert parsed(Toy(), "trainer.steps", "6") == 6
    assert parsed(Toy(), "trainer.rate", "1e-3") == 1e-3
    assert parsed(Toy(), "shape", "edged") == "edged"
    assert parsed(Toy(), "sizes.corners", "5") == 5.0
    for path, text, message in (
        ("trainer.steps", "6.5", "write a whole number"),
        ("trainer.rate", "fast", "write a number"),
        ("trainer", "1", "name a part of it"),
        ("speed", "1", "there is no 'speed' to set: there are shape, sharpness, sizes, trainer"),
        ("trainer.speed", "1", "there is no 'speed' to set: there are rate, steps"),
    ):
        with pytest.raises(ConfigError, match=message):
            parsed(Toy(), path, text)
    with pytest.raises(ConfigError, match="'shape' has no parts"):
        apply(Toy(), {"shape.x": 1})


def test_the_usual_values_are_those_within_the_ranges() -> None:
    assert usual(SPACE, Toy(), {"sizes.corners": 4}) == {
        "trainer.rate": 0.5,
        "trainer.steps": 4,
        "shape": "round",
        "sizes.corners": 4,
    }
    odd = replace(Toy(), shape="flat", trainer=ToyTrainer(rate=2.0, steps=3))
    assert usual(SPACE, odd, {}) == {}
    assert usual({"a": Float(0, 1), "b": Int(0, 1), "c": Choice((1,))}, Letters(), {}) == {"a": 1.0, "b": 0}
