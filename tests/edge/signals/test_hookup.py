from __future__ import annotations

import json
import math

import pytest

from edge.errors import ConfigError, SensorError
from edge.sensors.frame import Frame, Kind
from edge.signals.hookup import Group, Hookup, Source

JOINTS = ("hip", "knee", "ankle")
SEGMENTS = ("pelvis", "thigh", "shank", "foot")
IMU = tuple(range(10))


def hookup(*sources: Source, base: bool = True) -> Hookup:
    return Hookup(JOINTS, SEGMENTS, sources, base=base)


def angles(*channels: float) -> Frame:
    return Frame(Kind.ANGLES, 0, 0, 0, channels)


def imu(*channels: float) -> Frame:
    return Frame(Kind.IMU, 0, 0, 0, channels)


def test_a_source_of_which_nothing_is_said_measures_what_is_usual() -> None:
    leg = hookup(Source())
    assert leg.groups == (Group(Kind.ANGLES, JOINTS), Group(Kind.IMU, ("pelvis",)))
    assert leg.read(0, angles(0.1, 0.2, 0.3)) == [(0, (0.1, 0.2, 0.3))]
    assert leg.read(0, imu(*IMU)) == [(1, IMU)]
    assert leg.read(0, Frame(Kind.EMG, 0, 0, 0, (0.5,))) == []


def test_two_of_which_nothing_is_said_share_what_there_is_as_they_send_it() -> None:
    leg = hookup(Source("a:"), Source("b:"))
    assert leg.read(1, imu(*IMU)) == [(1, IMU)]
    assert leg.read(0, angles(0.1, 0.2, 0.3)) == [(0, (0.1, 0.2, 0.3))]
    assert leg.read(1, imu(*IMU)) == [(1, IMU)]
    with pytest.raises(
        SensorError, match=r"^b:: sends joint angles, and so does a:: say in `channels` of \[\[sensor\]\]"
    ):
        leg.read(1, angles(0.1, 0.2, 0.3))


def test_one_that_is_declared_goes_before_one_that_is_not() -> None:
    leg = hookup(Source("a:", ("pelvis",)), Source("b:"))
    assert leg.read(1, angles(0.1, 0.2, 0.3)) == [(0, (0.1, 0.2, 0.3))]
    with pytest.raises(SensorError, match=r"^b:: sends IMU channels, and so does a:"):
        leg.read(1, imu(*IMU))


def test_an_imu_on_every_segment_and_no_joint() -> None:
    one = hookup(Source("a:", ("foot", "shank", "thigh", "pelvis")))
    assert one.angles_from_imus
    assert one.groups == (Group(Kind.IMU, ("foot", "shank", "thigh", "pelvis")),)
    many = tuple(float(i) for i in range(40))
    assert one.read(0, imu(*many)) == [(0, many)]
    assert one.read(0, angles(0.1, 0.2, 0.3)) == []
    assert str(one.groups[0]) == "IMUs (foot, shank, thigh, pelvis)"
    two = hookup(Source("a:", ("shank", "foot")), Source("b:", ("pelvis", "thigh")))
    assert [group.names for group in two.groups] == [("shank", "foot"), ("pelvis", "thigh")]
    assert two.read(1, imu(*many[:20])) == [(1, many[:20])]
    with pytest.raises(SensorError, match=r"sends 40 IMU channels, its `channels` name 20 \(shank, foot\)"):
        two.read(0, imu(*many))


def test_where_joints_are_measured_the_imus_of_other_segments_are_not_needed() -> None:
    leg = hookup(Source("a:", JOINTS), Source("b:", SEGMENTS))
    assert not leg.angles_from_imus
    assert leg.groups == (Group(Kind.ANGLES, JOINTS), Group(Kind.IMU, ("pelvis",)))
    many = tuple(float(i) for i in range(40))
    assert leg.read(1, imu(*many)) == [(1, many[:10])]


@pytest.mark.parametrize(
    "source", [Source(), Source("a:", JOINTS), Source("a:", (*JOINTS, "pelvis")), Source("a:", (*JOINTS, *SEGMENTS))]
)
def test_where_the_base_is_not_needed_imus_are_left_alone(source: Source) -> None:
    leg = hookup(source, base=False)
    assert leg.groups == (Group(Kind.ANGLES, JOINTS),)
    assert leg.read(0, imu(*IMU)) == []
    assert leg.read(0, angles(0.1, 0.2, 0.3)) == [(0, (0.1, 0.2, 0.3))]
    assert leg.read(0, imu(*IMU)) == []


def test_which_sources_are_needed() -> None:
    two = Source("a:", JOINTS), Source("b:", ("pelvis",))
    assert [hookup(*two).needed(i) for i in range(2)] == [True, True]
    assert [hookup(*two, base=False).needed(i) for i in range(2)] == [True, False]
    imus = hookup(Source("a:", SEGMENTS), base=False)
    assert imus.angles_from_imus
    assert imus.needed(0)
    # Of one of which nothing is said it is known when another has what there is.
    opened = hookup(Source("a:"), Source("b:"), base=False)
    assert opened.needed(1)
    opened.read(0, angles(0.1, 0.2, 0.3))
    assert [opened.needed(i) for i in range(2)] == [True, False]


