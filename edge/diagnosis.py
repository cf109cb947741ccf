"""Why no estimate comes: what has arrived so far, what that means, and how to mend it."""

from __future__ import annotations

from edge.sensors.decoder import FrameCounters
from edge.signals.intake import MAX_GAP_S, Intake
from edge.signals.resample import MOST_SKEW_S


def why_no_estimate(received_bytes: int, counters: FrameCounters, intake: Intake) -> str:
    """One sentence for a message, from what the parts of the pipeline have counted. The most basic reason wins."""
    if received_bytes == 0:
        return "the sensor has sent nothing: check its power and cable, that it is started, and that this is its port"
    if counters.frames == 0:
        return _no_frame(received_bytes, counters)
    if intake.samples == 0 or intake.pelvis_samples == 0:
        return _one_stream(counters, intake)
    skew_s = (intake.newest_us[0] - intake.newest_us[1]) * 1e-6
    if abs(skew_s) > MOST_SKEW_S:
        behind, before = ("pelvis IMU", "joint angles") if skew_s > 0 else ("joint angles", "pelvis IMU")
        return (
            f"the time stamps of the {behind} are {abs(skew_s):.4g} s behind those of the {before}: "
            "stamp both by one clock"
        )
    if intake.interruptions > 0:
        return (
            f"the samples were interrupted {intake.interruptions} times by more than {MAX_GAP_S * 1e3:g} ms "
            f"({counters.sequence_gaps} frames are missing, {counters.bad} were damaged): the sensor must send joint "
            "angles and pelvis IMU without such gaps; check its rate, cable and baud rate"
        )
    return (
        f"{intake.samples} samples of joint angles and {intake.pelvis_samples} of the pelvis IMU came, too few for a first "
        "estimate: the sensor must go on sending"
    )


def _no_frame(received_bytes: int, counters: FrameCounters) -> str:
    if counters.non_finite > 0:
        return (
            f"every correct frame ({counters.non_finite} among {received_bytes} bytes) holds a value that is not a "
            "number: mend the sensor, its calibration or its cabling to the encoders"
        )
    if counters.bad_version > max(counters.bad_cobs, counters.bad_length, counters.bad_crc):
        return (
            f"no valid frame arrived among {received_bytes} bytes: they are of another version of the protocol: update "
            "the sensor's firmware to emsk version 1"
        )
    return (
        f"no valid frame arrived among {received_bytes} bytes: check that the sensor speaks the protocol emsk, and that "
        "baud= in the URL is its baud rate"
    )


def _one_stream(counters: FrameCounters, intake: Intake) -> str:
    missing = [
        name
        for name, count in (
            ("joint angles (kind 1)", intake.samples),
            ("the pelvis IMU (kind 2)", intake.pelvis_samples),
        )
        if count == 0
    ]
    if intake.sensor_faults > 0:
        return (
            f"the sensor reports a fault in {intake.sensor_faults} of {counters.frames} frames, and no usable frame of "
            f"{' and '.join(missing)} came: mend the sensor"
        )
    return (
        f"{counters.frames} valid frames came, but none of {' and '.join(missing)}: make the sensor send joint angles and "
        "pelvis IMU"
    )
