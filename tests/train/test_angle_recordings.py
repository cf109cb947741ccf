"""Angles in plain text files of electromyograms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import FileError
from train.angle_recordings import elbow_angle, knee_angle, wrist_angles


def test_a_knee_file_gives_an_angle_every_20_rows_but_the_last(tmp_path: Path) -> None:
    path = tmp_path / "knee.txt"
    rows = [f"0.1\t0.2\t0.3\t0.4\t{i / 10}" for i in range(60)]
    path.write_text("File Name: a.log\nChannel 5: 'FX'\n\n" + "\n".join(rows) + "\n\t\t\t\t7.5V\n\t\t\t\t\n")
    time, angle = knee_angle(path)
    np.testing.assert_allclose(time, [0.0, 0.02])
    np.testing.assert_allclose(np.degrees(angle[:, 0]), [0.0, 2.0])


def test_an_elbow_flexes_upwards_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "elbow.txt"
    path.write_text("12\t-2000\t31\n12\t-4000\t31\n12\t\t31\n")
    time, angle = elbow_angle(path)
    np.testing.assert_allclose(time, [0.0, 0.02])
    np.testing.assert_allclose(np.degrees(angle[:, 0]), [0.0, 90.0])


def test_single_rows_of_zero_are_no_movement_of_a_wrist(tmp_path: Path) -> None:
    path = tmp_path / "wrist.csv"
    rows = [f"1.0,2.0,3.0,4.0,{'0,0' if i in (20, 31) else '-13.0,5.0'}," for i in range(50)]
    path.write_text("\n".join(rows))
    _, angles = wrist_angles(path)
    np.testing.assert_allclose(np.degrees(angles[5:-5]), np.repeat([[-13.0, 5.0]], 40, axis=0))


def test_a_file_without_angles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "knee.txt"
    path.write_text("nothing\n")
    with pytest.raises(FileError, match=r"no angle in column 5.*damaged"):
        knee_angle(path)
