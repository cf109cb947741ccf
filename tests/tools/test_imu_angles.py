"""Joint angles from real IMUs against the optical reference: the figures of `tools.bench.imu_angles`, on fewer poses."""

from pathlib import Path

import numpy as np
import pytest

from edge.errors import FileError
from edge.msk.model import load_model
from edge.signals.alignment import KnownPose, align
from edge.signals.hinges import AlignmentError, Refusal
from tools.bench import imu_angles as bench
from tools.bench.imu_walk import SEGMENTS, Leg, clock_delay_s, part, read_legs

pytest.importorskip("vqf")


@pytest.fixture(scope="module")
def legs(data: Path) -> tuple[Leg, Leg]:
    return read_legs(data / "imu_walk")


@pytest.mark.parametrize(
    ("source", "reference", "known_deg", "offset_removed_deg"),
    [
        ("vqf", "sagittal", (3.6, 4.4, 2.7), (3.1, 3.4, 2.45)),
        ("vqf", "Grood-Suntay", (4.2, 4.4, 3.3), (3.4, 3.3, 2.9)),
        ("sensors", "sagittal", (3.7, 4.1, 2.3), (3.1, 3.7, 2.15)),
    ],
)
def test_angles(
    legs: tuple[Leg, Leg],
    source: str,
    reference: str,
    known_deg: tuple[float, ...],
    offset_removed_deg: tuple[float, ...],
) -> None:
    poses = bench.with_known_pose(lambda leg: getattr(leg, source), reference, bench.STRIDE, 0.0, step=60)
    row = bench.joined_row(source, reference, legs, 0.0, poses)
    print(row)
    assert (np.array(row.rmse) <= known_deg).all()
    assert (np.array(row.offset_removed) <= offset_removed_deg).all()


def test_an_alignment_fitted_to_the_reference_is_hardly_better(legs: tuple[Leg, Leg]) -> None:
    """What is left is soft tissue and the reference, not the calibration."""
    floor = [
        (np.degrees(bench.estimate(leg.vqf, bench.fitted_alignment(leg, leg.vqf))[0] - leg.angles("sagittal")))[100:]
        for leg in legs
    ]
    assert np.sqrt(np.mean(np.square(np.concatenate(floor)), axis=0)).min() > 2.3


def test_gyroscopes_give_the_joints_rates(legs: tuple[Leg, Leg]) -> None:
    delay_s = clock_delay_s(legs)
    assert delay_s == pytest.approx(0.018, abs=0.003)
    rates = bench.rate_errors(legs, delay_s)
    assert (np.array(rates["gyro, clock"]) < 0.6 * np.array(rates["reference"])).all()


def test_a_stride_shows_the_signs_and_a_walk_is_no_pose(legs: tuple[Leg, Leg]) -> None:
    ranges = np.array([j.range_rad for j in load_model("leg10").joints])
    for leg in legs:
        known, q = slice(100, 210), leg.angles("sagittal")
        right = bench.rights(leg, slice(100, 477))
        stride = part(leg.vqf, known)
        pelvis = {"pelvis": right["pelvis"]}
        found = align(
            stride,
            KnownPose(q[known], leg.segment_angles()[known, 0]),
            part(leg.vqf, slice(100, 477)),
            segment_names=SEGMENTS,
            range_rad=ranges,
            right=pelvis,
        )
        for rotation, name in zip(found.rotation, SEGMENTS, strict=True):
            assert rotation[2] @ np.array(right[name]) > 0.85, f"{leg.side} {name}"
        with pytest.raises(AlignmentError) as caught:
            align(stride, KnownPose(np.zeros(3)), stride, segment_names=SEGMENTS, range_rad=ranges, right=pelvis)
        assert caught.value.reason is Refusal.NOT_STILL


def test_without_the_recording_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"vicon\.csv"):
        read_legs(tmp_path)
