from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import AssistConfig, Config, FilterConfig, RunConfig, SafetyConfig, SensorConfig, load_config
from edge.errors import ConfigError
from edge.signals.hookup import Source

JOINTS = ("hip", "knee", "ankle")
RANGES = ((-1.0, 2.0), (-2.2, 0.2), (-0.9, 0.7))


def write(folder: Path, text: str) -> Path:
    path = folder / "session.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_no_file_gives_defaults_that_ask_for_nothing() -> None:
    config = load_config()
    assert config == Config()
    assert config.assist_gain(JOINTS) == (0.0, 0.0, 0.0)
    limits = config.safety_limits(JOINTS, RANGES)
    assert limits.n_joints == 3
    assert limits.angle_min_rad == (-1.0, -2.2, -0.9)
    assert limits.angle_max_rad == (2.0, 0.2, 0.7)


def test_a_lost_sensor_leads_to_zero_within_50_ms_by_default() -> None:
    safety = SafetyConfig()
    assert safety.sensor_age_limit_ms + safety.ramp_down_s * 1000.0 < 50.0


def test_every_key_has_a_description() -> None:
    for section in (SafetyConfig, AssistConfig, RunConfig, FilterConfig, SensorConfig):
        assert all(field.description for field in section.model_fields.values())


def test_numbers_for_every_joint_or_by_name(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            """
            [safety]
            torque_limit_nm = { knee = 12, hip = 8.5 }
            torque_slew_nm_per_s = 50
            angle_range_rad = { knee = [-1.5, 0] }
            [assist]
            gain = { knee = 0.2 }
            [run]
            log_folder = "somewhere"
            duration_s = 3
            [filter]
            learn = false
            file = "ada.filter"
            save = false
            """,
        )
    )
    limits = config.safety_limits(JOINTS, RANGES)
    assert limits.torque_limit_nm == (8.5, 12.0, 10.0)  # the ankle keeps the default
    assert limits.torque_slew_nm_per_s == (50.0, 50.0, 50.0)
    assert limits.angle_min_rad == (-1.0, -1.5, -0.9)
    assert limits.angle_max_rad == (2.0, 0.0, 0.7)
    assert config.assist_gain(JOINTS) == (0.0, 0.2, 0.0)
    assert config.run.log_folder == Path("somewhere")
    assert config.filter == FilterConfig(learn=False, file=Path("ada.filter"), save=False)
    assert Config().filter == FilterConfig(learn=True, file=None, save=True)
    assert config.run.duration_s == 3.0
    assert config.model_dump(mode="json")["safety"]["torque_limit_nm"] == {"knee": 12.0, "hip": 8.5}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[safety]\ntorque_limit_nm = -1",
            "key `safety.torque_limit_nm`: must be a finite number of at least 0, or a table of such numbers by joint "
            "name: mend it or leave it out (largest torque commanded to a joint, either way, in Nm (per joint); "
            "default 10.0)",
        ),
        (
            "[safety]\ntorque_limit_nm = { hip = inf }",
            "key `safety.torque_limit_nm`: must be a finite number of at least 0, or a table of such numbers by joint "
            "name: mend it or leave it out (largest torque commanded to a joint, either way, in Nm (per joint); "
            "default 10.0)",
        ),
        ("[safety]\ntorque_limit = 3", "key `safety.torque_limit`: is not known: did you mean `torque_limit_nm`?"),
        ("[savety]\n", "key `savety`: is not known: did you mean `safety`?"),
        ("zzz = 1\n", "key `zzz`: is not known: known here are safety, assist, run, filter, sensor"),
        ("source = 'x'\n", "key `source`: is not known; remove it"),
        (
            "[run]\nduration_s = '10'",
            "key `run.duration_s`: '10' should be a valid number: "
            "mend it or leave it out (time after which to stop, in s; default None)",
        ),
        (
            "[run]\nduration_s = nan",
            "key `run.duration_s`: nan should be a finite number: "
            "mend it or leave it out (time after which to stop, in s; default None)",
        ),
        (
            "[safety]\nangle_range_rad = { knee = [0.5, -0.5] }",
            "key `safety`: angle_range_rad of knee is [0.5, -0.5]: the first must be the lower one: change it to that",
        ),
        ("safety = 3", "key `safety`: 3 should be a table: write it as [safety] with its keys below"),
    ],
)
def test_a_wrong_key_is_one_line_with_file_key_and_fix(tmp_path: Path, text: str, line: str) -> None:
    assert refusal(tmp_path, text) == [line]


