"""How smooth an estimate is beside what it estimates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from train.learning import Answers
from train.material import Material
from train.metrics import ACTIVE_RANGE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

_ORDER = 3  # jerk is the third derivative


def jerk_ratio(reference: Answers, answers: Answers, material: Material) -> float | None:
    """Mean squared jerk of the activations over that of the reference: 1 where both are as smooth, more where it trembles.

    Over the muscles that move and all uninterrupted pieces of the windows; None where no piece is long enough.
    """
    moving = np.ptp(reference.activation, axis=0) > ACTIVE_RANGE
    jerks = [
        [np.diff(own.activation[piece][:, moving], n=_ORDER, axis=0) for own in (reference, answers)]
        for piece in pieces(material)
        if len(piece) > _ORDER
    ]
    if not jerks or not moving.any():
        return None
    true, own = (np.concatenate(parts) for parts in zip(*jerks, strict=True))
    return float((own**2).mean() / max(float((true**2).mean()), 1e-30))


def pieces(material: Material) -> Iterator[IntArray]:
    """Indices of windows that describe uninterrupted moments, piece by piece, in the order of time."""
    windows = material.windows
    for s in np.unique(windows.stretch):
        own = np.flatnonzero(windows.stretch == s)
        own = own[np.argsort(windows.frame[own])]
        yield from np.split(own, np.flatnonzero(np.diff(windows.frame[own]) != 1) + 1)
