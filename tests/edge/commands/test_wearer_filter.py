"""The learned filter from session to session, through `run` and `replay` as the user calls them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_bundle import tiny_bundle, write_swinging_leg

from edge import bundle as bundles
from edge.bundle import Bundle
from edge.cli import cli
from edge.commands import wearer_filter
from edge.commands.wearer_filter import WearerFilter, _cannot_be_written, default_path
from edge.config import Config, FilterConfig
from edge.errors import ConfigError, FileError
from edge.pipeline import Pipeline
from edge.record.session_log import read_log
from edge.signals.filter_file import KeptFilter


def write_adaptive(path: Path, **changes: Any) -> Bundle:
    bundle = tiny_bundle(path, method="adaptive", age_s=0.05)
    bundle = dataclasses.replace(bundle, manifest=bundle.manifest.model_copy(update=changes))
    bundle.write()
    return bundle


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_adaptive(tmp_path / "tiny.msk")
    monkeypatch.setattr(wearer_filter, "LEAST_S", 2.0)  # as short as the lesson allows
    write_swinging_leg(tmp_path / "swing.mot", seconds=3.5)
    write_swinging_leg(tmp_path / "short.mot", seconds=2.0)
    return tmp_path


def invoke(command: str, *arguments: str) -> tuple[int, dict[str, Any], list[str]]:
    result = CliRunner().invoke(cli, [command, *arguments, "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    # A loaded machine may let the data of a recording that is read at once grow stale: that is another test's subject.
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: the session went to FAULT")]
    return result.exit_code, json.loads(result.stdout) if result.stdout else {}, lines


def session(*arguments: str, recording: str = "swing") -> tuple[dict[str, Any], list[str]]:
    code, summary, lines = invoke(
        "run", "--bundle", "tiny.msk", "--sensor", f"replay:{recording}.mot?speed=0", "--no-view", *arguments
    )
    assert code == 0, lines
    return summary, lines


def configured(text: str) -> list[str]:
    Path("session.toml").write_text(f"[filter]\n{text}\n")
    return ["--config", "session.toml"]


def test_the_second_session_begins_where_the_first_ended_and_both_come_again(folder: Path) -> None:
    first, said = session()
    assert first["filter"]["before_s"] == 0.0
    learned_s = first["filter"]["learned_s"]
    assert learned_s > 2.0
    assert first["filter"]["waits"] >= 0
    assert first["filter_file"] == "tiny.filter"
    assert said == ["filter: began with nothing, learned from 3 s more; kept in tiny.filter"]
    second, said = session()
    assert second["filter"]["before_s"] == learned_s
    assert said == ["filter: began with 3 s of movement in tiny.filter, learned from 3 s more; kept in tiny.filter"]
    assert KeptFilter.read(folder / "tiny.filter").learned.movement_s == pytest.approx(2 * learned_s, abs=0.02)
    for joint in ("hip", "knee", "ankle"):  # what was learned helps
        assert second["rmse_qdd_deg_s2"][joint] < 0.7 * first["rmse_qdd_deg_s2"][joint]
    (folder / "tiny.filter").unlink()
    (folder / "tiny.msk").unlink()
    for summary in (first, second):
        code, again, lines = invoke("replay", summary["log"])
        assert (code, lines) == (0, [])
        assert again["identical"] is True
        for key in ("rmse_q_deg", "rmse_qd_deg_s", "rmse_qdd_deg_s2"):
            assert again[key] == summary[key]
        assert again["filter"] == {key: summary["filter"][key] for key in ("before_s", "learned_s")}
        assert again["filter_file"] is None
    assert not (folder / "tiny.filter").exists()
    assert read_log(Path(first["log"])).wearer_filter is None
    started = read_log(Path(second["log"])).wearer_filter
    assert started is not None
    assert KeptFilter.from_bytes(started, Path("x")).learned.movement_s == pytest.approx(learned_s, abs=0.01)


def test_a_frozen_filter_stays_as_it_is_and_comes_again(folder: Path) -> None:
    session("--no-log")
    before = (folder / "tiny.filter").read_bytes()
    frozen, said = session(*configured("learn = false"))
    assert frozen["filter"]["learned_s"] == 0.0
    assert frozen["filter"]["before_s"] > 2.0
    assert frozen["filter_file"] is None
    assert said == ["filter: frozen, with 3 s of movement in tiny.filter"]
    assert (folder / "tiny.filter").read_bytes() == before
    (folder / "tiny.filter").unlink()
    code, again, _ = invoke("replay", frozen["log"])
    assert (code, again["identical"], again["filter"]["learned_s"]) == (0, True, 0.0)


def test_a_replay_that_does_not_begin_alike_is_found_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session("--no-log")
    second, _ = session()
    monkeypatch.setattr("edge.record.session_log.SessionLog.wearer_filter", None)
    code, again, _ = invoke("replay", second["log"])
    assert (code, again["identical"]) == (1, False)


def test_too_little_movement_is_not_kept(folder: Path) -> None:
    summary, said = session("--no-log", recording="short")
    assert summary["filter_file"] is None
    assert said == ["filter: began with nothing, learned from 1 s more; not kept, as less than 2 s teach too little"]
    assert not (folder / "tiny.filter").exists()


def test_not_kept_where_that_is_not_wanted(folder: Path) -> None:
    summary, said = session("--no-log", *configured("save = false"))
    assert (summary["filter_file"], summary["filter"]["learned_s"] > 2.0) == (None, True)
    assert said[0].endswith("not kept, as `filter.save` is false")
    assert not (folder / "tiny.filter").exists()


def test_kept_where_the_configuration_says(folder: Path) -> None:
    summary, _ = session("--no-log", *configured('file = "people/ada.filter"'))
    assert summary["filter_file"] == "people/ada.filter"
    assert KeptFilter.read(folder / "people" / "ada.filter").subject == "tiny"
    assert session("--no-log", *configured('file = "people/ada.filter"'))[0]["filter"]["before_s"] > 2.0
    assert not (folder / "tiny.filter").exists()


def test_a_file_that_cannot_be_written_is_refused_at_the_start(folder: Path) -> None:
    (folder / "people").write_text("no folder")
    code, summary, said = invoke(
        "run", "--bundle", "tiny.msk", "--sensor", "replay:swing.mot?speed=0", "--no-view", "--no-log",
        *configured('file = "people/ada.filter"'),
    )  # fmt: skip
    assert (code, summary) == (1, {})
    assert said == [
        "error: session.toml: key `filter.file`: people cannot be written (Not a directory): name another file "
        "(`filter.file`), or set `filter.save = false`"
    ]


def test_a_file_that_cannot_be_written_in_the_end_fails_no_session(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: KeptFilter) -> None:
        raise FileError(f"{self.path}: cannot be written (No space left on device)")

    monkeypatch.setattr(KeptFilter, "write", full)
    summary, said = session("--no-log")
    assert summary["filter_file"] is None
    assert "not kept: tiny.filter: cannot be written (No space left on device)" in said[0]


def test_also_kept_after_a_session_that_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was learned before a sensor was lost is as good as ever."""
    feed = Pipeline.feed

    def lost(self: Pipeline, chunk: bytes, received_ns: int, source: int = 0) -> list[Any]:
        if self.counters.samples >= 345:
            from edge.errors import SensorError

            raise SensorError("the sensor was lost")
        return feed(self, chunk, received_ns, source)

    monkeypatch.setattr(Pipeline, "feed", lost)
    code, summary, lines = invoke(
        "run", "--bundle", "tiny.msk", "--sensor", "replay:swing.mot?speed=0", "--no-view", "--no-log"
    )
    assert code == 1
    assert "error: the sensor was lost" in lines
    assert summary["filter_file"] == "tiny.filter"
    assert (folder / "tiny.filter").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subject": "somebody else"}, "tiny.filter: `subject` is tiny, this session's is somebody else"),
        ({"rate_hz": 125.0}, "tiny.filter: `layout.rate_hz` is 100.0, this session's is 125.0"),
    ],
)
def test_another_wearers_filter_is_refused_before_anything_begins(
    folder: Path, changes: dict[str, Any], words: str
) -> None:
    session("--no-log")
    write_adaptive(folder / "tiny.msk", **changes)
    before = sorted(folder.iterdir())
    code, _, lines = invoke("run", "--bundle", "tiny.msk", "--sensor", "replay:swing.mot?speed=0", "--no-view")
    assert code == 1
    assert lines[0].startswith(f"error: {words}")
    assert "delete or move the file" in lines[0]
    assert sorted(folder.iterdir()) == before


