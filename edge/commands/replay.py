"""`edge-msk replay`: the recorded bytes of a session through a fresh pipeline, compared bit for bit.

edge-msk replay logs/session-20260131-154210.mcap
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import EngineError, SensorError

if TYPE_CHECKING:
    from edge.pipeline import Estimate, Pipeline
    from edge.record.session_log import LoggedEstimate, SessionLog

ENDED_EARLY = frozenset({"sensor", "engine", "output"})
"""Faults that end a session inside a chunk: the last estimates of that chunk were never used, nor recorded."""
VECTORS = ("q", "qd", "qdd", "torque_nm", "activation", "force_n", "reserve_nm")


@click.command(epilog="Example:\n\n  edge-msk replay logs/session-20260131-154210.mcap --json")
@click.argument("log_file", metavar="LOG", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
@click.pass_context
def replay(ctx: click.Context, log_file: Path, as_json: bool) -> None:
    """Run a session log through the estimator again and compare every estimate bit for bit.

    Ages, compute times, state and faults are those of the session. Exit code 1 where an estimate differs.
    """
    from edge.bundle import Bundle
    from edge.commands.summary import print_summary
    from edge.commands.wearer_filter import figures
    from edge.pipeline import Pipeline
    from edge.record.session_log import read_log
    from edge.signals.filter_file import KeptFilter

    log = read_log(log_file)
    bundle = Bundle.from_bytes(log.bundle, log.path)
    known = log.wearer_filter
    kept = None if known is None else KeptFilter.from_bytes(known, log.path)
    pipeline = Pipeline(bundle, log.sources, kept=kept, frozen=log.frozen)
    with closing(pipeline):
        outcome = compare(log, pipeline)
    summary = _session(log, period_us=1e6 / bundle.manifest.rate_hz)
    counters = pipeline.counters
    print_summary(
        {
            "samples": counters.samples,
            "bad_frames": counters.bad_frames,
            "dropped": counters.dropped,
            "problems": dict(counters.problems),
            "estimates": outcome.estimates,
            **summary,
            **figures(pipeline, None),
            "log": str(log.path),
            "identical": not outcome.difference,
        },
        as_json=as_json,
    )
    if not log.clean:
        click.echo(f"warning: {log.path} was not closed: what was recorded is compared", err=True)
    if outcome.unrecorded:
        click.echo(f"warning: {outcome.unrecorded} estimates are not in the log and were not compared", err=True)
    if outcome.difference:
        click.echo(f"error: {log.path}: {outcome.difference}", err=True)
        ctx.exit(1)


@dataclass
class Outcome:
    """What the comparison found; `difference` is empty or says where the first one is."""

    estimates: int = 0
    unrecorded: int = 0
    difference: str = ""
    losses: dict[str, int] = field(default_factory=dict)


def compare(log: SessionLog, pipeline: Pipeline) -> Outcome:
    """Feed the recorded bytes to a fresh pipeline and compare its estimates with the recorded ones, in order.

    Estimates that are missing in the log are only accepted where the log says that it lost some, or ends early.
    """
    from edge.record.session_log import same_estimate

    outcome = Outcome()
    for loss in log.losses():
        for topic, count in loss.counts.items():
            outcome.losses[topic] = outcome.losses.get(topic, 0) + count
    ended_early = not log.clean or not ENDED_EARLY.isdisjoint(fault.code for fault in log.faults())
    recorded = log.estimates()
    expected = next(recorded, None)
    for estimate in _again(log, pipeline, ended_early):
        outcome.estimates += 1
        if outcome.difference:
            continue
        if expected is None or expected.index > estimate.index:
            outcome.unrecorded += 1
            if not (outcome.losses or (expected is None and ended_early)):
                outcome.difference = f"estimate {estimate.index} is not in the log, which lost none"
        elif not same_estimate(expected, estimate):
            outcome.difference = _describe(expected, estimate) + _lost_text(outcome.losses)
        else:
            expected = next(recorded, None)
    if expected is not None and not outcome.difference:
        outcome.difference = f"estimate {expected.index} is in the log and did not come again" + _lost_text(
            outcome.losses
        )
    return outcome


def _again(log: SessionLog, pipeline: Pipeline, ended_early: bool) -> Iterator[Estimate]:
    for chunk in log.sensor_bytes():
        try:
            estimates = pipeline.feed(chunk.data, chunk.received_ns, chunk.source)
        except (SensorError, EngineError):
            if ended_early:
                return  # the same error ended the session
            raise
        yield from estimates


def _lost_text(losses: dict[str, int]) -> str:
    if not losses:
        return ""
    return f" (the log lost {', '.join(f'{count} messages of {topic}' for topic, count in losses.items())})"


def _describe(recorded: LoggedEstimate, again: Estimate) -> str:
    """Name the first field that differs, with both values."""
    for name in ("index", "time_s", "valid", "novelty", *VECTORS):
        a, b = getattr(recorded, name), getattr(again, name)
        where = ""
        if name in VECTORS:
            pairs = list(zip(a.tolist(), b.tolist(), strict=False))
            # By their text: that tells -0.0 from 0.0, and a NaN equals a NaN.
            position = next((i for i, (x, y) in enumerate(pairs) if repr(x) != repr(y)), None)
            if position is None:
                if a.shape == b.shape:
                    continue
                return f"estimate {again.index}: {name} has {a.size} numbers in the log and {b.size} again"
            (a, b), where = pairs[position], f"[{position}]"
        elif repr(a) == repr(b):
            continue
        return f"estimate {again.index} (sensor time {again.time_s:.6f} s): {name}{where} was {a!r} and is {b!r}"
    return f"estimate {again.index}: the bits of a NaN differ"


def _session(log: SessionLog, *, period_us: float) -> dict[str, Any]:
    """The figures that only the live session can have."""
    from edge.control.state import State
    from edge.timing import Distribution

    age_ms, compute_us, missed = Distribution(), Distribution(), 0
    for timing in log.timings():
        age_ms.add(timing.age_ms)
        compute_us.add(timing.compute_us)
        missed += timing.compute_us > period_us
    before, last = State.DISARMED, State.DISARMED
    for command in log.commands():
        before, last = last, State(command.state)
    # The last command of a session withdraws the assistance: the state in which it stopped is the one before.
    stopped_in = before if log.clean and last is State.DISARMED else last
    return {
        "age_ms": age_ms.summary(),
        "compute_us": compute_us.summary(),
        "missed_deadlines": missed,
        "state": stopped_in.name.lower(),
        "faults": [fault.code for fault in log.faults()],
    }
