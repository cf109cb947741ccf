"""Joint angles from IMUs against an optical reference: `python -m tools.bench.imu_angles DATA`.

The recording is `imu_walk`: 9.55 s of a person who walks, turns and walks back, seven IMUs and optical segments at 100 Hz; both
legs are measured.

* Every estimate is causal: VQF (or the sensor's own quaternion) sample by sample, then `LegFromImus` of each moment alone.
* Two folds: one half of the recording calibrates, the other tests, and the other way round. VQF's first second is in neither.
* The recording has no static pose. A known pose is therefore the optical joint angles of a short window of the calibrating half:
  0.1 s, or 1.1 s (a stride). Every window is tried; the tables give the median over them.
* Hinge axes come from the calibrating half's gyroscopes. The pelvis's mounting heading is given once, from its optical segment,
  and so is which way the other hinges point (a window of movement is no pose to tell that from).
* "Offset removed": the test half's mean difference is taken away, leg by leg and joint by joint.

Two references, from the same optical segments: "sagittal", the difference of the segments' angles about their own hinges against
the vertical, as the planar chain has them; "Grood-Suntay", the first angle of the sequence flexion, abduction, rotation of
neighbouring segments (Grood & Suntay 1983). RMSE over the frames of both legs and folds.

The two systems' clocks are not exactly one: `clock` rows move the optical angles by the delay that makes the turning speeds of
pelvis, shanks and feet agree best, one number for the whole recording.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from edge.msk.model import load_model
from edge.signals.alignment import Alignment, ImuRecording, KnownPose, SegmentQuality, align
from edge.signals.imu import LegFromImus
from tools.bench.imu_walk import RATE_HZ, SEGMENTS, Leg, clock_delay_s, delayed, part, read_legs

FloatArray = npt.NDArray[np.float64]

GRAVITY_MPS2 = 9.81
JOINTS = ("hip", "knee", "ankle")
REFERENCES = ("sagittal", "Grood-Suntay")
GOAL_POSE_DEG, GOAL_OFFSET_DEG = (3.5, 4.0, 2.5), (3.0, 3.7, 2.3)
SETTLE = 100  # frames
STRIDE, MOMENT = 110, 10  # frames of a known pose
STEP = 10  # frames between the windows that are tried


def rights(leg: Leg, frames: slice) -> dict[str, list[float]]:
    """The optical segments' z in the sensors' axes: the pelvis's mounting heading, given once, and the other hinges' signs."""
    up = part(leg.sensors, frames).up()
    out = {}
    for s, name in enumerate(SEGMENTS):
        segment = Rotation.from_matrix(leg.optical[frames, s])
        turn = (segment[:-1].inv() * segment[1:]).as_rotvec() * RATE_HZ
        seen = np.concatenate([leg.optical[frames, s, 1, :], turn])
        felt = np.concatenate([up[:, s], leg.sensors.angular_rate[frames][1:, s]])
        out[name] = Rotation.align_vectors(seen, felt)[0].inv().apply([0.0, 0.0, 1.0]).tolist()
    return out


def estimate(recording: ImuRecording, alignment: Alignment) -> tuple[FloatArray, FloatArray]:
    """Joint angles rad and gyroscope rates rad/s, each (frames, 3), moment by moment."""
    chain = LegFromImus(JOINTS, alignment, GRAVITY_MPS2)
    moments = [
        chain.evaluate(q, f, w)
        for q, f, w in zip(recording.quaternion, recording.specific_force, recording.angular_rate, strict=True)
    ]
    return np.array([m.q for m in moments]), np.array([m.qd_gyro for m in moments])


def fitted_alignment(leg: Leg, recording: ImuRecording) -> Alignment:
    """Rotations under which the sensors' upwards is nearest to the optical segments', over the whole recording: the floor."""
    rotation = np.stack(
        [
            Rotation.align_vectors(leg.optical[:, s, 1, :], recording.up()[:, s])[0].as_matrix()
            for s in range(len(SEGMENTS))
        ]
    )
    return Alignment(SEGMENTS, rotation, (SegmentQuality(np.nan, np.nan, np.nan, np.nan),) * len(SEGMENTS), np.nan)


@dataclass(frozen=True)
class Row:
    """One line of the table; hip, knee, ankle in deg (rates: deg/s)."""

    what: str
    reference: str
    rmse: list[float]
    offset_removed: list[float]
    left: list[float]  # offset removed, one leg
    right: list[float]
    rmse_p10: list[float] | None = None
    rmse_p90: list[float] | None = None


_Angles = Callable[[Leg, slice, slice], Sequence[FloatArray]]


def joined_row(what: str, reference: str, legs: tuple[Leg, Leg], delay_s: float, candidates: _Angles) -> Row:
    """`candidates(leg, calibration, test)`: estimates of the test half (frames, 3) rad, by each pose of the calibrating half."""
    frames = len(legs[0].optical)
    halves = slice(SETTLE, frames // 2), slice(frames // 2, frames)
    squared: list[list[FloatArray]] = []  # per leg and fold, (candidates, 3)
    spread: list[list[FloatArray]] = []
    for leg in legs:
        reference_deg = np.degrees(leg.angles(reference, delay_s))
        for calibration, test in (halves, halves[::-1]):
            off = [np.degrees(q) - reference_deg[test] for q in candidates(leg, calibration, test)]
            squared.append([(o**2).mean(axis=0) for o in off])
            spread.append([o.var(axis=0) for o in off])

    # Windows of the folds and legs are independent: their deciles are taken one by one and joined.
    def pooled(values: list[list[FloatArray]], percentile: float) -> list[float]:
        return [float(v) for v in np.sqrt(np.mean([np.percentile(p, percentile, axis=0) for p in values], axis=0))]

    several = len(squared[0]) > 1
    return Row(
        what,
        reference,
        pooled(squared, 50),
        pooled(spread, 50),
        pooled(spread[:2], 50),
        pooled(spread[2:], 50),
        pooled(squared, 10) if several else None,
        pooled(squared, 90) if several else None,
    )


def with_known_pose(
    choose: Callable[[Leg], ImuRecording], reference: str, window: int, delay_s: float, *, step: int = STEP
) -> _Angles:
    """Estimates by every window of the calibrating half as the known pose, `step` frames apart."""
    range_rad = np.array([j.range_rad for j in load_model("leg10").joints])

    def candidates(leg: Leg, calibration: slice, test: slice) -> list[FloatArray]:
        recording, q = choose(leg), leg.angles(reference, delay_s)
        tilt = delayed(leg.segment_angles()[:, 0], delay_s)
        right = rights(leg, calibration)
        out = []
        for start in range(calibration.start, calibration.stop - window + 1, step):
            known = slice(start, start + window)
            alignment = align(
                part(recording, known),
                KnownPose(q[known], tilt[known]),
                part(recording, calibration),
                segment_names=SEGMENTS,
                range_rad=range_rad,
                right=right,
            )
            out.append(estimate(part(recording, test), alignment)[0])
        return out

    return candidates


def _fitted(choose: Callable[[Leg], ImuRecording]) -> _Angles:
    def candidates(leg: Leg, _: slice, test: slice) -> list[FloatArray]:
        return [estimate(part(choose(leg), test), fitted_alignment(leg, choose(leg)))[0]]

    return candidates


def measure(data: Path) -> dict[str, Any]:
    """All rows, and the clocks' difference. Raises FileError."""
    legs = read_legs(data / "imu_walk")
    delay_s = clock_delay_s(legs)
    rows = []
    sources: tuple[tuple[str, Callable[[Leg], ImuRecording]], ...] = (
        ("VQF 6D", lambda leg: leg.vqf),
        ("sensors' own", lambda leg: leg.sensors),
    )
    for name, choose in sources:
        for reference in REFERENCES:
            for window, label in ((STRIDE, "pose over 1.1 s"), (MOMENT, "pose of 0.1 s")):
                for clock in (0.0, delay_s) if window == STRIDE else (0.0,):
                    what = f"{name}, {label}" + (", clock" if clock else "")
                    rows.append(
                        joined_row(what, reference, legs, clock, with_known_pose(choose, reference, window, clock))
                    )
            rows.append(
                joined_row(
                    f"{name}, alignment fitted to the reference",
                    reference,
                    legs,
                    0.0,
                    _fitted(choose),
                )
            )
    return {
        "clock_delay_ms": 1e3 * delay_s,
        "goal_deg": {"known_pose": GOAL_POSE_DEG, "offset_removed": GOAL_OFFSET_DEG},
        "rows": [vars(row) for row in rows],
        "rates": rate_errors(legs, delay_s),
    }


