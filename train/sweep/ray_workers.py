"""Trials on a Ray cluster, or on a Ray of this machine's own (`local`)."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any

import ray
from ray.exceptions import RayError

from edge.errors import ConfigError
from train.sweep import work
from train.sweep.work import ONE_THREAD, LostWorkerError, Outcome, Task


class RayWorkers:
    """A task of one core per trial. Every machine of the cluster needs this version of edge-msk and the data at the same path."""

    def __init__(self, address: str, slots: int | None) -> None:
        """Connect to `address` (`host:6379`, `ray://host:10001`, `auto`), or start Ray here for `local`.

        slots: trials at a time; None: as many as there are cores. Raises ConfigError when nothing answers.
        """
        local: dict[str, Any] = {"num_cpus": slots, "include_dashboard": False} if address == "local" else {}
        one_thread = dict.fromkeys(ONE_THREAD, "1")
        try:
            ray.init(
                address, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": one_thread}, **local
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"--ray {address}: no cluster there ({error}): start one with  ray start --head"
            ) from None
        cores: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.slots = slots or max(int(cores.get("CPU", 1)), 1)
        # A lost machine's trial fails and says so, as on this one; Ray's own retries would hide it.
        self._run = ray.remote(num_cpus=1, max_retries=0)(work.run)

    def submit(self, task: Task) -> Future[Outcome]:
        """Begin a trial."""
        result: Future[Outcome] = Future()

        def done(theirs: Future[Outcome]) -> None:
            error = theirs.exception()
            if error is None:
                result.set_result(theirs.result())
            else:
                reason = str(error).strip().splitlines() or [type(error).__name__]
                result.set_exception(LostWorkerError(reason[0]) if isinstance(error, RayError) else error)

        self._run.remote(task).future().add_done_callback(done)
        return result

    def close(self) -> None:
        """Leave the cluster, which ends this sweep's tasks; a local Ray ends."""
        ray.shutdown()
