from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import FileError
from train.checkpoint import Checkpoint, digest

IDENTITY = {"steps": 3, "the inputs": "0" * 64}
STATE = {"step": 2, "weights": {"a": torch.arange(3.0)}, "best": None, "loss": [0.5, 0.25]}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "c"
    Checkpoint(path, IDENTITY).write(STATE)
    return path


def test_what_was_written_is_read(written: Path) -> None:
    state = Checkpoint(written, IDENTITY).read()
    assert state is not None
    assert torch.equal(state["weights"].pop("a"), torch.arange(3.0))
    assert state == {**STATE, "weights": {}}
    assert Checkpoint(written.with_name("none"), IDENTITY).read() is None


def test_a_write_that_fails_leaves_the_one_before(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.checkpoint.os.fsync", full)
    with pytest.raises(FileError, match="No space left"):
        Checkpoint(written, IDENTITY).write({"step": 9})
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_seen(written: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(written.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    with pytest.raises(FileError, match="damaged or no checkpoint"):
        Checkpoint(damaged, IDENTITY).read()


def test_a_checkpoint_runs_no_code(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("harm",)

    path = written.with_name("harmful")
    Checkpoint(path, IDENTITY).write({"step": Harm()})
    with pytest.raises(FileError, match="no checkpoint"):
        Checkpoint(path, IDENTITY).read()
    path.write_bytes(pickle.dumps(STATE))
    with pytest.raises(FileError, match="no checkpoint"):
        Checkpoint(path, IDENTITY).read()
    path.unlink()
    with pytest.raises(FileError, match="cannot be read"):
        Checkpoint(written.parent, IDENTITY).read()


def test_what_differs_is_named(written: Path) -> None:
    with pytest.raises(
        FileError, match=r"steps is 3 there and 4 here; the inputs differ; more is None there and 1 here"
    ):
        Checkpoint(written, {"steps": 4, "the inputs": "1" * 64, "more": 1}).read()
    with pytest.raises(FileError, match="the inputs differ"):
        Checkpoint(written, {"steps": 3}).read()


@dataclass(frozen=True)
class _Part:
    values: torch.Tensor
    weight: float


@dataclass(frozen=True)
class _Whole:
    part: _Part | None
    weights: dict[str, float]


def test_digests_tell_values_apart() -> None:
    whole = _Whole(_Part(torch.zeros(2, 3), 1.0), {"a": 1.0})
    part = whole.part
    assert part is not None
    others = [
        replace(whole, part=None),
        replace(whole, weights={"a": 2.0}),
        replace(whole, weights={"b": 1.0}),
        replace(whole, part=replace(part, weight=2.0)),
        replace(whole, part=replace(part, values=torch.zeros(3, 2))),
        replace(whole, part=replace(part, values=torch.zeros(2, 3, dtype=torch.float64))),
        replace(whole, part=replace(part, values=torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1e-30]]))),
    ]
    assert len({digest(value) for value in [whole, *others]}) == 8
    assert digest(whole) == digest(replace(whole, part=replace(part, values=torch.zeros(3, 2).T)))
    assert digest(torch.empty(0)) != digest(torch.empty(0, 1))
    assert len({digest(value) for value in (None, [], [[]], [None], "None", [["a"], ["b"]], [["a", ["b"]]])}) == 7
