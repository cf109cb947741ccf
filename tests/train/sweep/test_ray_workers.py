from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="needs the extra 'sweep'")
pytest.importorskip("ray", reason="needs Ray, of the extra 'sweep'")
from course import IDENTITY, plan

from edge.errors import ConfigError
from train.sweep.ray_workers import RayWorkers
from train.sweep.schedule import run_sweep
from train.sweep.store import Store
from train.sweep.work import Outcome


def test_a_cluster_runs_the_same_trials_and_outlives_a_killed_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a Ray of this machine's own; starting it takes most of the time."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    fatal = tmp_path / "once"
    fatal.write_text("")
    told: dict[int, Outcome] = {}
    workers = RayWorkers("local", 2)
    try:
        assert workers.slots == 2
        with Store(tmp_path / "a.db", IDENTITY) as store:
            run_sweep(plan("mortal", fatal), store, workers, trials=5, progress=told.__setitem__)
            assert len(store.trials) == 5
            params = {t.number: t.params for t in store.trials}
    finally:
        workers.close()
    errors = [o.error for o in told.values() if o.state == "failed"]
    assert len(errors) == 1  # the one that was killed
    for number, outcome in told.items():
        if outcome.state == "complete":
            cost = abs(params[number]["trainer.rate"] - 0.1) + 0.02 * params[number].get("sizes.corners", 0)
            assert outcome.value == pytest.approx(1.0 - cost + 0.5e-3)


def test_an_address_where_nobody_is_is_refused() -> None:
    with pytest.raises(ConfigError, match="no cluster there"):
        RayWorkers("auto", None)
