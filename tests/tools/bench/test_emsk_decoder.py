from __future__ import annotations

import json

from click.testing import CliRunner

from edge.sensors.frame import FrameDecoder
from tools.bench.emsk_decoder import leg_stream, main, random_frames, wide_stream


def test_the_streams_are_good_frames() -> None:
    for stream in (leg_stream(5000), wide_stream(5000)):
        decoder = FrameDecoder()
        decoder.push(stream)
        assert decoder.counters.frames > 5
        assert decoder.counters.bad == decoder.counters.sequence_gaps == 0


def test_random_frames_fail_at_nothing_but_the_check_sum() -> None:
    data, count = random_frames(20_000, seed=0)
    decoder = FrameDecoder()
    decoder.push(data)
    assert decoder.counters.bad_crc == count > 500


def test_figures_for_machines_and_for_people() -> None:
    arguments = ["--bytes", "100000", "--repetitions", "1"]
    found = CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)
    answer = json.loads(found.stdout)
    assert {row["chunk_bytes"] for row in answer["throughput"]} == {64, 256, 1024, 4096}
    assert all(row["mb_per_s"] > 0.1 for row in answer["throughput"])
    evenly, formed = answer["fuzz"]
    assert (evenly["exceptions"], evenly["accepted"], formed["exceptions"]) == (0, 0, 0)
    assert 0.0 < evenly["expected"] < 1e-8 < formed["expected"] < 1.0
    assert evenly["bytes"] == 100_000
    table = CliRunner().invoke(main, arguments, catch_exceptions=False).stdout
    assert table.count("| 128 channels |") == 4
    assert "| random frames |" in table
