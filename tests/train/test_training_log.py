from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiny_training import trained

from edge.errors import FileError, MissingExtraError
from train.training_log import training_log


def test_without_a_folder_nothing_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with training_log(None) as log:
        log.write(1, {"motion": 0.5})


def test_the_missing_package_is_named_before_the_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(
        MissingExtraError, match=r"'tensorboard': install it with  pip install 'edge-msk\[tensorboard\]'"
    ):
        trained(log_dir=tmp_path / "log", progress=lambda *_: pytest.fail("trained all the same"))


def test_a_curve_of_every_term_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def interrupt(step: int, terms: dict[str, float]) -> None:
        if step == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "c", log_dir=tmp_path / "log", progress=interrupt)
    _, history = trained(tmp_path / "c", log_dir=tmp_path / "log")
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"motion", "size", "validation"}
    curve = events.Scalars("motion")
    assert [event.step for event in curve] == history.steps
    assert [event.value for event in curve] == pytest.approx(history.terms["motion"])


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"), training_log(tmp_path / "file" / "log"):
        pytest.fail("nothing can be logged there")