def test_a_damaged_file_is_refused(folder: Path) -> None:
    (folder / "tiny.filter").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FileError, match=r"tiny.filter: is truncated or no filter"):
        WearerFilter(Bundle.read("tiny.msk"), Config(), print)


def test_a_frozen_filter_that_is_named_has_to_be_there(folder: Path) -> None:
    config = Config(filter=FilterConfig(learn=False, file=folder / "ada.filter"))
    with pytest.raises(ConfigError, match=r"`filter.file`: .*ada.filter does not exist"):
        WearerFilter(Bundle.read("tiny.msk"), config, print)
    nothing, said = session("--no-log", *configured("learn = false"))
    assert nothing["filter"]["before_s"] == 0.0
    assert said == ["filter: frozen, with nothing"]


def test_where_nothing_learns_a_file_is_not_looked_at_and_that_is_said(folder: Path) -> None:
    tiny_bundle(folder / "tiny.msk").write()
    (folder / "tiny.filter").write_bytes(b"what is this")
    assert session("--no-log")[1] == []
    summary, said = session("--no-log", *configured('file = "tiny.filter"'))
    assert (summary["filter"], summary["filter_file"]) == (None, None)
    assert said == [
        "warning: session.toml: `filter.file` is not used: the bundle's differentiator is 'savgol', which learns nothing"
    ]


