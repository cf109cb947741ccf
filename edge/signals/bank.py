"""What other people's movement tells a filter: normal equations of their recordings, as the prior and as one of the experts.

Sums are taken over the windows that sensors would have given, with the zero-phase derivatives as targets. Sensor noise that is
in a recording is taken out of the targets (`edge.signals.hindsight`); where a recording has none, as those of a laboratory, what
sensors would add is put into the sums as its expectation. Both lead to the filter that is best for noisy samples and true
derivatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edge import __version__
from edge.errors import BundleError
from edge.signals import sums_file
from edge.signals.hindsight import Hindsight
from edge.signals.layout import Layout
from edge.signals.movement_prior import BRISK, NOISE_RAD, RATE_NOISE_RAD_S, NormalEquations, normal_equations
from edge.signals.taps import Taps

FloatArray = npt.NDArray[np.float64]

Recording = tuple[FloatArray, FloatArray]
"""Times (m,) in s and samples (m, width) of one uninterrupted recording, see `Taps`."""

_PIECE = 512  # samples that are summed at once
_KNOWN_S = 30.0
"""Somebody seen so long counts half as much as somebody seen forever: people differ, and few seconds are less than a person."""
_PRIOR_S = 10.0  # so many seconds of other movement the prior counts for
_FIX = "copy the bundle again or make it anew"


@dataclass(frozen=True)
class PersonSums:
    """One person's movement: sums of one moment, the mean over all, and how many seconds there were."""

    sums: NormalEquations
    seconds: float


def person_sums(recordings: Iterable[Recording], taps: Taps, *, noisy: bool = True) -> PersonSums | None:
    """Sums of one person's recordings; None where none is long enough for a window and its truth (1 to 1.4 s).

    noisy: recordings are as sensors give them, noise included; otherwise they have none.
    """
    features = np.zeros((taps.features, taps.features))
    targets = np.zeros((taps.features, taps.outputs))
    noise = np.zeros(taps.n_joints)
    hindsight = Hindsight(taps)
    count = 0
    for times_s, samples in recordings:
        for first in range(0, len(times_s), _PIECE):
            piece = slice(first, first + _PIECE)
            past = hindsight.take(times_s[piece], samples[piece], first == 0)
            if past is not None:
                features += past.features.T @ past.features
                targets += past.features.T @ past.target
                noise += past.noise_square.sum(axis=0)
                count += len(past.features)
    if count == 0:
        return None
    features /= count
    targets /= count
    if noisy:
        targets -= hindsight.noise_products(noise / count)
    else:
        expected = sensor_noise(taps)
        features += expected.features
        targets += expected.targets
    return PersonSums(NormalEquations(features, targets), count / taps.rate_hz)


def sensor_noise(taps: Taps) -> NormalEquations:
    """What white noise, as large as the movement prior takes it to be, adds to the expected sums of one moment without it."""
    features = np.zeros((taps.features, taps.features))
    targets = np.zeros((taps.features, taps.outputs))
    angle, rate = NOISE_RAD**2 / taps.stride, RATE_NOISE_RAD_S**2 / taps.stride
    for j, scale in enumerate(taps.scale):
        square = angle * scale**2
        own, newest = taps.joint(j), taps.newest.start + j
        relative, gyroscope = own[: taps.count - 1], own[taps.count - 1 :]
        # All are relative to the newest tap, whose noise they share; so are the values among the targets.
        features[np.ix_(relative, relative)] = square * (1.0 + np.eye(len(relative)))
        features[newest, newest] = square
        features[relative, newest] = features[newest, relative] = -square
        value, _, _, ahead = taps.of_joint(j)
        targets[np.ix_(relative, [value, ahead])] = square
        targets[newest, [value, ahead]] = -square
        features[gyroscope, gyroscope] = rate * scale**2
    return NormalEquations(features, targets)


def fit_bank(people: Sequence[PersonSums], taps: Taps) -> NormalEquations:
    """One moment's sums of somebody who is none of these people. Raises ValueError without any.

    People count alike where much is known of each, and less of whom there are few seconds. The movement prior counts for a few
    seconds more, which settles what nobody's movement shows.
    """
    if not people:
        raise ValueError("a bank needs at least one person")
    share = np.array([person.seconds / (person.seconds + _KNOWN_S) for person in people])
    share /= share.sum()
    prior = normal_equations(taps, BRISK)
    prior_share = _PRIOR_S / sum(person.seconds for person in people)
    features = prior_share * prior.features
    targets = prior_share * prior.targets
    for weight, person in zip(share, people, strict=True):
        features += weight * person.sums.features
        targets += weight * person.sums.targets
    return NormalEquations(features, targets)


class _About(sums_file.About):
    schema_: str = Field(default="edge-msk/bank", alias="schema")
    people: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Bank:
    """Sums of other people's movement, with what they stand on."""

    layout: Layout
    sums: NormalEquations
    people: int
    seconds: float

    @classmethod
    def fit(cls, people: Sequence[PersonSums], layout: Layout) -> Bank:
        """As `fit_bank`."""
        return cls(layout, fit_bank(people, layout.taps), len(people), sum(person.seconds for person in people))

    def to_bytes(self) -> bytes:
        """As a bundle holds it."""
        about = _About(
            program=f"edge-msk {__version__}", layout=self.layout, people=self.people, seconds=round(self.seconds, 2)
        )
        return sums_file.to_bytes(about, self.sums)

    @classmethod
    def from_bytes(cls, content: bytes, path: Path) -> Bank:
        """The inverse; `path` names it in messages. Raises BundleError."""
        about, sums = sums_file.from_bytes(content, path, _About, what="bank", fix=_FIX, error=BundleError)
        return cls(about.layout, sums, about.people, about.seconds)

    def sums_for(self, layout: Layout) -> NormalEquations:
        """The sums where other gyroscopes are worn than those of the recordings.

        What the bank knows of a gyroscope that is not worn is left out; one that it does not know has no say until the wearer's
        own movement gives it one. Raises BundleError where anything else differs.
        """
        differs = self.layout.difference(layout.model_copy(update={"gyroscopes": self.layout.gyroscopes}))
        if differs is not None:
            name, own, wanted = differs
            raise BundleError(f"the bundle's bank: `{name}` is {own}, the session's is {wanted}: {_FIX}")
        if layout == self.layout:
            return self.sums
        own, wanted = self.layout.taps, layout.taps
        place = np.full(wanted.features, -1)
        for j in range(wanted.n_joints):
            there, here = own.joint(j), wanted.joint(j)
            both = min(len(there), len(here))  # relative taps come first
            place[here[:both]] = there[:both]
        place[wanted.newest.start :] = np.arange(own.newest.start, own.features)
        known = np.flatnonzero(place >= 0)
        features = np.diag(np.diag(normal_equations(wanted, BRISK).features))
        targets = np.zeros((wanted.features, wanted.outputs))
        features[np.ix_(known, known)] = self.sums.features[np.ix_(place[known], place[known])]
        targets[known] = self.sums.targets[place[known]]
        return NormalEquations(features, targets)
