"""How well the sensor's clock is found through a line's delays: `python -m tools.bench.sensor_clock [--json]`.

A simulated sensor stamps frames with a clock that drifts; a simulated line delays them. The errors are those of the host time
given to each frame on its arrival, against the moment at which it was sent plus the line's smallest delay, which nothing on
one side of a line can see; beside them the error of taking the time of arrival for the time of sending.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import click
import numpy as np
import numpy.typing as npt

from edge.signals.clock import SensorClock

IntArray = npt.NDArray[np.int64]
Line = Callable[[IntArray, np.random.Generator], IntArray]  # moments of sending -> of arrival, host's ns

MS = 1_000_000
S = 1_000_000_000
RATE_HZ = 200.0
SECONDS = 120.0
BOOT_NS = 5_000 * S  # host time when the sensor starts
SMALLEST_NS = MS // 2
BATCH_NS = 16 * MS
STALL_NS = 50 * MS
STALL_SHARE = 0.01
JITTER_NS = 200_000


@dataclass(frozen=True)
class Stream:
    """What a sensor sent and when it came."""

    stamp_us: IntArray  # (frames,)
    sent_ns: IntArray  # host's clock, with the smallest delay of the line
    received_ns: IntArray


def clean(sent_ns: IntArray, rng: np.random.Generator) -> IntArray:
    """Some 0.2 ms of jitter, as of a scheduler."""
    return sent_ns + rng.exponential(JITTER_NS, len(sent_ns)).astype(np.int64)


def batched(sent_ns: IntArray, rng: np.random.Generator) -> IntArray:
    """Handed over every 16 ms: the latency timer of an FTDI converter as it comes (FTDI AN232B-04, part III)."""
    phase = int(rng.integers(BATCH_NS))
    return clean(phase - (-(sent_ns - phase) // BATCH_NS) * BATCH_NS, rng)


def stalling(sent_ns: IntArray, rng: np.random.Generator) -> IntArray:
    """One frame in a hundred begins a stall of 50 ms, in which all that is sent piles up."""
    arrival = clean(sent_ns, rng)
    until = np.where(rng.random(len(sent_ns)) < STALL_SHARE, arrival + STALL_NS, 0)
    return np.maximum(arrival, np.maximum.accumulate(until))


def simulate(
    line: Line,
    *,
    drift_ppm: float,
    seed: int,
    seconds: float = SECONDS,
    rate_hz: float = RATE_HZ,
    start_ns: int = BOOT_NS,
    start_us: int = 0,
) -> Stream:
    """One run of a sensor. drift_ppm: how much faster the host's clock runs than the sensor's."""
    rng = np.random.default_rng(seed)
    stamp_us = start_us + np.round(np.arange(round(seconds * rate_hz)) * (1e6 / rate_hz)).astype(np.int64)
    passed_us = stamp_us - start_us
    sent_ns = start_ns + passed_us * 1000 + np.round(passed_us * (drift_ppm * 1e-3)).astype(np.int64) + SMALLEST_NS
    # A line keeps the order.
    return Stream(stamp_us, sent_ns, np.maximum.accumulate(line(sent_ns, rng)))


def restarting(drift_ppm: float, seed: int) -> Stream:
    """A clean line; half way the sensor is switched off for 0.7 s and counts from 0 again."""
    parts = [
        simulate(clean, drift_ppm=drift_ppm, seed=seed + half, seconds=SECONDS / 2, start_ns=start_ns)
        for half, start_ns in enumerate((BOOT_NS, BOOT_NS + round((SECONDS / 2 + 0.7) * S)))
    ]
    return Stream(*(np.concatenate([getattr(part, name) for part in parts]) for name in Stream.__dataclass_fields__))


SCENARIOS: dict[str, Callable[[float, int], Stream]] = {
    "clean line": lambda drift_ppm, seed: simulate(clean, drift_ppm=drift_ppm, seed=seed),
    "batches of 16 ms (FTDI)": lambda drift_ppm, seed: simulate(batched, drift_ppm=drift_ppm, seed=seed),
    "1 % stalls of 50 ms": lambda drift_ppm, seed: simulate(stalling, drift_ppm=drift_ppm, seed=seed),
    "restart half way": restarting,
}


def mapping_errors_ns(clock: SensorClock, stream: Stream) -> IntArray:
    """Feed the clock; the error of the host time of each frame on its arrival, (frames,)."""
    errors = []
    for stamp_us, sent_ns, received_ns in zip(
        stream.stamp_us.tolist(), stream.sent_ns.tolist(), stream.received_ns.tolist(), strict=True
    ):
        clock.observe(stamp_us, received_ns)
        errors.append(clock.host_ns(stamp_us) - sent_ns)
    return np.array(errors, dtype=np.int64)


@dataclass(frozen=True)
class Row:
    """One scenario, all drifts and seeds together; times in ms."""

    line: str
    arrival_p50_ms: float  # of arrival minus sending, beyond the smallest delay
    arrival_p99_ms: float
    first_second_max_ms: float  # the largest error of the mapping, from then on always
    after_1_s_p99_ms: float
    after_1_s_max_ms: float
    after_10_s_max_ms: float
    drift_error_ppm: float  # the largest at the end
    steps: int
    restarts: int


def measure(name: str, drifts_ppm: tuple[float, ...], seeds: int) -> Row:
    """All drifts and seeds of one scenario."""
    errors, arrivals, drift_errors = [], [], []
    steps = restarts = 0
    for drift_ppm in drifts_ppm:
        for seed in range(seeds):
            stream = SCENARIOS[name](drift_ppm, seed)
            clock = SensorClock()
            errors.append(np.abs(mapping_errors_ns(clock, stream)) / MS)
            arrivals.append((stream.received_ns - stream.sent_ns) / MS)
            drift_errors.append(abs(clock.drift_ppm - drift_ppm))
            steps, restarts = steps + clock.steps, restarts + clock.restarts
    # A sensor that restarts is new: its frames count from its start.
    own_s = np.stack([stream.stamp_us * 1e-6] * len(errors))
    error, arrival = np.stack(errors), np.stack(arrivals)
    return Row(
        name,
        arrival_p50_ms=float(np.median(arrival)),
        arrival_p99_ms=float(np.quantile(arrival, 0.99)),
        first_second_max_ms=float(error[own_s < 1.0].max()),
        after_1_s_p99_ms=float(np.quantile(error[own_s >= 1.0], 0.99)),
        after_1_s_max_ms=float(error[own_s >= 1.0].max()),
        after_10_s_max_ms=float(error[own_s >= 10.0].max()),
        drift_error_ppm=float(max(drift_errors)),
        steps=steps,
        restarts=restarts,
    )


@click.command()
@click.option("--seeds", default=3, show_default=True, help="Runs per line and drift.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def main(seeds: int, as_json: bool) -> None:
    """Simulate the lines with drifts of -200, 0, 30 and 200 ppm and print the table of the documentation."""
    drifts_ppm = (-200.0, 0.0, 30.0, 200.0)
    rows = [measure(name, drifts_ppm, seeds) for name in SCENARIOS]
    if as_json:
        click.echo(json.dumps({"runs": len(drifts_ppm) * seeds, "rows": [asdict(row) for row in rows]}))
        return
    click.echo(
        "| line | arrival p50, p99 ms | first second, max ms | after 1 s: p99, max ms | after 10 s: max ms "
        f"| drift, max error ppm | restarts, steps in {len(drifts_ppm) * seeds} runs |\n" + "|---" * 7 + "|"
    )
    for row in rows:
        click.echo(
            f"| {row.line} | {row.arrival_p50_ms:.2f}, {row.arrival_p99_ms:.1f} | {row.first_second_max_ms:.2f} "
            f"| {row.after_1_s_p99_ms:.2f}, {row.after_1_s_max_ms:.2f} | {row.after_10_s_max_ms:.2f} "
            f"| {row.drift_error_ppm:.1f} | {row.restarts}, {row.steps} |"
        )


if __name__ == "__main__":
    main()