def test_all_wrong_keys_are_said_at_once(tmp_path: Path) -> None:
    lines = refusal(tmp_path, "[safety]\nramp_down_s = 'soon'\nmax_sequence_gap = 1.5\n[assist]\ngain = true\n")
    assert [line.partition(":")[0] for line in lines] == [
        "key `safety.max_sequence_gap`",
        "key `safety.ramp_down_s`",
        "key `assist.gain`",
    ]


@pytest.mark.parametrize("section", ["safety", "assist"])
def test_a_joint_that_the_model_lacks_is_named(tmp_path: Path, section: str) -> None:
    key = {"safety": "torque_limit_nm", "assist": "gain"}[section]
    path = write(tmp_path, f"[{section}]\n{key} = {{ elbow = 1.0 }}\n")
    config = load_config(path)
    with pytest.raises(ConfigError) as caught:
        config.safety_limits(JOINTS, RANGES) if section == "safety" else config.assist_gain(JOINTS)
    assert str(caught.value) == (
        f"{path}: key `{section}.{key}.elbow`: the model has no joint 'elbow'; its joints are hip, knee, ankle"
    )


def test_a_range_for_a_joint_that_the_model_lacks(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "[safety]\nangle_range_rad = { elbow = [0.0, 1.0] }\n"))
    with pytest.raises(ConfigError, match="no joint 'elbow'"):
        config.safety_limits(JOINTS, RANGES)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file or directory\): give the path"):
        load_config(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text("[safety\n")
    with pytest.raises(ConfigError, match=r"broken.toml: is not valid TOML: .*line 1"):
        load_config(broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_config(broken)


SENSORS = """
[[sensor]]
url = "serial:///dev/ttyUSB0?protocol=amt21"
channels = ["hip", "knee", "ankle"]
sign = [1, -1, 1]
zero_deg = [0, 12.5, 0.0]

[[sensor]]
url = "serial:///dev/ttyUSB1?protocol=witmotion"
channels = ["pelvis"]
"""


def test_sensors_and_what_they_measure(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, SENSORS))
    encoders, imu = config.sources()
    assert encoders == Source(
        "serial:///dev/ttyUSB0?protocol=amt21", ("hip", "knee", "ankle"), (1.0, -1.0, 1.0), (0.0, 12.5, 0.0)
    )
    assert imu == Source("serial:///dev/ttyUSB1?protocol=witmotion", ("pelvis",))
    # The command line's take their place.
    assert config.sources(["sim:", "replay:a.mot"]) == [Source("sim:"), Source("replay:a.mot")]


def test_no_sensor_and_one_named_twice_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"defaults: names no sensor: give --sensor URL, or add a \[\[sensor\]\]"):
        Config().sources()
    with pytest.raises(ConfigError, match="the sensor sim: is named twice"):
        Config().sources(["sim:", "sim:"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[sensor]]\nchannels = ['hip']\n", "key `sensor.0.url`: is missing: give it (its URL"),
        ("[sensor]\nurl = 'x:'\n", "should be a list: write each as [[sensor]] with its keys below"),
        ("sensor = ['x:']\n", "key `sensor.0`: 'x:' should be a table: write it as [[sensor]] with its keys below"),
        (
            "[[sensor]]\nurl = 'x:'\nchanels = ['hip']\n",
            "key `sensor.0.chanels`: is not known: did you mean `channels`?",
        ),
        ("[[sensor]]\nurl = 'x:'\nsign = ['+']\n", "key `sensor.0.sign.0`: '+' should be a valid number: mend it"),
        ("[[sensor]]\nurl = 'x:'\nchannels = 'hip'\n", "key `sensor.0.channels`: 'hip' should be a list: mend it"),
    ],
)
def test_a_wrong_sensor_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    (found,) = refusal(tmp_path, text)
    assert line in found
