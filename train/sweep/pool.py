"""Trials on this machine: one process each, started fresh, one thread of computing each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from queue import SimpleQueue

from train.sweep import work
from train.sweep.work import ONE_THREAD, LostWorkerError, Outcome, Task


class PoolWorkers:
    """A process per slot, each with its own pipe: one that is killed fails its own trial, and is replaced for the next.

    (With one pool for all, as `concurrent.futures` has it, a killed process takes everybody's trial with it.)
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._closed = threading.Event()
        self._workers = [_Worker(self._closed) for _ in range(slots)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="sweep")

    def submit(self, task: Task) -> Future[Outcome]:
        """Begin a trial."""
        return self._threads.submit(self._run, task)

    def close(self) -> None:
        """Kill the processes and whatever they are running."""
        self._closed.set()
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)

    def _run(self, task: Task) -> Outcome:
        worker = self._idle.get()
        try:
            return worker.run(task)
        finally:
            self._idle.put(worker)


class _Worker:
    """A process that runs one task after the other; started for its first task, and again after it has died."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self._lock = threading.Lock()  # starting and killing happen in different threads
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def run(self, task: Task) -> Outcome:
        pipe = self._started()
        try:
            pipe.send(task)
            outcome: Outcome = pipe.recv()
        except (EOFError, OSError):
            raise LostWorkerError(f"its process was lost ({self._end()})") from None
        return outcome

    def kill(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def _started(self) -> Connection:
        with self._lock:
            if self._closed.is_set():
                raise LostWorkerError("the sweep has ended")
            if self._pipe is None or self._process is None or not self._process.is_alive():
                # Spawned, not forked: torch's threads do not survive a fork.
                context = multiprocessing.get_context("spawn")
                self._pipe, theirs = context.Pipe()
                self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
                self._process.start()
                theirs.close()  # or its end would never be seen here
            return self._pipe

    def _end(self) -> str:
        with self._lock:
            assert self._process is not None
            self._process.kill()
            self._process.join()
            code, self._process = self._process.exitcode, None
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}; the system does that when memory runs out"
        return f"exit code {code}"


def _serve(pipe: Connection) -> None:
    """A worker's process: tasks in, outcomes out, until the sweep closes its end."""
    os.setsid()  # Ctrl-C goes to the whole terminal; the sweep decides what ends
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # Before torch is imported, which the first objective does.
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    while True:
        try:
            task: Task = pipe.recv()
        except EOFError:
            return
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        pipe.send(work.run(task))


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """No worker outlives a sweep that was killed."""
    parent.join()
    os._exit(1)