def test_joints_of_two_boards_in_any_order() -> None:
    leg = hookup(Source("a:", ("ankle", "-", "hip")), Source("b:", ("knee", "pelvis")))
    assert [group.names for group in leg.groups] == [("ankle", "hip"), ("knee",), ("pelvis",)]
    assert leg.read(0, angles(0.3, 9.9e5, 0.1)) == [(0, (0.3, 0.1))]
    assert leg.read(1, angles(0.2)) == [(1, (0.2,))]
    assert leg.read(1, imu(*IMU)) == [(2, IMU)]
    # What a declared source sends beside what was said of it is not needed.
    assert leg.read(0, imu(*IMU)) == []


def test_the_pelvis_among_the_imus_of_one_board() -> None:
    leg = hookup(Source("a:", ("foot", "pelvis", "shank")), Source("b:"))
    many = tuple(float(i) for i in range(30))
    assert leg.read(0, imu(*many)) == [(1, many[10:20])]
    with pytest.raises(SensorError, match=r"sends 10 IMU channels, its `channels` name 30 \(foot, pelvis, shank\)"):
        leg.read(0, imu(*IMU))


@pytest.mark.parametrize(
    ("reading_deg", "angle_deg"),
    [(352.0, 2.0), (350.0, 0.0), (10.0, -20.0), (170.0, 180.0), (-10.0, 0.0), (340.0, 10.0)],
)
def test_sign_and_zero_and_the_turn_of_an_absolute_encoder(reading_deg: float, angle_deg: float) -> None:
    """A sign of -1 with the zero at 350 degrees: the joint's angle grows as the reading falls, through 0 and 360."""
    sign = -1.0 if angle_deg in (-20.0, 180.0, 10.0) else 1.0
    leg = hookup(Source("a:", ("hip", "knee", "ankle", "pelvis"), (sign, 1, 1), (350.0, 0.0, 0.0)))
    ((_, got),) = leg.read(0, angles(math.radians(reading_deg), 0.5, -0.5))
    assert math.remainder(got[0] - math.radians(angle_deg), 2 * math.pi) == pytest.approx(0.0, abs=1e-12)
    assert abs(got[0]) <= math.pi + 1e-12
    assert got[1:] == (0.5, -0.5)


def test_a_sign_alone_leaves_the_angle_as_it_is() -> None:
    leg = hookup(Source(sign=(-1, 1, 1)))
    assert leg.read(0, angles(4.0, 4.0, 0.3)) == [(0, (-4.0, 4.0, 0.3))]


def test_without_sign_and_zero_the_numbers_pass_as_they_are() -> None:
    frame = angles(-0.0, 0.1, 0.3)
    ((_, got),) = hookup(Source()).read(0, frame)
    assert got is frame.channels


def test_the_largest_of_angles_in_degrees_is_named() -> None:
    with pytest.raises(SensorError, match=r"channel 'knee' reads -35, more than a full turn.*degrees.*radians"):
        hookup(Source()).read(0, angles(10.0, -35.0, 4.0))


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (
            (Source("a:", ("hip", "kneee")),),
            r"a:: `channels` names 'kneee'.*hip, knee, ankle.*pelvis, thigh, shank, foot",
        ),
        ((Source("a:", ("hip", "hip")),), "a:: `channels` names 'hip', which a: measures"),
        ((Source("a:", JOINTS), Source("b:", ("knee", "pelvis"))), "b:: `channels` names 'knee', which a: measures"),
        ((Source("a:", ("hip", "knee", "pelvis")),), "the angle of 'ankle' is measured by no sensor"),
        ((Source("a:", ("hip",)), Source("b:")), "the angle of 'knee' is measured by no sensor"),
        (
            (Source("a:", ("hip", "knee")), Source("b:", SEGMENTS)),
            r"the angle of 'ankle' is measured by no sensor.*IMUs give the angles of all joints.*or of none",
        ),
        (
            (Source("a:", ("pelvis", "shank")),),
            r"the angle of 'hip' is measured.*\(hip, knee, ankle\).*every segment \(thigh, foot are missing\)",
        ),
        ((Source("a:", JOINTS),), "the IMU of the pelvis is measured by no sensor: name 'pelvis'"),
        ((Source("a:", (*JOINTS, "pelvis"), sign=(1, -1)),), "`sign` has 2 numbers for 3 joint angles"),
        ((Source(zero_deg=(0.0,) * 4),), "`zero_deg` has 4 numbers for 3"),
        ((Source(sign=(1, 2, 1)),), "1 and -1 only"),
        ((Source(zero_deg=(0.0, math.inf, 0.0)),), "finite"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(sources: tuple[Source, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        hookup(*sources)


def test_a_source_comes_back_from_a_header() -> None:
    source = Source("serial:///dev/x", ("hip", "-"), (1, -1), (0.0, 12.5))
    assert Source.from_dict(json.loads(json.dumps(source.to_dict()))) == source
    assert Source.from_dict({"url": "a:"}) == Source("a:")
