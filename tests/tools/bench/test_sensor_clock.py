from __future__ import annotations

import json

import numpy as np
from click.testing import CliRunner

from tools.bench.sensor_clock import BATCH_NS, MS, SCENARIOS, batched, main, simulate, stalling


def test_lines_keep_the_order_and_only_delay() -> None:
    for scenario in SCENARIOS.values():
        stream = scenario(100.0, 3)
        assert (np.diff(stream.received_ns) >= 0).all()
        assert (stream.received_ns >= stream.sent_ns).all()


def test_delays_are_what_their_names_say() -> None:
    batches = simulate(batched, drift_ppm=0.0, seed=1, seconds=20.0)
    delay = batches.received_ns - batches.sent_ns
    assert BATCH_NS < delay.max() < BATCH_NS + 5 * MS
    assert abs(delay.mean() - BATCH_NS / 2) < 1 * MS
    stalls = simulate(stalling, drift_ppm=0.0, seed=1, seconds=100.0)
    share = ((stalls.received_ns - stalls.sent_ns) > 5 * MS).mean()
    assert 0.05 < share < 0.12  # one in a hundred, with the nine behind it


def test_figures_for_machines_and_for_people() -> None:
    found = CliRunner().invoke(main, ["--seeds", "1", "--json"], catch_exceptions=False)
    rows = {row["line"]: row for row in json.loads(found.stdout)["rows"]}
    assert set(rows) == set(SCENARIOS)
    assert rows["clean line"]["after_10_s_max_ms"] < 0.1
    assert rows["batches of 16 ms (FTDI)"]["after_10_s_max_ms"] < 2.0
    assert rows["1 % stalls of 50 ms"]["after_1_s_max_ms"] < 1.5
    assert rows["restart half way"]["restarts"] == 4
    assert all(row["steps"] == 0 for row in rows.values())
    table = CliRunner().invoke(main, ["--seeds", "1"], catch_exceptions=False).stdout
    assert table.count("\n") == 2 + len(SCENARIOS)
