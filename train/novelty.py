"""Fits `edge.novelty` on training windows alone, without labels: the limit lies where left-out people's windows are.

Groups (people, or repetitions of one person) are what is new in use. Windows of one group are compared with the nearest of the
others: these differences give the metric (what differs between people who do the same counts little), and around every
prototype the distance that is usual there. The limit is the upper prediction bound of a next group's 99th percentile, from
groups each of which was left out of everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.stats import t as student

from edge.errors import TrialError
from edge.novelty import LEAST, About, Novelty, frames_of, places
from train.dataset import Stretch, Windows

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class NoveltySettings:
    """How it is fitted; the defaults were chosen on walking: against other walkers, running and squats."""

    components: int = 24
    prototypes: int = 800
    windows: int = 3000  # at most so many are looked at: long recordings are thinned
    quantile: float = 0.99  # of a group's windows lie within the limit ...
    confidence: float = 0.98  # ... for so many of all next groups
    folds: int = 8  # of the groups, left out in turn


FEWEST_GROUPS = 3
_FEWEST_PEOPLE = 4  # with fewer, it is repetitions that are left out
_PARTS = 6  # of fewer people's recordings, in time
_ROUNDS = 2  # the nearest window depends on the metric, and the metric on the nearest windows
_FAINT = 1e-3  # of the largest component: what is smaller decides no nearest window
_MEANS_ROUNDS = 5
_SHRINK = 0.1  # of the differences' covariance towards its diagonal
_NEIGHBOURS = 20  # prototypes over which the usual distance is smoothed


def fit(
    windows: npt.NDArray[np.floating[Any]], groups: npt.NDArray[Any], settings: NoveltySettings | None = None
) -> Novelty:
    """The score for windows (n, window, features). groups (n,): the person or repetition of each, of any sortable type.

    Raises TrialError for fewer than FEWEST_GROUPS.
    """
    settings = settings or NoveltySettings()
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < FEWEST_GROUPS:
        raise TrialError(
            f"the novelty score compares at least {FEWEST_GROUPS} people or repetitions, there is {len(names)}: give more trials"
        )
    window, count = windows.shape[1], len(names)
    chosen = _chosen(group, settings.windows)
    feature = np.asarray(windows[chosen][:, frames_of(window)], dtype=np.float64)
    group = group[chosen]
    left_out: dict[int, FloatArray] = {}
    for fold in _folds(np.unique(group), settings.folds):
        out = np.isin(group, fold)
        score = _Region.of(feature[~out], group[~out], settings).scores(feature[out])
        left_out.update({int(g): score[group[out] == g] for g in fold})
    limit = _bound(np.array([np.quantile(s, settings.quantile) for s in left_out.values()]), settings.confidence)
    region = _Region.of(feature, group, settings)
    about = About(
        window=window,
        features=windows.shape[2],
        components=len(region.components),
        prototypes=len(region.prototypes),
        groups=count,
        flagged=float((np.concatenate(list(left_out.values())) > limit).mean()),
    )
    return Novelty(
        about,
        centre=region.centre,
        scale=region.scale,
        components=_short(region.components),
        metric=_short(region.metric),
        prototypes=_short(region.prototypes),
        radius=_short(np.maximum(limit * region.usual, LEAST)),
    )


def groups_of(windows: Windows, stretches: Sequence[Stretch]) -> IntArray:
    """What is left out in turn: the people, or where there are fewer than four, parts of their recordings. (windows,)

    Both legs of a recording move together, so that the same moments of both are one group.
    """
    subject = np.array([s.trial.subject for s in stretches])[windows.stretch]
    people, group = np.unique(subject, return_inverse=True)
    if len(people) >= _FEWEST_PEOPLE:
        return np.asarray(group)
    # The legs of a recording share the pelvis.
    moved = [s.trial.time_s.tobytes() + s.trial.base.tobytes() for s in stretches]
    names = {name: number for number, name in enumerate(dict.fromkeys(moved))}
    recording = np.array([names[name] for name in moved])[windows.stretch]
    parts = -(-_PARTS // len(np.unique(recording)))
    group = np.zeros(len(windows), dtype=np.intp)
    for number in np.unique(recording):
        own = recording == number
        edges = np.linspace(windows.time_s[own].min(), windows.time_s[own].max(), parts + 1)[1:-1]
        group[own] = number * parts + np.digitize(windows.time_s[own], edges)
    return group


@dataclass(frozen=True)
class _Region:
    """What was trained on. Arrays as in `Novelty`; `usual` (m,): the distance of left-out windows around each prototype."""

    centre: FloatArray
    scale: FloatArray
    components: FloatArray
    metric: FloatArray
    prototypes: FloatArray
    usual: FloatArray

    @classmethod
    def of(cls, feature: FloatArray, group: IntArray, settings: NoveltySettings) -> _Region:
        deviation = feature.reshape(-1, feature.shape[2]).std(axis=0)
        # A feature that stands still in training says nothing; in units of its rounding errors it would say everything.
        scale = np.broadcast_to(np.where(deviation > LEAST, deviation, 1.0), feature.shape[1:]).copy()
        centre = feature.mean(axis=0)
        flat = ((feature - centre) / scale).reshape(len(feature), -1)
        components = _principal(flat, settings.components)
        place = places(flat, components)
        weight = 1.0 / np.bincount(group)[group]  # every group counts the same
        deviation = np.maximum(place.std(axis=0), LEAST)
        metric = np.diag(np.maximum(deviation, _FAINT * deviation.max()) ** -0.75)
        for _ in range(_ROUNDS):
            difference = _differences(place, place @ metric.T, group, settings.folds)
            metric = _whitening((difference * weight[:, None]).T @ difference / weight.sum())
        own = place @ metric.T
        difference = _differences(place, own, group, settings.folds) @ metric.T
        prototypes = _means(own, settings.prototypes)
        usual = _smoothed(prototypes, own, (difference**2).sum(axis=1), weight)
        return cls(centre, scale, components, metric, prototypes, usual)

    def scores(self, feature: FloatArray) -> FloatArray:
        """Distances of windows (n, frames, features) from the nearest prototype, in units of what is usual there."""
        flat = ((feature - self.centre) / self.scale).reshape(len(feature), -1)
        square = _square_distances(places(flat, self.components) @ self.metric.T, self.prototypes)
        return np.asarray(np.sqrt((square / self.usual**2).min(axis=1)))


def _principal(flat: FloatArray, most: int) -> FloatArray:
    """The (k, d) directions of the largest variance of centred rows."""
    size = flat.shape[1]
    k = min(most, size)
    _, vectors = eigh(flat.T @ flat, subset_by_index=[size - k, size - 1])
    return np.asarray(vectors[:, ::-1].T)


def _differences(place: FloatArray, own: FloatArray, group: IntArray, folds: int) -> FloatArray:
    """Of each window's place from that of the nearest window, by `own`, among the groups outside its fold."""
    difference = np.empty_like(place)
    for fold in _folds(np.unique(group), folds):
        out = np.isin(group, fold)
        difference[out] = place[out] - place[~out][_square_distances(own[out], own[~out]).argmin(axis=1)]
    return difference


