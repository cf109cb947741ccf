"""The loop around the pipeline: sensor bytes, an estimate, a wanted torque, what safety lets through, the output.

Everything it needs comes from outside, the clock included, so that tests run it on a virtual clock without sleeping.
One thread. A view is handed a snapshot ten times a second, after the command is out, and must not block.

Ages are from the moment that an estimate describes (the sensor's time stamp, mapped to the host's clock) to just after
the command was handed to the output; compute time is from the arrival of the bytes to that same moment.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.control.assist import ProportionalAssist
from edge.control.explain import explain
from edge.control.safety import Fault, SafeCommand, Safety
from edge.control.state import State
from edge.errors import EdgeMskError, EngineError, MissingExtraError, OutputError, SensorError
from edge.outputs.base import Command, Output
from edge.sensors.base import EndOfRecording, Sensor, SensorLostError
from edge.sensors.merged import MergedSensors
from edge.timing import Distribution

if TYPE_CHECKING:
    from edge.pipeline import Estimate, Pipeline
    from edge.record.recorder import Recorder

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
IDLE_NS = 10 * NS_PER_MS
"""Longest wait for data: a stop request is seen within this time."""
RAMP_TICK_NS = 2 * NS_PER_MS
"""Time between two commands while a fault ramps down and no data comes."""
HEARTBEAT_NS = 20 * NS_PER_MS
"""Without estimates an unchanged command is repeated this often, so that a receiver can tell silence from zero."""
LOG_CHECK_NS = NS_PER_S
SHOW_NS = 100 * NS_PER_MS


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest of everything, for a view."""

    estimate: Estimate
    command: Command
    age_ms: float
    faults: tuple[str, ...]
    elapsed_s: float
    estimates: int
    explanation: str = ""
    """The first fault in plain words; "" while there was none."""


