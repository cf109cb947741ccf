"""What a sweep may change: typed ranges by the path of a recipe's field, and a recipe with such values in it.

Nothing here needs torch or Optuna: workers load it, and so do experiments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, TypeAlias, TypeVar

from edge.errors import ConfigError

Value: TypeAlias = bool | int | float | str
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class _Range:
    when: Mapping[str, tuple[Value, ...]] | None = None
    """The range counts only where each of these paths has one of these values; they come before it in the space."""


@dataclass(frozen=True)
class Float(_Range):
    """A number from `low` to `high`, both included; log: spread evenly over its logarithm."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Int(_Range):
    """A whole number from `low` to `high`, both included, in steps of `step`."""

    low: int
    high: int
    step: int = 1


@dataclass(frozen=True)
class Choice(_Range):
    """One of some values that have no order."""

    options: tuple[Value, ...]


ParameterRange: TypeAlias = Float | Int | Choice
Space: TypeAlias = Mapping[str, ParameterRange]
"""Ranges by path: a recipe's field (`window`), a field of its trainer (`trainer.steps`), a key of a table (`sizes.hidden`)."""


class Suggester(Protocol):
    """What is asked of Optuna's trial."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int: ...
    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


def suggest(trial: Suggester, space: Space, recipe: object) -> dict[str, Value]:
    """Values for every range of the space that counts; `recipe` has those that the space leaves as they are."""
    chosen: dict[str, Value] = {}
    for path, over in space.items():
        conditions = (over.when or {}).items()
        if all((chosen[other] if other in chosen else value_at(recipe, other)) in few for other, few in conditions):
            chosen[path] = _draw(trial, path, over)
    return chosen


def _draw(trial: Suggester, path: str, over: ParameterRange) -> Value:
    if isinstance(over, Float):
        return trial.suggest_float(path, over.low, over.high, log=over.log)
    if isinstance(over, Int):
        return trial.suggest_int(path, over.low, over.high, step=over.step)
    value: Value = trial.suggest_categorical(path, over.options)
    return value


def apply(recipe: R, values: Mapping[str, Value]) -> R:
    """The recipe with these values, set all at once: what is refused is only what does not go together.

    Raises ConfigError for a path that the recipe does not have.
    """
    assert is_dataclass(recipe)
    changes: dict[str, Any] = {}
    for path, value in values.items():
        name, _, rest = path.partition(".")
        current = changes.get(name, _field(recipe, name, path))
        if not rest:
            changes[name] = value
        elif is_dataclass(current):
            changes[name] = apply(current, {rest: value})
        elif isinstance(current, Mapping):
            changes[name] = {**current, rest: value}
        else:
            raise ConfigError(f"{path}: '{name}' has no parts: set '{name}' itself")
    changed: R = replace(recipe, **changes)  # type: ignore[type-var]
    return changed


def value_at(recipe: object, path: str) -> Any:
    """The recipe's value at a path; None for a key that a table does not have."""
    name, _, rest = path.partition(".")
    current = _field(recipe, name, path)
    if not rest:
        return current
    return current.get(rest) if isinstance(current, Mapping) else value_at(current, rest)


def parsed(recipe: object, path: str, text: str) -> Value:
    """A value that a user wrote, of the type that the recipe has at the path. Raises ConfigError."""
    current = value_at(recipe, path)
    if isinstance(current, str):
        return text
    if isinstance(current, bool):
        if text not in ("true", "false"):
            raise ConfigError(f"{path}={text}: write true or false")
        return text == "true"
    if current is not None and not isinstance(current, (int, float)):
        raise ConfigError(f"{path}: is not one value: name a part of it, such as {path}.NAME")
    whole = isinstance(current, int)
    try:
        return int(text) if whole else float(text)
    except ValueError:
        raise ConfigError(f"{path}={text}: write a {'whole ' if whole else ''}number") from None


def usual(space: Space, recipe: object, known: Mapping[str, Value]) -> dict[str, Value]:
    """The recipe's own values of a space, as far as the ranges hold them; `known` has those that the recipe leaves open."""
    found = {path: known.get(path) if (own := value_at(recipe, path)) is None else own for path in space}
    return {path: value for path, value in found.items() if value is not None and _holds(space[path], value)}


def _holds(over: ParameterRange, value: Value) -> bool:
    if isinstance(over, Choice):
        return value in over.options
    if isinstance(value, str) or not over.low <= value <= over.high:
        return False
    return isinstance(over, Float) or (value - over.low) % over.step == 0


def _field(recipe: object, name: str, path: str) -> Any:
    names = [f.name for f in fields(recipe)]  # type: ignore[arg-type]
    if name not in names:
        raise ConfigError(f"{path}: there is no '{name}' to set: there are {', '.join(names)}")
    return getattr(recipe, name)
