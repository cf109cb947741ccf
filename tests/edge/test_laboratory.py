from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ezc3d", reason="ezc3d is not installed: pip install 'edge-msk[c3d]'")
from c3d_files import Made, TruePlate

from edge.c3d import read_c3d
from edge.contact import runs
from edge.errors import TrialError
from edge.laboratory import Axes, find_axes, force_plates, markers

FRAMES, PER_FRAME = 60, 10
T = np.arange(FRAMES * PER_FRAME) / (100.0 * PER_FRAME)
LABS = [Axes("+x", "+z"), Axes("-x", "+z"), Axes("+y", "+z"), Axes("-y", "+z"), Axes("+x", "+y"), Axes("-z", "+y")]


def truth() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In our axes: a step from 0.1 to 0.5 s, its place and the free moment about the vertical."""
    on = np.clip(np.sin((T - 0.1) / 0.4 * np.pi), 0.0, None) * ((T > 0.1) & (T < 0.5))
    force = np.stack([80.0 * on * np.cos(6 * T), 700.0 * on, -30.0 * on], axis=1)
    place = np.stack([0.1 + 0.4 * T, 0.0 * T, 0.05 - 0.1 * T], axis=1)
    return force, place, 5.0 * on


def plate(axes: Axes, kind: int = 2, **more: object) -> TruePlate:
    force, place, twist = truth()
    # Seen in our axes (x forward, y up, z right) clockwise from above, as the format wants them.
    corners = np.array([[0.45, 0, -0.25], [0.45, 0, 0.25], [-0.05, 0, 0.25], [-0.05, 0, -0.25]])
    back = axes.rotation
    return TruePlate(corners @ back, force @ back, place @ back, -twist, kind=kind, **more)  # type: ignore[arg-type]


def walker(axes: Axes, travel: float = 1.0) -> dict[str, np.ndarray]:
    way = np.linspace(0.0, travel, FRAMES)
    ours = {"hip": [-0.5, 0.9, 0.1], "knee": [-0.4, 0.5, 0.1], "heel": [-0.5, 0.05, 0.1]}
    return {n: (np.array(p) + np.outer(way, [1.0, 0.0, 0.05])) @ axes.rotation for n, p in ours.items()}


@pytest.mark.parametrize("axes", LABS, ids=str)
@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_what_acts_on_a_plate_of_each_type(tmp_path: Path, kind: int, axes: Axes) -> None:
    """The channels are computed from the force, so what is read must be the force again, in our axes."""
    path = Made(walker(axes), [plate(axes, kind)], per_frame=PER_FRAME).write(tmp_path / "walk.c3d")
    recording = read_c3d(path)
    assert find_axes(recording) == axes
    found = force_plates(recording, axes)
    force, place, twist = truth()
    touching = found.force_n[:, 0, 1] > 0.0
    assert [(T[r.start], T[r.stop - 1]) for r in runs(touching)] == [(pytest.approx(0.104), pytest.approx(0.498))]
    np.testing.assert_allclose(found.force_n[touching, 0], force[touching], atol=2e-3)
    np.testing.assert_allclose(found.point_m[touching, 0], place[touching], atol=2e-5)
    np.testing.assert_allclose(found.moment_nm[touching, 0], np.outer(twist, [0, 1, 0])[touching], atol=2e-3)
    assert not found.force_n[~touching].any()
    assert not found.moment_nm[~touching].any()
    np.testing.assert_allclose(markers(recording, axes)["hip"][-1], [0.5, 0.9, 0.15], atol=1e-6)


@pytest.mark.parametrize("change", [{"reverse": -1.0}, {"units": ("N", "Nm")}, {"depth_m": 0.0}], ids=str)
def test_signs_and_units_of_the_channels(tmp_path: Path, change: dict[str, object]) -> None:
    """A file may hold the foot's action, or moments in another unit than its positions and forces make."""
    axes = LABS[0]
    path = Made(walker(axes), [plate(axes, **change)], per_frame=PER_FRAME).write(tmp_path / "walk.c3d")
    found = force_plates(read_c3d(path), axes)
    force, place, _ = truth()
    touching = found.force_n[:, 0, 1] > 0.0
    np.testing.assert_allclose(found.force_n[touching, 0], force[touching], atol=2e-3)
    np.testing.assert_allclose(found.point_m[touching, 0], place[touching], atol=2e-5)


@pytest.mark.parametrize("unit", ["mm", "cm", "m"])
def test_units_of_positions(tmp_path: Path, unit: str) -> None:
    axes = LABS[2]
    made = Made(walker(axes), [plate(axes), plate(axes, 3)], per_frame=PER_FRAME, unit=unit)
    recording = read_c3d(made.write(tmp_path / "walk.c3d"))
    found = force_plates(recording, find_axes(recording))
    touching = found.force_n[:, 1, 1] > 0.0
    np.testing.assert_allclose(found.point_m[touching, 1], truth()[1][touching], atol=1e-4)
    np.testing.assert_allclose(found.point_m[touching, 0], found.point_m[touching, 1], atol=1e-4)