def rate_errors(legs: tuple[Leg, Leg], delay_s: float) -> dict[str, Any]:
    """RMSE, deg/s, of the gyroscopes' joint rates against the derivative of the sagittal reference and of their own angle.

    The recorded rates are means over the interval that ends at their stamp: half a sample late.
    """
    errors: dict[str, list[FloatArray]] = {
        "gyro": [],
        "gyro, clock": [],
        "gyro, clock and half a sample": [],
        "reference": [],
    }
    own: list[FloatArray] = []
    inner = slice(SETTLE, -20)
    for leg in legs:
        q, qd = estimate(leg.vqf, fitted_alignment(leg, leg.vqf))
        own.append((qd - _derivative(q))[inner])
        for what, clock in (
            ("gyro", 0.0),
            ("gyro, clock", delay_s),
            ("gyro, clock and half a sample", delay_s + 0.5 / RATE_HZ),
        ):
            reference = _derivative(leg.angles("sagittal", clock))
            errors[what].append((qd - reference)[inner])
        errors["reference"].append(_derivative(leg.angles("sagittal"))[inner])
    errors["gyro against its own angle"] = own
    return {what: np.degrees(np.sqrt(np.mean(np.concatenate(e) ** 2, axis=0))).tolist() for what, e in errors.items()}


