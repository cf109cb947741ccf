from __future__ import annotations

import csv
import itertools
import sqlite3
from pathlib import Path
from typing import Any, TypeAlias

import pytest

pytest.importorskip("optuna", reason="needs the extra 'sweep'")
from course import IDENTITY, Here, plan
from toys import SPACE

from edge.errors import ConfigError, EngineError, FileError
from train.sweep.pool import PoolWorkers
from train.sweep.schedule import Plan, run_sweep
from train.sweep.store import Store
from train.sweep.work import ENOUGH, Outcome, Task, bars

Swept: TypeAlias = tuple[Path, list[Task], list[dict[str, Any]]]
"""A store, the tasks that its worker got, and its rows."""


def swept(path: Path, workers: Any, trials: int, what: Plan | None = None, **options: Any) -> list[dict[str, Any]]:
    """Rows of the trials in the file after a sweep."""
    with Store(path, IDENTITY) as store:
        store.resume()
        run_sweep(what or plan(), store, workers, trials=trials, **options)
        return [
            {"state": t.state.name, "params": t.params, "value": t.value, "steps": dict(t.intermediate_values)}
            for t in store.trials
        ]


@pytest.fixture(scope="module")
def hill(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """The store of a whole sweep, what its worker got, and its rows."""
    path = tmp_path_factory.mktemp("hill") / "a.db"
    here = Here()
    rows = swept(path, here, 20)
    return path, here.tasks, rows


def test_it_finds_the_top_of_the_hill_and_prunes_what_falls_behind(
    hill: Swept,
) -> None:
    path, tasks, rows = hill
    assert tasks[0].values["trainer.rate"] == 0.5  # the usual value first
    assert tasks[0].seeds == (0, 1)
    with Store(path, None) as store:
        best = store.best(3)
        counts = store.counts()
        weights = store.importances()
    assert best[0]["value"] > 0.95
    assert best[0]["params"]["shape"] == "round"
    assert best[0]["value"] == pytest.approx(sum(best[0]["per_seed"]) / 2)
    assert [b["value"] for b in best] == sorted((b["value"] for b in best), reverse=True)
    assert counts["complete"] + counts["pruned"] == len(rows) == 20
    assert counts["pruned"] >= 5
    assert sum(weights.values()) == pytest.approx(1.0)
    assert set(weights) == set(SPACE)
    # By the median of the complete ones at the same step, and not before there are enough of them.
    complete: list[dict[int, float]] = []
    for task, row in zip(tasks, rows, strict=True):
        assert dict(task.bars) == bars(complete)
        behind = [s for s, v in row["steps"].items() if v < task.bars.get(s, -1.0)]
        assert behind == ([] if row["state"] == "COMPLETE" else [max(row["steps"])])
        complete += [row["steps"]] if row["state"] == "COMPLETE" else []


def test_medians_need_enough_trials() -> None:
    few = [{1: float(i)} for i in range(ENOUGH - 1)]
    assert bars(few) == {}
    assert bars([*few, {1: 100.0, 2: 0.0}]) == {1: 2.0}


def test_an_interrupted_sweep_goes_on_as_if_it_had_not_been(tmp_path: Path, hill: Swept) -> None:
    _, _, whole = hill
    for stop_at in (1, 11):
        with pytest.raises(KeyboardInterrupt):
            swept(tmp_path / "cut.db", Here(stop_at), 12)
    rest = Here()
    assert swept(tmp_path / "cut.db", rest, 12) == whole[:12]
    assert len(rest.tasks) == 2  # finished ones are kept, the interrupted one is run again
    again = Here()
    assert swept(tmp_path / "cut.db", again, 12) == whole[:12]
    assert again.tasks == []
    assert swept(tmp_path / "cut.db", Here(), 13) == whole[:13]


def test_other_seeds_try_other_values(tmp_path: Path, hill: Swept) -> None:
    others = swept(tmp_path / "a.db", Here(), 3, plan(seed=1))
    assert all(a["params"] != b["params"] for a, b in zip(others[1:], hill[2][1:], strict=False))


def test_no_trial_begins_after_the_time_is_up(tmp_path: Path) -> None:
    assert len(swept(tmp_path / "a.db", Here(), 50, timeout_s=5.5, clock=itertools.count().__next__)) == 5


def test_failures_are_kept_with_their_reason_and_the_sweep_goes_on(tmp_path: Path) -> None:
    told: list[Outcome] = []
    rows = swept(tmp_path / "a.db", Here(), 8, plan("moody", tmp_path / "none"), progress=lambda n, o: told.append(o))
    failed = [o for o in told if o.state == "failed"]
    assert len(rows) == 8
    assert 0 < len(failed) < 8
    assert {o.error for o in failed} == {"walk.mot: has no corners"}
    with Store(tmp_path / "a.db", None) as store:
        assert store.counts()["failed"] == len(failed)
        store.export(tmp_path / "a.csv")
    table = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(table) == 8
    assert [r["error"] for r in table if r["state"] == "failed"] == ["walk.mot: has no corners"] * len(failed)
    assert {"number", "value", "seconds", "trainer.rate", "sizes.corners"} <= set(table[0])


def test_a_sweep_of_which_nothing_works_ends_soon(tmp_path: Path) -> None:
    workers = Here()
    with pytest.raises(EngineError, match=r"the first 3 trials .* failed, .*: walk.mot: is not there"):
        swept(tmp_path / "a.db", workers, 50, plan("refused"))
    assert len(workers.tasks) == 3
    assert len(swept(tmp_path / "a.db", Here(), 2)) == 2  # begun anew once it is mended
    with pytest.raises(RuntimeError, match=r"(?s)toys.py.*KeyError: 'forgotten'"):
        swept(tmp_path / "b.db", Here(), 50, plan("buggy"))


def test_parquet_has_the_same_table(tmp_path: Path, hill: Swept) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    path, _, rows = hill
    with Store(path, None) as store:
        store.export(tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column("value").to_pylist() == [r["value"] if r["state"] == "COMPLETE" else None for r in rows]
    assert set(SPACE) <= set(table.column_names)


def test_a_store_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a #1 {x}?%20.db"
    swept(path, Here(), 1)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    for identity, message in (
        ({**IDENTITY, "experiment": "gait"}, "holds a sweep with experiment = toy, not gait"),
        ({**IDENTITY, "seeds": 3}, "holds a sweep with seeds = 2, not 3"),
        ({**IDENTITY, "space": {}}, "space"),
    ):
        with pytest.raises(ConfigError, match=message):
            Store(path, identity)
    (tmp_path / "notes.db").write_text("my notes")
    (tmp_path / "empty.db").write_text("")
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (x)")
    for name, identity in (
        ("notes.db", IDENTITY), ("other.db", IDENTITY), ("other.db", None), ("empty.db", None), ("missing.db", None)
    ):  # fmt: skip
        with pytest.raises(FileError, match=name):
            Store(tmp_path / name, identity)
    assert (tmp_path / "notes.db").read_text() == "my notes"
    with sqlite3.connect(tmp_path / "other.db") as other:
        assert [row[0] for row in other.execute("SELECT name FROM sqlite_master")] == ["mine"]
    assert not (tmp_path / "missing.db").exists()
    assert len(swept(path, Here(), 2)) == 2


def test_two_sweeps_do_not_share_a_store_but_one_may_look(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Store(path, IDENTITY) as store:
        run_sweep(plan(), store, Here(), trials=2)
        with pytest.raises(FileError, match="another sweep is running on it"):
            Store(path, IDENTITY)
        with Store(path, None) as look:
            assert len(look.trials) == 2
            assert look.identity == IDENTITY
            assert look.importances() == {}
        run_sweep(plan(), store, Here(), trials=3)
        assert len(store.trials) == 3


def test_a_killed_process_fails_its_own_trial_alone(tmp_path: Path) -> None:
    fatal = tmp_path / "once"
    fatal.write_text("")
    told: list[Outcome] = []
    workers = PoolWorkers(2)
    try:
        rows = swept(tmp_path / "a.db", workers, 4, plan("mortal", fatal), progress=lambda n, o: told.append(o))
    finally:
        workers.close()
    lost = [o for o in told if "killed by SIGKILL" in o.error]
    assert len(lost) == 1
    assert len(rows) == 4
    assert sum(o.state == "complete" for o in told) == 3
    assert all(r["value"] is None or r["value"] > 0 for r in rows)
