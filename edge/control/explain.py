"""Each fault in one plain line for the person at the device: what happened, and what to do about it."""

from __future__ import annotations

from edge.control.safety import Fault, SafetyLimits


def explain(fault: Fault, limits: SafetyLimits) -> str:
    """Return the line, with the limit that was broken and the key of the configuration that sets it."""
    cause, mend = {
        Fault.NON_FINITE: (fault.explanation, "check the encoders and their cable; the log shows which number it was"),
        Fault.MALFORMED: (fault.explanation, "use the bundle of this sensor's leg"),
        Fault.STALE: (
            f"no usable sensor data for more than {limits.sensor_age_limit_ms:g} ms (safety.sensor_age_limit_ms)",
            "check the sensor and its cable, or end what else keeps this computer busy",
        ),
        Fault.ANGLE_RANGE: (
            f"an angle is more than {limits.angle_fault_margin_rad:g} rad outside its range "
            "(safety.angle_fault_margin_rad)",
            "check the sensor's zero and sign",
        ),
        Fault.ANGLE_RATE: (
            "an angle changes faster than a leg does (safety.angle_rate_limit_rad_s)",
            "check the encoders and their cable",
        ),
        Fault.SEQUENCE_GAP: (
            f"more than {limits.max_sequence_gap} sensor frames are missing at once (safety.max_sequence_gap)",
            "check the sensor's cable and baud rate, or end what else keeps this computer busy",
        ),
        Fault.DEADLINE: (
            f"more than {limits.max_consecutive_overruns} estimates in a row came late "
            "(safety.max_consecutive_overruns)",
            "end what else keeps this computer busy",
        ),
        Fault.SENSOR_LOST: (fault.explanation, "check its power and cable"),
        Fault.SENSOR: (fault.explanation, "check that it is the sensor of this leg"),
        Fault.OUTPUT: (fault.explanation, "check the actuator's power and cable"),
        Fault.ENGINE: (fault.explanation, "the error that ended the session says why"),
        Fault.LOG: (fault.explanation, "free space on its disk, or choose another folder"),
    }[fault]
    return f"{cause}: {mend}"