def _whitening(covariance: FloatArray) -> FloatArray:
    """The metric in which differences of this covariance, shrunk a little, have unit variance in every direction."""
    diagonal = np.diag(np.diag(covariance))
    least = max(1e-4 * np.trace(covariance) / len(covariance), LEAST**2) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh((1.0 - _SHRINK) * covariance + _SHRINK * diagonal + least)
    return np.asarray((vectors / np.sqrt(values)).T)


def _means(own: FloatArray, most: int) -> FloatArray:
    """At most so many places that stand for all rows: k-means from evenly thinned ones, which repeats exactly."""
    means = own[_thinned(len(own), most)]
    for _ in range(_MEANS_ROUNDS):
        nearest = _square_distances(own, means).argmin(axis=1)
        size = np.bincount(nearest, minlength=len(means))
        total = np.zeros_like(means)
        np.add.at(total, nearest, own)
        means = total[size > 0] / size[size > 0, None]
    return means


def _smoothed(prototypes: FloatArray, own: FloatArray, square: FloatArray, weight: FloatArray) -> FloatArray:
    """Root mean square around each prototype, of the windows nearest to it and to its neighbours."""
    nearest = _square_distances(own, prototypes).argmin(axis=1)
    share = np.bincount(nearest, weight, len(prototypes))
    total = np.bincount(nearest, weight * square, len(prototypes))
    between = _square_distances(prototypes, prototypes)
    reach = np.sort(between, axis=1)[:, min(_NEIGHBOURS, len(prototypes) - 1), None]
    kernel = np.exp(-between / np.maximum(reach, LEAST))
    return np.asarray(np.sqrt(np.maximum(kernel @ total / (kernel @ share), LEAST)))


def _bound(quantiles: FloatArray, confidence: float) -> float:
    """Below which a next group's quantile lies, by Student's t of the logarithms: a prediction bound."""
    logs = np.log(np.maximum(quantiles, LEAST))
    wide = student.ppf(confidence, len(logs) - 1) * logs.std(ddof=1) * np.sqrt(1.0 + 1.0 / len(logs))
    return float(np.exp(logs.mean() + wide))


def _folds(groups: IntArray, folds: int) -> list[IntArray]:
    return [groups[i::folds] for i in range(min(folds, len(groups)))]


def _chosen(group: IntArray, most: int) -> IntArray:
    """Indices of about `most` windows: of each group all, or as many evenly thinned ones as of every other large group."""
    sizes = np.bincount(group)
    left = share = most
    for done, size in enumerate(np.sort(sizes)):
        share = max(left // (len(sizes) - done), 1)
        if size > share:
            break
        left -= size
    rows = [np.flatnonzero(group == g) for g in range(len(sizes))]
    return np.concatenate([own[_thinned(len(own), share)] for own in rows])


def _thinned(count: int, most: int) -> IntArray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def _short(values: FloatArray) -> FloatArray:
    """To 11 bits: what the distance does not feel, and a file packs."""
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissa * 2.0**11) / 2.0**11, exponent))


def _square_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """(len(a), len(b)), by one matrix product."""
    square = (-2.0 * a) @ b.T
    square += (a**2).sum(axis=1)[:, None]
    square += (b**2).sum(axis=1)
    return np.asarray(np.maximum(square, 0.0, out=square))