class Loop:
    """One session.

    Args:
        sensors, output: open; the caller closes them. The sensors are in the order of the pipeline's sources.
        pipeline: fresh.
        assist: what is wanted.
        safety: what is allowed, armed or not.
        recorder: the session log, open, or None.
        period_s: the sample period of the model: an estimate that takes longer has missed its deadline.
        duration_s: stop by itself after this time.
        first_sample_timeout_s: fail when no estimate has come and no usable samples came for this long; None: wait on.
        design_age_s: how old an estimate's moment is when its bytes come without delay; what is older by more than the sensor
            age limit and a sample period is stale, by the sensor's stamps too. None where stamps do not go with the time, as
            of a recording played faster or slower.
        clock: monotonic nanoseconds.
        warn: called with one line when something fails that does not end the session.
        show: called ten times a second with the newest snapshot (None before the first estimate); must not block.
    """

    def __init__(
        self,
        *,
        sensors: Sequence[Sensor],
        pipeline: Pipeline,
        assist: ProportionalAssist,
        safety: Safety,
        output: Output,
        period_s: float,
        recorder: Recorder | None = None,
        duration_s: float | None = None,
        first_sample_timeout_s: float | None = None,
        design_age_s: float | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        warn: Callable[[str], None] = lambda line: None,
        show: Callable[[Snapshot | None], None] | None = None,
    ) -> None:
        self.latest: Snapshot | None = None
        self.failure: EdgeMskError | None = None
        """What ended the session before its time, if anything did."""
        self.explanation = ""
        """The first fault in plain words: what happened and what to do; "" while there was none."""
        self.state = safety.state
        """The state, and at the end the one in which the session was when it stopped."""
        self.age_ms = Distribution()
        self.compute_us = Distribution()
        self.missed_deadlines = 0
        self._sensors = MergedSensors(sensors)
        self._pipeline, self._assist, self._safety, self._output = pipeline, assist, safety, output
        self._recorder, self._clock, self._warn, self._show = recorder, clock, warn, show
        self._period_ns = round(period_s * NS_PER_S)
        self._duration_ns = None if duration_s is None else round(duration_s * NS_PER_S)
        self._first_sample_timeout_s = first_sample_timeout_s
        self._design_ns = None if design_age_s is None else round((design_age_s + period_s) * NS_PER_S)
        self._samples_seen = 0
        self._samples_seen_ns = 0  # when a sample came last, or the start
        self._age_limit_ns = round(safety.limits.sensor_age_limit_ms * NS_PER_MS)
        self._stopping = False
        self._started_ns = 0
        self._usable_ns: int | None = None  # when the bytes came that gave the newest estimate
        self._dropped = 0
        self._faults: tuple[str, ...] = ()
        self._last = Command(0, 0, int(safety.state), (0.0,) * safety.limits.n_joints)
        self._log_checked_ns = 0
        self._shown_ns = 0
        self._log_lost = False
        self._told: set[str] = set()  # names of the problems that were said

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping

    def stop(self) -> None:
        """Ask the loop to end at its next cycle. May be called from a signal handler or another thread."""
        self._stopping = True

    def run(self) -> None:
        """Work until stopped, the duration is over, the source ends, or something is lost (:attr:`failure` is set).

        Whatever ends it, an exception included, the last command sent is zero.
        """
        self._started_ns = self._log_checked_ns = self._samples_seen_ns = self._clock()
        self._show_latest(self._started_ns)
        try:
            while not self._stopping:
                if self._first_sample_timeout_s is not None and self.age_ms.count == 0:
                    self._check_start(self._first_sample_timeout_s)
                if self._over():
                    break
                try:
                    chunks = self._sensors.read(self._timeout_s())
                except EndOfRecording:
                    break
                now_ns = self._clock()
                for source, chunk in chunks:
                    self._take(chunk, now_ns, source)
                if not chunks:
                    self._tick(now_ns)
                self._check_log(now_ns)
                if now_ns - self._shown_ns >= SHOW_NS:
                    self._show_latest(now_ns)
        except (SensorError, EngineError, OutputError, MissingExtraError) as error:
            self.failure = error
            self._fall(error)
        except Exception:
            # A bug: it is shown as what it is, but not before the actuator and the log know of the end.
            self._fall(EngineError("the program failed"))
            raise
        finally:
            self._end()
        self._show_latest(self._clock())

    def summary(self) -> dict[str, Any]:
        """Return the figures of the session, by the keys of the ``--json`` output."""
        counters = self._pipeline.counters
        return {
            "samples": counters.samples,
            "bad_frames": counters.bad_frames,
            "dropped": counters.dropped,
            "problems": dict(counters.problems),
            "estimates": self.age_ms.count,
            "age_ms": self.age_ms.summary(),
            "compute_us": self.compute_us.summary(),
            "missed_deadlines": self.missed_deadlines,
            "state": self.state.name.lower(),
            "faults": list(self._faults),
        }

    def _check_start(self, timeout_s: float) -> None:
        """No estimate has come yet: raise SensorError when waiting on has no sense.

        The sensor's own clock counts too, so that a recording played slowly is waited for.
        """
        now_ns = self._clock()
        samples = self._pipeline.counters.samples
        if samples != self._samples_seen:
            self._samples_seen, self._samples_seen_ns = samples, now_ns
        waited_s = (now_ns - self._samples_seen_ns) / NS_PER_S
        # A session that is over without a single sample has failed too, however short it was meant to be.
        if (
            waited_s >= timeout_s
            or self._pipeline.overdue_s() >= timeout_s
            or (self._over() and self._samples_seen == 0)
        ):
            elapsed_s = (now_ns - self._started_ns) / NS_PER_S
            raise SensorError(
                f"{self._sensors.url}: no estimate in {elapsed_s:.1f} s: {self._pipeline.why_no_estimate()}"
            )

    def _over(self) -> bool:
        return self._duration_ns is not None and self._clock() - self._started_ns >= self._duration_ns

    def _timeout_s(self) -> float:
        """Wait no longer than until something is due: the data going stale, the ramp, the end."""
        now_ns = self._clock()
        wait_ns = IDLE_NS
        if self._usable_ns is not None and self._safety.state is not State.FAULT:
            # One nanosecond more than the limit: at the limit itself the data is not stale yet.
            wait_ns = min(wait_ns, self._usable_ns + self._age_limit_ns - now_ns + 1)
        if self._safety.state is State.FAULT and any(self._last.torque_nm):
            wait_ns = min(wait_ns, RAMP_TICK_NS)
        if self._duration_ns is not None:
            wait_ns = min(wait_ns, self._started_ns + self._duration_ns - now_ns)
        return max(wait_ns, 0) / NS_PER_S

    def _take(self, chunk: bytes, received_ns: int, source: int) -> None:
        """Bytes came: estimate, command, record."""
        if self._recorder is not None:
            self._recorder.sensor_bytes(received_ns, chunk, source)
        estimates = self._pipeline.feed(chunk, received_ns, source)
        if self._recorder is not None and self._pipeline.stamps:
            self._recorder.stamps(received_ns, source, self._pipeline.stamps)
        self._tell_problems(received_ns)
        if not estimates:
            self._tick(self._clock())
            return
        self._usable_ns = received_ns
        for estimate in estimates:
            self._command(estimate, received_ns)

    def _command(self, estimate: Estimate, received_ns: int) -> None:
        now_ns = self._clock()
        safe = self._safety.step(
            now_ns,
            sensor_age_ns=max(now_ns - received_ns, self._late_ns(estimate, now_ns)),
            q_rad=estimate.q.tolist(),
            qd_rad_s=estimate.qd.tolist(),
            wanted_torque_nm=self._assist.wanted(estimate.torque_nm),
            valid=estimate.valid,
            sequence_gap=self._new_dropped(),
            overran=now_ns - received_ns > self._period_ns,
            reported=() if _finite(estimate) else (Fault.NON_FINITE,),
        )
        self._send(safe)
        sent_ns = self._clock()
        age_ms = (sent_ns - self._pipeline.host_ns(estimate.time_s)) / NS_PER_MS
        self.age_ms.add(age_ms)
        self.compute_us.add((sent_ns - received_ns) / 1e3)
        self.missed_deadlines += sent_ns - received_ns > self._period_ns
        self._note(safe, now_ns)
        if self._recorder is not None:
            self._recorder.estimate(now_ns, estimate)
            self._recorder.timing(sent_ns, estimate.index, age_ms, (sent_ns - received_ns) / 1e3)
        elapsed_s = (sent_ns - self._started_ns) / NS_PER_S
        self.latest = Snapshot(
            estimate, self._last, age_ms, self._faults, elapsed_s, self.age_ms.count, self.explanation
        )

    def _late_ns(self, estimate: Estimate, now_ns: int) -> int:
        """By how much an estimate is older than it has to be: data that were held up on their way are no fresh data."""
        if self._design_ns is None:
            return 0
        return now_ns - self._pipeline.host_ns(estimate.time_s) - self._design_ns

    def _tick(self, now_ns: int, reported: tuple[Fault, ...] = ()) -> None:
        """No estimate: safety sees the time pass; the command goes out if it changed or the heartbeat is due."""
        age_ns = None if self._usable_ns is None else now_ns - self._usable_ns
        safe = self._safety.step(now_ns, sensor_age_ns=age_ns, sequence_gap=self._new_dropped(), reported=reported)
        self._note(safe, now_ns)
        changed = (int(safe.state), safe.torque_nm) != (self._last.state, self._last.torque_nm)
        if changed or now_ns - self._last.time_us * 1000 >= HEARTBEAT_NS:
            self._send(safe)
        if safe.new_faults and self.latest is not None:
            self.latest = replace(self.latest, command=self._last, faults=self._faults, explanation=self.explanation)

    def _send(self, safe: SafeCommand) -> None:
        command = Command(
            self._clock() // 1000, (self._last.sequence + 1) & 0xFFFFFFFF, int(safe.state), safe.torque_nm
        )
        self._output.send(command)
        self._last = command
        if self._recorder is not None:
            self._recorder.command(command)

    def _note(self, safe: SafeCommand, now_ns: int) -> None:
        """Keep and record what changed."""
        if safe.state is not self.state:
            self.state = safe.state
            if self._recorder is not None:
                self._recorder.note(now_ns, f"state {safe.state.name.lower()}")
        for fault in safe.new_faults:
            self._faults += (fault.value,)
            words = explain(fault, self._safety.limits)
            self.explanation = self.explanation or words
            if self._recorder is not None:
                self._recorder.fault(now_ns, fault.value, words)

    def _tell_problems(self, now_ns: int) -> None:
        """Record what began to be wrong with the sensors, and say each once."""
        for problem in self._pipeline.take_problems():
            if problem.name not in self._told:
                self._told.add(problem.name)
                self._warn(problem.text)
            if self._recorder is not None:
                self._recorder.note(now_ns, f"{problem.name}: {problem.text}")

    def _show_latest(self, now_ns: int) -> None:
        self._shown_ns = now_ns
        if self._show is None:
            return
        if self.latest is not None:  # the time goes on, also while no estimate comes
            self.latest = replace(self.latest, elapsed_s=(now_ns - self._started_ns) / NS_PER_S)
        self._show(self.latest)

    def _new_dropped(self) -> int:
        dropped = self._pipeline.counters.dropped
        new, self._dropped = dropped - self._dropped, dropped
        return new

    def _check_log(self, now_ns: int) -> None:
        """A log that died is said once; with an armed device it is a fault: what happens to a person is recorded."""
        if self._recorder is None or self._log_lost or now_ns - self._log_checked_ns < LOG_CHECK_NS:
            return
        self._log_checked_ns = now_ns
        problem = self._recorder.check()
        if problem is not None:
            self._log_lost = True
            self._warn(problem)
            if self._safety.state in (State.ARMED, State.ACTIVE):
                self._tick(now_ns, (Fault.LOG,))

    def _fall(self, error: EdgeMskError) -> None:
        """The session cannot go on: enter FAULT, and let no second failure hide the first."""
        fault = Fault.OUTPUT
        if isinstance(error, SensorLostError):
            fault = Fault.SENSOR_LOST
        elif isinstance(error, SensorError | MissingExtraError):
            fault = Fault.SENSOR  # what is missing is what orientation is estimated with
        elif isinstance(error, EngineError):
            fault = Fault.ENGINE
        with suppress(OutputError):
            self._tick(self._clock(), (fault,))

    def _end(self) -> None:
        """Send zero, whatever the state, and keep the state in which the session stopped."""
        self._safety.disarm()
        zero = SafeCommand(self._safety.state, (0.0,) * len(self._last.torque_nm), ())
        try:
            self._send(zero)
        except OutputError as error:
            # The output is gone: its own watchdog has to do the rest. The failure that the user must see is the first.
            self.failure = self.failure or error


def _finite(estimate: Estimate) -> bool:
    """Whether what is not checked by safety itself is finite: a sum is not, as soon as one of its terms is not."""
    total = estimate.qdd.sum() + estimate.activation.sum() + estimate.force_n.sum() + estimate.reserve_nm.sum()
    return bool(np.isfinite(total + estimate.torque_nm.sum()))


@contextmanager
def stop_on_signals(loop: Loop) -> Iterator[None]:
    """While inside, SIGINT, SIGTERM and SIGHUP stop the loop; a second SIGINT interrupts it at once (zero is still sent).

    A hang-up that was ignored before (`nohup`) stays ignored.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        loop.stop()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    stopping = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        stopping.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in stopping}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
