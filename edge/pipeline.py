"""Bytes in, estimates out: the one path that live runs, replays, evaluation and profiling share.

Estimates are a function of the bytes alone: the sensor's own stamps carry the time of everything that is computed, and
when the bytes were received decides only how old an estimate is said to be. So a log replayed gives the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.bundle import Bundle
from edge.diagnosis import why_no_estimate
from edge.errors import BundleError
from edge.estimator import Estimate, Estimator
from edge.sensors.frame import Frame, FrameDecoder, Kind
from edge.signals.clock import SensorClock
from edge.signals.intake import Intake

__all__ = ["Counters", "Estimate", "Pipeline"]


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of everything that came in."""

    samples: int  # frames of joint angles that were taken
    bad_frames: int  # frames refused by the decoder
    dropped: int  # frames missing in the sequence, or late or flagged as faulty by the sensor, and not used
    gaps: int  # interruptions so long that the window had to be filled anew
    estimates: int


class Pipeline:
    """Decodes, resamples, differentiates and estimates."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        if manifest.inputs != "causal":
            raise BundleError(
                f"{bundle.path}: `inputs` is '{manifest.inputs}': the network was trained on kinematics that look into the "
                "future, which no device has: train one with causal inputs"
            )
        self._decoder = FrameDecoder()
        self._clock = SensorClock()
        self._intake = Intake(
            bundle.model.joint_names,
            gravity_mps2=bundle.model.gravity_mps2,
            rate_hz=manifest.rate_hz,
            method=manifest.differentiator.method,
            age_s=manifest.differentiator.age_s,
        )
        self._estimator = Estimator(bundle)
        self._estimates = 0
        self._bytes = 0
        # Twice the time that the differentiator and the window need to fill, which is more than any start needs.
        self._fill_s = 2.0 * (bundle.age_s + manifest.network.window / manifest.rate_hz)

    def feed(self, chunk: bytes, received_ns: int) -> list[Estimate]:
        """Take bytes as they came, in any pieces; return the estimates that they complete.

        Raises SensorError for frames that cannot be this leg's, EngineError for a network that fails.
        """
        self._bytes += len(chunk)
        estimates: list[Estimate] = []
        for frame in self._decoder.push(chunk):
            estimates.extend(self.feed_frame(frame, received_ns))
        return estimates

    def feed_frame(self, frame: Frame, received_ns: int) -> list[Estimate]:
        """Take one decoded frame."""
        if frame.kind in (Kind.ANGLES, Kind.IMU):
            self._clock.observe(frame.time_us, received_ns)
        estimates = []
        for state in self._intake.push(frame):
            estimate = self._estimator.step(state)
            if estimate is not None:
                estimates.append(estimate)
        self._estimates += len(estimates)
        return estimates

    def host_ns(self, time_s: float) -> int:
        """Host monotonic time of a moment of the sensor's clock."""
        return self._clock.host_ns(time_s * 1e6)

    def overdue_s(self) -> float:
        """How much longer the sensor has been sending, by its own clock, than a first estimate needs; negative before."""
        if self._intake.first_us is None:
            return -self._fill_s
        return (max(self._intake.newest_us) - self._intake.first_us) * 1e-6 - self._fill_s

    def sensor_elapsed_s(self) -> float:
        """How far the sensor's own clock has come since its first frame; 0 before there is one."""
        return 0.0 if self._intake.first_us is None else (max(self._intake.newest_us) - self._intake.first_us) * 1e-6

    def why_no_estimate(self) -> str:
        """What has come so far, what is wrong with it, and how to mend it; for a message."""
        return why_no_estimate(self._bytes, self._decoder.counters, self._intake)

    @property
    def counters(self) -> Counters:
        decoder = self._decoder.counters
        return Counters(
            samples=self._intake.samples,
            bad_frames=decoder.bad,
            dropped=decoder.sequence_gaps + self._intake.late + self._intake.sensor_faults,
            gaps=max(self._intake.gaps - 1, 0),
            estimates=self._estimates,
        )
