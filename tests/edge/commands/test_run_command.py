"""`run` as the user calls it: real bundle, real engine, a recording as the sensor as fast as it is read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_bundle import tiny_bundle, write_swinging_leg, write_tiny_bundle

import edge
from edge.cli import cli
from edge.errors import LogError
from edge.record.session_log import read_log

KEYS = [
    *("samples", "bad_frames", "dropped", "problems", "estimates", "age_ms", "compute_us", "missed_deadlines", "state"),
    *("faults", "rmse_q_deg", "rmse_qd_deg_s", "rmse_qdd_deg_s2", "filter", "filter_file", "log"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tiny_bundle(tmp_path / "tiny.msk")
    write_swinging_leg(tmp_path / "swing.mot")
    return tmp_path


def invoke(*arguments: str) -> tuple[int, str, str]:
    sensor = [] if "--sensor" in arguments else ["--sensor", "replay:swing.mot?speed=0"]
    base = ["run", "--bundle", "tiny.msk", *sensor, "--no-view"]
    result = CliRunner().invoke(cli, [*base, *arguments])
    return result.exit_code, result.stdout, result.stderr


def summary(*arguments: str) -> dict[str, Any]:
    code, out, err = invoke("--json", *arguments)
    assert (code, err) == (0, "")
    result: dict[str, Any] = json.loads(out)
    return result


def test_one_json_object_with_the_agreed_keys(folder: Path) -> None:
    result = summary()
    assert list(result) == KEYS
    assert result["samples"] == 100
    assert result["estimates"] > 70
    assert (result["state"], result["faults"], result["bad_frames"], result["dropped"]) == ("disarmed", [], 0, 0)
    assert set(result["age_ms"]) == set(result["compute_us"]) == {"p50", "p99", "max"}
    assert Path(result["log"]).parent == folder / "logs"
    assert (result["filter"], result["filter_file"]) == (None, None)
    for key, most in (("rmse_q_deg", 1.0), ("rmse_qd_deg_s", 20.0), ("rmse_qdd_deg_s2", 500.0)):
        assert list(result[key]) == ["hip", "knee", "ankle"]
        assert all(0.0 < error < most for error in result[key].values())


def test_the_log_holds_everything(folder: Path) -> None:
    result = summary("--log", "here/session.mcap")
    log = read_log(folder / "here" / "session.mcap")
    assert log.clean
    assert log.bundle == (folder / "tiny.msk").read_bytes()
    assert log.header["config"]["safety"]["torque_limit_nm"] == 10.0
    assert log.header["extra"] == {"armed": False}
    assert len(list(log.estimates())) == len(list(log.timings())) == result["estimates"]
    commands = list(log.commands())
    assert {command.torque_nm for command in commands} == {(0.0, 0.0, 0.0)}


def test_armed_with_assistance_it_commands_within_the_limits(folder: Path) -> None:
    (folder / "session.toml").write_text(
        "[assist]\ngain = 1.0\n[safety]\ntorque_limit_nm = { hip = 0.02, knee = 0.01, ankle = 0.005 }\n"
    )
    result = summary("--arm", "--config", "session.toml")
    assert result["state"] == "active"
    commands = list(read_log(Path(result["log"])).commands())
    assert any(any(command.torque_nm) for command in commands)
    for command in commands:
        assert all(abs(t) <= limit for t, limit in zip(command.torque_nm, (0.02, 0.01, 0.005), strict=True))
    assert not any(commands[-1].torque_nm)


def calm(*arguments: str) -> dict[str, Any]:
    """A session whose data a loaded machine may let grow stale: that is another test's subject."""
    code, out, err = invoke("--json", *arguments)
    assert code == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def test_the_age_asked_for_decides_which_part_of_the_bundle_runs(folder: Path) -> None:
    now = tiny_bundle(folder / "tiny.msk", age_s=0.0, look_ahead=0, bias=0.1)
    whole = tiny_bundle(folder / "tiny.msk").with_variants({"now": now})
    whole.write()
    result = calm("--age-ms", "0", "--log", "now.mcap")
    log = read_log(folder / "now.mcap")
    assert log.bundle == now.to_bytes()
    again = CliRunner().invoke(cli, ["replay", "now.mcap", "--json"])
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout) == {**result, "log": "now.mcap", "identical": True}
    calm("--log", "own.mcap")
    assert read_log(folder / "own.mcap").bundle == whole.alone.to_bytes()


def test_an_age_that_the_bundle_does_not_have_leaves_no_file(folder: Path) -> None:
    code, out, err = invoke("--age-ms", "0", "--json")
    assert (code, out) == (1, "")
    assert "tiny.msk: holds nothing for causal inputs and an age of 0 ms: ask for one of 40 ms" in err
    assert not (folder / "logs").exists()


