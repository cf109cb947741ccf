"""A recording joined to itself."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edge.errors import FileError
from edge.sensors.frame import Frame, Kind
from edge.sensors.playback import packaged_recordings, playback, recording_path
from edge.sensors.player import repeat
from edge.sensors.seam import seam


def motion(angle: npt.NDArray[np.float64]) -> list[Frame]:
    """Both streams at 100 Hz."""
    return [
        Frame(int(kind), 0, i, i * 10_000, (float(value), 0.5 * float(value), 1.0))
        for i, value in enumerate(angle)
        for kind in (Kind.ANGLES, Kind.IMU)
    ]


def angles(frames: list[Frame]) -> npt.NDArray[np.float64]:
    return np.array([frame.channels for frame in frames if frame.kind == Kind.ANGLES])


def test_a_cycle_is_joined_at_the_same_phase_in_the_same_direction() -> None:
    period = 110
    frames = motion(np.sin(2.0 * np.pi * np.arange(753) / period))
    found = seam(frames)
    assert found is not None
    start, stop = found
    assert frames[start].kind == frames[stop].kind == Kind.ANGLES
    assert (stop - start) // 2 % period == 0


def test_a_loop_goes_on_through_the_seam() -> None:
    frames = motion(np.sin(2.0 * np.pi * np.arange(753) / 110))
    played = list(islice(repeat(frames, loop=True), 4 * len(frames)))
    for kind in (Kind.ANGLES, Kind.IMU):
        own = [frame for frame in played if frame.kind == kind]
        assert [frame.sequence for frame in own] == list(range(len(own)))
        assert [frame.time_us for frame in own] == [i * 10_000 for i in range(len(own))]
    np.testing.assert_allclose(angles(played)[:, 0], np.sin(2.0 * np.pi * np.arange(4 * 753) / 110), atol=1e-6)


def test_what_never_comes_back_has_no_seam_and_is_repeated_whole() -> None:
    frames = motion(np.linspace(0.0, 1.0, 600) ** 2)
    assert seam(frames) is None
    played = angles(list(islice(repeat(frames, loop=True), 2 * len(frames))))
    np.testing.assert_array_equal(played, np.vstack([angles(frames)] * 2))


@pytest.mark.parametrize(
    "frames",
    [
        motion(np.sin(np.arange(99.0))),
        motion(np.ones(600)),
        [*motion(np.sin(np.arange(600) / 18.0)), Frame(1, 0, 600, 6_000_000, (0.0, 0.0, 1.0))],
    ],
    ids=["short", "still", "kinds apart"],
)
def test_no_seam(frames: list[Frame]) -> None:
    assert seam(frames) is None


@pytest.mark.parametrize("side", ["r", "l"])
def test_the_demonstration_can_be_looped_without_a_jump(side: str) -> None:
    frames = playback(recording_path("demo"), side=side)
    once = np.array([[*a.channels, *b.channels] for a, b in zip(frames[::2], frames[1::2], strict=True)])
    looped = list(islice(repeat(frames, loop=True), 4 * len(frames)))
    played = np.array([[*a.channels, *b.channels] for a, b in zip(looped[::2], looped[1::2], strict=True)])
    # Nothing moves faster than in the recording, and no angle bends harder by more than a quarter.
    step, largest = np.abs(np.diff(played, axis=0)).max(axis=0), np.abs(np.diff(once, axis=0)).max(axis=0)
    assert (step <= 1.05 * largest + 1e-9).all()
    bend, hardest = (np.abs(np.diff(x[:, :3], n=2, axis=0)).max(axis=0) for x in (played, once))
    assert (bend <= 1.25 * hardest).all()


def test_packaged_recordings() -> None:
    assert packaged_recordings() == ["demo"]
    assert recording_path("demo").name == "walk.mot"
    assert recording_path("some/walk.mot") == Path("some/walk.mot")
    with pytest.raises(FileError, match=r"walk: no such recording: .*\(demo\)"):
        recording_path("walk")
