"""Why no estimate comes: what has arrived so far, what that means, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from edge.sensors.decoder import Decoder
from edge.sensors.frame import Kind
from edge.signals.hookup import Group, Source
from edge.signals.intake import MAX_GAP_S, Intake
from edge.signals.resample import MOST_SKEW_S
from edge.url import parse_url

_USUAL = "emsk"


class Received:
    """What has come from one source.

    counters: of its decoder. first: the first bytes, to tell what they look like.
    """

    def __init__(self, source: Source, decoder: Decoder) -> None:
        self.name, self.counters, self._decoder = source.url, decoder.counters, decoder
        self.count = 0  # bytes
        self.first = b""

    @property
    def protocol(self) -> str:
        """What the bytes are taken for."""
        return parse_url(self.name).parameters.get("protocol", _USUAL) if self.name else _USUAL

    @property
    def trouble(self) -> str:
        """What the decoder of the device's protocol finds wrong; "" where nothing."""
        return self._decoder.trouble()

    def take(self, chunk: bytes, most: int) -> None:
        """Count the bytes, and keep the first of them, up to `most`."""
        self.count += len(chunk)
        if len(self.first) < most:
            self.first += chunk[: most - len(self.first)]


def why_no_estimate(received: Sequence[Received], intake: Intake, unplaced: int = 0) -> str:
    """One sentence for a message, from what the parts of the pipeline have counted. The most basic reason wins.

    unplaced: frames that could not be placed on the time line of the first source.
    """
    for number, source in enumerate(received):
        if intake.hookup.needed(number) and (source.count == 0 or source.counters.frames == 0):
            text = _nothing() if source.count == 0 else _no_frame(source)
            return text if len(received) == 1 else f"{source.name}: {text}"
    if 0 in intake.counts:
        return _one_stream(received, intake, unplaced)
    for one, other in combinations(range(len(intake.counts)), 2):
        skew_s = (intake.newest_us[one] - intake.newest_us[other]) * 1e-6
        if abs(skew_s) > MOST_SKEW_S:
            behind, before = (other, one) if skew_s > 0 else (one, other)
            groups = intake.hookup.groups
            return (
                f"the time stamps of the {_name(groups[behind])} are {abs(skew_s):.4g} s behind those of the "
                f"{_name(groups[before])}: stamp both by one clock, or give each sensor a clock that runs"
            )
    if intake.unseen:
        return (
            f"the inclination of the {' and the '.join(intake.unseen)} cannot be told from gravity while the joint's axis points "
            "up, as in lying on the side: change the posture"
        )
    what = " and ".join(_name(group) for group in intake.hookup.groups)
    if intake.interruptions > 0:
        missing = sum(source.counters.sequence_gaps for source in received)
        bad = sum(source.counters.bad for source in received)
        return (
            f"the samples were interrupted {intake.interruptions} times by more than {MAX_GAP_S * 1e3:g} ms ({missing} frames "
            f"are missing, {bad} were damaged): the sensor must send {what} without such gaps; check its rate, cable and baud "
            "rate"
        )
    counts = " and ".join(
        f"{count} {'samples ' if i == 0 else ''}of {'the ' if group.kind == Kind.IMU else ''}{_name(group)}"
        for i, (count, group) in enumerate(zip(intake.counts, intake.hookup.groups, strict=True))
    )
    return f"{counts} came, too few for a first estimate: the sensor must go on sending"


def _name(group: Group) -> str:
    return str(group) if group.kind == Kind.IMU else "joint angles"


def _nothing() -> str:
    return "the sensor has sent nothing: check its power and cable, that it is started, and that this is its port"


def _no_frame(source: Received) -> str:
    counters = source.counters
    if counters.non_finite > 0:
        return (
            f"every correct frame ({counters.non_finite} among {source.count} bytes) holds a value that is not a "
            "number: mend the sensor, its calibration or its cabling to the encoders"
        )
    if counters.bad_version > max(counters.bad_cobs, counters.bad_length, counters.bad_crc):
        return (
            f"no valid frame arrived among {source.count} bytes: they are of another version of the protocol: update "
            "the sensor's firmware to emsk version 1"
        )
    # Only here: it tries the decoders of all protocols.
    from edge.sensors.recognise import explain, recognise

    words = explain(source.first, source.protocol)
    another = recognise(source.first) not in (None, source.protocol)
    return f"no valid frame arrived among {source.count} bytes: " + (
        (words if another else source.trouble)
        or words
        or f"check that the sensor speaks the protocol {source.protocol}, and that baud= in the URL is its baud rate"
    )


def _one_stream(received: Sequence[Received], intake: Intake, unplaced: int) -> str:
    frames = sum(source.counters.frames for source in received)
    missing = [
        f"{'the ' if group.kind == Kind.IMU else ''}{_name(group)} (kind {int(group.kind)})"
        for group, count in zip(intake.hookup.groups, intake.counts, strict=True)
        if count == 0
    ]
    if intake.sensor_faults > 0:
        trouble = "; ".join(source.trouble for source in received if source.trouble)
        return (
            f"the sensor reports a fault in {intake.sensor_faults} of {frames} frames, and no usable frame of "
            f"{' and '.join(missing)} came: {trouble or 'mend the sensor'}"
        )
    if unplaced > 0:
        return (
            f"{frames} valid frames came, of which {unplaced} could not be placed in time, and none of {' and '.join(missing)}: "
            "the sensors must send for longer, and their clocks must run without jumps"
        )
    return f"{frames} valid frames came, but none of {' and '.join(missing)}: make the sensor send them"