def test_a_session_without_a_pelvis(folder: Path) -> None:
    """Of a bundle that was trained without: the recording's is not looked at, and need not be named."""
    tiny_bundle(folder / "tiny.msk", pelvis=False).write()
    found = [calm("--log", "a.mcap")]
    (folder / "session.toml").write_text(
        '[[sensor]]\nurl = "replay:swing.mot?speed=0"\nchannels = ["hip", "knee", "ankle"]\n'
    )
    arguments = ["run", "--bundle", "tiny.msk", "--config", "session.toml", "--no-view", "--json", "--log", "b.mcap"]
    named = CliRunner().invoke(cli, arguments)
    assert named.exit_code == 0, named.stderr
    found.append(json.loads(named.stdout))
    for result, name in zip(found, ("a.mcap", "b.mcap"), strict=True):
        assert result["problems"] == {}
        assert result["estimates"] > 70
        again = CliRunner().invoke(cli, ["replay", name, "--json"])
        assert again.exit_code == 0, again.stderr
        assert json.loads(again.stdout)["identical"] is True


def test_armed_without_gain_stays_armed(folder: Path) -> None:
    assert summary("--arm")["state"] == "armed"


def test_without_a_log_nothing_is_written(folder: Path) -> None:
    before = sorted(folder.iterdir())
    assert summary("--no-log")["log"] is None
    (folder / "session.toml").write_text("[run]\nlog = false\n")
    assert summary("--config", "session.toml")["log"] is None
    assert sorted(folder.iterdir()) == sorted([*before, folder / "session.toml"])


def test_for_people_there_is_a_table(folder: Path) -> None:
    code, out, err = invoke()
    assert (code, err) == (0, "")
    for part in ("samples", "p99", "disarmed", ".mcap"):
        assert part in out


def test_duration_ends_an_endless_source(folder: Path) -> None:
    result = summary("--sensor", "replay:swing.mot?speed=1&loop=1", "--duration", "0.3", "--no-log")
    assert 5 <= result["samples"] <= 31


def test_duration_from_the_configuration(folder: Path) -> None:
    (folder / "session.toml").write_text("[run]\nduration_s = 0.2\n")
    code, out, _ = invoke("--json", "--sensor", "replay:swing.mot?speed=1", "--config", "session.toml")
    assert code == 0
    assert json.loads(out)["samples"] < 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--arm", "--no-log"), "an armed run must be recorded"),
        (("--arm", "--log", "/proc/nowhere"), "an armed run must be recorded, and it cannot be: "),
        (("--log", "/proc/nowhere"), "/proc/nowhere"),
        (("--config", "missing.toml"), "missing.toml: the configuration cannot be read"),
        (("--bundle", "missing.msk"), "missing.msk: cannot be read"),
        (("--sensor", "serial:///dev/nowhere"), "/dev/nowhere"),
        (("--sensor", "nonsense:"), "no driver for 'nonsense:'"),
        (("--sensor", "replay:missing.mot"), "missing.mot"),
        (("--output", "serial:///dev/nowhere"), "/dev/nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_no_file(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    code, out, err = invoke("--json", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == before


@pytest.mark.parametrize("duration", ["nan", "inf", "1e300"])
def test_a_duration_that_is_none_is_wrong_usage(folder: Path, duration: str) -> None:
    code, _, err = invoke("--sensor", "replay:swing.mot?speed=1", "--duration", duration)
    assert code == 2
    assert "--duration" in err
    assert not (folder / "logs").exists()


def test_a_session_too_short_for_an_estimate_says_so(folder: Path) -> None:
    code, out, err = invoke("--json", "--no-log", "--sensor", "replay:swing.mot?speed=1", "--duration", "0.05")
    assert code == 0
    assert json.loads(out)["estimates"] == 0
    assert err.startswith("warning: replay:swing.mot?speed=1: no estimate: ")
    assert "too few for a first estimate" in err


def test_an_interrupt_before_the_session_leaves_no_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_url: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edge.sensors.open_sensor", interrupt)
    code, out, err = invoke("--sensor", "replay:swing.mot?speed=1", "--log", "session.mcap")
    assert (code, out) == (1, "")
    assert err == "error: stopped by the user\n"
    assert not (folder / "session.mcap").exists()


def test_a_truncated_bundle_is_refused(folder: Path) -> None:
    content = (folder / "tiny.msk").read_bytes()
    (folder / "cut.msk").write_bytes(content[: len(content) // 2])
    code, out, err = invoke("--bundle", "cut.msk")
    assert (code, out) == (1, "")
    assert "cut.msk" in err


def test_log_and_no_log_together_are_wrong_usage(folder: Path) -> None:
    assert invoke("--log", "x", "--no-log")[0] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_a_summary_and_a_closed_log(folder: Path, number: int) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edge.cli", "run", "--bundle", "tiny.msk", "--json", "--log", "session.mcap"),
            *("--sensor", "replay:swing.mot?speed=1&loop=1"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(edge.__file__).parent.parent)},
    )
    try:
        _wait_for_messages(folder / "session.mcap")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["state"] == "disarmed"
    assert read_log(folder / "session.mcap").clean


def test_a_lost_sensor_prints_the_summary_and_exits_with_1(folder: Path) -> None:
    controller, device = os.openpty()
    name = os.ttyname(device)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edge.cli", "run", "--bundle", "tiny.msk", "--json", "--log", "session.mcap"),
            *("--sensor", f"serial://{name}"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(edge.__file__).parent.parent)},
    )
    try:
        os.close(device)
        _wait_for_messages(folder / "session.mcap")
        os.close(controller)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 1
    result = json.loads(out)
    assert (result["state"], result["faults"]) == ("fault", ["sensor_lost"])
    assert err.startswith("error: ")
    assert name in err
    log = read_log(folder / "session.mcap")
    assert [fault.code for fault in log.faults()] == ["sensor_lost"]


