"""Adaptation beside a live session, in a process of its own: the loop hands over what it has and looks for a verdict, and never
waits for either."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.adaptation.adaptable import Adaptable
from edge.adaptation.learner import Learner, Outcome, Taught
from edge.errors import EdgeMskError

FloatArray = npt.NDArray[np.float64]

_NICENESS = 10
_WAITING = 64  # pieces, before those that come are lost: the process is far behind, or gone
_END_S = 2.0


@dataclass(frozen=True)
class Offer:
    """A verdict for the session.

    network: ONNX file to use from now on; None: go on with the one in use. Errors as in `edge.adaptation.learner.Verdict`.
    failure: why there will be no more, None while all is well.
    """

    outcome: Outcome | None
    network: bytes | None
    uncorrected: float
    before: float
    after: float
    learned_s: float
    failure: str | None = None


@dataclass(frozen=True, eq=False)
class Piece:
    """Some moments of which the teachers have spoken, in the order of their times.

    windows: (m, window, features) what the network was shown of them. wanted: (teachers, m, rows) each one's torque less all
    that does not come from the corrected answers, in mass x gravity x leg length: of the head `residual` less the contact-free
    torque of the network's own kinematics, of `contact` less the torque of its wrench too. NaN where a teacher says nothing.
    The networks that teach must not be corrected themselves.

    To be left out: moments at which a sensor was not trusted, and those of a movement that the novelty score refuses.
    """

    time_s: FloatArray
    windows: npt.NDArray[np.float32]
    wanted: FloatArray


class Study:
    """What the process does: pieces in, offers out."""

    def __init__(self, adaptable: Adaptable) -> None:
        """Raises EngineError."""
        self._adaptable = adaptable
        self._engine = adaptable.taps_engine()
        self._learner = Learner(
            adaptable.prior,
            window=adaptable.window,
            rate_hz=adaptable.rate_hz,
            moving_deviation=adaptable.moving_deviation,
        )

    def take(self, piece: Piece | None) -> Offer | None:
        """None rolls back. Raises EngineError."""
        if piece is None:
            self._learner.roll_back()
            return None
        before = self._learner.correction
        taps, answer = self._adaptable.read(self._engine, piece.windows)
        frames = np.asarray(piece.windows[:, -1, : len(self._adaptable.moving_deviation)], dtype=np.float64)
        verdict = self._learner.take(Taught(piece.time_s, frames, taps, piece.wanted - answer))
        if verdict is None:
            if before is not None and self._learner.correction is None:  # time went backwards
                nothing = float("nan")
                return Offer("taken back", self._adaptable.network, nothing, nothing, nothing, 0.0)
            return None
        network = None if verdict.correction is before else self._adaptable.corrected(verdict.correction)
        return Offer(
            verdict.outcome, network, verdict.uncorrected, verdict.before, verdict.after, round(verdict.learned_s, 3)
        )


class Adapter:
    """A `Study` in a process of its own, with low priority."""

    def __init__(self, adaptable: bytes) -> None:
        """adaptable: as `Adaptable.to_bytes` makes it."""
        context = multiprocessing.get_context("spawn")
        self._in: Queue[Any] = context.Queue(_WAITING)
        self._out: Queue[Offer] = context.Queue()
        self._process = context.Process(target=serve, args=(adaptable, self._in, self._out), daemon=True)
        self._process.start()
        self.lost = 0
        """Pieces that were not taken because the process was behind."""

    def take(self, piece: Piece) -> bool:
        """Hand moments over; False if they were lost. Never waits."""
        return self._put(piece)

    def roll_back(self) -> bool:
        """Let the process learn anew, after the session has gone back to the network as it was trained. Never waits."""
        return self._put(None)

    def newest(self, timeout_s: float = 0.0) -> Offer | None:
        """The next offer that has not been fetched, or None. Without a timeout it never waits."""
        try:
            return self._out.get(timeout=timeout_s) if timeout_s > 0.0 else self._out.get_nowait()
        except queue.Empty:
            return None

    def _put(self, piece: Piece | None) -> bool:
        try:
            self._in.put_nowait(("piece", piece))
        except queue.Full:
            self.lost += 1
            return False
        return True

    def close(self) -> None:
        """End the process. What it has not said is not heard."""
        with contextlib.suppress(queue.Full):
            self._in.put_nowait(("end", None))
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        for line in (self._in, self._out):
            line.cancel_join_thread()
            line.close()


def serve(adaptable: bytes, inbox: Queue[Any], outbox: Queue[Offer]) -> None:
    """The process: until it is told to end, or its parent is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Refused in some containers, which then allow the loop no real-time priority either.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.nice(_NICENESS)
    parent = multiprocessing.parent_process()
    try:
        study = Study(Adaptable.from_bytes(adaptable, Path("the bundle's adaptable network")))
        while parent is None or parent.is_alive():
            try:
                what, piece = inbox.get(timeout=1.0)
            except queue.Empty:
                continue
            if what == "end":
                return
            offer = study.take(piece)
            if offer is not None:
                outbox.put(offer)
    except EdgeMskError as error:
        nothing = float("nan")
        outbox.put(Offer(None, None, nothing, nothing, nothing, 0.0, failure=str(error)))
