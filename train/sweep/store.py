"""One sweep in one SQLite file: what was asked, what came of every trial, and how to go on after an interruption.

Optuna chooses what to try and keeps the file; who runs a trial, and when, is no matter of it (ask and tell).
"""

from __future__ import annotations

import csv
import fcntl
import importlib
import io
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
import optuna
import sqlalchemy
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from edge.errors import ConfigError, FileError, MissingExtraError
from edge.storage import atomic_file, write_text
from train.sweep.spaces import Space, Value, suggest
from train.sweep.work import Outcome, bars

_HEADER = b"SQLite format 3\x00"
_RERUN = "rerun_of"  # on a trial: the number of the interrupted one whose values it has
_FEWEST_TO_WEIGH = 10  # complete trials; importances of fewer are noise
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


class Store:
    """The trials of one sweep. One process at a time writes to it; use it with `with`."""

    def __init__(self, path: Path, identity: Mapping[str, Any] | None) -> None:
        """Open the sweep in `path`, or begin it there.

        identity: all that decides what a trial's value means, as JSON has it, with `experiment` among it; None: only look at
        what is there. Raises FileError when the file is no sweep or another process has it, ConfigError when it holds a sweep
        of something else.
        """
        self.path = path
        self._lock = _taken(path) if identity is not None else None
        _require_sweep(path, new=identity is not None)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # By `creator`, so that no character of the path can mean something in a URL.
        self._storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=_engine(path))
        names = optuna.get_all_study_names(self._storage)
        if not names and identity is None:
            self.close()
            raise FileError(f"{path}: holds no sweep yet")
        if names and identity is not None and self._is_barren(names[0]):
            optuna.delete_study(study_name=names.pop(), storage=self._storage)
        name = names[0] if names else str((identity or {})["experiment"])
        self._study = optuna.create_study(
            storage=self._storage, study_name=name, direction="maximize", load_if_exists=True
        )
        if identity is not None:
            self._require_same(json.loads(json.dumps(identity)))

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is pending into the one file, and let others have it."""
        self._storage.remove_session()
        self._storage.engine.dispose()
        if self._lock is not None:
            self._lock.close()

    @property
    def identity(self) -> dict[str, Any]:
        """What is swept."""
        return dict(self._study.user_attrs["identity"])

    @property
    def trials(self) -> list[FrozenTrial]:
        """Every finished trial but those that were interrupted and are run again."""
        every = self._study.get_trials(deepcopy=False)
        superseded = self._superseded(every)
        return [t for t in every if t.state in _STATES and t.number not in superseded]

    def counts(self) -> dict[str, int]:
        """How many trials were completed, pruned and failed."""
        states = [_STATES[t.state] for t in self.trials]
        return {name: states.count(name) for name in _STATES.values()}

    def resume(self) -> int:
        """Have trials that an earlier process left unfinished run again, with the same values; how many there are."""
        left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in left:
            # In this order: if we are stopped in between, the trial is run once too often and not once too few.
            self._study.enqueue_trial(trial.params, user_attrs={_RERUN: trial.number})
            self._study.tell(trial.number, state=TrialState.FAIL)
        return len(left)

    def begin_with(self, values: Mapping[str, Value]) -> None:
        """Let these values be tried first, in a sweep that has no trial yet."""
        if not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(dict(values))

    def ask(self, space: Space, recipe: object, seed: int) -> tuple[optuna.Trial, dict[str, Value]]:
        """The next trial and its values, see :func:`train.sweep.spaces.suggest`.

        What is chosen depends on the seed and on the trials so far, and not on how often the sweep was interrupted.
        """
        every = self._study.get_trials(deepcopy=False)
        drawn = len(every) - len(self._superseded(every))
        own_seed = int(np.random.SeedSequence([seed, drawn]).generate_state(1)[0])
        self._study.sampler = TPESampler(seed=own_seed, constant_liar=True)  # liar: no two at a time try the same
        trial = self._study.ask()
        return trial, suggest(trial, space, recipe)

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Keep what became of a trial."""
        trial.set_user_attr("seconds", round(outcome.seconds, 3))
        trial.set_user_attr("per_seed", list(outcome.per_seed))
        for name, text in (("error", outcome.error), ("traceback", outcome.traceback)):
            if text:
                trial.set_user_attr(name, text)
        for step, figure in outcome.reports.items():
            trial.report(figure, step)
        if outcome.state == "complete":
            self._study.tell(trial, outcome.value)
        else:
            self._study.tell(trial, state=TrialState.PRUNED if outcome.state == "pruned" else TrialState.FAIL)

    def bars(self) -> dict[int, float]:
        """What trials are judged by while they run: medians of the complete ones."""
        return bars(t.intermediate_values for t in self.trials if t.state == TrialState.COMPLETE)

    def best(self, count: int) -> list[dict[str, Any]]:
        """The complete trials of the largest values: `number`, `value`, `params`, `per_seed`, `seconds`."""
        complete = [t for t in self.trials if t.state == TrialState.COMPLETE]
        return [_row(t) for t in sorted(complete, key=lambda t: -(t.value or 0.0))[:count]]

    def importances(self) -> dict[str, float]:
        """How much of what tells the best tenth of trials from the others lies in each parameter (PED-ANOVA), summing to 1.

        Empty while there are too few trials to say.
        """
        values = {t.value for t in self.trials if t.state == TrialState.COMPLETE}
        if self.counts()["complete"] < _FEWEST_TO_WEIGH or len(values) < 2:
            return {}
        return get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())

    def export(self, path: Path) -> None:
        """Write one row per trial as .csv or .parquet: number, state, value, seconds, error, and every parameter by path."""
        parameters = sorted({name for t in self.trials for name in t.params})
        rows = [_flat(t, parameters) for t in self.trials]
        columns = ["number", "state", "value", "seconds", "error", *parameters]
        if path.suffix == ".csv":
            text = io.StringIO()
            writer = csv.DictWriter(text, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            write_text(path, text.getvalue())
            return
        try:
            arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
        except ImportError:
            raise MissingExtraError("pyarrow", "sweep", f"{path}: Parquet") from None
        with atomic_file(path) as temporary:
            parquet.write_table(arrow.table({c: [row[c] for row in rows] for c in columns}), temporary)

    def _is_barren(self, name: str) -> bool:
        """Whether a sweep has come to nothing: all that it tried has failed. It is begun anew, with whatever was mended."""
        trials = optuna.load_study(study_name=name, storage=self._storage).get_trials(deepcopy=False)
        return bool(trials) and all(t.state == TrialState.FAIL for t in trials)

    @staticmethod
    def _superseded(trials: list[FrozenTrial]) -> set[int]:
        return {t.user_attrs[_RERUN] for t in trials if _RERUN in t.user_attrs}

    def _require_same(self, identity: dict[str, Any]) -> None:
        there = self._study.user_attrs.get("identity")
        if there is None:
            self._study.set_user_attr("identity", identity)
            return
        ours, theirs = _leaves(identity), _leaves(there)
        for key in dict.fromkeys(["experiment", *ours, *theirs]):
            if ours.get(key) != theirs.get(key):
                self.close()
                was, asked = theirs.get(key, "not set"), ours.get(key, "not set")
                raise ConfigError(
                    f"{self.path}: holds a sweep with {key} = {was}, not {asked}: continue it with the settings it was begun "
                    "with, or choose another --out"
                )


def _taken(path: Path) -> IO[bytes]:
    """The file, locked and made where it was missing. Open for as long as SQLite is: closing it ends SQLite's locks too."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror}): choose another --out") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise FileError(f"{path}: another sweep is running on it: wait for it, or choose another --out") from None
    return file


def _require_sweep(path: Path, *, new: bool) -> None:
    """Raise FileError for a file of another kind, before Optuna makes its tables in it."""
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror}): name the sweep's .db") from None
    if new and not header:
        return
    known = False
    if header == _HEADER:
        with closing(sqlite3.connect(path)) as connection:
            known = bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'studies'").fetchall())
    if not known:
        raise FileError(f"{path}: is no sweep's store: name another file")


def _engine(path: Path) -> dict[str, Any]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
        # One who looks at a sweep neither waits for the one that writes it nor stops it.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "PRAGMA synchronous=NORMAL"
        )  # a crash of the system may cost the last trials, never the file
        return connection

    return {"creator": connect, "poolclass": sqlalchemy.pool.QueuePool}


def _row(trial: FrozenTrial) -> dict[str, Any]:
    attributes = trial.user_attrs
    return {
        "number": trial.number,
        "value": trial.value,
        "params": dict(trial.params),
        "per_seed": attributes.get("per_seed", []),
        "seconds": attributes.get("seconds"),
    }


def _flat(trial: FrozenTrial, parameters: list[str]) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": _STATES[trial.state],
        "value": trial.value if trial.state == TrialState.COMPLETE else None,
        "seconds": trial.user_attrs.get("seconds"),
        "error": trial.user_attrs.get("error"),
        **{name: trial.params.get(name) for name in parameters},
    }


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted path, to name the first that differs."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