def test_places_that_are_not_on_the_plate(tmp_path: Path) -> None:
    axes = LABS[0]
    wrong = plate(axes)
    wrong = replace(wrong, point_m=wrong.point_m + np.array([0.9, 0.0, 0.0]))
    path = Made(walker(axes), [wrong], per_frame=PER_FRAME).write(tmp_path / "walk.c3d")
    with pytest.raises(
        TrialError, match=r"walk.c3d: the forces of plate 1 act .* from its middle, beside it: check the units"
    ):
        force_plates(read_c3d(path), axes)


def test_given_axes_are_taken(tmp_path: Path) -> None:
    path = Made(walker(LABS[0]), [plate(LABS[0])], per_frame=PER_FRAME).write(tmp_path / "walk.c3d")
    recording = read_c3d(path)
    assert find_axes(recording, forward="-y", up="+x") == Axes("-y", "+x")
    assert find_axes(recording, forward="-y") == Axes("-y", "+z")


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"forward": "+z"}, r"forward = '\+z' and up = '\+z' are one axis"),
        ({"up": "z"}, r"up = 'z': write one of \+x"),
    ],
)
def test_axes_that_cannot_be(tmp_path: Path, axes: dict[str, str], said: str) -> None:
    path = Made(walker(LABS[0]), [plate(LABS[0])], per_frame=PER_FRAME).write(tmp_path / "walk.c3d")
    with pytest.raises(TrialError, match=said):
        find_axes(read_c3d(path), **axes)


def test_a_person_who_stays_does_not_tell_which_way_is_forward(tmp_path: Path) -> None:
    path = Made(walker(LABS[0], travel=0.2), [plate(LABS[0])], per_frame=PER_FRAME).write(tmp_path / "squat.c3d")
    with pytest.raises(TrialError, match=r"squat.c3d: the markers do not tell .*set forward = \"\+x\" or another"):
        find_axes(read_c3d(path))


def test_markers_that_come_and_go_still_tell(tmp_path: Path) -> None:
    seen = walker(LABS[1])
    seen["knee"][:20] = np.nan
    seen["heel"][10:] = np.nan
    path = Made(seen, [plate(LABS[1])], per_frame=PER_FRAME).write(tmp_path / "walk.c3d")
    assert find_axes(read_c3d(path)) == LABS[1]


def test_up_without_plates_or_markers(tmp_path: Path) -> None:
    said = {"X_SCREEN": ["+X"], "Y_SCREEN": ["+Z"]}
    path = Made(walker(LABS[0]), point_parameters=said).write(tmp_path / "screen.c3d")
    assert find_axes(read_c3d(path)) == LABS[0]
    with pytest.raises(TrialError, match="holds no force plates"):
        force_plates(read_c3d(path), LABS[0])
    with pytest.raises(TrialError, match=r"does not say which axis is up: set up = "):
        find_axes(read_c3d(Made(walker(LABS[0])).write(tmp_path / "none.c3d")))
    alone = Made(plates=[plate(LABS[0])], per_frame=PER_FRAME).write(tmp_path / "alone.c3d")
    assert find_axes(read_c3d(alone), forward="+x") == LABS[0]


def test_a_tilted_plate(tmp_path: Path) -> None:
    ramp = plate(LABS[0])
    ramp = replace(ramp, corners_m=ramp.corners_m + np.outer(ramp.corners_m[:, 0], [0.0, 0.0, 0.3]))
    with pytest.raises(TrialError, match="a force plate is tilted"):
        find_axes(read_c3d(Made(walker(LABS[0]), [ramp], per_frame=PER_FRAME).write(tmp_path / "ramp.c3d")))


def test_the_published_forces_of_walk_12(data: Path) -> None:
    """The authors made a .mot of every C3D: forces, places and moments are the same but for the rows next to a contact's ends,
    where theirs lie half way to the zero that they filled in."""
    from edge.force_plates import find_columns
    from edge.storage import read_table

    for path in sorted((data / "walk_12").glob("*/C*.c3d"))[::5]:
        recording = read_c3d(path)
        ours = force_plates(recording, find_axes(recording))
        theirs = find_columns(read_table(path.with_name(f"{path.stem}_grf.mot")))
        for k in range(2):
            core = np.zeros(len(theirs.time_s), dtype=bool)
            for run in runs(theirs.force_n[:, k, 1] > 0.0):
                core[run.start + 2 : run.stop - 2] = True
            assert core.sum() > 300
            for mine, other in (
                (ours.force_n, theirs.force_n),
                (ours.point_m, theirs.point_m),
                (ours.moment_nm, theirs.moment_nm),
            ):
                at = [np.interp(theirs.time_s, ours.time_s, mine[:, k, i]) for i in range(3)]
                np.testing.assert_allclose(np.stack(at, axis=1)[core], other[core, k], atol=1e-6)
