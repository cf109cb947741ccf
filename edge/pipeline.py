"""Bytes in, estimates out: the one path that live runs, replays, evaluation and profiling share.

Estimates of a single sensor are a function of its bytes alone: its own stamps carry the time of everything that is
computed, and when the bytes were received decides only how old an estimate is said to be. Stamps of several sensors are
brought together by when their bytes were received, which is recorded with them. So a log replayed gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.bundle import Bundle
from edge.diagnosis import Received, why_no_estimate
from edge.errors import BundleError
from edge.estimator import Estimate, Estimator
from edge.novelty import LIMIT
from edge.sensors import make_sensor
from edge.sensors.decoder import Decoder
from edge.sensors.frame import FrameDecoder, Kind
from edge.signals.adaptive import AdaptiveDifferentiator
from edge.signals.checks import Checks
from edge.signals.differentiation import create_for
from edge.signals.differentiator import Differentiator
from edge.signals.filter_file import KeptFilter
from edge.signals.hookup import Hookup, Source
from edge.signals.intake import Intake
from edge.signals.layout import Layout
from edge.signals.problems import Problem, Problems
from edge.signals.timeline import Stamp, TimeLine

FloatArray = npt.NDArray[np.float64]

__all__ = ["Counters", "Estimate", "Pipeline"]

_TIMED = (Kind.ANGLES, Kind.IMU)
_MEMORY_S = 0.1  # of the differentiator, beside its age: so long a sample is felt in later derivatives
_FIRST_BYTES = 4096  # of each source, kept to say what they look like


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of everything that came in."""

    samples: int  # frames that were taken of joint angles, or of the IMUs that tell them
    bad_frames: int  # frames refused by the decoders
    dropped: int  # frames missing in the sequence, or late or flagged as faulty by the sensor, and not used
    gaps: int  # interruptions so long that the window had to be filled anew
    estimates: int
    problems: dict[str, int] = field(default_factory=dict)
    """What was wrong, by name (`stuck:knee`, `clock_restart:0`, `untrained`), and how often it began."""


class Pipeline:
    """Decodes, resamples, differentiates and estimates.

    sources: the sensors and what they measure, the first of them with the session's clock. No device is needed. Raises
    BundleError for a bundle that cannot run live, ConfigError for sources that do not fit the model.

    kept: what an adaptive filter knew of the wearer at the end of an earlier session. Raises FileError where that is another
    wearer's, or was learned from other channels. frozen: it learns nothing more. background: it learns in a thread of its own,
    which changes no bit; for live sessions.
    """

    def __init__(
        self,
        bundle: Bundle,
        sources: Sequence[Source] = (Source(),),
        *,
        kept: KeptFilter | None = None,
        frozen: bool = False,
        background: bool = False,
    ) -> None:
        manifest, model = bundle.manifest, bundle.model
        if manifest.inputs != "causal":
            raise BundleError(
                f"{bundle.path}: `inputs` is '{manifest.inputs}': the network was trained on kinematics that look into the "
                "future, which no device has: train one with causal inputs"
            )
        age_s = manifest.differentiator.age_s
        self._bundle = bundle
        self._kept, self._frozen, self._background = kept, frozen, background
        self._problems = Problems()
        self._hookup = Hookup(model.joint_names, bundle.segment_names, sources, base=bundle.needs_pelvis)
        sensors = [make_sensor(source.url) if source.url else None for source in self._hookup.sources]
        self._decoders: list[Decoder] = [FrameDecoder() if sensor is None else sensor.decoder() for sensor in sensors]
        names = [self._hookup.name(number) for number in range(len(self._decoders))]
        self._received = [
            Received(source, decoder) for source, decoder in zip(self._hookup.sources, self._decoders, strict=True)
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
            method=self._make_differentiator,
            age_s=age_s,
            hookup=self._hookup,
            alignment=bundle.alignment,
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
        self._familiar = True  # the newest estimate's movement
        # Twice the time that the differentiator and the window need to fill, which is more than any start needs.
        self._fill_s = 2.0 * (bundle.age_s + bundle.window / manifest.rate_hz)

    def _make_differentiator(self, layout: Layout) -> Differentiator:
        bundle, kept = self._bundle, self._kept
        if kept is not None:
            kept.require(bundle.manifest.subject, bundle.manifest.model_sha256, layout)
        return create_for(
            layout,
            bundle.manifest.differentiator.method,
            background=self._background,
            bank=bundle.bank,
            learned=None if kept is None else kept.learned,
            frozen=self._frozen,
        )

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
                why = self._decoders[source].trouble() or "mend the sensor"
                self._problems.add(f"fault:{source}", f"{name}: the sensor reports a fault of its own: {why}")
            self._faulty[source] = faulty
            if stamp.line_us is None:
                continue
            for state in self._intake.push(frame, source, stamp.line_us):
                estimate = self._estimator.step(state)
                if estimate is not None:
                    self._watch(estimate)
                    estimates.append(estimate)
        self._estimates += len(estimates)
        return estimates

    def _watch(self, estimate: Estimate) -> None:
        """Tell when movement begins that is unlike all training."""
        if self._familiar and not estimate.familiar:
            self._problems.add(
                "untrained",
                "this movement is unlike all that the bundle was trained on (novelty "
                f"{estimate.novelty:.2g}, above {LIMIT:g}): what is estimated of it is marked as not valid, and no assistance "
                "follows it: keep to the trained tasks, look whether the sensors sit and count as in the training, or train "
                "with recordings of this movement",
            )
        self._familiar = estimate.familiar

    def close(self) -> None:
        """Let go of what works in the background. Nothing may be fed afterwards."""
        self._intake.close()

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Of the model."""
        return self._intake.joint_names

    @property
    def layout(self) -> Layout:
        """The channels that are differentiated."""
        return self._intake.layout

    @property
    def adaptive(self) -> AdaptiveDifferentiator | None:
        """The differentiator that learns the wearer, where it is one."""
        own = self._intake.differentiator
        return own if isinstance(own, AdaptiveDifferentiator) else None

    @property
    def learned_s(self) -> float:
        """How much movement an adaptive filter has learned from in this session."""
        before = 0.0 if self._kept is None else self._kept.learned.movement_s
        return 0.0 if self.adaptive is None else self.adaptive.learned.movement_s - before

    def keep(self, path: Path) -> KeptFilter | None:
        """All that an adaptive filter knows by now, as the file at `path`; None for another differentiator."""
        if self.adaptive is None:
            return None
        bundle = self._bundle
        return KeptFilter(
            path, bundle.manifest.subject, bundle.manifest.model_sha256, self.layout, self.adaptive.learned
        )

    @property
    def rmse(self) -> FloatArray | None:
        """(3, n_joints): the newest measured errors of angles (rad), rates (rad/s) and accelerations (rad/s2).

        NaN until they are known, None before the first state.
        """
        own = self._intake.rmse
        return None if own is None else np.array(own[:, : len(self.joint_names)])

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
