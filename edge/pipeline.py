"""Bytes in, estimates out: the one path that live runs, replays, evaluation and profiling share.

Estimates of a single sensor are a function of its bytes alone: its own stamps carry the time of everything that is
computed, and when the bytes were received decides only how old an estimate is said to be. Stamps of several sensors are
brought together by when their bytes were received, which is recorded with them. So a log replayed gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.bundle import Bundle
from edge.diagnosis import Received, why_no_estimate
from edge.errors import BundleError
from edge.estimator import Estimate, Estimator
from edge.sensors import make_sensor
from edge.sensors.decoder import Decoder
from edge.sensors.frame import FrameDecoder, Kind
from edge.signals.checks import Checks
from edge.signals.hookup import Hookup, Source
from edge.signals.intake import Intake
from edge.signals.problems import Problem, Problems
from edge.signals.timeline import Stamp, TimeLine

__all__ = ["Counters", "Estimate", "Pipeline"]

_TIMED = (Kind.ANGLES, Kind.IMU)
_MEMORY_S = 0.1  # of the differentiator, beside its age: so long a sample is felt in later derivatives
_FIRST_BYTES = 4096  # of each source, kept to say what they look like


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of everything that came in."""

    samples: int  # frames of joint angles that were taken
    bad_frames: int  # frames refused by the decoders
    dropped: int  # frames missing in the sequence, or late or flagged as faulty by the sensor, and not used
    gaps: int  # interruptions so long that the window had to be filled anew
    estimates: int
    problems: dict[str, int] = field(default_factory=dict)
    """What was wrong with the sensors, by name (`stuck:knee`, `clock_restart:0`), and how often it began."""


class Pipeline:
    """Decodes, resamples, differentiates and estimates.

    sources: the sensors and what they measure, the first of them with the session's clock. No device is needed. Raises
    BundleError for a bundle that cannot run live, ConfigError for sources that do not fit the model.
    """

    def __init__(self, bundle: Bundle, sources: Sequence[Source] = (Source(),)) -> None:
        manifest, model = bundle.manifest, bundle.model
        if manifest.inputs != "causal":
            raise BundleError(
                f"{bundle.path}: `inputs` is '{manifest.inputs}': the network was trained on kinematics that look into the "
                "future, which no device has: train one with causal inputs"
            )
        age_s = manifest.differentiator.age_s
        self._problems = Problems()
        self._hookup = Hookup(model.joint_names, model.part_names[-len(model.segments) - 1 :], sources)
        sensors = [make_sensor(source.url) if source.url else None for source in self._hookup.sources]
        self._decoders: list[Decoder] = [FrameDecoder() if sensor is None else sensor.decoder() for sensor in sensors]
        names = [self._hookup.name(number) for number in range(len(self._decoders))]
        self._received = [
            Received(source, decoder.counters)
            for source, decoder in zip(self._hookup.sources, self._decoders, strict=True)
        ]
        # When a recording's bytes come says nothing of its clock where it is not played at its rate.
        paced = [sensor is None or sensor.real_time for sensor in sensors]
        self._line = TimeLine(names, paced, self._problems)
        self._stamps: list[Stamp] = []
        self._faulty = [False] * len(names)
        self._intake = Intake(
            model.joint_names,
            gravity_mps2=model.gravity_mps2,
            rate_hz=manifest.rate_hz,
            method=manifest.differentiator.method,
            age_s=age_s,
            hookup=self._hookup,
            checks=Checks(
                self._hookup,
                [joint.range_rad for joint in model.joints],
                rate_hz=manifest.rate_hz,
                memory_s=age_s + _MEMORY_S,
                problems=self._problems,
            ),
        )
        self._estimator = Estimator(bundle)
        self._estimates = 0
        # Twice the time that the differentiator and the window need to fill, which is more than any start needs.
        self._fill_s = 2.0 * (bundle.age_s + manifest.network.window / manifest.rate_hz)

    def feed(self, chunk: bytes, received_ns: int, source: int = 0) -> list[Estimate]:
        """Take bytes of one source as they came, in any pieces; return the estimates that they complete.

        Raises SensorError for frames that cannot be this limb's, EngineError for a network that fails.
        """
        self._received[source].take(chunk, _FIRST_BYTES)
        frames = [f for f in self._decoders[source].push(chunk, received_ns) if f.kind in _TIMED]
        self._stamps = self._line.take(source, frames, received_ns)
        estimates: list[Estimate] = []
        for frame, stamp in zip(frames, self._stamps, strict=True):
            faulty = bool(frame.flags & 1)
            if faulty and not self._faulty[source]:
                name = self._hookup.name(source)
                self._problems.add(f"fault:{source}", f"{name}: the sensor reports a fault of its own: mend the sensor")
            self._faulty[source] = faulty
            if stamp.line_us is None:
                continue
            for state in self._intake.push(frame, source, stamp.line_us):
                estimate = self._estimator.step(state)
                if estimate is not None:
                    estimates.append(estimate)
        self._estimates += len(estimates)
        return estimates

    def close(self) -> None:
        """Let go of what works in the background. Nothing may be fed afterwards."""
        self._intake.close()

    @property
    def stamps(self) -> Sequence[Stamp]:
        """The times of the frames that the last bytes completed."""
        return self._stamps

    def take_problems(self) -> list[Problem]:
        """What has begun to be wrong since the last call."""
        return self._problems.take()

    def host_ns(self, time_s: float) -> int:
        """Host monotonic time of a moment of the first sensor's clock."""
        return self._line.host_ns(time_s * 1e6)

    def overdue_s(self) -> float:
        """How much longer the sensor has been sending, by its own clock, than a first estimate needs; negative before."""
        if self._intake.first_us is None:
            return -self._fill_s
        return (max(self._intake.newest_us) - self._intake.first_us) * 1e-6 - self._fill_s

    def why_no_estimate(self) -> str:
        """What has come so far, what is wrong with it, and how to mend it; for a message."""
        return why_no_estimate(self._received, self._intake, self._line.unplaced)

    @property
    def counters(self) -> Counters:
        decoders = [decoder.counters for decoder in self._decoders]
        return Counters(
            samples=self._intake.samples,
            bad_frames=sum(d.bad for d in decoders),
            dropped=sum(d.sequence_gaps for d in decoders) + self._intake.late + self._intake.sensor_faults,
            gaps=max(self._intake.gaps - 1, 0),
            estimates=self._estimates,
            problems=self._problems.counts,
        )