def _wait_for_messages(path: Path) -> None:
    """Until the session has begun: its heartbeat or its estimates are in the log."""
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline:
        if path.exists() and path.stat().st_size > 0:
            with suppress(LogError):  # its header is being written
                if next(read_log(path).commands(), None) is not None:
                    return
        time.sleep(0.05)
    raise AssertionError("the session did not begin")


TWO_SENSORS = """
[[sensor]]
url = "sim:?rate=100"
channels = ["hip", "knee", "ankle"]

[[sensor]]
url = "sim:?rate=200&noise_acc=0.1&seed=1"
channels = ["pelvis"]
"""


def test_two_sensors_of_the_configuration_are_merged_and_replayed_bit_for_bit(folder: Path) -> None:
    """Two simulated people in step: the one gives the angles, the other the pelvis."""
    (folder / "session.toml").write_text(TWO_SENSORS)
    arguments = ["run", "--bundle", "tiny.msk", "--config", "session.toml", "--duration", "1.2", "--no-view", "--json"]
    result = CliRunner().invoke(cli, [*arguments, "--log", "session.mcap"])
    assert result.exit_code == 0, result.stderr
    live = json.loads(result.stdout)
    assert live["estimates"] > 40
    assert live["problems"] == {}
    log = read_log(folder / "session.mcap")
    assert [source.channels for source in log.sources] == [("hip", "knee", "ankle"), ("pelvis",)]
    assert {chunk.source for chunk in log.sensor_bytes()} == {0, 1}
    stamps = list(log.sensor_stamps())
    assert {stamp.source for stamp in stamps} == {0, 1}
    for stamp in stamps:
        assert all(host_ns <= stamp.received_ns for host_ns in stamp.host_ns)
    again = CliRunner().invoke(cli, ["replay", "session.mcap", "--json"])
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout) == {**live, "log": "session.mcap", "identical": True}


def test_two_sensors_on_the_command_line_must_share_the_work(folder: Path) -> None:
    code, out, err = invoke("--sensor", "sim:?rate=100", "--sensor", "sim:?rate=200", "--json")
    assert code == 1
    assert json.loads(out)["faults"] == ["sensor"]
    assert "sends joint angles, and so does sim:?rate=100: say in `channels` of [[sensor]]" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sensor", "sim:", "--sensor", "sim:"), "the sensor sim: is named twice"),
        (("--sensor", "sim:", "--sensor", "replay:swing.mot?speed=2"), "leave out speed="),
    ],
)
def test_sensors_that_cannot_be_merged_leave_no_file(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = invoke(*arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert not (folder / "logs").exists() or not list((folder / "logs").iterdir())


def test_no_sensor_is_wrong_usage_or_a_wrong_configuration(folder: Path) -> None:
    result = CliRunner().invoke(cli, ["run", "--bundle", "tiny.msk"])
    assert (result.exit_code, "give --sensor URL" in result.stderr) == (2, True)
    (folder / "session.toml").write_text("[run]\nlog = false\n")
    result = CliRunner().invoke(cli, ["run", "--bundle", "tiny.msk", "--config", "session.toml"])
    assert result.exit_code == 1
    assert "session.toml: names no sensor" in result.stderr
