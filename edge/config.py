"""The typed configuration of a session, from TOML, checked once and as a whole.

Every key has a default, so that no file is needed. A number "per joint" is one number for every joint, or a table
with a number for some joints by name (the others keep the default):

    [safety]
    torque_limit_nm = { hip = 12.0, knee = 10.0 }
    sensor_age_limit_ms = 35.0

    [assist]
    gain = 0.1

    [run]
    log_folder = "logs"

    [filter]
    learn = false

    [[sensor]]
    url = "serial:///dev/ttyUSB0?protocol=amt21&nodes=84,88,92"
    channels = ["hip", "knee", "ankle"]

    [[sensor]]
    url = "serial:///dev/ttyUSB1?protocol=witmotion"
    channels = ["pelvis"]
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator
from pydantic_core import ErrorDetails

from edge.control.safety import SafetyLimits
from edge.errors import ConfigError
from edge.signals.hookup import Source

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PerJoint = float | dict[str, float]
"""One number for every joint, or numbers by the name of the joint."""


def _is_number(value: object, low: float, high: float) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(value) and low <= value <= high  # type: ignore[arg-type,operator]


def _per_joint(low: float, high: float = math.inf) -> Callable[[object], PerJoint]:
    """Make the check of a `PerJoint` value: one message for it, where a union would give one per member."""

    def check(value: object) -> PerJoint:
        if _is_number(value, low, high):
            return float(value)  # type: ignore[arg-type]
        if isinstance(value, dict) and all(_is_number(number, low, high) for number in value.values()):
            return {str(joint): float(number) for joint, number in value.items()}
        bounds = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
        raise ValueError(f"must be a finite number {bounds}, or a table of such numbers by joint name")

    return check


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SafetyConfig(_Section):
    """Limits that stand between every wanted torque and the actuator."""

    torque_limit_nm: Annotated[PerJoint, PlainValidator(_per_joint(0.0))] = Field(
        default=10.0, description="largest torque commanded to a joint, either way, in Nm (per joint)"
    )
    torque_slew_nm_per_s: Annotated[PerJoint, PlainValidator(_per_joint(0.0))] = Field(
        default=200.0, description="fastest growth of a commanded torque, in Nm/s (per joint)"
    )
    angle_range_rad: dict[str, Annotated[tuple[float, float], Field(strict=False)]] = Field(
        default_factory=dict, description="[lowest, highest] angle in rad by joint name; others have the model's range"
    )
    soft_stop_margin_rad: float = Field(
        default=0.1,
        ge=0.0,
        description="over this last part of the range, in rad, the torque into the stop fades to zero",
    )
    angle_fault_margin_rad: float = Field(
        default=0.35, ge=0.0, description="an angle further than this outside its range, in rad, is a fault"
    )
    angle_rate_limit_rad_s: Annotated[PerJoint, PlainValidator(_per_joint(0.0))] = Field(
        default=20.0, description="an angular rate beyond this, in rad/s, is a fault (per joint)"
    )
    sensor_age_limit_ms: float = Field(
        default=35.0, gt=0.0, description="newest usable sensor data older than this, in ms, is a fault"
    )
    max_sequence_gap: int = Field(
        default=8, ge=0, description="more frames than this missing at once, over all streams, is a fault"
    )
    max_consecutive_overruns: int = Field(
        default=5, ge=0, description="more cycles in a row than this that take longer than a sample period are a fault"
    )
    ramp_down_s: float = Field(
        default=0.01, ge=0.0, le=1.0, description="after a fault the command falls to zero within this time, in s"
    )

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> SafetyConfig:
        for joint, (low, high) in self.angle_range_rad.items():
            if not low < high:
                raise ValueError(f"angle_range_rad of {joint} is [{low:g}, {high:g}]: the first must be the lower one")
        return self


class AssistConfig(_Section):
    """What is asked of the actuators."""

    gain: Annotated[PerJoint, PlainValidator(_per_joint(-1.0, 1.0))] = Field(
        default=0.0,
        description="wanted torque as a fraction of the estimated one, -1 to 1 (per joint); 0 asks for nothing",
    )


class RunConfig(_Section):
    """The session itself."""

    log: bool = Field(default=True, description="whether the session is recorded, true or false")
    log_folder: Path = Field(
        default=Path("logs"), strict=False, description="folder of the session logs, from the working directory"
    )
    duration_s: float | None = Field(default=None, gt=0.0, le=1e9, description="time after which to stop, in s")
    first_sample_timeout_s: float = Field(
        default=3.0, gt=0.0, description="without usable samples for this long from the start, in s, the session fails"
    )


class FilterConfig(_Section):
    """What an adaptive differentiator knows of its wearer."""

    learn: bool = Field(default=True, description="whether it learns further in this session, true or false")
    file: Path | None = Field(
        default=None,
        strict=False,
        description="where it is kept from session to session, from the working directory; default: beside the bundle",
    )
    save: bool = Field(default=True, description="whether what it learned is kept at the end, true or false")


Numbers = Annotated[tuple[float, ...], Field(strict=False)]


class SensorConfig(_Section):
    """One sensor. Several are merged by time; the first one's clock is the session's."""

    url: str = Field(description="its URL, such as serial:///dev/ttyUSB0?protocol=emsk")
    channels: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description="joints in the order of its angles ('-': not used) and segments in the order of its IMUs; without: all "
        "joints of the model, and the IMU of what carries the first",
    )
    sign: Numbers = Field(default=(), description="1 or -1 for each of its angles")
    zero_deg: Numbers = Field(default=(), description="what each of its angles reads, in degrees, at the joint's zero")


class Config(_Section):
    """The whole configuration."""

    safety: SafetyConfig = Field(default_factory=SafetyConfig)
    assist: AssistConfig = Field(default_factory=AssistConfig)
    run: RunConfig = Field(default_factory=RunConfig)
    filter: FilterConfig = Field(default_factory=FilterConfig)
    sensor: Annotated[tuple[SensorConfig, ...], Field(strict=False)] = Field(
        default=(), description="the sensors, each a [[sensor]]"
    )
    source: str = Field(default="defaults", exclude=True, description="where it came from, for messages")

    def sources(self, urls: Sequence[str] = ()) -> list[Source]:
        """The sensors: those of the command line, `urls`, in place of the configuration's where there are any.

        Raises ConfigError where there is none at all, and where one is named twice.
        """
        sources = [Source(s.url, s.channels, s.sign, s.zero_deg) for s in self.sensor]
        if urls:
            sources = [Source(url) for url in urls]
        if not sources:
            raise ConfigError(f"{self.source}: names no sensor: give --sensor URL, or add a [[sensor]] with its url")
        for source in sources:
            if [other.url for other in sources].count(source.url) > 1:
                raise ConfigError(f"the sensor {source.url} is named twice: name it once, with all its channels")
        return sources

    def safety_limits(
        self, joint_names: Sequence[str], joint_ranges_rad: Sequence[tuple[float, float]]
    ) -> SafetyLimits:
        """Return the limits for a model's joints.

        Args:
            joint_names: the model's joints, in order.
            joint_ranges_rad: (lowest, highest) angle of each; used where the configuration gives none.

        Raises:
            ConfigError: a table names a joint that the model does not have.
        """
        safety = self.safety
        self._check_joints("safety.angle_range_rad", safety.angle_range_rad, joint_names)
        ranges = [
            safety.angle_range_rad.get(name, (float(low), float(high)))
            for name, (low, high) in zip(joint_names, joint_ranges_rad, strict=True)
        ]
        return SafetyLimits(
            torque_limit_nm=self._by_joint("safety", "torque_limit_nm", joint_names),
            torque_slew_nm_per_s=self._by_joint("safety", "torque_slew_nm_per_s", joint_names),
            angle_min_rad=tuple(low for low, _ in ranges),
            angle_max_rad=tuple(high for _, high in ranges),
            angle_rate_limit_rad_s=self._by_joint("safety", "angle_rate_limit_rad_s", joint_names),
            soft_stop_margin_rad=safety.soft_stop_margin_rad,
            angle_fault_margin_rad=safety.angle_fault_margin_rad,
            sensor_age_limit_ms=safety.sensor_age_limit_ms,
            max_sequence_gap=safety.max_sequence_gap,
            max_consecutive_overruns=safety.max_consecutive_overruns,
            ramp_down_s=safety.ramp_down_s,
        )

    def assist_gain(self, joint_names: Sequence[str]) -> tuple[float, ...]:
        """Return the gain of each joint. Raises ConfigError as :meth:`safety_limits` does."""
        return self._by_joint("assist", "gain", joint_names)

    def _by_joint(self, section: str, key: str, joint_names: Sequence[str]) -> tuple[float, ...]:
        model = getattr(self, section)
        value: PerJoint = getattr(model, key)
        if not isinstance(value, dict):
            return (value,) * len(joint_names)
        self._check_joints(f"{section}.{key}", value, joint_names)
        default: float = type(model).model_fields[key].default
        return tuple(value.get(name, default) for name in joint_names)

    def _check_joints(self, key: str, table: Mapping[str, object], joint_names: Sequence[str]) -> None:
        for name in table:
            if name not in joint_names:
                raise ConfigError(
                    f"{self.source}: key `{key}.{name}`: the model has no joint '{name}'; "
                    f"its joints are {', '.join(joint_names)}"
                )


def load_config(path: Path | str | None = None) -> Config:
    """Read and check a configuration file; None gives the defaults.

    Raises:
        ConfigError: the file is missing, not TOML, or has unknown keys or wrong values: one line for each, naming file,
            key, what is wrong and how to mend it.
    """
    if path is None:
        return Config()
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: the configuration cannot be read ({error.strerror}): give the path of a TOML file"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}: mend it there") from error
    if "source" in content:
        raise ConfigError(f"{path}: key `source`: is not known; remove it")
    try:
        return Config.model_validate({**content, "source": str(path)})
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, error))) from None


def _explain(path: Path, error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        keys = [str(part) for part in detail["loc"]]
        yield f"{path}: key `{'.'.join(keys)}`: {_message(detail)}: {_fix(keys, detail)}"


def _message(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return "is not known"
    if detail["type"] == "missing":
        return "is missing"
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ").replace("valid tuple", "list")
    if detail["type"] == "value_error":
        return text
    if detail["type"] == "model_type":
        return f"{detail['input']!r} should be a table"
    return f"{detail['input']!r} should be {text}"


def _fix(keys: list[str], detail: ErrorDetails) -> str:
    section: type[BaseModel] = Config
    for key in keys:
        if key.isdecimal():
            continue  # one of several tables
        field = section.model_fields.get(key)
        inner: Any = field.annotation if field is not None else None
        if get_origin(inner) is tuple:
            inner = get_args(inner)[0]
            if key == keys[-1] and isinstance(inner, type) and issubclass(inner, BaseModel):
                return f"write each as [[{key}]] with its keys below"
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            section = inner
            continue
        if field is not None:
            if field.is_required():
                return f"give it ({field.description})"
            default = field.get_default(call_default_factory=True)
            return f"mend it or leave it out ({field.description}; default {default})"
    if detail["type"] == "model_type":
        name = next(key for key in reversed(keys) if not key.isdecimal())
        brackets = "[[{}]]" if keys[-1].isdecimal() else "[{}]"
        return f"write it as {brackets.format(name)} with its keys below"
    if detail["type"] != "extra_forbidden":
        return "change it to that"
    known = [name for name in section.model_fields if name != "source"]
    close = difflib.get_close_matches(keys[-1], known, n=1)
    return f"did you mean `{close[0]}`?" if close else f"known here are {', '.join(known)}"
