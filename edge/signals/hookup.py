"""Which sensor's which channel is what: the joint angles and segment IMUs that the limb needs, found in frames of any source.

A source that says nothing of its channels measures what is usual: its joint angles are all of the model's, in the
model's order, and its IMU is on what carries the first joint. It is the first that sends such frames that gets the place.
Where no joint is measured, but an IMU sits on every segment, the angles are those between the segments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge.errors import ConfigError, SensorError
from edge.sensors.frame import Frame, Kind

UNUSED = "-"
"""In a list of channels: an angle that the limb does not need."""
IMU_CHANNELS = 10
"""Of one IMU: quaternion w x y z, specific force in m/s2, angular rate in rad/s."""

_FULL_TURN = 2.0 * math.pi
_WORD = {Kind.ANGLES: "joint angles", Kind.IMU: "IMU channels"}


@dataclass(frozen=True, slots=True)
class Source:
    """One sensor and what it measures, as the user says it.

    url: the sensor's; "" for bytes of the protocol `emsk` from anywhere.
    channels: joints, in the order of its angles, and segments, in the order of its IMUs; empty: what is usual.
    sign, zero_deg: for each of its angles, of all of the model's if `channels` is empty: the joint's angle is
        sign * (reading - zero), taken within half a turn of zero where `zero_deg` is given. Empty: as they are.
    """

    url: str = ""
    channels: tuple[str, ...] = ()
    sign: tuple[float, ...] = ()
    zero_deg: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold of it, for the header of a log."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Source:
        """The inverse of :meth:`to_dict`; what is missing is empty. Raises KeyError without `url`."""
        return cls(content["url"], *(tuple(content.get(key, ())) for key in ("channels", "sign", "zero_deg")))


@dataclass(frozen=True, slots=True)
class Group:
    """Channels that come in one frame and go onto the grid together: some joints' angles, or some segments' IMUs."""

    kind: Kind
    names: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its name in the names of problems."""
        return "+".join(self.names)

    def __str__(self) -> str:
        if self.kind == Kind.IMU:
            return f"{self.names[0]} IMU" if len(self.names) == 1 else f"IMUs ({', '.join(self.names)})"
        return f"joint angles ({', '.join(self.names)})"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a frame the channels of a group stand."""

    group: int
    index: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Binding:
    """What the frames of one kind from one source hold."""

    count: int  # of channels that a frame must have
    names: tuple[str, ...]
    places: tuple[_Place, ...]


class Hookup:
    """The sources of one session, fitted to a model's joints.

    Args:
        joint_names: the model's, in order.
        segment_names: what carries the first joint, then what each joint moves.
        sources: in the order in which the session numbers them; at least one.
        base: whether the limb's motion needs the IMU of what carries the first joint; without, IMUs are looked at only where
            they give the angles.

    `groups`: what goes onto the grid: first the angles, then the IMU of what carries the first joint where it is needed; where
    IMUs give the angles, only these, by source.

    Raises ConfigError for a name that the model does not have, one that is measured twice or not at all, and a list
    of the wrong length.
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        segment_names: Sequence[str],
        sources: Sequence[Source],
        *,
        base: bool = True,
    ) -> None:
        self.joint_names, self.segment_names = tuple(joint_names), tuple(segment_names)
        self._base = base
        self.sources = tuple(sources)
        self._measured_by: dict[str, int] = {}
        for number, source in enumerate(self.sources):
            self._check(number, source)
        self.groups = self._needed()
        self._turns = [self._turn(source) for source in self.sources]
        # None: nothing was said of the source's channels, and no frame of this kind has come from it yet.
        self._bindings: dict[tuple[int, int], _Binding | None] = {}
        for number, source in enumerate(self.sources):
            for kind in (Kind.ANGLES, Kind.IMU):
                self._bindings[number, kind] = self._declared(source, kind) if source.channels else None
        self._claimed: dict[int, int] = {}  # by group, the source that took it without having been told

    @property
    def angles_from_imus(self) -> bool:
        """Whether no joint is measured, and the angles are those between the segments' IMUs."""
        return all(group.kind == Kind.IMU for group in self.groups)

    def name(self, source: int) -> str:
        """What a message calls a source."""
        return self.sources[source].url or "sensor"

    def needed(self, source: int) -> bool:
        """Whether the limb's motion needs what the source sends, as far as that is known."""
        if self.sources[source].channels:
            bindings = (self._bindings[source, kind] for kind in (Kind.ANGLES, Kind.IMU))
            return any(binding is not None and binding.places for binding in bindings)
        return any(
            group.names[0] not in self._measured_by and self._claimed.get(number, source) == source
            for number, group in enumerate(self.groups)
        )

    def read(self, source: int, frame: Frame) -> list[tuple[int, tuple[float, ...]]]:
        """The groups that a frame holds, each with its channels: angles with their sign and zero, IMUs as they are.

        Raises SensorError where the frame does not have the channels that were agreed on, or would have to be taken for
        what another source measures.
        """
        if (source, frame.kind) not in self._bindings:
            return []
        binding = self._bindings[source, frame.kind]
        if binding is None:
            binding = self._bindings[source, frame.kind] = self._claim(source, Kind(frame.kind))
        if not binding.count:
            return []
        channels = frame.channels
        if len(channels) != binding.count:
            raise SensorError(self._wrong_count(source, Kind(frame.kind), len(channels), binding))
        if frame.kind == Kind.ANGLES:
            channels = self._angles(source, channels, binding.names)
        if len(binding.places) == 1 and binding.places[0].index == tuple(range(len(channels))):
            return [(binding.places[0].group, channels)]
        return [(place.group, tuple(channels[i] for i in place.index)) for place in binding.places]

    # --- what was said, checked once

    def _check(self, number: int, source: Source) -> None:
        where = self.name(number)
        for name in source.channels:
            if name == UNUSED:
                continue
            if name not in self.joint_names and name not in self.segment_names:
                raise ConfigError(
                    f"{where}: `channels` names '{name}', which the model does not have: its joints are "
                    f"{', '.join(self.joint_names)}, its segments {', '.join(self.segment_names)} "
                    f"('{UNUSED}' is an angle that is not used)"
                )
            other = self._measured_by.setdefault(name, number)
            if other != number or source.channels.count(name) > 1:
                raise ConfigError(
                    f"{where}: `channels` names '{name}', which {self.name(other)} measures: leave it out once "
                    f"('{UNUSED}' is an angle that is not used)"
                )
        count = len(self._angle_names(source))
        for key, values in (("sign", source.sign), ("zero_deg", source.zero_deg)):
            if values and len(values) != count:
                raise ConfigError(
                    f"{where}: `{key}` has {len(values)} numbers for {count} joint angles: give one for each"
                )
        if not all(abs(sign) == 1 for sign in source.sign):
            raise ConfigError(f"{where}: `sign` is {list(source.sign)}: it holds 1 and -1 only")
        if not all(map(math.isfinite, source.zero_deg)):
            raise ConfigError(f"{where}: `zero_deg` is {list(source.zero_deg)}: give finite numbers, in degrees")

    def _needed(self) -> tuple[Group, ...]:
        """What goes onto the grid. Raises ConfigError for what nobody measures."""
        open_sources = [source for source in self.sources if not source.channels]
        measured = [name for name in self.joint_names if name in self._measured_by]
        if not measured and not open_sources:
            return self._needed_of_imus()
        groups = []
        if not measured:
            groups.append(Group(Kind.ANGLES, self.joint_names))
        elif len(measured) < len(self.joint_names):
            lacking = next(name for name in self.joint_names if name not in measured)
            raise ConfigError(
                f"the angle of '{lacking}' is measured by no sensor: name it in the `channels` of the one that does (IMUs give "
                "the angles of all joints, where no `channels` name a joint, or of none)"
            )
        else:
            groups += self._named(Kind.ANGLES, self.joint_names)
        if not self._base:
            return tuple(groups)
        base = self.segment_names[0]
        if base not in self._measured_by and not open_sources:
            raise ConfigError(
                f"the IMU of the {base} is measured by no sensor: name '{base}' in the `channels` of the one that does, or "
                "add its sensor"
            )
        return (*groups, Group(Kind.IMU, (base,)))

    def _needed_of_imus(self) -> tuple[Group, ...]:
        lacking = [name for name in self.segment_names if name not in self._measured_by]
        if lacking:
            raise ConfigError(
                f"the angle of '{self.joint_names[0]}' is measured by no sensor: name the joints ({', '.join(self.joint_names)}) "
                f"in the `channels` of the sensors that do; or, for angles from IMUs, every segment ({', '.join(lacking)} "
                f"{'is' if len(lacking) == 1 else 'are'} missing)"
            )
        return tuple(self._named(Kind.IMU, self.segment_names))

    def _named(self, kind: Kind, known: Sequence[str]) -> list[Group]:
        """What of the `known` each source names, in its own order."""
        named = (tuple(name for name in source.channels if name in known) for source in self.sources)
        return [Group(kind, names) for names in named if names]

    def _angle_names(self, source: Source) -> tuple[str, ...]:
        if not source.channels:
            return self.joint_names
        return tuple(name for name in source.channels if name == UNUSED or name in self.joint_names)

    def _declared(self, source: Source, kind: Kind) -> _Binding:
        if kind == Kind.ANGLES:
            names, width = self._angle_names(source), 1
        else:
            names, width = tuple(name for name in source.channels if name in self.segment_names), IMU_CHANNELS
        places = []
        for number, group in enumerate(self.groups):
            if group.kind == kind and group.names[0] in names:
                first = [width * names.index(name) for name in group.names]
                places.append(_Place(number, tuple(start + i for start in first for i in range(width))))
        return _Binding(width * len(names) if places else 0, names, tuple(places))

    def _turn(self, source: Source) -> tuple[tuple[float, float], ...] | None:
        """Sign and zero in rad of each of a source's angles; None where they are taken as they are."""
        if not source.sign and not source.zero_deg:
            return None
        count = len(self._angle_names(source))
        zeros = [math.radians(zero) for zero in source.zero_deg] if source.zero_deg else [math.nan] * count
        return tuple(zip(source.sign or (1.0,) * count, zeros, strict=True))

    # --- what comes

    def _claim(self, source: int, kind: Kind) -> _Binding:
        """Give an undeclared source the place that waits for frames of this kind."""
        group = next((i for i, group in enumerate(self.groups) if group.kind == kind), None)
        if group is None:
            return _Binding(0, (), ())
        names = self.groups[group].names
        declared_by = self._measured_by.get(names[0])
        other = declared_by if declared_by is not None else self._claimed.setdefault(group, source)
        if other != source:
            raise SensorError(
                f"{self.name(source)}: sends {_WORD[kind]}, and so does {self.name(other)}: say in `channels` of [[sensor]] in "
                "the configuration which measures what"
            )
        width = IMU_CHANNELS if kind == Kind.IMU else 1
        count = width * len(names)
        return _Binding(count, names, (_Place(group, tuple(range(count))),))

    def _angles(self, source: int, channels: tuple[float, ...], names: tuple[str, ...]) -> tuple[float, ...]:
        value, name = max((abs(value), name) for name, value in zip(names, channels, strict=True) if name != UNUSED)
        if value > _FULL_TURN:
            raise SensorError(
                f"sensor channel '{name}' reads {channels[names.index(name)]:.4g}, more than a full turn in rad: it looks "
                "like degrees: make the sensor send radians (lines of numbers: unit=deg in the URL)"
            )
        turns = self._turns[source]
        if turns is None:
            return channels
        return tuple(
            sign * value if math.isnan(zero) else sign * math.remainder(value - zero, _FULL_TURN)
            for value, (sign, zero) in zip(channels, turns, strict=True)
        )

    def _wrong_count(self, source: int, kind: Kind, count: int, binding: _Binding) -> str:
        if self.sources[source].channels:
            needs = f"its `channels` name {binding.count} ({', '.join(binding.names)}): mend them"
        elif kind == Kind.ANGLES:
            needs = (
                f"the bundle needs {binding.count} ({', '.join(binding.names)}): set the sensor's channels, or take the bundle "
                "made for it"
            )
        else:
            needs = (
                f"the bundle needs one {binding.names[0]} IMU of {IMU_CHANNELS} (quaternion w x y z, acceleration, angular "
                "rate): set the sensor's channels, or say in [[sensor]] which segments it measures, as in "
                'channels = ["pelvis", "thigh", "shank", "foot"]'
            )
        return f"sensor sends {count} {_WORD[kind]}, {needs}"