def test_the_log_says_what_was_learned(folder: Path) -> None:
    summary, said = session()
    notes = [note.text for note in read_log(Path(summary["log"])).notes()]
    assert said[0] in notes
    figures = next(json.loads(text) for text in notes if text.startswith("{"))
    assert figures["rmse_q_deg"] == summary["rmse_q_deg"]
    assert figures["filter"] == summary["filter"]


def test_beside_a_bundle_that_came_with_the_program_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "_BUNDLES", folder)
    bundle = Bundle.read("tiny")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    assert default_path(bundle) == folder / "state" / "edge-msk" / "tiny.filter"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(folder / "home"))
    assert default_path(bundle) == folder / "home" / ".local" / "state" / "edge-msk" / "tiny.filter"
    monkeypatch.setattr(bundles, "_BUNDLES", folder / "elsewhere")
    assert default_path(bundle) == folder / "tiny.filter"


def test_for_another_age_another_filter_is_kept(folder: Path) -> None:
    """What was learned for one age is refused for another."""
    whole = Bundle.read(folder / "tiny.msk").with_variants(
        {"now": tiny_bundle(folder / "tiny.msk", method="adaptive", age_s=0.0)}
    )
    assert default_path(whole) == folder / "tiny.filter"
    assert default_path(whole.at(10.0).alone) == folder / "tiny-now.filter"


def test_a_place_that_cannot_be_written_is_found_out_before_anything_is_learned(tmp_path: Path) -> None:
    assert _cannot_be_written(tmp_path / "new" / "folder" / "ann.filter") == ""
    assert not (tmp_path / "new").exists()
    problem = _cannot_be_written(Path("/proc/ann.filter"))
    assert "/proc cannot be written" in problem
    assert "`filter.save = false`" in problem
