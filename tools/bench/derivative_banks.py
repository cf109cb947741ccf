"""Differentiators with a bank: filters fitted on everybody's walking but the person's who is tested."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.signals.bank import PersonSums, Recording, fit_bank, person_sums
from edge.signals.differentiate import create
from edge.signals.differentiator import Differentiator
from edge.signals.movement_prior import NormalEquations
from edge.signals.taps import Taps
from tools.bench.movements import RATE_HZ, Jitter, Movement, disturbed

BANKED = ("fir", "adaptive")
"""Methods that use a bank."""

_WITH_BANK = " with bank"
_SEED = 1000  # of the noise in what a bank is fitted on, beyond that of the tests


def with_bank(method: str) -> str:
    """How a method is called whose differentiator has a bank."""
    return method + _WITH_BANK


class OtherPeople:
    """walks: of all people, each with the right leg's channels, then the left's; every walk serves a second time mirrored."""

    def __init__(self, walks: Sequence[Movement], *, seed: int = 0, jitter: Jitter = "hidden") -> None:
        self._walks = walks
        self._seed = seed
        self._jitter = jitter
        self._known: dict[float, dict[str, PersonSums]] = {}
        self._banks: dict[tuple[float, str], NormalEquations] = {}

    def build(self, method: str, movement: Movement, age_s: float) -> Differentiator:
        """The differentiator of a method `with_bank`, for a movement of the walks' channels."""
        return create(
            method.removesuffix(_WITH_BANK),
            n_joints=movement.q.shape[1],
            rate_hz=RATE_HZ,
            age_s=age_s,
            background=False,
            bank=self.bank(movement.person, age_s),
        )

    def bank(self, person: str, age_s: float) -> NormalEquations:
        """Fitted on all but this person."""
        key = age_s, person
        if key not in self._banks:
            taps = Taps(self._walks[0].q.shape[1], RATE_HZ, age_s)
            if age_s not in self._known:
                self._known[age_s] = self._sums(taps)
            self._banks[key] = fit_bank([sums for who, sums in self._known[age_s].items() if who != person], taps)
        return self._banks[key]

    def _sums(self, taps: Taps) -> dict[str, PersonSums]:
        recordings: dict[str, list[Recording]] = {}
        for number, walk in enumerate(self._walks):
            stamps, samples = disturbed(walk, self._seed + _SEED + number, jitter=self._jitter)
            half = samples.shape[1] // 2
            mirrored = np.hstack([samples[:, half:], samples[:, :half]])
            recordings.setdefault(walk.person, []).extend([(stamps, samples), (stamps, mirrored)])
        found = {person: person_sums(own, taps) for person, own in recordings.items()}
        return {person: sums for person, sums in found.items() if sums is not None}