def _derivative(q: FloatArray) -> FloatArray:
    """Zero-phase, for a reference: a cubic over 70 ms."""
    return np.asarray(savgol_filter(q, 7, 3, deriv=1, delta=1.0 / RATE_HZ, axis=0))


def report(result: dict[str, Any]) -> str:
    """Markdown tables."""

    def joined(values: Sequence[float] | None, digits: int = 2) -> str:
        return "" if values is None else " / ".join(f"{v:.{digits}f}" for v in values)

    lines = [
        "| orientation, calibration | reference | one known pose, median (10 to 90 %) | offset removed | left | right |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        decile = f" ({joined(row['rmse_p10'], 1)} to {joined(row['rmse_p90'], 1)})" if row["rmse_p10"] else ""
        cells = [row["what"], row["reference"], joined(row["rmse"]) + decile]
        cells += [joined(row[k]) for k in ("offset_removed", "left", "right")]
        lines.append("| " + " | ".join(cells) + " |")
    goal = result["goal_deg"]
    lines += [
        f"| goal | | {joined(goal['known_pose'], 1)} | {joined(goal['offset_removed'], 1)} | | |",
        "",
        "| joint rate, RMSE deg/s | hip / knee / ankle |",
        "|---|---|",
        *(f"| {what} | {joined(values, 1)} |" for what, values in result["rates"].items()),
        "",
        f"The IMUs' clock stamps {result['clock_delay_ms']:.0f} ms later than the optical system's.",
    ]
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def main(data: Path, as_json: bool) -> None:
    """Compare joint angles from the IMUs of DATA/imu_walk with the optical ones."""
    result = measure(data)
    click.echo(json.dumps(result) if as_json else report(result))


if __name__ == "__main__":
    main()
