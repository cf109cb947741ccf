"""A leg with four IMUs and no encoder, tried without hardware: the simulator, the program, and between them a serial line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from live_line import Program, edge_msk, wait_for
from tiny_bundle import write_swinging_leg, write_tiny_bundle

from edge.bundle import Bundle
from edge.pipeline import Pipeline
from edge.record.session_log import read_log, same_estimate
from edge.sensors.frame import encode
from edge.sensors.playback import playback
from edge.signals.hookup import Source

SEGMENTS = ("pelvis", "thigh", "shank", "foot")


def test_angles_between_imus_are_the_recordings(tmp_path: Path) -> None:
    walk = write_swinging_leg(tmp_path / "swing.mot", seconds=2.0)
    write_tiny_bundle(tmp_path / "tiny.msk")
    link, out = tmp_path / "leg", tmp_path / "imus.msk"
    sensor = Program(
        tmp_path,
        *(
            "simulate",
            walk,
            "--link",
            link,
            "--imus",
            "--seed",
            11,
            "--align",
            "tiny.msk",
            out,
            "--linger",
            60,
            "--json",
        ),
    )
    wait_for(link)
    named = ", ".join(f'"{name}"' for name in SEGMENTS)
    (tmp_path / "imus.toml").write_text(f'[[sensor]]\nurl = "serial://{link}"\nchannels = [{named}]\n')
    ended = edge_msk(
        tmp_path,
        *(
            "run",
            "--bundle",
            out,
            "--config",
            "imus.toml",
            "--duration",
            2.8,
            "--log",
            "session.mcap",
            "--no-view",
            "--json",
        ),
    )
    sent = sensor.end()
    assert (ended.code, sent.code) == (0, 0), (ended, sent)
    assert ended.summary["samples"] == sent.summary["intact"]["imu"] == 200
    assert ended.summary["problems"] == {}

    log = read_log(tmp_path / "session.mcap")
    live = list(log.estimates())
    assert len(live) == ended.summary["estimates"] > 150
    by_imus = Pipeline(Bundle.read(out), (Source("", SEGMENTS),))
    data = b"".join(chunk.data for chunk in log.sensor_bytes())
    assert all(same_estimate(a, b) for a, b in zip(live, by_imus.feed(data, 0), strict=True))
    assert edge_msk(tmp_path, "replay", "session.mcap", "--json").summary["identical"] is True

    # The same recording from encoders.
    by_encoders = Pipeline(Bundle.read(tmp_path / "tiny.msk")).feed(b"".join(map(encode, playback(walk))), 0)
    for a, b in zip(live, by_encoders, strict=True):
        np.testing.assert_allclose(np.degrees(a.q), np.degrees(b.q), atol=0.01)
        np.testing.assert_allclose(a.torque_nm, b.torque_nm, atol=0.1)
        np.testing.assert_allclose(a.activation, b.activation, atol=0.01)
